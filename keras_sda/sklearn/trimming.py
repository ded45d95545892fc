"""Training that leaves out the rows rebuilt worst, and ends before outliers are learnt."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_sda.datasets.outside_memory import SparseRows

# By default training takes 750 updates, or 30 epochs if that is less: a long, narrow table would
# otherwise be learnt so well that its outliers are rebuilt too.
_MOST_UPDATES, _MOST_EPOCHS, _FEWEST_EPOCHS = 750, 30, 3
# At which shares of the epochs the rows to leave out are chosen anew.
_TRIMMED_AT = (0.3, 0.6)


def duration(rows: int, batch_size: int) -> tuple[int, int]:
    """Returns the number of epochs by default, and how many rows one of them takes at most.

    Args:
        rows: How many there are.
        batch_size: Rows of a batch.

    Example:

    >>> duration(200, 32), duration(1_000_000, 32)
    ((30, 8000), (3, 8000))
    """
    most = _MOST_UPDATES // _FEWEST_EPOCHS * batch_size
    updates = math.ceil(min(rows, most) / batch_size)
    return int(np.clip(_MOST_UPDATES // updates, _FEWEST_EPOCHS, _MOST_EPOCHS)), most


def stages(epochs: int, trims: bool, apart: bool) -> Iterator[tuple[int, int, bool]]:
    """Yields first epoch and end of each part of training, and whether rows are chosen before it.

    Args:
        epochs: Number of epochs.
        trims: Whether rows are left out.
        apart: Whether each epoch is a part of its own.
    """
    cuts = {round(share * epochs) for share in _TRIMMED_AT} - {0} if trims else set()
    ends = range(epochs + 1) if apart else sorted({0, *cuts, epochs})
    for start, end in itertools.pairwise(ends):
        yield start, end, start in cuts


def best_rebuilt(model: Any, rows: Any, trim: float) -> np.ndarray:
    """Returns the numbers of the rows to keep, those with the smallest loss, sorted.

    Args:
        model: A model with `reconstruction_error`.
        rows: Scaled rows.
        trim: Share of them to leave out.
    """
    errors = model.reconstruction_error(rows)
    keep = max(1, len(errors) - int(trim * len(errors)))
    return np.sort(np.argpartition(errors, keep - 1)[:keep])


def take(rows: Any, numbers: np.ndarray) -> Any:
    """Returns some of the rows, sparse ones without making them dense."""
    if isinstance(rows, SparseRows):
        return SparseRows(rows.x[numbers], rows.function)
    return rows[numbers]
