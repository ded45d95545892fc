"""What only one Keras backend can do, behind one small interface.

The rest of the package speaks `keras.ops` and `keras.random` and asks here for what these cannot
give. TensorFlow is imported in `backend/tensorflow.py` alone.
"""

import contextlib
from collections.abc import Iterator

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
