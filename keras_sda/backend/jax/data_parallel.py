"""Training on several JAX devices, whatever the number of rows in a batch.

Under `keras.distribution.DataParallel` Keras gives each device its share of a batch, and JAX
refuses a batch that cannot be divided evenly, such as the last one of most data.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import keras
from keras.distribution import DataParallel


class _WholeBatches(DataParallel):
    """Hands each device the whole batch; inside the step `shard_rows` gives each one its share."""

    def get_data_layout(self, data_shape):
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def active() -> DataParallel | None:
    """Returns the distribution of data over the JAX devices of this process, or `None`."""
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, DataParallel) or distribution.device_mesh.devices.ndim != 1:
        return None
    # Over several processes each brings rows of its own, which Keras puts together.
    return distribution if jax.process_count() == 1 else None


@contextlib.contextmanager
def any_number_of_rows() -> Iterator[None]:
    """Lets Keras' loops take batches of any number of rows inside the `with` block."""
    distribution = active()
    if distribution is None:
        yield
        return
    with _WholeBatches(device_mesh=distribution.device_mesh).scope():
        yield


def shard_rows(batch: Any) -> Any:
    """Returns the arrays of a batch with their rows spread over the devices, as evenly as can be.

    Inside a compiled step JAX fills up the last share; outside, a batch that cannot be divided
    evenly stays as it is. Without several devices nothing happens.
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
        return jax.device_put(array, sharding) if len(array) % mesh.size == 0 else array

    return keras.tree.map_structure(shard, batch, none_is_leaf=False)
