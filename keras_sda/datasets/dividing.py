"""The rule that divides rows into train, valid and test."""

from math import ceil

import numpy as np

from keras_sda.datasets.files import Source, Split
from keras_sda.datasets.folds import group_folds
from keras_sda.datasets.labels import UNLABELLED, is_labelled

_OWNER = "keras_sda.datasets.load"


def divide(source: Source, split: str, seed: int) -> dict[str, Split]:
    """Returns the parts of a source, those that it does not have drawn from its rows.

    Args:
        source: What a reader has found. Where its rows have groups, none is torn apart.
        split: See `load`.
        seed: Seed of what is drawn, unless the kind of data fixes it.
    """
    parts = dict(source.parts)
    seed = seed if source.seed is None else source.seed
    if split == "tensorflow" and (not source.ordered or "valid" in parts):
        raise ValueError(
            f"Argument `split` of {_OWNER} must be 'tutorial' or 'full' for {source.name}: only "
            "mnist, fashion_mnist, IDX folders and sets of tensorflow-datasets without validation "
            f"rows have a first twelfth to validate on. Received: split={split!r}"
        )
    _check_groups(source, split)
    if "rows" in parts:
        rows = parts.pop("rows")
        if len(rows.x) < 3:
            raise ValueError(
                f"{source.name} needs at least 3 rows to be split into train, valid and test. "
                f"Received {len(rows.x)}: add rows, or name them x_train, x_valid and x_test in "
                "an .npz."
            )
        test = ceil(0.2 * len(rows.x))
        parts["train"], parts["test"] = _draw(rows, test, seed, source.groups_of(rows))
        num_valid = ceil(0.1 * len(rows.x))
    elif "train" not in parts:
        raise ValueError(
            f"{source.name} has no training rows. Received only: {', '.join(sorted(parts))}. Add "
            "x_train, or use keras_sda.datasets.read_rows to read rows for a trained model."
        )
    else:
        num_valid = ceil(len(parts["train"].x) / 6)
    if split == "full":
        if "valid" in parts:
            parts["train"] = _join(parts["train"], parts.pop("valid"))
    elif "valid" not in parts:
        rows = parts["train"]
        parts["train"], parts["valid"] = _validation_rows(source, rows, num_valid, split, seed)
    return parts


def _check_groups(source: Source, split: str) -> None:
    """Refuses groups that are too few to be divided."""
    if source.groups is None:
        return
    drawn = source.parts["rows" if "rows" in source.parts else "train"]
    count = len(np.unique(source.groups[drawn.x]))
    needed = 1 + ("rows" in source.parts) + (split != "full" and "valid" not in source.parts)
    if count < needed:
        raise ValueError(
            f"{source.name} needs at least {needed} groups, to divide rows into {needed} parts "
            f"without tearing one apart. Received {count}: name another column by groups "
            "(--groups), or leave it out."
        )


def _validation_rows(
    source: Source, rows: Split, num_valid: int, split: str, seed: int
) -> tuple[Split, Split]:
    """Returns the rows to train on and the rows to validate on."""
    if len(rows.x) < 2:
        raise ValueError(
            f"{source.name} needs at least 2 training rows, to validate on some. Received "
            f"{len(rows.x)}: add rows, or use split='full'."
        )
    if not source.ordered:
        return _draw(rows, num_valid, seed, source.groups_of(rows))
    if split == "tensorflow":
        num_valid = ceil(len(rows.x) / 12)
        return _take(rows, slice(num_valid, None)), _take(rows, slice(num_valid))
    return _take(rows, slice(-num_valid)), _take(rows, slice(-num_valid, None))


def _draw(rows: Split, count: int, seed: int, groups: np.ndarray | None) -> tuple[Split, Split]:
    """Draws `count` rows at random, by class if there are enough; returns the rest first.

    Of groups, as many are drawn as have about so many rows.
    """
    from sklearn.model_selection import train_test_split

    if groups is not None:
        classes = rows.y if rows.y is not None and rows.y.dtype.kind in "biu" else None
        folds = group_folds(max(2, round(len(rows.x) / count)), classes, groups, seed)
        rest, drawn = min(folds, key=lambda fold: abs(len(fold[1]) - count))
    else:
        rest, drawn = train_test_split(
            np.arange(len(rows.x)),
            test_size=count,
            random_state=seed,
            stratify=_strata(rows.y, min(count, len(rows.x) - count)),
        )
    return _take(rows, rest), _take(rows, drawn)


def _strata(y: np.ndarray | None, fewest: int) -> np.ndarray | None:
    """Returns the groups of which each part gets its share: classes, or rows with a label."""
    if y is None:
        return None
    groups = [y] if y.dtype.kind in "biu" else []
    labelled = is_labelled(y)
    if labelled.any() and not labelled.all():
        groups.append(labelled)
    for strata in groups:
        sizes = np.unique(strata, return_counts=True)[1]
        if sizes.min() >= 2 and fewest >= len(sizes):
            return strata
    return None


def _take(rows: Split, which: np.ndarray | slice) -> Split:
    return Split(rows.x[which], None if rows.y is None else rows.y[which])


def _join(first: Split, second: Split) -> Split:
    y = None
    known = [rows.y for rows in (first, second) if rows.y is not None]
    if known:
        nothing = UNLABELLED if known[0].dtype.kind in "biu" else np.nan
        parts = [np.full(len(x), nothing) if y is None else y for x, y in (first, second)]
        y = np.concatenate(parts).astype(known[0].dtype)
    return Split(np.concatenate([first.x, second.x]), y)
