"""Why rows are strange: which features, and what was expected there."""

import functools
from typing import Any

import numpy as np
from scipy.sparse import issparse

from keras_sda._validation import check_positive_int
from keras_sda.datasets.filling import settled
from keras_sda.models.leaving_out import leave_out_columns

_OWNER = "SDAOutlierDetector.explain()"
# How often a feature that is explained is rebuilt from the others: on rows with one shuffled, the
# second and third time bring what is expected nearer to what was there.
_ROUNDS = 3


def explain(detector: Any, X: Any, features: int) -> Any:
    """Returns which features make rows strange as a frame; see `SDAOutlierDetector.explain`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            f"{_OWNER} returns a pandas frame, and pandas is not installed: "
            'pip install "keras-sda[tables]", or use feature_errors().'
        ) from error
    check_positive_int("features", features, _OWNER)
    rows = np.asarray(detector._scorable_rows(X, "explain")[:])
    expected, costs = _without_each(detector, rows)
    expected = detector._unscaled(expected)
    if detector.columns_ is None:
        values = X.toarray() if issparse(X) else np.asarray(X)
        names = getattr(detector, "feature_names_in_", np.arange(costs.shape[1]))
    else:
        expected = expected.to_numpy(dtype=object)
        names = np.array([column.name for column in detector.columns_.used], dtype=object)
        table = detector.columns_.read(X)
        values = pd.DataFrame({name: list(table[name]) for name in names}).to_numpy(object)
    top = np.argsort(-costs, axis=1, kind="stable")[:, :features]
    row = np.repeat(np.arange(len(costs)), top.shape[1])
    column = top.ravel()
    errors = detector._row_errors(rows)
    return pd.DataFrame(
        {
            "row": row,
            "feature": names[column],
            "value": values[row, column],
            "expected": expected[row, column],
            "error": costs[row, column],
            "share": costs[row, column] / np.maximum(errors[row], 1e-12),
        }
    )


def _without_each(detector, rows):
    """Returns scaled rows as they are expected, each feature without itself, and the costs."""
    if detector.columns_ is None:
        groups = [(place, place + 1) for place in range(rows.shape[1])]
    else:
        groups = [(group.start, group.stop) for group in detector.columns_.groups]
    settle = None if detector.columns_ is None else functools.partial(settled, detector.columns_)
    functions = detector.model_.autoencoder, detector._summed_errors
    return leave_out_columns(*functions, rows, groups, detector._neutral, _ROUNDS, settle)
