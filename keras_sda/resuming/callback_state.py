"""The state of a callback: what it remembers, taken from it and given back."""

import contextlib
import inspect
import os
from typing import Any

import keras
import numpy as np

from keras_sda.resuming.states import NotPlainError, check_plain

# Set by Keras, to what is there in this run; and, in callbacks that monitor a value, chosen when
# they first see it, together with the sign of `min_delta`.
_SET_BY_KERAS = ("params", "_model", "monitor_op")


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
    arguments = _arguments_of(callback)
    return {
        name: value
        for name, value in vars(callback).items()
        if _may_change(callback, name, arguments) and _is_plain(value)
    }


def give_state(callback: keras.callbacks.Callback, content: Any) -> None:
    """Gives a callback back what it remembered; lists that others may hold are filled anew.

    Whatever the state says, the arguments of the constructor, which may name files, methods, and
    places in the file system stay as the new callback has them.
    """
    if _keeps_its_own(callback):
        callback.set_state(content)
        return
    arguments = _arguments_of(callback)
    for name, value in content.items():
        if not _may_change(callback, name, arguments):
            continue
        here = getattr(callback, name, None)
        if not _is_plain(here) or _is_place(callback, here, arguments):
            continue
        if type(here) is list and isinstance(value, list):
            here[:] = value
        elif type(here) is dict and isinstance(value, dict):
            here.clear()
            here.update(value)
        elif isinstance(here, np.random.Generator):
            with contextlib.suppress(AttributeError, ValueError):  # not a generator of this kind
                here.bit_generator.state = value.bit_generator.state
        else:
            setattr(callback, name, value)


def fits(callback: keras.callbacks.Callback, content: Any) -> bool:
    """Whether `content` may be the state of such a callback, as far as that can be told."""
    if _keeps_its_own(callback):
        return True
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        return False
    if isinstance(callback, keras.callbacks.History):
        history = content.get("history", {})
        if not isinstance(history, dict) or not all(map(_is_list, history.values())):
            return False
    arguments = _arguments_of(callback)
    return all(
        _are_alike(getattr(callback, name, None), value)
        for name, value in content.items()
        if _may_change(callback, name, arguments)
    )


def _is_list(value):
    return isinstance(value, list)


def _are_alike(here, value):
    """Whether one value may take the place of another; of `None` nothing is known."""
    numbers = (bool, int, float, np.number)
    if here is None or value is None:
        return True
    if isinstance(here, numbers) or isinstance(value, numbers):
        return isinstance(here, numbers) and isinstance(value, numbers)
    return type(here) is type(value)


def _keeps_its_own(callback):
    return hasattr(callback, "get_state") and hasattr(callback, "set_state")


def _arguments_of(callback):
    """Returns the names of the arguments of its constructor and of those below it."""
    return {
        name
        for kind in type(callback).__mro__
        if "__init__" in vars(kind)
        for name in inspect.signature(vars(kind)["__init__"]).parameters
    }


def _may_change(callback, name, arguments):
    """Whether an attribute is what training changes, rather than a setting or a method."""
    if name in _SET_BY_KERAS or name in arguments or name.startswith(("on_", "__")):
        return False
    if name in ("get_state", "set_state"):
        return False
    return not hasattr(inspect.getattr_static(type(callback), name, None), "__get__")


def _is_place(callback, text, arguments):
    """Whether a text names a place, such as the folders that TensorBoard makes of its `log_dir`."""
    if not isinstance(text, str):
        return False
    given = [getattr(callback, name, None) for name in arguments]
    paths = [argument for argument in given if isinstance(argument, str)]
    return (
        "/" in text
        or os.sep in text
        or text in paths
        or any(path.startswith(f"{text}{os.sep}") for path in paths)
    )


def _is_plain(value):
    try:
        check_plain(value)
    except NotPlainError:
        return False
    return True
