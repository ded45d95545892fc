"""What tests of the estimators share: quick options, and codes worked out by hand."""

import numpy as np

QUICK = {"hidden_units": (6,), "pretrain_epochs": 2, "random_state": 0}


def kernel(estimator):
    return np.asarray(estimator.model_.levels[0].kernel)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def codes_by_hand(estimator, x):
    """The codes of one sigmoid level on standardised features, in float64."""
    layer = estimator.model_.levels[0]
    standardised = (x - x.mean(axis=0)) / x.std(axis=0)
    return sigmoid(standardised @ np.asarray(layer.kernel, "float64") + np.asarray(layer.bias))
