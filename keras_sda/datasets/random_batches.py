"""Batches drawn as in some sources: rows with replacement, or blocks of consecutive rows."""

import keras
import numpy as np


class RandomBlocks(keras.utils.PyDataset):
    """Batches of consecutive rows, each from a random position, so that blocks may overlap.

    Args:
        x: Array of rows.
        size: Rows per batch.
        count: Batches per epoch.
        seed: Seed of the positions.
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
        return self._take(slice(self._positions[index], self._positions[index] + self.size))

    def _take(self, rows):
        return self.x[rows] if self.y is None else (self.x[rows], self.y[rows])

    def draw(self, epoch):
        """Draws the positions for an epoch: the same ones if training resumes with this epoch."""
        rng = np.random.default_rng(self.seed)
        for _ in range(epoch + 1):
            self._positions = self._draw_positions(rng)

    def _draw_positions(self, rng):
        return rng.integers(0, len(self.x) - self.size, self.count)


class RandomRows(RandomBlocks):
    """Batches of rows drawn at random, with replacement."""

    def __getitem__(self, index):
        return self._take(self._positions[index])

    def _draw_positions(self, rng):
        return rng.integers(0, len(self.x), (self.count, self.size))


DRAWN: dict[str, type[RandomBlocks]] = {"rows": RandomRows, "blocks": RandomBlocks}


class DrawnByEpoch(keras.callbacks.Callback):
    """Tells such batches which epoch begins, so that they are right when training resumes, too.

    Args:
        batches: A `RandomBlocks`.
    """

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.draw(epoch)
