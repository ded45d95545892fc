"""SGD and Adam in one pass over each variable give the numbers of Keras' own updates."""

import keras
import numpy as np
import pytest
from tiers import in_tiers

from keras_sda import DenoisingAutoencoder

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="updates are fused under TensorFlow only"
)

OPTIMIZERS = [
    (keras.optimizers.SGD, {"learning_rate": 0.1}),
    (keras.optimizers.SGD, {"learning_rate": 0.1, "momentum": 0.9}),
    (keras.optimizers.SGD, {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    (keras.optimizers.SGD, {"learning_rate": 0.1, "weight_decay": 0.01, "clipnorm": 1.0}),
    (keras.optimizers.SGD, {"learning_rate": 0.1, "gradient_accumulation_steps": 3}),
    (keras.optimizers.Adam, {"learning_rate": 0.01}),
    (keras.optimizers.Adam, {"learning_rate": 0.01, "beta_1": 0.5, "epsilon": 1e-3}),
    (keras.optimizers.Adam, {"learning_rate": 0.01, "use_ema": True}),
    (
        keras.optimizers.Adam,
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)},
    ),
]


def train(rows, optimizer, dtype=None):
    """Returns the weights and the optimizer's variables after 20 steps with noise."""
    model = DenoisingAutoencoder(64, 16, noise="masking", noise_level=0.3, seed=0, dtype=dtype)
    model.compile(optimizer)
    model.fit(rows, batch_size=20, epochs=2, shuffle=False, verbose=0)
    variables = [*model.trainable_variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


@tensorflow_only
@pytest.mark.parametrize("dtype", in_tiers(["float32", "float64"], ["float32"]))
@pytest.mark.parametrize("optimizer", in_tiers(OPTIMIZERS, OPTIMIZERS[1::3]))
def test_fused_updates_are_those_of_keras(digits, optimizer, dtype):
    from keras_sda.backend.tensorflow.patches import fused_updates

    kind, options = optimizer

    class AsKerasHasIt(kind):
        """A subclass may have changed anything, and is left as it is."""

    fused, plain = kind(**options), AsKerasHasIt(**options)
    with fused_updates(fused):
        assert "update_step" in vars(fused)
    with fused_updates(plain):
        assert "update_step" not in vars(plain)
    rows = digits[0][:200]
    found, expected = train(rows, fused, dtype), train(rows, plain, dtype)
    assert "update_step" not in vars(fused), "the optimizer is left as it was"
    assert len(found) == len(expected)
    start = DenoisingAutoencoder(64, 16, seed=0).trainable_variables[0]
    assert np.abs(found[0] - keras.ops.convert_to_numpy(start)).max() > 1e-3, "it has learned"
    # Keras rounds beta and momentum to float32 in any dtype, and TensorFlow 1 - beta.
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6)


@tensorflow_only
def test_amsgrad_is_left_to_keras():
    from keras_sda.backend.tensorflow.patches import fused_updates

    optimizer = keras.optimizers.Adam(amsgrad=True)
    with fused_updates(optimizer):
        assert "update_step" not in vars(optimizer)
