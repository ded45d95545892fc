"""How data enter TensorFlow: as tensors, and what a graph is told of them."""

import contextlib
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


def any_rows_of(data: Any) -> Any:
    """Returns the signature of tensors like these arrays, with any number of rows.

    With the number of rows at hand, a graph would be traced again for each other one.
    """
    return tf.nest.map_structure(
        lambda table: tf.TensorSpec((None, *table.shape[1:]), _dtype_on_device(table)), data
    )


def row_numbers(rank: int) -> tuple[Any, Any]:
    """Returns the signature of row numbers in an array of this rank, and of one whole number."""
    return tf.TensorSpec((None,) * rank, tf.int32), tf.TensorSpec((), tf.int32)
