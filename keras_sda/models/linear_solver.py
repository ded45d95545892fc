"""Logistic and ridge regression by scikit-learn, their penalty by cross-validation."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from keras_sda.datasets.folds import make_folds
from keras_sda.datasets.threads import few_threads

# Rows by which the penalty of logistic regression is chosen, at most.
_ROWS_TO_CHOOSE = 2_000
_STRENGTHS = np.logspace(-3, 3, 7)
_PENALTIES = np.logspace(-3, 3, 13)
# Few rows and a weak penalty are not settled by scikit-learn's own tolerance.
_TOLERANCE = 1e-6
# The logit of a class that no label has.
_NEVER = -1e4


class Solution(NamedTuple):
    """A linear model.

    Attributes:
        coefficients: Shape `(features, outputs)`.
        intercept: Shape `(outputs,)`.
        penalty: The penalty on half the squared coefficients: `alpha` of ridge regression, `1 / C`
            of logistic regression.
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    penalty: float


def solve(
    features: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    num_classes: int | None,
    groups: np.ndarray | None = None,
    penalty: float | None = None,
) -> Solution:
    """Fits a linear model to labelled rows.

    Args:
        features: Shape `(rows, features)`, float64.
        y: Class numbers, or numbers of shape `(rows,)` or `(rows, outputs)`.
        weight: Weights of the rows, or `None` for equal ones.
        num_classes: Number of classes, or `None` for ridge regression.
        groups: Groups of the rows, which no fold tears apart, or `None`.
        penalty: The penalty, or `None` to choose it by cross-validation.
    """
    basis = None
    if len(features) < features.shape[1]:
        # The penalty is the same in any orthonormal basis, and rows span no more than their number.
        left, lengths, basis = np.linalg.svd(features, full_matrices=False)
        features = left * lengths
    with warnings.catch_warnings(), few_threads(features):
        # Steps that end before the last digit is settled.
        warnings.simplefilter("ignore")
        if penalty is None:
            choose = _best_alpha if num_classes is None else _best_strength
            penalty = choose(features, y, weight, groups)
        solver = _ridge if num_classes is None else _logistic
        coefficients, intercept = solver(features, y, weight, penalty)
    if num_classes is not None:
        coefficients, intercept = _of_all(coefficients, intercept, np.unique(y), num_classes)
    coefficients = coefficients if basis is None else coefficients @ basis
    return Solution(coefficients.T, intercept, penalty)


def _ridge(features, y, weight, penalty):
    from sklearn.linear_model import Ridge

    columns = y.reshape(len(y), -1)
    fitted = Ridge(penalty).fit(features, columns, sample_weight=weight)
    shape = (columns.shape[1], -1)
    return fitted.coef_.reshape(shape), np.reshape(fitted.intercept_, shape[:1])


def _best_alpha(features, y, weight, groups):
    from sklearn.linear_model import Ridge, RidgeCV
    from sklearn.model_selection import GridSearchCV

    columns = y.reshape(len(y), -1)
    folds = None if groups is None else make_folds(len(y), None, 0, groups)
    if folds is None:  # each row is left out once, at hardly any cost
        return float(RidgeCV(alphas=_PENALTIES).fit(features, columns, weight).alpha_)
    search = GridSearchCV(
        Ridge(),
        {"alpha": _PENALTIES},
        scoring="neg_mean_squared_error",
        cv=folds,
        refit=False,
    )
    search.fit(features, columns, sample_weight=weight)
    return float(search.best_params_["alpha"])


def _logistic(features, y, weight, penalty):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / penalty, max_iter=1000, tol=_TOLERANCE)
    model.fit(features, y, sample_weight=weight)
    return model.coef_, model.intercept_


def _best_strength(features, y, weight, groups):
    """Returns the penalty of least log loss in cross-validation; 1 from too few rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    rows = np.random.default_rng(0).permutation(len(y))[:_ROWS_TO_CHOOSE]
    classes, counts = np.unique(y[rows], return_counts=True)
    rows = np.sort(rows[np.isin(y[rows], classes[counts > 1])])  # one row is not in all folds
    groups = None if groups is None else groups[rows]
    folds = make_folds(len(rows), y[rows], 0, groups) if (counts > 1).sum() > 1 else None
    if folds is None:
        return 1.0
    search = GridSearchCV(
        LogisticRegression(max_iter=300),
        {"C": _STRENGTHS},
        scoring="neg_log_loss",
        cv=folds,
        refit=False,
    )
    search.fit(features[rows], y[rows], sample_weight=None if weight is None else weight[rows])
    return 1 / float(search.best_params_["C"])


def _of_all(coefficients: Any, intercept: Any, found: Any, num_classes: int) -> Any:
    """Returns one line of coefficients for each class, of which labels have only some."""
    if len(coefficients) == 1:  # of two classes, the logit of the second against the first
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercept = np.concatenate([np.zeros_like(intercept), intercept])
    every = np.zeros((num_classes, coefficients.shape[1]))
    every[found] = coefficients
    shift = np.full(num_classes, _NEVER)
    shift[found] = intercept
    return every, shift
