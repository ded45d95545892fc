"""The answers of backends without TensorFlow's strategies: one process, one replica, the chief.

See `backend.tensorflow.strategies` and `backend.tensorflow.replicas` for what is asked.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np


def is_distributed(model: keras.Model) -> bool:
    """Whether a model was made inside the scope of a strategy: never."""
    return False


@contextlib.contextmanager
def strategy_scope(name: str) -> Iterator[None]:
    """Refuses any strategy; with `"none"` nothing happens.

    Raises:
        ValueError: If a strategy is asked for.
    """
    if name != "none":
        raise ValueError(
            f"Strategies are TensorFlow's. Received: strategy {name!r} under the Keras backend "
            f"{keras.backend.backend()!r}; set KERAS_BACKEND=tensorflow."
        )
    yield


def in_own_scope(method: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the method itself: there is no scope to enter."""
    return method


@contextlib.contextmanager
def anonymous_variables() -> Iterator[None]:
    """Changes nothing: names of variables are Keras' own."""
    yield


def is_chief() -> bool:
    """Whether this process writes and prints for all workers: always."""
    return True


def num_replicas() -> int:
    """Returns how many replicas train together: 1."""
    return 1


def from_chief(array: np.ndarray) -> np.ndarray:
    """Returns the array itself."""
    return array


def text_from_chief(text: str) -> str:
    """Returns the text itself."""
    return text


def scaled_for_replicas(value: Any) -> Any:
    """Returns the loss itself, which is not shared."""
    return value


def in_parallel(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns the function itself."""
    return function
