"""The transformer: codes of the pretrained levels as features."""

import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from keras_sda.datasets.batches import run_in_batches
from keras_sda.sklearn.docstrings import documented
from keras_sda.sklearn.parameters import Check, checked_later
from keras_sda.sklearn.unsupervised import UNSUPERVISED, UnsupervisedEstimator


@documented(unsupervised=UNSUPERVISED)
@dataclass(kw_only=True, eq=False, repr=False)
class SDATransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, UnsupervisedEstimator):
    """Turns features into the codes of a stack of pretrained denoising autoencoders.

    No labels are needed; the codes are the features for the next step of a pipeline.

    `partial_fit` chooses the scaling in its first call and trains further in each call, on the rows
    of that call.

    Args:
        {shared}
        {unsupervised}
        level: Level whose codes `transform` returns: a number from 0; -1 for the last (the default,
            the most abstract codes); or `"all"` for the codes of all levels side by side, the
            lowest first.

    Attributes:
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

    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> transformer = SDATransformer(hidden_units=(8, 3), level="all", random_state=0)
    >>> transformer.fit_transform(X).shape, transformer.get_feature_names_out()[0]
    ((150, 11), 'sdatransformer0')
    >>> transformer.inverse_transform(transformer.transform(X)).shape
    (150, 4)

    Reference:
        Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010.
    """

    own_checks: ClassVar[dict[str, Check]] = {"level": checked_later}  # below

    level: Any = -1

    def fit(self, X, y=None):
        """Trains on all rows.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            y: Ignored.

        Returns:
            The estimator.
        """
        self._fit(X)
        return self

    def partial_fit(self, X, y=None):
        """Trains further on more rows.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            y: Ignored.

        Returns:
            The estimator.
        """
        if not hasattr(self, "model_"):
            return self.fit(X)
        rows = self._checked_rows(X)
        self.histories_ = self._pretrain(self.model_, rows)
        self._train_together(rows)
        return self

    def transform(self, X):
        """Returns the codes, shape `(rows, units)`, float32.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
        """
        rows = self._checked_rows(X)
        if self.level != "all":
            return self.model_.encode(rows, level=self.level)

        def codes_of_all_levels(batch):
            codes = [self.model_.levels[0](batch)]
            for layer in self.model_.levels[1:]:
                codes.append(layer(codes[-1]))
            return keras.ops.concatenate(codes, axis=1)

        return run_in_batches(codes_of_all_levels, rows)

    def inverse_transform(self, X):
        """Returns the reconstruction from codes, in the units of the features.

        Args:
            X: Codes as `transform` returns them, shape `(rows, units)`; of the codes of all levels,
                those of the last are decoded.

        Returns:
            Array of shape `(rows, features)`, float64; if `fit` was given a frame that went
            through `columns_`, a pandas frame.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype="float32", input_name="X")
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"SDATransformer.inverse_transform() expects codes of shape (rows, "
                f"{self._n_features_out}), as transform() returns. Received shape {codes.shape}."
            )
        level = self.level
        if level == "all":
            codes, level = codes[:, -self.model_.hidden_units[-1] :], -1
        return self._unscaled(self.model_.decode(codes, level=level))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self):
        units = self.model_.hidden_units
        return sum(units) if self.level == "all" else units[self.level]

    def _check_parameters(self):
        super()._check_parameters()
        levels = len(self.hidden_units)
        is_number = isinstance(self.level, numbers.Integral) and not isinstance(self.level, bool)
        if self.level != "all" and not (is_number and -levels <= self.level < levels):
            raise ValueError(
                f"Argument `level` of SDATransformer must be 'all' or a number from {-levels} to "
                f"{levels - 1}. Received: level={self.level!r}"
            )
