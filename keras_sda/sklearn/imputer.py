"""The imputer: fills the missing cells of a table by a denoising autoencoder."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted

from keras_sda import backend
from keras_sda._validation import check_bool, check_fraction, check_positive_int
from keras_sda.datasets.batches import run_in_batches
from keras_sda.datasets.columns import Columns
from keras_sda.datasets.filling import fills_of, with_columns, with_values
from keras_sda.datasets.frames import (
    is_frame,
    is_missing,
    is_plain,
    read_frame,
    read_values,
    to_numbers,
)
from keras_sda.models.cell_denoiser import CellDenoiser
from keras_sda.sklearn.base import ModelEstimator, plain_list
from keras_sda.sklearn.cells import Cells
from keras_sda.sklearn.docstrings import documented
from keras_sda.sklearn.parameters import Check, check_parameters, checked_later, or_word
from keras_sda.sklearn.rows import validated

_OWNER = "SDAImputer"
_MOST_UPDATES, _MOST_EPOCHS, _FEWEST_EPOCHS = 3000, 150, 3
_INDICATOR = "missingindicator_"


@documented()
@dataclass(kw_only=True, eq=False, repr=False)
class SDAImputer(OneToOneFeatureMixin, TransformerMixin, ModelEstimator):
    """Fills missing cells with what a denoising autoencoder expects there, given the rest of a row.

    `fit` trains on rows from which further cells are removed at random, and learns to rebuild
    these; cells that are missing in the data never count. The network is told which cells it sees.
    `transform` returns observed cells exactly as they are.

    It takes frames of pandas or polars with numbers, text, booleans and dates, and returns frames;
    or arrays of numbers with NaN, and returns arrays. A number is filled with its expected value
    after squashing (`datasets.Columns`), within the training range and three quartile ranges from
    the median; a category with the likeliest one. A column without any value in training stays as
    it is, as do ids, of a frame; give such a column a kind in `kinds` to fill it.

    Cells should be missing at random: whether one is missing may depend on what the row still
    shows, but not on the missing value itself.

    Args:
        hidden_units: Units of each hidden layer. As all defaults here, chosen on cells removed from
            training rows of four tables (`docs/imputation.md`).
        activation: Of the hidden layers.
        removal_rate: Smallest and largest share of the cells of a row that training removes, drawn
            for each row anew; a wide range, so that rows with few and with many gaps are known.
        passes: How often a row goes through the network, each time with what it has filled before.
        dropout: Share, in [0, 1), of the hidden units that training drops; small tables need some.
        kinds: Kinds of columns by name, where the inferred one is not meant, as in
            `datasets.Columns.fit`; a column of an array is called "0", "1", ...
        min_frequency: Share of the rows that a category needs in order to be filled in.
        missing_values: A value that marks a missing cell, besides NaN, `None`, `pd.NA` and blank
            text.
        add_indicator: Whether to append, for each column with gaps in training, one that says
            where the cell was missing, as in `sklearn.impute.SimpleImputer`.
        epochs: Epochs of training. `"auto"`: as many as take 3,000 updates, between 3 and 150, as
            small tables are soon learnt by heart.
        learning_rate: Learning rate at the start, for an optimizer given by name; it falls to 0
            along half a cosine wave.
        batch_size: Rows per update.
        {optimizer}
        {last}

    Attributes:
        columns_: The `keras_sda.datasets.Columns` of the table.
        model_: The network, a Keras model.
        history_: Losses by epoch, in nats a removed cell.
        indicator_features_: Names of the columns with gaps in training.
        n_features_in_: Number of features.
        feature_names_in_: Their names, if `fit` was given a table with names.

    Raises:
        ValueError: If data or parameters are not valid.

    Example:

    >>> import pandas as pd
    >>> people = pd.DataFrame({"height": [1.6, 1.9, None], "sex": ["f", "m", "m"]})
    >>> people = pd.concat([people] * 30, ignore_index=True)
    >>> filled = SDAImputer(random_state=0).fit_transform(people)
    >>> filled["height"].round(1).tolist()[:3]
    [1.6, 1.9, 1.9]

    Reference:
        Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010, for the principle; Gondara
        and Wang, "MIDA: Multiple imputation using denoising autoencoders", PAKDD 2018.
    """

    own_checks: ClassVar[dict[str, Check]] = {
        "epochs": or_word("auto", check_positive_int),
        "removal_rate": checked_later,
        "passes": check_positive_int,
        "kinds": checked_later,
        "min_frequency": check_fraction,
        "missing_values": checked_later,
        "add_indicator": check_bool,
    }

    hidden_units: Any = (128, 128)
    activation: str = "gelu"
    removal_rate: Any = (0.05, 0.5)
    passes: int = 2
    dropout: float = 0.1
    kinds: Any = None
    min_frequency: float = 0.01
    missing_values: Any = np.nan
    add_indicator: bool = False
    epochs: Any = "auto"
    learning_rate: float = 1e-2
    batch_size: int = 128
    optimizer: Any = "adam"
    random_state: Any = None
    verbose: Any = 0

    def fit(self, X, y=None):
        """Learns from all rows.

        Args:
            X: Frame, or array of numbers of shape `(rows, features)`.
            y: Ignored.

        Returns:
            The estimator.
        """
        self._check_parameters()
        X, table = self._read(X, reset=True)
        self.columns_ = self._fit_columns(table, is_array=isinstance(X, np.ndarray))
        self.indicator_features_ = [c.name for c in self.columns_.used if c.missing > 0]
        self._cells = Cells.fit(self.columns_, table)
        rows = self._cells.rows(table)
        steps = math.ceil(len(rows) / self.batch_size)
        epochs = self.epochs
        if epochs == "auto":
            epochs = int(np.clip(_MOST_UPDATES // steps, _FEWEST_EPOCHS, _MOST_EPOCHS))
        with backend.anonymous_variables():  # A grid search makes many models.
            model = CellDenoiser(
                self._cells.kinds,
                hidden_units=plain_list(self.hidden_units),
                activation=self.activation,
                removal_rate=list(self.removal_rate),
                passes=self.passes,
                dropout=self.dropout,
                seed=self._draw_seed(),
            )
        model.compile(self._fresh_optimizer(self.learning_rate, "cosine", max(1, steps * epochs)))
        self.model_ = model
        self.history_: dict[str, list[float]] = {}
        self._train(rows, epochs=epochs)
        return self

    def transform(self, X):
        """Returns the rows with their gaps filled: a frame or an array, as `X` is.

        Args:
            X: Frame with the columns of training, or array of shape `(rows, features)`.
        """
        check_is_fitted(self)
        X, table = self._read(X, reset=False)
        outputs = run_in_batches(self.model_, self._cells.rows(table))
        fills = fills_of(self.columns_, table, self._cells.rebuilt(outputs))
        gaps = {name: read_values(table[name], name).missing for name in self.indicator_features_}
        if not isinstance(X, np.ndarray):
            gaps = {f"{_INDICATOR}{name}": gap for name, gap in gaps.items()}
            filled = with_values(X, fills)
            return with_columns(filled, gaps) if self.add_indicator else filled
        filled = X.copy()
        for name, (missing, values) in fills.items():
            filled[missing, int(name)] = values
        if not (self.add_indicator and gaps):
            return filled
        return np.hstack([filled, np.stack(list(gaps.values()), axis=1)])

    def get_feature_names_out(self, input_features=None):
        """Returns the names of the columns that `transform` returns.

        Args:
            input_features: Names of the features, where `fit` was given an array.
        """
        names = super().get_feature_names_out(input_features)
        if not self.add_indicator:
            return names
        of_features = dict(zip(self._names, names, strict=True))
        added = [f"{_INDICATOR}{of_features[name]}" for name in self.indicator_features_]
        return np.concatenate([names, np.array(added, object)])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_parameters(self):
        check_parameters(self)

    def _read(self, X, reset):
        """Returns the frame or array as it is, and its columns by name, with gaps as missing."""
        if is_frame(X):
            if reset or is_plain(X):  # scikit-learn's rule for numbers: the same order
                validated(self, X, accept_sparse=False, reset=reset, skip_check_array=True)
            table = read_frame(X, _OWNER)
        else:
            X = validated(
                self,
                X,
                accept_sparse=False,
                reset=reset,
                dtype=FLOAT_DTYPES,
                ensure_all_finite="allow-nan",
            )
            table = {str(place): column for place, column in enumerate(X.T)}
        if reset:
            self._names = list(table)
        if not is_missing(self.missing_values):
            table = {name: _marked(column, self.missing_values) for name, column in table.items()}
        return X, table

    def _fit_columns(self, table, is_array):
        """Returns the map of the table, in which constants are not ids, but filled in, too."""
        kinds = {}
        for name, column in table.items():
            read = read_values(column, f"Column {name!r}")
            distinct = set(read.values[~read.missing].tolist())
            if len(distinct) == 1 or (is_array and distinct != {0.0, 1.0}):
                kinds[name] = "categorical" if to_numbers(read) is None else "numeric"
        kinds |= self.kinds or {}
        return Columns.fit(table, kinds=kinds, min_frequency=self.min_frequency)


def _marked(column, mark):
    """Returns the values of a column with `None` where they equal the mark of the missing."""
    items = column.tolist() if isinstance(column, np.ndarray) else column.to_list()
    return [None if value == mark else value for value in items]
