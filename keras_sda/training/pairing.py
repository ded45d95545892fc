"""Steps on pairs of rows: any row beside a labelled one, as semi-supervised models train.

An epoch is one pass over all rows. Each step takes a batch of them and as many labelled rows, which
are gone through again and again as often as needed. The rows of a batch alternate, so that every
part of it that a device gets, if it has an even number of rows, is made of whole pairs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_sda import backend
from keras_sda.datasets.batches import batches_of, peek
from keras_sda.datasets.labels import UNLABELLED
from keras_sda.training.plan import FitPlan


def labelled_rows(y: np.ndarray) -> np.ndarray:
    """Returns the numbers of the rows that have a label."""
    return np.flatnonzero(np.asarray(y).reshape(-1) != UNLABELLED)


def pair_order(num_rows, labelled, batch_size, permute: Callable[[int], np.ndarray]) -> np.ndarray:
    """Returns the numbers of the rows of an epoch: any row, a labelled one, any row, ...

    All batches are of the same size. Where the rows do not fill the last one, it is filled up with
    the first rows of another order.

    Args:
        num_rows: How many rows there are.
        labelled: Numbers of those that have a label.
        batch_size: Pairs of a batch.
        permute: Function of a count that returns the numbers below it in the order to take.

    Example:

    >>> pair_order(3, np.array([2]), 2, np.arange).tolist()
    [0, 2, 1, 2, 2, 2, 0, 2]
    """
    pairs = -(-num_rows // batch_size) * batch_size
    rows = _repeated(num_rows, pairs, permute)
    return np.stack([rows, labelled[_repeated(len(labelled), pairs, permute)]], axis=1).reshape(-1)


def _repeated(count, length, permute):
    """Returns so many numbers below `count`, one order of them after the other."""
    orders = [permute(count) for _ in range(-(-length // count))]
    return np.concatenate(orders)[:length]


def split_pairs(batch: Any) -> Any:
    """Returns `((rows, labelled rows), labels[, weights])` of a batch of alternating rows."""
    x, *others = batch
    every, labelled = _halves(x)
    return ((every, labelled), *(_halves(table)[1] for table in others if table is not None))


def _halves(table):
    shape = keras.ops.shape(table)
    pairs = keras.ops.reshape(table, (-1, 2, *shape[1:]))
    return pairs[:, 0], pairs[:, 1]


@dataclass(frozen=True)
class PairPlan(FitPlan):
    """A `FitPlan` whose steps take pairs of rows.

    Args:
        labelled: Numbers of the rows that have a label.
    """

    labelled: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, model: Any, tables: list[Any], steps_per_call: int, **options: Any) -> FitPlan:
        """Returns the plan of a `fit`, its data on the device; see `FitPlan.of`."""
        options["batch_size"] = min(options["batch_size"], len(tables[0]))
        labelled = labelled_rows(tables[1])
        return super().of(model, tables, steps_per_call, labelled=labelled, **options)

    @property
    def rows_per_step(self) -> int:
        """Rows of a batch: two for each pair."""
        return 2 * self.batch_size

    @property
    def rows_per_epoch(self) -> int:
        """Rows of all pairs: the last batch of an epoch is filled up."""
        return self.rows_per_step * self.steps_per_epoch

    def order(self) -> np.ndarray:
        """Returns the numbers of the rows of a new epoch, on all workers the same."""
        permute = backend.shuffling_generator().permutation if self.shuffle else np.arange
        order = pair_order(self.num_rows, self.labelled, self.batch_size, permute)
        return backend.from_chief(order.astype(np.int32))


class PairBatches(keras.utils.PyDataset):
    """Batches of pairs from arrays, for Keras' own `fit`.

    `callbacks.DrawnByEpoch`, given to the same `fit`, tells which epoch begins.

    Args:
        tables: `x`, `y` and `sample_weight`, of which the last may be `None`.
        batch_size: Pairs of a batch.
        shuffle: Whether rows are shuffled before each epoch.
    """

    def __init__(self, tables: list[Any], batch_size: int, shuffle: bool = True):
        super().__init__()
        self._tables = [table for table in tables if table is not None]
        self._labelled = labelled_rows(tables[1])
        self._batch_size = min(batch_size, len(tables[0]))
        self._shuffle = shuffle
        self._seed = int(2**31 * backend.shuffling_generator().random())
        self.draw(0)

    def __len__(self) -> int:
        return len(self._order) // (2 * self._batch_size)

    def __getitem__(self, index: int) -> Any:
        size = 2 * self._batch_size
        rows = self._order[index * size : (index + 1) * size]
        return tuple(np.asarray(table[rows]) for table in self._tables)

    def draw(self, epoch: int) -> None:
        """Draws the order of an epoch."""
        rng = np.random.default_rng([self._seed, epoch])
        permute = rng.permutation if self._shuffle else np.arange
        rows = len(self._tables[0])
        self._order = pair_order(rows, self._labelled, self._batch_size, permute)


class StreamedPairs(keras.utils.PyDataset):
    """Pairs from a dataset of batches: its own batches, each with as many labelled rows beside it.

    The labelled rows, few as they are, are read once and kept in memory. A batch with fewer rows
    than the first is filled up with rows of the batch before.

    Args:
        dataset: A `PyDataset` or `tf.data.Dataset` of `(x, y)` or `(x, y, sample_weight)`.

    Attributes:
        labels: The labels of the labelled rows.
        labelled_rows: These rows and their labels.
    """

    def __init__(self, dataset: Any):
        super().__init__()
        self._dataset = dataset
        found = [_labelled_part(batch) for batch in batches_of(dataset)]
        self._count = len(found)
        self._labelled = [np.concatenate(parts) for parts in zip(*found, strict=True)]
        self.labels = self._labelled[1]
        self.labelled_rows = self._labelled[:2]
        self._size = 0
        self._rows: Any = None
        self._before: list[np.ndarray] = []
        self._pending = np.empty(0, np.int64)
        self._seed = int(2**31 * backend.shuffling_generator().random())
        self.draw(0)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        if index == 0 or self._rows is None:
            self._rows = batches_of(self._dataset)
        tables = [np.asarray(table) for table in next(self._rows)]
        self._size = self._size or len(tables[0])
        if len(tables[0]) < self._size and self._before:
            both = zip(tables, self._before, strict=True)
            tables = [np.concatenate(pair)[: self._size] for pair in both]
        self._before = tables
        while len(self._pending) < len(tables[0]):
            order = self._rng.permutation(len(self.labels))
            self._pending = np.concatenate([self._pending, order])
        rows, self._pending = np.split(self._pending, [len(tables[0])])
        pairs = zip(tables, self._labelled, strict=True)
        return tuple(_alternating(every, labelled[rows]) for every, labelled in pairs)

    def draw(self, epoch: int) -> None:
        """Draws which labelled rows the steps of an epoch take."""
        self._rng = np.random.default_rng([self._seed, epoch])
        self._pending = np.empty(0, np.int64)
        self._rows = None
        self._before = []

    def on_epoch_end(self) -> None:
        """Lets the dataset prepare its next epoch."""
        if isinstance(self._dataset, keras.utils.PyDataset):
            self._dataset.on_epoch_end()


class LabelledBatches(keras.utils.PyDataset):
    """The labelled rows of a dataset of batches, in batches as large as its first.

    Args:
        dataset: As in `StreamedPairs`.
    """

    def __init__(self, dataset: Any):
        super().__init__()
        self._dataset = dataset
        sizes = [len(_labelled_part(batch)[0]) for batch in batches_of(dataset)]
        self.num_labelled = sum(sizes)
        first = peek(dataset)
        self._size = 1 if first is None else len(first[0])
        self._rows: Iterator[Any] | None = None
        self._left: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return -(-self.num_labelled // self._size)

    def __getitem__(self, index: int) -> Any:
        if index == 0 or self._rows is None:
            self._rows, self._left = batches_of(self._dataset), None
        while self._left is None or len(self._left[0]) < self._size:
            batch = next(self._rows, None)
            if batch is None:
                break
            part = _labelled_part(batch)
            left = self._left or [table[:0] for table in part]
            self._left = [np.concatenate(pair) for pair in zip(left, part, strict=True)]
        tables: Any = self._left
        self._left = [table[self._size :] for table in tables]
        return tuple(table[: self._size] for table in tables)


def _alternating(every, labelled):
    return np.stack([every, labelled], axis=1).reshape(-1, *every.shape[1:])


def _labelled_part(batch):
    """Returns the tables of a batch, with the rows that have a label alone."""
    tables = [np.asarray(table) for table in batch]
    rows = labelled_rows(tables[1])
    return [table[rows] for table in tables]
