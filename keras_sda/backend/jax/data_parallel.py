"""Training on several JAX devices, whatever the number of rows in a batch.

Under `keras.distribution.DataParallel` Keras gives each device its share of a batch, and JAX
refuses a batch that cannot be divided evenly, such as the last one of most data. Here every process
has all rows, every device gets the whole batch, and the step divides it.
"""

import contextlib
import functools
import pickle
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils
from keras.distribution import DataParallel

from keras_sda.backend.common import shuffling_state


class _WholeBatches(DataParallel):
    """Hands each device the whole batch; inside the step `shard_rows` gives each one its share."""

    def get_data_layout(self, data_shape):
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def active() -> DataParallel | None:
    """Returns the distribution of data over JAX devices, of all processes, or `None`."""
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, DataParallel) or distribution.device_mesh.devices.ndim != 1:
        return None
    return distribution


def has_several_processes() -> bool:
    """Whether devices of other processes, too, are in the distribution that is set."""
    distribution = keras.distribution.distribution()
    return distribution is not None and distribution.device_mesh.backend_mesh.is_multi_process


def is_chief() -> bool:
    """Whether this process writes and prints for all that train together."""
    return not has_several_processes() or jax.process_index() == 0


def from_chief(array: np.ndarray) -> np.ndarray:
    """Returns the chief's array of whole numbers in all processes, each of which must call it."""
    if not has_several_processes():
        return array
    return np.asarray(multihost_utils.broadcast_one_to_all(array))


def in_own_scope(method: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a method of a model refuse a distribution by which processes cannot train it."""

    @functools.wraps(method)
    def checked(self, *args, **kwargs):
        _check_distribution()
        return method(self, *args, **kwargs)

    return checked


@contextlib.contextmanager
def any_number_of_rows(*data: Any) -> Iterator[None]:
    """Lets Keras' loops take batches of any number of rows inside the `with` block.

    Args:
        *data: What Keras' loop is given, in which the arrays must be those of all processes.

    Raises:
        ValueError: If the processes cannot train together.
    """
    _check_distribution()
    distribution = active()
    # The validation of a `fit` is inside already.
    if distribution is None or isinstance(distribution, _WholeBatches):
        yield
        return
    if has_several_processes():
        _check_same(data)
    # Rows that every process has need not be dealt out to them by Keras.
    whole = _WholeBatches(device_mesh=distribution.device_mesh, auto_shard_dataset=False)
    with whole.scope():
        yield


def _check_distribution():
    """Raises a `ValueError` if several processes cannot train under the distribution."""
    distribution = keras.distribution.distribution()
    if not has_several_processes() or isinstance(distribution, _WholeBatches):
        return
    if active() is None:
        raise ValueError(
            "Several processes train models of keras_sda under keras.distribution.DataParallel "
            f"alone, with a mesh of one axis. Received: {distribution}"
        )
    if not distribution.auto_shard_dataset:
        raise ValueError(
            "Models of keras_sda divide the rows among processes themselves: give all rows to "
            "each process, and DataParallel no `auto_shard_dataset`. Received: "
            "auto_shard_dataset=False"
        )


def _check_same(data):
    """Raises a `ValueError` unless all processes have the same arrays and random generators."""
    found = multihost_utils.process_allgather(_summary(data))
    # Codes that several kinds of processors compute may differ by rounding.
    if not np.allclose(found, found[0], rtol=1e-5):
        raise ValueError(
            "Processes that train together must have the same rows and the same random seed: give "
            "all rows to each of them, and start them by keras.distribution.initialize. Received: "
            "rows or random numbers that differ from one process to another"
        )


def _summary(data):
    """Returns a few numbers that tell different arrays and generators apart."""
    # Arrays in files are not read through for it.
    tables = [
        table
        for table in keras.tree.flatten(data)
        if isinstance(table, np.ndarray) and table.dtype.kind in "biuf" and table.ndim
        if not isinstance(table, np.memmap)
    ]
    by_row = [
        np.nansum(table, axis=tuple(range(1, table.ndim)), dtype="float64") for table in tables
    ]
    weighted = sum(rows @ np.linspace(1, 2, len(rows)) for rows in by_row)
    draws = zlib.crc32(pickle.dumps(shuffling_state())) % 1000
    return np.array([len(tables), sum(map(len, tables)), weighted, draws], "float32")


def shard_rows(batch: Any) -> Any:
    """Returns the arrays of a batch with their rows spread over the devices, as evenly as can be.

    Inside a compiled step JAX fills up the last share; outside, a batch that cannot be divided
    evenly stays as it is, and with several processes each of them computes all of its rows, so that
    one may do so alone. Without several devices nothing happens.
    """
    distribution = active()
    if distribution is None:
        return batch
    mesh = distribution.device_mesh.backend_mesh

    def shard(array):
        rows = jax.sharding.PartitionSpec(distribution.batch_dim_name)
        sharding = jax.sharding.NamedSharding(mesh, rows)
        if isinstance(array, jax.core.Tracer):
            return jax.lax.with_sharding_constraint(array, sharding)
        is_even = not has_several_processes() and len(array) % mesh.size == 0
        return jax.device_put(array, sharding) if is_even else array

    return keras.tree.map_structure(shard, batch, none_is_leaf=False)


def gather_rows(outputs: Any) -> Any:
    """Returns the outputs of a compiled step with all rows on every device, as processes need."""
    distribution = active()
    if distribution is None:
        return outputs
    whole = jax.sharding.NamedSharding(
        distribution.device_mesh.backend_mesh, jax.sharding.PartitionSpec()
    )
    return jax.lax.with_sharding_constraint(outputs, whole)
