"""Rows as the networks take them: scaled, float32, and made dense only piece by piece."""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis
from sklearn.utils.validation import validate_data

from keras_sda._validation import check_choice, unmasked
from keras_sda.datasets.outside_memory import SparseRows
from keras_sda.datasets.robust import robust_map
from keras_sda.datasets.scaling import SCALES, Scaling, fit_scaling, joined


def validated(estimator: Any, *data: Any, **options: Any) -> Any:
    """Returns data as scikit-learn's `validate_data` does, whose refusals become one sentence.

    Args:
        estimator: The estimator.
        *data: `X`, or `X` and `y`.
        **options: As in `validate_data`; sparse rows become CSR.
    """
    try:
        rows, *labels = data
        data = (unmasked(rows), *labels)
        return validate_data(estimator, *data, **{"accept_sparse": "csr", **options})
    except (ValueError, TypeError) as error:
        raise type(error)(_one_sentence(str(error), type(estimator).__name__)) from error


def _one_sentence(text, owner):
    text = " ".join(text.split())
    if "contains NaN" in text or "contains infinity" in text:
        first = text.split(". ")[0].rstrip(".")
        return f"{first}: {owner} needs finite numbers, so remove or fill such values first."
    if len(text) > _MOST_CHARACTERS:
        remedy = text[text.rfind("Reshape your data") :] if "Reshape your data" in text else ""
        return f"{text[: _MOST_CHARACTERS - len(remedy)]}... {remedy}".strip()
    return text


# Of a message that quotes the data.
_MOST_CHARACTERS = 300


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
    if scale == "robust":
        columns = x.tocsc()
        numbers = range(x.shape[1])
        return joined(
            robust_map(columns[:, [n]].toarray()[:, 0].astype("float64")) for n in numbers
        )
    if scale == "standard":
        mean, variance = mean_variance_axis(x.astype("float64"), axis=0)
        # A constant column's deviation is rounding noise, not zero.
        deviation = np.where((high > low) & (variance > 0), np.sqrt(variance), 1.0)
        return Scaling(tuple(mean), tuple(1.0 / deviation))
    # From two rows with every column's bounds, so that dense and sparse rows follow one rule.
    return fit_scaling(np.stack([low, high]), scale)
