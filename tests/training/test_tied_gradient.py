"""The written-out gradient is that of automatic differentiation, and of NumPy."""

import itertools

import keras
import numpy as np
import pytest
from tiers import in_tiers

from keras_sda.layers import TiedDense
from keras_sda.layers.noise import get_noise, noise_names
from keras_sda.losses import SummedBinaryCrossentropy
from keras_sda.regularizers import CodeL1
from keras_sda.training.level import PretrainingLevel
from keras_sda.training.tied_gradient import (
    WrittenOutCrossentropy,
    is_written_out,
    tied_reconstruction,
)

ACTIVATIONS = ("sigmoid", "tanh", "relu", "elu", "softplus", "linear")
LOSSES = ("binary_crossentropy", "squared_error")
NOISES = (*noise_names(), None)
PAIRS = list(itertools.product(ACTIVATIONS, LOSSES))
# By default each pair with one noise, in turns.
IN_TURNS = [(*pair, noise) for pair, noise in zip(PAIRS, itertools.cycle(NOISES), strict=False)]


def make_level(noise, loss, activation, gradient, visible=None, optimizer="adam"):
    visible = visible or ("sigmoid" if loss == "binary_crossentropy" else "linear")
    layer = TiedDense(
        12,
        activation=activation,
        visible_activation=visible,
        kernel_initializer=keras.initializers.GlorotUniform(seed=0),
    )
    layer.build((None, 64))
    level = PretrainingLevel(layer, get_noise(noise, 0.3, "test", seed=1), loss, 0)
    assert level.gradient == "written out"
    if gradient == "automatic":
        level = PretrainingLevel(layer, get_noise(noise, 0.3, "test", seed=1), loss, 0, CodeL1(0.0))
        assert level.gradient == "automatic"
    level.compile(keras.optimizers.get({"class_name": optimizer, "config": {}}))
    return level


def weights_after_20_steps(level, x, **kwargs):
    level.fit(x[:400], batch_size=20, shuffle=False, verbose=0, **kwargs)
    return level.layer.get_weights()


@pytest.mark.parametrize(
    "case",
    in_tiers(itertools.product(ACTIVATIONS, LOSSES, NOISES), IN_TURNS),
    ids=lambda case: "-".join(map(str, case)),
)
def test_same_weights_after_20_steps(case, digits):
    activation, loss, noise = case
    written, automatic = (
        weights_after_20_steps(make_level(noise, loss, activation, gradient), digits[0])
        for gradient in ("written out", "automatic")
    )
    fresh = make_level(noise, loss, activation, "automatic").layer.get_weights()
    for one, other, before in zip(written, automatic, fresh, strict=True):
        assert np.abs(other - before).max() > 1e-3  # it did train
        np.testing.assert_allclose(one, other, atol=5e-6)


def test_same_weights_with_sgd_and_another_end(digits):
    x = 2 * digits[0] - 1
    written, automatic = (
        weights_after_20_steps(
            make_level("gaussian", "squared_error", "tanh", gradient, "tanh", "sgd"), x
        )
        for gradient in ("written out", "automatic")
    )
    for one, other in zip(written, automatic, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.float64
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, True),
        ({"activation": "tanh"}, True),
        ({"activation": "softsign"}, False),
        ({"activation": keras.layers.LeakyReLU()}, False),
        ({"tied": False}, False),
        ({"dtype": "mixed_bfloat16"}, False),
        ({"dtype": "float64"}, True),
        ({"trainable": False}, False),
    ],
)
def test_the_unusual_is_left_to_automatic_differentiation(arguments, expected):
    layer = TiedDense(3, **arguments)
    layer.build((None, 4))
    assert is_written_out(layer) is expected
    level = PretrainingLevel(layer, None, "squared_error", 0)
    assert level.gradient == ("written out" if expected else "automatic")


def test_a_subclass_is_left_to_automatic_differentiation():
    class Scaled(TiedDense):
        def call(self, inputs, reverse=False, activate=True):
            return 2.0 * super().call(inputs, reverse=reverse, activate=activate)

    layer = Scaled(3)
    layer.build((None, 4))
    assert not is_written_out(layer)


def test_outside_of_a_training_step(rng):
    """Called by hand, in training, it gives what it gives otherwise, and passes gradients on."""
    layer = TiedDense(3)
    layer.build((None, 4))
    x = rng.uniform(size=(5, 4)).astype("float32")
    outputs = keras.ops.convert_to_numpy(tied_reconstruction(layer, x))
    expected = layer(layer(x), reverse=True, activate=False)
    np.testing.assert_allclose(outputs, keras.ops.convert_to_numpy(expected), atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="uses TensorFlow's tape")
def test_gradient_of_the_inputs(rng):
    import tensorflow as tf

    layer = TiedDense(3, activation="tanh")
    layer.build((None, 4))
    x = tf.constant(rng.uniform(size=(5, 4)).astype("float32"))
    target = tf.constant(rng.uniform(size=(5, 4)).astype("float32"))
    found = []
    for way in (
        lambda: WrittenOutCrossentropy()(target, tied_reconstruction(layer, x)),
        lambda: SummedBinaryCrossentropy(from_logits=True)(
            target, layer(layer(x), reverse=True, activate=False)
        ),
    ):
        with tf.GradientTape() as tape:
            tape.watch([x, target])
            loss = way()
        found.append(tape.gradient(loss, [x, target, *layer.trainable_weights]))
    for written, automatic in zip(*found, strict=True):
        np.testing.assert_allclose(written, automatic, atol=1e-6)
