"""What one `fit` is to do, decided before its first step, and how far it is."""

import functools
import math
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_sda import backend
from keras_sda.datasets.batches import RowBatches
from keras_sda.datasets.outside_memory import (
    ComputedRows,
    epoch_order,
    is_outside_memory,
)

# The arguments of `fit` that hold one entry per row.
TABLES = ("x", "y", "sample_weight")
# Steps per call: many enough that calling costs nothing, few enough for a lively progress display.
_MOST_STEPS = 64
_MOST_ROWS = 8192
# The same where nobody looks on between epochs, and Ctrl-C still has to be answered.
_MOST_STEPS_UNSEEN = 512


@dataclass(frozen=True)
class FitPlan:
    """What a `fit` on arrays with many steps per call is to do; made once for each `fit`.

    Args:
        data: `x`, `(x, y)` or `(x, y, sample_weight)`: on the device, or as they were given if they
            are read by pieces.
        num_rows: Rows of each of them.
        batch_size: Rows of a batch.
        steps_per_call: Training steps that a call of the backend takes.
        epochs: Passes over the data.
        shuffle: Whether rows are shuffled before each epoch.
        by_pieces: Whether rows are read from a file, or computed, for each call.
        on_host: Whether they stay in the machine's memory, for several devices to take from.
        compiled_by_xla: Whether XLA compiles the loop over the steps of a call.
        epochs_per_call: Epochs that a call takes, if it takes whole ones.
    """

    data: Any
    num_rows: int
    batch_size: int
    steps_per_call: int
    epochs: int
    shuffle: bool
    by_pieces: bool
    on_host: bool
    compiled_by_xla: bool
    epochs_per_call: int = 1

    @classmethod
    def of(cls, model: Any, tables: list[Any], steps_per_call: int, **options: Any) -> "FitPlan":
        """Returns the plan of a `fit`, its data on the device.

        Args:
            model: The model that is fitted.
            tables: `x`, `y` and `sample_weight`, of which the last ones may be `None`.
            steps_per_call: Training steps that a call of the backend takes.
            **options: `batch_size`, `epochs`, `shuffle`, and `epochs_per_call` if it is not 1.
        """
        by_pieces = any(map(is_outside_memory, tables))
        on_host = backend.is_distributed(model)
        data = keras.utils.pack_x_y_sample_weight(*tables)
        num_rows, batch_size = len(tables[0]), options["batch_size"]
        steps = options["epochs"] * math.ceil(num_rows / batch_size)
        return cls(
            data=data if by_pieces else to_device(data, on_host),
            num_rows=num_rows,
            steps_per_call=steps_per_call,
            by_pieces=by_pieces,
            on_host=on_host,
            compiled_by_xla=model.built and backend.is_worth_compiling(model, batch_size, steps),
            **options,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch, the last one possibly smaller."""
        return math.ceil(self.num_rows / self.batch_size)

    @property
    def rows_per_step(self) -> int:
        """Rows that a step takes."""
        return self.batch_size

    @functools.cached_property
    def kind(self) -> tuple[Any, ...]:
        """What a training function is made for: data of the same kind can be given to it again."""
        tables = keras.tree.flatten(self.data)
        shapes = ((table.shape[1:], str(table.dtype)) for table in tables)
        return self.compiled_by_xla, self.epochs_per_call > 1, *shapes

    def order(self) -> np.ndarray:
        """Returns the numbers of all rows in the order of a new epoch, on all workers the same."""
        if not self.shuffle:
            return np.arange(self.num_rows, dtype=np.int32)
        generator = backend.shuffling_generator()
        if self.by_pieces:
            order = epoch_order(keras.tree.flatten(self.data)[0], generator)
        else:
            order = generator.permutation(self.num_rows)
        return backend.from_chief(order.astype(np.int32))

    def orders(self, epochs: int) -> np.ndarray:
        """Returns a table with the order of an epoch in each line."""
        return np.stack([self.order() for _ in range(epochs)])

    @property
    def rows_per_epoch(self) -> int:
        """Rows that the steps of an epoch take."""
        return self.num_rows

    def take(self, progress: "Progress") -> tuple[Any, np.ndarray]:
        """Returns data that hold the rows of the next call, and their numbers in them."""
        now = self.steps_per_call * self.rows_per_step
        rows, rest = np.split(progress.remaining_rows, [now])
        if self.by_pieces:
            pieces = self._read(len(rows), progress)
            data, rows = to_device(pieces, self.on_host), np.arange(len(rows), dtype=np.int32)
        else:
            data = self.data
        progress.remaining_rows = rest
        if len(rest) == 0:  # the next epoch has other rows, and a fit that is over keeps none
            progress.group = {}
        return data, rows

    def _read(self, count, progress):
        """Returns the next rows, which are read or computed by groups of many steps.

        The groups of an epoch are the same however many steps a call takes, and after an
        interruption, too: the last digits of a row's codes depend on where it stands among how many
        others.
        """
        start = self.rows_per_epoch - len(progress.remaining_rows)
        size = self.rows_per_step * even_steps(self.steps_per_epoch, self.rows_per_step)
        parts = []
        for number in range(start // size, -(-(start + count) // size)):
            first = number * size
            if number not in progress.group:
                trained = max(0, start - first)  # before an interruption: any rows do
                to_come = progress.remaining_rows[max(0, first - start) : first - start + size]
                rows = np.pad(to_come, (trained, 0), mode="edge")
                read = keras.tree.map_structure(lambda table, rows=rows: table[rows], self.data)
                progress.group = {number: read}
            part = slice(max(0, start - first), start - first + count)
            group = progress.group[number]
            parts.append(keras.tree.map_structure(lambda rows, part=part: rows[part], group))
        if len(parts) == 1:
            return parts[0]
        return keras.tree.map_structure(lambda *rows: np.concatenate(rows), *parts)


@dataclass(frozen=True)
class EvaluationPlan:
    """What an `evaluate` on several devices is to do, in one call.

    Args:
        data: As in `FitPlan`, in the machine's memory.
        batch_size: Rows of a batch.
    """

    data: Any
    batch_size: int

    @functools.cached_property
    def kind(self) -> tuple[Any, ...]:
        """What a function that tests is made for; see `FitPlan.kind`."""
        return tuple((table.shape[1:], table.dtype) for table in keras.tree.flatten(self.data))

    @property
    def rows(self) -> np.ndarray:
        """The numbers of all rows."""
        return np.arange(len(keras.tree.flatten(self.data)[0]), dtype=np.int32)


@dataclass
class Progress:
    """How far a `fit` is, which changes with every call.

    Args:
        remaining_rows: Numbers of the rows that the epoch has still to train on, in their order.
        group: The rows that were read last, as `data` of the plan has them, by the number of their
            group in the epoch.
        finite_steps: After how many steps of the latest call the loss was still finite.
        replayed_logs: Logs of the step to resume from; `None` once it is reached.
        untold_epochs: Logs and finite steps of epochs that are trained, but not told of yet.
        epochs_left: How many epochs are still to be trained.
    """

    remaining_rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    group: dict[int, Any] = field(default_factory=dict)
    finite_steps: Any = 0
    replayed_logs: dict[str, float] | None = None
    untold_epochs: list[tuple[dict[str, float], int]] = field(default_factory=list)
    epochs_left: int = 0


def one_by_one(logs: dict[str, Any], finite: Any) -> list[tuple[dict[str, float], int]]:
    """Returns logs and finite steps of each epoch, of columns that have those of several."""
    columns = [keras.ops.convert_to_numpy(column).tolist() for column in logs.values()]
    finite = keras.ops.convert_to_numpy(finite).tolist()
    return [
        (dict(zip(logs, values, strict=True)), steps)
        for *values, steps in zip(*columns, finite, strict=True)
    ]


def to_device(tables: Any, on_host: bool = False) -> Any:
    """Returns arrays, in whatever structure, as tensors; see `backend.to_device`."""
    return keras.tree.map_structure(lambda table: backend.to_device(table, on_host), tables)


def first_rows(tables: list[Any]) -> Any:
    """Returns the first row of each table as `fit` would give it, or `None` of other things."""
    if not all(table is None or is_table(table) for table in tables):
        return None
    return keras.utils.pack_x_y_sample_weight(*map(_first_row, tables))


def _first_row(table):
    if table is None:
        return None
    return np.asarray(table[:1], keras.config.floatx() if table.dtype.kind == "f" else None)


def is_table(array: Any) -> bool:
    """Whether something is an array of numbers, in memory, in a file, or to be computed."""
    if isinstance(array, ComputedRows):
        return True
    return isinstance(array, np.ndarray) and array.ndim > 0 and array.dtype.kind in "biuf"


def even_steps(steps: int, batch_size: int) -> int:
    """Returns how many steps a call takes, so that the calls of so many steps are about equal.

    Example:

    >>> even_steps(100, batch_size=20), even_steps(3, batch_size=20)
    (50, 3)
    """
    calls = math.ceil(steps / max(1, min(_MOST_STEPS, _MOST_ROWS // batch_size)))
    return math.ceil(steps / calls)


def even_epochs(epochs: int, num_rows: int, batch_size: int) -> int:
    """Returns how many epochs a call takes where nobody looks on between them.

    Example:

    >>> even_epochs(100, num_rows=200, batch_size=32), even_epochs(100, 5000, 32)
    (34, 1)
    """
    steps = math.ceil(num_rows / batch_size)
    most = max(1, min(_MOST_STEPS_UNSEEN // steps, _MOST_ROWS // num_rows))
    return math.ceil(epochs / math.ceil(epochs / most)) if epochs else 1


def feed_by_batches(arguments: dict[str, Any], tables: list[Any], batch_size: int) -> None:
    """Keeps Keras from copying training data that do not lie in memory."""
    for name in (*TABLES, "batch_size"):
        arguments.pop(name, None)
    shuffle = arguments.get("shuffle", True)
    arguments |= {
        "x": RowBatches(*tables, batch_size=batch_size, shuffle=shuffle),
        "shuffle": False,
    }


def feed_validation_by_batches(arguments: dict[str, Any], batch_size: int) -> None:
    """Keeps `fit` from copying validation data that do not lie in memory."""
    size = arguments.get("validation_batch_size") or batch_size
    held_out = arguments.get("validation_data")
    tables = held_out if isinstance(held_out, tuple) else (held_out,)
    if any(map(is_outside_memory, tables)):
        arguments["validation_data"] = RowBatches(*tables, batch_size=size)
        arguments.pop("validation_batch_size", None)
    else:
        arguments["validation_batch_size"] = size
