"""Rows as the networks take them: scaled, float32, and made dense only piece by piece."""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis

from keras_sda._validation import check_choice
from keras_sda.datasets.outside_memory import ComputedRows
from keras_sda.datasets.scaling import SCALES, Scaling, fit_scaling


class SparseRows(ComputedRows):
    """Rows of a sparse matrix that are made dense, and scaled, when a batch of them is read.

    Args:
        x: Sparse matrix in CSR format.
        scaling: The map from its values to what a model is trained on.
    """

    def __init__(self, x: Any, scaling: Scaling):
        self.x = x
        self.function = scaling
        self.shape = x.shape
        self.ndim = 2
        self.size = x.shape[0] * x.shape[1]
        self.dtype = np.dtype("float32")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.function(self.x[rows].toarray())


def scaled_rows(x: Any, scaling: Scaling) -> Any:
    """Returns rows as the model takes them: an array, or `SparseRows`."""
    return SparseRows(x, scaling) if issparse(x) else scaling(x)


def choose_scaling(x: Any, scale: str | None, owner: str) -> Scaling:
    """Returns the map for raw training rows, dense or sparse.

    Args:
        x: Array or CSR matrix of shape `(rows, features)`.
        scale: As in `keras_sda.datasets.load`.
        owner: The caller's name in the error message.
    """
    check_choice("scale", scale, SCALES, owner)
    return _fit_sparse_scaling(x, scale) if issparse(x) else fit_scaling(x, scale)


def _fit_sparse_scaling(x, scale):
    """Does what `fit_scaling` does, from the columns' moments and bounds, without dense rows."""
    low, high = (bound.astype("float64") for bound in min_max_axis(x, axis=0))
    if scale is None:
        return Scaling()
    if scale == "standard":
        mean, variance = mean_variance_axis(x.astype("float64"), axis=0)
        # A constant column's deviation is rounding noise, not zero.
        deviation = np.where((high > low) & (variance > 0), np.sqrt(variance), 1.0)
        return Scaling(tuple(mean), tuple(1.0 / deviation))
    # From two rows with every column's bounds, so that dense and sparse rows follow one rule.
    return fit_scaling(np.stack([low, high]), scale)
