"""Rows of an export that come as one array, scaled by a `Scaling` or as they are."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_sda._validation import check_rows
from keras_sda.datasets.scaling import Scaling


class ArrayRows:
    """The input `inputs` of an export, in the graph and in NumPy.

    Args:
        scaling: A `datasets.Scaling` to apply first, or `None`.
        row_shape: Shape of a row.
        dtype: The dtype of what is given and computed.
        owner: Name of the caller in error messages.

    Raises:
        ValueError: If the scaling does not suit the shape.
    """

    columns = None
    remedy = "leave `scaling` out and scale rows beforehand, in float64"

    def __init__(self, scaling: Any, row_shape: tuple[int, ...], dtype: str, owner: str) -> None:
        self.row_shape = row_shape
        self.dtype = dtype
        self.scaling = _checked(scaling, row_shape, owner)

    @property
    def is_mapped(self) -> bool:
        """Whether rows are raw."""
        return self.scaling is not None

    @property
    def signature(self) -> list[Any]:
        """The specification of the input: any number of rows."""
        return [keras.InputSpec(dtype=self.dtype, shape=(None, *self.row_shape), name="inputs")]

    def check(self, rows: Any, owner: str) -> Any:
        """Returns rows of a caller as an array, or refuses them."""
        rows = np.asarray(rows)
        check_rows(rows, owner, shape=self.row_shape, name="rows")
        return rows

    def first(self, rows: np.ndarray, count: int) -> np.ndarray:
        """Returns the first of so many rows."""
        return rows[:count]

    def arrays(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns rows as the export takes them, by name of input."""
        return {"inputs": rows.astype(self.dtype)}

    def expected(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows as the model takes them, scaled in float64."""
        scaled = rows if self.scaling is None else self.scaling(rows)
        return scaled.astype(self.dtype)

    def excess(self, rows: np.ndarray) -> np.ndarray:
        """Returns how far rows lie beyond the bounds; see `Scaling.excess`."""
        return np.zeros(len(rows)) if self.scaling is None else self.scaling.excess(rows)

    def draw(self, count: int) -> np.ndarray:
        """Returns rows that are uniform in [0, 1] once scaled, unless the scaling clips them."""
        drawn = np.random.default_rng(0).random((count, *self.row_shape))
        if self.scaling is None:
            return drawn
        factor, offset = map(self._column_values, (self.scaling.factor, self.scaling.offset))
        return drawn / factor + offset

    def scaled(self, inputs: Any) -> tuple[Any, Any]:
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
        coarse = offset.astype(self.dtype)
        fine = ((offset - coarse) * factor).astype(self.dtype)
        rows = (inputs - coarse) * factor.astype(self.dtype)
        if fine.any():
            rows = rows - fine
        free = rows
        if scaling.low is not None:
            rows = ops.maximum(rows, self._bound(scaling.low))
        if scaling.high is not None:
            rows = ops.minimum(rows, self._bound(scaling.high))
        return rows, None if rows is free else free - rows

    def _bound(self, values):
        return self._column_values(values).astype(self.dtype)

    def _column_values(self, values):
        values = np.asarray(values, dtype="float64")
        return values.reshape(self.row_shape) if values.ndim else values


def _checked(scaling, row_shape, owner):
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
