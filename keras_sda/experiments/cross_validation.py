"""The cross-validated error of a classifier: what a few labelled test rows cannot tell.

The labels of each fold are hidden, and another model is trained by the same experiment on the same
rows: the fold's own take part without their labels, as other unlabelled rows do. Its errors are
counted on the fold alone, and those of all folds together make one error rate.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_sda.datasets import Data, Split
from keras_sda.datasets.folds import make_folds
from keras_sda.datasets.labels import UNLABELLED
from keras_sda.experiments.figures import error_rate, measure

# With as many labelled rows, a part of them tells the error well enough.
FEW_LABELS = 500


class Fold(NamedTuple):
    """One fold.

    Attributes:
        data: The data with the labels of the fold hidden, in training and validation rows.
        held_out: The rows of the fold, with their labels.
    """

    data: Data
    held_out: Split


def count_labels(data: Data) -> int:
    """Returns how many training and validation rows have a label."""
    labelled = [part.labelled for part in (data.train, data.valid) if part is not None]
    return sum(len(part.x) for part in labelled if part is not None)


def split(data: Data, seed: int) -> list[Fold]:
    """Returns the folds of the labelled training and validation rows, stratified by class.

    There are five, or as many as the rarest class has labelled rows, or as there are groups, which
    no fold tears apart; none if a class has a single one, or if without a fold the training rows
    would have labels of fewer than two classes.

    Args:
        data: Data with class numbers, whose training rows have labels.
        seed: Seed of the draw.
    """
    places = [
        (name, row)
        for name in ("train", "valid")
        for row in _labelled_rows(getattr(data, name)).tolist()
    ]
    labels = np.array([getattr(data, name).y[row] for name, row in places])
    groups = None
    if data.groups is not None:
        groups = np.array([data.groups[name][row] for name, row in places])
    draw = make_folds(len(labels), labels, seed, groups)
    folds = [_fold(data, [places[index] for index in held_out]) for _, held_out in draw or ()]
    return folds if all(_has_two_classes(fold.data.train) for fold in folds) else []


def _has_two_classes(part: Split) -> bool:
    labelled = part.labelled
    return labelled is not None and len(set(labelled.y.tolist())) > 1  # type: ignore[union-attr]


def _labelled_rows(part: Split | None) -> np.ndarray:
    if part is None or part.y is None:
        return np.zeros(0, int)
    return np.flatnonzero(part.y != UNLABELLED)


def _fold(data: Data, places: list[tuple[str, int]]) -> Fold:
    """Returns the fold of the rows at these places: names of parts, and numbers of rows."""
    hidden: dict[str, Any] = {}
    x, y = [], []
    for name in ("train", "valid"):
        part = getattr(data, name)
        rows = [row for other, row in places if other == name]
        if rows:
            labels = part.y.copy()
            labels[rows] = UNLABELLED
            hidden[name] = Split(part.x, labels)
            x.append(part.x[rows])
            y.append(part.y[rows])
    return Fold(replace(data, **hidden), Split(np.concatenate(x), np.concatenate(y)))


def cross_validate(folds: list[Fold], train: Callable[[int, Data], keras.Model]) -> dict[str, Any]:
    """Returns the errors of all folds together, with their interval: an entry of `metrics.json`.

    Args:
        folds: The folds.
        train: Function of the number of a fold, from 1, and its data that returns a trained model.
    """
    wrong = rows = 0
    for number, fold in enumerate(folds, 1):
        figure = measure(train(number, fold.data), fold.held_out)
        wrong, rows = wrong + figure["errors"], rows + figure["rows"]
    return {**error_rate(wrong, rows), "folds": len(folds)}
