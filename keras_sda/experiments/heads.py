"""What predicts in a run: the network, fine-tuned, or a linear model on its frozen codes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_sda import backend
from keras_sda.datasets import Data, Split
from keras_sda.datasets.batches import BATCH_SIZE
from keras_sda.datasets.folds import FEW_ROWS, folds_to_compare_by
from keras_sda.datasets.labels import UNLABELLED, balanced_weights, is_labelled
from keras_sda.datasets.outside_memory import choose_rows
from keras_sda.experiments.experiment import Experiment
from keras_sda.models import LinearOnCodes, StackedDenoisingAutoencoder
from keras_sda.models.linear_on_codes import better_head
from keras_sda.models.linear_solver import Member

Members = tuple[Member, ...]

# As many labelled validation rows tell which head is better without any further training.
_ENOUGH_ROWS = 500


def wanted_head(experiment: Experiment, model: Any, data: Data) -> str:
    """Returns the head that an experiment asks for: `"finetune"`, `"linear"` or `"auto"`.

    Where it leaves that open, `"auto"` for a pretrained stack on a table, and fine-tuning for all
    else.

    Raises:
        ValueError: If the model has no levels of codes, or a last layer of its own.
    """
    asked = None if experiment.training is None else experiment.training.head
    takes_any = isinstance(model, StackedDenoisingAutoencoder) and model.head is not None
    takes_any = takes_any and experiment.model.options.get("head") is None
    if asked is None:
        is_table = data.columns is not None and experiment.pretraining is not None
        return "auto" if takes_any and is_table else "finetune"
    if asked != "finetune" and not takes_any:
        raise ValueError(
            f"training.head={asked!r} needs a stacked denoising autoencoder, labels and the usual "
            f"last layer. Received: {experiment.model.name} on {data.name}; leave it out."
        )
    return asked


def _linear_on(model: Any) -> LinearOnCodes:
    """Returns the linear model on the inputs and codes of a stack, its layer still unknown."""
    head: dict[str, Any] = {"num_classes": model.num_classes}
    if model.num_classes is None:
        head = {"head": keras.layers.Dense(1, dtype=model.variable_dtype, name="head")}
    return LinearOnCodes(model, **head, seed=model.seed, dtype=model.dtype_policy)


def _solve(
    linear: LinearOnCodes, data: Data, balanced: bool, members: Members | None = None
) -> Members:
    """Solves for the layer by labelled training rows, and returns the members of its mean."""
    labels = np.asarray(data.train.y)
    rows = np.flatnonzero(is_labelled(labels))
    x, labels = choose_rows(data.train.x, is_labelled(labels)), labels[rows]
    weight = balanced_weights(labels, labels) if balanced else None
    groups = None if data.groups is None else data.groups["train"][rows]
    return linear.solve(x, labels, weight, data.train.x, groups, members)


def learn(
    model: Any,
    data: Data,
    head: str,
    finetune: Callable[[Any, Data], None],
    build: Callable[[], Any],
    *,
    balanced: bool = False,
    seed: int = 0,
) -> tuple[Any, dict[str, Any]]:
    """Learns the labels with the linear head, or with the better one of both.

    Which one is better, the errors on rows tell that were not learnt from: of five folds of the
    labelled training rows, or if these are more than 1,000, the validation rows; where few of
    these have a label, a fifth of the training rows.

    Args:
        model: The pretrained stack.
        data: The data.
        head: `"linear"` or `"auto"`.
        finetune: Function that trains a stack on the labels of data.
        build: Function that returns a stack like `model`, with any weights.
        balanced: Whether rows are weighted so that all classes count alike.
        seed: Seed of the folds.

    Returns:
        The trained model, and what was chosen by which errors: the entry `head` of `metrics.json`.
    """
    linear = _linear_on(model)  # fine-tuning changes the stack
    members = _solve(linear, data, balanced)
    if head == "linear":
        return linear, {"chosen": "linear"}
    labels = np.asarray(data.train.y)
    count = int(is_labelled(labels).sum())
    valid = None if data.valid is None else data.valid.labelled
    if count > FEW_ROWS and valid is not None and len(valid.x) >= _ENOUGH_ROWS:
        finetune(model, data)
        errors = [_errors(each, valid, labels, balanced) for each in (linear, model)]
        record = _choice(f"{len(valid.x):,} validation rows", *errors)
        return (linear if record["chosen"] == "linear" else model), record
    record = _cross_validated(model, data, members, finetune, build(), balanced, seed)
    if record["chosen"] == "linear":
        return linear, record
    finetune(model, data)
    return model, record


def _cross_validated(
    model: Any,
    data: Data,
    members: Members,
    finetune: Callable[[Any, Data], None],
    trial: Any,
    balanced: bool,
    seed: int,
) -> dict[str, Any]:
    """Returns the choice by folds of the labelled training rows."""
    labels = np.asarray(data.train.y)
    rows = np.flatnonzero(is_labelled(labels))
    classes = None if model.num_classes is None else labels[rows]
    groups = None if data.groups is None else data.groups["train"][rows]
    folds = folds_to_compare_by(len(rows), classes, seed, groups)
    if not folds:
        return {"chosen": "linear", "by": f"{len(rows)} labelled rows, too few to hold some out"}
    missing = np.nan if classes is None else UNLABELLED
    pretrained, linear = model.get_weights(), _linear_on(model)
    found: list[list[np.ndarray]] = [[], []]
    for _, held_out in folds:
        hidden = labels.copy()
        hidden[rows[held_out]] = missing
        part = replace(data, train=Split(data.train.x, hidden))
        held = Split(data.train.x[rows[held_out]], labels[rows[held_out]])
        _solve(linear, part, balanced, members)
        trial.set_weights(pretrained)
        trial.share_denoiser()
        finetune(trial, part)
        for errors, each in zip(found, (linear, trial), strict=True):
            errors.append(_errors(each, held, labels, balanced))
    by = f"{len(folds)} folds of" if len(folds) > 1 else "a fifth of"
    linear_errors, finetune_errors = map(np.concatenate, found)
    return _choice(f"{by} {len(rows):,} labelled rows", linear_errors, finetune_errors)


def _errors(model: Any, rows: Split, labels: np.ndarray, balanced: bool) -> np.ndarray:
    """Returns for each row whether it is put into a wrong class, or the squared error."""
    outputs = model.predict(rows.x, batch_size=BATCH_SIZE, verbose=0)
    y = np.asarray(rows.y)
    if model.num_classes is None:
        return (outputs.reshape(len(y), -1)[:, 0].astype("float64") - y) ** 2
    wrong = (outputs.argmax(axis=1) != y).astype("float64")
    return wrong * balanced_weights(labels, y) if balanced else wrong


def _choice(by: str, linear: np.ndarray, finetune: np.ndarray) -> dict[str, Any]:
    # Every worker goes the same way.
    is_linear = np.array([better_head(linear, finetune) == "linear"], np.int32)
    chosen = "linear" if backend.from_chief(is_linear)[0] else "finetune"
    errors = {"linear": float(linear.mean()), "finetune": float(finetune.mean())}
    return {"chosen": chosen, "by": by, "errors": errors}


def describe(record: Mapping[str, Any]) -> str:
    """Returns in a line which head predicts, and why."""
    names = {
        "linear": "linear, on inputs, frozen codes and Fourier features",
        "finetune": "fine-tuned network",
    }
    chosen = names[record["chosen"]]
    if "by" not in record:
        return f"Head: {chosen}"
    if "errors" not in record:
        return f"Head: {chosen} ({record['by']})"
    ours = record["errors"][record["chosen"]]
    other = next(name for name in names if name != record["chosen"])
    theirs = record["errors"][other]
    return (
        f"Head: {chosen} (error {ours:.4g} on {record['by']}; {names[other].split(',')[0]} "
        f"{theirs:.4g})"
    )
