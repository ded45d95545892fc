"""`predict` of a few rows is computed directly, and gives what Keras' own way gives."""

import keras
import numpy as np
import pytest

import keras_sda as ks
from keras_sda.training.fast_fit import FastFit

MODELS = {
    "classifier": lambda: ks.StackedDenoisingAutoencoder(64, [12, 8], num_classes=10, seed=0),
    "autoencoder": lambda: ks.DenoisingAutoencoder(64, 8, seed=0),
    "images": lambda: ks.ConvolutionalAutoencoder((8, 8, 1), seed=0),
    "bfloat16": lambda: ks.MLP(64, [8], 10, seed=0, dtype="bfloat16"),
}


@pytest.fixture
def keras_calls(monkeypatch):
    """Notes the batch size of each call of Keras' own `predict`."""
    calls = []
    usual = FastFit.predict

    def predict(self, x, batch_size=None, *args, **kwargs):
        calls.append(batch_size)
        return usual(self, x, batch_size, *args, **kwargs)

    monkeypatch.setattr(FastFit, "predict", predict)
    return calls


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_one_batch_is_computed_as_keras_does(name, dtype, digits, keras_calls):
    model = MODELS[name]()
    x = (digits[0][:30] * 16).astype(dtype).reshape(30, *model.row_shape)
    found = model.predict(x, verbose=0)
    assert keras_calls == []
    expected = keras.Model.predict(model, x, verbose=0)
    assert type(found) is np.ndarray
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(
        found.astype("float32"), expected.astype("float32"), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "options", [{"batch_size": 10}, {"verbose": 1}, {"callbacks": [keras.callbacks.Callback()]}]
)
def test_what_somebody_wants_to_see_is_left_to_keras(options, digits, keras_calls):
    model = MODELS["classifier"]()
    x = digits[0][:30]
    found = model.predict(x, **{"verbose": 0, **options})
    assert len(keras_calls) == 1
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_a_step_of_ones_own_is_kept(digits):
    class Doubled(ks.MLP):
        def call(self, inputs, training=False):
            return 2 * super().call(inputs, training=training)

    class OwnStep(ks.MLP):
        def predict_step(self, *arguments):
            outputs = super().predict_step(*arguments)
            return (outputs[0] * 2, *outputs[1:]) if isinstance(outputs, tuple) else outputs * 2

    x = digits[0][:5]
    plain = ks.MLP(64, [8], 10, seed=0).predict(x, verbose=0)
    for kind in (Doubled, OwnStep):
        found = kind(64, [8], 10, seed=0).predict(x, verbose=0)
        np.testing.assert_allclose(found, 2 * plain, rtol=1e-5)


def test_it_prints_nothing(digits, capfd):
    MODELS["classifier"]().predict(digits[0][:5])
    assert capfd.readouterr() == ("", "")
