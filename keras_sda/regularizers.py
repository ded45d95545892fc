"""Penalties on the codes of a batch that make the codes sparse."""

import math

import keras
from keras import ops

from keras_sda._validation import (
    check_fraction,
    check_non_negative,
    check_positive,
    per_level,
    shown,
)
from keras_sda.backend import loss_dtype, scaled_for_replicas

__all__ = ["CodeL1", "KLSparsity"]

# Activations whose values lie in [0, 1].
UNIT_ACTIVATIONS = ("sigmoid", "hard_sigmoid", "softmax")


def _at_least_float32(values):
    """Returns a tensor in which sums over a batch, and 1 - epsilon, do not lose their digits."""
    values = ops.convert_to_tensor(values)
    return ops.cast(values, loss_dtype(values.dtype))


@keras.saving.register_keras_serializable(package="keras_sda")
class KLSparsity(keras.regularizers.Regularizer):
    """Keeps each unit's mean activation over the batch near a target, such as 0.05.

    `weight * sum(KL(target || mean))` over the units, where `mean` is the unit's activation
    averaged over the batch, and `KL(t || m) = t log(t / m) + (1 - t) log((1 - t) / (1 - m))`. The
    average comes first: a unit may be fully on for a few rows if it is off for the others. A
    penalty on each row, averaged afterwards, would ask every row for the same faint activation.

    The mean over the batch stands in for the mean over the data, so batches should hold 100 rows or
    more. Pass it to a model as `code_regularizer`; as the `activity_regularizer` of a Keras layer
    it would be divided by the batch size.

    Args:
        target: Target mean activation, in (0, 1).
        weight: Weight of the penalty, at least 0.

    Call arguments:
        codes: Tensor of shape `(batch, units)` with values in [0, 1].

    Raises:
        ValueError: If an argument lies outside its range.

    Example:

    >>> codes = keras.ops.array([[1.0, 0.0], [0.0, 0.0]])  # means 1/2 and 0
    >>> penalty = KLSparsity(target=0.5)
    >>> float(penalty(codes[:, :1]))
    0.0
    >>> round(float(penalty(codes)), 2)  # log(0.5) - log(1e-7) / 2: finite at a mean of 0
    7.37

    Reference:
        Ng, "Sparse autoencoder", CS294A lecture notes (UFLDL), 2011.
    """

    def __init__(self, target=0.05, weight=1.0):
        check_fraction("target", target, "KLSparsity", below_one=True)
        self.target = check_positive("target", target, "KLSparsity")
        self.weight = check_non_negative("weight", weight, "KLSparsity")

    def __call__(self, codes):
        epsilon = keras.config.epsilon()
        mean = ops.clip(ops.mean(_at_least_float32(codes), axis=0), epsilon, 1.0 - epsilon)
        on, off = self.target, 1.0 - self.target
        divergence = on * (math.log(on) - ops.log(mean)) + off * (math.log(off) - ops.log1p(-mean))
        return self.weight * ops.sum(divergence)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"target": self.target, "weight": self.weight}


@keras.saving.register_keras_serializable(package="keras_sda")
class CodeL1(keras.regularizers.Regularizer):
    """Penalises the size of the codes: `weight * sum(|code|)` over units, averaged over the batch.

    It suits any activation, whereas `KLSparsity` needs codes in [0, 1].

    Args:
        weight: Weight of the penalty, at least 0.

    Call arguments:
        codes: Tensor of shape `(batch, units)`.

    Raises:
        ValueError: If `weight` lies outside its range.

    Example:

    >>> float(CodeL1(0.5)([[1.0, -2.0], [3.0, 0.0]]))  # 0.5 * (3 + 3) / 2
    1.5

    Reference:
        Ng, "Sparse autoencoder", CS294A lecture notes (UFLDL), 2011, on the sparsity of codes; here
        with L1 instead of the divergence.
    """

    def __init__(self, weight=0.01):
        self.weight = check_non_negative("weight", weight, "CodeL1")

    def __call__(self, codes):
        return self.weight * ops.mean(ops.sum(ops.abs(_at_least_float32(codes)), axis=-1))

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"weight": self.weight}


def check_code_range(regularizer, activation, place):
    """Raises a `ValueError` if a `KLSparsity` would be applied to codes that can leave [0, 1]."""
    name = keras.activations.serialize(keras.activations.get(activation))
    if isinstance(regularizer, KLSparsity) and name not in UNIT_ACTIVATIONS:
        raise ValueError(
            f"KLSparsity needs codes in [0, 1], such as a sigmoid's, but the activation of {place} "
            f"is {name!r}: use regularizers.CodeL1 with it, or another activation."
        )


def code_regularizers(value, layers, owner):
    """Returns each layer's code regularizer, after checking that it suits the layer's codes."""
    chosen = kernel_regularizers(value, layers, owner, name="code_regularizer")
    for level, (regularizer, layer) in enumerate(zip(chosen, layers, strict=True)):
        activation = getattr(layer, "activation", None)
        check_code_range(regularizer, activation, f"level {level + 1} of {owner}")
    return chosen


def kernel_regularizers(value, layers, owner, name="kernel_regularizer"):
    """Returns the kernel regularizer of each layer, or `None` where there is none."""
    chosen = []
    for one in per_level(name, value, len(layers), owner):
        try:
            chosen.append(keras.regularizers.get(one))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"Argument `{name}` of {owner} must be a Keras regularizer, the name of one, such "
                f"as 'l2', or None. Received: {name}={shown(one)}"
            ) from error
    return chosen


def add_penalties(loss, layer, codes, code_regularizers=(), kernel_regularizer=None):
    """Returns `loss` plus the penalties on a layer's codes and kernels (two if it is untied)."""
    codes = _at_least_float32(codes)
    penalties = [regularizer(codes) for regularizer in code_regularizers if regularizer is not None]
    if kernel_regularizer is not None:
        penalties.append(kernel_regularizer(layer.kernel))
        if not layer.tied:
            penalties.append(kernel_regularizer(layer.visible_kernel))
    for penalty in penalties:
        loss = loss + scaled_for_replicas(ops.cast(penalty, loss.dtype))
    return loss
