"""The regressor: pretrained on all rows, fine-tuned on those with a target."""

from dataclasses import dataclass

import keras
import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array, check_consistent_length

from keras_sda._validation import check_choice
from keras_sda.datasets.labels import is_missing
from keras_sda.sklearn.docstrings import documented
from keras_sda.sklearn.labels import checked_weights
from keras_sda.sklearn.supervised import SUPERVISED, SupervisedEstimator


@documented(supervised=SUPERVISED)
@dataclass(kw_only=True, eq=False, repr=False)
class SDARegressor(RegressorMixin, SupervisedEstimator):
    """A regressor whose layers are pretrained as denoising autoencoders, without targets.

    `fit` pretrains on every row and then trains the whole network, with a linear output and squared
    error. Targets, one or several, are standardised internally, so that any unit will do. Rows
    without a target (NaN, None or `pd.NA`) take part in pretraining only.

    `sample_weight` weights the rows in supervised training relative to each other. Weight 0 is the
    same as no target: such a row still takes part in pretraining, which weights all rows equally.

    `partial_fit` chooses the scaling and pretrains in its first call, on the rows of that call, and
    trains for one supervised epoch in each call.

    Args:
        {shared}
        {supervised}
        unlabelled: With `"nan"`, a row whose target (or one of them) is missing has none; `None`
            refuses missing targets, where they would be a mistake.

    Attributes:
        head_: What predicts: `"finetune"` or `"linear"`.
        model_: The `StackedDenoisingAutoencoder`, or of the linear head the `LinearOnCodes`, which
            takes rows scaled by `scaling_` and predicts standardised targets.
        scaling_: The `keras_sda.datasets.Scaling` of the features.
        {columns_found}
        target_mean_: The mean that was subtracted from each target in training.
        target_scale_: The scale by which each target was then divided.
        histories_: For each pretrained level a dictionary of losses by epoch.
        history_: The same for supervised training, on standardised targets.
        n_features_in_: Number of features.
        feature_names_in_: Their names, if `fit` was given a table with names.

    Raises:
        ValueError: If data or parameters are not valid, or no row has a target.

    Example:

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> y = 100 + X[:, 0] - X[:, 1]
    >>> few = np.where(np.arange(200) < 50, y, np.nan)
    >>> regressor = SDARegressor(hidden_units=(16,), random_state=0)
    >>> regressor.fit(X, few).predict(X).shape
    (200,)

    Reference:
        Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010.
    """

    unlabelled: str | None = "nan"

    _loss = "mean_squared_error"

    def fit(self, X, y, sample_weight=None):
        """Pretrains on all rows, then trains on those with a target.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            y: Targets of shape `(rows,)` or `(rows, targets)`.
            sample_weight: Weights of shape `(rows,)` for supervised training.

        Returns:
            The estimator.
        """
        X, y, weight, labelled = self._check(X, y, sample_weight, "fit")
        self._fit_targets(y[labelled])
        self._check_split(y, labelled)
        self._begin(X)
        self._learn(X, y, weight, labelled)
        return self

    def partial_fit(self, X, y, sample_weight=None):
        """Pretrains in the first call; trains for one supervised epoch in each call.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            y: Targets of shape `(rows,)` or `(rows, targets)`.
            sample_weight: Weights of shape `(rows,)` for supervised training.

        Returns:
            The estimator.
        """
        self._check_trains_by_epochs()
        is_first = not hasattr(self, "model_")
        X, y, weight, labelled = self._check(X, y, sample_weight, "partial_fit", is_first)
        if is_first:
            self._fit_targets(y[labelled])
            self._begin(X)
        elif y.shape[1:] != self._target_shape:
            raise ValueError(
                "SDARegressor.partial_fit() takes targets of the same shape in each call, here "
                f"(rows{''.join(f', {width}' for width in self._target_shape)}). "
                f"Received shape {y.shape}."
            )
        if labelled.any():
            self._finetune(X, y, weight, labelled, epochs=1)
        return self

    def predict(self, X):
        """Returns the prediction for each row, of the shape of the targets, float64.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
        """
        rows = self._checked_rows(X)
        outputs = self._outputs(rows)
        return (outputs * self.target_scale_ + self.target_mean_).reshape(-1, *self._target_shape)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _check(self, X, y, sample_weight, method, reset=True):
        """Returns checked rows, targets and weights, and which rows have a target to train on."""
        self._check_parameters()
        check_choice("unlabelled", self.unlabelled, (None, "nan"), "SDARegressor")
        if self.unlabelled is None or y is None:
            X, y = self._validated(X, y, y_numeric=True, multi_output=True, reset=reset)
            y = y.astype("float64")
        else:
            X = self._validated(X, reset=reset)
            y = check_array(
                _with_nan(y),
                ensure_2d=False,
                dtype="float64",
                ensure_all_finite="allow-nan",
                input_name="y",
            )
            check_consistent_length(X, y)
        weight = checked_weights(sample_weight, X, "SDARegressor")
        labelled = ~np.isnan(y).reshape(len(y), -1).any(axis=1) & (weight > 0)
        if reset and not labelled.any():
            raise ValueError(
                f"SDARegressor.{method}() needs at least one row with both a target and a weight "
                "above 0. Received none."
            )
        return X, y, weight, labelled

    def _fit_targets(self, targets):
        self._target_shape = targets.shape[1:]
        columns = targets.reshape(len(targets), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, deviation = columns.mean(axis=0), columns.std(axis=0)
        if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
            raise ValueError(
                "SDARegressor.fit() needs targets whose variance is a finite number. Received "
                f"targets from {columns.min():.3g} to {columns.max():.3g}: give them in another "
                "unit."
            )
        self.target_mean_ = mean
        varies = columns.max(axis=0) > columns.min(axis=0)
        self.target_scale_ = np.where(varies, deviation, 1.0)

    def _head(self):
        # Zeros, as in the classifier: the first steps depend on the data, not on chance.
        units = len(self.target_mean_)
        return {"head": keras.layers.Dense(units, kernel_initializer="zeros", name="head")}

    def _targets(self, labels):
        columns = labels.reshape(len(labels), -1)
        return ((columns - self.target_mean_) / self.target_scale_).astype("float32")

    def _strata(self, labels):
        return None


def _with_nan(targets):
    """Returns targets with NaN for whatever else is missing, which scikit-learn would refuse."""
    array = np.asarray(targets)
    if array.dtype.kind != "O":
        return targets
    missing = is_missing(array)
    return np.where(missing, np.nan, array) if missing.any() else targets
