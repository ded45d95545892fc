"""Figures of predictions, each with its 95 % interval by a bootstrap of the rows.

Every predictor is measured on the same resampled rows, so that differences are paired.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

# Resampled sets of rows; fewer where ranking many rows for many classes takes long.
_RESAMPLES = 200
_MOST_VALUES = 4_000_000
PERCENT = ("error", "balanced accuracy")
# Of which less is better.
_LOSSES = ("error", "log loss", "MAE", "RMSE")


class Score(NamedTuple):
    """A figure, and its values on resampled rows."""

    value: float
    resampled: np.ndarray

    @property
    def summary(self) -> list[float]:
        """The figure and the bounds of its 95 % interval."""
        return [self.value, *_bounds(self.resampled)]


def gain(figure: str, ours: Score, theirs: Score) -> list[float]:
    """Returns by how much ours is better, negative where it is worse, and its 95 % interval."""
    sign = -1 if figure in _LOSSES else 1
    bounds = _bounds(sign * (ours.resampled - theirs.resampled))
    return [sign * (ours.value - theirs.value), *bounds]


def best(figure: str, values: Mapping[str, float]) -> str:
    """Returns the name of the best value of a figure."""
    choose = min if figure in _LOSSES else max
    return choose(values, key=lambda name: values[name])


def _bounds(values: np.ndarray) -> list[float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return [float("nan")] * 2
    return [float(bound) for bound in np.quantile(known, [0.025, 0.975])]


def of_classes(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Score]:
    """Returns error, balanced accuracy, ROC-AUC, average precision and log loss.

    Of two classes the rarer one is what average precision looks for; of more, ROC-AUC and average
    precision are means over the classes, each against all others.

    Args:
        labels: Class numbers, shape `(rows,)`.
        probabilities: Those of all classes, shape `(rows, classes)`.
    """
    wrong = (probabilities.argmax(axis=1) != labels).astype("float64")
    labels = np.minimum(labels, probabilities.shape[1])  # a class that is not known is wrong
    at_label = np.take_along_axis(probabilities, labels[:, None] % probabilities.shape[1], axis=1)
    nats = -np.log(np.clip(at_label[:, 0], 1e-15, 1.0))
    present = np.unique(labels)
    if probabilities.shape[1] == 2 and len(present) == 2:
        present = np.array([np.bincount(labels).argmin()])

    def balanced(rows):
        counts = np.bincount(labels[rows])
        errors = np.bincount(labels[rows], weights=wrong[rows])
        return 1 - float(np.mean(errors[counts > 0] / counts[counts > 0]))

    def of_ranks(measure):
        def mean(rows):
            truth = labels[rows]
            each = [measure(truth == one, probabilities[rows, one]) for one in present]
            return float(np.mean(each))

        return mean

    figures: dict[str, Callable[[Any], float]] = {
        "error": lambda rows: float(wrong[rows].mean()),
        "balanced accuracy": balanced,
    }
    if len(np.unique(labels)) > 1 and present.max() < probabilities.shape[1]:
        figures["ROC-AUC"] = of_ranks(area)
        figures["average precision"] = of_ranks(_average_precision)
    figures["log loss"] = lambda rows: float(nats[rows].mean())
    return _measured(figures, len(labels), probabilities.size)


def of_numbers(targets: np.ndarray, predictions: np.ndarray) -> dict[str, Score]:
    """Returns R2, MAE and RMSE of predicted numbers, both of shape `(rows,)`."""
    targets = targets.reshape(len(targets), -1)[:, 0].astype("float64")
    errors = targets - predictions

    figures: dict[str, Callable[[Any], float]] = {
        "R2": lambda rows: r2(targets[rows], errors[rows]),
        "MAE": lambda rows: float(np.abs(errors[rows]).mean()),
        "RMSE": lambda rows: float(np.sqrt((errors[rows] ** 2).mean())),
    }
    return _measured(figures, len(targets), len(targets))


def r2(targets: np.ndarray, errors: np.ndarray) -> float:
    """Returns the share of the targets' variance that is explained; NaN where they are all equal.

    Args:
        targets: Targets, float64, shape `(rows,)`.
        errors: Targets minus predictions.
    """
    spread = float(((targets - targets.mean()) ** 2).sum())
    return 1 - float((errors**2).sum()) / spread if spread else float("nan")


def _measured(figures, count, size):
    """Returns each figure of all rows, and of sets of as many rows drawn with replacement."""
    resamples = max(40, min(_RESAMPLES, _MOST_VALUES // max(size, 1)))
    draws = np.random.default_rng(0).integers(count, size=(resamples, count))
    return {
        name: Score(measure(slice(None)), np.array([measure(rows) for rows in draws]))
        for name, measure in figures.items()
    }


def area(truth, values):
    """Returns the area under the ROC curve, by ranks; ties count half."""
    from scipy.stats import rankdata

    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(values)[truth].sum()
    return (ranks - positive * (positive + 1) / 2) / (positive * negative)


def _average_precision(truth, values):
    """Returns the mean of the precision at each positive row, tied rows taken together."""
    if not truth.any():
        return float("nan")
    order = np.argsort(-values, kind="stable")
    ranked, values = truth[order], -values[order]
    last = np.searchsorted(values, values, side="right")
    precision = np.cumsum(ranked)[last - 1] / last
    return float(precision[ranked].mean())
