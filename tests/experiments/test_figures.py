import pytest

from keras_sda.experiments.figures import error_interval


def test_interval_is_wilsons():
    # By hand: center (p + z^2 / 2n) / (1 + z^2 / n), p = 0.1, n = 100, z = 1.959964
    low, high = error_interval(10, 100)
    assert (low, high) == pytest.approx((0.05522914, 0.17436566), abs=1e-7)
    assert error_interval(0, 50)[0] == 0
