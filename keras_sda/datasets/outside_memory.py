"""Rows that are not in memory, but in a file, or computed when they are read."""

from collections.abc import Callable
from typing import Any

import keras
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


def is_outside_memory(rows: Any) -> bool:
    """Whether `rows` is an array that is read or computed piece by piece."""
    return isinstance(rows, (np.memmap, ComputedRows))


class RowBatches(keras.utils.PyDataset):
    """Batches of rows that are not in memory, shuffled row by row before every epoch.

    Args:
        *tables: `x`, `y` and `sample_weight`, of which the last ones may be missing or `None`.
        batch_size: Rows per batch.
        shuffle: Whether to shuffle, with NumPy's global generator, as Keras does under JAX.
    """

    def __init__(self, *tables: Any, batch_size: int, shuffle: bool = False):
        super().__init__()
        self.tables = tables
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.order: np.ndarray | None = None

    def __len__(self) -> int:
        return -(-len(self.tables[0]) // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        rows: Any = slice(index * self.batch_size, (index + 1) * self.batch_size)
        if self.shuffle:
            if self.order is None:
                self.order = np.random.permutation(len(self.tables[0]))
            rows = self.order[rows]
        return keras.utils.pack_x_y_sample_weight(*(_take(table, rows) for table in self.tables))

    def on_epoch_end(self) -> None:
        """Discards the order, so that the next epoch draws its own when it begins."""
        self.order = None


def _take(table, rows):
    return None if table is None else np.asarray(table[rows])
