"""What a state has to hold before any of it is used: `Backup` passes over one that does not."""

import math
import re
from typing import Any

import keras
import numpy as np

from keras_sda import backend
from keras_sda.resuming.callback_state import fits

_TYPES = {
    "position": str,
    "epoch": int,
    "step": int,
    "stopped": bool,
    "seconds": float,
    "variables": list,
    "optimizer": list,
    "callbacks": list,
}
# It is printed, so that no other characters may be in it.
_POSITION = re.compile(r"(level \d{1,9}, )?epoch \d{1,9}(, step \d{1,9})?")
_MOST_STEPS = 2**31 - 2
# NumPy's global generator draws from a buffer of so many numbers, and checks neither its length nor
# the position in it.
_MT19937_LENGTH = 624


def check_state(
    state: dict[str, Any], callbacks: list[keras.callbacks.Callback], num_rows: int | None
) -> None:
    """Raises an exception, of any kind, if `Backup` cannot have saved a state.

    Args:
        state: What was read.
        callbacks: Those whose states it has to hold.
        num_rows: How many rows `fit` is given; `None` if that is not known.
    """
    for name, kind in _TYPES.items():
        if type(state[name]) is not kind:
            raise TypeError(f"{name} is a {type(state[name]).__name__}")
    if not _POSITION.fullmatch(state["position"]) or not math.isfinite(state["seconds"]):
        raise ValueError("no position or no number of seconds")
    for name in ("epoch", "step"):
        if not 0 <= state[name] <= _MOST_STEPS:
            raise ValueError(f"{name} is {state[name]}")
    steps = state["steps_per_call"]
    if steps is not None and not (type(steps) is int and 1 <= steps <= _MOST_STEPS):
        raise ValueError("steps_per_call is not a number of steps")
    _check_arrays(state["variables"])
    _check_arrays(state["optimizer"])
    _check_shuffling(state["shuffling"])
    for callback, content in zip(callbacks, state["callbacks"], strict=True):
        if not fits(callback, content):
            raise TypeError(f"not the state of a {type(callback).__name__}")
    if state["step"]:
        logs = state["logs"]
        _check_arrays(state["metrics"])
        _check_shuffling(state["epoch_shuffling"])
        _check_remaining_rows(state["remaining_rows"], num_rows)
        if not all(type(name) is str and type(value) is float for name, value in logs.items()):
            raise TypeError("logs are not numbers by name")


def _check_arrays(values):
    for value in values:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biufV":
            raise TypeError("a variable is not an array of numbers")


def _check_remaining_rows(rows, num_rows):
    if rows is None:
        return
    if rows.ndim != 1 or rows.dtype != np.int32:
        raise TypeError("numbers of rows are not whole numbers")
    if num_rows is None or (len(rows) and not 0 <= rows.min() <= rows.max() < num_rows):
        raise ValueError("a row is not there")


def _check_shuffling(state):
    """Tries a state on the generators themselves, and puts back the one that they were in."""
    name, buffer, position, *_ = state["numpy"]
    if name != "MT19937" or type(position) is not int or not 0 <= position <= _MT19937_LENGTH:
        raise ValueError("not the state of NumPy's global generator")
    if buffer.dtype != np.uint32 or buffer.shape != (_MT19937_LENGTH,):
        raise ValueError("not the buffer of NumPy's global generator")
    if not isinstance(state["python"][2], float | None):
        raise TypeError("not the state of Python's generator")
    if state.get("torch", ...) is None:  # as 0.2.0 wrote where PyTorch is not the backend
        del state["torch"]
    before = backend.shuffling_state()
    if state.keys() != before.keys():
        raise ValueError("the state of another backend")
    try:
        backend.set_shuffling_state(state)
    finally:
        backend.set_shuffling_state(before)
