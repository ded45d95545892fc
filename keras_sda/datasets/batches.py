"""Batches of rows, from arrays or datasets, and functions run on them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_sda.backend import shard_rows, without_gradients
from keras_sda.datasets.outside_memory import ComputedRows, epoch_order

# Rows per batch outside training: enough for the matrix products to dominate the time.
BATCH_SIZE = 1024


def is_dataset(x: Any) -> bool:
    """Whether `x` comes in batches of its own: a `PyDataset` or a `tf.data.Dataset`."""
    return isinstance(x, keras.utils.PyDataset) or shuffles_itself(x)


def shuffles_itself(x: Any) -> bool:
    """Whether `x` is a `tf.data.Dataset`, which Keras cannot shuffle."""
    return hasattr(x, "element_spec")


def first_batch(dataset: Any, owner: str, name: str = "x") -> np.ndarray:
    """Returns the inputs of a dataset's first batch; refuses an empty or an endless dataset."""
    batch = peek(dataset)
    if batch is None:
        raise ValueError(
            f"{owner} needs at least one batch in `{name}`. Received an empty dataset."
        )
    if is_endless(dataset):
        raise ValueError(
            f"{owner} needs a finite dataset in `{name}`. Received one that repeats for ever: "
            "leave repeat() out; `epochs` repeats it."
        )
    return np.asarray(inputs_of(batch))


def is_endless(dataset: Any) -> bool:
    """Whether a dataset is known to repeat its batches for ever."""
    if isinstance(dataset, keras.utils.PyDataset):
        return dataset.num_batches is None
    return hasattr(dataset, "cardinality") and int(dataset.cardinality()) == -1


def peek(dataset: Any) -> Any:
    """Returns the first batch of a dataset as it is, or `None` if there is none."""
    if isinstance(dataset, keras.utils.PyDataset):
        return None if dataset.num_batches == 0 else dataset[0]
    return next(iter(dataset), None)


def run_in_batches(
    function: Callable[[Any], Any],
    x: Any,
    batch_size: int = BATCH_SIZE,
    check: Callable[[np.ndarray], None] | None = None,
) -> np.ndarray:
    """Returns a function's outputs for all rows of `x`, computing each row once.

    Batches are large, so that nothing is gained by compiling the function; and unlike in Keras'
    `predict`, the result is never in memory twice.

    Args:
        function: Function of a batch of inputs that returns a tensor with as many rows.
        x: Array of rows, or a dataset of batches.
        batch_size: Rows per batch, if `x` is an array.
        check: Function that refuses a batch of a dataset, of which no more was looked at before.
    """
    if is_dataset(x):
        return np.concatenate(list(outputs_by_batch(function, x, batch_size, check)))
    batches = outputs_by_batch(function, x, batch_size)
    first = next(batches)
    outputs = np.empty((len(x), *first.shape[1:]), first.dtype)
    outputs[: len(first)] = first
    start = len(first)
    for batch in batches:
        outputs[start : start + len(batch)] = batch
        start += len(batch)
    return outputs


def outputs_by_batch(function, x, batch_size, check=None):
    """Yields a function's outputs batch by batch, as NumPy arrays."""
    for rows in row_batches(x, batch_size):
        if check is not None:
            check(to_numpy(rows))
        yield compute_batch(function, rows)


def row_batches(x, batch_size):
    """Yields rows batch by batch: those of a dataset, or `batch_size` rows of an array."""
    if is_dataset(x):
        yield from map(inputs_of, batches_of(x))
        return
    rows = x if isinstance(x, ComputedRows) else np.asarray(x)
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]


def compute_batch(function, rows):
    """Returns a function's outputs for one batch as an array, computed on all devices."""
    with without_gradients():
        return to_numpy(function(shard_rows(rows)))


def batches_of(dataset):
    """Returns an iterator over the batches of one pass over a dataset."""
    if isinstance(dataset, keras.utils.PyDataset):
        return (dataset[index] for index in range(dataset.num_batches))
    return iter(dataset)


def inputs_of(batch):
    """Returns the inputs of a batch, which may be `(x, y)` or `(x, y, sample_weight)`."""
    return batch[0] if isinstance(batch, (tuple, list)) else batch


def to_numpy(tensor) -> np.ndarray:
    """Returns a tensor as an array that NumPy can compute with."""
    array = keras.ops.convert_to_numpy(tensor)
    # NumPy has no arithmetic of its own for bfloat16.
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


class RowBatches(keras.utils.PyDataset):
    """Batches of rows that are not in memory, shuffled before every epoch; see `epoch_order`.

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
                self.order = epoch_order(self.tables[0], np.random)
            rows = self.order[rows]
        return keras.utils.pack_x_y_sample_weight(*(_take(table, rows) for table in self.tables))

    def on_epoch_end(self) -> None:
        """Discards the order, so that the next epoch draws its own when it begins."""
        self.order = None


def _take(table, rows):
    return None if table is None else np.asarray(table[rows])
