"""Rows that estimators are given: arrays, sparse matrices, and frames by the names of columns."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_X_y

from keras_sda.datasets.columns import Columns
from keras_sda.datasets.frames import is_frame, is_plain
from keras_sda.sklearn.rows import validated


class TakesFrames(BaseEstimator):
    """Base of the estimators that take a frame with text, gaps and dates, as well as numbers.

    A subclass has the parameter `columns`. After `_validated`, `columns_` is the map from the frame
    to numbers, or `None` where rows were numbers already.
    """

    columns: Any
    columns_: Columns | None

    def _scale_of_columns(self) -> str | None:
        """Returns how numbers of a frame are scaled; see `Columns.fit`."""
        return "squash"

    def _validated(self, X: Any, *y: Any, reset: bool = True, **options: Any) -> Any:
        """Returns checked rows, and labels if they are given, as scikit-learn's `validate_data`.

        Args:
            X: Array, sparse matrix or frame.
            *y: Labels, if there are any to check.
            reset: Whether to choose the columns by these rows, in `fit`.
            **options: Of `validate_data`, about labels.
        """
        if reset:
            self.columns_ = self._choose_columns(X)
        if self.columns_ is None:
            return validated(self, X, *y, reset=reset, **options)
        rows = self.columns_(X)
        if reset:
            names = [column.name for column in self.columns_.columns]
            self.feature_names_in_ = np.array(names, dtype=object)
            self.n_features_in_ = len(names)
        return check_X_y(rows, *y, estimator=self, **options) if y else check_array(rows)

    def _choose_columns(self, X: Any) -> Columns | None:
        if isinstance(self.columns, Columns):
            return self.columns
        if self.columns is not None and self.columns != "auto":
            raise ValueError(
                f"Argument `columns` of {type(self).__name__} must be 'auto', None or a "
                f"keras_sda.datasets.Columns. Received: columns={self.columns!r}"
            )
        if self.columns is None or not is_frame(X) or is_plain(X):
            return None
        return Columns.fit(X, scale=self._scale_of_columns())
