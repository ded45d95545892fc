"""Training on several devices and machines by TensorFlow's `tf.distribute`, in Keras' own loops.

What Keras' trainer lacks for it is in `DistributedModel` and `keras_sda.backend.tensorflow`:

- Keras builds a model by reducing the first batch over the replicas, which fails on several workers
  and for batches that do not split evenly;
- it reduces the logs of a step along an axis that scalars do not have, which fails on several
  workers;
- it averages the replicas' means, which weighs the rows of an unevenly split batch unequally;
- seeded layers draw the same noise on every replica.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np


def _tensorflow():
    """Returns what TensorFlow does here, or `None` under another backend."""
    if keras.backend.backend() != "tensorflow":
        return None
    from keras_sda.backend import tensorflow

    return tensorflow


def is_distributed(model: keras.Model) -> bool:
    """Whether a model was made inside the scope of a strategy for several devices."""
    tensorflow = _tensorflow()
    return tensorflow is not None and tensorflow.is_distributed(model)


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """Makes a strategy and enters its scope.

    Under several workers it has to come before anything is computed.

    Args:
        name: `"mirrored"`: all graphics processors of this machine, or its processor.
            `"multi_worker"`: those of several machines, which `TF_CONFIG` lists, or else Slurm's
            variables. `"tpu"`: the TPU that `TPU_NAME` or the machine itself names. `"none"`:
            nothing happens.

    Raises:
        ValueError: If the backend is not TensorFlow, or nothing says where the workers are.
        ConnectionError: If, inside the block, another worker is no longer there.
    """
    if name == "none":
        yield
        return
    tensorflow = _tensorflow()
    if tensorflow is None:
        raise ValueError(
            f"Strategies are TensorFlow's. Received: strategy {name!r} under the Keras backend "
            f"{keras.backend.backend()!r}; set KERAS_BACKEND=tensorflow."
        )
    with tensorflow.make_strategy(name).scope(), tensorflow.lost_workers_named():
        yield


@contextlib.contextmanager
def scope_of(model: keras.Model) -> Iterator[None]:
    """Enters the scope of the strategy that a model was made in, unless one is entered already.

    Raises:
        ValueError: If the model or its optimizer was made outside of that scope.
        ConnectionError: If, inside the block, another worker is no longer there.
    """
    tensorflow = _tensorflow()
    with contextlib.nullcontext() if tensorflow is None else tensorflow.scope_of(model):
        yield


def in_own_scope(method: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a method of a model run inside the scope of the strategy that it was made in."""

    @functools.wraps(method)
    def inside(self, *args, **kwargs):
        with scope_of(self):
            return method(self, *args, **kwargs)

    return inside


def is_chief() -> bool:
    """Whether this process writes and prints for all workers of the strategy that is entered.

    True without a strategy, and under one for the devices of one machine.
    """
    tensorflow = _tensorflow()
    return tensorflow is None or tensorflow.is_chief()


def num_replicas() -> int:
    """Returns how many replicas the strategy has that is entered; 1 without one."""
    tensorflow = _tensorflow()
    return 1 if tensorflow is None else tensorflow.num_replicas()


def agreed(array: np.ndarray) -> np.ndarray:
    """Returns the chief's array of whole numbers on all workers of the strategy that is entered.

    All of them must call it. Without several workers it returns the array itself.
    """
    tensorflow = _tensorflow()
    return array if tensorflow is None else tensorflow.agreed(array)


def agreed_text(text: str) -> str:
    """Returns the chief's text, such as a path, on all workers; see `agreed`."""
    room = np.zeros(4096, np.int32)
    encoded = text.encode()[: len(room)]
    room[: len(encoded)] = list(encoded)
    return bytes(value for value in agreed(room).tolist() if value).decode()


def scaled_for_replicas(value: Any) -> Any:
    """Returns a share of a loss, such that those of all replicas add up to their mean.

    Keras does so in its own losses; whatever is added to them has to be scaled as well.
    """
    tensorflow = _tensorflow()
    return value if tensorflow is None else tensorflow.scaled_for_replicas(value)


def in_parallel(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns a function of rows that the replicas of the entered strategy compute in parts.

    Without a strategy for several replicas it returns the function itself. Under several workers
    all of them must call it with the same rows, and all get all results.
    """
    if num_replicas() == 1:
        return function
    return _tensorflow().in_parallel(function)


class DistributedModel(keras.Model):
    """A Keras model that trains under a strategy as on one device, whatever the batches are.

    Made inside a strategy's scope, it enters that scope by itself wherever it is needed. The batch
    size is that of all replicas together, every row of a batch counts the same however the batch
    splits, and each replica draws noise of its own.
    """

    train_function: Any
    test_function: Any

    @in_own_scope
    def compile(self, *args, **kwargs):
        """Sets optimizer, loss and metrics by Keras' own `compile`, whose arguments it takes."""
        super().compile(*args, **kwargs)

    def compile_from_config(self, config):
        """Compiles a loaded model as the saved one was."""
        # Keras leaves this to classes with a `compile` of their own, even one with its arguments.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

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
            self.train_function = _tensorflow().step_function(self, training=True)
        return self.train_function

    def make_test_function(self, force=False):
        """Makes the function that Keras' `evaluate` calls for each group of steps."""
        if not is_distributed(self):
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function = _tensorflow().step_function(self, training=False)
        return self.test_function

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras' own reduces the batch over the replicas, which fails on several workers and for
        # parts of unequal shapes; all it needs is the shape of one part.
        if is_distributed(self) and data_batch is None:
            data_batch = self.example_batch()
            if data_batch is None:
                _, _, batches = next(iter(iterator))
                data_batch = next(batches)
            data_batch = _tensorflow().part_of_one_replica(self.distribute_strategy, data_batch)
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def example_batch(self) -> Any:
        """Returns a batch like those that training takes, or `None` if they come from datasets."""
        return None
