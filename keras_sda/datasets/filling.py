"""Filling the gaps of a table: by inputs that a network has rebuilt, observed cells untouched."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_sda.datasets.column import HALFWAY, Column
from keras_sda.datasets.columns import Columns
from keras_sda.datasets.dates import date_text, to_datetime
from keras_sda.datasets.frames import as_text, read_frame, read_values

_OWNER = "The table"
Fills = Mapping[str, tuple[np.ndarray, Sequence[Any]]]
# How many quartile ranges a filled number may lie from the median: what is expected of a cell is
# hardly ever further out, and the steep end of the squashing map would make much of little there.
_FARTHEST = 3.0


def gaps_of(columns: Columns, frame: Any) -> np.ndarray:
    """Returns which cells of the columns in use are missing, bool of shape `(rows, columns)`."""
    table = read_frame(frame, _OWNER)
    gaps = [read_values(table[c.name], f"Column {c.name!r}").missing for c in columns.used]
    return np.stack(gaps, axis=1)


def fills_of(columns: Columns, frame: Any, rebuilt: np.ndarray) -> Fills:
    """Returns for each column with gaps, by name, which cells are missing and what goes there.

    Numbers stay within those of training, and three quartile ranges from the median if the column
    is squashed. Of a category the likeliest is taken, never "other".

    Args:
        columns: The map of the table.
        frame: A frame of pandas or polars, or a dictionary of columns.
        rebuilt: Inputs of its rows as a network expects them, shape `(rows, inputs)`.
    """
    fills = {}
    gaps = gaps_of(columns, frame)
    for column, group, missing in zip(columns.used, columns.groups, gaps.T, strict=True):
        if missing.any():
            inputs = np.asarray(rebuilt)[missing, group.start : group.stop]
            fills[column.name] = (missing, expected_values(column, inputs))
    return fills


def expected_values(column: Column, inputs: np.ndarray) -> list[Any]:
    """Returns what inputs of a column stand for, as the column holds it, and never as missing."""
    inputs = np.array(inputs, "float64")
    if column.kind == "categorical":
        values = [column.categories[n] for n in inputs[:, : len(column.categories)].argmax(axis=1)]
        return [_of_category(column, value) for value in values]
    if column.has_flag:
        inputs[:, -1] = 0.0
    if column.kind == "binary":
        return column.inverse(inputs).tolist()
    numbers = np.clip(column.inverse(inputs), *_bounds(column)).tolist()
    if column.kind == "date":
        as_date = date_text if column.held == "text" else to_datetime
        return [as_date(days) for days in numbers]
    return [as_text(number) for number in numbers] if column.held == "text" else numbers


def settled(columns: Columns, rebuilt: np.ndarray) -> np.ndarray:
    """Returns rebuilt inputs as values that cells can have: one category, and nothing missing."""
    x = np.array(rebuilt)
    for column, group in zip(columns.used, columns.groups, strict=True):
        inputs = x[:, group.start : group.stop]
        if column.kind == "categorical":
            likeliest = inputs[:, : len(column.categories)].argmax(axis=1)
            inputs[:] = np.eye(inputs.shape[1])[likeliest]
        elif column.kind == "binary":
            inputs[:, 0] = inputs[:, 0] > HALFWAY
        if group.has_flag:
            inputs[:, -1] = 0.0
    return x


def _of_category(column, value):
    if column.held == "number":
        return float(value)
    return value == "True" if column.held == "boolean" else value


def _bounds(column):
    low, high = column.low, column.high
    if column.kind == "numeric" and column.number.scale == "squash":
        reach = _FARTHEST / column.number.factor
        low = max(low, column.number.offset - reach)
        high = min(high, column.number.offset + reach)
    return low, high


def with_values(frame: Any, fills: Fills) -> Any:
    """Returns a frame of the same kind with some cells replaced.

    Args:
        frame: A frame of pandas or polars, or a dictionary of columns.
        fills: For each column, by name, which cells to replace, and by what.
    """
    if isinstance(frame, Mapping):
        return {
            name: _array(_replaced(column, *fills[str(name)])) if str(name) in fills else column
            for name, column in frame.items()
        }
    return _with_pandas(frame, fills) if hasattr(frame, "isetitem") else _with_others(frame, fills)


def _replaced(column, missing, values):
    items = column.tolist() if hasattr(column, "tolist") else list(column)
    for row, value in zip(np.flatnonzero(missing), values, strict=True):
        items[row] = value
    return items


def _array(items):
    array = np.empty(len(items), object)
    array[:] = items
    is_number = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in items)
    return array.astype("float64") if is_number else array


def _with_pandas(frame, fills):
    import pandas as pd

    filled = frame.copy()
    for place, name in enumerate(map(str, frame.columns)):
        if name not in fills:
            continue
        missing, values = fills[name]
        column, dtype = frame.iloc[:, place], frame.dtypes.iloc[place]
        if isinstance(dtype, pd.CategoricalDtype):
            known = {as_text(each): each for each in dtype.categories}
            values = [known.get(as_text(value), value) for value in values]
        elif isinstance(dtype, pd.DatetimeTZDtype):
            values = [pd.Timestamp(value, tz="UTC").tz_convert(dtype.tz) for value in values]
        elif pd.api.types.is_integer_dtype(dtype):
            dtype = "Float64" if pd.api.types.is_extension_array_dtype(dtype) else "float64"
        filled.isetitem(
            place,
            pd.Series(_replaced(column, missing, values), index=frame.index, dtype=dtype),
        )
    return filled


def _with_others(frame, fills):
    import narwhals as nw

    table = nw.from_native(frame, eager_only=True)
    filled = []
    for column in table.iter_columns():
        if column.name in fills:
            missing, values = fills[column.name]
            dtype = nw.Float64 if column.dtype.is_integer() else column.dtype
            if dtype == nw.Date:
                values = [value.date() for value in values]
            items = _replaced(column.to_list(), missing, values)
            filled.append(nw.new_series(column.name, items, dtype, backend=table.implementation))
    return table.with_columns(*filled).to_native() if filled else frame


def with_columns(frame: Any, added: Mapping[str, np.ndarray]) -> Any:
    """Returns a frame of the same kind with further columns at its end."""
    if hasattr(frame, "assign"):
        return frame.assign(**added)
    import narwhals as nw

    table = nw.from_native(frame, eager_only=True)
    series = [
        nw.new_series(name, values.tolist(), nw.Boolean, backend=table.implementation)
        for name, values in added.items()
    ]
    return table.with_columns(*series).to_native()


def describe_fills(counts: Mapping[str, int], rows: int) -> str:
    """Returns in a line how many cells of which columns were filled."""
    if not counts:
        return f"No gaps in the {rows:,} rows."
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    total = sum(counts.values())
    return f"Filled {total:,} cells in {rows:,} rows: {shown}"
