"""What is the same under every backend, or under those that have nothing of their own to do."""

import collections
import contextlib
import contextvars
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

_CONVOLUTIONS = tuple(
    getattr(keras.layers, f"{kind}{rank}D{way}")
    for kind, rank, way in itertools.product(
        ("Conv", "DepthwiseConv", "SeparableConv"), (1, 2, 3), ("", "Transpose")
    )
    if hasattr(keras.layers, f"{kind}{rank}D{way}")
)


def convolves(model: keras.Model) -> bool:
    """Whether a model has convolutions, slow in a loop that XLA compiles for a processor."""
    return any(isinstance(layer, _CONVOLUTIONS) for layer in model._flatten_layers())


def whole_batches(
    rows: np.ndarray, batch_size: int, most: int
) -> tuple[np.ndarray, int, np.ndarray]:
    """Returns a table of row numbers for XLA, a whole batch in each line; how many; and the rest.

    The table has as many lines in every call, so that one compilation serves them all.

    Args:
        rows: Numbers of rows, one batch after the other.
        batch_size: Rows of a batch.
        most: How many batches there may be.
    """
    count = int(len(rows) // batch_size)  # of a NumPy integer, NumPy 1 makes another type
    whole, rest = np.split(rows, [count * batch_size])
    table = np.zeros((most, batch_size), np.int32)
    table.ravel()[: len(whole)] = whole
    return table, count, rest


def loss_dtype(dtype: str) -> str:
    """Returns in what losses are computed of values in `dtype`: float32, or float64 of float64.

    Sums over features and rows, and 1 minus a small number, need that many digits whatever the
    weights have. Keras' own `result_type` knows no float64 under JAX.
    """
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def compute_in_float64() -> None:
    """Makes Keras keep data in float64, which it would cast to float32."""
    keras.config.set_floatx("float64")


def usable_seed(seed: int | None) -> int | None:
    """Returns a seed that the backend's generators can hold, made of any up to 32 bits."""
    return seed


# The order in which `fit` shuffles. Where we draw it ourselves, it comes from a generator of this
# `fit`, so that several threads may train at once. Keras draws it from global generators:
# TensorFlow's, PyTorch's, or NumPy's under JAX for arrays, Python's for batches of a `PyDataset`.


@dataclass(frozen=True)
class _Shuffling:
    seed: int
    generator: np.random.RandomState


_shuffling: contextvars.ContextVar[_Shuffling | None] = contextvars.ContextVar(
    "shuffling", default=None
)


@contextlib.contextmanager
def shuffling_seed(seed: int | None) -> Iterator[None]:
    """Makes the order in which `fit` shuffles repeatable inside the `with` block.

    Args:
        seed: The seed; with `None` nothing happens.
    """
    if seed is None:
        yield
        return
    token = _shuffling.set(_Shuffling(seed, np.random.RandomState(seed)))
    try:
        yield
    finally:
        _shuffling.reset(token)


def shuffling_generator() -> Any:
    """Returns what draws the order of rows: `numpy.random` itself, unless there is a seed."""
    shuffling = _shuffling.get()
    return np.random if shuffling is None else shuffling.generator


@contextlib.contextmanager
def seed_generators(
    backend_seed: Callable[[int], contextlib.AbstractContextManager[Any]],
) -> Iterator[None]:
    """Seeds the global generators inside the `with` block, and puts them back on leaving.

    Without a `shuffling_seed` nothing happens.

    Args:
        backend_seed: Does the same for the backend's own generator.
    """
    shuffling = _shuffling.get()
    if shuffling is None:
        yield
        return
    token = _shuffling.set(None)  # What is drawn now is drawn from the global generators.
    state = shuffling_state()
    try:
        with backend_seed(shuffling.seed):
            np.random.seed(shuffling.seed)
            random.seed(shuffling.seed)
            yield
    finally:
        set_shuffling_state(state)
        _shuffling.reset(token)


def shuffling_state() -> dict[str, Any]:
    """Returns the state of the generators that `fit` shuffles by: Python's, and a NumPy one."""
    return {"python": random.getstate(), "numpy": shuffling_generator().get_state()}


def set_shuffling_state(state: dict[str, Any]) -> None:
    """Puts back what `shuffling_state` has returned.

    Args:
        state: The state.
    """
    random.setstate(state["python"])
    shuffling_generator().set_state(state["numpy"])


class LatestUsed:
    """Values by their keys, of which the latest used ones are kept; several threads may ask.

    Args:
        most: How many are kept. A graph or a compiled program takes about a megabyte.
    """

    def __init__(self, most: int = 64):
        self.most = most
        self._values: collections.OrderedDict[Any, Any] = collections.OrderedDict()
        # Held while a value is made: tracing changes objects that no other thread must see then.
        self._lock = threading.RLock()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        """Returns the value of a key, made now if there is none."""
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
            self._values.move_to_end(key)
            while len(self._values) > self.most:
                self._values.popitem(last=False)
            return self._values[key]

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        """Frees all values."""
        with self._lock:
            self._values.clear()


# What asks nothing of most backends.


def read(variable: keras.Variable) -> Any:
    """Returns the value of a variable as a tensor, through which gradients reach it."""
    return keras.ops.convert_to_tensor(variable)


def without_gradients() -> contextlib.AbstractContextManager[None]:
    """Keeps from recording, inside the `with` block, what a gradient would need.

    Nothing is recorded unless asked for, except under PyTorch.
    """
    return contextlib.nullcontext()


def shard_rows(batch: Any) -> Any:
    """Returns the batch itself: rows are not spread over devices here."""
    return batch
