"""The only folder that imports TensorFlow: steps, updates, and strategies for several devices."""

import contextlib
import functools
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_sda.backend.tensorflow import xla


@contextlib.contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Sets TensorFlow's global seed; puts it back on leaving, its count of draws started anew."""
    before, _ = tf.compat.v1.get_seed(None)
    tf.random.set_seed(seed)
    try:
        yield
    finally:
        tf.random.set_seed(before)


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Computes products of float32 in full; see `keras_sda.backend`."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def saved_model_runner(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Returns a function that runs rows through all endpoints of a SavedModel, by name."""
    loaded = tf.saved_model.load(str(path))
    names = [name for name in loaded.signatures if name != "serving_default"]

    def run(rows):
        inputs = tf.constant(rows)
        return {name: getattr(loaded, name)(inputs).numpy() for name in names}

    return run


def batch_jacobian(function: Callable[[Any], Any], inputs: Any) -> Any:
    """Returns each row's derivatives of a function's outputs; see `keras_sda.backend`."""
    # Vectorised in a graph, output by output outside: there, vectorising would trace a new
    # graph at each call, and TensorFlow would warn of it. The loop asks for a persistent tape.
    is_graph = not tf.executing_eagerly()
    with tf.GradientTape(persistent=not is_graph, watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        outputs = function(inputs)
    return tape.batch_jacobian(outputs, inputs, experimental_use_pfor=is_graph)


def read(variable: keras.Variable) -> tf.Tensor:
    """Returns the value of a variable; see `keras_sda.backend`."""
    return tf.convert_to_tensor(variable.value)


def trace(function: Callable[[], None]) -> None:
    """Makes the variables that a function makes when first called; nothing is computed."""
    tf.function(function).get_concrete_function()


def to_device(array: np.ndarray, on_host: bool = False) -> tf.Tensor:
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


def endless_dataset(model: keras.Model) -> tf.data.Dataset:
    """Returns what `fit` may iterate over where the batches come from elsewhere."""
    if is_distributed(model):
        return _endless_distributed(model.distribute_strategy)
    return tf.data.Dataset.from_tensors(0).repeat()


def takes_xla(model: keras.Model, batch_size: int, steps: int, by_pieces: bool) -> bool:
    """Whether XLA compiles the loop over the steps of a call; see `xla.pays`."""
    return not (by_pieces or is_distributed(model)) and xla.pays(model, batch_size, steps)


def many_steps(
    model: keras.Model, data: Any, training: bool = True, by_xla: bool = False
) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Returns a function that trains on many batches per call, one `train_step` for each.

    Keras' own function waits, between any two steps, for the batch that another thread has put
    together. Here the data lie in tensors, from which a batch is taken by the numbers of its rows,
    so that a step can begin while the one before is still ending.

    Args:
        model: A compiled model.
        data: `x`, `(x, y)` or `(x, y, sample_weight)`, arrays or tensors like those to come; their
            number of rows may change.
        training: `False`, for a model under a strategy, tests instead of training.
        by_xla: Whether XLA compiles the loop over the batches; see `takes_xla`.

    Returns:
        A function of such data as tensors, of the numbers of all rows of the batches to train on,
        one batch after the other, and of the number of rows in a batch. It returns the logs of the
        last step, and after how many steps the loss was still finite.
    """
    if is_distributed(model):
        return _many_distributed_steps(model, data, training)

    def one_step(data):
        with fused_updates(model.optimizer):
            return model.train_step(data)

    def train(data, rows, batch_size):
        def step(index):
            batch = rows[index * batch_size : (index + 1) * batch_size]
            logs = one_step(tf.nest.map_structure(lambda values: tf.gather(values, batch), data))
            return logs, tf.cast(tf.math.is_finite(logs.get("loss", 0.0)), tf.int32)

        logs, finite = step(0)
        for index in tf.range(1, -(-tf.size(rows) // batch_size)):
            logs, still_finite = step(index)
            finite += still_finite
        return logs, finite

    if model.run_eagerly:
        return train
    compiled = xla.many_steps(model, one_step) if by_xla else None
    one_step = tf.function(one_step, reduce_retracing=True, jit_compile=model.jit_compile)
    usual = _traced_once(train, data)
    return usual if compiled is None else xla.whole_batches_first(model, compiled, usual)


def _traced_once(train, data):
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


@contextlib.contextmanager
def fused_updates(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Lets SGD and Adam update each variable in one pass over it, to the same numbers.

    Keras writes an update as several operations, each of which reads and writes arrays as large as
    the variable: for small batches they cost as much as the matrix products. TensorFlow has them
    in one. Other optimizers, and gradients that are not plain tensors, stay as they are. Numbers
    are the same but for rounding, mostly that of `1 - beta_2` to float32, by which the size of a
    step differs by 2e-5 of itself.
    """
    fused = _FUSED.get(type(optimizer))
    if fused is None or getattr(optimizer, "amsgrad", False):
        yield
        return
    usual = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        if not isinstance(gradient, tf.Tensor) or gradient.dtype != variable.dtype:
            return usual(gradient, variable, learning_rate)
        return fused(optimizer, gradient, variable, tf.cast(learning_rate, variable.dtype))

    optimizer.update_step = update_step
    try:
        yield
    finally:
        del optimizer.update_step


def _fused_sgd(optimizer, gradient, variable, learning_rate):
    if optimizer.momentum == 0:
        return tf.raw_ops.ResourceApplyGradientDescent(
            var=variable.handle, alpha=learning_rate, delta=gradient
        )
    momentums = optimizer.momentums[optimizer._get_variable_index(variable)]
    return tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable.handle,
        accum=momentums.value.handle,
        lr=learning_rate,
        grad=gradient,
        momentum=optimizer.momentum,
        use_nesterov=optimizer.nesterov,
    )


def _fused_adam(optimizer, gradient, variable, learning_rate):
    index = optimizer._get_variable_index(variable)
    step = tf.cast(optimizer.iterations.value + 1, variable.dtype)
    beta_1 = tf.constant(optimizer.beta_1, variable.dtype)
    beta_2 = tf.constant(optimizer.beta_2, variable.dtype)
    return tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=tf.pow(beta_1, step),
        beta2_power=tf.pow(beta_2, step),
        lr=learning_rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


_FUSED = {keras.optimizers.SGD: _fused_sgd, keras.optimizers.Adam: _fused_adam}


# Strategies for several devices.
#
# Keras' trainer keeps its callbacks, histories and loops; the functions it calls for a step are
# these, as its own do not work on several workers, weigh the rows of an unevenly split batch
# unequally, and draw the same noise on every replica.

_STRATEGIES = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.TPUStrategy,
)


def is_distributed(model: keras.Model) -> bool:
    """Whether a model was made inside the scope of a strategy for several devices."""
    return isinstance(model.distribute_strategy, _STRATEGIES)


def can_group_steps(model: keras.Model, by_pieces: bool) -> bool:
    """Whether a step may take its rows from tensors in the host's memory, which a TPU cannot."""
    return not isinstance(model.distribute_strategy, tf.distribute.TPUStrategy)


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns a new strategy; see `backend.strategies.entered`."""
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy(worker_resolver())
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def worker_resolver() -> tf.distribute.cluster_resolver.ClusterResolver:
    """Returns who the workers are, and which of them this process is.

    Raises:
        ValueError: If neither `TF_CONFIG` nor Slurm's variables tell.
    """
    resolvers = tf.distribute.cluster_resolver
    if "TF_CONFIG" in os.environ:
        return resolvers.TFConfigClusterResolver()
    if "SLURM_STEP_NODELIST" not in os.environ:
        raise ValueError(
            "The strategy multi_worker needs the addresses of all workers in TF_CONFIG, or to run "
            "under Slurm's srun. Received neither: use `keras-sda launch` for several processes of "
            "this machine."
        )
    if tf.config.list_physical_devices("GPU"):
        return resolvers.SlurmClusterResolver()
    # Without graphics processors TensorFlow counts them by a tool that is not there, and then lists
    # no task at all; as many as tasks, none of which is used, give each task its address.
    counts = re.findall(r"(\d+)(?:\(x\d+\))?", os.environ["SLURM_STEP_TASKS_PER_NODE"])
    most = max(map(int, counts))
    return resolvers.SlurmClusterResolver(gpus_per_node=most, gpus_per_task=1, auto_set_gpu=False)


@contextlib.contextmanager
def lost_workers_named() -> Iterator[None]:
    """Turns what TensorFlow raises when a worker is gone into a `ConnectionError` that says so."""
    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    ) as error:
        raise ConnectionError(
            "Another worker is no longer there, without which this one cannot go on: see what that "
            f"one printed, and start all workers again. TensorFlow says: {error.message}"
        ) from error


@contextlib.contextmanager
def scope_of(model: keras.Model) -> Iterator[None]:
    """Enters the scope of the strategy that a model was made in, unless one is entered already.

    Raises:
        ValueError: If the model or its optimizer was made outside of that scope.
        ConnectionError: If, inside the block, another worker is no longer there.
    """
    if not is_distributed(model):
        yield
        return
    _check_scope(model)
    is_inside = tf.distribute.has_strategy()
    scope = contextlib.nullcontext() if is_inside else model.distribute_strategy.scope()
    with scope, lost_workers_named():
        yield


def _check_scope(model):
    """Raises a `ValueError` if the model or its optimizer has variables from outside the scope."""
    optimizer = getattr(model, "optimizer", None)
    belongs = model.distribute_strategy.extended.variable_created_in_scope
    for variable in [*model.variables, *(optimizer.variables if optimizer else [])]:
        if not belongs(variable.value):
            raise ValueError(
                f"{type(model).__name__} trains under a strategy, but its variable {variable.path} "
                "was made outside of the strategy's scope: make models, layers, and optimizers "
                "that are given as instances inside `with strategy.scope():`."
            )


def _has_several_workers(strategy):
    is_ready = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return is_ready and strategy.num_replicas_in_sync > len(strategy.extended.worker_devices)


def is_chief() -> bool:
    """Whether this process writes and prints for all workers of the strategy that is entered."""
    strategy = tf.distribute.get_strategy()
    if not _has_several_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    if resolver.task_type == "chief":
        return True
    return "chief" not in resolver.cluster_spec().jobs and resolver.task_id == 0


def num_replicas() -> int:
    """Returns how many replicas the entered strategy has; 1 without one."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def agreed(array: np.ndarray) -> np.ndarray:
    """Returns the chief's array of whole numbers on all workers; see `backend.strategies`."""
    strategy = tf.distribute.get_strategy()
    if not _has_several_workers(strategy):
        return array
    return _of_first_replica(strategy)(tf.convert_to_tensor(array)).numpy()


@functools.lru_cache(maxsize=1)
def _of_first_replica(strategy):
    def offered(array):
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return array * tf.cast(tf.equal(number, 0), array.dtype)

    @tf.function(reduce_retracing=True)
    def reduced(array):
        return strategy.reduce("SUM", strategy.run(offered, args=(array,)), axis=None)

    return reduced


def scaled_for_replicas(value: Any) -> Any:
    """Returns a share of a loss, such that those of all replicas add up to their mean."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return value if replicas == 1 else value / tf.cast(replicas, value.dtype)


@contextlib.contextmanager
def _noise_of_its_own():
    """Makes seeded layers draw differently on each replica, in functions traced in the block.

    The state of a `SeedGenerator` is the same everywhere, as it should be for saving; what differs
    is the seed that a draw makes of it.
    """
    generator = keras.random.SeedGenerator
    shared = generator.next

    def next_seed(self, ordered=True):
        seed = shared(self, ordered)
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return seed
        number = tf.cast(context.replica_id_in_sync_group, seed.dtype)
        return tf.random.experimental.stateless_fold_in(seed, number)

    generator.next = next_seed
    try:
        yield
    finally:
        generator.next = shared


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
def _endless_distributed(strategy):
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


def _many_distributed_steps(model, data, training):
    """`many_steps` under a strategy: each replica takes its own part of every batch's rows."""
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
        with _noise_of_its_own():
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
    return _traced_once(train, data)


def _smallest(strategy, values):
    """Returns the smallest of the values that all workers have."""
    smallest = tf.reduce_min(values)
    if not _has_several_workers(strategy):
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
        with _noise_of_its_own():
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
    """Returns a function of rows that all replicas compute, each a part; see `keras_sda.backend`.

    Every worker gets all results, and has to call it with the same rows.
    """
    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync

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
