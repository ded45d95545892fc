"""A tied autoencoder's reconstruction, and its cross-entropy, with the gradients written out.

Automatic differentiation makes a transposed copy of the kernel's gradient, adds the two parts of it
up in a pass of its own, and does not see that cross-entropy on logits has the gradient
`sigmoid(z) - x`. What is written here computes the same numbers, to rounding, on every backend.
"""

import keras
from keras import ops

from keras_sda import backend
from keras_sda.layers.tied_dense import TiedDense
from keras_sda.losses import SummedBinaryCrossentropy

# The derivative of each activation, from its own value.
SLOPES = {
    "sigmoid": lambda codes: codes * (1.0 - codes),
    "tanh": lambda codes: 1.0 - ops.square(codes),
    "relu": lambda codes: ops.cast(codes > 0, codes.dtype),
    "elu": lambda codes: 1.0 + ops.minimum(codes, 0.0),
    "softplus": lambda codes: -ops.expm1(-codes),
    "linear": ops.ones_like,
}


def slope_of(activation):
    """Returns the function of `SLOPES` for an activation, or `None` if it has none there."""
    known = (SLOPES[name] for name in SLOPES if keras.activations.get(name) is activation)
    return next(known, None)


def is_written_out(layer) -> bool:
    """Whether `tied_reconstruction` stands for this layer, called forwards and then backwards.

    It does for a tied `TiedDense` itself, no subclass, whose activation is one of `SLOPES`, which
    trains all of its weights and computes in the dtype that they are kept in.
    """
    return (
        type(layer) is TiedDense
        and layer.tied
        and slope_of(layer.activation) is not None
        and len(layer.trainable_weights) == 3
        and layer.compute_dtype == layer.variable_dtype
    )


def tied_reconstruction(layer, inputs):
    """Returns what a tied layer rebuilds, before the last activation.

    Args:
        layer: A `TiedDense` for which `is_written_out` holds.
        inputs: Tensor of shape `(batch, input_dim)`.

    Returns:
        Tensor of shape `(batch, input_dim)`: `activation(x @ kernel + bias) @ transpose(kernel) +
        visible_bias`.
    """
    activation = layer.activation
    slope = slope_of(activation)

    @ops.custom_gradient
    def rebuild(inputs, kernel, bias, visible_bias):
        codes = activation(ops.matmul(inputs, kernel) + bias)
        outputs = ops.matmul(codes, ops.transpose(kernel)) + visible_bias

        def gradient(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            on_codes = ops.matmul(upstream, kernel) * slope(codes)
            # Both uses of the kernel in one product, which spares adding two arrays of its size.
            on_kernel = ops.matmul(
                ops.transpose(ops.concatenate([inputs, upstream])),
                ops.concatenate([on_codes, codes]),
            )
            on_biases = ops.sum(on_codes, axis=0), ops.sum(upstream, axis=0)
            # Nobody asks for the first, as a rule; a graph then leaves its product out.
            return ops.matmul(on_codes, ops.transpose(kernel)), on_kernel, *on_biases

        return outputs, gradient

    inputs = ops.cast(inputs, layer.compute_dtype)
    weights = (layer.kernel, layer.bias, layer.visible_bias)
    return rebuild(inputs, *map(backend.read, weights))


class WrittenOutCrossentropy(SummedBinaryCrossentropy):
    """`SummedBinaryCrossentropy(from_logits=True)` of rows, its gradient written out."""

    def __init__(self, **kwargs):
        super().__init__(from_logits=True, **kwargs)

    def call(self, y_true, y_pred):
        return _crossentropy(ops.convert_to_tensor(y_pred), ops.convert_to_tensor(y_true))


@ops.custom_gradient
def _crossentropy(logits, targets):
    def gradient(*args, upstream=None):
        if upstream is None:
            (upstream,) = args
        upstream = upstream[:, None]
        return (ops.sigmoid(logits) - targets) * upstream, -logits * upstream

    return ops.sum(ops.softplus(logits) - targets * logits, axis=1), gradient
