"""What Keras' trainer lacks on several JAX devices."""

import keras

from keras_sda.backend.jax.data_parallel import any_number_of_rows, gather_rows, shard_rows


class Trainer(keras.Model):
    """A Keras model that takes batches of any number of rows on several JAX devices too.

    With `keras.distribution.set_distribution(keras.distribution.DataParallel())` before the model
    is made, `fit`, `evaluate` and `predict` divide each batch among the devices. The results are
    those of one device, to rounding, noise included: JAX draws the same numbers on any number of
    devices. The devices may belong to several processes, each of which must be given all rows.
    """

    def fit(self, *args, **kwargs):
        """Trains by Keras' own `fit`, whose arguments it takes."""
        with any_number_of_rows(args, kwargs):
            return super().fit(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        """Returns loss and metrics by Keras' own `evaluate`, whose arguments it takes."""
        with any_number_of_rows(args, kwargs):
            return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        """Returns the model's output by Keras' own `predict`, whose arguments it takes."""
        with any_number_of_rows(args, kwargs):
            return super().predict(*args, **kwargs)

    def train_step(self, state, data):
        """Trains on one batch, as Keras does."""
        return super().train_step(state, shard_rows(data))

    def test_step(self, state, data):
        """Evaluates one batch, as Keras does."""
        return super().test_step(state, shard_rows(data))

    def predict_step(self, state, data):
        """Computes the output for one batch, as Keras does."""
        outputs, state = super().predict_step(state, shard_rows(data))
        return gather_rows(outputs), state
