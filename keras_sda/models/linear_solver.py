"""Logistic and ridge regression by scikit-learn, their penalty by cross-validation."""

import warnings
from typing import Any

import numpy as np

from keras_sda.datasets.folds import make_folds
from keras_sda.datasets.threads import few_threads

# Rows by which the penalty is chosen, at most.
_ROWS_TO_CHOOSE = 2_000
# Weaker ones, which a few dozen rows sometimes choose, would fit them exactly and miss all others.
_PENALTIES = np.logspace(-1, 3, 9)
_LOGISTIC_PENALTIES = np.logspace(-3, 3, 7)
# Few rows and a weak penalty are not settled by scikit-learn's own tolerance.
_TOLERANCE = 1e-6
# The logit of a class that no label has.
_NEVER = -1e4


def solve(
    features: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    num_classes: int | None,
    penalty: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Fits a linear model to labelled rows.

    Args:
        features: Shape `(rows, features)`, float64.
        y: Class numbers, or numbers of shape `(rows,)` or `(rows, outputs)`.
        weight: Weights of the rows, or `None` for equal ones.
        num_classes: Number of classes, or `None` for ridge regression.
        penalty: The penalty on half the squared coefficients: `alpha` of ridge regression, `1 / C`
            of logistic regression.

    Returns:
        The coefficients, shape `(features, outputs)`, and the intercept, shape `(outputs,)`.
    """
    features, basis = _shortened(features)
    with warnings.catch_warnings(), few_threads(features):
        # Steps that end before the last digit is settled.
        warnings.simplefilter("ignore")
        solver = _ridge if num_classes is None else _logistic
        coefficients, intercept = solver(features, y, weight, penalty)
    if num_classes is not None:
        coefficients, intercept = _of_all(coefficients, intercept, np.unique(y), num_classes)
    coefficients = coefficients if basis is None else coefficients @ basis
    return coefficients.T, intercept


def choose_penalty(
    features: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    num_classes: int | None,
    groups: np.ndarray | None,
) -> float:
    """Returns the penalty of least loss in cross-validation on at most 2,000 rows.

    From too few rows it is 1.

    Args:
        features: As for `solve`, as all others.
        y: Class numbers, or numbers.
        weight: Weights of the rows.
        num_classes: Number of classes.
        groups: Groups of the rows, which no fold tears apart, or `None`.
    """
    rows = np.random.default_rng(0).permutation(len(y))[:_ROWS_TO_CHOOSE]
    if num_classes is not None:
        classes, counts = np.unique(y[rows], return_counts=True)
        rows = rows[np.isin(y[rows], classes[counts > 1])]  # one row is not in all folds
        if (counts > 1).sum() < 2:
            return 1.0
    rows = np.sort(rows)
    y, groups = y[rows], None if groups is None else groups[rows]
    weight = None if weight is None else weight[rows]
    folds = make_folds(len(rows), None if num_classes is None else y, 0, groups)
    if folds is None:
        return 1.0
    features, _ = _shortened(features[rows])
    with warnings.catch_warnings(), few_threads(features):
        warnings.simplefilter("ignore")
        if num_classes is None:
            return _best_alpha(features, y.reshape(len(y), -1), weight, folds, groups)
        return _best_strength(features, y, weight, folds)


def _shortened(features: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns fewer rows than features in the basis that they span, and that basis.

    The penalty is the same in any orthonormal basis.
    """
    if len(features) >= features.shape[1]:
        return features, None
    left, lengths, basis = np.linalg.svd(features, full_matrices=False)
    return left * lengths, basis


def _ridge(features, y, weight, penalty):
    from sklearn.linear_model import Ridge

    columns = y.reshape(len(y), -1)
    fitted = Ridge(penalty).fit(features, columns, sample_weight=weight)
    shape = (columns.shape[1], -1)
    return fitted.coef_.reshape(shape), np.reshape(fitted.intercept_, shape[:1])


def _best_alpha(features, y, weight, folds, groups):
    from sklearn.linear_model import Ridge, RidgeCV
    from sklearn.model_selection import GridSearchCV

    if groups is None:  # each row is left out once, at hardly any cost
        search = RidgeCV(alphas=_PENALTIES).fit(features, y, sample_weight=weight)
        return float(search.alpha_)
    search = GridSearchCV(
        Ridge(),
        {"alpha": _PENALTIES},
        scoring="neg_mean_squared_error",
        cv=folds,
        refit=False,
    )
    search.fit(features, y, sample_weight=weight)
    return float(search.best_params_["alpha"])


def _logistic(features, y, weight, penalty):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / penalty, max_iter=1000, tol=_TOLERANCE)
    model.fit(features, y, sample_weight=weight)
    return model.coef_, model.intercept_


def _best_strength(features, y, weight, folds):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(
        LogisticRegression(max_iter=300),
        {"C": 1 / _LOGISTIC_PENALTIES},
        scoring="neg_log_loss",
        cv=folds,
        refit=False,
    )
    search.fit(features, y, sample_weight=weight)
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
