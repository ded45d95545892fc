"""The outlier detector: rows that a stack of denoising autoencoders rebuilds badly."""

import math
import numbers
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import keras
import numpy as np
from sklearn.base import OutlierMixin, clone
from sklearn.model_selection import KFold

from keras_sda._validation import check_fraction, check_non_negative_int
from keras_sda.datasets.batches import run_in_batches
from keras_sda.datasets.scaling import Scaling
from keras_sda.exporting import export_model
from keras_sda.sklearn.docstrings import documented
from keras_sda.sklearn.outlier_reasons import explain
from keras_sda.sklearn.parameters import Check, check_parameters, one_of, or_word
from keras_sda.sklearn.stacked import StackedEstimator
from keras_sda.sklearn.trimming import best_rebuilt, duration, stages, take

_OWNER = "SDAOutlierDetector"
_ROW_ERRORS = ("absolute_error", "squared_error", "reconstruction_loss")
_CALIBRATIONS = ("auto", "training", "cross")
# With fewer rows a feature than this, rows that were trained on score visibly better than new ones.
_ROWS_PER_FEATURE = 20
_FOLDS = 5

_LOSS_REASON = """ Squared error by default,
            whatever the data: cross-entropy takes only values in [0, 1], and outliers may lie
            beyond. With cross-entropy, `scale="unit"` clips them, and `scale=None` refuses them."""


_NOISE_REASON = """ Gaussian by default: rows are scored without noise, and
            masked rows are further from those than slightly shifted ones."""
_LEVEL_REASON = """; 0.5, half the
            deviation of a scaled feature."""
_SCALE_REASON = """`"robust"` (the default: mean 0, standard deviation 1 of values cut at ten
            robust standard deviations from the median, so that no gross value among the training
            rows decides the scale; new rows are cut likewise, and score high), `"standard"` (mean
            0, standard deviation 1), """
_PRETRAIN_REASON = """ None by
            default, as a single level is trained completely by `epochs`; with several, 30 is usual.
"""


@documented(
    loss_reason=_LOSS_REASON,
    noise_reason=_NOISE_REASON,
    level_reason=_LEVEL_REASON,
    scale_reason=_SCALE_REASON,
    auto_scale="",
    pretrain_reason=_PRETRAIN_REASON.rstrip(),
)
@dataclass(kw_only=True, eq=False, repr=False)
class SDAOutlierDetector(OutlierMixin, StackedEstimator):
    """Finds the rows that a stack of denoising autoencoders rebuilds badly.

    A row's score is its negative reconstruction error, since in scikit-learn high means normal: by
    default the sum of the features' absolute errors, after robust scaling. Training may contain
    outliers: the worst-rebuilt quarter of the rows is left out of most of it. Fit on normal rows
    alone, the same class detects novelties.

    There is no `partial_fit`, as the threshold is a quantile over all training rows.

    Args:
        {shared}
        epochs: Epochs of training all levels together on reconstruction, after pretraining.
            `"auto"`: as many as take 750 updates, between 3 and 30. In a table of more than
            250 batches, an epoch then takes a random sample of so many.
        learning_rate: Learning rate of that training, for an optimizer given by name; twice Adam's
            default, as updates are few.
        trim: Share, in [0, 0.5], of the training rows, those rebuilt worst, that are left out from
            30 % of the epochs on, and chosen anew at 60 % (least trimmed squares); 0 trains on all
            rows.
        row_error: What is summed over the features: `"absolute_error"` (the default, which one
            feature dominates less), `"squared_error"`, or `"reconstruction_loss"`, what
            training minimizes.
        contamination: Share, in (0, 0.5], of the training rows to be counted as outliers; 0.1, as
            for `sklearn.covariance.EllipticEnvelope`. `"auto"` counts those beyond the upper fence
            of a box plot of the errors' logarithms (third quartile plus 1.5 times the distance of
            the quartiles), of which there may be none.
        calibration: Whose errors set the threshold: `"training"`, those of the training rows;
            `"cross"`, those of five-fold cross-fitting, in which each row is scored by a network
            that was not trained on it, so that a share of `contamination` of *new* normal rows is
            flagged; it takes six fits. `"auto"`: the second where there are fewer than 20 rows a
            feature, the first elsewhere, as both agree there.

    Attributes:
        threshold_: The reconstruction error above which a row counts as an outlier.
        offset_: Its negative: `decision_function` is `score_samples` minus this.
        decision_scores_: The reconstruction errors of the training rows: high means strange, as in
            PyOD.
        labels_: 1 for training rows above the threshold, 0 for others, as in PyOD.
        calibration_errors_: The errors that the threshold was chosen by, sorted.
        model_: The `StackedDenoisingAutoencoder`, which takes rows scaled by `scaling_`.
        scaling_: The `keras_sda.datasets.Scaling` of the features.
        {columns_found}
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
    >>> int(detector.feature_errors([[1.0, 2.0, -30.0]]).argmax())
    2

    Reference:
        Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010; Rousseeuw, "Least median of
        squares regression", JASA 79, 1984, for trimming.
    """

    noise: Any = "gaussian"
    own_checks: ClassVar[dict[str, Check]] = {
        "contamination": or_word("auto", check_fraction),
        "trim": check_fraction,
        "epochs": or_word("auto", check_non_negative_int),
        "row_error": one_of(*_ROW_ERRORS),
        "calibration": one_of(*_CALIBRATIONS),
    }

    noise_level: Any = 0.5
    reconstruction_loss: Any = "squared_error"
    scale: str | None = "robust"
    pretrain_epochs: Any = 0
    epochs: Any = "auto"
    learning_rate: float = 2e-3
    trim: float = 0.25
    row_error: str = "absolute_error"
    contamination: Any = 0.1
    calibration: str = "auto"

    def fit(self, X, y=None):
        """Trains on the rows and sets the threshold.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            y: Ignored.

        Returns:
            The estimator.
        """
        self._check_parameters()
        X = self._validated(X)
        self.model_, rows = self._start(X)
        self.history_: dict[str, list[float]] = {}
        self._train_together(rows)
        self._neutral = run_in_batches(keras.ops.convert_to_tensor, rows).mean(axis=0)
        self.decision_scores_ = self._row_errors(rows)
        few = X.shape[0] < _ROWS_PER_FEATURE * X.shape[1]
        crosses = X.shape[0] > 1 and (
            self.calibration == "cross" or (self.calibration == "auto" and few)
        )
        errors = self._cross_fitted(X) if crosses else self.decision_scores_
        self.calibration_errors_ = np.sort(errors)
        self.threshold_ = self._choose_threshold(self.calibration_errors_, crosses)
        self.offset_ = -self.threshold_
        self.labels_ = (self.decision_scores_ > self.threshold_).astype(int)
        return self

    def restored(self, model, threshold, calibration_errors):
        """Makes this detector a fitted one that takes rows as its model does, without training.

        For the detector of a run, whose data are scaled before it sees them. What only training
        rows tell, `decision_scores_`, `labels_` and the histories, it does not have, and `explain`
        puts 0 where a feature is left out.

        Args:
            model: The `StackedDenoisingAutoencoder` of an equal detector.
            threshold: The error above which a row counts as an outlier.
            calibration_errors: The errors that the threshold was chosen by.

        Returns:
            The estimator.
        """
        self.columns_, self.scaling_ = None, Scaling()
        self.model_, self.n_features_in_ = model, math.prod(model.row_shape)
        self.threshold_, self.offset_ = float(threshold), -float(threshold)
        self.calibration_errors_ = np.sort(np.asarray(calibration_errors, "float64"))
        self._neutral = np.zeros(self.n_features_in_, "float32")
        return self

    def score_samples(self, X):
        """Returns each row's negative reconstruction error, shape `(rows,)`: low means strange.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
        """
        return -self._row_errors(self._scorable_rows(X, "score_samples"))

    def decision_function(self, X):
        """Returns `score_samples` shifted so that outliers lie below 0, shape `(rows,)`.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Returns 1 for normal rows and -1 for outliers, shape `(rows,)`.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X):
        """Returns conformal p-values, shape `(rows,)`: low means strange.

        The share of `calibration_errors_` that are at least as large as a row's own error, itself
        counted: for new normal rows uniform in (0, 1], if calibration was by cross-fitting or
        training rows are many. It is no probability of being an outlier, which depends on how many
        there are.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.

        Reference:
            Bates et al., "Testing for outliers with conformal p-values", Annals of Statistics 51,
            2023.
        """
        errors = -self.score_samples(X)
        count = len(self.calibration_errors_)
        above = count - np.searchsorted(self.calibration_errors_, errors)
        return (1 + above) / (1 + count)

    def feature_errors(self, X):
        """Returns the contribution of each feature to a row's reconstruction error.

        Of a frame that went through `columns_`, features are the columns in use.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.

        Returns:
            Array of shape `(rows, features)`, float64, whose rows sum to minus `score_samples`.
        """
        rows = self._scorable_rows(X, "feature_errors")
        errors = run_in_batches(self._errors, rows).astype("float64")
        if self.columns_ is None:
            return errors
        return np.add.reduceat(errors, [group.start for group in self.columns_.groups], axis=1)

    def explain(self, X, features=3):
        """Returns which features make rows strange, and what was expected there, as a frame.

        What is expected of a feature is rebuilt without it: a plain reconstruction has seen the
        value, and copies much of it.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            features: How many features of each row, those that cost most.

        Returns:
            A pandas frame with a line for each row and feature: `row`, `feature`, `value`,
            `expected` (in the units of the feature), `error` (by how much the row's error falls
            with the expected value in place of the found one) and `share` of the row's error.

        Raises:
            ImportError: If pandas is missing.
        """
        return explain(self, X, features)

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Writes the detector for another runtime; it then takes raw rows, or `columns_(frame)`.

        Of the outputs, `score` is `-score_samples`, and `anomaly` is `predict == -1`; the others
        are those of `StackedDenoisingAutoencoder.export`.

        Args:
            filepath: Folder of a SavedModel, or a file that ends in `.onnx` or `.tflite`.
            format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
            **kwargs: `rows` and `tolerance`, as in `Autoencoder.export`.

        Returns:
            The largest difference of each output between the exported model and this one.
        """
        autoencoder = self.model_.autoencoder
        outputs = {
            **autoencoder.outputs_to_export(),
            "serve": self.model_,
            "score": self._summed_errors,
        }
        kwargs = {"scaling": self.scaling_, "threshold": self.threshold_, **kwargs}
        kwargs["counts_clipped"] = False  # as in `score_samples`
        return export_model(self.model_, outputs, filepath, format, **kwargs)

    def _check_parameters(self):
        check_parameters(self)
        if self.contamination != "auto" and not 0 < self.contamination <= 0.5:
            raise ValueError(
                f"Argument `contamination` of {_OWNER} must lie in (0, 0.5], or be 'auto'. "
                f"Received: contamination={self.contamination!r}"
            )
        if self.trim > 0.5:
            raise ValueError(
                f"Argument `trim` of {_OWNER} must lie in [0, 0.5]. Received: trim={self.trim!r}"
            )

    def _pretrain(self, model, rows):
        is_none = isinstance(self.pretrain_epochs, numbers.Integral) and self.pretrain_epochs == 0
        if is_none and not isinstance(self.pretrain_epochs, bool):
            return []
        return super()._pretrain(model, rows)

    def _train_together(self, rows):
        """Trains all levels, from 30 % of the epochs on without the rows rebuilt worst."""
        count = len(rows)
        epochs, most = duration(count, self.batch_size)
        if self.epochs != "auto":
            epochs, most = self.epochs, count
        if not epochs:
            return
        self.model_.compile(self._fresh_optimizer(self.learning_rate))
        draw = np.random.default_rng(self._seed)
        kept = np.arange(count)
        for start, end, chooses in stages(epochs, self.trim > 0, count > most):
            if chooses:
                kept = best_rebuilt(self.model_, rows, self.trim)
            # Each epoch of a long table has rows of its own.
            chosen = draw.permutation(kept)[:most] if count > most else kept
            part = rows if len(chosen) == count else take(rows, np.sort(chosen))
            self._train(part, epochs=end, initial_epoch=start)

    def _cross_fitted(self, X):
        """Returns each row's error by a detector that was not trained on it."""
        errors = np.empty(X.shape[0])
        folds = KFold(min(_FOLDS, X.shape[0]), shuffle=True, random_state=self._seed % 2**32)
        how = {"calibration": "training", "random_state": self._seed}
        if self.columns_ is not None:  # X is what they have made of the rows
            how |= {"columns": None, "scale": None}
        for others, held_out in folds.split(np.empty((X.shape[0], 1))):
            part = clone(self).set_params(**how)
            errors[held_out] = -part.fit(X[others]).score_samples(X[held_out])
        return errors

    def _choose_threshold(self, errors, crosses):
        """Returns the threshold by sorted errors."""
        if self.contamination == "auto":
            low, high = np.quantile(np.log(np.maximum(errors, 1e-12)), [0.25, 0.75])
            return float(np.exp(high + 1.5 * (high - low)))
        if not crosses:
            return -float(np.quantile(-errors, self.contamination))
        # The share of new rows beyond this order statistic is `contamination` on average, at most.
        rank = math.ceil((len(errors) + 1) * (1 - self.contamination))
        return float(errors[min(rank, len(errors)) - 1])

    def _errors(self, batch):
        """Returns each feature's part of the errors of scaled rows, as a tensor."""
        autoencoder = self.model_.autoencoder
        outputs = autoencoder.preactivation(batch)
        is_squared = autoencoder.reconstruction_loss == "squared_error"
        if self.row_error == "reconstruction_loss" and not is_squared:
            return keras.losses.binary_crossentropy(
                batch[..., None], outputs[..., None], from_logits=True
            )
        difference = keras.ops.subtract(batch, autoencoder.output_activation(outputs))
        absolute = self.row_error == "absolute_error"
        return keras.ops.abs(difference) if absolute else keras.ops.square(difference)

    def _summed_errors(self, batch):
        """Returns the error of each scaled row, as a tensor."""
        return keras.ops.sum(self._errors(batch), axis=-1)

    def _row_errors(self, rows):
        return run_in_batches(self._summed_errors, rows).astype("float64")

    def _choose_scaling(self, X):
        scaling = super()._choose_scaling(X)
        losses = self.reconstruction_loss
        first = losses[0] if isinstance(losses, (list, tuple)) and losses else losses
        if self.scale == "robust" or first != "squared_error":
            return scaling
        # Values beyond the training rows are not clipped, as these are the outliers.
        return replace(scaling, low=None, high=None)

    def _scorable_rows(self, X, method):
        rows = self._checked_rows(X)
        self.model_.autoencoder.check_bounds(rows, f"{_OWNER}.{method}()")
        return rows
