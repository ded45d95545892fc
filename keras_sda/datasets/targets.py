"""What the labels of a table are: classes, or numbers to be predicted (regression)."""

import numpy as np

from keras_sda._validation import check_choice
from keras_sda.datasets.frames import as_text
from keras_sda.datasets.labels import is_missing, known_labels

TASKS = ("auto", "classification", "regression")

# Whole numbers of more values than this may be classes or amounts: people know, programs do not.
_MOST_CLASSES = 20


def as_task(labels: np.ndarray, task: str, owner: str) -> np.ndarray:
    """Returns the labels of a table as whole numbers or text if they are classes, else as floats.

    Args:
        labels: Labels as they were read, of shape `(rows,)`.
        task: `"classification"`, `"regression"`, or `"auto"`: text and up to 20 whole numbers are
            classes, and numbers with fractions are not.
        owner: What holds them, at the beginning of error messages.

    Raises:
        ValueError: If whole numbers of many values may be either, or text is to be numbers.
    """
    check_choice("task", task, TASKS, "keras_sda.datasets.load")
    known = known_labels(labels)
    is_text = known.dtype.kind not in "biuf"
    if task == "regression":
        if is_text:
            raise ValueError(f"{owner} holds text, and regression needs numbers.")
        return labels.astype("float64")
    if is_text or known.dtype.kind == "b":
        return labels
    is_whole = bool((known == np.floor(known)).all())
    if task == "auto" and is_whole and len(np.unique(known)) > _MOST_CLASSES:
        raise ValueError(
            f"{owner} holds {len(np.unique(known))} different whole numbers, which may be classes "
            'or amounts: say which by task="classification" or task="regression" (--task).'
        )
    if is_whole:
        gaps = is_missing(labels).any()
        return labels if gaps or known.dtype.kind != "f" else labels.astype("int64")
    if task == "auto":
        return labels
    text = ["" if gone else as_text(v) for v, gone in zip(labels, is_missing(labels), strict=True)]
    return np.array(text)


def as_kind_of(labels: np.ndarray, known: np.ndarray, owner: str) -> np.ndarray:
    """Returns the labels of test rows as text where those of training rows are text.

    Args:
        labels: Labels of test rows.
        known: Labels of training rows.
        owner: What holds the former, at the beginning of error messages.

    Raises:
        ValueError: If they are text where those of training rows are numbers.
    """
    are_numbers, were_numbers = labels.dtype.kind in "biuf", known.dtype.kind in "biuf"
    if are_numbers and not were_numbers:
        gone = is_missing(labels)
        return np.array(["" if g else as_text(v) for v, g in zip(labels, gone, strict=True)])
    if were_numbers and not are_numbers and not is_missing(labels).all():
        raise ValueError(f"{owner} holds text, and the training rows have numbers there.")
    return labels
