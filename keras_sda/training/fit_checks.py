"""What `fit`, `evaluate` and `predict` take besides data: declared once, checked at the start."""

import inspect
import math
import numbers
from collections.abc import Callable
from typing import Any

import keras

from keras_sda._validation import (
    check_choice,
    check_non_negative,
    check_non_negative_int,
    check_positive_int,
)
from keras_sda.backend import anonymous_variables
from keras_sda.datasets.batches import is_dataset, is_endless
from keras_sda.datasets.given import is_streamed
from keras_sda.training.hooks import listed

Check = Callable[[str, Any, str], Any]


def _optional(check: Check) -> Check:
    return lambda name, value, owner: value if value is None else check(name, value, owner)


def _verbose(name, value, owner):
    return check_choice(name, value, ("auto", 0, 1, 2), owner)


def _shuffle(name, value, owner):
    return check_choice(name, value, (True, False, "batch"), owner)


def _frequency(name, value, owner):
    """Checks a number of epochs, or the epochs themselves."""
    several = value if isinstance(value, (list, tuple)) else [value]
    return [check_positive_int(name, each, owner) for each in several]


def _split(name, value, owner):
    valid = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not valid or not 0 <= float(value) < 1:
        raise ValueError(
            f"Argument `{name}` of {owner} must be the share of rows to hold out, in [0, 1). "
            f"Received: {name}={value!r}"
        )


def _callbacks(name, value, owner):
    for callback in listed(value):
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(
                f"Argument `{name}` of {owner} must list Keras callbacks. "
                f"Received: {callback!r:.100}"
            )


def _class_weight(name, value, owner):
    if not isinstance(value, dict):
        raise ValueError(
            f"Argument `{name}` of {owner} must be a dictionary of weights by class number. "
            f"Received: {name}={value!r:.100}"
        )
    for label, weight in value.items():
        check_non_negative_int(f"{name}'s classes", label, owner)
        check_non_negative(f"{name}[{label}]", weight, owner)


# What each argument has to be; those that hold data are checked by the model.
CHECKS: dict[str, Check] = {
    "batch_size": _optional(check_positive_int),
    "epochs": check_non_negative_int,
    "initial_epoch": check_non_negative_int,
    "steps_per_epoch": _optional(check_positive_int),
    "steps": _optional(check_positive_int),
    "validation_steps": _optional(check_positive_int),
    "validation_batch_size": _optional(check_positive_int),
    "validation_freq": _frequency,
    "validation_split": _optional(_split),
    "verbose": _verbose,
    "shuffle": _shuffle,
    "callbacks": _optional(_callbacks),
    "class_weight": _optional(_class_weight),
}

_SIGNATURES = {
    name: inspect.signature(getattr(keras.Model, name)) for name in ("fit", "evaluate", "predict")
}


def bound_arguments(method: str, model: keras.Model, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Returns the arguments of a method of Keras' models by their names, once they are checked.

    Args:
        method: `"fit"`, `"evaluate"` or `"predict"`.
        model: The model.
        *args: As the method was given them.
        **kwargs: As the method was given them.

    Raises:
        ValueError: If one lies outside of what `CHECKS` says.
    """
    arguments = dict(_SIGNATURES[method].bind(model, *args, **kwargs).arguments)
    del arguments["self"]
    arguments |= arguments.pop("kwargs", {})
    owner = f"{type(model).__name__}.{method}()"
    for name, check in CHECKS.items():
        if name in arguments:
            check(name, arguments[name], owner)
    return arguments


def check_split(x: Any, share: float, owner: str) -> None:
    """Raises a `ValueError` if rows cannot be split into those to train on and those held out.

    Args:
        x: The rows.
        share: Share of them to hold out.
        owner: The caller's name in the error message.
    """
    if is_streamed(x):
        raise ValueError(
            f"Argument `validation_split` of {owner} splits arrays, not datasets. "
            f"Received a {type(x).__name__}: give `validation_data`."
        )
    kept = math.floor(len(x) * (1 - share))
    if not 0 < kept < len(x):
        raise ValueError(
            f"Argument `validation_split` of {owner} must leave rows to train on and rows to hold "
            f"out. Received: validation_split={share!r} for {len(x)} rows"
        )


def check_ends(x: Any, steps: Any, owner: str, name: str = "x", by: str = "") -> None:
    """Raises a `ValueError` if batches never end and nothing says how many to take.

    Args:
        x: Data of any kind.
        steps: How many batches to take, or `None` for all.
        owner: The caller's name in the error message.
        name: The data's name in the error message.
        by: The argument that gives `steps`, if there is one.
    """
    limited = steps is not None or keras.config.max_steps_per_epoch() is not None
    if not limited and is_dataset(x) and is_endless(x):
        remedy = f", or say by {by}=... how many batches to take" if by else ""
        raise ValueError(
            f"{owner} needs a finite dataset in `{name}`. Received one that repeats for ever: "
            f"leave repeat() out{remedy}."
        )


def check_optimizer(optimizer: Any, owner: str) -> None:
    """Raises a `ValueError` if no optimizer was given, or one whose learning rate is negative.

    Args:
        optimizer: A name, a Keras optimizer, or its configuration.
        owner: The caller's name in the error message.
    """
    if isinstance(optimizer, keras.optimizers.Optimizer):
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        check_non_negative("learning_rate", rate, f"the optimizer of {owner}")
        return
    try:
        with anonymous_variables():
            known = isinstance(optimizer, (str, dict)) and keras.optimizers.get(optimizer)
    except (ValueError, TypeError):
        known = False
    if not known:
        raise ValueError(
            f"Argument `optimizer` of {owner} must be a name such as 'adam', or a Keras optimizer. "
            f"Received: optimizer={optimizer!r:.100}"
        )
