"""Labels as estimators take them: checked, with the rows that have none told apart."""

from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d

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
