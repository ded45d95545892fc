"""Reader of `.csv` files as spreadsheets of many countries write them."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# What may be between the values of a line.
SEPARATORS = (b",", b";", b"\t", b"|")

_CURRENCIES = "$€£¥₹"


def _written(thousands: str, point: str) -> re.Pattern[str]:
    """Returns the pattern of a number as people write it, with what may stand around it."""
    digits = rf"(?:\d+|\d{{1,3}}(?:{thousands}\d{{3}})+)(?:{point}\d+)?"
    return re.compile(
        rf"(?P<opening>\()?(?P<sign>[+-])?(?P<before>[{_CURRENCIES}])? ?(?P<digits>{digits})"
        rf" ?(?P<after>[%{_CURRENCIES}])?(?P<closing>\))?"
    )


# How numbers are written where commas are between the values, and where they are not.
_WITH_POINT, _WITH_COMMA = _written(",", r"\."), _written(r"\.", ",")


class UnexpectedFormatError(ValueError):
    """A file that is whole, but not as it is to be; the message says what to do."""


def read_csv(path: Path, nrows: int | None = None) -> Any:
    """Reads a `.csv` file in UTF-8 as a pandas frame.

    Values lie between commas or, where the line of names has none, between semicolons, tabs or
    bars; then a comma may stand before the fraction of a number, as in 1.234,5. Columns of numbers
    with separated thousands, one currency or percent signs, as in $1,234 and (5.5), are numbers.

    Args:
        path: The file.
        nrows: How many rows are read; `None` for all.

    Raises:
        UnexpectedFormatError: If it is not in UTF-8, or two columns have the same name.
    """
    import pandas as pd

    try:
        names, separator = _header(path)
        double = sorted({name for name in names if name.strip() and names.count(name) > 1})
        if double:
            raise UnexpectedFormatError(
                f"{path} has two columns of one name: {', '.join(double)}. Rename one of them."
            )
        # With low_memory, types are guessed piece by piece, which may warn of mixed ones.
        table = pd.read_csv(path, sep=separator, low_memory=False, nrows=nrows)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UnexpectedFormatError(
            f"{path} is not in UTF-8, as its byte {byte:#04x} shows: save it again as UTF-8, "
            'which spreadsheets offer as "CSV UTF-8".'
        ) from error
    return _with_numbers(table, _WITH_POINT if separator == "," else _WITH_COMMA)


def read_text(path: Path) -> Any:
    """Returns a `.csv` file as a pandas frame of text, every cell as it stands there.

    `None` where its values are not between commas, and its numbers perhaps not with points.
    """
    import pandas as pd

    if _header(path)[1] != ",":
        return None
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.columns = [str(column) for column in table.columns]
    return table


def _header(path: Path) -> tuple[list[str], str]:
    """Returns the names in the first line, and what is between them."""
    found: dict[str, list[str]] = {}
    for separator in (each.decode() for each in SEPARATORS):
        with path.open(encoding="utf-8-sig", newline="") as file:
            try:
                found[separator] = next(csv.reader(file, delimiter=separator), [])
            except csv.Error:  # pandas says better what is wrong
                found[separator] = []
        if len(found[separator]) > 1:
            return found[separator], separator
    return found[","], ","


def _with_numbers(table: Any, pattern: re.Pattern[str]) -> Any:
    """Returns a frame with text such as $1,234.5 as numbers, where a whole column is so."""
    for name in table.columns:
        column = table[name]
        if column.dtype.kind not in "biufM":
            numbers = _as_numbers(column.dropna().unique(), pattern)
            if numbers:
                table[name] = column.map(numbers).astype("float64")
    return table


def _as_numbers(texts: Iterable[Any], pattern: re.Pattern[str]) -> dict[str, float] | None:
    """Returns the number that each text stands for, or `None` if they are not numbers of one kind.

    Percentages among other numbers may mean anything, and amounts in two currencies do not compare.
    """
    numbers: dict[str, float] = {}
    signs: set[str] = set()
    has_mark = False
    for text in texts:
        found = isinstance(text, str) and pattern.fullmatch(text.strip())
        if not found or bool(found["opening"]) != bool(found["closing"]):
            return None
        around = (found["before"] or "") + (found["after"] or "")
        is_below = found["opening"] or found["sign"] == "-"
        if len(around) > 1 or (found["opening"] and found["sign"]):
            return None
        signs.add(around)
        has_mark = has_mark or "," in text or around != "" or bool(found["opening"])
        thousands, point = ",." if pattern is _WITH_POINT else ".,"
        digits = found["digits"].replace(thousands, "").replace(point, ".")
        numbers[text] = -float(digits) if is_below else float(digits)
    has_percent = "%" in signs
    one_kind = len(signs) == 1 if has_percent else len(signs - {""}) <= 1
    return numbers if has_mark and one_kind else None
