"""A linear model on the inputs and the codes of a pretrained network, which stays as it is."""

from typing import Any

import numpy as np

from keras_sda.datasets.folds import make_folds

HEADS = ("finetune", "linear", "auto")

# Rows that tell how strong each block of features is.
ROWS_TO_LOOK_AT = 10_000
_STRENGTHS = np.logspace(-3, 3, 7)
_PENALTIES = np.logspace(-3, 3, 13)


class LinearHead:
    """Logistic or ridge regression on the inputs and the codes of all levels of a network.

    With a few dozen or hundred labels it often errs less than fine-tuning, which moves far more
    weights than so few rows can tell. Each block of features, the inputs and each level's codes, is
    centred and divided by one number, so that all blocks vary as much: the penalty, which
    cross-validation on the labelled rows chooses, then falls on all alike.

    Args:
        model: The pretrained `StackedDenoisingAutoencoder`.
        rows: Rows to centre and divide by, with and without a label; `ROWS_TO_LOOK_AT` are enough.
        is_classification: Whether to take logistic regression, or ridge regression.

    Attributes:
        estimator: The fitted model of scikit-learn.
    """

    def __init__(self, model: Any, rows: Any, is_classification: bool):
        self.is_classification = is_classification
        blocks = _blocks(model, rows)
        self.means = [block.mean(axis=0) for block in blocks]
        self.spreads = [
            # A third, so that a feature of many is about as large as one that is standardised.
            max(np.sqrt(((block - mean) ** 2).sum(axis=1).mean()) / 3, 1e-6)
            for block, mean in zip(blocks, self.means, strict=True)
        ]
        self.estimator: Any = None

    def fit(self, model: Any, rows: Any, targets: np.ndarray, weight: np.ndarray | None) -> None:
        """Fits the linear model on labelled rows."""
        features = self._features(model, rows)
        estimator = self._classifier(targets) if self.is_classification else _ridge()
        self.estimator = estimator.fit(features, targets, sample_weight=weight)

    def predict(self, model: Any, rows: Any) -> np.ndarray:
        """Returns probabilities of shape `(rows, classes)`, or predicted targets."""
        features = self._features(model, rows)
        if not self.is_classification:
            # Of a single column of targets, scikit-learn makes an axis less.
            return self.estimator.predict(features).reshape(len(features), -1)
        probabilities = np.zeros((len(features), model.num_classes))
        probabilities[:, self.estimator.classes_] = self.estimator.predict_proba(features)
        return probabilities

    def _classifier(self, targets):
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV

        folds = make_folds(len(targets), targets, seed=0)
        if folds is None:  # a class has one row, and no fold could do without it
            return LogisticRegression(max_iter=500)
        return GridSearchCV(
            LogisticRegression(max_iter=500),
            {"C": _STRENGTHS},
            scoring="neg_log_loss",
            cv=folds,
        )

    def _features(self, model, rows):
        blocks = zip(_blocks(model, rows), self.means, self.spreads, strict=True)
        return np.concatenate([(block - mean) / spread for block, mean, spread in blocks], axis=1)


def _ridge():
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=_PENALTIES)


def _blocks(model, rows):
    """Returns the inputs and the codes of each level, as float64 arrays."""
    inputs = rows[: len(rows)]  # of sparse rows, dense ones
    codes = [model.encode(inputs, level=level) for level in range(len(model.levels))]
    return [block.astype("float64") for block in (inputs, *codes)]
