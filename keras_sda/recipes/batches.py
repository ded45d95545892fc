"""Batches as some sources draw them: with replacement, in blocks."""

import keras
import numpy as np


class RandomBlocks(keras.utils.PyDataset):
    """Batches of neighbouring rows, each from a random place, so that rows come again at will.

    Args:
        x: Array of rows.
        size: Rows in a batch.
        count: Batches in an epoch.
        seed: Of the places.
        y: Labels, or `None`.
    """

    def __init__(self, x, size, count, seed, y=None):
        super().__init__()
        self.x = x
        self.y = y
        self.size = size
        self.count = count
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self._take(slice(self._starts[index], self._starts[index] + self.size))

    def _take(self, rows):
        return self.x[rows] if self.y is None else (self.x[rows], self.y[rows])

    def on_epoch_end(self):
        self._starts = self._rng.integers(0, len(self.x) - self.size, self.count)


class RandomRows(RandomBlocks):
    """Batches of rows drawn at random from all."""

    def __getitem__(self, index):
        return self._take(self._rows[index])

    def on_epoch_end(self):
        self._rows = self._rng.integers(0, len(self.x), (self.count, self.size))
