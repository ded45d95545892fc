"""Classifiers that train on rows with and without labels at once."""

from typing import Any

import numpy as np

from keras_sda.datasets.batches import is_dataset
from keras_sda.datasets.given import is_streamed
from keras_sda.datasets.labels import UNLABELLED
from keras_sda.datasets.random_batches import DrawnByEpoch
from keras_sda.models.classifier import Classifier
from keras_sda.models.data import tables_of
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
        return super().fit(x, y, *args, **kwargs)

    def prepare_fit(self, arguments):
        """Checks the data among the arguments of `fit`, and leaves unlabelled rows out of others.

        Args:
            arguments: Those of `fit`, by name, which are changed.
        """
        if arguments.get("batch_size") == 1:
            raise ValueError(
                f"{type(self).__name__}.fit() normalises by the rows of a batch, so that it needs "
                "at least 2. Received: batch_size=1"
            )
        super().prepare_fit(arguments)
        if is_streamed(arguments["x"]) and not is_dataset(arguments["x"]):
            raise ValueError(
                f"{type(self).__name__}.fit() reads its rows several times: pass arrays, a "
                f"tf.data.Dataset or a keras.utils.PyDataset. "
                f"Received a {type(arguments['x']).__name__}."
            )
        if arguments.get("validation_split"):
            _split_off(arguments)
        held_out = arguments.get("validation_data")
        if held_out is not None:
            arguments["validation_data"] = self._with_labels(held_out, "fit(validation_data)")
        if is_dataset(arguments["x"]):
            return
        _check_two_classes(arguments["y"], f"{type(self).__name__}.fit()")
        self.settle_before(arguments["x"])

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Returns loss and metrics of labelled rows by Keras' own `evaluate`.

        Args:
            x: Rows, as in `fit`.
            y: Class numbers; rows with -1 are left out.
            *args: As in `keras.Model.evaluate`.
            **kwargs: As in `keras.Model.evaluate`.
        """
        return super().evaluate(x, y, *args, **kwargs)

    def prepare_evaluate(self, arguments):
        """Checks the data among the arguments of `evaluate`, and leaves unlabelled rows out."""
        super().prepare_evaluate(arguments)
        tables = [arguments.pop(name) for name in TABLES if arguments.get(name) is not None]
        data = tables[0] if len(tables) == 1 else tuple(tables)
        arguments |= tables_of(self._with_labels(data, "evaluate()"))

    def _with_labels(self, data, owner):
        """Returns validation or test data without the rows that have no label."""
        if is_dataset(data):
            data = LabelledBatches(data)
            found = data.num_labelled
        else:
            tables = data if isinstance(data, (tuple, list)) else (data,)
            if not all(map(is_table, tables)) or len(tables) < 2:
                return data
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
        if y is None:
            super().check_data(x, y, owner)
            return
        is_numeric = y.dtype.kind in "biuf"
        super().check_data(x, np.where(y == UNLABELLED, 0, y) if is_numeric else y, owner)

    def feed_keras(self, arguments, tables, batch_size):
        """Has Keras' own `fit` take pairs of rows."""
        x, y, _ = tables
        if is_dataset(x):
            pairs: Any = StreamedPairs(x)
            owner = f"{type(self).__name__}.fit()"
            _check_two_classes(pairs.labels, owner)
            rows, labels = pairs.labelled_rows
            super().check_data(rows, labels, "fit()")
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

    def after_training(self, x):
        """Settles what depends on the rows trained on."""
        self.settle_after(x)

    def settle_after(self, x: Any) -> None:
        """Settles what depends on the rows trained on, after the last step."""


def _split_off(arguments):
    """Moves the last share of all rows to those that validate, unless these are given.

    Keras would split what its `fit` is given, which here are pairs of rows.
    """
    count = int(len(arguments["x"]) * (1 - arguments.pop("validation_split")))
    names = [name for name in TABLES if arguments.get(name) is not None]
    last = tuple(arguments[name][count:] for name in names)
    arguments |= {name: arguments[name][:count] for name in names}
    if arguments.get("validation_data") is None:
        arguments["validation_data"] = last


def _check_two_classes(y, owner):
    classes = np.unique(y[labelled_rows(y)])
    if len(classes) < 2:
        found = f"labels of class {classes[0]} alone" if len(classes) else "no label"
        raise ValueError(
            f"{owner} needs labelled rows of at least two classes; {UNLABELLED} stands for "
            f"rows without a label. Received {found}."
        )
