"""Updates of SGD and Adam in one pass over each variable.

Keras writes an update as several operations, each of which reads and writes arrays as large as the
variable: for small batches they cost as much as the matrix products. TensorFlow has them in one.
Numbers are the same but for rounding, mostly that of `1 - beta_2` to float32, by which the size of
a step differs by 2e-5 of itself.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def fused_update_of(optimizer: keras.optimizers.Optimizer | None) -> Callable[..., Any] | None:
    """Returns what updates a variable in one pass, or `None` where the optimizer has no such way.

    Subclasses have none, as they may have changed anything.

    Args:
        optimizer: A Keras optimizer.

    Returns:
        A function of the optimizer, a gradient, its variable and the learning rate, in the
        variable's dtype.
    """
    if getattr(optimizer, "amsgrad", False):
        return None
    return _FUSED.get(type(optimizer))


def _fused_sgd(optimizer, gradient, variable, learning_rate):
    if optimizer.momentum == 0:
        return tf.raw_ops.ResourceApplyGradientDescent(
            var=variable.handle, alpha=learning_rate, delta=gradient
        )
    momentums = optimizer.momentums[optimizer._get_variable_index(variable)]
    return tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable.handle,
        accum=momentums.value.handle,
        lr=learning_rate,
        grad=gradient,
        momentum=optimizer.momentum,
        use_nesterov=optimizer.nesterov,
    )


def _fused_adam(optimizer, gradient, variable, learning_rate):
    index = optimizer._get_variable_index(variable)
    step = tf.cast(optimizer.iterations.value + 1, variable.dtype)
    beta_1 = tf.constant(optimizer.beta_1, variable.dtype)
    beta_2 = tf.constant(optimizer.beta_2, variable.dtype)
    return tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=tf.pow(beta_1, step),
        beta2_power=tf.pow(beta_2, step),
        lr=learning_rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


_FUSED = {keras.optimizers.SGD: _fused_sgd, keras.optimizers.Adam: _fused_adam}
