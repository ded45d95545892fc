"""Many training steps in one call."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_sda.backend.common import convolves, whole_batches
from keras_sda.backend.jax.sharing import compiled_for


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


def is_worth_compiling(model: keras.Model, batch_size: int, steps: int) -> bool:
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
    steps = compiled_for(model, "steps", _steps(model), donate_argnums=0)

    def train(state, data, rows, batch_size):
        table, whole, rest = whole_batches(rows, batch_size, model.steps_per_execution)
        finite = 0
        # The smaller batch at the end takes a compilation of its own.
        for batches, count in ((table, whole), (rest[None], int(len(rest) > 0))):
            if count:
                logs, finite_now, state = steps(state, data, batches, count)
                finite += finite_now
        return logs, finite, state

    return train


def make_multi_epoch(model: keras.Model, data: Any, by_xla: bool = False) -> Callable[..., Any]:
    """Returns a function that trains for several epochs per call, which callbacks hear of later.

    Args:
        model: A compiled model.
        data: Not needed here.
        by_xla: Not asked: JAX always compiles by XLA.

    Returns:
        A function of the model's state, of data as in `make_multi_step`, of a table whose lines
        have the numbers of all rows in the order of an epoch, and of the number of rows in a batch.
        It returns the logs of each epoch as arrays, after how many of its steps the loss was still
        finite, and the new state.
    """
    most = 0

    @functools.cache
    def epochs(batch_size):
        function = _epochs(model, batch_size)
        return compiled_for(model, ("epochs", batch_size), function, donate_argnums=0)

    def train(state, data, orders, batch_size):
        nonlocal most
        count = len(orders)
        most = max(most, count)
        # As many lines in every call, so that one compilation serves them all.
        lines = np.pad(orders, ((0, most - count), (0, 0)))
        logs, finite, state = epochs(int(batch_size))(state, data, lines, count)
        return {name: values[:count] for name, values in logs.items()}, finite[:count], state

    return train


def make_evaluation(model: keras.Model, data: Any) -> Callable[..., Any]:
    """Returns a function that tests a model on all rows of data in one call.

    Args:
        model: A compiled model.
        data: Not needed here.

    Returns:
        A function of data as in `make_multi_step` and of the number of rows in a batch, which
        returns the logs, and leaves the metrics as they are after the last batch.
    """

    @functools.cache
    def program(batch_size):
        return compiled_for(model, ("evaluation", batch_size), _evaluation(model, batch_size))

    def evaluate(data, batch_size):
        kept = model.trainable_variables, model.non_trainable_variables, model.metrics_variables
        state = tuple([variable.value for variable in variables] for variables in kept)
        logs, state = program(int(batch_size))(state, data)
        for variables, values in zip(kept[1:], state[1:], strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return logs

    return evaluate


def make_prediction(model: keras.Model, rows: Any) -> Callable[..., Any]:
    """Returns a function that computes a model's output for one batch, operation by operation."""
    return functools.partial(model, training=False)


def _evaluation(model, batch_size):
    """Returns a loop over the batches of data."""

    def evaluate(state, data):
        state = _with_metrics_reset(model, state)
        count = len(jax.tree.leaves(data)[0])
        whole = count // batch_size * batch_size
        first = jax.tree.map(
            lambda table: table[:whole].reshape(-1, batch_size, *table.shape[1:]), data
        )
        if whole:
            batch = jax.tree.map(lambda table: table[0], first)
            logs, _ = jax.eval_shape(model.test_step, state, batch)

            def step(index, carry):
                _, state = carry
                batch = jax.tree.map(lambda table: table[index], first)
                return model.test_step(state, batch)

            logs, state = jax.lax.fori_loop(0, whole // batch_size, step, (_zeros(logs), state))
        if whole < count:
            logs, state = model.test_step(state, jax.tree.map(lambda table: table[whole:], data))
        return logs, state

    return evaluate


def _steps(model):
    """Returns a loop over whole batches."""

    def one_step(state, data, rows):
        batch = jax.tree.map(lambda table: table[rows], data)
        logs, state = model.train_step(state, batch)
        return logs, jnp.isfinite(logs.get("loss", 0.0)).astype("int32"), state

    def steps(state, data, batches, count):
        def step(index, carry):
            _, finite, state = carry
            logs, is_finite, state = one_step(state, data, batches[index])
            return logs, finite + is_finite, state

        logs, finite, _ = jax.eval_shape(one_step, state, data, batches[0])
        return jax.lax.fori_loop(0, count, step, (*_zeros((logs, finite)), state))

    return steps


def _epochs(model, batch_size):
    """Returns a loop over the orders of several epochs."""
    steps = _steps(model)

    def one_epoch(state, data, order):
        state = _with_metrics_reset(model, state)
        whole = len(order) // batch_size
        finite = 0
        for rows in np.split(np.arange(len(order)), [whole * batch_size]):
            if len(rows):
                batches = order[rows].reshape(-1, min(batch_size, len(rows)))
                logs, finite_now, state = steps(state, data, batches, len(batches))
                finite += finite_now
        return logs, finite, state

    def epochs(state, data, orders, count):
        def epoch(number, carry):
            columns, state = carry
            *values, state = one_epoch(state, data, orders[number])
            return jax.tree.map(lambda to, value: to.at[number].set(value), columns, values), state

        *values, _ = jax.eval_shape(one_epoch, state, data, orders[0])
        columns = jax.tree.map(lambda v: jnp.zeros((len(orders), *v.shape), v.dtype), values)
        columns, state = jax.lax.fori_loop(0, count, epoch, (columns, state))
        return *columns, state

    return epochs


def _zeros(structure):
    return jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), structure)


def _with_metrics_reset(model, state):
    """Returns a model's state with its metrics as they are before a first step."""
    *others, values = state
    variables = model.metrics_variables
    with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)) as scope:
        keras.Model.reset_metrics(model)
    return *others, [scope.get_current_value(variable) for variable in variables]


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
