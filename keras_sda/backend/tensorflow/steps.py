"""Many training steps in one call."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_sda.backend.tensorflow import replicas, xla
from keras_sda.backend.tensorflow.patches import fused_updates
from keras_sda.backend.tensorflow.sharing import graph_for
from keras_sda.backend.tensorflow.strategies import is_distributed
from keras_sda.backend.tensorflow.tensors import any_rows_of, row_numbers


def can_group_steps(model: keras.Model, by_pieces: bool = False) -> bool:
    """Whether several training steps of a model may run in one call.

    Not on a TPU, as a step takes its rows from tensors in the host's memory.

    Args:
        model: A compiled model.
        by_pieces: Whether the rows come from a file, so that calls bring arrays of several sizes,
            for each of which JAX would compile anew.
    """
    return not isinstance(model.distribute_strategy, tf.distribute.TPUStrategy)


def endless_dataset(model: keras.Model) -> Any:
    """Returns what `fit` may iterate over where the batches come from elsewhere."""
    if is_distributed(model):
        return replicas.endless_dataset(model.distribute_strategy)
    return tf.data.Dataset.from_tensors(0).repeat()


def is_worth_compiling(model: keras.Model, batch_size: int, steps: int) -> bool:
    """Whether training is faster if XLA compiles the loop over the steps of a call.

    Args:
        model: A model that is built and compiled.
        batch_size: Rows of a batch.
        steps: Training steps to come, over all epochs.
    """
    return not is_distributed(model) and xla.is_worth_compiling(model, batch_size, steps)


def make_multi_step(
    model: keras.Model, data: Any, training: bool = True, by_xla: bool = False
) -> Callable[..., Any]:
    """Returns a function that trains on many batches per call, one `train_step` for each.

    Keras' own function waits, between any two steps, for the batch that another thread has put
    together. Here the data lie in tensors, from which a batch is taken by the numbers of its rows,
    so that a step can begin while the one before is still ending.

    Args:
        model: A compiled model.
        data: `x`, `(x, y)` or `(x, y, sample_weight)`, arrays or tensors like those to come; their
            number of rows may change.
        training: `False`, for a model under a strategy, tests instead of training.
        by_xla: Whether XLA compiles the loop over the batches; see `is_worth_compiling`.

    Returns:
        A function of such data as tensors, of the numbers of all rows of the batches to train on,
        one batch after the other, and of the number of rows in a batch. It returns the logs of the
        last step, and after how many steps the loss was still finite. Under JAX it takes the
        model's state first, and returns the new state as well.
    """
    if is_distributed(model):
        return replicas.make_multi_step(model, data, training)

    step = _step_of(model)
    if model.run_eagerly:
        return _steps(step)
    usual = _graph(model, "steps", _steps(_function(model, step)), data)
    if not by_xla:
        return usual
    signature = (any_rows_of(data), *row_numbers(2))
    compiled = graph_for(model, "xla", xla.steps(model, step), signature, jit_compile=True)
    return xla.whole_batches_first(model, compiled, usual)


def make_multi_epoch(model: keras.Model, data: Any, by_xla: bool = False) -> Callable[..., Any]:
    """Returns a function that trains for several epochs per call, which callbacks hear of later.

    Args:
        model: A compiled model that does not run eagerly, not under a strategy.
        data: As in `make_multi_step`.
        by_xla: As there.

    Returns:
        A function of data as tensors, of a table whose lines have the numbers of all rows in the
        order of an epoch, and of the number of rows in a batch. It returns the logs of each epoch
        as arrays, and after how many of its steps the loss was still finite. Under JAX it takes the
        model's state first, and returns the new state as well.
    """
    step = _step_of(model)
    steps = tf.function(_steps(_function(model, step)), reduce_retracing=True)
    usual = _graph(model, "epochs", _epochs(model, steps), data, rank=2)
    if not by_xla:
        return usual
    compiled = tf.function(xla.steps(model, step), jit_compile=True)
    whole_first = xla.whole_batches_of_epoch_first(model, compiled, steps)
    mixed = _graph(model, "epochs, xla", _epochs(model, whole_first), data, rank=2)
    return xla.or_usual(model, mixed, usual)


def make_evaluation(model: keras.Model, data: Any) -> Callable[..., Any]:
    """Returns a function that tests a model on all rows of data in one call.

    Args:
        model: A compiled model that does not run eagerly, not under a strategy.
        data: As in `make_multi_step`.

    Returns:
        A function of data as tensors and of the number of rows in a batch, which returns the logs,
        and leaves the metrics as they are after the last batch.
    """
    steps = _steps(_function(model, model.test_step))

    def evaluate(data, batch_size):
        keras.Model.reset_metrics(model)
        rows = tf.range(tf.shape(tf.nest.flatten(data)[0])[0])
        logs, _ = steps(data, rows, batch_size)
        return logs

    return graph_for(model, "evaluation", evaluate, (any_rows_of(data), row_numbers(1)[1]))


def make_prediction(model: keras.Model, rows: Any) -> Callable[..., Any]:
    """Returns a function that computes a model's output for one batch.

    Args:
        model: A built model that does not run eagerly, not under a strategy.
        rows: An array like those to come; their number of rows may change.
    """

    def predict(rows):
        return model(rows, training=False)

    return graph_for(model, "prediction", predict, (any_rows_of(rows),))


def _step_of(model):
    """Returns what trains on a batch."""

    def step(batch):
        with fused_updates(model.optimizer):
            return model.train_step(batch)

    return step


def _function(model, step):
    """Returns a step as a function that a graph calls as often as needed."""
    return tf.function(step, reduce_retracing=True, jit_compile=model.jit_compile)


def _graph(model, kind, function, data, rank=1):
    """Returns a function of data, row numbers and batch size as a graph."""
    return graph_for(model, kind, function, (any_rows_of(data), *row_numbers(rank)))


def _steps(one_step):
    """Returns a loop over the batches of any rows."""

    def steps(data, rows, batch_size):
        def step(index):
            batch = rows[index * batch_size : (index + 1) * batch_size]
            logs = one_step(tf.nest.map_structure(lambda values: tf.gather(values, batch), data))
            return logs, tf.cast(tf.math.is_finite(logs.get("loss", 0.0)), tf.int32)

        logs, finite = step(0)
        for index in tf.range(1, -(-tf.size(rows) // batch_size)):
            logs, still_finite = step(index)
            finite += still_finite
        return logs, finite

    return steps


def _epochs(model, steps):
    """Returns a loop over the orders of several epochs."""

    def epochs(data, orders, batch_size):
        def epoch(number):
            keras.Model.reset_metrics(model)
            logs, finite = steps(data, orders[number], batch_size)
            return {**logs, "": finite}

        first = epoch(0)
        columns = {
            name: tf.TensorArray(value.dtype, tf.shape(orders)[0]).write(0, value)
            for name, value in first.items()
        }
        for number in tf.range(1, tf.shape(orders)[0]):
            values = epoch(number)
            columns = {name: column.write(number, values[name]) for name, column in columns.items()}
        logs = {name: column.stack() for name, column in columns.items()}
        return logs, logs.pop("")

    return epochs


def replaying(model: Any, train_function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a training function that leaves batches aside while `model.replayed_logs` are set.

    The position of TensorFlow's own iterators is unknown, so that `fit` by Keras' own way never
    resumes within an epoch here, and the function stays as it is.

    Args:
        model: A `training.fast_fit.FastFit`.
        train_function: What Keras has made to train on a batch, or on several.
    """
    return train_function
