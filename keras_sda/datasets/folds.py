"""The folds of a cross-validation on few rows."""

from typing import Any

import numpy as np

_MOST = 5


def make_folds(num_rows: int, classes: np.ndarray | None, seed: int) -> Any:
    """Returns how scikit-learn is to hold out labelled rows, or `None` where it cannot.

    There are five folds, or as many as there are rows, or as the rarest class has.

    Args:
        num_rows: Number of labelled rows.
        classes: Their classes, by which folds are stratified, or `None` if labels are no classes.
        seed: Seed of the draw.

    Example:

    >>> make_folds(7, np.array([0, 0, 0, 0, 1, 1, 1]), seed=0).get_n_splits()
    3
    >>> make_folds(3, np.array([0, 0, 1]), seed=0) is None
    True
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    most = num_rows if classes is None else int(np.unique(classes, return_counts=True)[1].min())
    count = min(_MOST, most)
    if count < 2:
        return None
    kind = KFold if classes is None else StratifiedKFold
    return kind(count, shuffle=True, random_state=seed)
