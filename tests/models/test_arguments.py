"""What a constructor is given comes back from `get_config`, whatever form it has."""

import inspect
import json

import keras
import numpy as np
import pytest
from checks import array

from keras_sda import initializers, layers, models


@keras.saving.register_keras_serializable(package="test_arguments")
def squashed(values):
    return values / (1 + keras.ops.abs(values))


def unrolled_layers():
    layer = layers.TiedDense(3)
    layer.build((None, 4))
    return [layer]


SMALLEST = {
    "ContractiveAutoencoder": dict(input_dim=4, hidden_units=3),
    "ConvolutionalAutoencoder": dict(input_shape=(4, 4, 1), filters=2),
    "DeepAutoencoder": dict(input_dim=4, hidden_units=[3, 2]),
    "DenoisingAutoencoder": dict(input_dim=4, hidden_units=3),
    "LadderNetwork": dict(input_dim=4, hidden_units=[3, 2], num_classes=2),
    "LeNet5": dict(input_shape=(8, 8, 1), kernels=(1, 1), hidden_units=2, kernel_size=2),
    "LinearOnCodes": dict(num_classes=2),
    "MLP": dict(input_dim=4, hidden_units=[3], num_classes=2),
    "SoftmaxRegression": dict(input_dim=4, num_classes=2),
    "SparseAutoencoder": dict(input_dim=4, hidden_units=3, sparsity_weight=0),
    "StackedDenoisingAutoencoder": dict(input_dim=4, hidden_units=[3, 2]),
    "UnrolledAutoencoder": {},
    "VariationalAutoencoder": dict(input_dim=4, hidden_units=3, latent_dim=2),
}


def smallest(kind, **arguments):
    if kind == "UnrolledAutoencoder":
        arguments["layers"] = unrolled_layers()
    if kind == "LinearOnCodes":
        arguments["stack"] = models.StackedDenoisingAutoencoder(4, [3, 2])
    return getattr(models, kind)(**SMALLEST[kind], **arguments)


@pytest.mark.parametrize("kind", models.__all__)
def test_every_argument_is_kept(kind):
    model = smallest(kind, name="given", dtype="mixed_bfloat16", seed=5)
    config = model.get_config()
    taken = set(inspect.signature(type(model)).parameters) - {"kwargs"}
    assert set(config) == taken | {"name", "dtype", "trainable"}
    assert (config["name"], config["seed"]) == ("given", 5)
    json.dumps(config)
    again = type(model).from_config(config)
    assert (again.name, again.dtype_policy.name) == ("given", "mixed_bfloat16")
    assert again.seed == 5


@pytest.mark.parametrize("kind", models.__all__)
def test_a_configuration_is_left_as_it_is(kind):
    config = smallest(kind).get_config()
    before = json.dumps(config)
    getattr(models, kind).from_config(config)
    assert json.dumps(config) == before


def test_a_file_without_later_arguments_has_their_defaults():
    # Stacks were saved before they had regularizers.
    config = smallest("StackedDenoisingAutoencoder").get_config()
    for name in ("code_regularizer", "kernel_regularizer", "dropout"):
        del config[name]
    again = models.StackedDenoisingAutoencoder.from_config(config)
    assert (again.code_regularizers, again.kernel_regularizers) == ([None] * 2, [None] * 2)
    assert again.dropout == 0


@pytest.mark.parametrize("activation", ["swish", keras.activations.relu, squashed])
@pytest.mark.parametrize(
    "kind",
    sorted({*SMALLEST} - {"LinearOnCodes", "SoftmaxRegression", "UnrolledAutoencoder"}),
)
def test_activations(kind, activation):
    model = smallest(kind, activation=activation, seed=1)
    text = json.dumps(keras.saving.serialize_keras_object(model))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    again.set_weights(model.get_weights())
    x = np.random.default_rng(0).uniform(-1, 1, (5, *model.row_shape)).astype("float32")
    np.testing.assert_array_equal(array(again(x)), array(model(x)))
    if activation is keras.activations.relu:  # by name, as Keras writes it
        assert "relu" in model.get_config()["activation"]


@pytest.mark.parametrize("kind", ["MLP", "StackedDenoisingAutoencoder"])
def test_a_head_is_saved_as_it_is_by_then(kind, tmp_path):
    head = keras.layers.Dense(2, kernel_initializer=initializers.SigmoidGlorotUniform(seed=3))
    model = getattr(models, kind)(4, [3], head=head)
    head.trainable = False
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not loaded.head.trainable
    assert loaded.head.kernel_initializer.get_config() == {"seed": 3}
    np.testing.assert_array_equal(array(loaded.head.kernel), array(head.kernel))


def test_one_noise_of_two_levels_stays_one(tmp_path):
    noise = layers.MaskingNoise(0.2, seed=1)
    stack = models.StackedDenoisingAutoencoder(4, [3, 3], noise=[noise, noise])
    stack.save(tmp_path / "model.keras")
    first, second = keras.saving.load_model(tmp_path / "model.keras").noise_layers
    assert first is second


def test_what_is_settled_later_is_given_back(digits):
    x, _ = digits
    stack = models.StackedDenoisingAutoencoder(64, (8, 4), tied=(True, False), seed=0)
    assert stack.get_config()["reconstruction_loss"] == ["auto", "squared_error"]
    assert stack.get_config()["tied"] == [True, False]
    stack.pretrain(x[:32] - 0.5, epochs=1, verbose=0)
    stack.untie()
    assert stack.get_config()["reconstruction_loss"] == ["squared_error", "squared_error"]
    assert stack.get_config()["tied"] == [False, False]

    vae = models.VariationalAutoencoder(64, 8, 2, beta=0.5)
    vae.beta.assign(0.25)  # saved with the weights
    assert vae.get_config()["beta"] == 0.5
    assert "reconstruction_loss" not in vae.get_config()


def test_a_list_of_the_caller_may_change():
    units, levels = [3, 2], [0.1, 0.2]
    stack = models.StackedDenoisingAutoencoder(4, units, noise_level=levels)
    units.append(1)
    levels.append(0.3)
    config = stack.get_config()
    assert (config["hidden_units"], config["noise_level"]) == ([3, 2], [0.1, 0.2])


@pytest.mark.parametrize("kind", ["MLP", "StackedDenoisingAutoencoder"])
def test_an_argument_is_not_one_more_layer(kind):
    head = keras.layers.Dense(2)
    model = getattr(models, kind)(4, [3], head=head)
    assert [layer for layer in model.layers if layer is head] == [head]
    assert len({id(weight) for weight in model.weights}) == len(model.weights)
