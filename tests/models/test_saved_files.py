"""Files of an earlier version load, compute what they did, and are written again alike."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from checks import plain

from keras_sda import models

SAVED = Path(__file__).parents[1] / "saved"
NAMES = sorted(path.stem for path in SAVED.glob("*.keras"))
# Arguments that classes have gained since, as they were in effect then.
GAINED = {"StackedDenoisingAutoencoder": {"batch_normalization": False, "keep_denoiser": True}}
# An earlier file does not tell whether its stack still is a denoiser: it computes what it did.
pytestmark = pytest.mark.filterwarnings("ignore:.*from a file of an earlier version")
OUTPUTS = ("predict", "encode", "reconstruct", "reconstruction_error")


@pytest.fixture(scope="module", params=NAMES)
def saved(request):
    return request.param, keras.saving.load_model(SAVED / f"{request.param}.keras")


@pytest.fixture(scope="module")
def expected():
    with np.load(SAVED / "expected.npz") as content:
        return dict(content)


@pytest.fixture(scope="module")
def is_exact(expected):
    """Whether this machine rounds as the one on which the files were made.

    The last bits of a product depend on the processor and on the library, in a net of Keras' own
    layers as in ours: only where the former's are the same can the latter's be asked for.
    """
    return np.array_equal(plain_net(expected["rows"]), expected["plain_net"])


def plain_net(rows):
    """Returns what a net without anything of this package computes from the rows."""
    rng = np.random.default_rng(0)
    images = keras.Input((8, 8, 1))
    maps = keras.layers.Conv2D(4, 3, activation="tanh")(images)
    codes = keras.layers.Dense(12, activation="sigmoid")(keras.layers.Flatten()(maps))
    values = keras.layers.Dense(8, activation="softplus")(codes)
    classes = keras.layers.Dense(5, activation="softmax")(values)
    model = keras.Model(images, [maps, codes, values, classes])
    shapes = [weight.shape for weight in model.weights]
    model.set_weights([rng.normal(0, 0.3, shape).astype("float32") for shape in shapes])
    rows = rows.reshape(-1, 8, 8, 1)
    outputs = [*model.predict(rows, verbose=0), *model(rows)]
    return np.concatenate([keras.ops.convert_to_numpy(output).ravel() for output in outputs])


def configuration(name):
    """Returns what a file says of its model: class, constructor's arguments, and more."""
    with zipfile.ZipFile(SAVED / f"{name}.keras") as file:
        return json.loads(file.read("config.json"))


def arguments(config):
    """Returns a configuration as text, without what Keras notes beside the arguments of objects.

    Keras writes one of its functions by its name or as a dictionary with its name, and reads both.
    """

    def simplified(value):
        if isinstance(value, (list, tuple)):
            return [simplified(one) for one in value]
        if not isinstance(value, dict):
            return value
        if value.get("class_name") == "function":
            return value["config"]
        # A registered class is found by that name, wherever its module is.
        notes = ("shared_object_id", "build_config") + ("module",) * bool(
            value.get("registered_name")
        )
        return {name: simplified(one) for name, one in value.items() if name not in notes}

    return plain(simplified(config))


def test_every_model_has_a_file():
    # Models added since have none.
    assert {configuration(name)["class_name"] for name in NAMES} <= set(models.__all__)
    assert len(NAMES) >= 14


def test_an_earlier_file_computes_the_same(saved, expected, is_exact):
    name, model = saved
    rows = expected["rows"].reshape(-1, *model.row_shape)
    outputs = [output for output in OUTPUTS if f"{name}/{output}" in expected]
    assert "predict" in outputs
    for output in outputs:
        silent = {"verbose": 0} if output == "predict" else {}
        found, before = getattr(model, output)(rows, **silent), expected[f"{name}/{output}"]
        assert (found.shape, found.dtype) == (before.shape, before.dtype)
        if is_exact:
            np.testing.assert_array_equal(found, before, output)
        else:
            np.testing.assert_allclose(found, before, rtol=1e-5, atol=1e-5, err_msg=output)
    assert int(model.optimizer.iterations) > 0, "the state of the optimizer was not read"


def test_an_earlier_configuration_is_kept(saved):
    name, model = saved
    found = keras.saving.serialize_keras_object(model)
    before = configuration(name)
    assert found["registered_name"] == before["registered_name"]
    gained = GAINED.get(before["class_name"], {})
    assert arguments(found["config"]) == arguments(before["config"] | gained)


def test_an_earlier_configuration_makes_an_equal_model(saved, expected):
    _, model = saved
    again = type(model).from_config(model.get_config())
    assert arguments(again.get_config()) == arguments(model.get_config())
    again.set_weights(model.get_weights())
    rows = expected["rows"].reshape(-1, *model.row_shape)
    np.testing.assert_array_equal(again.predict(rows, verbose=0), model.predict(rows, verbose=0))
