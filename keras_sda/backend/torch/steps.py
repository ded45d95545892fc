"""PyTorch takes one training step per call: there are no groups of steps to make."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def can_group_steps(model: keras.Model, by_pieces: bool = False) -> bool:
    """Whether several training steps of a model may run in one call: never."""
    return False


def is_worth_compiling(model: keras.Model, batch_size: int, steps: int) -> bool:
    """Whether training is faster if XLA compiles the loop over the steps of a call: never."""
    return False


def to_device(array: np.ndarray, on_host: bool = False) -> Any:
    """Returns an array as a tensor, real numbers in Keras' float type, as `fit` gives them."""
    dtype = keras.config.floatx() if array.dtype.kind == "f" else None
    return keras.ops.convert_to_tensor(array, dtype)


def endless_dataset(model: keras.Model) -> Any:
    """Refuses; see `can_group_steps`."""
    raise NotImplementedError(_ONE_STEP)


def make_multi_step(
    model: keras.Model, data: Any, training: bool = True, by_xla: bool = False
) -> Callable[..., Any]:
    """Refuses; see `can_group_steps`."""
    raise NotImplementedError(_ONE_STEP)


def make_multi_epoch(model: keras.Model, data: Any, by_xla: bool = False) -> Callable[..., Any]:
    """Refuses; see `can_group_steps`."""
    raise NotImplementedError(_ONE_STEP)


def make_evaluation(model: keras.Model, data: Any) -> Callable[..., Any]:
    """Refuses; see `can_group_steps`."""
    raise NotImplementedError(_ONE_STEP)


def make_prediction(model: keras.Model, rows: Any) -> Callable[..., Any]:
    """Returns a function that computes a model's output for one batch, operation by operation."""
    return functools.partial(model, training=False)


_ONE_STEP = "Under PyTorch a call takes one training step: ask `can_group_steps` first."


def replaying(model: Any, train_function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a training function that leaves batches aside while `model.replayed_logs` are set."""
    if getattr(train_function, "replays", False):
        return train_function

    def function(batches):
        logs = model.replayed_logs
        return train_function(batches) if logs is None else dict(logs)

    function.replays = True  # type: ignore[attr-defined]
    return function
