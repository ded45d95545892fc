"""Initial values of kernels."""

import numbers

import keras
import numpy as np

from keras_sda._validation import check_seed, get_initializer
from keras_sda.backend import usable_seed

__all__ = ["SigmoidGlorotUniform"]

_RELU_AND_KIN = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus")


@keras.saving.register_keras_serializable(package="keras_sda")
class SigmoidGlorotUniform(keras.initializers.VarianceScaling):
    """Draws kernels for sigmoid units: Glorot's uniform distribution, four times as wide.

    Values lie in `[-4 * sqrt(6 / (fan_in + fan_out)), 4 * sqrt(6 / (fan_in + fan_out))]`. The
    logistic sigmoid has a quarter of tanh's slope at zero; the factor makes up for it. The Theano
    tutorials initialise their denoising autoencoders this way.

    Args:
        seed: Integer, `keras.random.SeedGenerator` or `None`. The same integer gives the same
            values at each call.

    Example:

    >>> kernel = SigmoidGlorotUniform(seed=0)((784, 1000))
    >>> round(4 * (6 / 1784) ** 0.5, 3), bool(abs(kernel).numpy().max() < 0.232)
    (0.232, True)

    Reference:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", AISTATS 2010; Deep Learning Tutorials, "Denoising Autoencoders".
    """

    def __init__(self, seed=None):
        if isinstance(seed, (numbers.Number, str)):
            check_seed("seed", seed, "SigmoidGlorotUniform")
        # Glorot's bound is sqrt(3 * scale / ((fan_in + fan_out) / 2)) with scale 1; 4 ** 2 = 16.
        super().__init__(scale=16.0, mode="fan_avg", distribution="uniform", seed=seed)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"seed": keras.saving.serialize_keras_object(self._init_seed)}


def for_activation(identifier, activation):
    """Returns what the initial kernels called `"auto"` are under an activation; others as given."""
    if not (isinstance(identifier, str) and identifier == "auto"):
        return identifier
    name = activation if isinstance(activation, str) else getattr(activation, "__name__", "")
    if name == "sigmoid":
        return SigmoidGlorotUniform()
    return "he_normal" if name in _RELU_AND_KIN else "glorot_uniform"


def he_normal_of_tied(inputs: int, units: int) -> keras.initializers.Initializer:
    """Returns He's normal initializer for a kernel that decodes, too: by the larger of its sides.

    With the same kernel, what `units` ReLUs rebuild of `inputs` is `units * variance / 2` times as
    large at first. He's variance, 2 / inputs, makes that 28 times for 9 inputs and 256 units, which
    takes longer to unlearn than all else to learn.
    """
    mode = "fan_in" if inputs >= units else "fan_out"
    return keras.initializers.VarianceScaling(2.0, mode, "truncated_normal")


def for_level(identifier, level: int, seed: int | None):
    """Returns an initializer for one level of a stack, different from those of the other levels.

    A Keras initializer with a seed draws the same values for the same shape each time, so two
    levels of the same size would start with the same kernel. An initializer given by name, or
    without a seed, gets `seed`; one with a seed keeps it at level 0 and adds `level` to it above.
    """
    initializer = get_initializer("kernel_initializer", identifier, "the model")
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    own_seed = config.get("seed")
    if "seed" not in config or isinstance(own_seed, dict):  # a SeedGenerator advances by itself
        return initializer
    config["seed"] = seed if own_seed is None else own_seed + level
    return type(initializer).from_config(config)


def child_seeds(seed: int | None, count: int) -> list[int | None]:
    """Returns `count` seeds derived from `seed`, or `count` times `None` if there is none."""
    seed = check_seed("seed", seed, "the model")
    if seed is None:
        return [None] * count
    children = np.random.SeedSequence(seed).generate_state(count)
    return [usable_seed(int(child)) for child in children]
