"""Rows of an export that come as tables: numbers and categories, mapped by `Columns`."""

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_sda.datasets import Columns
from keras_sda.datasets.column import Column
from keras_sda.datasets.table_arrays import BOOLEANS
from keras_sda.exporting.column_maps import ColumnMaps

# Of the values that are drawn, about so many are missing.
_MISSING = 0.1


class TableRows:
    """The inputs `numbers` and `categories` of an export, in the graph and in NumPy.

    Args:
        columns: The `Columns` of the training data.
        row_shape: Shape of a row as the model takes it.
        dtype: The dtype of numbers that are given and computed.
        owner: Name of the caller in error messages.

    Attributes:
        read_text: Function of the text tensor `categories` and each column's categories that
            returns codes as `ColumnMaps` takes them. `None`: codes are given instead of text.

    Raises:
        ValueError: If the columns are not those of the model.
    """

    is_mapped = True
    remedy = "leave `columns` out, and give the export what the Columns return"

    def __init__(self, columns: Any, row_shape: tuple[int, ...], dtype: str, owner: str) -> None:
        if not isinstance(columns, Columns):
            raise ValueError(
                f"Argument `columns` of {owner} must be keras_sda.datasets.Columns, such as "
                f"`data.columns`. Received: columns={columns!r}"
            )
        count = len(columns.input_names)
        if tuple(row_shape) != (count,):
            raise ValueError(
                f"Argument `columns` of {owner} must make the {row_shape[0]} inputs of the model. "
                f"Received columns that make {count}: pass those of the training data."
            )
        self.columns = columns
        self.dtype = dtype
        self.read_text: Callable[[Any, list[tuple[str, ...]]], Any] | None = None
        self._maps = ColumnMaps(columns.used, dtype)

    @property
    def known(self) -> list[tuple[str, ...]]:
        """The known values of each column of `categories`."""
        return [column.categories for column in self._maps.places.categories]

    @property
    def signature(self) -> list[Any]:
        """The specification of the inputs: any number of rows."""
        places = self._maps.places
        of_text = ("categories", "int32" if self.read_text is None else "string")
        specs = [
            keras.InputSpec(dtype=dtype, shape=(None, len(held)), name=name)
            for held, name, dtype in (
                (places.numbers, "numbers", self.dtype),
                (places.categories, *of_text),
            )
            if held
        ]
        return specs

    @property
    def description(self) -> str:
        """What the inputs hold and how to make them, as JSON."""
        told = {**self.columns.layout, "columns": self.columns.to_dict()}
        return json.dumps(told, indent=1, ensure_ascii=False)

    def check(self, rows: Any, owner: str) -> Any:
        """Returns rows of a caller, or refuses them."""
        self.columns(self.first(rows, 1))
        return rows

    def first(self, rows: Any, count: int) -> dict[str, Any]:
        """Returns the first of so many rows."""
        return {name: column[:count] for name, column in self.columns.read(rows).items()}

    def arrays(self, rows: Any) -> dict[str, np.ndarray]:
        """Returns rows as the export takes them, by name of input."""
        arrays = self.columns.arrays(rows)
        return {k: v if v.dtype == object else v.astype(self.dtype) for k, v in arrays.items()}

    def expected(self, rows: Any) -> np.ndarray:
        """Returns rows as the model takes them, mapped in float64."""
        return self.columns(rows).astype(self.dtype)

    def excess(self, rows: Any) -> Any:
        """Returns how far rows lie beyond the bounds; see `Columns.excess`."""
        return self.columns.excess(rows)

    def draw(self, count: int) -> dict[str, list[Any]]:
        """Returns a table of rows within the range of training, with gaps and unknown values."""
        rng = np.random.default_rng(0)
        return {column.name: _drawn(column, count, rng) for column in self.columns.used}

    def scaled(self, *inputs: Any) -> tuple[Any, Any]:
        """Returns the rows of a model, and what bounds have cut off each number or `None`."""
        given = dict(zip(self._maps.places.names, inputs, strict=True))
        numbers, codes = given.get("numbers"), given.get("categories")
        if codes is not None and self.read_text is not None:
            codes = self.read_text(codes, self.known)
        return self._maps(numbers if numbers is None else ops.cast(numbers, self.dtype), codes)


def _drawn(column: Column, count: int, rng: np.random.Generator) -> list[Any]:
    values: Any
    if column.kind in ("numeric", "date"):
        values = rng.uniform(column.low or 0.0, column.high or 0.0, count)
        if column.kind == "date":
            values = (values * 86_400_000).astype("datetime64[ms]")
    else:
        values = rng.choice([*column.categories, ""], count)
        if column.held == "boolean":
            values = [BOOLEANS.get(name) for name in values]
    gone = rng.random(count) < _MISSING
    return [None if missing else value for missing, value in zip(gone, values, strict=True)]
