"""What only one Keras backend can do, behind one small interface.

The rest of the package speaks `keras.ops` and `keras.random` and asks here for what these cannot
give. TensorFlow is imported in `backend/tensorflow.py` alone.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np


@contextlib.contextmanager
def shuffling_seed(seed: int | None) -> Iterator[None]:
    """Makes the order in which `fit` shuffles arrays repeatable inside the `with` block.

    Keras shuffles with a global generator: TensorFlow's, PyTorch's, or NumPy's under JAX. It is
    seeded on entry and put back on leaving. With `seed=None` nothing happens.
    """
    if seed is None:
        yield
        return
    numpy_state = np.random.get_state()
    try:
        with _backend_seed(seed):
            np.random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)


@contextlib.contextmanager
def _backend_seed(seed: int) -> Iterator[None]:
    name = keras.backend.backend()
    if name == "tensorflow":
        from keras_sda.backend.tensorflow import global_seed

        with global_seed(seed):
            yield
    elif name == "torch":
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    else:
        yield


def read(variable: keras.Variable) -> Any:
    """Returns the value of a variable as a tensor, through which gradients reach it.

    Keras' own conversion leaves TensorFlow's variables as they are, which a function with a
    gradient of its own refuses outside of a graph.
    """
    if keras.backend.backend() != "tensorflow":
        return keras.ops.convert_to_tensor(variable)
    from keras_sda.backend import tensorflow

    return tensorflow.read(variable)


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Computes products of float32 in full inside the `with` block.

    On graphics processors TensorFlow and JAX round the factors to 10 bits (TF32) by default, which
    is far from what other runtimes compute.
    """
    name = keras.backend.backend()
    with contextlib.ExitStack() as stack:
        if name == "tensorflow":
            from keras_sda.backend import tensorflow

            stack.enter_context(tensorflow.exact_float32())
        elif name == "jax":
            import jax

            stack.enter_context(jax.default_matmul_precision("float32"))
        yield


def can_group_steps(model: keras.Model) -> bool:
    """Whether several training steps of a model may run in one call of the backend.

    XLA, which JAX always uses, unrolls them, so that there they cost time instead of sparing it.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    from keras_sda.backend import tensorflow

    return tensorflow.takes_rows_by_number(model)


def to_device(array: np.ndarray, on_host: bool = False) -> Any:
    """Returns an array as a tensor, real numbers in Keras' float type."""
    from keras_sda.backend import tensorflow

    return tensorflow.to_device(array, on_host)


def endless_dataset(model: keras.Model) -> Any:
    """Returns what `fit` may iterate over where the batches come from elsewhere."""
    from keras_sda.backend import tensorflow

    return tensorflow.endless_dataset(model)


def many_steps(
    model: keras.Model, data: Any, training: bool = True
) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Returns a function of several steps; see `keras_sda.backend.tensorflow`."""
    from keras_sda.backend import tensorflow

    return tensorflow.many_steps(model, data, training)


def batch_jacobian(function: Callable[[Any], Any], inputs: Any) -> Any:
    """Returns each row's derivatives of a function's outputs, by automatic differentiation.

    Works inside a training step, whose gradient then passes through the derivatives.

    Args:
        function: From a tensor of shape `(batch, inputs)` to one of `(batch, outputs)`, each row
            of which depends on its own row alone.
        inputs: Tensor of shape `(batch, inputs)`.

    Returns:
        Tensor of shape `(batch, outputs, inputs)`, which takes 4 bytes per entry in float32.
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        from keras_sda.backend import tensorflow

        return tensorflow.batch_jacobian(function, inputs)
    if name == "jax":
        from jax import jacrev, vmap
    elif name == "torch":
        from torch.func import jacrev, vmap
    else:
        raise NotImplementedError(
            f"The Keras backend {name!r} cannot differentiate: use TensorFlow, JAX or PyTorch."
        )
    return vmap(jacrev(lambda row: function(row[None])[0]))(inputs)
