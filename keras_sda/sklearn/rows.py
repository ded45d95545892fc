"""Rows as the networks take them: scaled, float32, and made dense only piece by piece."""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis
from sklearn.utils.validation import validate_data

from keras_sda._validation import check_choice
from keras_sda.datasets.outside_memory import SparseRows
from keras_sda.datasets.scaling import SCALES, Scaling, fit_scaling


def validated(estimator: Any, *data: Any, **options: Any) -> Any:
    """Returns data as scikit-learn's `validate_data` does, whose refusals become one sentence.

    Args:
        estimator: The estimator.
        *data: `X`, or `X` and `y`.
        **options: As in `validate_data`; sparse rows become CSR.
    """
    try:
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
    if scale == "standard":
        mean, variance = mean_variance_axis(x.astype("float64"), axis=0)
        # A constant column's deviation is rounding noise, not zero.
        deviation = np.where((high > low) & (variance > 0), np.sqrt(variance), 1.0)
        return Scaling(tuple(mean), tuple(1.0 / deviation))
    # From two rows with every column's bounds, so that dense and sparse rows follow one rule.
    return fit_scaling(np.stack([low, high]), scale)


# How many robust standard deviations from the median a value counts at most.
_FARTHEST = 10.0
# By which share of its value a constant column may move until it counts as far as that.
_CONSTANT_TOLERANCE = 1e-3
# Narrower ranges cannot be told from a constant once values are float32.
_NARROWEST = float(np.finfo(np.float32).tiny)


def robust_scaling(x: Any) -> Scaling:
    """Returns the map to standard deviations from the mean, both of values that are cut first.

    Values farther from the median than ten robust standard deviations (the interquartile range /
    1.349, as of normal values) are moved to there, so that no gross value decides the scale of its
    column. Where half of a column's values are equal, the deviation is the standard one; and in a
    constant column so small that any move beyond a thousandth counts as far out.

    Args:
        x: Array or CSR matrix of shape `(rows, features)`.
    """
    offset, factor, low, high = zip(*map(_robust_map, _columns(x)), strict=True)
    return Scaling(offset, factor, low, high)


def _columns(x):
    if not issparse(x):
        return (x[:, number].astype("float64") for number in range(x.shape[1]))
    x = x.tocsc()
    return (x[:, [number]].toarray()[:, 0].astype("float64") for number in range(x.shape[1]))


def _robust_map(values):
    """Returns offset, factor and bounds of a column."""
    first, median, third = np.quantile(values, [0.25, 0.5, 0.75])
    if values.max() - values.min() <= _NARROWEST:
        deviation = _CONSTANT_TOLERANCE * max(1.0, abs(median)) / _FARTHEST
        return median, 1.0 / deviation, -_FARTHEST, _FARTHEST
    robust = (third - first) / 1.349
    reach = _FARTHEST * (robust if robust > _NARROWEST else values.std())
    cut = np.clip(values, median - reach, median + reach)
    mean, deviation = cut.mean(), cut.std()
    low, high = (median - reach - mean) / deviation, (median + reach - mean) / deviation
    return mean, 1.0 / deviation, low, high
