"""Reader of `.csv` and `.parquet` files."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_sda._validation import listed, shown
from keras_sda.datasets.table_files import read_frame, read_names
from keras_sda.datasets.table_in_file import TableInFile


def read_column_names(path: Path, target: str | None) -> list[str]:
    """Returns the names of the columns that `read_table` reads as `x`.

    Args:
        path: A table that `read_table` can read.
        target: Name of the label column, or `None`.
    """
    return [name for name in read_names(path) if name != target]


def read_table(path: Path, target: str | None) -> tuple[Any, np.ndarray | None]:
    """Reads the columns of a table as they are, and its label column.

    Args:
        path: A `.csv` file whose first line names the columns, or a `.parquet` file.
        target: Name of the label column, or `None`.

    Returns:
        A pandas frame without the label column; and `y` of shape `(rows,)`, numbers or text, a
        missing label as NaN or as empty text, or `None` without `target`.

    Raises:
        ValueError: If the file is corrupt or empty, or `target` is not a column.
        ImportError: If pandas, or pyarrow for `.parquet`, is missing.
    """
    return split_labels(read_frame(path), target, path)


def split_labels(table: Any, target: str | None, path: Path) -> tuple[Any, np.ndarray | None]:
    """Returns a table without its label column, and the labels; see `read_table`.

    Args:
        table: What `read_frame` has returned, which stays as it is.
        target: Name of the label column, or `None`.
        path: The file, for error messages.
    """
    if target is not None and target not in table.columns:
        raise ValueError(
            f"Argument `target` must be a column of {path}: {listed(table.columns)}. "
            f"Received: target={shown(target)}"
        )
    labels = None if target is None else table[target]
    table = table if target is None else table.drop(columns=target)
    if table.empty:
        raise ValueError(
            f"{path} needs at least one row and one column besides the labels. Received "
            f"{len(table)} rows and {len(table.columns)} columns: fill the table first."
        )
    return table, None if labels is None else _labels(labels, path.suffix.lower() == ".csv")


def are_numbers(table: Any) -> bool:
    """Whether all of a frame, or of a `TableInFile`, are finite numbers."""
    if isinstance(table, TableInFile):
        return all(as_numbers(table[name].to_frame()) is not None for name in table.columns)
    return as_numbers(table) is not None


def as_numbers(table: Any) -> np.ndarray | None:
    """Returns a frame as float64 if all of it are finite numbers, or `None`."""
    import pandas as pd

    for dtype in table.dtypes:
        # Complex numbers count as numeric for pandas, but not here.
        if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
            return None
    x = table.to_numpy(dtype="float64", na_value=np.nan)
    return x if np.isfinite(x).all() else None


def _labels(column: Any, in_text: bool) -> np.ndarray:
    """Returns a column as numbers or text, with NaN or empty text where it is blank."""
    import pandas as pd

    is_numeric = pd.api.types.is_numeric_dtype
    if not is_numeric(column.dtype):
        is_blank = column.isna() | (column.astype(str).str.strip() == "")
        known = _without_blanks(column, is_blank, in_text)
        if not is_numeric(known.dtype):
            return column.astype(str).mask(is_blank, "").to_numpy(dtype=str)
        column = known.reindex(column.index)
    if column.isna().any():
        return column.astype("Float64").to_numpy(dtype="float64", na_value=np.nan)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "if":
        return column.to_numpy().astype("int64" if column.dtype.kind == "i" else "float64")
    # Via a list, since pandas has integer types that NumPy lacks.
    return np.asarray(column.tolist())


def _without_blanks(column: Any, is_blank: Any, in_text: bool) -> Any:
    """Returns the other labels in the type in which pandas reads them where none is blank."""
    import pandas as pd

    known = column[~is_blank]
    if known.map(lambda label: isinstance(label, bool)).all():
        return known.astype("int64")
    if in_text and len(known) < len(column):
        try:
            return pd.to_numeric(known)
        except (ValueError, TypeError):
            pass
    return known
