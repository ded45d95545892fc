"""Logistic and ridge regression by scikit-learn, penalties and shares by cross-validation."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_sda.datasets.folds import draw_rows, make_folds
from keras_sda.datasets.threads import few_threads

# Rows by which the penalty is chosen, at most.
_ROWS_TO_CHOOSE = 2_000
# Weaker ones, which a few dozen rows sometimes choose, would fit them exactly and miss all others.
_PENALTIES = np.logspace(-1, 3, 9)
_LOGISTIC_PENALTIES = np.logspace(-3, 3, 7)
# Few rows and a weak penalty are not settled by scikit-learn's own tolerance.
_TOLERANCE = 1e-6
# The least log-likelihood of a row that counts: no single one decides between models.
_LEAST_LOG = -20.0
# The logit of a class that no label has.
_NEVER = -1e4
# Draws of the Bayesian bootstrap, and which part of the log-likelihood counts there: the models of
# the folds share most of their rows, and on validation rows half of it did better than all.
_DRAWS = 1_000
_COUNTED = 0.5
# A model of a smaller share is left out.
_LEAST_SHARE = 0.01


class Member(NamedTuple):
    """A linear model in a mean of several: its penalty, as for `solve`, and its share, or 0."""

    penalty: float
    share: float


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


def choose_members(
    models: Sequence[np.ndarray],
    y: np.ndarray,
    weight: np.ndarray | None,
    num_classes: int | None,
    groups: np.ndarray | None,
) -> tuple[Member, ...]:
    """Returns the penalty of each model and its share in the mean of all, by cross-validation.

    A penalty is the one of least loss in cross-validation on at most 2,000 rows, the same for all
    models: of five folds, or for ridge regression without groups leaving out each row.

    The losses of the rows then tell the shares. Of classifiers, they are the weights of pseudo-BMA+
    (Yao et al. 2018): how probable each model is by the likelihood of rows held out, in the mean
    over draws of a Bayesian bootstrap, without which the luck of a few rows would decide. Of
    regressions, in whose squared errors a few rows weigh most, all have the same share but those
    clearly worse, whose loss is larger than the least by more than twice the standard error of the
    difference. Too few rows to hold any out choose 1, and equal shares.

    Args:
        models: The features of each model, as for `solve`.
        y: Class numbers, or numbers.
        weight: Weights of the rows.
        num_classes: Number of classes.
        groups: Groups of the rows, which no fold tears apart, or `None`.

    Reference:
        Yao et al., "Using stacking to average Bayesian predictive distributions", Bayesian Analysis
        13, 2018.
    """
    rows = draw_rows(len(y), _ROWS_TO_CHOOSE)
    unknown = tuple(Member(1.0, 1 / len(models)) for _ in models)
    if num_classes is not None:
        classes, counts = np.unique(y[rows], return_counts=True)
        rows = rows[np.isin(y[rows], classes[counts > 1])]  # one row is not in all folds
        if (counts > 1).sum() < 2:
            return unknown
    rows = np.sort(rows)
    y, groups = y[rows], None if groups is None else groups[rows]
    weight = None if weight is None else weight[rows]
    folds = make_folds(len(rows), None if num_classes is None else y, 0, groups)
    if folds is None:
        return unknown
    penalties, of_rows = [], []
    for model in models:
        features, _ = _shortened(model[rows])
        with warnings.catch_warnings(), few_threads(features):
            warnings.simplefilter("ignore")
            if num_classes is None:
                columns = y.reshape(len(y), -1)
                penalty, losses = _best_alpha(features, columns, weight, folds, groups)
            else:
                penalty, losses = _best_strength(features, y, weight, folds)
        penalties.append(penalty)
        of_rows.append(losses if weight is None else losses / weight.mean())
    shares = (_not_clearly_worse if num_classes is None else _by_likelihood)(np.array(of_rows))
    return tuple(Member(*each) for each in zip(penalties, shares.tolist(), strict=True))


def _not_clearly_worse(losses: np.ndarray) -> np.ndarray:
    """Returns equal shares of those models that could be the best by their losses of each row."""
    differences = losses - losses[losses.mean(axis=1).argmin()]
    errors = differences.std(axis=1) / np.sqrt(losses.shape[1])
    kept = differences.mean(axis=1) <= 2 * errors
    return kept / kept.sum()


def _by_likelihood(losses: np.ndarray) -> np.ndarray:
    """Returns the shares of models by their negative log-likelihoods of each row."""
    count = losses.shape[1]
    draws = np.random.default_rng(0).dirichlet(np.ones(count), _DRAWS)
    logs = -_COUNTED * count * draws @ losses.T
    likelihoods = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares = (likelihoods / likelihoods.sum(axis=1, keepdims=True)).mean(axis=0)
    shares[shares < _LEAST_SHARE] = 0
    return shares / shares.sum()


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
    """Returns the best penalty, and the squared errors of the rows, held out."""
    from sklearn.linear_model import Ridge, RidgeCV

    if groups is None:  # each row is left out once, at hardly any cost
        search = RidgeCV(alphas=_PENALTIES, store_cv_results=True)
        search.fit(features, y, sample_weight=weight)
        errors = search.cv_results_[..., _PENALTIES.tolist().index(search.alpha_)]
        return float(search.alpha_), errors.reshape(len(y), -1).mean(axis=1)  # weighted

    def losses_of(penalty, learnt, held_out):
        part = None if weight is None else weight[learnt]
        model = Ridge(penalty).fit(features[learnt], y[learnt], sample_weight=part)
        predicted = model.predict(features[held_out]).reshape(y[held_out].shape)
        return ((predicted - y[held_out]) ** 2).mean(axis=1)

    return _best_by_folds(_PENALTIES, losses_of, folds, weight)


def _logistic(features, y, weight, penalty):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / penalty, max_iter=1000, tol=_TOLERANCE)
    model.fit(features, y, sample_weight=weight)
    return model.coef_, model.intercept_


def _best_strength(features, y, weight, folds):
    """Returns the best penalty, and the negative log-likelihoods of the rows, held out."""
    from sklearn.linear_model import LogisticRegression

    classes, numbers = np.unique(y, return_inverse=True)

    def losses_of(penalty, learnt, held_out):
        part = None if weight is None else weight[learnt]
        # No solution is the start of the next one: that would end before a weak penalty shows.
        model = LogisticRegression(C=1 / penalty, max_iter=300)
        model.fit(features[learnt], y[learnt], sample_weight=part)
        logs = np.full((len(held_out), len(classes)), _LEAST_LOG)
        known = np.searchsorted(classes, model.classes_)
        logs[:, known] = model.predict_log_proba(features[held_out])
        of_labels = logs[np.arange(len(held_out)), numbers[held_out]]
        return -np.maximum(of_labels, _LEAST_LOG)

    return _best_by_folds(_LOGISTIC_PENALTIES, losses_of, folds, weight)


def _best_by_folds(penalties, losses_of, folds, weight):
    """Returns the penalty of least mean loss over the folds, and the losses of the rows.

    Args:
        penalties: What to choose from.
        losses_of: Function of a penalty and of the numbers of the rows to learn from and of those
            held out, which returns the losses of the latter.
        folds: Pairs of such numbers.
        weight: Weights of the rows, by which their losses are multiplied, or `None`.
    """
    losses = np.empty((len(penalties), sum(len(held_out) for _, held_out in folds)))
    means = np.empty((len(penalties), len(folds)))
    for place, penalty in enumerate(penalties):
        for number, (learnt, held_out) in enumerate(folds):
            found = losses_of(penalty, learnt, held_out)
            part = None if weight is None else weight[held_out]
            losses[place, held_out], means[place, number] = found, np.average(found, weights=part)
    best = int(means.mean(axis=1).argmin())
    return float(penalties[best]), losses[best] if weight is None else losses[best] * weight


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
