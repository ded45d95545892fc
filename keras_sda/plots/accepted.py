"""What the arguments of pictures may be, said once for all functions, by the arguments' names."""

import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_sda._validation import (
    as_numbers,
    check_fraction,
    check_image_shape,
    check_number,
    check_positive_int,
    check_seed,
    check_share,
    wrong_argument,
)

# More than a screen shows or a file should hold: a mistake, which would fill the memory.
_MOST_PIXELS = 10**8
_MOST_BINS = 10_000


def check_arguments(owner: str, **values: Any) -> None:
    """Refuses arguments of a picture that are not what their names ask for.

    Args:
        owner: The caller's name in the error message.
        **values: Arguments by name. `None` is taken for those that are `None` by default.
    """
    for name, value in values.items():
        if value is not None or name not in _MAY_BE_NONE:
            _CHECKS[name](name, value, owner)


def check_size(height: int, width: int, owner: str) -> None:
    """Refuses a picture of more pixels than anybody looks at."""
    if height * width > _MOST_PIXELS:
        raise ValueError(
            f"{owner} draws up to {_MOST_PIXELS:,} pixels. Received images that make "
            f"{height:,} x {width:,}: draw fewer of them, or leave smaller gaps."
        )


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _check_title(name: str, value: Any, owner: str) -> None:
    if not isinstance(value, str):
        raise wrong_argument(name, owner, "be text", value)


def _check_names(name: str, value: Any, owner: str) -> None:
    is_list = isinstance(value, (list, tuple)) or (
        isinstance(value, np.ndarray) and value.ndim == 1
    )
    if not is_list or not all(isinstance(each, (str, numbers.Number)) for each in value):
        raise wrong_argument(name, owner, "be a list of names", value)


def _check_level(name: str, value: Any, owner: str) -> None:
    if not _is_whole(value):
        raise wrong_argument(name, owner, "be a whole number, from 0, or -1 for the last", value)


def _whole_from(least: int) -> Callable[[str, Any, str], None]:
    def check(name: str, value: Any, owner: str) -> None:
        if not _is_whole(value) or not least <= value <= _MOST_BINS:
            expected = f"be a whole number from {least} to {_MOST_BINS:,}"
            raise wrong_argument(name, owner, expected, value)

    return check


def _check_units(name: str, value: Any, owner: str) -> None:
    is_list = isinstance(value, (list, tuple, range)) and len(value) > 0
    if not is_list or not all(_is_whole(unit) and unit >= 0 for unit in value):
        raise wrong_argument(name, owner, "list numbers of units, from 0, at least one", value)


def _check_model(name: str, value: Any, owner: str) -> None:
    # A model of one's own need not be a Keras model; text has a method `encode`, too.
    if isinstance(value, (str, bytes, type)):
        raise wrong_argument(name, owner, "be a model", value)


def _check_mapping(name: str, value: Any, owner: str) -> None:
    if not isinstance(value, Mapping) or not value:
        raise wrong_argument(name, owner, "be a dictionary, not empty", value)


def _check_values(name: str, value: Any, owner: str) -> None:
    if as_numbers(value, owner, name).ndim != 1:
        raise wrong_argument(name, owner, "be a list of numbers", value)


_MAY_BE_NONE = (
    *("title", "classes", "feature_names", "image_shape", "level", "units", "values", "columns"),
    *("threshold",),
)
_CHECKS: dict[str, Callable[[str, Any, str], Any]] = {
    "background": check_number,
    "bins": _whole_from(1),
    "classes": _check_names,
    "columns": check_positive_int,
    "count": check_positive_int,
    "coverage": check_share,
    "feature_names": _check_names,
    "image_shape": check_image_shape,
    "level": _check_level,
    "margin": check_fraction,
    "model": _check_model,
    "panels": _check_mapping,
    "points": _whole_from(2),
    "seed": check_seed,
    "share": check_fraction,
    "threshold": check_number,
    "title": _check_title,
    "tolerance": check_fraction,
    "units": _check_units,
    "values": _check_values,
    "ylabel": _check_title,
}
