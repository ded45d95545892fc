import json

import keras
import numpy as np
import pytest
from checks import array, plain

from keras_sda.layers.sampling import Sampling


def draws(layer, mean, log_var, count=200_000):
    """A batch that repeats one mean and one log-variance."""
    shape = (count, 1)
    inputs = [np.full(shape, mean, "float32"), np.full(shape, log_var, "float32")]
    return array(layer(inputs, training=True))[:, 0]


@pytest.mark.parametrize(("mean", "log_var"), [(0.0, 0.0), (3.0, 2.0), (-1.0, -3.0)])
def test_draws_have_the_mean_and_the_variance(mean, log_var):
    sample = draws(Sampling(seed=1), mean, log_var)
    stddev = np.exp(log_var / 2)
    standardized = (sample - mean) / stddev
    # Five standard errors of 200,000 draws: of the mean, the variance, and the third moment.
    assert abs(standardized.mean()) < 5 / 200_000**0.5
    assert abs(standardized.var() - 1) < 5 * (2 / 200_000) ** 0.5
    assert abs((standardized**3).mean()) < 5 * (15 / 200_000) ** 0.5
    assert np.mean(np.abs(standardized) < 1) == pytest.approx(0.6827, abs=0.006)


def test_every_entry_and_every_call_draws_anew():
    layer = Sampling(seed=0)
    zeros = [np.zeros((50, 4), "float32")] * 2
    first, second = (array(layer(zeros, training=True)) for _ in range(2))
    assert len(np.unique(first)) == 200
    assert not np.array_equal(first, second)


def test_the_mean_is_returned_outside_training(rng):
    mean, log_var = rng.normal(size=(2, 5, 3)).astype("float32")
    layer = Sampling(seed=0)
    for outputs in (layer([mean, log_var]), layer([mean, log_var], training=False)):
        np.testing.assert_array_equal(array(outputs), mean)


def test_same_seed_same_draws():
    def make(seed):
        return draws(Sampling(seed=seed), 0.0, 0.0, count=20)

    np.testing.assert_array_equal(make(3), make(3))
    assert not np.array_equal(make(3), make(4))


@pytest.mark.float64
def test_standard(tmp_path):
    layer = Sampling(seed=5, name="draw")
    again = Sampling.from_config(layer.get_config())
    assert plain(again.get_config()) == plain(layer.get_config())
    json.dumps(keras.saving.serialize_keras_object(layer))
    assert not layer.trainable_weights
    assert sum("seed_generator" in variable.path for variable in layer.variables) == 1
    for dtype in ("float64", "mixed_bfloat16", "mixed_float16"):
        cast = Sampling(dtype=dtype)
        outputs = cast([np.zeros((2, 3), "float32")] * 2, training=True)
        assert keras.backend.standardize_dtype(outputs.dtype) == cast.compute_dtype

    inputs = keras.Input((3,))
    outputs = Sampling(seed=0)([inputs, keras.layers.Dense(3)(inputs)])
    assert outputs.shape == (None, 3)
    model = keras.Model(inputs, outputs)
    kernel = np.array(model.trainable_weights[0])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 3)), np.zeros((8, 3)), epochs=1, verbose=0)
    assert not np.array_equal(kernel, model.trainable_weights[0]), "the gradient reaches log_var"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].seed == model.layers[-1].seed == 0
    np.testing.assert_array_equal(array(loaded(np.ones((2, 3)))), np.ones((2, 3)))
