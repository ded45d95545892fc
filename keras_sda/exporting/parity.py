"""Comparison of the outputs of an export with those of the Keras model."""

import functools
from typing import Any

import numpy as np

from keras_sda.backend import exact_float32
from keras_sda.datasets.batches import run_in_batches
from keras_sda.exporting.formats import Runner
from keras_sda.exporting.graph import ExportGraph

# Largest number of given rows to compare: as real rows are similar, more would show little more.
MAX_ROWS = 1000

# Number of rows drawn if none are given.
DRAWN_ROWS = 32


def rows_to_compare(graph: ExportGraph, rows: Any) -> Any:
    """Returns the first of the given rows, or such as the training rows may have been."""
    return graph.rows.draw(DRAWN_ROWS) if rows is None else graph.rows.first(rows, MAX_ROWS)


def largest_differences(
    graph: ExportGraph, run: Runner, rows: Any, tolerance: float
) -> dict[str, float]:
    """Returns the largest difference of each output between the Keras model and a runtime.

    Args:
        graph: The graph that was written.
        run: Runs it in its own runtime; called with the first row and then with the others, so that
            it must accept any number of rows.
        rows: Rows, or a table, as a user has them.
        tolerance: Scores this close to the threshold may fall on either side of it.

    Returns:
        The differences by name of output: absolute or, for rows with values beyond 1, such as
        scores, relative to the row's largest, as the precision of float32 is. For `anomaly` the
        share of rows judged differently.
    """
    with exact_float32():
        scaled = graph.rows.expected(rows)
        arrays = graph.rows.arrays(rows)
        cuts = (slice(1), slice(1, len(scaled)))
        parts = [
            run({name: array[cut] for name, array in arrays.items()}) for cut in cuts[: len(scaled)]
        ]
        expected = {
            name: run_in_batches(functools.partial(graph.output, name), scaled)
            for name in graph.names
            if name != "anomaly"
        }
    if graph.counts_clipped and "score" in expected:
        expected["score"] = expected["score"] + graph.rows.excess(rows)
    differences = {}
    for name, values in expected.items():
        given = np.concatenate([part[name] for part in parts])
        differences[name] = _difference(values, given)
    if graph.threshold is not None:
        given = np.concatenate([part["anomaly"] for part in parts]).astype(bool)
        score = expected["score"]
        is_clear = np.abs(score - graph.threshold) > tolerance * _size(score)
        differences["anomaly"] = float((is_clear & ((score > graph.threshold) != given)).mean())
    return differences


def _difference(expected, given):
    if given.shape != expected.shape:
        raise ValueError(f"shape {given.shape} instead of {expected.shape}")
    differences = np.abs(expected.astype("float64") - given.astype("float64"))
    sizes = _size(expected).reshape(-1, *[1] * (expected.ndim - 1))
    return float((differences / sizes).max())


def _size(values):
    """Returns each row's largest absolute value, or 1 if that is larger."""
    return np.maximum(np.abs(values.reshape(len(values), -1)).max(axis=1).astype("float64"), 1.0)
