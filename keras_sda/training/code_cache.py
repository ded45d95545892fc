"""The codes that a trained level hands to the next one: where they are kept."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_sda import backend
from keras_sda.datasets.batches import (
    BATCH_SIZE,
    compute_batch,
    inputs_of,
    is_dataset,
    outputs_by_batch,
    run_in_batches,
    shuffles_itself,
)
from keras_sda.datasets.memory import available_memory, gibibytes
from keras_sda.datasets.outside_memory import ComputedRows, StoredRows
from keras_sda.datasets.scratch import ScratchFolder, remove_left_behind, told_if_full

OWNER = "pretrain()"
_PREFIX = "keras_sda_codes_"
CACHES = ("auto", "memory", "disk", "recompute")


class CodeCache:
    """Makes the codes of one level after the other, and keeps those that are needed.

    A context manager: what it wrote is removed on leaving, also after an error.

    Args:
        kind: `"memory"`, `"disk"`, `"recompute"`, or `"auto"`: recompute if the inputs are rows
            that `load` keeps in a file; else memory if the codes take at most half of what is
            available now, else disk.
        folder: Where `"disk"` makes a folder of its own; by default where temporary files go.
        layers: All layers of the stack; the codes of all but the last are needed.
        tables: The inputs of the first level and, if any, those held out for validation.

    Attributes:
        kind: Where codes are kept; `"auto"` has been decided.

    Raises:
        ValueError: If codes cannot be kept in this way, or `folder` is missing or too small.
    """

    def __init__(self, kind, folder, layers, tables):
        self._layers = layers
        self._tables = tables
        self._folder = Path(tempfile.gettempdir() if folder is None else folder)
        needed = self._bytes_at_once()
        if kind == "auto" and any(isinstance(table, StoredRows) for table in tables):
            # Such rows are many: writing and reading their codes takes longer than computing them.
            kind = "recompute"
        if kind == "auto":
            fits = 2 * (needed or 0) <= available_memory()
            # The chief's memory decides, so that all workers go the same way.
            kind = "memory" if backend.from_chief(np.array([fits], "int32"))[0] else "disk"
        self.kind = kind
        if kind == "recompute":
            self._check_recomputable()
        if kind == "disk" and len(layers) > 1:
            self._check_room(needed)
        self._own_folder: ScratchFolder | None = None

    def _bytes_at_once(self):
        """Returns how much the codes of two levels take, or `None` if rows cannot be counted."""
        if any(table is not None and is_dataset(table) for table in self._tables):
            return None
        rows = sum(len(table) for table in self._tables if table is not None)
        sizes = [
            rows * layer.units * np.dtype(codes_dtype(layer)).itemsize
            for layer in self._layers[:-1]
        ]
        pairs = [sum(sizes[level : level + 2]) for level in range(len(sizes))]
        return max(pairs, default=0)

    def _check_recomputable(self):
        for table in self._tables:
            if table is not None and shuffles_itself(table):
                raise ValueError(
                    f"{OWNER} recomputes codes for arrays and for a keras.utils.PyDataset, not "
                    "for a tf.data.Dataset: use cache='disk' or 'memory'."
                )

    def _check_room(self, needed):
        if not self._folder.is_dir():
            raise ValueError(f"{OWNER} found no folder {self._folder} for cache='disk'.")
        free = shutil.disk_usage(self._folder).free
        if needed is not None and needed > free:
            raise ValueError(
                f"{OWNER} needs {gibibytes(needed)} for codes on disk, but {self._folder} has "
                f"{gibibytes(free)} left: pass a cache_dir with more room, or cache='recompute'."
            )

    def __enter__(self):
        if self.kind == "disk" and len(self._layers) > 1:
            self._own_folder = ScratchFolder(_PREFIX, self._folder)
        else:  # what killed processes have left goes in any case
            remove_left_behind(_PREFIX, self._folder)
        return self

    def __exit__(self, *error):
        if self._own_folder is not None:
            self._own_folder.close()

    def encode(self, level: int, inputs: Any, name: str) -> Any:
        """Returns the codes of a level, in a form that `fit` takes; frees those it read from.

        Args:
            level: Number of the trained level, from 0.
            inputs: Its inputs, as this method returned them for the level below.
            name: Tells several tables of inputs apart.
        """
        layer = self._layers[level]
        if inputs is None:
            return None
        if self.kind == "memory":
            return run_in_batches(*_in_parallel(layer, inputs))
        if self.kind == "disk":
            return self._on_disk(layer, inputs, level, name)

        def codes(rows):
            return compute_batch(layer, rows)

        if is_dataset(inputs):
            return _ComputedBatches(inputs, codes)
        return ComputedRows(inputs, codes, layer.units, codes_dtype(layer))

    def _on_disk(self, layer, inputs, level, name):
        assert self._own_folder is not None  # noqa: S101  # made by `__enter__`
        folder = self._own_folder.path
        path = folder / f"{name}_{level + 1}"
        # Written as a file, not through memory: there, a full disk would kill the process.
        sentence = (
            f"{OWNER} ran out of room on disk for the codes of level {level + 1}; the levels so "
            f"far are trained. Pass a cache_dir with more room than {self._folder} has, or "
            "cache='recompute'."
        )
        with told_if_full(sentence), path.open("wb") as file:
            for batch in outputs_by_batch(*_in_parallel(layer, inputs)):
                batch.tofile(file)
        (folder / f"{name}_{level}").unlink(missing_ok=True)
        rows = path.stat().st_size // (batch.itemsize * layer.units)
        return np.memmap(path, dtype=batch.dtype, mode="r", shape=(rows, layer.units))


def _in_parallel(layer, inputs):
    """Returns what `run_in_batches` takes, for all replicas of a strategy to share the work."""
    return backend.in_parallel(layer), inputs, BATCH_SIZE * backend.num_replicas()


class _ComputedBatches(keras.utils.PyDataset):
    """A dataset's batches sent through a function."""

    def __init__(self, dataset, function):
        super().__init__()
        self.dataset = dataset
        self.function = function

    def __len__(self):
        return self.dataset.num_batches

    def __getitem__(self, index):
        return self.function(inputs_of(self.dataset[index]))

    def on_epoch_end(self):
        self.dataset.on_epoch_end()


def codes_dtype(layer: keras.layers.Layer) -> str:
    """Returns the dtype of a layer's codes as NumPy arrays."""
    return "float64" if layer.compute_dtype == "float64" else "float32"
