"""What Keras' trainer lacks under a strategy for several devices."""

from typing import Any

import keras

from keras_sda.backend.tensorflow.replicas import part_of_one_replica, step_function
from keras_sda.backend.tensorflow.strategies import in_own_scope, is_distributed


class Trainer(keras.Model):
    """A Keras model that trains under a strategy as on one device, whatever the batches are.

    Made inside a strategy's scope, it enters that scope by itself wherever it is needed. The batch
    size is that of all replicas together, every row of a batch counts the same however the batch
    splits, and each replica draws noise of its own. Of these, Keras' own trainer

    - builds a model by reducing the first batch over the replicas, which fails on several workers
      and for batches that do not split evenly;
    - reduces the logs of a step along an axis that scalars do not have, which fails on several
      workers;
    - averages the replicas' means, which weighs the rows of an unevenly split batch unequally;
    - draws the same noise on every replica.
    """

    train_function: Any
    test_function: Any

    @in_own_scope
    def compile(self, *args, **kwargs):
        """Sets optimizer, loss and metrics by Keras' own `compile`, whose arguments it takes."""
        super().compile(*args, **kwargs)

    @in_own_scope
    def fit(self, *args, **kwargs):
        """Trains by Keras' own `fit`, whose arguments it takes."""
        return super().fit(*args, **kwargs)

    @in_own_scope
    def evaluate(self, *args, **kwargs):
        """Returns loss and metrics by Keras' own `evaluate`, whose arguments it takes."""
        return super().evaluate(*args, **kwargs)

    @in_own_scope
    def predict(self, *args, **kwargs):
        """Returns the model's output by Keras' own `predict`, whose arguments it takes."""
        return super().predict(*args, **kwargs)

    def make_train_function(self, force=False):
        """Makes the function that Keras' `fit` calls for each group of steps."""
        if not is_distributed(self):
            return super().make_train_function(force)
        if self.train_function is None or force:
            self.train_function = step_function(self, training=True)
        return self.train_function

    def make_test_function(self, force=False):
        """Makes the function that Keras' `evaluate` calls for each group of steps."""
        if not is_distributed(self):
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function = step_function(self, training=False)
        return self.test_function

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # All that Keras needs for building is the shape of one replica's part of a batch.
        if is_distributed(self) and data_batch is None:
            data_batch = self.example_batch()
            if data_batch is None:
                _, _, batches = next(iter(iterator))
                data_batch = next(batches)
            data_batch = part_of_one_replica(self.distribute_strategy, data_batch)
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def example_batch(self) -> Any:
        """Returns a batch like those that training takes, or `None` if they come from datasets."""
        return None
