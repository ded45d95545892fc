"""A table as the two arrays that an exported model takes: numbers, and text."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_sda._validation import shown
from keras_sda.datasets.column import Column
from keras_sda.datasets.frames import read_values

# A column goes in two parts if float32 would otherwise move an input by more than this.
_COARSEST = 4e-6

# What stands for a number that is neither of two values: no frame holds it.
_NEITHER = np.inf

BOOLEANS = {"False": 0.0, "True": 1.0}

# What a column of `numbers` may hold.
_HOLDS = {
    "number": "the number",
    "boolean": "0 for false, 1 for true",
    "days": "days since 1970-01-01, UTC",
    "rest": "what float32 has rounded off the number before, such as the time of day; else 0",
}


class NumberPlace(NamedTuple):
    """What one column of the array `numbers` holds.

    Attributes:
        column: The column of the table.
        is_rest: Whether it is what float32 has rounded off the value, and not the value.
    """

    column: Column
    is_rest: bool


class TableArrays:
    """Which column of a table goes where in the arrays `numbers` and `categories`.

    Args:
        used: Columns of a table that are not ignored.

    Attributes:
        numbers: What the columns of `numbers` hold.
        categories: The columns of `categories`.
    """

    def __init__(self, used: tuple[Column, ...]) -> None:
        self.categories = tuple(column for column in used if takes_text(column))
        self.numbers = tuple(
            NumberPlace(column, is_rest)
            for column in used
            if not takes_text(column)
            for is_rest in ((False, True) if _has_rest(column) else (False,))
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays that are not empty."""
        held = {"numbers": self.numbers, "categories": self.categories}
        return tuple(name for name, columns in held.items() if columns)

    def __call__(self, table: Mapping[str, Any], count: int) -> dict[str, np.ndarray]:
        """Returns the arrays of rows.

        Args:
            table: Columns by name, as `frames.read_frame` returns them.
            count: Number of the rows.
        """
        numbers = np.empty((count, len(self.numbers)), "float32")
        for place, (column, is_rest) in enumerate(self.numbers):
            values = _numbers(column, table)
            with np.errstate(over="ignore"):  # beyond float32 they are infinite
                coarse = values.astype("float32")
            if is_rest:
                known = np.isfinite(coarse)
                numbers[:, place] = np.where(known, values - np.where(known, coarse, 0), 0)
            else:
                numbers[:, place] = coarse
        categories = np.empty((count, len(self.categories)), object)
        for place, column in enumerate(self.categories):
            text = column.text(_read(column, table))
            categories[:, place] = ["" if value is None else value for value in text]
        arrays = {"numbers": numbers, "categories": categories}
        return {name: arrays[name] for name in self.names}

    def to_dict(self) -> dict[str, Any]:
        """Returns what the arrays hold, for people and for JSON."""
        return {
            "numbers": [
                {"column": place.column.name, "holds": _holds(place)} for place in self.numbers
            ],
            "categories": [
                {"column": column.name, "known": list(column.categories)}
                for column in self.categories
            ],
            "holds": _HOLDS,
            "missing": "NaN in numbers, empty text in categories",
        }


def takes_text(column: Column) -> bool:
    """Whether a column goes into `categories`: all but numbers, dates and two values in numbers.

    Two numbers do as well that float32 cannot tell from all others.
    """
    if column.kind != "binary" or column.held not in ("number", "boolean"):
        return column.kind in ("binary", "categorical")
    return any(value != np.float32(value) for value in two_values(column))


def two_values(column: Column) -> tuple[float, float]:
    """Returns the numbers that a binary column holds: the one for 0, the one for 1."""
    first, second = (BOOLEANS.get(name) for name in column.categories)
    if first is None or second is None:
        first, second = (float(name) for name in column.categories)
    return first, second


def _has_rest(column: Column) -> bool:
    """Whether one float32 is too coarse: for dates, whose times are fractions, and far from 0."""
    if column.kind == "date":
        return True
    if column.number is None or column.low is None or column.high is None:
        return False
    probes = np.array([*np.linspace(column.low, column.high, 33), *column.number.knots])
    middle = column.number(probes)
    rounding = np.spacing(np.abs(probes).astype("float32")).astype("float64") / 2
    moved = np.maximum(
        np.abs(column.number(probes + rounding) - middle),
        np.abs(column.number(probes - rounding) - middle),
    )
    return bool((moved / np.maximum(1.0, np.abs(middle))).max() > _COARSEST)


def _read(column: Column, table: Mapping[str, Any]) -> Any:
    return read_values(table[column.name], f"Column {shown(column.name)}")


def _numbers(column: Column, table: Mapping[str, Any]) -> np.ndarray:
    read = _read(column, table)
    if column.kind != "binary":
        return column.numbers(read)
    values = dict(zip(column.categories, two_values(column), strict=True))
    text = column.text(read)
    return np.array([np.nan if name is None else values.get(name, _NEITHER) for name in text])


def _holds(place: NumberPlace) -> str:
    if place.is_rest:
        return "rest"
    if place.column.kind == "date":
        return "days"
    return "boolean" if place.column.held == "boolean" else "number"
