"""The outlier detector: rows that the pretrained stack reconstructs badly."""

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from sklearn.base import OutlierMixin

from keras_sda._validation import check_fraction
from keras_sda.datasets.batches import run_in_batches
from keras_sda.sklearn.docstrings import documented
from keras_sda.sklearn.unsupervised import UNSUPERVISED, UnsupervisedEstimator

_LOSS_REASON = """ Squared error by default,
            whatever the data: cross-entropy takes only values in [0, 1], and outliers may lie
            beyond. With cross-entropy, `scale="unit"` clips them, and `scale=None` refuses them."""


@documented(unsupervised=UNSUPERVISED, loss_reason=_LOSS_REASON)
@dataclass(kw_only=True, eq=False, repr=False)
class SDAOutlierDetector(OutlierMixin, UnsupervisedEstimator):
    """Finds the rows that a stack of pretrained denoising autoencoders reconstructs badly.

    A row's score is its negative reconstruction error, since in scikit-learn high means normal. The
    share `contamination` of the training rows with the lowest scores counts as outliers, and so
    does every new row that scores lower than the rest.

    There is no `partial_fit`, as the threshold is a quantile over all training rows.

    Args:
        {shared}
        {unsupervised}
        contamination: Share, in (0, 0.5], of the training rows to be counted as outliers; 0.1, as
            for `sklearn.covariance.EllipticEnvelope`.

    Attributes:
        threshold_: The reconstruction error above which a row counts as an outlier.
        offset_: Its negative: `decision_function` is `score_samples` minus this.
        model_: The `StackedDenoisingAutoencoder`, which takes rows scaled by `scaling_`.
        scaling_: The `keras_sda.datasets.Scaling` of the features.
        histories_: For each pretrained level a dictionary of losses by epoch.
        history_: The same for the training of all levels together, if there was any.
        n_features_in_: Number of features.
        feature_names_in_: Their names, if `fit` was given a table with names.

    Raises:
        ValueError: If data or parameters are not valid.

    Example:

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 1)) * [1.0, 2.0, 3.0]  # on a line
    >>> detector = SDAOutlierDetector(contamination=0.05, random_state=0).fit(X)
    >>> detector.predict([[1.0, 2.0, 3.0], [1.0, 2.0, -30.0]])
    array([ 1, -1])
    >>> detector.feature_errors([[1.0, 2.0, -30.0]]).argmax()
    np.int64(2)

    Reference:
        Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010.
    """

    reconstruction_loss: Any = "squared_error"
    contamination: float = 0.1

    def fit(self, X, y=None):
        """Trains on all rows and sets the threshold.

        Args:
            X: Array or sparse matrix of shape `(rows, features)`.
            y: Ignored.

        Returns:
            The estimator.
        """
        check_fraction("contamination", self.contamination, "SDAOutlierDetector")
        if not 0 < self.contamination <= 0.5:
            raise ValueError(
                "Argument `contamination` of SDAOutlierDetector must lie in (0, 0.5]. "
                f"Received: contamination={self.contamination!r}"
            )
        rows = self._fit(X)
        scores = -self.model_.reconstruction_error(rows).astype("float64")
        self.offset_ = float(np.quantile(scores, self.contamination))
        self.threshold_ = -self.offset_
        return self

    def score_samples(self, X):
        """Returns each row's negative reconstruction error, shape `(rows,)`: low means strange.

        Args:
            X: Array or sparse matrix of shape `(rows, features)`.
        """
        rows = self._scorable_rows(X, "score_samples")
        return -self.model_.reconstruction_error(rows).astype("float64")

    def decision_function(self, X):
        """Returns `score_samples` shifted so that outliers lie below 0, shape `(rows,)`.

        Args:
            X: Array or sparse matrix of shape `(rows, features)`.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Returns 1 for normal rows and -1 for outliers, shape `(rows,)`.

        Args:
            X: Array or sparse matrix of shape `(rows, features)`.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def feature_errors(self, X):
        """Returns the contribution of each feature to a row's reconstruction error.

        Args:
            X: Array or sparse matrix of shape `(rows, features)`.

        Returns:
            Array of shape `(rows, features)`, float64, whose rows sum to minus `score_samples`. In
            squared units of the scaled features, or in nats.
        """
        rows = self._scorable_rows(X, "feature_errors")
        autoencoder = self.model_.autoencoder

        def errors(batch):
            outputs = autoencoder.preactivation(batch)
            if autoencoder.reconstruction_loss == "squared_error":
                return keras.ops.square(
                    keras.ops.subtract(batch, autoencoder.output_activation(outputs))
                )
            return keras.losses.binary_crossentropy(
                batch[..., None], outputs[..., None], from_logits=True
            )

        return run_in_batches(errors, rows).astype("float64")

    def _choose_scaling(self, X):
        scaling = super()._choose_scaling(X)
        losses = self.reconstruction_loss
        first = losses[0] if isinstance(losses, (list, tuple)) and losses else losses
        # Values beyond the training rows are not clipped, as these are the outliers.
        return replace(scaling, low=None, high=None) if first == "squared_error" else scaling

    def _scorable_rows(self, X, method):
        rows = self._checked_rows(X)
        self.model_.autoencoder.check_bounds(rows, f"SDAOutlierDetector.{method}()")
        return rows
