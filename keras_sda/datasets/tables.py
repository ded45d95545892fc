"""Reader of `.csv` and `.parquet` files."""

from pathlib import Path

import numpy as np


def read_column_names(path: Path, target: str | None) -> list[str]:
    """Returns the names of the columns that `read_table` reads as `x`.

    Args:
        path: A table that `read_table` can read.
        target: Name of the label column, or `None`.
    """
    import pandas as pd

    is_parquet = path.suffix.lower() == ".parquet"
    table = pd.read_parquet(path) if is_parquet else pd.read_csv(path, nrows=0)
    return [name for name in map(str, table.columns) if name != target]


def read_table(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads the numeric columns of a table, and its label column.

    Args:
        path: A `.csv` file whose first line names the columns, or a `.parquet` file.
        target: Name of the label column, or `None`.

    Returns:
        `x`, float64 of shape `(rows, columns)`, missing values as NaN; and `y` of shape `(rows,)`,
        numbers or text, or `None` without `target`.

    Raises:
        ValueError: If the file is corrupt or empty, `target` is not a column, a label is missing,
            or another column is not numeric.
        ImportError: If pandas, or pyarrow for `.parquet`, is missing.
    """
    suffix = path.suffix.lower()
    try:
        import pandas as pd

        if suffix == ".parquet":
            import pyarrow  # noqa: F401  (pandas would fail later, and less clearly)
    except ImportError as error:
        raise ImportError(
            f'Reading {suffix} files needs pandas and pyarrow: pip install "keras-sda[tables]"'
        ) from error
    try:
        if suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            # With low_memory, types are guessed piece by piece, which may warn of mixed ones.
            table = pd.read_csv(path, low_memory=False)
    except PermissionError:
        raise
    except Exception as error:  # pandas and pyarrow have no other common base class
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path} is not a readable {suffix} file, truncated or corrupt ({reason}): make or "
            "download it again."
        ) from error
    table.columns = [str(column) for column in table.columns]
    if target is not None and target not in table.columns:
        raise ValueError(
            f"Argument `target` must be a column of {path}: {', '.join(table.columns)}. "
            f"Received: target={target!r}"
        )
    labels = None if target is None else table.pop(target)
    if table.empty:
        raise ValueError(
            f"{path} needs at least one row and one column besides the labels. Received "
            f"{len(table)} rows and {len(table.columns)} columns: fill the table first."
        )
    for column, dtype in table.dtypes.items():
        # Complex numbers count as numeric for pandas, but not here.
        if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
            raise ValueError(
                f"{path} has the column {column!r} of {dtype}, which is not numeric: drop or "
                "encode it, or name it as target= if it holds the labels."
            )
    x = table.to_numpy(dtype="float64", na_value=np.nan)
    if labels is None:
        return x, None
    if labels.isna().any():
        raise ValueError(
            f"{path} has no label in column {target!r} of row {labels.isna().to_numpy().argmax()}: "
            "remove or fill such rows."
        )
    if pd.api.types.is_numeric_dtype(labels.dtype):
        # Via a list, since pandas has integer types that NumPy lacks.
        return x, np.asarray(labels.tolist())
    return x, labels.astype(str).to_numpy(dtype=str)
