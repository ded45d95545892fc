"""Frames from `.csv` and `.parquet` files, of a size that is known before they are read."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_sda.datasets.csv_files import SEPARATORS, UnexpectedFormatError, read_csv
from keras_sda.datasets.memory import (
    TooLargeError,
    check_is_file,
    check_memory,
    check_unpacked,
    damaged,
    running_out_told,
)

# Each is looked at by itself: a million would take minutes before training.
_MOST_COLUMNS = 100_000
_ROWS_AT_ONCE = 2**16
_BUFFER_BYTES = 2**18


def read_names(path: Path) -> list[str]:
    """Returns the names of the columns of a table.

    Raises:
        ValueError: If the file is corrupt.
        ImportError: If pandas, or pyarrow for `.parquet`, is missing.
    """
    with _reading(path):
        if _is_parquet(path):
            import pyarrow.parquet

            with pyarrow.parquet.ParquetFile(path) as file:
                _check_width(path, file.metadata.num_columns)
                columns = to_frame(file.schema_arrow.empty_table()).columns
        else:
            _check_first_line(path)
            columns = read_csv(path, nrows=0).columns
    return [str(column) for column in columns]


def read_frame(path: Path, text: Iterable[str] = ()) -> Any:
    """Returns the pandas frame of a table, whose columns have text as names.

    Args:
        path: The file.
        text: Columns of a `.csv` file that are text, even if all of it are numbers.

    Raises:
        ValueError: If the file is corrupt, or too large for the memory.
        ImportError: If pandas, or pyarrow for `.parquet`, is missing.
    """
    with _reading(path):
        if _is_parquet(path):
            import pyarrow.parquet

            with pyarrow.parquet.ParquetFile(path) as file:
                _check_width(path, file.metadata.num_columns)
                _check_content(path, file)
                table = to_frame(file.read())
        else:
            check_memory(path, 2 * path.stat().st_size)
            _check_first_line(path)
            table = read_csv(path, text=text)
    table.columns = [str(column) for column in table.columns]
    return table


def to_frame(table: Any) -> Any:
    """Returns a pandas frame of a table of pyarrow, whose columns have text as names.

    An index with a name is a column.
    """
    frame = table.to_pandas()
    frame = frame.reset_index() if any(frame.index.names) else frame
    frame.columns = [str(column) for column in frame.columns]
    return frame


@contextmanager
def parquet_file(path: Path) -> Iterator[Any]:
    """Opens a `.parquet` file to be read piece by piece; what is damaged in it is told."""
    with _reading(path):
        import pyarrow.parquet

        # Unless it is buffered, whole columns of a row group are read at once.
        with pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES) as file:
            yield file


def num_values(path: Path) -> int:
    """Returns how many cells a table has; 0 if it is not a `.parquet` file, which says so."""
    if not _is_parquet(path):
        return 0
    with parquet_file(path) as file:
        _check_width(path, file.metadata.num_columns)
        return file.metadata.num_rows * file.metadata.num_columns


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns whatever pandas raises on a damaged file into one sentence."""
    suffix = path.suffix.lower()
    try:
        import pandas  # noqa: F401

        if _is_parquet(path):
            import pyarrow  # noqa: F401  (pandas would fail later, and less clearly)
    except ImportError as error:
        raise ImportError(
            f'Reading {suffix} files needs pandas and pyarrow: pip install "keras-sda[tables]"'
        ) from error
    check_is_file(path)
    try:
        with running_out_told(path):
            yield
    except (PermissionError, TooLargeError, UnexpectedFormatError):
        raise
    except Exception as error:  # pandas and pyarrow have no other common base class
        raise damaged(path, suffix, error) from error


def _check_width(path: Path, count: int) -> None:
    if count > _MOST_COLUMNS:
        raise TooLargeError(
            f"{path} has more than {_MOST_COLUMNS} columns, which are too many for a table: does "
            "it stand on its side? If not, save the numbers as .npy."
        )


def _check_first_line(path: Path) -> None:
    """Counts the columns of a `.csv` file, in which pandas takes a minute for a million of them."""
    with path.open("rb") as file:
        count = 1
        while chunk := file.readline(2**20):
            count += max(map(chunk.count, SEPARATORS))
            if chunk.endswith(b"\n") or count > _MOST_COLUMNS:
                break
    _check_width(path, count)


def _check_content(path: Path, file: Any) -> None:
    """Raises a `TooLargeError` if the columns of a parquet file take much more than the file.

    Numbers take 8 bytes, as they are float64 once they are read. Text that repeats lies in the file
    once, so its lengths are added up, from where it still does.
    """
    import pyarrow as pa
    import pyarrow.compute

    schema, rows = file.schema_arrow, file.metadata.num_rows
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    check_unpacked(path, sum(group.total_byte_size for group in groups))
    texts, size = [], 0
    for field in schema:
        if pa.types.is_dictionary(field.type) or not _has_width(field.type):
            texts.append(field.name)
        else:
            size += rows * max(8, field.type.bit_width // 8)
    check_unpacked(path, size)
    if not texts:
        return
    with pa.parquet.ParquetFile(path, read_dictionary=texts) as again:
        for batch in again.iter_batches(_ROWS_AT_ONCE, columns=texts):
            for column in batch.columns:
                if not pa.types.is_dictionary(column.type):
                    size += column.nbytes
                    continue
                size += 16 * len(column)
                if not _has_width(column.dictionary.type):
                    lengths = pa.compute.binary_length(column.dictionary).take(column.indices)
                    size += pa.compute.sum(lengths).as_py() or 0
            check_unpacked(path, size)


def _has_width(kind: Any) -> bool:
    """Whether each value of a type takes the same number of bytes."""
    try:
        return kind.bit_width > 0
    except ValueError:
        return False
