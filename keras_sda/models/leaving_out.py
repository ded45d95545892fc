"""Which columns make a row strange: each is left out in turn, and rebuilt from the others."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_sda.datasets.batches import run_in_batches

# Inputs computed together: every row is there once for each of its columns.
_INPUTS_AT_ONCE = 2**24


def leave_out_columns(
    reconstruct: Callable,
    error: Callable,
    x: np.ndarray,
    groups: Sequence[tuple[int, int]],
    neutral: np.ndarray,
    rounds: int = 1,
    settle: Callable | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what is expected in each column, given the others, and what the found value costs.

    A plain reconstruction has seen the value that it is to judge, and copies much of it. Here the
    column is set to a neutral value before the row is rebuilt, and what comes out is expected. The
    found value costs by how much the error of the whole row falls with the expected one in its
    place: a strange value spoils the reconstruction of other columns, too.

    Args:
        reconstruct: Function of a batch of rows that rebuilds them.
        error: Function of a batch of rows that returns their errors.
        x: Rows of shape `(rows, inputs)`.
        groups: For each column its first input, and the one after its last.
        neutral: What a column is set to, shape `(inputs,)`.
        rounds: How often it is rebuilt, each time from what came out before.
        settle: What makes values of what is rebuilt, such as one category of probabilities.

    Returns:
        The expected inputs, of the shape of `x`; and the costs, shape `(rows, columns)`, float64.
    """
    expected, costs = np.empty_like(x), np.empty((len(x), len(groups)))
    count = max(1, _INPUTS_AT_ONCE // max(1, x.shape[1] * len(groups)))
    for start in range(0, len(x), count):
        rows = slice(start, start + count)
        expected[rows], costs[rows] = _leave_out(
            reconstruct, error, x[rows], groups, neutral, rounds, settle
        )
    return expected, costs


def _leave_out(reconstruct, error, x, groups, neutral, rounds, settle):
    without = np.repeat(x[None], len(groups), axis=0)
    for copy, (start, stop) in zip(without, groups, strict=True):
        copy[:, start:stop] = neutral[start:stop]
    for _ in range(rounds):
        rebuilt = run_in_batches(reconstruct, without.reshape(-1, x.shape[1]))
        rebuilt = rebuilt.reshape(without.shape)
        for copy, new, (start, stop) in zip(without, rebuilt, groups, strict=True):
            copy[:, start:stop] = new[:, start:stop]
    expected = np.empty_like(x)
    for copy, (start, stop) in zip(without, groups, strict=True):
        expected[:, start:stop] = copy[:, start:stop]
    if settle is not None:
        expected = settle(expected)
        for copy, (start, stop) in zip(without, groups, strict=True):
            copy[:, start:stop] = expected[:, start:stop]
    errors = run_in_batches(error, without.reshape(-1, x.shape[1])).astype("float64")
    found = run_in_batches(error, x).astype("float64")
    return expected, (found - errors.reshape(len(groups), -1)).T
