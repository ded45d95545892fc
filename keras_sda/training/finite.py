"""Keeps NaN and infinity out of a model's weights, whatever the data are.

Arrays are checked before training. Of datasets only the first batch can be, so that the loss of any
other batch tells: it is NaN if the batch holds what the loss cannot measure. A loss that is not
finite ends `fit`, and everything is put back to where it was.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_sda import backend
from keras_sda.callbacks import StopOnNonFiniteLoss
from keras_sda.training.hooks import listed


class GuardedLoss(backend.Trainer):
    """A Keras model whose loss is NaN of a batch that its loss cannot measure.

    Only of batches that nothing has checked before, those of datasets.
    """

    _work: Any

    @property
    def target_bounds(self) -> tuple[float, float] | None:
        """Between which bounds targets must lie for the loss to measure them; `None` for any."""
        return None

    def target(self, x: Any, y: Any = None) -> Any:
        """Returns what outputs are compared with in loss and metrics: `y`."""
        return y

    def _compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if not self._work.by_batches:
            return super()._compute_loss(x, y, y_pred, sample_weight, training)
        tables = keras.tree.flatten((x, y, sample_weight))
        parts = [ops.all(ops.isfinite(table)) for table in tables if _is_float(table)]
        if sample_weight is not None:
            parts.append(ops.all(sample_weight >= 0))
        bounds, target = self.target_bounds, self.target(x, y)
        if bounds is not None and target is not None:
            parts += [ops.all(target >= bounds[0]), ops.all(target <= bounds[1])]
            if y is not None:
                y = ops.clip(y, *bounds)  # TensorFlow refuses other class numbers
        loss = super()._compute_loss(x, y, y_pred, sample_weight, training)
        return ops.where(ops.all(ops.stack(parts)), loss, float("nan")) if parts else loss


def _is_float(table):
    return table is not None and "float" in keras.backend.standardize_dtype(table.dtype)


def with_stop(callbacks: Any) -> Any:
    """Returns callbacks that stop at a loss that is not finite, before others save anything."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks  # the caller's own; what is left of the weights is looked at in the end
    every = listed(callbacks)
    if any(isinstance(callback, StopOnNonFiniteLoss) for callback in every):
        return every
    return [StopOnNonFiniteLoss(), *every]


@contextlib.contextmanager
def put_back_unless_finite(model: keras.Model) -> Iterator[None]:
    """Puts weights and optimizer back if the block trains them to anything that is not finite.

    Args:
        model: The model that is trained, built.

    Raises:
        FloatingPointError: That of the block, or if it ends with weights that are not finite.
    """
    optimizer = model.optimizer
    if optimizer is None or not model.built:
        yield
        return
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    variables = [*model.variables, *optimizer.variables]
    before = [_value(variable) for variable in variables]
    try:
        yield
        if not all(np.isfinite(_value(weight)).all() for weight in model.trainable_variables):
            raise FloatingPointError(
                "The weights became NaN or infinite: lower the learning rate, or look for extreme "
                "values in the data."
            )
    except FloatingPointError:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        raise


def _value(variable):
    value = ops.convert_to_numpy(backend.read(variable))
    # Of bfloat16 NumPy knows no finiteness; and a copy, which no training step changes.
    return np.array(value, "float32" if value.dtype.name == "bfloat16" else None)
