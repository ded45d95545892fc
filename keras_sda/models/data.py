"""What data a model takes: declared and checked here, for every model and each of its methods."""

from typing import Any

from keras_sda._validation import (
    check_class_labels,
    check_rows,
    check_same_length,
    check_targets,
    check_weights,
)
from keras_sda.datasets.batches import (
    batches_of,
    inputs_of,
    is_dataset,
    is_endless,
    peek,
    run_in_batches,
    to_numpy,
)
from keras_sda.datasets.given import as_table, is_streamed
from keras_sda.training.fast_fit import FastFit
from keras_sda.training.fit_checks import check_ends
from keras_sda.training.plan import TABLES

_SPARSE = "sparse_categorical_crossentropy"
_CROSSENTROPIES = (
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
)


class TakesData(FastFit):
    """A Keras model that makes arrays of tables and tensors, and refuses rows that do not fit it.

    A subclass sets `input_dim`, or overrides `row_shape` if its rows are images, and `num_classes`
    if it classifies.
    """

    input_dim: Any = None
    num_classes: int | None = None
    # The loss that the latest `compile` was given.
    _given_loss: Any = None

    @property
    def row_shape(self):
        """The shape of one row of data: `(input_dim,)`, or that of an image."""
        return (self.input_dim,)

    def run(self, function: Any, x: Any, owner: str, shape: tuple[int, ...] | None = None) -> Any:
        """Returns a function's outputs for all rows of `x` as an array, once these are checked.

        Args:
            function: Function of a batch of rows that returns a tensor with as many rows.
            x: Rows, as in `fit`.
            owner: The method's name in the error message.
            shape: Expected shape of a row, if it is not the model's own.
        """
        name = f"{type(self).__name__}.{owner}"
        x = as_table(x, name)
        if is_streamed(x) and not is_dataset(x):
            raise ValueError(
                f"{name} needs rows as an array, a table, a tensor or a dataset of batches. "
                f"Received a {type(x).__name__}."
            )
        check_ends(x, None, name)
        self.check_rows(x, owner, shape)
        return run_in_batches(function, x, check=lambda rows: self.check_rows(rows, owner, shape))

    def check_rows(self, x: Any, owner: str, shape: tuple[int, ...] | None = None) -> None:
        """Raises a `ValueError` if `x` is empty, of another shape, or holds NaN or infinity."""
        if not is_streamed(x):
            check_rows(x, f"{type(self).__name__}.{owner}", shape=shape or self.row_shape)
        elif is_dataset(x):
            self.check_rows(to_numpy(inputs_of(self._first_batch(x, owner))), owner, shape)

    def find_bad_batch(self, x: Any, owner: str, error: Exception) -> None:
        """Raises what is wrong with the first unfit batch of a dataset, if it can be read again.

        Args:
            x: The data.
            owner: The method's name in the error message.
            error: What said that something is wrong.
        """
        if not is_dataset(x) or is_endless(x):
            return
        for number, batch in enumerate(batches_of(x), start=1):
            try:
                self.take_data(tables_of(batch), owner)
            except ValueError as reason:
                raise FloatingPointError(f"In batch {number} of the dataset: {reason}") from error

    def take_data(self, arguments: dict[str, Any], owner: str) -> None:
        """Makes arrays of `x`, `y` and `sample_weight`, and checks them; of datasets one batch.

        Where there are weights, but no `y`, the target takes its place, as Keras would drop them.

        Args:
            arguments: The data by these names, which are changed.
            owner: The method's name in the error message.
        """
        name = f"{type(self).__name__}.{owner}"
        x = arguments["x"] = as_table(arguments.get("x"), name)
        if is_streamed(x):
            for label in TABLES[1:]:
                if arguments.get(label) is not None:
                    raise ValueError(
                        f"{name} takes `{label}` from the batches of a dataset, `(x, y)` or `(x, "
                        f"y, sample_weight)`. Received: {label} beside a {type(x).__name__}"
                    )
            if is_dataset(x):
                self.take_data(tables_of(self._first_batch(x, owner)), owner)
            return
        for label in TABLES[1:]:
            if arguments.get(label) is not None:
                arguments[label] = as_table(arguments[label], name, label)
                if is_streamed(arguments[label]):
                    raise ValueError(
                        f"{name} needs `{label}` as an array, a table or a tensor beside an array "
                        f"`x`. Received a {type(arguments[label]).__name__}."
                    )
        weight = arguments.get("sample_weight")
        if weight is not None and arguments.get("y") is None:
            arguments["y"] = self.target(x)
        self.check_data(x, arguments.get("y"), owner)
        if weight is not None:
            check_weights(weight, x, name)

    def _first_batch(self, x, owner):
        batch = peek(x)
        if batch is None:
            raise ValueError(
                f"{type(self).__name__}.{owner} needs at least one batch. Received an empty "
                "dataset."
            )
        return batch

    @property
    def _loss_name(self):
        """The name of the loss that `compile` was given, or `None`."""
        loss = self._given_loss
        name = loss if isinstance(loss, str) else getattr(loss, "name", None)
        return name or getattr(loss, "__name__", None)

    @property
    def target_bounds(self):
        """Between which bounds targets must lie for the compiled loss; `None` for any."""
        if self.num_classes is not None and self._loss_name == _SPARSE:
            return 0, self.num_classes - 1
        return (0, 1) if self._loss_name in _CROSSENTROPIES else None

    def check_data(self, x: Any, y: Any = None, owner: str = "") -> None:
        """Raises a `ValueError` if arrays do not fit the model; see `fit`.

        Args:
            x: Rows.
            y: What outputs are compared with, if it is not `x`.
            owner: The method's name in the error message.
        """
        self.check_rows(x, owner)
        name = f"{type(self).__name__}.{owner}"
        if self.num_classes is not None and y is None:
            remedy = ": use pretrain(x) for rows without" if hasattr(self, "pretrain") else ""
            raise ValueError(f"{name} needs the labels `y` of the rows. Received none{remedy}.")
        if y is None:
            return
        check_same_length(x, y, name)
        if self.num_classes is not None and self._loss_name == _SPARSE:
            check_class_labels(y, self.num_classes, name)
        else:
            check_targets(y, name, self.target_bounds, self._loss_name)


def tables_of(batch: Any) -> dict[str, Any]:
    """Returns `x`, `y` and `sample_weight` of a batch, as Keras reads it, by name."""
    is_listed = isinstance(batch, list) and all(hasattr(part, "shape") for part in batch)
    parts = batch if is_listed or isinstance(batch, tuple) else (batch,)
    return dict(zip(TABLES, parts, strict=False))
