"""Reader of `.csv` files as spreadsheets of many countries write them."""

import csv
from pathlib import Path
from typing import Any

# What may be between the values of a line.
SEPARATORS = (b",", b";", b"\t", b"|")

# A number with a comma before its fraction, and perhaps dots between its thousands.
_WITH_COMMA = r"\s*[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?\s*"


class UnexpectedFormatError(ValueError):
    """A file that is whole, but not as it is to be; the message says what to do."""


def read_csv(path: Path, nrows: int | None = None) -> Any:
    """Reads a `.csv` file in UTF-8 as a pandas frame.

    Values lie between commas or, where the line of names has none, between semicolons, tabs or
    bars; then a comma may stand before the fraction of a number, as in 1.234,5.

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
    return table if separator == "," else _with_decimal_points(table)


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


def _with_decimal_points(table: Any) -> Any:
    """Returns a frame with text such as 1.234,5 as numbers, where a whole column is so."""
    import pandas as pd

    for name in table.columns:
        column = table[name]
        if pd.api.types.is_numeric_dtype(column.dtype):
            continue
        known = column.dropna().astype(str)
        has_comma = known.str.contains(",", regex=False).any()
        if has_comma and known.str.fullmatch(_WITH_COMMA).all():
            plain = known.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
            table[name] = pd.to_numeric(plain).reindex(table.index)
    return table
