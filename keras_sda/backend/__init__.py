"""What only one Keras backend can do, behind one small interface.

The rest of the package speaks `keras.ops` and `keras.random` and asks here for what these cannot
give. TensorFlow is imported in `backend/tensorflow` alone.
"""

import contextlib
import importlib
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

_CONVOLUTIONS = tuple(
    getattr(keras.layers, f"{kind}{rank}D{way}")
    for kind, rank, way in itertools.product(
        ("Conv", "DepthwiseConv", "SeparableConv"), (1, 2, 3), ("", "Transpose")
    )
    if hasattr(keras.layers, f"{kind}{rank}D{way}")
)


@contextlib.contextmanager
def shuffling_seed(seed: int | None) -> Iterator[None]:
    """Makes the order in which `fit` shuffles repeatable inside the `with` block.

    Keras shuffles with global generators: TensorFlow's, PyTorch's, or NumPy's under JAX for arrays,
    Python's for the batches of a `PyDataset`. They are seeded on entry and put back on leaving.
    With `seed=None` nothing happens.
    """
    if seed is None:
        yield
        return
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with _backend_seed(seed):
            np.random.seed(seed)
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


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


def shuffling_state() -> dict[str, Any]:
    """Returns the state of the generators that `fit` shuffles by: those of Python, NumPy, PyTorch.

    TensorFlow's cannot be asked; `training.fast_fit` shuffles by NumPy's.
    """
    state = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": None}
    if keras.backend.backend() == "torch":
        import torch

        state["torch"] = torch.get_rng_state().numpy().copy()
    return state


def set_shuffling_state(state: dict[str, Any]) -> None:
    """Puts back what `shuffling_state` has returned.

    Args:
        state: The state.
    """
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    if state["torch"] is not None:
        import torch

        torch.set_rng_state(torch.from_numpy(state["torch"]))


def replaying(model: Any, train_function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a training function that leaves batches aside while `model.replayed_logs` are set.

    For JAX and PyTorch, which hand batches over in Python.

    Args:
        model: A `training.fast_fit.FastFit`.
        train_function: What Keras has made to train on a batch, or on several.
    """
    if getattr(train_function, "replays", False):
        return train_function

    def with_torch(batches):
        logs = model.replayed_logs
        return train_function(batches) if logs is None else dict(logs)

    def with_jax(state, batches):
        if model.replayed_logs is None:
            return train_function(state, batches)
        for _ in range(model.steps_per_execution):
            next(batches, None)
        return dict(model.replayed_logs), state

    function: Any = with_torch if keras.backend.backend() == "torch" else with_jax
    function.replays = True
    return function


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


def finds_logits() -> bool:
    """Whether Keras computes the cross-entropy of a softmax's outputs from its inputs."""
    return keras.backend.backend() == "tensorflow"


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


def trace(function: Callable[[], None]) -> None:
    """Has TensorFlow trace a function, by which its variables are made and nothing is computed."""
    from keras_sda.backend import tensorflow

    tensorflow.trace(function)


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


def can_group_steps(model: keras.Model, by_pieces: bool = False) -> bool:
    """Whether several training steps of a model may run in one call of the backend.

    Args:
        model: A compiled model.
        by_pieces: Whether the rows come from a file, so that calls bring arrays of several sizes,
            for each of which JAX would compile anew.
    """
    groups = keras.backend.backend() in ("tensorflow", "jax")
    return groups and _grouping().can_group_steps(model, by_pieces)


def to_device(array: np.ndarray, on_host: bool = False) -> Any:
    """Returns an array as a tensor, real numbers in Keras' float type."""
    return _grouping().to_device(array, on_host)


def endless_dataset(model: keras.Model) -> Any:
    """Returns what `fit` may iterate over where the batches come from elsewhere."""
    return _grouping().endless_dataset(model)


def convolves(model: keras.Model) -> bool:
    """Whether a model has convolutions, slow in a loop that XLA compiles for a processor."""
    return any(isinstance(layer, _CONVOLUTIONS) for layer in model._flatten_layers())


def whole_batches(
    rows: np.ndarray, batch_size: int, most: int
) -> tuple[np.ndarray, int, np.ndarray]:
    """Returns a table of row numbers for XLA, a whole batch in each line; how many; and the rest.

    The table has as many lines in every call, so that one compilation serves them all.

    Args:
        rows: Numbers of rows, one batch after the other.
        batch_size: Rows of a batch.
        most: How many batches there may be.
    """
    count = len(rows) // batch_size
    whole, rest = np.split(rows, [count * batch_size])
    table = np.zeros((most, batch_size), np.int32)
    table.ravel()[: len(whole)] = whole
    return table, count, rest


def takes_xla(model: keras.Model, batch_size: int, steps: int, by_pieces: bool) -> bool:
    """Whether XLA compiles the loop over the steps of a call; see `backend.tensorflow`."""
    return _grouping().takes_xla(model, batch_size, steps, by_pieces)


def many_steps(
    model: keras.Model, data: Any, training: bool = True, by_xla: bool = False
) -> Callable[..., Any]:
    """Returns a function of several steps; see `backend.tensorflow` and `backend.jax`."""
    return _grouping().many_steps(model, data, training, by_xla)


def _grouping():
    """Returns the file of this backend in which steps are grouped."""
    name = keras.backend.backend()
    return importlib.import_module(f"keras_sda.backend.{name}")


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
