"""The only file that imports TensorFlow."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

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


def batch_jacobian(function: Callable[[Any], Any], inputs: Any) -> Any:
    """Returns each row's derivatives of a function's outputs; see `keras_sda.backend`."""
    # Vectorised in a graph, output by output outside: there, vectorising would trace a new
    # graph at each call, and TensorFlow would warn of it. The loop asks for a persistent tape.
    is_graph = not tf.executing_eagerly()
    with tf.GradientTape(persistent=not is_graph, watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        outputs = function(inputs)
    return tape.batch_jacobian(outputs, inputs, experimental_use_pfor=is_graph)
