"""All that this package changes in objects of Keras and TensorFlow, each for a block of code.

Four things have no other door: how an optimizer updates one variable, which seed a generator gives
each replica, which random numbers XLA draws, and which variables a graph refers to. Each change
stands while something is traced, everything is as before when the block is left, also after an
error, and a block inside a block of the same kind changes nothing more.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_sda.backend.tensorflow import draws
from keras_sda.backend.tensorflow.updates import fused_update_of

_ABSENT = object()
# Held where a change shows in other threads.
_lock = threading.RLock()


@contextlib.contextmanager
def replaced(owner: Any, **attributes: Any) -> Iterator[None]:
    """Gives attributes of a module, a class or an object other values inside the `with` block.

    Args:
        owner: Whose attributes they are.
        **attributes: Their values in the block.
    """
    before = {name: vars(owner).get(name, _ABSENT) for name in attributes}
    try:
        for name, value in attributes.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in before.items():
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


@contextlib.contextmanager
def fused_updates(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Lets SGD and Adam update each variable in one pass over it; see `updates`.

    Changes `update_step` of this one optimizer, which Keras calls for each variable. Other
    optimizers, and gradients that are not plain tensors, stay as they are.
    """
    fused = fused_update_of(optimizer)
    if fused is None or "update_step" in vars(optimizer):
        yield
        return
    usual = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        if not isinstance(gradient, tf.Tensor) or gradient.dtype != variable.dtype:
            return usual(gradient, variable, learning_rate)
        return fused(optimizer, gradient, variable, tf.cast(learning_rate, variable.dtype))

    with replaced(optimizer, update_step=update_step):
        yield


@contextlib.contextmanager
def noise_of_each_replica() -> Iterator[None]:
    """Makes seeded layers draw differently on each replica of a strategy.

    Changes `SeedGenerator.next`. The state of a generator is the same on all replicas, as it should
    be for saving; what differs is the seed that a draw makes of it.
    """
    with replaced(keras.random.SeedGenerator, next=_next_of_replica):
        yield


_next_of_all = keras.random.SeedGenerator.next


def _next_of_replica(self, ordered=True):
    seed = _next_of_all(self, ordered)
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    number = tf.cast(context.replica_id_in_sync_group, seed.dtype)
    return tf.random.experimental.stateless_fold_in(seed, number)


@contextlib.contextmanager
def draws_as_without_xla() -> Iterator[None]:
    """Has XLA draw the random numbers that TensorFlow draws without it; see `draws`.

    Changes the three functions of TensorFlow by which Keras draws.
    """
    with (
        _lock,
        replaced(tf.random, stateless_uniform=draws.uniform, stateless_normal=draws.normal),
        replaced(tf.nn.experimental, stateless_dropout=draws.dropout),
    ):
        yield


@contextlib.contextmanager
def standing_for(variables: list[keras.Variable], values: list[Any]) -> Iterator[None]:
    """Puts other TensorFlow variables behind Keras' own, such as the arguments of a graph.

    Changes the `_value` of each of them.
    """
    with contextlib.ExitStack() as stack:
        for variable, value in zip(variables, values, strict=True):
            stack.enter_context(replaced(variable, _value=value))
        yield
