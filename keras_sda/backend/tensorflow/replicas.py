"""Steps that the replicas of a strategy take together.

Keras' trainer keeps its callbacks, histories and loops; the functions it calls for a step are
these, as its own do not work on several workers, weigh the rows of an unevenly split batch
unequally, and draw the same noise on every replica.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_sda.backend.tensorflow.patches import noise_of_each_replica
from keras_sda.backend.tensorflow.sharing import own_graph
from keras_sda.backend.tensorflow.strategies import has_several_workers, scope_of
from keras_sda.backend.tensorflow.tensors import any_rows_of, row_numbers, to_device


def scaled_for_replicas(value: Any) -> Any:
    """Returns a share of a loss, such that those of all replicas add up to their mean.

    Keras does so in its own losses; whatever is added to them has to be scaled as well.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return value if replicas == 1 else value / tf.cast(replicas, value.dtype)


def _step_of_replica(model, data, training, weight):
    """Trains or tests on one replica's rows of a batch.

    Args:
        model: A compiled model.
        data: This replica's rows, possibly none.
        training: Whether to train.
        weight: This replica's share of the batch's rows, times the number of replicas.

    Returns:
        Whether the mean loss so far is finite.
    """
    rows = tf.shape(tf.nest.flatten(data)[0])[0]
    # The mean of no rows is NaN, even times zero: without rows, one of zeros stands in, weightless.
    missing = tf.cast(rows == 0, tf.int32)
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(
        _map_arrays(lambda values: _padded(values, missing), data)
    )
    with tf.GradientTape() as tape:
        outputs = model(x, training=training)
        loss = model.compute_loss(x, y, outputs, sample_weight, training=training)
        tracked = loss * tf.cast(model.distribute_strategy.num_replicas_in_sync, loss.dtype)
        loss = model.optimizer.scale_loss(loss * tf.cast(weight, loss.dtype)) if training else loss
    if training:
        variables = model.trainable_weights
        gradients = tape.gradient(loss, variables)
        model.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    tracker = next(metric for metric in model.metrics if metric.name == "loss")
    tracker.update_state(tracked, sample_weight=rows)
    x, y, outputs, sample_weight = _map_arrays(
        lambda values: values[:rows], (x, y, outputs, sample_weight)
    )
    model.compute_metrics(x, y, outputs, sample_weight=sample_weight)
    return tf.cast(tf.math.is_finite(tracker.result()), tf.int32)


def _padded(values, rows):
    return tf.pad(values, [[0, rows]] + [[0, 0]] * (len(values.shape) - 1))


def _map_arrays(function, structure):
    return tf.nest.map_structure(
        lambda values: None if values is None else function(values), structure
    )


def _results(model):
    """Returns the metrics over all replicas; all workers have to ask for them together."""
    with scope_of(model):
        return model.get_metrics_result()


@functools.lru_cache(maxsize=1)
def endless_dataset(strategy: tf.distribute.Strategy) -> Any:
    """Returns a distributed dataset, as Keras knows them by their class, that holds nothing.

    A real one opens threads and buffers on every device, each time that it is iterated.
    """
    real = strategy.distribute_datasets_from_function(
        lambda _: tf.data.Dataset.from_tensors(0).repeat()
    )
    methods = {
        "__init__": lambda self: None,
        "__iter__": lambda self: itertools.repeat(0),
        "cardinality": tf.data.INFINITE_CARDINALITY,
    }
    return type("EndlessDataset", (type(real),), methods)()


def make_multi_step(model: keras.Model, data: Any, training: bool) -> Callable[..., Any]:
    """`steps.make_multi_step` under a strategy: replicas take their parts of every batch's rows."""
    strategy = model.distribute_strategy

    def on_replica(data, batch):
        context = tf.distribute.get_replica_context()
        number, replicas = context.replica_id_in_sync_group, strategy.num_replicas_in_sync
        rows = tf.size(batch)
        own = batch[rows * number // replicas : rows * (number + 1) // replicas]
        with tf.device("CPU:0"):
            taken = tf.nest.map_structure(lambda values: tf.gather(values, own), data)
        return _step_of_replica(model, taken, training, tf.size(own) * replicas / rows)

    def one_step(data, batch):
        with noise_of_each_replica():
            finite = strategy.run(on_replica, args=(data, batch))
        return tf.stack(strategy.experimental_local_results(finite))

    def train(data, rows, batch_size):
        finite = one_step(data, rows[:batch_size])
        for index in tf.range(1, -(-tf.size(rows) // batch_size)):
            finite += one_step(data, rows[index * batch_size : (index + 1) * batch_size])
        return _results(model), _smallest(strategy, finite)

    if model.run_eagerly:
        return train
    one_step = tf.function(one_step, reduce_retracing=True)
    return own_graph(train, (any_rows_of(data), *row_numbers(1)))


def _smallest(strategy, values):
    """Returns the smallest of the values that all workers have."""
    smallest = tf.reduce_min(values)
    if not has_several_workers(strategy):
        return smallest
    gathered = strategy.gather(smallest[None], axis=0)
    return tf.reduce_min(gathered)


def step_function(model: keras.Model, training: bool) -> Callable[[Any], dict[str, Any]]:
    """Returns what Keras' loops call for a batch of a distributed dataset, and get logs from.

    Args:
        model: A compiled model, made inside a strategy's scope.
        training: Whether to train or to test.
    """
    strategy = model.distribute_strategy

    def on_replica(data):
        data = keras.tree.map_structure(
            lambda value: None if isinstance(value, tf.experimental.Optional) else value, data
        )
        weight = 1.0
        if training:
            rows = tf.cast(tf.shape(tf.nest.flatten(data)[0])[0], tf.float32)
            of_all = tf.distribute.get_replica_context().all_reduce("SUM", rows)
            weight = rows * strategy.num_replicas_in_sync / of_all
        _step_of_replica(model, data, training, weight)

    def one_step(iterator):
        with noise_of_each_replica():
            strategy.run(on_replica, args=(next(iterator),))

    def results():
        return _results(model)

    if not model.run_eagerly:
        one_step = tf.function(one_step, reduce_retracing=True)
        results = tf.function(results)

    def function(iterator):
        for step in range(model.steps_per_execution):
            try:
                one_step(iterator)
            except (StopIteration, tf.errors.OutOfRangeError):
                if step == 0:
                    raise
                break
        return results()

    return function


def part_of_one_replica(strategy: tf.distribute.Strategy, batch: Any) -> Any:
    """Returns a batch as one replica of this process gets it, whose shape stands for all."""
    return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], batch)


def in_parallel(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns a function of rows that the replicas of the entered strategy compute in parts.

    Without a strategy for several replicas it returns the function itself. Under several workers
    all of them must call it with the same rows, and all get all results.
    """
    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return function

    @tf.function(reduce_retracing=True)
    def compute(rows):
        part = tf.shape(rows)[0] // replicas

        def on_replica():
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            return function(rows[number * part : (number + 1) * part])

        return strategy.gather(strategy.run(on_replica), axis=0)

    def all_rows(rows):
        missing = -len(rows) % replicas
        padding = [(0, missing)] + [(0, 0)] * (np.ndim(rows) - 1)
        return compute(to_device(np.pad(rows, padding), on_host=True))[: len(rows)]

    return all_rows
