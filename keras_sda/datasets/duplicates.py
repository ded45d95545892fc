"""Rows that are in two parts of the data, which flatters what is measured on one of them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_sda.datasets.catalog import Data

_CHUNK_ROWS = 4096
_WORDS = {"valid": "validation rows", "test": "test rows", "given": "rows"}


def count_duplicates(data: Data) -> dict[str, dict[str, int]]:
    """Returns of how many validation and test rows the inputs are those of a training row.

    Rows are compared by a hash of 64 bits, whatever their labels.

    Args:
        data: What `load` has returned.

    Returns:
        For each part its number of rows, and how many of them are also training rows.

    Example:

    >>> from keras_sda import datasets
    >>> count_duplicates(datasets.load("digits"))
    {'valid': {'rows': 180, 'in_training': 0}, 'test': {'rows': 360, 'in_training': 0}}
    """
    return count_among(data.train.x, {name: part.x for name, part in data.held_out.items()})


def count_among(train: Any, parts: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Returns of how many rows of each part the inputs are those of a training row.

    Args:
        train: Inputs of the training rows.
        parts: Inputs of the other rows.

    Example:

    >>> count_among(np.eye(3), {"test": np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])})
    {'test': {'rows': 2, 'in_training': 1}}
    """
    hashes = {
        name: np.concatenate([np.zeros(0, np.int64), *_hashes(x)]) for name, x in parts.items()
    }
    # Training rows may be many, and are only looked at.
    wanted = np.unique(np.concatenate([np.zeros(0, np.int64), *hashes.values()]))
    shared = np.zeros(len(wanted), bool)
    for own in _hashes(train) if len(wanted) else ():
        places = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
        shared[places[wanted[places] == own]] = True
    return {
        name: {"rows": len(own), "in_training": int(shared[np.searchsorted(wanted, own)].sum())}
        for name, own in hashes.items()
    }


def _hashes(x: Any) -> Iterator[np.ndarray]:
    """Yields the hashes of the rows, some rows at a time."""
    for start in range(0, len(x), _CHUNK_ROWS):
        rows = x[start : start + _CHUNK_ROWS] + 0  # of -0.0, 0.0
        yield np.array([hash(row.tobytes()) for row in rows], np.int64)


def describe_duplicates(found: dict[str, dict[str, int]]) -> str:
    """Returns a sentence on rows that are in two parts, or no text if there are none.

    >>> describe_duplicates({"test": {"rows": 262, "in_training": 12}})
    '12 of 262 test rows are also training rows, input by input: ...'
    """
    told = [
        f"{count['in_training']:,} of {count['rows']:,} {_WORDS[part]}"
        for part, count in found.items()
        if count["in_training"]
    ]
    if not told:
        return ""
    return (
        f"{' and '.join(told)} are also training rows, input by input: where these are copies, and "
        "not cases that happen to be alike, the figures flatter; remove them, or keep them "
        "together by --groups."
    )
