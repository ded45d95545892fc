"""Keras' own `fit`, with many training steps per call of the backend.

Same callbacks, histories and results; what differs is how often Python and the backend hand over to
each other, and that rows are shuffled anew before every epoch: under TensorFlow, once a seed is
set, Keras' own `fit` draws the same order again and again.
"""

import inspect
import math
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from keras_sda import backend
from keras_sda.backend.data_parallel import DataParallelModel
from keras_sda.backend.rows import ComputedRows, RowBatches, is_outside_memory

# Steps per call: many enough that calling costs nothing, few enough for a lively progress display.
_MOST_STEPS = 64
_MOST_ROWS = 8192

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
_FIT = inspect.signature(keras.Model.fit)


class FastFit(DataParallelModel):
    """A Keras model whose `fit` on arrays takes many steps per call of the backend.

    It does so under TensorFlow, on one device, for NumPy arrays, unless an argument of `fit` asks
    for what only Keras' own way has (`class_weight`, `validation_split`, `steps_per_epoch`). An
    array in a file (`np.memmap`) is read piece by piece, by either way, and never copied whole.

    A callback that wants to hear of every batch gets every batch, one per call. Keras'
    `compile(steps_per_execution=...)` sets the number of steps; left at 1, it is chosen so that
    calls are few and the progress display still moves.

    Attributes:
        steps_per_call: How many steps a call has taken in the latest `fit`; `None`: Keras' own way.
        rows_an_epoch: How many rows the latest `fit` was given; `None`: not known, as of datasets.
    """

    steps_per_execution: int

    def __init__(self, *args, **kwargs):
        # In a namespace, as Keras would track what is in it.
        self._fast = SimpleNamespace(functions={}, data=None)
        super().__init__(*args, **kwargs)
        self.steps_per_call: int | None = None
        self.rows_an_epoch: int | None = None

    def fit(self, *args, **kwargs):
        """Trains by Keras' own `fit`, whose arguments it takes."""
        arguments = dict(_FIT.bind(self, *args, **kwargs).arguments)
        del arguments["self"]
        self.steps_per_call = self._choose_steps(arguments)
        x: Any = arguments.get("x")
        self.rows_an_epoch = len(x) if is_table(x) else None
        batch_size = arguments.get("batch_size") or 32
        _feed_validation_by_batches(arguments, batch_size)
        if self.steps_per_call is None:
            if not is_outside_memory(arguments.get("x")):
                return super().fit(**arguments)
            tables = [arguments.pop(name, None) for name in ("x", "y", "sample_weight")]
            arguments.pop("batch_size", None)
            shuffle = arguments.pop("shuffle", True)
            batches = RowBatches(*tables, batch_size=batch_size, shuffle=shuffle)
            return super().fit(batches, shuffle=False, **arguments)
        _, y, weight = (arguments.pop(name, None) for name in ("x", "y", "sample_weight"))
        arguments.pop("batch_size", None)
        fast = self._fast
        fast.data = keras.utils.pack_x_y_sample_weight(x, y, weight)
        tables = keras.tree.flatten(fast.data)
        fast.kind = tuple((table.shape[1:], table.dtype.str) for table in tables)
        fast.by_pieces = any(map(is_outside_memory, tables))
        if not fast.by_pieces:
            fast.data = keras.tree.map_structure(backend.to_device, fast.data)
        fast.num_rows, fast.batch_size = len(x), batch_size
        fast.shuffle = arguments.pop("shuffle", True)
        fast.row_numbers = np.empty(0, np.int32)
        asked = self.steps_per_execution
        self.steps_per_execution = self.steps_per_call
        try:
            return super().fit(
                backend.endless_dataset(),
                steps_per_epoch=math.ceil(len(x) / batch_size),
                shuffle=False,
                **arguments,
            )
        finally:
            self.steps_per_execution = asked
            fast.data = None

    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """Returns loss and metrics by Keras' own `evaluate`, whose arguments it takes."""
        if is_outside_memory(x):
            weight = kwargs.pop("sample_weight", None)
            x = RowBatches(x, y, weight, batch_size=batch_size or 32)
            y = batch_size = None
        return super().evaluate(x, y, batch_size, *args, **kwargs)

    def _choose_steps(self, arguments):
        """Returns how many steps to take per call, or `None` for Keras' own way."""
        arrays = [arguments.get(name) for name in ("x", "y", "sample_weight")]
        given = [array for array in arrays if array is not None]
        keras_only = ("class_weight", "validation_split", "steps_per_epoch")
        if (
            arrays[0] is None
            or (arrays[1] is None and arrays[2] is not None)
            or not all(is_table(array) and len(array) == len(given[0]) for array in given)
            or any(arguments.get(name) for name in keras_only)
            or arguments.get("shuffle") == "batch"
            or not backend.can_group_steps(self)
        ):
            return None
        if any(map(wants_every_batch, listed(arguments.get("callbacks")))):
            return 1
        batch_size = arguments.get("batch_size") or 32
        steps = math.ceil(len(given[0]) / batch_size)
        if self.steps_per_execution > 1:
            return min(steps, self.steps_per_execution)
        calls = math.ceil(steps / max(1, min(_MOST_STEPS, _MOST_ROWS // batch_size)))
        return math.ceil(steps / calls)

    # Keras keeps one function for training and one for testing. What was traced for one number of
    # steps per call is wrong for another, so that there is one for each; setting one to None, as
    # `compile` does, forgets them all.

    @property
    def train_function(self):
        return self._fast.functions.get(self._key("train"))

    @train_function.setter
    def train_function(self, function):
        self._keep("train", function)

    @property
    def test_function(self):
        return self._fast.functions.get(self._key("test"))

    @test_function.setter
    def test_function(self, function):
        self._keep("test", function)

    def _key(self, name):
        is_fast = name == "train" and self._fast.data is not None
        kind = self._fast.kind if is_fast else None
        return name, kind, getattr(self, "steps_per_execution", 1)

    def _keep(self, name, function):
        functions = self._fast.functions
        if function is not None:
            functions[self._key(name)] = function
            return
        for key in [key for key in functions if key[0] == name]:
            del functions[key]

    def make_train_function(self, force=False):
        """Makes the function that Keras' `fit` calls for each group of steps."""
        if self._fast.data is None:
            return super().make_train_function(force)
        if self.train_function is not None and not force:
            return self.train_function
        if self.optimizer is not None and not self.optimizer.built:
            # Inside the traced function it would take a second tracing.
            self.optimizer.build(self.trainable_variables)
        train = backend.many_steps(self, self._fast.data)

        def function(_):
            fast = self._fast
            if len(fast.row_numbers) == 0:  # an epoch begins
                order = np.random.permutation if fast.shuffle else np.arange
                fast.row_numbers = order(fast.num_rows).astype(np.int32)
            now = self.steps_per_execution * fast.batch_size
            rows, fast.row_numbers = np.split(fast.row_numbers, [now])
            data = fast.data
            if fast.by_pieces:
                data = _rows_on_device(data, rows)
                rows = np.arange(len(rows), dtype=np.int32)
            logs, fast.finite_steps = train(data, rows, np.int32(fast.batch_size))
            return logs

        self.train_function = function
        return function

    def first_bad_step(self, last_step: int) -> int:
        """Returns the number, from 1, of the first step of an epoch whose loss was not finite.

        Args:
            last_step: Number, from 0, of the last step of the latest call, as callbacks get it.
        """
        if self.steps_per_call is None:
            return last_step + 1
        return last_step + 1 - self.steps_per_call + int(self._fast.finite_steps) + 1


def _rows_on_device(tables, rows):
    return keras.tree.map_structure(lambda table: backend.to_device(table[rows]), tables)


def _feed_validation_by_batches(arguments, batch_size):
    """Keeps `fit` from copying validation data that do not lie in memory."""
    size = arguments.get("validation_batch_size") or batch_size
    held_out = arguments.get("validation_data")
    tables = held_out if isinstance(held_out, tuple) else (held_out,)
    if any(map(is_outside_memory, tables)):
        arguments["validation_data"] = RowBatches(*tables, batch_size=size)
        arguments.pop("validation_batch_size", None)
    else:
        arguments["validation_batch_size"] = size


def is_table(array: Any) -> bool:
    """Whether something is an array of numbers, in memory, in a file, or to be computed."""
    if isinstance(array, ComputedRows):
        return True
    return isinstance(array, np.ndarray) and array.ndim > 0 and array.dtype.kind in "biuf"


def listed(callbacks: Any) -> list[Any]:
    """Returns callbacks as a list, however `fit` was given them."""
    if callbacks is None:
        return []
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def wants_every_batch(callback: Any) -> bool:
    """Whether a callback has hooks for batches, to be called for each single one.

    Those of `ModelCheckpoint` and its like do nothing when they save by the epoch; a callback says
    by an attribute `works_on_groups` that it does not mind hearing of several batches at once.
    """
    if getattr(callback, "works_on_groups", False):
        return False
    if getattr(callback, "save_freq", None) == "epoch":
        return False
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        return False
    return any(
        getattr(getattr(callback, hook), "__func__", None)
        is not getattr(keras.callbacks.Callback, hook)
        for hook in _BATCH_HOOKS
    )
