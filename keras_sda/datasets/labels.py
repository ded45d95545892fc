"""Labels: which rows have one, and which number each class gets.

What counts as unlabelled is decided here, for data sets, experiments and estimators alike:

- A missing label: NaN, None, `pd.NA`, or blank text, as a blank cell of a file is read.
- -1 in arrays, unless there is only one other class, as in {-1, 1}. In a table, where a label can
  be left blank, -1 is a value like any other.
- `unlabelled=` names another label instead of -1, or with `None` no label.

Once read, an unlabelled row has the class number -1, or the number NaN where labels are no classes.
"""

import warnings
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from keras_sda._validation import listed

UNLABELLED = -1


def is_missing(labels: np.ndarray) -> np.ndarray:
    """Returns which labels are missing, whatever marks unlabelled rows besides.

    >>> is_missing(np.array([0, None, float("nan"), "a", " "], dtype=object)).tolist()
    [False, True, True, False, True]
    """
    if labels.dtype.kind in "biu":
        return np.zeros(labels.shape, bool)
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    missing = [_is_nothing(label) for label in labels.ravel().tolist()]
    return np.array(missing, bool).reshape(labels.shape)


def _is_nothing(label):
    if label is None or isinstance(label, str):
        return not (label or "").strip()
    try:
        return bool(label != label)  # NaN and NaT are unlike themselves
    except TypeError:  # pandas' NA, of which nothing is true or false
        return True


def known_labels(labels: np.ndarray) -> np.ndarray:
    """Returns the labels that are not missing, in the type that they have without the missing.

    Whole numbers beside missing ones are fractions or objects for NumPy and pandas.

    >>> known_labels(np.array([2, np.nan, 0]))
    array([2, 0])
    """
    known = labels[~is_missing(labels)]
    if len(known) == len(labels):
        return labels
    if known.dtype.kind == "O" and len({isinstance(label, str) for label in known}) == 1:
        known = np.array(known.tolist())
    is_whole = known.dtype.kind == "f" and bool((known == np.floor(known)).all())
    return known.astype("int64") if is_whole else known


def fill_missing(labels: Any) -> tuple[Any, np.ndarray | None]:
    """Returns labels with another label where one is missing, and which were; for checks by others.

    Args:
        labels: Labels of any kind; what is no column of labels is returned as it is.

    Returns:
        The labels, the very same ones if none is missing; and booleans, or `None` if none is.
    """
    # In a list, NumPy would make text of the NaN beside text.
    column = np.asarray(labels, dtype=object if isinstance(labels, (list, tuple)) else None)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    missing = is_missing(column) if column.ndim == 1 else np.zeros(0, bool)
    if not missing.any() or missing.all():
        return labels, missing if missing.any() else None
    known = known_labels(column)
    filled = np.full(len(column), known[0], known.dtype)
    filled[~missing] = known
    return filled, missing


def is_labelled(labels: np.ndarray) -> np.ndarray:
    """Returns which rows of data that `load` has read have a label."""
    known = ~is_missing(labels)
    return known & (labels != UNLABELLED) if labels.dtype.kind in "biu" else known


def balanced_weights(train: Any, labels: Any) -> np.ndarray:
    """Returns the weight of each label, by which the classes of training rows count alike.

    Args:
        train: Class numbers of the training rows, negative where there is no label.
        labels: The class numbers to be weighted; those without a label weigh 1.
    """
    count = np.bincount(train[train >= 0])
    by_class = count.sum() / (np.count_nonzero(count) * np.maximum(count, 1))
    known = np.clip(labels, 0, len(count) - 1)
    return np.where(labels >= 0, by_class[known], 1.0).astype("float32")


def has_label(
    labels: np.ndarray,
    unlabelled: Any = "auto",
    classes: Collection[Any] | None = None,
    in_table: bool = False,
) -> np.ndarray:
    """Returns which rows have a label, as an array of booleans.

    Args:
        labels: Labels as they were given, numbers or text, of shape `(rows,)`.
        unlabelled: The label that marks unlabelled rows besides missing ones; `None` for none;
            `"auto"`: -1 in arrays, unless it is one of two classes.
        classes: All classes, if they are known: then -1 is a class if it is among them.
        in_table: Whether the labels are a column of a table.
    """
    labelled = ~is_missing(labels)
    is_auto = isinstance(unlabelled, str) and unlabelled == "auto"
    if unlabelled is None or (is_auto and in_table):
        return labelled
    marked = _equals(labels, UNLABELLED if is_auto else unlabelled)
    if not is_auto:
        return labelled & ~marked
    if classes is not None:
        is_class = UNLABELLED in classes
    else:
        is_class = len(set(labels[labelled & ~marked].tolist())) == 1
    return labelled if is_class else labelled & ~marked


def _equals(labels, mark):
    if labels.dtype.kind == "U":
        # A file in which one label is text has all of them as text.
        return labels == mark if isinstance(mark, str) else labels == str(mark)
    if labels.dtype.kind != "O" and isinstance(mark, str):
        return np.zeros(labels.shape, bool)
    # One by one, as text may be mixed with numbers; pandas' NA equals nothing.
    equal = [not _is_nothing(label) and label == mark for label in labels.tolist()]
    return np.array(equal, bool)


def number_classes(
    labels: Mapping[str, np.ndarray | None],
    unlabelled: Any = "auto",
    *,
    in_table: bool = False,
    renumber: bool = True,
) -> tuple[dict[str, np.ndarray | None], list[Any] | None]:
    """Numbers text and integer labels from 0 to C - 1, over all parts; unlabelled rows get -1.

    Args:
        labels: The labels of each part, or `None` for a part without.
        unlabelled: See `has_label`.
        in_table: See `has_label`.
        renumber: Whether integers other than 0 to C - 1 are numbered anew.

    Returns:
        Class numbers by part, or numbers with fractions, NaN without a label; `None` for all parts
        if no row has a label. And the classes in the order of their numbers, or `None` if they
        were 0 to C - 1 already.
    """
    known = {part: known_labels(y) for part, y in labels.items() if y is not None}
    filled = [values for values in known.values() if len(values)]
    together = np.concatenate(filled) if filled else np.zeros(0, int)
    are_classes = together.dtype.kind != "f"
    if not are_classes and isinstance(unlabelled, str) and unlabelled == "auto":
        unlabelled = None
    labelled = has_label(together, unlabelled, in_table=in_table)
    if not labelled.any():
        return dict.fromkeys(labels), None
    classes = np.unique(together[labelled])
    is_numbered = classes.dtype.kind in "biu" and np.array_equal(classes, np.arange(len(classes)))
    is_kept = not are_classes or is_numbered or not renumber
    numbered: dict[str, np.ndarray | None] = dict.fromkeys(labels)
    start = 0
    for part, values in known.items():
        own = labelled[start : start + len(values)]
        start += len(values)
        which = ~is_missing(labels[part])  # type: ignore[arg-type]
        which[which] = own
        numbers = np.full(len(which), UNLABELLED if are_classes else np.nan)
        numbers[which] = values[own] if is_kept else np.searchsorted(classes, values[own])
        numbered[part] = numbers.astype("int64") if are_classes else numbers
    return numbered, None if is_kept else classes.tolist()


def number_new_rows(
    labels: np.ndarray | None,
    classes: list[Any] | None,
    unlabelled: Any = "auto",
    *,
    in_table: bool = False,
    are_classes: bool = True,
) -> np.ndarray | None:
    """Returns the labels of new rows by the numbers of known classes, -1 without a label.

    Args:
        labels: Labels as a file holds them.
        classes: The classes in the order of their numbers; `None` if they were numbers from 0.
        unlabelled: See `has_label`.
        in_table: See `has_label`.
        are_classes: Whether labels are classes, and not numbers as they are.

    Raises:
        ValueError: If a label is none of the classes.
    """
    if labels is None:
        return None
    if not are_classes:
        return _plain_numbers(labels, unlabelled)
    known = known_labels(labels)
    if classes is None and known.dtype.kind not in "biu":
        return labels  # no class numbers, which whoever measures says better
    labelled = has_label(known, unlabelled, classes or (), in_table)
    values = known[labelled].tolist()
    numbers = {label: number for number, label in enumerate(classes or ())}
    unknown = {each for each in values if (each < 0 if classes is None else each not in numbers)}
    if unknown:
        received = listed(sorted(map(str, unknown))[:5])
        among = "class numbers from 0" if classes is None else f"among {classes}"
        hint = ""
        if UNLABELLED in unknown:
            hint = ": in a table, leave the label of an unlabelled row blank"
        raise ValueError(
            f"The labels must be {among}, which the model was trained on. "
            f"Received also: {received}{hint}"
        )
    which = ~is_missing(labels)
    which[which] = labelled
    numbered = np.full(len(labels), UNLABELLED, "int64")
    numbered[which] = values if classes is None else [numbers[label] for label in values]
    return numbered


def _plain_numbers(labels, unlabelled):
    """Returns labels that are no classes, NaN where a row has none."""
    if labels.dtype.kind not in "biuf":
        return labels
    is_auto = isinstance(unlabelled, str) and unlabelled == "auto"
    labelled = has_label(labels, None if is_auto else unlabelled)
    return labels if labelled.all() else np.where(labelled, labels.astype("float64"), np.nan)


def tell_of_class(labels: np.ndarray, owner: str) -> None:
    """Warns if -1 is a class of a table that would mark unlabelled rows in an array."""
    known = known_labels(labels)
    count = int((~has_label(known)).sum()) if known.dtype.kind in "biu" else 0
    if count:
        warnings.warn(
            f"{owner} has the label -1 in {count:,} rows, which is a class in a table: leave the "
            "label of unlabelled rows blank, or give unlabelled=-1 (--unlabelled -1); "
            "unlabelled=None says that it is meant.",
            stacklevel=2,
        )


def choose_labels(labels: np.ndarray, count: int, seed: int, owner: str) -> np.ndarray:
    """Returns labels of which all but some are hidden, evenly over the classes.

    Args:
        labels: Class numbers with -1, or numbers with NaN, for rows without a label.
        count: How many stay. Of each class as many as of any other, or one more, as long as the
            class has so many.
        seed: Seed of the draw.
        owner: The caller's name in the error message.

    Raises:
        ValueError: If there are fewer labels, or more classes.
    """
    rows = np.flatnonzero(is_labelled(labels))
    of_class = np.zeros(len(rows), int)
    if labels.dtype.kind != "f":
        of_class = np.unique(labels[rows], return_inverse=True)[1]
    num_classes = int(of_class.max(initial=-1)) + 1
    if not num_classes <= count <= len(rows):
        limits = f"from {num_classes}, one for each class, to" if num_classes > 1 else "at most"
        raise ValueError(
            f"Argument `labels` of {owner} must be {limits} {len(rows)}, the number of labelled "
            f"training rows. Received: labels={count}"
        )
    generator = np.random.default_rng(seed)
    # The first row drawn of every class, then the second of every class, and so on.
    drawn = generator.permutation(len(rows))
    turn = np.empty(len(rows), int)
    for each in range(num_classes):
        own = drawn[of_class[drawn] == each]
        turn[own] = np.arange(len(own))
    order = np.lexsort((generator.permutation(num_classes)[of_class], turn))
    hidden = labels.copy()
    hidden[rows[order[count:]]] = np.nan if labels.dtype.kind == "f" else UNLABELLED
    return hidden
