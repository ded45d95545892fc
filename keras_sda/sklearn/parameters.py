"""What the parameters of the estimators have to be: one line each, for every estimator that has it.

Checked before anything is trained. Of those that describe the network, its constructor tells, which
`fit` calls before training, too.
"""

import numbers
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_sda._validation import (
    check_bool,
    check_choice,
    check_non_negative_int,
    check_positive,
    check_positive_int,
    check_share,
    shown,
)
from keras_sda.models.linear_on_codes import HEADS
from keras_sda.training.fit_checks import check_optimizer
from keras_sda.training.optimizers import SCHEDULES

Check = Callable[[str, Any, str], Any]


def _each(check: Check) -> Check:
    """Returns a check of one value, or of each in a list with one per level."""

    def check_all(name, value, owner):
        for one in value if isinstance(value, (list, tuple, np.ndarray)) else [value]:
            check(name, one, owner)

    return check_all


def or_word(word: str, check: Check) -> Check:
    """Returns a check that lets a word pass, too."""

    def check_others(name, value, owner):
        if isinstance(value, str) and value == word:
            return
        try:
            check(name, value, owner)
        except ValueError as error:
            message = str(error).replace(" must ", f" must be {word!r}, or ", 1)
            raise ValueError(message) from error

    return check_others


def one_of(*choices: Any) -> Check:
    """Returns a check for one of some values."""
    return lambda name, value, owner: check_choice(name, value, choices, owner)


def _units(name, value, owner):
    if isinstance(value, str) or not np.iterable(value) or len(list(value)) == 0:
        raise ValueError(
            f"Argument `{name}` of {owner} must list the units of each level, at least one. "
            f"Received: {name}={shown(value)}"
        )
    for units in value:
        check_positive_int(name, units, owner)


def _optimizer(name, value, owner):
    is_class = isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer)
    if not is_class and not (callable(value) and not isinstance(value, type)):
        check_optimizer(value, owner)


def _seed(name, value, owner):
    is_generator = isinstance(value, np.random.RandomState)
    is_number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not (value is None or is_generator or (is_number and 0 <= value < 2**32)):
        raise ValueError(
            f"Argument `{name}` of {owner} must be None, a whole number from 0 to 4294967295, or "
            f"a RandomState. Received: {name}={shown(value)}"
        )


def checked_later(name: str, value: Any, owner: str) -> None:
    """Leaves a value to the network's constructor, or to the checks of labels, which come next."""


CHECKS: dict[str, Check] = {
    "hidden_units": _units,
    "noise": checked_later,
    "noise_level": checked_later,
    "activation": checked_later,
    "tied": checked_later,
    "kernel_initializer": checked_later,
    "reconstruction_loss": checked_later,
    "batch_normalization": checked_later,
    "dropout": checked_later,
    "finetune_noise_level": checked_later,
    "denoising_weights": checked_later,
    "scale": checked_later,  # what it may be depends on the columns
    "pretrain_epochs": _each(check_non_negative_int),
    "pretrain_learning_rate": _each(check_positive),
    "batch_size": check_positive_int,
    "optimizer": _each(_optimizer),
    "random_state": _seed,
    "verbose": one_of("auto", 0, 1, 2),
    "head": one_of(None, *HEADS),
    "epochs": check_non_negative_int,
    "learning_rate": check_positive,
    "schedule": one_of(*SCHEDULES),
    "early_stopping": check_bool,
    "validation_fraction": check_share,
    "patience": check_positive_int,
    "columns": checked_later,
    "memory": checked_later,
    "unlabelled": checked_later,
    "class_weight": checked_later,
}


def check_parameters(estimator: Any) -> None:
    """Raises a `ValueError` if a parameter of an estimator is not what it has to be.

    Args:
        estimator: The estimator; its class may have `own_checks` beside `CHECKS`.
    """
    owner = type(estimator).__name__
    checks = {**CHECKS, **type(estimator).own_checks}
    for name, value in estimator.get_params(deep=False).items():
        checks.get(name, checked_later)(name, value, owner)  # a test misses a new parameter
