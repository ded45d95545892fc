"""Many training steps in a loop that XLA compiles, with the random numbers of the usual way."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_sda.backend.common import convolves, whole_batches
from keras_sda.backend.tensorflow.patches import draws_as_without_xla

# XLA spares what TensorFlow's operations cost besides computing, which is most of a step on few
# rows: 1.6 times as fast with 20 rows and 784 x 1000 weights, as fast with 128. A model that gains
# more says so by its `most_rows_for_xla`.
_MOST_ROWS = 64
# Compiling takes about a second longer than tracing; each step gains 0.1 ms, and 1 ms per million
# weights.
_LEAST_WORK = 1e9
_WEIGHTS_LIKE_A_STEP = 50_000
# How TensorFlow says that XLA has no such operation, or not for such types and unknown shapes. What
# is wrong with the data, and raises the same, does so again the usual way.
_CANNOT_COMPILE = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError)


def is_worth_compiling(model: Any, batch_size: int, steps: int) -> bool:
    """Whether training is faster in a loop that XLA compiles: on processors, if batches are small.

    Args:
        model: A model that is built and compiled.
        batch_size: Rows of a batch.
        steps: Training steps to come, over all epochs.
    """
    is_left_to_us = model._given_jit_compile == "auto" and not model.jit_compile
    return (
        batch_size <= getattr(model, "most_rows_for_xla", _MOST_ROWS)
        and steps * (model.count_params() + _WEIGHTS_LIKE_A_STEP) >= _LEAST_WORK
        and is_left_to_us
        and not (_has_foreign_step(model) or model.run_eagerly)
        and all(device.device_type == "CPU" for device in tf.config.list_logical_devices())
        and all(layer.supports_jit for layer in model._flatten_layers())
        and not convolves(model)
    )


def _has_foreign_step(model):
    """Whether a user's class has a `train_step`, whose logs may not be those of the metrics."""
    owner = next(each for each in type(model).__mro__ if "train_step" in vars(each))
    return owner.__module__.partition(".")[0] not in ("keras", "keras_sda")


def steps(
    model: keras.Model, one_step: Callable[[Any], dict[str, Any]]
) -> Callable[[Any, Any, Any], tuple[dict[str, Any], Any]]:
    """Returns a loop over batches of one size for XLA to compile.

    Args:
        model: A compiled model, whose metrics have their variables.
        one_step: Trains on a batch.

    Returns:
        A function of data as tensors, of a table with the numbers of a batch's rows in each line,
        and of how many lines of it to train on. It returns the logs of the last step, and after how
        many steps the loss was still finite.
    """

    def loop(data, batches, count):
        finite = 0
        for index in tf.range(count):
            rows = batches[index]
            batch = keras.tree.map_structure(functools.partial(tf.gather, indices=rows), data)
            with draws_as_without_xla():
                logs = one_step(batch)
            finite += tf.cast(tf.math.is_finite(logs.get("loss", 0.0)), tf.int32)
        return model.get_metrics_result(), finite

    return loop


def whole_batches_first(
    model: keras.Model, compiled: Callable[..., Any] | None, usual: Callable[..., Any]
) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Returns a function that trains by XLA on whole batches, the usual way on what is left.

    A model that XLA cannot compile is trained the usual way altogether, and `model.compiled_by_xla`
    is then false.

    Args:
        model: A compiled model.
        compiled: A graph of `steps`.
        usual: A function of data, the numbers of any rows, and the batch size, as the one returned.
    """

    def train(data, rows, batch_size):
        nonlocal compiled
        logs, finite = None, 0
        if compiled is not None and len(rows) >= batch_size:
            table, count, rest = whole_batches(rows, batch_size, model.steps_per_execution)
            try:
                logs, finite = compiled(data, table, tf.constant(count))
                rows = rest
            except _CANNOT_COMPILE:  # The model is as before: XLA assigns at the end of a call.
                compiled = None
        model.compiled_by_xla = compiled is not None
        if len(rows):
            logs, still_finite = usual(data, rows, batch_size)
            finite += still_finite
        return logs, finite

    return train


def whole_batches_of_epoch_first(
    model: keras.Model, compiled: Callable[..., Any], usual: Callable[..., Any]
) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Returns a part of a graph that trains on an epoch's whole batches first, then on the rest.

    Args:
        model: A compiled model.
        compiled: A function made of `steps` that XLA compiles.
        usual: A function of data, the numbers of any rows, and the batch size.
    """

    def train(data, order, batch_size):
        count = tf.size(order) // batch_size
        finite = 0
        if count > 0:
            whole = tf.reshape(order[: count * batch_size], (count, batch_size))
            _, finite = compiled(data, whole, count)
        if count * batch_size < tf.size(order):
            _, still_finite = usual(data, order[count * batch_size :], batch_size)
            finite += still_finite
        return model.get_metrics_result(), finite

    return train


def or_usual(
    model: keras.Model, mixed: Callable[..., Any] | None, usual: Callable[..., Any]
) -> Callable[..., Any]:
    """Returns a function that trains by a graph with parts that XLA compiles, if it can.

    Args:
        model: A compiled model.
        mixed: The graph.
        usual: A function of the same arguments without XLA.
    """

    def train(data, orders, batch_size):
        nonlocal mixed
        if mixed is not None:
            try:
                return mixed(data, orders, batch_size)
            except _CANNOT_COMPILE:  # The model is as before: it fails at the first batch.
                mixed = None
        model.compiled_by_xla = False
        return usual(data, orders, batch_size)

    return train
