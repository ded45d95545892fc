"""The folds of a cross-validation on few rows, and folds that tear no group apart."""

import numpy as np

_MOST = 5

# The rows to learn from and those held out, as numbers.
Fold = tuple[np.ndarray, np.ndarray]


def make_folds(
    num_rows: int, classes: np.ndarray | None, seed: int, groups: np.ndarray | None = None
) -> list[Fold] | None:
    """Returns how labelled rows are held out, or `None` where they cannot be.

    There are five folds, or as many as there are rows (groups, where there are any), or as the
    rarest class has rows.

    Args:
        num_rows: Number of labelled rows.
        classes: Their classes, by which folds are stratified, or `None` if labels are no classes.
        seed: Seed of the draw.
        groups: Their groups, of which each is held out as a whole; `None` for none.

    Returns:
        For each fold the numbers of the rows to learn from and of those held out, as scikit-learn
        takes them.

    Example:

    >>> len(make_folds(7, np.array([0, 0, 0, 0, 1, 1, 1]), seed=0))
    3
    >>> make_folds(3, np.array([0, 0, 1]), seed=0) is None
    True
    >>> folds = make_folds(4, None, seed=0, groups=np.array([3, 3, 8, 8]))
    >>> sorted(held_out.tolist() for _, held_out in folds)
    [[0, 1], [2, 3]]
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    most = num_rows if classes is None else int(np.unique(classes, return_counts=True)[1].min())
    most = most if groups is None else min(most, len(np.unique(groups)))
    count = min(_MOST, most)
    if count < 2:
        return None
    if groups is not None:
        return group_folds(count, classes, groups, seed)
    kind = KFold if classes is None else StratifiedKFold
    rows = np.zeros(num_rows)
    return list(kind(count, shuffle=True, random_state=seed).split(rows, classes))


def group_folds(
    count: int, classes: np.ndarray | None, groups: np.ndarray, seed: int
) -> list[Fold]:
    """Returns folds of about the same size and classes, each of whole groups.

    Args:
        count: How many folds there are, if there are as many groups.
        classes: The classes of the rows, or `None`.
        groups: Their groups, at least two.
        seed: Seed of the draw.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    count = min(count, len(np.unique(groups)))
    # Of one class, stratified folds are of the same size, which those of GroupKFold are not.
    strata = np.zeros(len(groups), int)
    if classes is not None and np.unique(classes, return_counts=True)[1].min() >= count:
        strata = classes
    draw = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    return list(draw.split(strata, strata, groups))
