"""The folds of a cross-validation on few rows, and folds that tear no group apart."""

import numpy as np

_MOST = 5

# Up to so many rows, five trainings more take less than what else a training does.
FEW_ROWS = 1_000

# The rows to learn from and those held out, as numbers.
Fold = tuple[np.ndarray, np.ndarray]


def draw_rows(count: int, most: int) -> np.ndarray:
    """Returns the numbers of `count` rows in random order, always the same, or `most` of them.

    >>> draw_rows(5, most=2).tolist() == draw_rows(5, most=9)[:2].tolist()
    True
    """
    return np.random.default_rng(0).permutation(count)[:most]


def make_folds(
    num_rows: int, classes: np.ndarray | None, seed: int, groups: np.ndarray | None = None
) -> list[Fold] | None:
    """Returns how labelled rows are held out, or `None` where they cannot be.

    There are five folds, or as many as there are rows (groups, where there are any), or as the
    rarest class has rows.

    Args:
        num_rows: Number of labelled rows.
        classes: Their classes, by which folds are stratified, or `None` if labels are not classes.
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


def folds_to_compare_by(
    num_rows: int, classes: np.ndarray | None, seed: int, groups: np.ndarray | None = None
) -> list[Fold]:
    """Returns the folds by whose errors two models are compared, or none if rows are too few.

    There are five up to 1,000 rows; of more, only one of five is held out, which tells enough and
    trains each model once. A class may be missing in a fold, as errors can be counted all the same.

    Args:
        num_rows: Number of labelled rows.
        classes: Their classes, or `None` if labels are not classes.
        seed: Seed of the draw.
        groups: Their groups, of which each is held out as a whole; `None` for none.

    Example:

    >>> folds = folds_to_compare_by(10, np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2]), seed=0)
    >>> [len(held_out) for _, held_out in folds]
    [2, 2, 2, 2, 2]
    >>> folds_to_compare_by(3, np.array([0, 0, 1]), seed=0)
    []
    """
    strata = None
    if classes is not None:
        _, strata, counts = np.unique(classes, return_inverse=True, return_counts=True)
        # A class of few rows would allow few folds: it is spread over them by chance.
        strata = np.where(counts[strata] < _MOST, counts.argmax(), strata)
    folds = make_folds(num_rows, strata, seed, groups) or []
    if num_rows > FEW_ROWS:
        folds = folds[:1]
    if classes is not None and any(len(np.unique(classes[rest])) < 2 for rest, _ in folds):
        return []
    return folds
