"""What the columns of a table hold, read from frames of pandas and polars and dictionaries."""

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_sda._validation import listed, unmasked
from keras_sda.datasets.dates import SECONDS_A_DAY, as_days, date_text, day_comes_first, parse_date

# What is neither text nor a number, date or truth value.
_NO_VALUES = (list, tuple, dict, set, np.ndarray, bytes, complex, np.complexfloating)


class Values(NamedTuple):
    """The values of one column.

    Attributes:
        held: `"number"` (durations in days, too), `"boolean"`, `"date"` or `"text"`.
        values: float64 with NaN where one is missing (dates are days since 1970, UTC), or text
            with `None` where one is missing or blank.
        are_categories: Whether the column says itself that it holds categories, as pandas' do.
    """

    held: str
    values: np.ndarray
    are_categories: bool = False

    @property
    def missing(self) -> np.ndarray:
        """Which values are missing."""
        if self.held == "text":
            return np.asarray(self.values == None, bool)  # noqa: E711  (of each value)
        return np.isnan(self.values)


def is_frame(data: Any) -> bool:
    """Whether data are a frame of pandas or polars, and not an array or a matrix."""
    return hasattr(data, "columns") and hasattr(data, "shape") and not hasattr(data, "dtype")


def is_plain(frame: Any) -> bool:
    """Whether a frame holds nothing but numbers and booleans, without gaps.

    Without narwhals, which reads frames, it counts as plain: what uses it checks the values.
    """
    try:
        import narwhals as nw
    except ImportError:
        return True
    columns = list(nw.from_native(frame, eager_only=True).iter_columns())
    return all(
        (column.dtype == nw.Boolean or column.dtype.is_numeric())
        and not column.is_null().any()
        and not (column.dtype.is_float() and column.is_nan().any())
        for column in columns
    )


def read_frame(frame: Any, owner: str) -> Mapping[str, Any]:
    """Returns the columns of a frame by name, as they are; `read_values` reads one of them.

    Args:
        frame: A frame of pandas or polars, a dictionary of columns, or a `TableInFile`.
        owner: The caller's name in error messages.

    Raises:
        ValueError: If it is nothing of these, or two columns have the same name.
        ImportError: If narwhals, which reads frames, is missing.
    """
    if hasattr(frame, "by_name"):
        return frame.by_name()
    if isinstance(frame, Mapping):
        lengths = {str(name): len(column) for name, column in frame.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{owner} needs columns of one length. Received lengths {lengths}.")
        return {str(name): column for name, column in frame.items()}
    try:
        import narwhals as nw
    except ImportError as error:
        raise ImportError('Frames are read by narwhals: pip install "keras-sda[tables]"') from error
    names = [str(name) for name in getattr(frame, "columns", ())]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ValueError(
            f"{owner} needs columns of different names. Received twice: {listed(double)}."
        )
    try:
        columns = list(nw.from_native(frame, eager_only=True).iter_columns())
    except TypeError as error:
        raise ValueError(
            f"{owner} takes a frame of pandas or polars, or a dictionary of columns. "
            f"Received: {type(frame).__name__}"
        ) from error
    return dict(zip(names, columns, strict=True))


def num_rows(frame: Mapping[str, Any]) -> int:
    """Returns how many rows the columns have that `read_frame` has returned."""
    if hasattr(frame, "num_rows"):  # of a table in a file
        return frame.num_rows
    return len(next(iter(frame.values()), ()))


def read_values(column: Any, owner: str) -> Values:
    """Reads one column.

    Args:
        column: A column of `read_frame`.
        owner: What is read, at the beginning of error messages.

    Raises:
        ValueError: If a value is infinite, or of a kind that no table holds.
    """
    column = unmasked(column)
    read = _read_array(np.asarray(column)) if _is_plain(column) else _read_series(column)
    if read is None:
        items = column.tolist() if isinstance(column, np.ndarray) else list(column)
        read = _read_items(items, owner)
    if read.held != "text" and np.isinf(read.values).any():
        raise ValueError(f"{owner} holds infinite values: leave those cells blank instead.")
    return read


def _is_plain(column: Any) -> bool:
    return isinstance(column, (np.ndarray, Sequence)) and not isinstance(column, str)


def _read_array(column: np.ndarray) -> Values | None:
    if column.dtype.kind == "b":
        return Values("boolean", column.astype("float64"))
    if column.dtype.kind in "iuf":
        return Values("number", column.astype("float64"))
    if column.dtype.kind == "M":
        return Values("date", _days(column))
    return None


def _read_series(column: Any) -> Values | None:
    import narwhals as nw

    dtype = column.dtype
    if dtype == nw.Boolean or dtype.is_numeric():
        held = "boolean" if dtype == nw.Boolean else "number"
        values = [np.nan] if not len(column) else column.cast(nw.Float64).to_numpy()
        return Values(held, np.array(values, "float64")[: len(column)])
    if dtype in (nw.Categorical, nw.Enum):  # categories, even if they are numbers
        return _text_column(column.to_list())._replace(are_categories=True)
    if dtype == nw.String:
        return _text_column(column.to_list())
    if dtype == nw.Datetime and len(column):
        stamps = column.dt.timestamp("us").cast(nw.Float64).to_numpy()
        return Values("date", np.asarray(stamps, "float64") / 1e6 / SECONDS_A_DAY)
    return None


def _days(dates: np.ndarray) -> np.ndarray:
    seconds = dates.astype("datetime64[ms]")
    days = seconds.astype("int64") / (1000 * SECONDS_A_DAY)
    return np.where(np.isnat(seconds), np.nan, days)


def is_missing(item: Any) -> bool:
    """Whether a value stands for none: `None`, NaN, `NaT`, `pd.NA`, or blank text."""
    if item is None:
        return True
    if isinstance(item, str):
        return not item.strip()
    try:
        return bool(item != item)  # NaN and NaT are unlike themselves
    except TypeError:  # pandas' NA, of which nothing is true or false
        return True


def _read_items(items: Sequence[Any], owner: str) -> Values:
    """Reads values one by one: text, dates, and columns of Python objects."""
    known = [None if is_missing(item) else item for item in items]
    kinds = {type(item) for item in known if item is not None}
    strange = next((kind for kind in kinds if issubclass(kind, _NO_VALUES)), None)
    if strange is not None:
        raise ValueError(f"{owner} holds values of {strange.__name__}: one value a cell is needed.")
    if kinds and all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        return Values("boolean", _floats(known))
    numeric = (int, float, np.number, np.bool_)
    if kinds and all(issubclass(kind, numeric) or _is_decimal(kind) for kind in kinds):
        return Values("number", _floats(known))
    if kinds and all(issubclass(kind, (datetime.date, np.datetime64)) for kind in kinds):
        return Values("date", np.array([_item_days(item) for item in known], "float64"))
    if kinds and all(issubclass(kind, datetime.timedelta) for kind in kinds):
        days = (math.nan if item is None else item.total_seconds() for item in known)
        return Values("number", np.array(list(days)) / SECONDS_A_DAY)
    return _text_column(known)


def _text_column(items: Sequence[Any]) -> Values:
    column = np.empty(len(items), object)
    if set(map(type, items)) <= {str, float, type(None)}:
        # Each text is looked at once, however often it occurs; a float is a gap, or no text.
        known = {item: None if is_missing(item) else _text(item) for item in set(items)}
        column[:] = [known.get(item) for item in items]
    else:
        column[:] = [None if is_missing(item) else _text(item) for item in items]
    return Values("text", column)


def _is_decimal(kind: type) -> bool:
    return kind.__name__ == "Decimal"


def _floats(items: Sequence[Any]) -> np.ndarray:
    return np.array([np.nan if item is None else float(item) for item in items], "float64")


def _item_days(item: Any) -> float:
    if item is None:
        return math.nan
    return float(_days(np.array([item]))[0]) if isinstance(item, np.datetime64) else as_days(item)


def _text(item: Any) -> str:
    return item.strip() if isinstance(item, str) else as_text(item)


def as_text(item: Any) -> str:
    """Returns a value as the name of a category: whole numbers without a fraction.

    >>> as_text(2.0), as_text(2.5), as_text(True), as_text("a")
    ('2', '2.5', 'True', 'a')
    """
    if isinstance(item, (float, np.floating)):
        number = float(item)
        return str(int(number)) if number.is_integer() else repr(number)
    return str(item)


def to_text(read: Values) -> np.ndarray:
    """Returns values as names of categories, `None` where one is missing."""
    if read.held == "text":
        return read.values
    column = np.full(len(read.values), None, object)
    for value in np.unique(read.values[~read.missing]):
        name = str(bool(value)) if read.held == "boolean" else as_text(value)
        column[read.values == value] = date_text(value) if read.held == "date" else name
    return column


def to_numbers(read: Values) -> np.ndarray | None:
    """Returns values as numbers, or `None` if text among them is no number."""
    if read.held != "text":
        return read.values
    if any(text is not None and "_" in text for text in read.values):  # which Python passes over
        return None
    try:
        numbers = _floats(read.values.tolist())
    except ValueError:
        return None
    return None if np.isinf(numbers).any() else numbers


def is_code(text: str) -> bool:
    """Whether text of digits is a code such as 00501, as no number begins like it."""
    return re.match(r"[+-]?0\d", text) is not None


def to_days(read: Values, day_first: bool | None = None) -> np.ndarray | None:
    """Returns dates, or text of dates, as days since 1970, UTC; `None` if one is no date.

    Args:
        read: The values.
        day_first: Whether 1/2/2026 is in February; `None` if it may be either, and so no date.
    """
    if read.held == "date":
        return read.values
    if read.held != "text":
        return read.values if read.missing.all() else None
    try:
        known = {text: parse_date(text, day_first) for text in set(read.values) if text is not None}
    except ValueError:
        return None
    return np.array([math.nan if t is None else known[t] for t in read.values], "float64")


def has_day_first(read: Values) -> bool | None:
    """Whether text of dates such as 31/1/2026 has the day first; `None` if nothing shows it."""
    return day_comes_first(set(read.values)) if read.held == "text" else None
