"""Rows for the estimators."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def rows():
    """150 rows of 5 features in different units, with three classes."""
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    x = rng.normal(size=(150, 5)) + 2.0 * np.eye(5)[y]
    return x * [1.0, 10.0, 0.1, 1.0, 5.0] + [100.0, 0.0, -3.0, 7.0, 0.0], y
