"""The only file that imports TensorFlow."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Sets TensorFlow's global seed; puts it back on leaving, its count of draws started anew."""
    before, _ = tf.compat.v1.get_seed(None)
    tf.random.set_seed(seed)
    try:
        yield
    finally:
        tf.random.set_seed(before)
