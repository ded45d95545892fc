"""TensorFlow's strategies for several devices: made, entered, and asked who is in them."""

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_STRATEGIES = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.TPUStrategy,
)

# Bytes in which a text travels from the chief to the other workers.
_MOST_BYTES = 4096


def is_distributed(model: keras.Model) -> bool:
    """Whether a model was made inside the scope of a strategy for several devices."""
    return isinstance(model.distribute_strategy, _STRATEGIES)


@contextlib.contextmanager
def strategy_scope(name: str) -> Iterator[None]:
    """Makes a strategy and enters its scope.

    Under several workers it has to come before anything is computed.

    Args:
        name: `"mirrored"`: all graphics processors of this machine, or its processor.
            `"multi_worker"`: those of several machines, which `TF_CONFIG` lists, or else Slurm's
            variables. `"tpu"`: the TPU that `TPU_NAME` or the machine itself names. `"none"`:
            nothing happens.

    Raises:
        ValueError: If the backend is not TensorFlow, or nothing says where the workers are.
        ConnectionError: If, inside the block, another worker is gone.
    """
    if name == "none":
        yield
        return
    with make_strategy(name).scope(), lost_workers_named():
        yield


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns a new strategy; see `strategy_scope`."""
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy(worker_resolver())
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
    except ValueError as error:
        raise ValueError(
            "The strategy tpu needs a TPU, named in the variable TPU_NAME. Received none: use "
            "strategy mirrored, or none."
        ) from error
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
            "Another worker is gone, without which this one cannot continue: see what that "
            f"one printed, and start all workers again. TensorFlow says: {error.message}"
        ) from error


def in_own_scope(method: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a method of a model run inside the scope of the strategy that it was made in."""

    @functools.wraps(method)
    def inside(self, *args, **kwargs):
        with scope_of(self):
            return method(self, *args, **kwargs)

    return inside


@contextlib.contextmanager
def anonymous_variables() -> Iterator[None]:
    """Gives the variables made inside the `with` block one name, as far as TensorFlow sees them.

    TensorFlow keeps some 30 KiB for every name that a variable ever had. Keras numbers its names,
    so that each further model would take memory that is never given back. Keras' own names, which
    it saves by, stay as they are.
    """

    def create(next_creator, **arguments):
        with tf.name_scope(""):
            return next_creator(**arguments | {"name": "variable"})

    with tf.variable_creator_scope(create):
        yield


@contextlib.contextmanager
def scope_of(model: keras.Model) -> Iterator[None]:
    """Enters the scope of the strategy that a model was made in, unless one is entered already.

    Without a strategy, variables made in the block are `anonymous_variables`.

    Raises:
        ValueError: If the model or its optimizer was made outside of that scope.
        ConnectionError: If, inside the block, another worker is gone.
    """
    if not is_distributed(model):
        with anonymous_variables():
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


def has_several_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether other processes have replicas of a strategy, too."""
    is_ready = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return is_ready and strategy.num_replicas_in_sync > len(strategy.extended.worker_devices)


def is_chief() -> bool:
    """Whether this process writes and prints for all workers of the strategy that is entered.

    True without a strategy, and under one for the devices of one machine.
    """
    strategy = tf.distribute.get_strategy()
    if not has_several_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    if resolver.task_type == "chief":
        return True
    return "chief" not in resolver.cluster_spec().jobs and resolver.task_id == 0


def num_replicas() -> int:
    """Returns how many replicas the strategy has that is entered; 1 without one."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def from_chief(array: np.ndarray) -> np.ndarray:
    """Returns the chief's array of whole numbers on all workers of the strategy that is entered.

    All of them must call it. Without several workers it returns the array itself.
    """
    strategy = tf.distribute.get_strategy()
    if not has_several_workers(strategy):
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


def text_from_chief(text: str) -> str:
    """Returns the chief's text, such as a path, on all workers; see `from_chief`."""
    room = np.zeros(_MOST_BYTES, np.int32)
    encoded = text.encode()[:_MOST_BYTES]
    room[: len(encoded)] = list(encoded)
    return bytes(value for value in from_chief(room).tolist() if value).decode()
