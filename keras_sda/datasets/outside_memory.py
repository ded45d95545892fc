"""Rows that are not in memory, but in a file, or computed when they are read."""

import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class ComputedRows:
    """An array whose rows are computed from those of another array each time they are read.

    Args:
        x: Array of shape `(rows, ...)`, which may be in a file.
        function: Function of a batch of rows that returns an array with as many rows.
        width: Number of columns that it returns.
        dtype: Dtype that it returns.
    """

    def __init__(self, x: np.ndarray, function: Callable, width: int, dtype: str):
        self.x = x
        self.function = function
        self.shape = (len(x), width)
        self.ndim = 2
        self.size = len(x) * width
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.function(np.asarray(self.x[rows]))


class SparseRows(ComputedRows):
    """Rows of a sparse matrix that are made dense when a batch of them is read.

    Args:
        x: Sparse matrix in CSR format.
        function: Function of a batch of dense rows, such as a scaling; `None` leaves them.
    """

    def __init__(self, x: Any, function: Callable | None = None):
        self.x = x
        self.function = function or np.asarray
        self.shape = x.shape
        self.ndim = 2
        self.size = x.shape[0] * x.shape[1]
        self.dtype = np.dtype(x.dtype if function is None else "float32")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.function(self.x[rows].toarray())


# Rows in a file are shuffled among as many bytes at a time, which are read in blocks.
_SHUFFLED_BYTES = 2**28
_BLOCK_BYTES = 2**20


class StoredRows(ComputedRows):
    """Rows of numbers in a file that may be larger than the memory.

    Rows are read by number, without mapping the file into memory, where each would bring its
    surroundings: that takes a third of the time, and no memory but the rows'. Before an epoch,
    blocks of 1 MiB are put in random order, and then rows in random order within every 256 blocks:
    so the system reads the file in large pieces, and each row once.

    Args:
        path: File of nothing but the numbers, row by row, at least one row.
        width: Numbers of a row.
        dtype: Their dtype.
        folder: What removes the file, once nothing refers to it.
        chosen: Numbers of the rows of the file that count, increasing; `None` for all.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        dtype: str = "float32",
        folder: Any = None,
        chosen: np.ndarray | None = None,
    ):
        self._path = path
        self._folder = folder
        self._chosen = chosen
        self.dtype = np.dtype(dtype)
        self._bytes_a_row = width * self.dtype.itemsize
        count = path.stat().st_size // self._bytes_a_row if chosen is None else len(chosen)
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._file)
        self.shape = (count, width)
        self.ndim = 2
        self.size = count * width

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, slice) and rows.step in (None, 1) and self._chosen is None:
            start, stop, _ = rows.indices(len(self))
            return self._read_block(start, max(0, stop - start))
        return self._read(self._numbers(rows))

    def _numbers(self, rows):
        """Returns the numbers in the file of one or several of the rows."""
        if self._chosen is not None:
            return self._chosen[rows]
        if isinstance(rows, (slice, int, np.integer)):
            return np.asarray(range(len(self))[rows])
        rows = np.asarray(rows)
        return np.flatnonzero(rows) if rows.dtype == bool else rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def _read_block(self, start, count):
        """Returns rows of the file that follow each other."""
        offset, width = start * self._bytes_a_row, self.shape[1]
        numbers = np.fromfile(self._path, self.dtype, count * width, offset=offset)
        return numbers.reshape(count, width)

    def _read(self, numbers):
        """Returns rows of the file by their numbers."""
        size = self._bytes_a_row
        offsets = (np.asarray(numbers, "int64") * size).ravel().tolist()
        found = bytearray().join([_read_at(self._file, size, offset) for offset in offsets])
        return np.frombuffer(found, self.dtype).reshape(*np.shape(numbers), self.shape[1])

    def choose(self, rows: np.ndarray) -> "StoredRows":
        """Returns some of the rows without reading them.

        Args:
            rows: Their numbers, increasing.
        """
        chosen = rows if self._chosen is None else self._chosen[rows]
        return StoredRows(self._path, self.shape[1], str(self.dtype), self._folder, chosen)

    def order(self, generator: Any) -> np.ndarray:
        """Returns the numbers of all rows, int32, in the order of a new epoch.

        Args:
            generator: What draws, such as `numpy.random`.
        """
        size = max(1, _BLOCK_BYTES // (self.shape[1] * self.dtype.itemsize))
        blocks = generator.permutation(-(-len(self) // size))
        at_once = max(1, _SHUFFLED_BYTES // _BLOCK_BYTES)
        order = []
        for start in range(0, len(blocks), at_once):
            firsts = size * blocks[start : start + at_once]
            rows = [np.arange(f, min(f + size, len(self)), dtype=np.int32) for f in firsts]
            order.append(generator.permutation(np.concatenate(rows)))
        return np.concatenate(order)


def _read_at(file: int, size: int, offset: int) -> bytes:
    """Returns bytes of an open file from a place on."""
    if hasattr(os, "pread"):
        return os.pread(file, size, offset)
    os.lseek(file, offset, os.SEEK_SET)
    return os.read(file, size)


def choose_rows(rows: Any, which: np.ndarray) -> Any:
    """Returns the rows of an array that are true in `which`; those in a file stay there."""
    if isinstance(rows, StoredRows):
        return rows.choose(np.flatnonzero(which))
    return rows[which]


def rows_to_describe(rows: Any, most: int = 2**18) -> np.ndarray:
    """Returns rows that tell how values are distributed: all, or of rows in a file some.

    Args:
        rows: An array, in memory or not.
        most: How many rows of a file are read, in 256 blocks that are evenly spaced, as it may be
            in some order.
    """
    if isinstance(rows, StoredRows):
        if len(rows) <= most:
            return rows[:]
        # Single rows would touch nearly every page of the file.
        size = -(-most // 256)
        starts = np.linspace(0, len(rows) - size, 256).astype("int64")
        return np.concatenate([rows[start : start + size] for start in starts])
    return rows


def epoch_order(rows: Any, generator: Any) -> np.ndarray:
    """Returns the numbers of all rows in the order of a new epoch.

    Args:
        rows: An array, in memory or not.
        generator: What draws, such as `numpy.random`.
    """
    given = rows
    while isinstance(given, ComputedRows) and not isinstance(given, StoredRows):
        given = given.x
    if isinstance(given, StoredRows):
        return given.order(generator)
    return generator.permutation(len(rows))


def is_outside_memory(rows: Any) -> bool:
    """Whether `rows` is an array that is read or computed piece by piece."""
    return isinstance(rows, (np.memmap, ComputedRows))
