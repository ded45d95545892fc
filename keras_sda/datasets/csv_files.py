"""Reader of `.csv` files as spreadsheets of many countries write them."""

import contextlib
import csv
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda.datasets.frames import is_code

# What may be between the values of a line.
SEPARATORS = (b",", b";", b"\t", b"|")

_CURRENCIES = "$€£¥₹"


# What is between thousands, by what is before the fraction.
_THOUSANDS = {".": ",", ",": "."}


def _written(point: str) -> re.Pattern[str]:
    """Returns the pattern of a number as people write it, with what may stand around it."""
    thousands = re.escape(_THOUSANDS[point])
    digits = rf"(?:\d+|\d{{1,3}}(?:{thousands}\d{{3}})+)(?:{re.escape(point)}\d+)?"
    return re.compile(
        rf"(?P<opening>\()?(?P<sign>[+-])?(?P<before>[{_CURRENCIES}])? ?(?P<digits>{digits})"
        rf" ?(?P<after>[%{_CURRENCIES}])?(?P<closing>\))?"
    )


_WRITTEN = {point: _written(point) for point in _THOUSANDS}
# As pandas reads numbers.
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")

# What stands for a gap where all other values of a column are numbers.
_GAPS = ("?", "-", "--", "---", ".", "*", "unknown", "missing", "na.", "n.a.")


class UnexpectedFormatError(ValueError):
    """A file that is whole, but not as it is to be; the message says what to do."""


def read_csv(path: Path, nrows: int | None = None, text: Iterable[str] = ()) -> Any:
    """Reads a `.csv` file in UTF-8 as a pandas frame.

    Values lie between commas or, where the line of names has none, between semicolons, tabs or
    bars; then a comma may stand before the fraction of a number, as in 1.234,5. Columns of numbers
    with separated thousands, one currency or percent signs, as in $1,234 and (5.5), are numbers.
    Whole numbers of which one begins like 00501 are codes, and remain text.

    Args:
        path: The file.
        nrows: How many rows are read; `None` for all.
        text: Columns that are text, whatever stands there: in few rows, codes may all be numbers.

    Raises:
        UnexpectedFormatError: If it is not in UTF-8, two columns have the same name, or rows have
            more values than there are names.
    """
    import pandas as pd

    text = set(text)
    try:
        names, separator, extra = _header(path)
        double = sorted({name for name in names if name.strip() and names.count(name) > 1})
        if double:
            raise UnexpectedFormatError(
                f"{path} has two columns of one name: {', '.join(double)}. Rename one of them."
            )
        # With low_memory, types are guessed piece by piece, which may warn of mixed ones.
        how: dict[str, Any] = {"sep": separator, "low_memory": False}
        how["dtype"] = dict.fromkeys(text & set(names), str)
        table = pd.read_csv(path, nrows=nrows, **how)
        if extra > 0 and nrows != 0:
            table = _without_empty_ends(table, path, extra, how)
        table = _with_codes(table, path, separator)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UnexpectedFormatError(
            f"{path} is not in UTF-8, as its byte {byte:#04x} shows: save it again as UTF-8, "
            'which spreadsheets offer as "CSV UTF-8".'
        ) from error
    # Where commas are between the values, none is within a number.
    return _with_numbers(table, "." if separator == "," else ",", text)


def read_text(path: Path) -> Any:
    """Returns a `.csv` file as a pandas frame of text, every cell as it stands there.

    `None` where its values are not between commas, and its numbers perhaps not with points.
    """
    if _header(path)[1] != ",":
        return None
    table = _read_without_ends(path, dtype=str, keep_default_na=False)
    table.columns = [str(column) for column in table.columns]
    return table


def _header(path: Path) -> tuple[list[str], str, int]:
    """Returns the names in the first line, the separator, and how many more values the next has."""
    candidates = []
    for separator in (each.decode() for each in SEPARATORS):
        with path.open(encoding="utf-8-sig", newline="") as file, contextlib.suppress(csv.Error):
            lines = filter(None, csv.reader(file, delimiter=separator))
            candidates.append((next(lines, []), separator, next(lines, [])))
    several = [each for each in candidates if len(each[0]) > 1] or candidates[:1]
    # A name may hold a comma; then the lines differ in how many there are.
    fitting = [each for each in several if len(each[0]) == len(each[2])] or several
    names, separator, values = fitting[0] if fitting else ([], ",", [])  # pandas says what is wrong
    return names, separator, len(values) - len(names)


def _without_empty_ends(table: Any, path: Path, extra: int, how: dict[str, Any]) -> Any:
    """Returns a frame read anew, of rows with a separator behind their last value.

    pandas had taken the first values of rows that are longer than the line of names as an index.
    """
    if not table.iloc[:, -extra:].isna().all(axis=None):
        names = table.shape[1]
        raise UnexpectedFormatError(
            f"{path} has {names} names in its first line and rows of {names + extra} values: name "
            "each column, or remove what is behind the last one."
        )
    return _read_without_ends(path, nrows=len(table), **how)


def _read_without_ends(path: Path, **options: Any) -> Any:
    """Reads as many values of each line as there are names, without a warning."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        return pd.read_csv(path, index_col=False, **options)


def _with_codes(table: Any, path: Path, separator: str) -> Any:
    """Returns a frame with codes such as 00501 as text; pandas makes 501 of them."""
    # Whole numbers with gaps are floats.
    gaps = table.isna().any().to_numpy()
    whole = [
        n
        for n, dtype in enumerate(table.dtypes)
        if dtype.kind in "iu" or (dtype.kind == "f" and gaps[n] and _is_whole(table.iloc[:, n]))
    ]
    if table.empty or not whole or not _has_codes(path, separator):
        return table
    text = _read_without_ends(path, sep=separator, dtype=str, usecols=whole, nrows=len(table))
    for name in text.columns:
        known = text[name].dropna().str.strip()
        if known.str.fullmatch(r"\d+").all() and known.map(is_code).any():
            table[name] = text[name].str.strip()
    return table


def _is_whole(column: Any) -> bool:
    """Whether a column of floats holds whole numbers, and perhaps gaps."""
    return bool((column.dropna() % 1 == 0).all())


def _has_codes(path: Path, separator: str) -> bool:
    """Whether a value in a file may begin with a 0 and another digit."""
    starts = np.frombuffer(f'{separator}\n"'.encode(), "uint8")
    end = b""
    with path.open("rb") as file:
        while chunk := file.read(2**22):
            content = np.frombuffer(end + chunk, "uint8")
            first, second, third = content[:-2], content[1:-1], content[2:]
            zeros = np.flatnonzero((second == ord("0")) & (third >= ord("0")) & (third <= ord("9")))
            if np.isin(first[zeros], starts).any():
                return True
            end = chunk[-2:]
    return False


def _with_numbers(table: Any, point: str, text: set[str]) -> Any:
    """Returns a frame with text such as $1,234.5 as numbers, where a whole column is so."""
    for name, dtype in table.dtypes.items():
        if dtype.kind not in "biufM" and name not in text:
            column = table[name]
            known = {each for each in column.dropna().unique() if not _is_gap(each)}
            numbers = _as_numbers(known, point) or _as_plain_numbers(known)
            if numbers:
                table[name] = column.map(numbers).astype("float64")
    return table


def _is_gap(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() in _GAPS


def _as_plain_numbers(texts: Iterable[Any]) -> dict[str, float] | None:
    """Returns the numbers of a column that gaps alone have made text, or `None`."""
    if not all(isinstance(text, str) and _PLAIN.fullmatch(text.strip()) for text in texts):
        return None
    if any(is_code(text.strip()) for text in texts):
        return None
    return {text: float(text) for text in texts}


def _as_numbers(texts: Iterable[Any], point: str) -> dict[str, float] | None:
    """Returns the number that each text stands for, or `None` if they are not numbers of one kind.

    Percentages among other numbers may mean anything, and amounts in two currencies do not compare.
    """
    numbers: dict[str, float] = {}
    signs: set[str] = set()
    has_mark = False
    for text in texts:
        found = isinstance(text, str) and _WRITTEN[point].fullmatch(text.strip())
        if not found or bool(found["opening"]) != bool(found["closing"]):
            return None
        around = (found["before"] or "") + (found["after"] or "")
        is_below = found["opening"] or found["sign"] == "-"
        if len(around) > 1 or (found["opening"] and found["sign"]):
            return None
        signs.add(around)
        has_mark = has_mark or "," in text or around != "" or bool(found["opening"])
        digits = found["digits"].replace(_THOUSANDS[point], "").replace(point, ".")
        numbers[text] = -float(digits) if is_below else float(digits)
    has_percent = "%" in signs
    one_kind = len(signs) == 1 if has_percent else len(signs - {""}) <= 1
    return numbers if has_mark and one_kind else None
