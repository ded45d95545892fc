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
        self.seed = seed
        self.draw(epoch=0)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self._take(slice(self._places[index], self._places[index] + self.size))

    def _take(self, rows):
        return self.x[rows] if self.y is None else (self.x[rows], self.y[rows])

    def draw(self, epoch):
        """Takes the places of an epoch, the same however training came to it."""
        rng = np.random.default_rng(self.seed)
        for _ in range(epoch + 1):
            self._places = self._drawn(rng)

    def _drawn(self, rng):
        return rng.integers(0, len(self.x) - self.size, self.count)


class RandomRows(RandomBlocks):
    """Batches of rows drawn at random from all."""

    def __getitem__(self, index):
        return self._take(self._places[index])

    def _drawn(self, rng):
        return rng.integers(0, len(self.x), (self.count, self.size))


DRAWN: dict[str, type[RandomBlocks]] = {"rows": RandomRows, "blocks": RandomBlocks}


class DrawnByEpoch(keras.callbacks.Callback):
    """Tells such batches which epoch begins, so that they know it after an interruption too.

    Args:
        batches: A `RandomBlocks`.
    """

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.draw(epoch)
