"""Optimizers made from a name and a learning rate."""

from typing import Any

import keras

from keras_sda._validation import check_choice
from keras_sda.backend import anonymous_variables

SCHEDULES = ("constant", "cosine", "cooldown")


@keras.saving.register_keras_serializable(package="keras_sda")
class Cooldown(keras.optimizers.schedules.LearningRateSchedule):
    """A constant learning rate that falls to 0, in a straight line, over the last third.

    Args:
        initial_learning_rate: Learning rate of the first two thirds.
        decay_steps: Training steps in all; from there on the learning rate is 0.

    Example:

    >>> rate = Cooldown(0.3, decay_steps=90)
    >>> [round(float(rate(step)), 6) for step in (0, 60, 75, 90)]
    [0.3, 0.3, 0.15, 0.0]

    Reference:
        Rasmus et al., "Semi-supervised learning with ladder networks", NIPS 2015.
    """

    def __init__(self, initial_learning_rate, decay_steps):
        super().__init__()
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps

    def __call__(self, step):
        left = 1 - keras.ops.cast(step, "float32") / self.decay_steps
        return self.initial_learning_rate * keras.ops.clip(3 * left, 0.0, 1.0)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
        }


_FALLING = {"cosine": keras.optimizers.schedules.CosineDecay, "cooldown": Cooldown}


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
        learning_rate: Learning rate, at the start unless it is constant.
        schedule: `"constant"`; `"cosine"`, down to 0 over `steps`, along half a cosine wave; or
            `"cooldown"`, constant and then down to 0 in a straight line over the last third.
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
    if schedule in _FALLING:
        rate = _FALLING[schedule](learning_rate, decay_steps=steps)
    config = {"learning_rate": rate, **options}
    try:
        with anonymous_variables():  # A grid search makes many optimizers.
            if isinstance(name, type):
                optimizer = name(**config)
            else:
                optimizer = keras.optimizers.get({"class_name": name, "config": config})
        if type(optimizer) is keras.optimizers.Optimizer:
            raise ValueError("the class of all optimizers computes no step itself")
        return optimizer
    except (ValueError, TypeError) as error:
        taking = f" and take the options {sorted(options)}" if options else ""
        raise ValueError(
            f"The optimizer must be known to Keras, such as sgd, adam or adamw{taking}. "
            f"Received: {name!r}"
        ) from error
