"""Base of classifier and regressor: fine-tuning on the rows that have a label."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from sklearn.model_selection import train_test_split

from keras_sda import backend
from keras_sda.datasets.batches import run_in_batches
from keras_sda.datasets.folds import folds_to_compare_by
from keras_sda.models.linear_on_codes import ROWS_TO_LOOK_AT, LinearOnCodes, better_head
from keras_sda.models.stacked_denoising import StackedDenoisingAutoencoder
from keras_sda.sklearn.labels import relative_weights
from keras_sda.sklearn.parameters import check_parameters
from keras_sda.sklearn.rows import scaled_rows
from keras_sda.sklearn.stacked import StackedEstimator

SUPERVISED = """\
head: What predicts: `"finetune"`, the whole network, trained on the labelled rows; `"linear"`,
            logistic or ridge regression on the inputs, the codes of all levels, which stay as
            pretraining left them, and random Fourier features of both (a `LinearOnCodes`), its
            penalty chosen by cross-validation: on
            tables with up to a few hundred labels mostly the better one; `"auto"`, the linear one
            unless the network errs clearly less, by two standard errors, on labelled rows that are
            held out: five folds of up to 1,000, which takes five more trainings, or a fifth of
            more, which takes one. `None`: `"auto"` for a frame
            with text, gaps or dates, see `columns`; else, and in `partial_fit`, `"finetune"`.
        epochs: Epochs of supervised training on the labelled rows: many, as labelled rows are few
            and an epoch costs little.
        learning_rate: Learning rate of supervised training, for an optimizer given by name; Adam's
            default.
        batch_normalization: Whether supervised training normalises the inputs of each level's
            activation, as in `StackedDenoisingAutoencoder`. Off by default: with ReLU units it is
            worth trying on hundreds of labels, as on the digits, but on a few dozen rows of four
            features, as in iris, it errs more.
        dropout: Dropout rate of the codes of each level in supervised training; 0, as in
            `StackedDenoisingAutoencoder`.
        finetune_noise_level: Level of the first level's noise on the input in supervised training;
            0, as in `StackedDenoisingAutoencoder`.
        early_stopping: Whether to hold out labelled rows and to stop once the loss on them no
            longer improves, restoring the best weights. Off by default, as a few labels are better
            used for training.
        validation_fraction: Share, in (0, 1), of the labelled rows to hold out; they still take
            part in pretraining.
        patience: Epochs without improvement after which training stops.
        {memory}"""


@dataclass(kw_only=True, eq=False, repr=False)
class SupervisedEstimator(StackedEstimator):
    """Pretrains on all rows and fine-tunes on those with a label.

    A subclass provides the head, the loss, and the encoding of the labels.
    """

    head: str | None = None
    epochs: int = 100
    learning_rate: float = 1e-3
    batch_normalization: bool = False
    dropout: float = 0.0
    finetune_noise_level: float = 0.0
    early_stopping: bool = False
    validation_fraction: float = 0.1
    patience: int = 10
    memory: Any = None

    _loss = ""

    def _head(self) -> dict[str, Any]:
        """Returns the model's arguments for its head."""
        raise NotImplementedError

    def _targets(self, labels: np.ndarray) -> np.ndarray:
        """Returns labels in the form in which the head predicts them."""
        raise NotImplementedError

    def _strata(self, labels: np.ndarray) -> np.ndarray | None:
        """Returns the groups by which held-out rows are stratified, or `None`."""
        raise NotImplementedError

    def _check_parameters(self):
        check_parameters(self)

    def _check_split(self, y, labelled):
        """Raises a `ValueError` if rows cannot be held out for early stopping, before training."""
        if not self.early_stopping or self.head == "linear":
            return
        try:
            self._held_out(y, np.flatnonzero(labelled), seed=0)
        except ValueError as error:
            raise ValueError(
                f"{type(self).__name__}.fit() cannot hold out the share "
                f"validation_fraction={self.validation_fraction!r} of {int(labelled.sum())} "
                f"labelled rows for early stopping ({error}): change it, or use "
                "early_stopping=False."
            ) from error

    def _held_out(self, y, numbers, seed):
        """Returns the numbers of the rows to train on and of those to hold out."""
        return train_test_split(
            numbers,
            test_size=self.validation_fraction,
            random_state=seed,
            stratify=self._strata(y[numbers]),
        )

    def _begin(self, X):
        """Builds, pretrains and compiles the model, once the labels are known."""
        names = ("batch_normalization", "dropout", "finetune_noise_level")
        head = {name: getattr(self, name) for name in names}
        model, _ = self._start(X, **head, **self._head())
        model.compile(self._fresh_optimizer(self.learning_rate), self._loss)
        self.model_ = model
        self.history_: dict[str, list[float]] = {}

    def _learn(self, X, y, weight, labelled):
        """Learns from the labelled rows with the head that is asked for."""
        self.head_ = self.head
        if self.head is None:
            self.head_ = "finetune" if self.columns_ is None else "auto"
        if self.head_ != "finetune":
            linear = self._linear_model()
            members = self._solve(linear, X, y, weight, np.flatnonzero(labelled))
        if self.head_ == "auto":
            self.head_ = self._better_head(X, y, weight, labelled, members)
        if self.head_ == "linear":
            self.model_ = linear
            # A file of the model has an optimizer's state, of one that never took a step, too.
            linear.compile(self._fresh_optimizer(self.learning_rate), self._loss)
            linear.optimizer.build(linear.trainable_variables)
        else:
            self._finetune(X, y, weight, labelled, self.epochs, self.early_stopping)

    def _linear_model(self):
        """Returns the linear model on the codes of the network, as pretraining has left it."""
        with backend.anonymous_variables():
            return LinearOnCodes(self.model_, **self._head(), seed=self._seed)

    def _solve(self, linear, X, y, weight, numbers, members=None):
        """Takes the linear layer from labelled rows, and what standardises from all rows."""
        rows, targets, weights = self._tables(X, y, weight, numbers)
        all_rows = scaled_rows(X[:ROWS_TO_LOOK_AT], self.scaling_)
        return linear.solve(rows, targets, weights, all_rows, members=members)

    def _better_head(self, X, y, weight, labelled, members):
        """Returns the better head on labelled rows that are held out."""
        numbers, classes = np.flatnonzero(labelled), self._strata(y[labelled])
        folds = folds_to_compare_by(len(numbers), classes, self._seed)
        if not folds:
            return "linear"  # nothing can be held out of so few
        model, linear = self.model_, self._linear_model()
        with backend.anonymous_variables():
            # A model of its own, so that nothing of the trials is left behind.
            self.model_ = StackedDenoisingAutoencoder.from_config(model.get_config())
        errors: dict[str, list[np.ndarray]] = {"linear": [], "finetune": []}
        for training, held_out in folds:
            training, held_out = numbers[training], numbers[held_out]
            rows, targets, _ = self._tables(X, y, weight, held_out)
            self._solve(linear, X, y, weight, training, members)
            self.model_.set_weights(model.get_weights())
            self.model_.share_denoiser()
            self.model_.compile(self._fresh_optimizer(self.learning_rate), self._loss)
            chosen = np.isin(np.arange(len(y)), training)
            self._finetune(X, y, weight, chosen, self.epochs, self.early_stopping)
            for name, each in (("linear", linear), ("finetune", self.model_)):
                errors[name].append(weight[held_out] * _errors(each, rows, targets))
        self.model_, self.history_ = model, {}
        return better_head(*map(np.concatenate, errors.values()))

    def _finetune(self, X, y, weight, labelled, epochs, early_stopping=False):
        """Trains the whole network on the labelled rows."""
        numbers = np.flatnonzero(labelled)
        options: dict[str, Any] = {}
        if early_stopping:
            numbers, held_out = self._held_out(y, numbers, self._seed)
            options["validation_data"] = self._tables(X, y, weight, held_out)
            options["callbacks"] = [
                keras.callbacks.EarlyStopping(
                    "val_loss", patience=self.patience, restore_best_weights=True
                )
            ]
        rows, targets, row_weights = self._tables(X, y, weight, numbers)
        self._train(rows, targets, sample_weight=row_weights, epochs=epochs, **options)

    def _tables(self, X, y, weight, numbers):
        """Returns rows, targets, and weights of mean 1 (`None` if all are equal), for `fit`."""
        rows, weight = scaled_rows(X[numbers], self.scaling_), relative_weights(weight[numbers])
        return rows, self._targets(y[numbers]), weight

    def _check_trains_by_epochs(self):
        """Raises a `ValueError` if `partial_fit` cannot do what the parameters ask for."""
        if self.head in ("linear", "auto"):
            raise ValueError(
                f"{type(self).__name__}.partial_fit() trains the whole network for an epoch per "
                f"call. Received: head={self.head!r}; use fit(), or head='finetune'."
            )
        if self.early_stopping:
            raise ValueError(
                f"{type(self).__name__}.partial_fit() trains one epoch per call, in which "
                "early_stopping=True has nothing to stop: use fit(), or early_stopping=False."
            )


def _errors(model, rows, targets):
    """Returns for each row whether it is classified wrong, or the mean squared error."""
    outputs = run_in_batches(model, rows).astype("float64")
    if targets.ndim == 1:
        return (outputs.argmax(axis=1) != targets).astype("float64")
    return ((outputs - targets) ** 2).mean(axis=1)
