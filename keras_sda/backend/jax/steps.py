"""Many training steps in one call."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_sda.backend.common import convolves, whole_batches


def can_group_steps(model: keras.Model, by_pieces: bool = False) -> bool:
    """Whether several training steps of a model may run in one call: compiled, on one device.

    On a processor XLA takes six times as long for a convolution inside of a loop; see `convolves`.
    """
    is_compiled = model.jit_compile and not model.run_eagerly
    return (
        is_compiled
        and not by_pieces
        and keras.distribution.distribution() is None
        and not (jax.default_backend() == "cpu" and convolves(model))
    )


def is_worth_compiling(model: keras.Model, batch_size: int, steps: int, by_pieces: bool) -> bool:
    """Whether training is faster if XLA compiles the loop over the steps of a call: always."""
    return True


def to_device(array: np.ndarray, on_host: bool = False) -> Any:
    """Returns an array on the device, real numbers in Keras' float type, as `fit` gives them."""
    return jnp.asarray(array, keras.config.floatx() if array.dtype.kind == "f" else None)


def endless_dataset(model: keras.Model) -> Any:
    """Returns what `fit` may iterate over where the batches come from elsewhere."""
    return ((np.zeros((1, 1), np.float32),) for _ in itertools.count())


def make_multi_step(
    model: keras.Model, data: Any, training: bool = True, by_xla: bool = False
) -> Callable[..., Any]:
    """Returns a function that trains on many batches per call, one `train_step` for each.

    Keras' own function takes a batch per call, and several `steps_per_execution` by as many calls.
    The loop is XLA's, which does not unroll it.

    Args:
        model: A compiled model.
        data: Not needed here.
        training: Not asked: it always trains.
        by_xla: Not asked: JAX always compiles by XLA.

    Returns:
        A function of the model's state, of `x`, `(x, y)` or `(x, y, sample_weight)` as arrays on
        the device, of the numbers of all rows of the batches to train on, one batch after the
        other, and of the number of rows in a batch. It returns the logs of the last step, after how
        many steps the loss was still finite, and the new state.
    """

    def one_step(state, data, rows):
        batch = jax.tree.map(lambda table: table[rows], data)
        logs, state = model.train_step(state, batch)
        return state, logs, jnp.isfinite(logs.get("loss", 0.0)).astype("int32")

    @jax.jit(donate_argnums=0)
    def steps(state, data, batches, count):
        def step(index, carry):
            state, _, finite = carry
            state, logs, is_finite = one_step(state, data, batches[index])
            return state, logs, finite + is_finite

        _, logs, finite = jax.eval_shape(one_step, state, data, batches[0])
        nothing = jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), (logs, finite))
        return jax.lax.fori_loop(0, count, step, (state, *nothing))

    def train(state, data, rows, batch_size):
        table, whole, rest = whole_batches(rows, batch_size, model.steps_per_execution)
        finite = 0
        # The smaller batch at the end takes a compilation of its own.
        for batches, count in ((table, whole), (rest[None], int(len(rest) > 0))):
            if count:
                state, logs, finite_now = steps(state, data, batches, count)
                finite += finite_now
        return logs, finite, state

    return train


def replaying(model: Any, train_function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a training function that leaves batches aside while `model.replayed_logs` are set."""
    if getattr(train_function, "replays", False):
        return train_function

    def function(state, batches):
        if model.replayed_logs is None:
            return train_function(state, batches)
        for _ in range(model.steps_per_execution):
            next(batches, None)
        return dict(model.replayed_logs), state

    function.replays = True  # type: ignore[attr-defined]
    return function
