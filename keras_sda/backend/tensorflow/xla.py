"""Many training steps in a loop that XLA compiles, with the random numbers of the usual way."""

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_sda.backend import convolves, whole_batches
from keras_sda.backend.data_parallel import DataParallelModel

# XLA spares what TensorFlow's operations cost besides computing, which is most of a step on few
# rows: 1.6 times as fast with 20 rows and 784 x 1000 weights, as fast with 128.
_MOST_ROWS = 64
# Compiling takes about a second longer than tracing; each step gains 0.1 ms, and 1 ms per million
# weights.
_LEAST_WORK = 1e9
_WEIGHTS_LIKE_A_STEP = 50_000


def pays(model: keras.Model, batch_size: int, steps: int) -> bool:
    """Whether training is faster in a loop that XLA compiles: on processors, if batches are small.

    Args:
        model: A model that is built and compiled.
        batch_size: Rows of a batch.
        steps: Training steps to come, over all epochs.
    """
    is_left_to_us = model._given_jit_compile == "auto" and not model.jit_compile
    # Its logs would not be those of its metrics.
    has_own_step = type(model).train_step is not DataParallelModel.train_step
    return (
        batch_size <= _MOST_ROWS
        and steps * (model.count_params() + _WEIGHTS_LIKE_A_STEP) >= _LEAST_WORK
        and is_left_to_us
        and not (has_own_step or model.run_eagerly)
        and all(device.device_type == "CPU" for device in tf.config.list_logical_devices())
        and all(layer.supports_jit for layer in model._flatten_layers())
        and not convolves(model)
    )


def many_steps(
    model: keras.Model, one_step: Callable[[Any], dict[str, Any]]
) -> Callable[[Any, Any, Any], tuple[dict[str, Any], Any]]:
    """Returns a function that trains on many batches of one size in a loop that XLA compiles.

    Args:
        model: A compiled model.
        one_step: Trains on a batch and returns the logs.

    Returns:
        A function of data as tensors, of a table with the numbers of a batch's rows in each line,
        and of how many lines of it to train on. It returns the logs of the last step, and after how
        many steps the loss was still finite.
    """
    # A loop cannot make variables.
    model.build_metrics()

    def steps(data, batches, count):
        finite = 0
        for index in tf.range(count):
            rows = batches[index]
            batch = keras.tree.map_structure(functools.partial(tf.gather, indices=rows), data)
            with _draws_as_outside_xla():
                logs = one_step(batch)
            finite += tf.cast(tf.math.is_finite(logs.get("loss", 0.0)), tf.int32)
        return model.get_metrics_result(), finite

    function = tf.function(steps, jit_compile=True)
    function._omit_frequent_tracing_warning = True
    return function


@contextlib.contextmanager
def _draws_as_outside_xla():
    """Has what is traced in the block draw the random numbers that TensorFlow draws otherwise.

    XLA would draw other ones on a processor, by a generator that needs several times as long as all
    the rest of a step. What Keras asks for seldom stays as it is.
    """
    ours = (
        (tf.random, "stateless_uniform", _uniform),
        (tf.random, "stateless_normal", _normal),
        (tf.nn.experimental, "stateless_dropout", _dropout),
    )
    usual = [getattr(module, name) for module, name, _ in ours]
    for module, name, function in ours:
        setattr(module, name, function)
    try:
        yield
    finally:
        for (module, name, _), function in zip(ours, usual, strict=True):
            setattr(module, name, function)


_draw = tf.random.stateless_uniform


def _uniform(shape, seed, minval=0, maxval=None, dtype=tf.float32, name=None, alg="philox"):
    if tf.as_dtype(dtype) != tf.float32:
        return _draw(shape, seed, minval, maxval, dtype, name, "philox")
    numbers = _uniform_below_1(shape, seed)
    return numbers if maxval is None else numbers * (maxval - minval) + minval


def _uniform_below_1(shape, seed):
    bits = _draw(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    # 23 bits as the fraction of a number from 1 to 2.
    fraction = tf.bitwise.bitwise_and(bits, tf.constant(0x7FFFFF, tf.uint32))
    from_1_to_2 = tf.bitwise.bitwise_or(fraction, tf.constant(0x3F800000, tf.uint32))
    return tf.bitcast(from_1_to_2, tf.float32) - 1.0


def _normal(shape, seed, mean=0.0, stddev=1.0, dtype=tf.float32, name=None, alg="philox"):
    if tf.as_dtype(dtype) != tf.float32:
        return _usual_normal(shape, seed, mean, stddev, dtype, name, "philox")
    # Box and Muller's way, two numbers of two.
    count = tf.reduce_prod(shape)
    first, second = tf.unstack(_uniform_below_1(((count + 1) // 2, 2), seed), axis=1)
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(first, 1e-7)))
    angle = 2.0 * math.pi * second
    pairs = tf.stack([tf.sin(angle) * radius, tf.cos(angle) * radius], axis=1)
    return tf.reshape(tf.reshape(pairs, (-1,))[:count], shape) * stddev + mean


_usual_normal = tf.random.stateless_normal


def _dropout(x, rate, seed, rng_alg="philox", noise_shape=None, name=None):
    return tf.nn.experimental.general_dropout(
        x, rate, lambda shape, dtype: _uniform(shape, seed, dtype=dtype), noise_shape, name
    )


def whole_batches_first(
    model: keras.Model, compiled: Callable[..., Any] | None, usual: Callable[..., Any]
) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Returns a function that trains by XLA on whole batches, the usual way on what is left.

    A model that XLA cannot compile is trained the usual way altogether; `model.takes_xla` tells.

    Args:
        model: A compiled model.
        compiled: What `many_steps` has returned.
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
            except Exception:  # The model is as before: XLA assigns at the end of a call.
                compiled = None
        model.takes_xla = compiled is not None
        if len(rows):
            logs, still_finite = usual(data, rows, batch_size)
            finite += still_finite
        return logs, finite

    return train
