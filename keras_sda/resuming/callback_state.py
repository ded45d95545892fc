"""What a callback remembers: taken from it for a state, and given back."""

import contextlib
import inspect
from typing import Any

import keras
import numpy as np

from keras_sda.resuming.states import NotPlainError, check_plain

# Set by Keras, to what is there in this run.
_SET_BY_KERAS = ("params", "_model")
# Keras' callbacks that monitor a value choose one of these when they first see it, and turn the
# sign of `min_delta` with it.
_COMPARISONS = {"less": keras.ops.less, "greater": keras.ops.greater}


def settings_of(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Returns the numbers that a callback was made with, as far as it keeps them by their names."""
    settings: dict[str, Any] = {}
    for name in inspect.signature(type(callback)).parameters:
        value = getattr(callback, name, None)
        if isinstance(value, (bool, int, float)) and name != "verbose":
            settings[name] = abs(value) if name == "min_delta" else value
    return settings


def state_of(callback: keras.callbacks.Callback) -> Any:
    """Returns what a callback remembers, as far as `states.encode` can keep it.

    Raises:
        ValueError: If its own `get_state` returns something else.
    """
    if _keeps_its_own(callback):
        content = callback.get_state()
        try:
            check_plain(content)
        except NotPlainError as error:
            raise ValueError(
                f"get_state() of {type(callback).__name__} must return numbers, text, arrays, or "
                f"lists and dictionaries of them, for Backup to save. Received: {error}."
            ) from error
        return content
    content = {}
    for name, value in vars(callback).items():
        if name in _SET_BY_KERAS:
            continue
        if name == "monitor_op":
            found = [key for key, function in _COMPARISONS.items() if function is value]
            value = found[0] if found else None
        with contextlib.suppress(NotPlainError):
            check_plain(value)
            content[name] = value
    return content


def give_state(callback: keras.callbacks.Callback, content: Any) -> None:
    """Gives a callback back what it remembered; lists that others may hold are filled anew."""
    if _keeps_its_own(callback):
        callback.set_state(content)
        return
    for name, value in content.items():
        here = getattr(callback, name, None)
        if name == "monitor_op":
            callback.monitor_op = _COMPARISONS.get(value)
        elif type(here) is list and isinstance(value, list):
            here[:] = value
        elif type(here) is dict and isinstance(value, dict):
            here.clear()
            here.update(value)
        elif isinstance(here, np.random.Generator) and isinstance(value, np.random.Generator):
            here.bit_generator.state = value.bit_generator.state
        else:
            setattr(callback, name, value)


def fits(callback: keras.callbacks.Callback, content: Any) -> bool:
    """Whether `content` may be the state of such a callback, as far as that can be told."""
    return _keeps_its_own(callback) or (
        isinstance(content, dict) and all(isinstance(name, str) for name in content)
    )


def _keeps_its_own(callback):
    return hasattr(callback, "get_state") and hasattr(callback, "set_state")
