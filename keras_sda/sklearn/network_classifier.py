"""What the classifiers of a network share: labels before training, predictions afterwards."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from keras_sda.datasets.labels import fill_missing, has_label
from keras_sda.sklearn.base import NetworkEstimator
from keras_sda.sklearn.labels import checked_weights, classes_of, weighted_by_class


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    """A classifier around a network that gives the probabilities of the classes."""

    unlabelled: Any
    class_weight: Any

    def predict_proba(self, X):
        """Returns the probabilities of the classes, shape `(rows, classes)`, float64.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
        """
        rows = self._checked_rows(X)
        probabilities = self._outputs(rows)
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X):
        """Returns the logarithms of `predict_proba`.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
        """
        with np.errstate(divide="ignore"):  # A probability may be 0 in float32.
            return np.log(self.predict_proba(X))

    def predict(self, X):
        """Returns the most probable class of each row, shape `(rows,)`.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
        """
        numbers = self.predict_proba(X).argmax(axis=1)
        return self.classes_[numbers]

    def _checked(self, X, y, reset=True):
        """Returns checked rows and labels, and which rows have a label that is not missing."""
        y, missing = fill_missing(y)
        if missing is not None and missing.all():
            y = np.zeros(len(missing))  # rows and parameters are checked all the same
        X, y = self._validated(X, y, reset=reset)
        return X, y, np.ones(len(y), dtype=bool) if missing is None else ~missing

    def _checked_to_fit(self, X, y, sample_weight):
        """Returns checked rows, labels and weights, and which rows have a label; finds `classes_`.

        Rows of weight 0 tell of classes, too.
        """
        owner = type(self).__name__
        X, y, present = self._checked(X, y)
        labelled = present & has_label(y, self.unlabelled)
        weight = checked_weights(sample_weight, X, owner)
        check_classification_targets(y[labelled])
        self.classes_ = classes_of(y[labelled], owner)
        weight = weighted_by_class(weight, self.class_weight, y, labelled, owner)
        return X, y, weight, labelled

    def _targets(self, labels):
        return np.searchsorted(self.classes_, labels).astype("int64")
