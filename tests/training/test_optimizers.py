"""One function makes optimizers by name, for pretraining, estimators and experiments."""

import keras
import numpy as np
import pytest

from keras_sda.layers import TiedDense
from keras_sda.training.optimizers import make_optimizer
from keras_sda.training.pretraining import pretrain_layers


def rate_after(optimizer, steps):
    optimizer.iterations.assign(steps)
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


@pytest.mark.parametrize("kind", ["sgd", keras.optimizers.SGD])
def test_a_name_and_a_class_give_the_same(kind):
    optimizer = make_optimizer(kind, 0.5, momentum=0.9)
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert optimizer.momentum == 0.9
    assert rate_after(optimizer, 50) == 0.5


def test_cosine_falls_to_zero():
    optimizer = make_optimizer("adam", 0.5, "cosine", steps=100)
    found = [rate_after(optimizer, steps) for steps in (0, 50, 100)]
    np.testing.assert_allclose(found, [0.5, 0.25, 0.0], atol=1e-7)


def test_cooldown_is_constant_and_falls_over_the_last_third():
    optimizer = make_optimizer("adam", 0.5, "cooldown", steps=90)
    found = [rate_after(optimizer, steps) for steps in (0, 59, 60, 75, 81, 90, 95)]
    np.testing.assert_allclose(found, [0.5, 0.5, 0.5, 0.25, 0.15, 0, 0], atol=1e-7)


def test_cooldown_survives_saving(tmp_path):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(make_optimizer("adam", 0.5, "cooldown", steps=90), "mse")
    model.fit(np.zeros((4, 2)), np.zeros(4), epochs=75, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(float(loaded.optimizer.learning_rate), 0.25, rtol=1e-6)


def test_a_step_of_zero_stays_zero():
    assert rate_after(make_optimizer("sgd", 0.0, "cosine", steps=10), 5) == 0


def test_what_keras_does_not_know_is_one_sentence():
    with pytest.raises(ValueError, match=r"known to Keras, such as sgd.*Received: 'magic'"):
        make_optimizer("magic", 0.1)
    with pytest.raises(ValueError, match=r"take the options \['beta'\]"):
        make_optimizer("sgd", 0.1, beta=1)
    with pytest.raises(ValueError, match=r"`schedule`.*'constant', 'cosine', 'cooldown'"):
        make_optimizer("sgd", 0.1, "linear")
    layer = TiedDense(2)
    layer.build((None, 3))
    with pytest.raises(ValueError, match="known to Keras"):
        pretrain_layers([layer], np.zeros((4, 3), "float32"), optimizer="magic", verbose=0)
