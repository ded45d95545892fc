"""One Keras model that computes every output of an export from raw rows."""

import math
import numbers
from types import SimpleNamespace
from typing import Any

import keras
from keras import ops

from keras_sda.exporting.array_rows import ArrayRows
from keras_sda.exporting.table_rows import TableRows


class ExportGraph(keras.Model):
    """Scales rows and returns a dictionary of all outputs by name.

    Args:
        model: The model to export, which owns the variables and knows the shape of a row.
        functions: Functions of scaled rows, such as Keras models, by the names of the outputs.
        scaling: A `datasets.Scaling` to apply to rows first, or `None`.
        threshold: Adds the output `anomaly`: whether `score` is above it. `None` leaves it out.
        counts_clipped: Whether `score` counts what the scaling clips.
        columns: The `datasets.Columns` of a table, whose numbers and categories are then given
            instead of rows; or `None`.

    Raises:
        ValueError: If scaling, columns or threshold do not suit the model.

    Example:

    >>> import numpy as np
    >>> from keras_sda.datasets import Scaling
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0)])
    >>> model.row_shape = (2,)
    >>> graph = ExportGraph(model, {"serve": model}, scaling=Scaling(offset=1.0))
    >>> graph(np.array([[1.0, 2.0]])).keys()
    dict_keys(['serve'])
    >>> graph(np.array([[1.0, 2.0]]))["serve"].numpy().tolist()
    [[0.0, 2.0]]
    """

    def __init__(
        self, model, functions, scaling=None, threshold=None, counts_clipped=True, columns=None
    ):
        # Not the model's own policy: under mixed precision it would round raw values first.
        super().__init__(dtype=model.variable_dtype, name="export")
        owner = f"{type(model).__name__}.export()"
        given = (model.row_shape, self.variable_dtype, owner)
        self.rows: ArrayRows | TableRows
        if columns is None:
            self.rows = ArrayRows(scaling, *given)
        elif scaling is None:
            self.rows = TableRows(columns, *given)
        else:
            raise ValueError(f"Give {owner} either `scaling` or `columns`, not both.")
        self.threshold = _checked_threshold(threshold, functions, owner)
        self.counts_clipped = counts_clipped
        # Tracked, so that their variables are written: `model` does not hold all of them.
        layers = [part for part in functions.values() if isinstance(part, keras.Layer)]
        self.parts = [model, *(layer for layer in layers if layer is not model)]
        self._given = SimpleNamespace(functions=dict(functions))
        # Everything in it is. Keras would take the shape given to `build` for that of one input.
        self.built = True

    @property
    def names(self) -> list[str]:
        """Names of the outputs, in order."""
        return [*self._given.functions, *([] if self.threshold is None else ["anomaly"])]

    @property
    def signature(self) -> list[Any]:
        """The specification of the inputs: any number of rows."""
        return self.rows.signature

    @property
    def reads_text(self) -> bool:
        """Whether an input is text."""
        return isinstance(self.rows, TableRows) and bool(self.rows.known)

    @property
    def description(self) -> str | None:
        """What the inputs of a table hold, as JSON; `None` if rows are arrays."""
        return self.rows.description if isinstance(self.rows, TableRows) else None

    def call(self, inputs, categories=None, training=False):
        given = (inputs,) if categories is None else (inputs, categories)
        rows, beyond = self.rows.scaled(*given)
        return {name: self.output(name, rows, beyond) for name in self.names}

    def endpoint(self, name: str) -> Any:
        """Returns a function of the inputs, by their names, that returns one output alone."""

        def output(*given):
            return self.output(name, *self.rows.scaled(*given))

        # Who calls a SavedModel may name its arguments.
        functions = {
            "inputs": lambda inputs: output(inputs),
            "numbers": lambda numbers: output(numbers),
            "categories": lambda categories: output(categories),
            "numbers, categories": lambda numbers, categories: output(numbers, categories),
        }
        return functions[", ".join(each.name for each in self.signature)]

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
