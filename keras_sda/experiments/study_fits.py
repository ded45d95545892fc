"""How a study fits and measures one contestant: held-out labels, fits, errors and other figures."""

import warnings
from typing import Any

import numpy as np

from keras_sda.datasets.folds import group_folds
from keras_sda.datasets.labels import UNLABELLED, is_labelled
from keras_sda.datasets.threads import few_threads
from keras_sda.experiments import scores
from keras_sda.experiments.contestants import Contestant, Rows

_HELD_OUT = 0.25


def hold_out(
    labels: Any, seed: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Holds out a quarter of the labels, of every class at least one, to choose a setting by.

    Args:
        labels: Class numbers with -1, or numbers with NaN, for rows without a label.
        seed: Seed of the draw.
        groups: The groups of the rows, which are held out as a whole; `None` for none.

    Returns:
        The labels with those held out hidden, and their rows; `None` if there are too few: most
        classes have a single label, there are fewer than four numbers, or with groups no fourth of
        them leaves two classes.
    """
    generator = np.random.default_rng([seed, 1])
    rows = np.flatnonzero(is_labelled(labels))
    is_classes = labels.dtype.kind in "iu"
    by_class = [rows[labels[rows] == each] for each in np.unique(labels[rows])]
    drawn: list[np.ndarray] = []
    if is_classes and 2 * sum(len(own) > 1 for own in by_class) < len(by_class):
        return labels, None
    if not is_classes:
        by_class = [rows] if len(rows) >= 4 else []
    if groups is not None:
        drawn = _drawn_groups(labels[rows], is_classes, groups[rows], seed)
        drawn = [rows[drawn[0]]] if drawn else []
    else:
        for own in by_class:
            if len(own) > 1:
                count = max(1, round(_HELD_OUT * len(own)))
                drawn.append(generator.permutation(own)[:count])
    if not drawn:
        return labels, None
    held_out = np.sort(np.concatenate(drawn))
    hidden = labels.copy()
    hidden[held_out] = UNLABELLED if is_classes else np.nan
    return hidden, held_out


def _drawn_groups(
    labels: np.ndarray, is_classes: bool, groups: np.ndarray, seed: int
) -> list[np.ndarray]:
    """Returns labelled rows of whole groups, about a quarter, if the others can be learned from."""
    if len(np.unique(groups)) < 2 or len(labels) < 4:
        return []
    rest, drawn = group_folds(4, labels if is_classes else None, groups, seed)[0]
    too_few = is_classes and len(np.unique(labels[rest])) < len(np.unique(labels))
    return [] if too_few else [drawn]


def fit(each: Contestant, setting: Any, x: np.ndarray, labels: Any, seed: int) -> Any:
    """Returns a contestant fitted on what it takes: all rows, or those with a label.

    Args:
        each: The contestant.
        setting: One of its settings.
        x: All rows, inputs or codes.
        labels: Their labels, -1 or NaN where there is none.
        seed: Seed of its start.
    """
    from sklearn.exceptions import ConvergenceWarning

    known = is_labelled(labels)
    model = each.build(setting, seed, Rows(len(x), int(known.sum())))
    if not each.takes_unlabelled:
        x, labels = x[known], labels[known]
    with warnings.catch_warnings(), few_threads(x):
        # Its last steps change next to nothing, and no other method is told of its own either.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, labels)


def error_of(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Returns the share of wrong classes, or the root of the mean squared error."""
    with few_threads(x):
        predicted = model.predict(x)
    if y.dtype.kind in "iu":
        return float(np.mean(predicted != y))
    return float(np.sqrt(np.mean((predicted.astype("float64") - y) ** 2)))


def figures_of(model: Any, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Returns what an error leaves out: balanced accuracy and ROC-AUC, or R2.

    Of two classes ROC-AUC is that of the rarer one, of more the mean over the classes, each against
    all others.

    Args:
        model: A fitted contestant.
        x: Rows as it takes them.
        y: Their labels.
    """
    if y.dtype.kind not in "iu":
        with few_threads(x):
            errors = y.astype("float64") - model.predict(x).astype("float64")
        return {"R2": scores.r2(y.astype("float64"), errors)}
    with few_threads(x):
        given, predicted = _ranking(model, x), model.predict(x)
    present, counts = np.unique(y, return_counts=True)
    right = [float(np.mean(predicted[y == one] == one)) for one in present]
    ranked = present if len(present) > 2 else present[[counts.argmin()]]
    known = np.asarray(model.classes_)
    columns = {one: given[:, known == one].reshape(len(y), -1) for one in ranked.tolist()}
    areas = [
        # A class that it has never seen is ranked by nothing.
        scores.area(y == one, own[:, 0] if own.shape[1] else np.zeros(len(y)))
        for one, own in columns.items()
    ]
    return {"balanced accuracy": float(np.mean(right)), "ROC-AUC": float(np.mean(areas))}


def _ranking(model: Any, x: np.ndarray) -> np.ndarray:
    """Returns numbers of shape `(rows, classes)` that grow with the belief in a class."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x))
    values = np.asarray(model.decision_function(x))
    return np.stack([-values, values], axis=1) if values.ndim == 1 else values
