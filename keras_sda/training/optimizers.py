"""Optimizers by name, with a step size that is constant or falls."""

from typing import Any

import keras


def make_optimizer(
    optimizer: Any,
    learning_rate: float,
    schedule: str = "constant",
    steps: int = 1,
    **options: Any,
) -> keras.optimizers.Optimizer:
    """Returns a new Keras optimizer.

    Args:
        optimizer: Name known to Keras, such as `"sgd"`, or an optimizer's class.
        learning_rate: Step size; at the start for `schedule="cosine"`.
        schedule: `"constant"`, or `"cosine"`, down to zero along a cosine.
        steps: Updates over which the step size falls.
        **options: Further arguments of the optimizer, such as `momentum`.

    Raises:
        ValueError: If Keras knows no such optimizer, or it does not take the options.

    Example:

    >>> make_optimizer("sgd", 0.1, momentum=0.9).momentum
    0.9
    """
    rate: Any = learning_rate
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps=steps)
    config = {"learning_rate": rate, **options}
    try:
        if isinstance(optimizer, type):
            return optimizer(**config)
        return keras.optimizers.get({"class_name": optimizer, "config": config})
    except (ValueError, TypeError) as error:
        given = "" if not options else f" with {', '.join(options)}"
        raise ValueError(
            "The optimizer must be known to Keras, such as sgd, adam or adamw, and take its "
            f"options. Received: {optimizer!r}{given}"
        ) from error
