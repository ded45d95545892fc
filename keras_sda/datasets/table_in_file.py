"""A `.parquet` file that stays on disk: its columns are read one by one, or some rows at a time."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda._validation import check_choice
from keras_sda.datasets.memory import check_memory
from keras_sda.datasets.table_files import (
    num_values,
    parquet_file,
    read_frame,
    read_names,
    to_frame,
)

STORAGES = ("auto", "memory", "disk")

# Tables whose cells would fill more bytes as float32 are not read as a whole. By the table alone,
# and not by the memory that is free, as rows in a file are shuffled in another way.
_LARGE_BYTES = 2**30

# Rows read at a time.
_ROWS = 2**16
# After so many rows, what is no longer needed of them is looked for.
_ROWS_KEPT = 2**19
# Of a column's values while they are read and its map is fitted.
_BYTES_A_VALUE = 40


def open_table(path: Path, storage: str, text: Iterable[str] = ()) -> Any:
    """Returns a table as a pandas frame, or, if it is to be kept out of memory, a `TableInFile`.

    Args:
        path: A `.csv` or `.parquet` file.
        storage: `"memory"`; `"disk"`; or `"auto"`: disk for a `.parquet` file of more than 1 GiB as
            float32.
        text: Columns that are text, even if all of it are numbers.

    Raises:
        ValueError: If a `.csv` file is to stay on disk; or as `table_files.read_frame`.
    """
    check_choice("storage", storage, STORAGES, "keras_sda.datasets.load")
    is_parquet = path.suffix.lower() == ".parquet"
    if storage == "disk" and not is_parquet:
        raise ValueError(
            "Argument `storage` of keras_sda.datasets.load can be 'disk' for .parquet files, whose "
            f"columns can be read one by one. Received: storage='disk' with {path}"
        )
    if storage == "disk" or (storage == "auto" and 4 * num_values(path) > _LARGE_BYTES):
        return TableInFile(path)
    return read_frame(path, text)


def take_rows(frame: Any, rows: np.ndarray) -> Any:
    """Returns rows of a pandas frame or, in increasing order, of a `TableInFile`."""
    return frame.take(rows) if isinstance(frame, TableInFile) else frame.iloc[rows]


class TableInFile:
    """A table that is not read as a whole, with what `load` needs of a pandas frame.

    Args:
        path: A `.parquet` file.
        names: The columns that belong to it; `None` for all.
        rows: Numbers of the rows that belong to it, increasing; `None` for all.
    """

    def __init__(
        self, path: Path, names: Iterable[str] | None = None, rows: np.ndarray | None = None
    ):
        self.path = path
        self.columns = read_names(path) if names is None else list(names)
        self.rows = rows
        with parquet_file(path) as file:
            self._num_rows = file.metadata.num_rows if rows is None else len(rows)
        check_memory(path, self._num_rows * _BYTES_A_VALUE)

    def __len__(self) -> int:
        return self._num_rows

    @property
    def empty(self) -> bool:
        """Whether it has no rows, or no columns."""
        return not len(self) or not self.columns

    def __getitem__(self, name: str) -> Any:
        """Returns one column as a pandas series."""
        with parquet_file(self.path) as file:
            column = to_frame(file.read(columns=[name]))[name]
        return column if self.rows is None else column.iloc[self.rows]

    def drop(self, columns: str | list[str]) -> "TableInFile":
        """Returns the table without some columns."""
        dropped = [columns] if isinstance(columns, str) else columns
        names = [name for name in self.columns if name not in dropped]
        return TableInFile(self.path, names, self.rows)

    def take(self, rows: np.ndarray) -> "TableInFile":
        """Returns some of the rows, in increasing order."""
        rows = np.sort(rows)
        return TableInFile(self.path, self.columns, rows if self.rows is None else self.rows[rows])

    def pieces(self) -> Iterator[tuple[np.ndarray, Any]]:
        """Yields numbers of rows of the file and their pandas frame, a part at a time."""
        import pyarrow as pa

        start = 0
        for batch in self._batches():
            rows = np.arange(start, start + batch.num_rows)
            start += batch.num_rows
            frame = to_frame(pa.Table.from_batches([batch]))
            if self.rows is not None:
                first, last = np.searchsorted(self.rows, [rows[0], start])
                frame, rows = frame.iloc[self.rows[first:last] - rows[0]], self.rows[first:last]
            if len(rows):
                yield rows, frame[self.columns]

    def _batches(self) -> Iterator[Any]:
        """Yields batches of all rows; what was read of earlier row groups is given back."""
        import pyarrow as pa

        with parquet_file(self.path) as file:
            rows = [
                file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)
            ]
        kept = 0
        for group, count in enumerate(rows):
            with parquet_file(self.path) as file:
                yield from file.iter_batches(_ROWS, row_groups=[group], columns=self.columns)
            kept += count
            if kept > _ROWS_KEPT:
                kept = 0
                gc.collect()
                pa.default_memory_pool().release_unused()

    def read(self) -> Any:
        """Returns the table as a pandas frame, in memory."""
        import pandas as pd

        return pd.concat([frame for _, frame in self.pieces()], ignore_index=True)

    def by_name(self) -> Mapping[str, Any]:
        """Returns its columns by name, each of which is read when it is asked for."""
        return _ColumnsByName(self)


class _ColumnsByName(Mapping[str, Any]):
    """Columns as `frames.read_frame` returns them.

    Args:
        table: The table.
    """

    def __init__(self, table: TableInFile):
        self._table = table
        self.num_rows = len(table)

    def __getitem__(self, name: str) -> Any:
        import narwhals as nw

        return nw.from_native(self._table[name], series_only=True)

    def __contains__(self, name: object) -> bool:
        return name in self._table.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.columns)

    def __len__(self) -> int:
        return len(self._table.columns)
