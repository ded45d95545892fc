"""How data enter TensorFlow: as tensors, and a graph that is traced once for any number of rows."""

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def to_device(array: np.ndarray, on_host: bool = False) -> Any:
    """Returns an array as a tensor, real numbers in Keras' float type, as `fit` gives them.

    Args:
        array: Any array.
        on_host: Whether it stays in the machine's own memory, for several devices to take from.
    """
    with tf.device("CPU:0") if on_host else contextlib.nullcontext():
        return tf.convert_to_tensor(array, dtype=_dtype_on_device(array))


def _dtype_on_device(array):
    dtype = tf.as_dtype(array.dtype)
    return tf.as_dtype(keras.config.floatx()) if dtype.is_floating else dtype


def traced_once(train: Callable[..., Any], data: Any) -> Callable[..., Any]:
    """Returns a function of data, row numbers and batch size as a graph."""
    # Any number of rows from the start: otherwise the last, smaller group is traced once more.
    signature = (
        tf.nest.map_structure(
            lambda table: tf.TensorSpec((None, *table.shape[1:]), _dtype_on_device(table)), data
        ),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((), tf.int32),
    )
    function = tf.function(train, input_signature=signature)
    # Each model traces it once; TensorFlow counts by the line of code, over all models, and would
    # warn of one function that is traced again and again.
    function._omit_frequent_tracing_warning = True
    return function
