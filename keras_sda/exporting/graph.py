"""One Keras model that computes every output of an export from raw rows."""

import math
import numbers
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_sda.datasets.scaling import Scaling


class ExportGraph(keras.Model):
    """Scales rows and returns a dictionary of all outputs by name.

    Args:
        model: The model to export, which owns the variables and knows the shape of a row.
        functions: Functions of scaled rows, such as Keras models, by the names of the outputs.
        scaling: A `datasets.Scaling` to apply to rows first, or `None`.
        threshold: Adds the output `anomaly`: whether `score` is above it. `None` leaves it out.
        counts_clipped: Whether `score` counts what the scaling clips.

    Raises:
        ValueError: If scaling or threshold do not suit the model.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0)])
    >>> model.row_shape = (2,)
    >>> graph = ExportGraph(model, {"serve": model}, scaling=Scaling(offset=1.0))
    >>> graph(np.array([[1.0, 2.0]])).keys()
    dict_keys(['serve'])
    >>> graph(np.array([[1.0, 2.0]]))["serve"].numpy().tolist()
    [[0.0, 2.0]]
    """

    def __init__(self, model, functions, scaling=None, threshold=None, counts_clipped=True):
        # Not the model's own policy: under mixed precision it would round raw values first.
        super().__init__(dtype=model.variable_dtype, name="export")
        owner = f"{type(model).__name__}.export()"
        self.row_shape = model.row_shape
        self.scaling = _checked_scaling(scaling, self.row_shape, owner)
        self.threshold = _checked_threshold(threshold, functions, owner)
        self.counts_clipped = counts_clipped
        # Tracked, so that their variables are written: `model` does not hold all of them.
        layers = [part for part in functions.values() if isinstance(part, keras.Layer)]
        self.parts = [model, *(layer for layer in layers if layer is not model)]
        self._given = SimpleNamespace(functions=dict(functions))
        self.build((None, *self.row_shape))

    def build(self, input_shape):
        # Everything in it is built already.
        pass

    @property
    def names(self) -> list[str]:
        """Names of the outputs, in order."""
        return [*self._given.functions, *([] if self.threshold is None else ["anomaly"])]

    @property
    def signature(self) -> list[Any]:
        """The specification of the input: any number of rows."""
        shape = (None, *self.row_shape)
        return [keras.InputSpec(dtype=self.variable_dtype, shape=shape, name="inputs")]

    def call(self, inputs, training=False):
        rows, beyond = self._scaled(inputs)
        return {name: self.output(name, rows, beyond) for name in self.names}

    def endpoint(self, name: str) -> Any:
        """Returns a function of raw rows that returns one output alone."""
        return lambda inputs: self.output(name, *self._scaled(inputs))

    def output(self, name: str, rows: Any, beyond: Any = None) -> Any:
        """Returns one output for rows that are already scaled.

        Args:
            name: One of `names`.
            rows: The scaled rows.
            beyond: What scaling has clipped of each value, which counts in the score; or `None`.
        """
        if name == "anomaly":
            return self.output("score", rows, beyond) > self.threshold
        function = self._given.functions[name]
        is_layer = isinstance(function, keras.Layer)
        values = function(rows, training=False) if is_layer else function(rows)
        values = ops.cast(values, self.variable_dtype)
        if name == "score" and beyond is not None and self.counts_clipped:
            values = values + ops.sum(ops.square(beyond), axis=tuple(range(1, len(beyond.shape))))
        return values

    def _scaled(self, inputs):
        """Applies the scaling as exactly as `Scaling` itself, which computes in float64.

        Returns the rows, and what their clipping has cut off each value or `None`.
        """
        scaling = self.scaling
        if scaling is None:
            return inputs, None
        # An offset in two parts keeps the digits of columns far from zero: subtracting the first
        # loses none there, and the second is the rest, which float32 could not hold. It is
        # subtracted after the product, as TensorFlow's graph optimizer would merge two constants
        # that are subtracted one after the other.
        offset, factor = self._column_values(scaling.offset), self._column_values(scaling.factor)
        coarse = offset.astype(self.variable_dtype)
        fine = ((offset - coarse) * factor).astype(self.variable_dtype)
        rows = (inputs - coarse) * factor.astype(self.variable_dtype)
        if fine.any():
            rows = rows - fine
        free = rows
        if scaling.low is not None:
            rows = ops.maximum(rows, self._bound(scaling.low))
        if scaling.high is not None:
            rows = ops.minimum(rows, self._bound(scaling.high))
        return rows, None if rows is free else free - rows

    def _bound(self, values):
        return self._column_values(values).astype(self.variable_dtype)

    def _column_values(self, values):
        values = np.asarray(values, dtype="float64")
        return values.reshape(self.row_shape) if values.ndim else values

    def raw(self, rows: np.ndarray) -> np.ndarray:
        """Returns raw rows that the scaling turns into the given ones, unless it clips them."""
        if self.scaling is None:
            return rows
        factor, offset = (
            self._column_values(values) for values in (self.scaling.factor, self.scaling.offset)
        )
        return rows / factor + offset


def _checked_scaling(scaling, row_shape, owner):
    if scaling is None or scaling == Scaling():
        return None
    if not isinstance(scaling, Scaling):
        raise ValueError(
            f"Argument `scaling` of {owner} must be a keras_sda.datasets.Scaling, such as "
            f"`data.scaling`. Received: scaling={scaling!r}"
        )
    columns = math.prod(row_shape)
    for values in (scaling.offset, scaling.factor, scaling.low, scaling.high):
        if isinstance(values, tuple) and len(values) != columns:
            raise ValueError(
                f"Argument `scaling` of {owner} must have one value per column, here {columns}. "
                f"Received a scaling of {len(values)} columns: pass that of the training data."
            )
    return scaling


def _checked_threshold(threshold, functions, owner):
    if threshold is None:
        return None
    if "score" not in functions:
        raise ValueError(
            f"Argument `threshold` of {owner} needs a model with a reconstruction error, which "
            f"this one does not have. Received: threshold={threshold!r}; leave it out."
        )
    is_number = isinstance(threshold, numbers.Real) and not isinstance(threshold, bool)
    if not is_number or not math.isfinite(threshold):
        raise ValueError(
            f"Argument `threshold` of {owner} must be a finite number, in the units of "
            f"reconstruction_error. Received: threshold={threshold!r}"
        )
    return float(threshold)
