"""Whether a network was worth it: its figures beside those of simple models on the same rows."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_sda.datasets import Split
from keras_sda.datasets.batches import BATCH_SIZE
from keras_sda.datasets.folds import draw_rows
from keras_sda.datasets.labels import is_labelled
from keras_sda.experiments import scores
from keras_sda.experiments.rivals import Rival, train_rivals

NETWORK = "network"
# Below this share of the rows, an error rate no longer tells whether a class is found at all.
_RARE = 0.2
# Of fewer, a bootstrap draws much the same ones, and its intervals are far too narrow.
_FEW_ROWS = 20
# Rows to measure on.
_MOST_ROWS = 100_000


def can_compare(model: Any, train: Split, rows: Split) -> bool:
    """Whether a model learns labels that training rows and the others have."""
    has_head = getattr(model, "head", None) is not None
    if train.labelled is None or rows.labelled is None:
        return False
    if model.num_classes is None:
        return has_head and len(rows.labelled.y) > 1  # type: ignore[arg-type]
    return len(np.unique(train.labelled.y)) > 1  # type: ignore[arg-type]


def compare(
    model: keras.Model,
    train: Split,
    rows: Split,
    classes: Any = None,
    class_weight: Any = None,
    groups: Any = None,
) -> dict[str, Any]:
    """Measures a network, and a linear model and a forest trained on the same rows.

    Classifiers meet logistic regression and a random forest, others ridge regression and a forest.
    They get the inputs of the network and its labelled training rows, and their options by
    cross-validation on these; see `rivals.train_rivals` for what bounds their time.

    Args:
        model: A trained network that learns labels.
        train: The rows that it was trained on.
        rows: Rows to measure on, such as test rows; those with a label count, or of more than
            100,000 so many, drawn at random: that bounds the time, and tells an error to 0.3 %.
        classes: The names of the classes; by default their numbers.
        class_weight: Weights of the classes that the network was trained with: the others have
            them too.
        groups: The groups of the rows that it was trained on, which no fold of the others' tears
            apart; `None` for none.

    Returns:
        What `describe` puts into words, ready for JSON: the figures of each with their 95 %
        intervals, the differences from the network's with theirs, and what is rare.
    """
    x, labels = _drawn(rows.labelled or rows)
    is_classifier = getattr(model, "num_classes", None) is not None
    num_classes = int(getattr(model, "num_classes", 0) or 0)
    contestants: dict[str, Any] = {NETWORK: _network_outputs(model, x)}
    groups = None if groups is None else groups[is_labelled(np.asarray(train.y))]
    trained: dict[str, Rival] = train_rivals(
        train.labelled or train, is_classifier, class_weight, groups
    )
    for name, rival in trained.items():
        contestants[name] = rival.predict(x.reshape(len(x), -1), num_classes)
    found: dict[str, Any] = {"rows": len(labels), "classifier": is_classifier}
    found["options"] = {name: rival.options for name, rival in trained.items()}
    if is_classifier:
        found |= _frequencies(labels, contestants[NETWORK], train, classes)
        is_rare = found["rare"] is not None
        measured = {n: scores.of_classes(labels, given) for n, given in contestants.items()}
        found["main"] = "ROC-AUC" if is_rare and "ROC-AUC" in measured[NETWORK] else "error"
    else:
        measured = {n: scores.of_numbers(labels, given) for n, given in contestants.items()}
        found["main"] = "R2"
    found["figures"] = {
        name: {figure: each.summary for figure, each in entries.items()}
        for name, entries in measured.items()
    }
    found["gains"] = {
        name: {
            figure: scores.gain(figure, measured[NETWORK][figure], each)
            for figure, each in measured[name].items()
        }
        for name in trained
    }
    return found


def _drawn(rows: Split) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows and labels to measure on."""
    labels = np.asarray(rows.y)
    drawn = np.sort(draw_rows(len(labels), _MOST_ROWS))
    return rows.x[drawn], labels[drawn]


def _network_outputs(model: Any, x: np.ndarray) -> np.ndarray:
    """Returns probabilities of all classes, or predicted numbers."""
    outputs = model.predict(x, batch_size=BATCH_SIZE, verbose=0).astype("float64")
    if model.num_classes is None:
        return outputs.reshape(len(x), -1)[:, 0]
    if outputs.shape[1] == 1:
        return np.hstack([1 - outputs, outputs])
    return outputs / outputs.sum(axis=1, keepdims=True)


def _frequencies(
    labels: np.ndarray, probabilities: np.ndarray, train: Split, classes: Any
) -> dict[str, Any]:
    """Returns the error of always guessing the commonest class, and which class is rare."""
    found = balance(np.asarray((train.labelled or train).y), labels, classes)
    if found["rare"] is not None:
        predicted = probabilities.argmax(axis=1) == found["rare"].pop("number")
        found["rare"]["predicted"] = int(predicted.sum())
    return found


def balance(known: np.ndarray, labels: np.ndarray, classes: Any = None) -> dict[str, Any]:
    """Returns the error of always guessing the commonest class, and which class is rare, if any.

    Args:
        known: Class numbers of training rows.
        labels: Those of test rows.
        classes: The names of the classes; by default their numbers.
    """
    count = np.bincount(known)
    majority_error = float(np.mean(labels != count.argmax()))
    present = np.flatnonzero(count)
    rarest = int(present[count[present].argmin()])
    # Of several classes each has a small share; rare is what has less than half of an even one.
    limit = min(_RARE, 1 / len(present) / 2)
    rare = None
    if count[rarest] / count.sum() < limit:
        rare = {
            "number": rarest,
            "class": str(rarest if classes is None else classes[rarest]),
            "share": float(count[rarest] / count.sum()),
            "rows": int((labels == rarest).sum()),
        }
    return {"majority_error": majority_error, "rare": rare}


def table(comparison: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Returns the figures as the header and the lines of a table of text."""
    figures = comparison["figures"]
    header = ["", *figures]
    lines = [
        [figure, *(_cell(figure, figures[name][figure]) for name in figures)]
        for figure in figures[NETWORK]
    ]
    return header, lines


def _cell(figure: str, summary: Any) -> str:
    value, low, high = (_number(figure, each) for each in summary)
    unit = " %" if figure in scores.PERCENT else ""
    return f"{value}{unit} ({low} to {high})"


def _number(figure: str, value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{100 * value:.1f}" if figure in scores.PERCENT else f"{value:.4g}"


def verdict(comparison: Mapping[str, Any]) -> list[str]:
    """Returns in sentences whether the network was worth it, where it lost, and what is rare."""
    main, figures, gains = comparison["main"], comparison["figures"], comparison["gains"]
    best = scores.best(main, {name: figures[name][main][0] for name in gains})
    gain, low, high = gains[best][main]
    own = _cell(main, figures[NETWORK][main]).split(" (")[0]
    theirs = _cell(main, figures[best][main]).split(" (")[0]
    words = f"{main} {own} against {theirs} of the {best}"
    if comparison["rows"] < _FEW_ROWS:
        return [f"{comparison['rows']} rows are too few to say which is better: {words}."]
    if low > 0:
        said = f"The network was worth it: {words}, the better of the two others."
    elif high < 0:
        said = f"The network lost: {words}. Take the {best}."
    else:
        chance = "but not beyond chance"
        lead = f"ahead, {chance}" if gain > 0 else f"behind, {chance}" if gain < 0 else "a tie"
        said = (
            f"The network was not clearly worth it: {words}, {lead} on {comparison['rows']:,} "
            f"rows. The {best} is simpler."
        )
    sentences = [said]
    lost = {
        name: [figure for figure, each in entries.items() if each[2] < 0]
        for name, entries in gains.items()
    }
    told = [f"{_listed(names)} to the {rival}" for rival, names in lost.items() if names]
    if told:
        sentences.append(f"Beyond chance it lost in {', and in '.join(told)}.")
    rare = comparison.get("rare")
    if rare is not None:
        sentences += _words_on_rare(rare, comparison)
    return sentences


def _listed(names: list[str]) -> str:
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), names[-1]])


def _words_on_rare(rare: Mapping[str, Any], comparison: Mapping[str, Any]) -> list[str]:
    sentences = [
        f"The classes are unbalanced: {100 * rare['share']:.1f} % of the labelled training rows "
        f"are of class {rare['class']}, and always guessing the commonest class errs on "
        f"{'only ' if comparison['majority_error'] < _RARE else ''}"
        f"{100 * comparison['majority_error']:.1f} % of these rows. Judge by ROC-AUC, average "
        "precision and balanced accuracy, not by the error."
    ]
    if rare["rows"] and not rare["predicted"]:
        own = "1 is" if rare["rows"] == 1 else f"{rare['rows']:,} are"
        sentences.append(
            f"The network predicts class {rare['class']} for none of the rows, though {own} of it: "
            "train with --class-weight balanced."
        )
    return sentences


def describe(comparison: Mapping[str, Any]) -> str:
    """Returns the figures as a table in text, and what they say."""
    header, lines = table(comparison)
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [header, *lines]
    ]
    if "majority_error" in comparison:
        rows.append(f"always the commonest class: error {100 * comparison['majority_error']:.1f} %")
    return "\n".join([*rows, *verdict(comparison)])
