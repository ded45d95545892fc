"""The standard checks that every layer and every model of the package passes."""

import json

import keras
import numpy as np

from keras_sda.layers.noise import NOISES

# Names of the noises whose level is a rate.
RATE_NOISES = [name for name, kind in NOISES.items() if kind.level_name == "rate"]


def array(tensor):
    """Returns what a layer or model gives as a NumPy array, under any backend."""
    return keras.ops.convert_to_numpy(tensor)


def plain(config):
    """Returns a configuration as JSON text, for comparison."""
    return json.dumps(config, sort_keys=True, default=str)


def check_layer(
    make, x, *, weights=0, non_trainable=0, seed_generators=0, through=lambda layer, x: layer(x)
):
    """Config round trip, symbolic and eager call, counts, precision, training, saving.

    Args:
        make: Function of keyword arguments (`dtype`) that returns a new layer.
        x: Array to call it on.
        weights: Expected number of trainable weights once built.
        non_trainable: Expected number of other weights.
        seed_generators: Expected number of `SeedGenerator`s.
        through: How a model calls the layer so that all its weights take part.
    """
    layer = make()
    again = type(layer).from_config(layer.get_config())
    assert plain(again.get_config()) == plain(layer.get_config())
    serialized = keras.saving.serialize_keras_object(layer)
    json.dumps(serialized)
    assert type(keras.saving.deserialize_keras_object(serialized)) is type(layer)

    symbolic = layer(keras.Input(x.shape[1:], dtype="float32"))
    before = x.copy()
    for training in (False, True):
        outputs = array(layer(x, training=training))
        assert outputs.shape[1:] == symbolic.shape[1:]
        assert outputs.dtype == np.float32
    np.testing.assert_array_equal(x, before)
    assert len(layer.trainable_weights) == weights
    assert len(layer.non_trainable_weights) == non_trainable
    generators = [v for v in layer.variables if "seed_generator" in v.path]
    assert len(generators) == seed_generators

    for dtype in ("float64", "mixed_bfloat16", "mixed_float16"):
        cast = make(dtype=dtype)
        result = cast(x, training=True)
        assert keras.backend.standardize_dtype(result.dtype) == cast.compute_dtype
        assert all(weight.dtype == cast.variable_dtype for weight in cast.trainable_weights), (
            "weights must keep the policy's variable dtype"
        )

    inputs = keras.Input(x.shape[1:])
    layer = make()
    model = keras.Model(inputs, keras.layers.Dense(1)(through(layer, inputs)))
    initial = [np.array(weight) for weight in layer.trainable_weights]
    model.compile("sgd", "mse")
    model.fit(x, np.ones((len(x), 1)), epochs=1, verbose=0)
    for weight, start in zip(layer.trainable_weights, initial, strict=True):
        assert not np.array_equal(np.asarray(weight), start), f"{weight.path} was not trained"


def check_saving(model, x, folder):
    """Save, load: same class, same configuration, bit-equal predictions and weights."""
    path = folder / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is type(model)
    assert plain(loaded.get_config()) == plain(model.get_config())
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    return loaded


def check_model(model, x, folder):
    """What every autoencoder offers: shapes, finite figures, clone, save and load."""
    codes = model.encode(x)
    assert isinstance(codes, np.ndarray)
    assert codes.shape == (len(x), *model.encoder.output_shape[1:])
    np.testing.assert_allclose(codes, model.encoder.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    reconstruction = model.reconstruct(x)
    assert reconstruction.shape == x.shape
    # A stack with a kept denoiser reconstructs by that.
    shared = getattr(model, "autoencoder", model).reconstruct(x)
    np.testing.assert_allclose(model.decode(codes), shared, rtol=1e-4, atol=1e-5)
    errors = model.reconstruction_error(x)
    assert errors.shape == (len(x),)
    assert np.isfinite(errors).all()

    clone = keras.models.clone_model(model)
    assert type(clone) is type(model)
    assert [w.shape for w in clone.weights] == [w.shape for w in model.weights]
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}

    loaded = check_saving(model, x, folder)
    np.testing.assert_array_equal(loaded.encode(x), codes)
    np.testing.assert_array_equal(loaded.reconstruct(x), reconstruction)
    return loaded
