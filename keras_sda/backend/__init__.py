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


def loss_dtype(dtype: str) -> str:
    """Returns in what losses are computed of values in `dtype`: float32, or float64 of float64.

    Sums over features and rows, and 1 minus a small number, need that many digits whatever the
    weights have. Keras' own `result_type` knows no float64 under JAX.
    """
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def compute_in_float64() -> None:
    """Makes Keras keep data in float64, which it would cast to float32, and JAX allow it."""
    keras.config.set_floatx("float64")
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)


def usable_seed(seed: int | None) -> int | None:
    """Returns a seed that the backend's generators can hold: 31 bits of it under PyTorch.

    There Keras keeps the state of a `SeedGenerator` in int32, and fails from 2,147,483,648 on.
    """
    if seed is None or keras.backend.backend() != "torch":
        return seed
    return seed % 2**31


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


@contextlib.contextmanager
def without_gradients() -> Iterator[None]:
    """Keeps PyTorch from recording, inside the `with` block, what a gradient would need.

    Elsewhere nothing is recorded unless asked for.
    """
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.no_grad():
        yield


def can_group_steps(model: keras.Model) -> bool:
    """Whether several training steps of a model may run in one call of the backend.

    XLA, which JAX always uses, unrolls them, so that there they cost time instead of sparing it.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    from keras_sda.backend import tensorflow

    return tensorflow.runs_on_one_device(model)


def to_device(array: np.ndarray) -> Any:
    """Returns an array as a tensor, real numbers in Keras' float type."""
    from keras_sda.backend import tensorflow

    return tensorflow.to_device(array)


def endless_dataset() -> Any:
    """Returns what `fit` may iterate over where the batches come from elsewhere."""
    from keras_sda.backend import tensorflow

    return tensorflow.endless_dataset()


def many_steps(model: keras.Model, data: Any) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Returns a function of several training steps; see `keras_sda.backend.tensorflow`."""
    from keras_sda.backend import tensorflow

    return tensorflow.many_steps(model, data)


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
