"""Training on several JAX devices, whatever the number of rows in a batch.

Under `keras.distribution.DataParallel` Keras gives each device its share of a batch, and JAX
refuses a batch that cannot be divided evenly, such as the last one of most data.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras.distribution import DataParallel


class _WholeBatches(DataParallel):
    """Hands each device the whole batch; `spread`, inside the step, gives each one its share."""

    def get_data_layout(self, data_shape):
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def active() -> DataParallel | None:
    """Returns the distribution of data over the JAX devices of this process, or `None`."""
    if keras.backend.backend() != "jax":
        return None
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, DataParallel) or distribution.device_mesh.devices.ndim != 1:
        return None
    import jax

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


def spread(batch: Any) -> Any:
    """Returns the arrays of a batch with their rows spread over the devices, as evenly as can be.

    Inside a compiled step JAX fills up the last share; outside, a batch that cannot be divided
    evenly stays as it is. Without several devices nothing happens.
    """
    distribution = active()
    if distribution is None:
        return batch
    import jax

    mesh = distribution.device_mesh.backend_mesh

    def spread_one(array):
        rows = jax.sharding.PartitionSpec(distribution.batch_dim_name)
        sharding = jax.sharding.NamedSharding(mesh, rows)
        if isinstance(array, jax.core.Tracer):
            return jax.lax.with_sharding_constraint(array, sharding)
        return jax.device_put(array, sharding) if len(array) % mesh.size == 0 else array

    return keras.tree.map_structure(spread_one, batch, none_is_leaf=False)


class DataParallelModel(keras.Model):
    """A Keras model that takes batches of any number of rows on several JAX devices too.

    With `keras.distribution.set_distribution(keras.distribution.DataParallel())` before the model
    is made, `fit`, `evaluate` and `predict` divide each batch among the devices. The results are
    those of one device, to rounding, noise included: JAX draws the same numbers on any number of
    devices.
    """

    def fit(self, *args, **kwargs):
        """Trains by Keras' own `fit`, whose arguments it takes."""
        with any_number_of_rows():
            return super().fit(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        """Returns loss and metrics by Keras' own `evaluate`, whose arguments it takes."""
        with any_number_of_rows():
            return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        """Returns the model's output by Keras' own `predict`, whose arguments it takes."""
        with any_number_of_rows():
            return super().predict(*args, **kwargs)

    # Under JAX a step takes the model's state and the data, elsewhere the data alone.

    def train_step(self, *state_and_data):
        """Trains on one batch, as Keras does."""
        return super().train_step(*_spread_last(state_and_data))

    def test_step(self, *state_and_data):
        """Evaluates one batch, as Keras does."""
        return super().test_step(*_spread_last(state_and_data))

    def predict_step(self, *state_and_data):
        """Computes the output for one batch, as Keras does."""
        return super().predict_step(*_spread_last(state_and_data))


def _spread_last(state_and_data):
    *state, data = state_and_data
    return *state, spread(data)
