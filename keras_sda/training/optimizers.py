"""Optimizers made from a name and a learning rate."""

from typing import Any

import keras

from keras_sda._validation import check_choice
from keras_sda.backend import anonymous_variables

SCHEDULES = ("constant", "cosine")


def make_optimizer(
    name: str | type[keras.optimizers.Optimizer],
    learning_rate: float,
    schedule: str = "constant",
    steps: int = 1,
    **options: Any,
) -> keras.optimizers.Optimizer:
    """Returns a new Keras optimizer, its learning rate constant or falling to 0.

    Args:
        name: Name of an optimizer, such as `"adam"`, or the class of one.
        learning_rate: Learning rate, at the start for `schedule="cosine"`.
        schedule: `"constant"`, or `"cosine"`: down to 0 over `steps`, along half a cosine wave.
        steps: Training steps to come, over all epochs.
        **options: Further arguments of the optimizer, such as `momentum`.

    Returns:
        The optimizer.

    Raises:
        ValueError: If Keras knows no optimizer by this name or with these options, or if there is
            no such schedule.

    Example:

    >>> optimizer = make_optimizer("sgd", 0.1, "cosine", steps=100, momentum=0.9)
    >>> type(optimizer).__name__, optimizer.momentum
    ('SGD', 0.9)
    """
    check_choice("schedule", schedule, SCHEDULES, owner="make_optimizer()")
    rate: Any = learning_rate
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps=steps)
    config = {"learning_rate": rate, **options}
    try:
        with anonymous_variables():  # A grid search makes many optimizers.
            if isinstance(name, type):
                return name(**config)
            return keras.optimizers.get({"class_name": name, "config": config})
    except (ValueError, TypeError) as error:
        taking = f" and take the options {sorted(options)}" if options else ""
        raise ValueError(
            f"The optimizer must be known to Keras, such as sgd, adam or adamw{taking}. "
            f"Received: {name!r}"
        ) from error
