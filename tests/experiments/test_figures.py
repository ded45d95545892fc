import numpy as np
import pytest

import keras_sda as ks
from keras_sda.datasets import Split
from keras_sda.experiments.figures import describe, error_interval, mean_interval, measure


def test_interval_is_wilsons():
    # By hand: center (p + z^2 / 2n) / (1 + z^2 / n), p = 0.1, n = 100, z = 1.959964
    low, high = error_interval(10, 100)
    assert (low, high) == pytest.approx((0.05522914, 0.17436566), abs=1e-7)
    assert error_interval(0, 50)[0] == 0


def test_interval_of_a_mean_is_students():
    # By hand: 3 +- t * s / sqrt(n), t = 2.776445 of 4 degrees of freedom, s = 1.581139, n = 5
    low, high = mean_interval(np.array([1, 2, 3, 4, 5], "float32"))
    assert (low, high) == pytest.approx((1.03676, 4.96324), abs=1e-5)


def test_a_reconstruction_error_has_its_interval(digits):
    model = ks.DenoisingAutoencoder(64, hidden_units=4, seed=0)
    figure = measure(model, Split(digits[0][:20], None))
    errors = model.reconstruction_error(digits[0][:20])
    assert figure["interval"] == pytest.approx(mean_interval(errors))
    low, high = figure["interval"]
    assert low < figure["reconstruction_error"] < high
    assert describe(figure).endswith(f"(95 % interval {low:.4f} to {high:.4f}; 20 rows)")
    assert "interval" not in measure(model, Split(digits[0][:1], None)), "one row has none"
