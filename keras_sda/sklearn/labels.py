"""Labels and weights as estimators take them: checked, rows that have no label told apart."""

from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight

from keras_sda.datasets.labels import is_missing


def checked_labels(y: Any, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels as an array of shape `(rows,)`, and which of them are there.

    Args:
        y: Labels; NaN, `None`, `pd.NA` and blank text stand where there is none.
        owner: The caller's name in the error message.
    """
    if y is None:
        raise ValueError(f"{owner} requires y to be passed, but the target y is None")
    labels = column_or_1d(y, warn=True)
    is_there = ~is_missing(labels)
    assert_all_finite(labels[is_there], input_name="y")
    return labels, is_there


def classes_of(labels: np.ndarray, owner: str) -> np.ndarray:
    """Returns the classes, sorted, of which there must be two.

    Args:
        labels: Labels of labelled rows.
        owner: The caller's name in the error message.
    """
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(
            f"{owner} needs labels of at least two classes. Received "
            + ("no label." if len(classes) == 0 else f"one class: {classes.tolist()}")
        )
    return classes


def checked_weights(sample_weight: Any, X: Any, owner: str) -> np.ndarray:
    """Returns one weight per row, at least one of them above 0.

    Args:
        sample_weight: Weights, or `None` for equal ones.
        X: The rows.
        owner: The caller's name in the error message.
    """
    if sample_weight is None:
        return np.ones(X.shape[0])
    weight = check_array(
        sample_weight, ensure_2d=False, dtype="float64", input_name="sample_weight"
    )
    if weight.ndim != 1:
        raise ValueError(
            f"{owner} needs `sample_weight` with one number per row. Received shape {weight.shape}."
        )
    check_consistent_length(X, weight)
    if (weight < 0).any() or not (weight > 0).any():
        raise ValueError(
            f"{owner} needs numbers of at least 0 in `sample_weight`, and at least one "
            f"non-zero number. Received numbers from {weight.min():g} to {weight.max():g}."
        )
    return weight


def weighted_by_class(
    weight: np.ndarray, class_weight: Any, labels: Any, which: np.ndarray, owner: str
) -> np.ndarray:
    """Returns weights of rows, those of labelled rows multiplied by the weight of their class.

    Args:
        weight: Weights of all rows.
        class_weight: `"balanced"`, a dictionary, or `None`, as in scikit-learn.
        labels: Labels of all rows.
        which: Rows that have a label; the classes are counted among those of a weight above 0.
        owner: The caller's name in the error message.
    """
    if class_weight is None:
        return weight
    if class_weight != "balanced" and not isinstance(class_weight, dict):
        raise ValueError(
            f"Argument `class_weight` of {owner} must be 'balanced', a dictionary of weights by "
            f"class, or None. Received: class_weight={class_weight!r}"
        )
    if isinstance(class_weight, dict):
        unknown = set(class_weight) - set(np.unique(labels[which]).tolist())
        if unknown or min(class_weight.values(), default=0) < 0:
            raise ValueError(
                f"Argument `class_weight` of {owner} must give classes of `y` weights of at least "
                f"0. Received: class_weight={class_weight!r}"
            )
    counted = which & (weight > 0)
    weight = weight.copy()  # not the caller's own array
    weight[counted] *= compute_sample_weight(class_weight, labels[counted])
    return weight


def relative_weights(weight: np.ndarray) -> np.ndarray | None:
    """Returns weights of mean 1, or `None` if all are equal, which is faster to train with."""
    return None if (weight == weight[0]).all() else weight / weight.mean()
