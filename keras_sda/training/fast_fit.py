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
from keras_sda.datasets.outside_memory import ComputedRows, RowBatches, is_outside_memory

# Steps per call: many enough that calling costs nothing, few enough for a lively progress display.
_MOST_STEPS = 64
_MOST_ROWS = 8192

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
_FIT = inspect.signature(keras.Model.fit)


class FastFit(backend.Trainer):
    """A Keras model whose `fit` on arrays takes many steps per call of the backend.

    It does so under TensorFlow, on one device or several (TPUs apart), and under JAX on one device,
    for NumPy arrays, unless an argument of `fit` asks for what only Keras' own way has
    (`class_weight`, `validation_split`, `steps_per_epoch`). An array in a file (`np.memmap`) is
    read piece by piece, under JAX always by Keras' own way, and never copied whole.

    A callback that wants to hear of every batch gets every batch, one per call. Keras'
    `compile(steps_per_execution=...)` sets the number of steps; left at 1, it is chosen so that
    calls are few and the progress display still moves.

    Attributes:
        steps_per_call: How many steps a call has taken in the latest `fit`; `None`: Keras' own way.
        compiled_by_xla: Whether XLA compiled the loop over the steps of a call in the latest `fit`:
            under JAX always, under TensorFlow on processors for batches of at most 64 rows, if
            there are steps enough to make up for it. Noise is the same, and results agree to
            rounding.
        rows_an_epoch: How many rows the latest `fit` was given; `None`: not known, as of datasets.
        can_resume_mid_epoch: Whether the latest `fit` can be gone on with from within an epoch.
    """

    steps_per_execution: int
    # What `compile` was given; Keras keeps what "auto" came to.
    _given_jit_compile: bool | str = "auto"

    def __init__(self, *args, **kwargs):
        # In a namespace, as Keras would track what is in it.
        self._fast = SimpleNamespace(
            functions={}, data=None, tested=None, example=None, may_replay=False, replayed_logs=None
        )
        super().__init__(*args, **kwargs)
        self.steps_per_call: int | None = None
        self.compiled_by_xla = False
        self.rows_an_epoch: int | None = None
        self.can_resume_mid_epoch = False

    def compile_from_config(self, config):
        """Compiles a loaded model as the saved one was."""
        # Keras leaves this to classes with a `compile` of their own, even one with its arguments.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    @backend.in_own_scope
    def fit(self, *args, **kwargs):
        """Trains by Keras' own `fit`, whose arguments it takes."""
        arguments = dict(_FIT.bind(self, *args, **kwargs).arguments)
        del arguments["self"]
        callbacks = listed(arguments.get("callbacks"))
        backup = _backup_among(callbacks)
        if backup is None:
            return self._fit(arguments)
        arguments["callbacks"] = callbacks
        with backup.around_fit(self, arguments):
            return self._fit(arguments, backup)

    def _fit(self, arguments, backup=None):
        tables = [arguments.get(name) for name in ("x", "y", "sample_weight")]
        if all(table is None or is_table(table) for table in tables):
            self._fast.example = keras.utils.pack_x_y_sample_weight(*map(_first_row, tables))
        try:
            return self._fit_to(arguments, backup)
        finally:
            self._fast.example = None

    def _fit_to(self, arguments, backup):
        self.steps_per_call = self._choose_steps(arguments, backup)
        self.compiled_by_xla = False
        x: Any = arguments.get("x")
        self.rows_an_epoch = len(x) if is_table(x) else None
        self._fast.may_replay = backup is not None
        # TensorFlow's own shuffling tells nobody where it is, and of several devices each has a
        # part of the metrics of an epoch.
        self.can_resume_mid_epoch = not backend.is_distributed(self) and (
            self.steps_per_call is not None
            or (self.rows_an_epoch is not None and backend.RESTORES_SHUFFLING)
        )
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
        fast.on_host = backend.is_distributed(self)
        if not fast.by_pieces:
            fast.data = _on_device(fast.data, fast.on_host)
        fast.num_rows, fast.batch_size = len(x), batch_size
        fast.epochs, fast.by_xla = arguments.get("epochs") or 1, False
        fast.shuffle = arguments.pop("shuffle", True)
        fast.row_numbers = np.empty(0, np.int32)
        asked = self.steps_per_execution
        self.steps_per_execution = self.steps_per_call
        try:
            return super().fit(
                backend.endless_dataset(self),
                steps_per_epoch=math.ceil(len(x) / batch_size),
                shuffle=False,
                **arguments,
            )
        finally:
            self.steps_per_execution = asked
            fast.data = None

    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """Returns loss and metrics by Keras' own `evaluate`, whose arguments it takes."""
        given = [table for table in (x, y, kwargs.get("sample_weight")) if table is not None]
        if (
            backend.is_distributed(self)
            and backend.can_group_steps(self)
            and all(isinstance(table, np.ndarray) and is_table(table) for table in given)
            and not any(map(is_outside_memory, given))
            and not kwargs.get("steps")
        ):
            return self._evaluate_at_once(x, y, batch_size or 32, *args, **kwargs)
        if is_outside_memory(x):
            weight = kwargs.pop("sample_weight", None)
            x = RowBatches(x, y, weight, batch_size=batch_size or 32)
            y = batch_size = None
        return super().evaluate(x, y, batch_size, *args, **kwargs)

    def _evaluate_at_once(self, x, y, batch_size, *args, sample_weight=None, **kwargs):
        """Evaluates on several devices in one call, which Keras' distributed iterators slow down.

        Callbacks hear of one batch, which is all of them.
        """
        kwargs |= {"steps": 1, "_use_cached_eval_dataset": False}
        tables = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        self._fast.tested = _on_device(tables, on_host=True), np.int32(batch_size)
        try:
            return super().evaluate(backend.endless_dataset(self), None, None, *args, **kwargs)
        finally:
            self._fast.tested = None

    def _choose_steps(self, arguments, backup):
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
            or not backend.can_group_steps(self, any(map(is_outside_memory, given)))
        ):
            return None
        if backup is not None and backup.steps_per_call is not None:
            return backup.steps_per_call
        if any(map(wants_every_batch, listed(arguments.get("callbacks")))):
            return 1
        batch_size = arguments.get("batch_size") or 32
        steps = math.ceil(len(given[0]) / batch_size)
        if self.steps_per_execution > 1:
            return min(steps, self.steps_per_execution)
        if backup is not None and backup.every is not None:
            steps = min(steps, backup.every)
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
        kind = None
        if name == "train" and self._fast.data is not None:
            kind = self._fast.by_xla, *self._fast.kind
        elif name == "test" and self._fast.tested is not None:
            tables = keras.tree.flatten(self._fast.tested)
            kind = tuple((table.shape[1:], table.dtype) for table in tables)
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
            super().make_train_function(force)
            if self._fast.may_replay and self.can_resume_mid_epoch:
                self.train_function = backend.replaying(self, self.train_function)
            return self.train_function
        fast = self._fast
        steps = fast.epochs * math.ceil(fast.num_rows / fast.batch_size)
        fast.by_xla = backend.is_worth_compiling(self, fast.batch_size, steps, fast.by_pieces)
        self.compiled_by_xla = fast.by_xla
        if self.train_function is not None and not force:
            return self.train_function
        if self.optimizer is not None and not self.optimizer.built:
            # Inside the traced function it would take a second tracing.
            self.optimizer.build(self.trainable_variables)
        train = backend.make_multi_step(self, fast.data, by_xla=fast.by_xla)

        # Under JAX, Keras hands the model's state over and takes the new one.
        def function(*state_and_iterator):
            *state, _ = state_and_iterator
            if fast.replayed_logs is not None:
                logs = dict(fast.replayed_logs)
            else:
                logs, fast.finite_steps, *state = train(*state, *self._next_rows())
            return (logs, *state) if state else logs

        self.train_function = function
        return function

    def _next_rows(self):
        """Returns data for the next call, the numbers of its rows in them, and the batch size."""
        fast = self._fast
        if len(fast.row_numbers) == 0:  # an epoch begins
            fast.row_numbers = np.arange(fast.num_rows, dtype=np.int32)
            if fast.shuffle:
                order = np.random.permutation(fast.num_rows).astype(np.int32)
                fast.row_numbers = backend.from_chief(order)
        now = self.steps_per_execution * fast.batch_size
        rows, fast.row_numbers = np.split(fast.row_numbers, [now])
        data = fast.data
        if fast.by_pieces:
            tables = keras.tree.map_structure(lambda table: table[rows], data)
            data = _on_device(tables, fast.on_host)
            rows = np.arange(len(rows), dtype=np.int32)
        return data, rows, np.int32(fast.batch_size)

    # What `callbacks.Backup` asks in order to go on from within an epoch. Keras counts the steps of
    # an epoch from its beginning; those that were taken before are gone through without training.

    @property
    def replayed_logs(self) -> dict[str, float] | None:
        """The logs of the step that is gone on from, until it is come to; else `None`."""
        return self._fast.replayed_logs

    @replayed_logs.setter
    def replayed_logs(self, logs):
        self._fast.replayed_logs = logs

    def remaining_rows(self) -> np.ndarray | None:
        """Returns the numbers of the rows that this epoch has still to train on, if it is known."""
        return self._fast.row_numbers if self._fast.data is not None else None

    def resume_rows(self, rows: np.ndarray | None) -> None:
        """Trains on these rows in what is left of the epoch.

        Args:
            rows: What `remaining_rows` has returned.
        """
        if rows is not None:
            self._fast.row_numbers = rows

    def build_metrics(self) -> None:
        """Makes the variables of the metrics, which under TensorFlow come with the first step."""
        if self._fast.data is None:
            return
        batch = self.example_batch()
        if self._fast.by_pieces:
            batch = _on_device(batch, on_host=False)
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)

        def test():
            outputs = self(x, training=False)
            self.compute_loss(x, y, outputs, weight, training=False)
            self.compute_metrics(x, y, outputs, weight)

        backend.make_variables(test)

    def make_test_function(self, force=False):
        """Makes the function that Keras' `evaluate` calls for each group of steps."""
        if self._fast.tested is None:
            return super().make_test_function(force)
        if self.test_function is not None and not force:
            return self.test_function
        test = backend.make_multi_step(self, self._fast.tested[0], training=False)

        def function(_):
            tables, batch_size = self._fast.tested
            rows = np.arange(len(keras.tree.flatten(tables)[0]), dtype=np.int32)
            return test(tables, rows, batch_size)[0]

        self.test_function = function
        return function

    def _symbolic_build(self, iterator=None, data_batch=None):
        # What Keras iterates over here may hold no rows, or draw an order for each batch asked for.
        super()._symbolic_build(iterator, self._fast.example if data_batch is None else data_batch)

    def example_batch(self):
        """Returns a few of the rows that training takes, if it takes them from arrays."""
        if self._fast.tested is not None:
            return keras.tree.map_structure(lambda table: table[:1], self._fast.tested[0])
        if self._fast.data is None:
            return None
        one = np.zeros(1, np.int32)
        if self._fast.by_pieces:
            return keras.tree.map_structure(lambda table: table[one], self._fast.data)
        return keras.tree.map_structure(lambda table: table[:1], self._fast.data)

    def first_bad_step(self, last_step: int) -> int:
        """Returns the number, from 1, of the first step of an epoch whose loss was not finite.

        Args:
            last_step: Number, from 0, of the last step of the latest call, as callbacks get it.
        """
        if self.steps_per_call is None:
            return last_step + 1
        return last_step + 1 - self.steps_per_call + int(self._fast.finite_steps) + 1


def _first_row(table):
    """Returns the first row of a table in the dtype in which `fit` gives it, or `None`."""
    if table is None:
        return None
    return np.asarray(table[:1], keras.config.floatx() if table.dtype.kind == "f" else None)


def _on_device(tables, on_host):
    return keras.tree.map_structure(lambda table: backend.to_device(table, on_host), tables)


def _backup_among(callbacks):
    """Returns the `callbacks.Backup` in a list of callbacks, or `None`."""
    backups = [callback for callback in callbacks if hasattr(callback, "around_fit")]
    if len(backups) > 1:
        raise ValueError(f"fit() takes one Backup. Received {len(backups)} among the callbacks.")
    return backups[0] if backups else None


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
    by an attribute `accepts_step_groups` that it does not mind hearing of several batches at once.
    """
    if getattr(callback, "accepts_step_groups", False):
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
