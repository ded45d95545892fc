"""Which kind a column of a table is: what is inferred, and what is asked for."""

from typing import NamedTuple

import numpy as np

from keras_sda._validation import shown
from keras_sda.datasets.frames import (
    Values,
    has_day_first,
    is_code,
    to_days,
    to_numbers,
    to_text,
)

KINDS = ("numeric", "binary", "categorical", "date", "ignored")

# Fewer rows than this may count up by chance.
_ROWS_TO_COUNT = 20


class Kind(NamedTuple):
    """A kind, and why a column is ignored, if it is."""

    name: str
    note: str = ""


def infer_kind(read: Values) -> Kind:
    """Returns the kind of a column by its values.

    Dates, and text in which all are dates, are dates; two values that are booleans, text, or
    0 and 1 are binary; other numbers are numeric, and other text categorical. Ignored are columns
    without a value, with one value alone, text that differs in every row, dates such as 1/2/2026 if
    none shows whether the day comes first, and whole numbers that count the rows.
    """
    known = ~read.missing
    if not known.any():
        return Kind("ignored", "no value in any row")
    if read.held != "text":
        return _kind_of_numbers(read, known)
    distinct = set(read.values[known].tolist())
    if len(distinct) == 1 and known.all():
        return Kind("ignored", "the same value in every row")
    is_text = not read.are_categories
    if is_text and to_days(read, has_day_first(read)) is not None:
        return Kind("date")
    if is_text and to_days(read, day_first=True) is not None:
        return Kind("ignored", "dates, of which the day or the month may come first")
    if is_text and _is_written_number(read):
        return infer_kind(Values("number", to_numbers(read)))  # type: ignore[arg-type]
    if len(distinct) == known.sum() and len(distinct) > 2:
        return Kind("ignored", "an id: text that differs in every row")
    return Kind("binary" if len(distinct) == 2 else "categorical")


def _kind_of_numbers(read: Values, known: np.ndarray) -> Kind:
    """Returns the kind of numbers, booleans or dates, of which some are known."""
    values = read.values[known]
    low, high = values.min(), values.max()
    if low == high and known.all():
        return Kind("ignored", "the same value in every row")
    if read.held == "date":
        return Kind("date")
    if read.held == "boolean":
        return Kind("binary" if low != high else "categorical")
    if (low, high) == (0, 1) and np.isin(values, (0, 1)).all():
        return Kind("binary")
    if known.all() and _counts_rows(values):
        return Kind("ignored", "an id: it counts the rows")
    return Kind("numeric")


def _is_written_number(read: Values) -> bool:
    """Whether text is numbers, and not codes such as 00501, which no number begins like."""
    are_codes = (value is not None and is_code(value) for value in read.values)
    return to_numbers(read) is not None and not any(are_codes)


def _counts_rows(numbers: np.ndarray) -> bool:
    """Whether whole numbers all differ within a range of at most twice as many.

    Of a counter, a random part of the rows does as well; measurements of so narrow a range repeat.
    """
    if len(numbers) < _ROWS_TO_COUNT or np.ptp(numbers) + 1 > 2 * len(numbers):
        return False
    is_whole = bool((numbers == np.floor(numbers)).all())
    return is_whole and len(np.unique(numbers)) == len(numbers)


def asked_kind(name: str, read: Values, kind: str) -> Kind:
    """Returns the kind that a user asks for, checked against the values.

    Raises:
        ValueError: If there is no such kind, or the values are not of it.
    """
    kind = {"ignore": "ignored", "count": "numeric"}.get(kind, kind)
    if kind not in KINDS:
        raise ValueError(
            f"The kind of a column must be one of {', '.join(KINDS)}. Received: {shown(kind)} for "
            f"{shown(name)}"
        )
    if kind == "ignored":
        return Kind("ignored", "as asked")
    if read.missing.all():
        return Kind("ignored", "no value in any row")
    if kind == "numeric" and to_numbers(read) is None:
        raise ValueError(
            f"Column {shown(name)} cannot be numeric, as it holds text that is not a number."
        )
    if kind == "date" and to_days(read, has_day_first(read)) is None:
        raise ValueError(
            f"Column {shown(name)} cannot be a date: expected dates, or text such as 2026-01-31; "
            "31/1/2026 and 1/31/2026 are dates where a day above 12 shows which number it is."
        )
    count = len({text for text in to_text(read) if text is not None})
    if kind == "binary" and count != 2:
        raise ValueError(f"Column {shown(name)} cannot be binary: it has {count} different values.")
    return Kind(kind)
