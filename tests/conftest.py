"""Fixtures: real data, small enough to train on in seconds."""

import numpy as np
import pytest
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def digits():
    """The 1,797 digits of scikit-learn: x of shape (1797, 64) in [0, 1], y from 0 to 9."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    x.setflags(write=False)
    return x, y.astype("int64")


@pytest.fixture
def rng():
    return np.random.default_rng(0)
