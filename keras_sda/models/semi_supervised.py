"""Classifiers that train on rows with and without labels at once."""

from typing import Any

import numpy as np

from keras_sda._validation import check_same_length
from keras_sda.datasets.batches import is_dataset
from keras_sda.datasets.labels import UNLABELLED
from keras_sda.datasets.random_batches import DrawnByEpoch
from keras_sda.models.classifier import Classifier
from keras_sda.training.hooks import listed
from keras_sda.training.pairing import (
    LabelledBatches,
    PairBatches,
    PairPlan,
    StreamedPairs,
    labelled_rows,
    split_pairs,
)
from keras_sda.training.plan import TABLES, is_table


class SemiSupervised(Classifier):
    """A classifier whose `fit` takes rows with the label -1 as unlabelled.

    Each step takes rows of any kind and as many labelled ones: in training, `call` gets a pair of
    both. Metrics, `evaluate` and validation leave out rows without a label.
    """

    uses_unlabelled = True
    plan_kind = PairPlan

    def compile(self, optimizer="adam", loss="sparse_categorical_crossentropy", *args, **kwargs):
        """Sets optimizer, loss and metrics by Keras' own `compile`, whose arguments it takes."""
        super().compile(optimizer, loss, *args, **kwargs)

    def train_step(self, *state_and_batch):
        """Trains on a batch by Keras' own step, once its pairs of rows are told apart."""
        *state, batch = state_and_batch
        return super().train_step(*state, split_pairs(batch))

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains on labelled and unlabelled rows by Keras' own `fit`, whose arguments it takes.

        Args:
            x: Array of shape `(rows, input_dim)`, or a dataset of batches `(x, y)`.
            y: Class numbers of shape `(rows,)`; -1 for rows without a label.
            *args: As in `keras.Model.fit`.
            **kwargs: As in `keras.Model.fit`. Of `batch_size` rows and as many labelled ones
                consists a step.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: Before training, if the data do not fit, or fewer than two classes have
                labelled rows.
        """
        if kwargs.get("validation_split") and is_table(x):
            x, y = _split_off(x, y, kwargs)
        held_out = kwargs.get("validation_data")
        if held_out is not None:
            kwargs["validation_data"] = self._with_labels(held_out, "fit(validation_data)")
        batch_size = kwargs.get("batch_size", args[0] if args else None)
        if batch_size == 1:
            raise ValueError(
                f"{type(self).__name__}.fit() normalises by the rows of a batch, so that it needs "
                "at least 2. Received: batch_size=1"
            )
        history = super().fit(x, y, *args, **kwargs)
        self.settle_after(x)
        return history

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Returns loss and metrics of labelled rows by Keras' own `evaluate`.

        Args:
            x: Rows, as in `fit`.
            y: Class numbers; rows with -1 are left out.
            *args: As in `keras.Model.evaluate`.
            **kwargs: As in `keras.Model.evaluate`.
        """
        if not kwargs.get("_use_cached_eval_dataset"):
            weight = kwargs.pop("sample_weight", None)
            data = x if y is None else (x, y, weight)[: 2 + (weight is not None)]
            data = self._with_labels(data, "evaluate()")
            x, y, weight = (*data, None)[:3] if isinstance(data, tuple) else (data, None, None)
            kwargs |= {} if weight is None else {"sample_weight": weight}
        return super().evaluate(x, y, *args, **kwargs)

    def _with_labels(self, data, owner):
        """Returns validation or test data without the rows that have no label."""
        if is_dataset(data):
            data = LabelledBatches(data)
            found = data.num_labelled
        else:
            tables = data if isinstance(data, (tuple, list)) else (data,)
            if not all(map(is_table, tables)) or len(tables) < 2:
                return data
            self.check_data(tables[0], tables[1], owner)
            rows = labelled_rows(tables[1])
            found = len(rows)
            if found < len(tables[1]):
                tables = [table[rows] for table in tables]
            data = tuple(tables)
        if not found:
            raise ValueError(
                f"{type(self).__name__}.{owner} measures on labelled rows. Received none: every "
                f"label is {UNLABELLED}, which stands for rows without one."
            )
        return data

    def check_data(self, x: Any, y: Any = None, owner: str = "") -> None:
        """Raises a `ValueError` if the data do not fit the model; see `fit`."""
        if not isinstance(y, np.ndarray):
            super().check_data(x, y, owner)
            return
        check_same_length(x, y, f"{type(self).__name__}.{owner}")
        super().check_data(x, np.where(y == UNLABELLED, 0, y), owner)
        if owner == "fit()":
            _check_two_classes(y, f"{type(self).__name__}.fit()")
            self.settle_before(x)

    def feed_keras(self, arguments, tables, batch_size):
        """Has Keras' own `fit` take pairs of rows."""
        x, y, _ = tables
        if is_dataset(x):
            pairs: Any = StreamedPairs(x)
            _check_two_classes(pairs.labels, f"{type(self).__name__}.fit()")
            self.settle_before(x)
        elif is_table(x) and is_table(y):
            pairs = PairBatches(tables, batch_size, bool(arguments.get("shuffle", True)))
        else:
            return
        for name in (*TABLES, "batch_size"):
            arguments.pop(name, None)
        arguments |= {"x": pairs, "shuffle": False}
        arguments["callbacks"] = [*listed(arguments.get("callbacks")), DrawnByEpoch(pairs)]
        self.can_resume_mid_epoch = False

    def settle_before(self, x: Any) -> None:
        """Settles what depends on the rows to train on, before the first step."""

    def settle_after(self, x: Any) -> None:
        """Settles what depends on the rows trained on, after the last step."""


def _split_off(x, y, arguments):
    """Returns the rows to train on, the last share of all rows being moved to those that validate.

    Keras would split what its `fit` is given, which here are pairs of rows.
    """
    count = int(len(x) * (1 - arguments.pop("validation_split")))
    tables = [x, y, arguments.get("sample_weight")]
    last = tuple(table[count:] for table in tables if table is not None)
    arguments.setdefault("validation_data", last)
    if tables[2] is not None:
        arguments["sample_weight"] = tables[2][:count]
    return x[:count], y[:count]


def _check_two_classes(y, owner):
    classes = np.unique(y[labelled_rows(y)])
    if len(classes) < 2:
        found = f"labels of class {classes[0]} alone" if len(classes) else "no label"
        raise ValueError(
            f"{owner} needs labelled rows of at least two classes; {UNLABELLED} stands for "
            f"rows without a label. Received {found}."
        )
