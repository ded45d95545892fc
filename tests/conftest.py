"""Fixtures: real data, small enough to train on in seconds.

What takes seconds to import is imported where it is used: with `pytest -n`, the process that hands
out the tests reads this file, too.
"""

import gc
import os
import signal

import pytest
from hypothesis import settings

# Before NumPy is imported: a thread each for BLAS, OpenMP and PyTorch. Their threads wait by
# spinning, and with more of them than free cores one step takes many times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Machines are shared: how long an example takes says nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell lets what it starts in the background ignore Ctrl-C, which some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def digits():
    """The 1,797 digits of scikit-learn: x of shape (1797, 64) in [0, 1], y from 0 to 9."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    x.setflags(write=False)
    return x, y.astype("int64")


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="session")
def _small_searches():
    """Lets what is chosen by cross-validation cost less: fewer trees, and penalties of classes."""
    from keras_sda.experiments import rivals
    from keras_sda.models import linear_solver

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rivals, "_TREES", 20)
        patch.setattr(linear_solver, "_LOGISTIC_PENALTIES", [0.1, 1.0, 10.0])
        yield


@pytest.fixture(autouse=True)
def _float64(request):
    """Lets JAX have float64 in the tests that are marked so; the other backends always do."""
    import keras

    wanted = request.node.get_closest_marker("float64") is not None
    if not wanted or keras.backend.backend() != "jax":
        yield
        return
    import jax

    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def pytest_collection_finish():
    """Keeps Python from looking for garbage among the million objects of imported libraries."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Skips what the backend cannot do."""
    import keras

    backend = keras.backend.backend()
    tensorflow = pytest.mark.skip(reason="needs the TensorFlow backend")
    digits = pytest.mark.skip(reason="Keras multiplies and averages in float32 under PyTorch")
    for item in items:
        if backend != "tensorflow" and "tensorflow_only" in item.keywords:
            item.add_marker(tensorflow)
        marker = item.get_closest_marker("float64")
        if backend == "torch" and marker is not None and marker.kwargs.get("exact"):
            item.add_marker(digits)
