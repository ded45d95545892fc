"""The parts of an experiment: its model, its data, and how it is trained."""

import collections.abc
import math
import numbers
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin, get_type_hints

from keras_sda._validation import (
    check_choice,
    check_non_negative_int,
    check_positive,
    check_positive_int,
    shown,
)
from keras_sda.datasets.table_in_file import STORAGES
from keras_sda.training.optimizers import SCHEDULES

_OWNER = "Experiment"
_MOST = 2**31 - 1


@dataclass(frozen=True)
class Model:
    """Which model is trained, and the options of its constructor.

    Args:
        name: Name in the zoo: one of `keras_sda.experiments.names()`.
        options: Arguments of the model's class, but those that follow from the data (`input_dim` or
            `input_shape`, and `num_classes`), the seed and the dtype. Keras objects such as layers
            and regularizers may be among them.
    """

    name: str = "sda"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_types(self, "model")


@dataclass(frozen=True)
class Data:
    """Which rows are loaded, and how: the arguments of `datasets.load`, and the labels in use.

    Args:
        name: Name of a data set, or path of a file or folder.
        data_dir: Folder with prepared data; `None` for the usual places.
        target: Label column of a table; `None` for no labels.
        split: Which rows validate: `"tutorial"`, `"tensorflow"` or `"full"` (none).
        scale: `"unit"`, `"symmetric"`, `"standard"`, `"robust"`, or `None` for values as they are;
            for a table also `"squash"` and `"quantile"`. `"auto"`: squash for a table, else unit.
        unlabelled: The label that marks unlabelled rows, besides missing labels: `"auto"`, -1 in
            arrays; `None`, no label; see `datasets.load`.
        labels: How many labels of training rows stay, evenly over the classes and drawn by the seed
            of the experiment; `None` for all.
        task: Of a table, `"classification"`, `"regression"`, or `"auto"`, by the labels.
        ids: Columns of a table that name its rows, and are no inputs.
        categorical: Columns of a table that are categories, whatever they look like.
        numeric: Columns that are numbers.
        ignore: Columns that are left out.
        test: File of the test rows, where that of the others has none; see `datasets.load`.
        split_column: Column of a table that says of each row `train`, `valid` or `test`.
        groups: Column of a table of whose values none is in two parts, nor in two folds.
        storage: Where the inputs made of a table are kept while a network trains: `"memory"`,
            `"disk"`, or `"auto"`, by the size of the table; see `datasets.load`.
    """

    name: str = "digits"
    data_dir: str | None = None
    target: str | None = None
    split: str = "tutorial"
    scale: str | None = "auto"
    unlabelled: Any = "auto"
    labels: int | None = None
    task: str = "auto"
    ids: Sequence[str] = ()
    categorical: Sequence[str] = ()
    numeric: Sequence[str] = ()
    ignore: Sequence[str] = ()
    test: str | None = None
    split_column: str | None = None
    groups: str | None = None
    storage: str = "auto"

    def __post_init__(self) -> None:
        _check_types(self, "data")
        check_choice("data.storage", self.storage, STORAGES, _OWNER)
        for name in ("ids", "categorical", "numeric", "ignore"):
            value = getattr(self, name)
            names = (value,) if isinstance(value, str) else value
            if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
                raise ValueError(
                    f"Argument `data.{name}` of {_OWNER} must be a list of names of columns. "
                    f"Received: data.{name}={value!r}"
                )
            object.__setattr__(self, name, tuple(names))
        for name in ("test", "split_column", "groups"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, str)):
                raise ValueError(
                    f"Argument `data.{name}` of {_OWNER} must be a name. "
                    f"Received: data.{name}={value!r}"
                )
        if self.labels is not None:
            check_positive_int("data.labels", self.labels, _OWNER)
        if not (self.unlabelled is None or isinstance(self.unlabelled, (str, int, float))):
            raise ValueError(
                f"Argument `data.unlabelled` of {_OWNER} must be one label, a number or text, "
                f"'auto' or None. Received: data.unlabelled={self.unlabelled!r}"
            )

    @property
    def kinds(self) -> dict[str, str]:
        """The kinds of columns that are not to be inferred, by name."""
        return {
            **dict.fromkeys(self.categorical, "categorical"),
            **dict.fromkeys(self.numeric, "numeric"),
            **dict.fromkeys(self.ignore, "ignore"),
        }


@dataclass(frozen=True)
class Pretraining:
    """How the levels are trained one after the other; each value may be a list, one per level.

    The defaults suit the digits of scikit-learn; they were chosen by five-fold cross-validation on
    the training and validation rows.

    Args:
        optimizer: Optimizer, by Keras' name.
        learning_rate: Its learning rate, above 0.
        epochs: Passes over the data; 0 leaves a level as it is.
        batch_size: Rows per update.
        shuffle: Whether rows are shuffled before each epoch.
    """

    optimizer: str = "adam"
    learning_rate: Any = 1e-3
    epochs: Any = 15
    batch_size: Any = 32
    shuffle: bool = True

    def __post_init__(self) -> None:
        _check_types(self, "pretraining")
        for value in _listed(self.epochs):
            _check_count("pretraining.epochs", value, 0)
        for value in _listed(self.batch_size):
            _check_count("pretraining.batch_size", value, 1)
        for value in _listed(self.learning_rate):
            check_positive("pretraining.learning_rate", value, _OWNER)


@dataclass(frozen=True)
class Training:
    """How the whole model is trained; for a pretrained classifier, its fine-tuning.

    The defaults suit the digits of scikit-learn; they were chosen by five-fold cross-validation on
    the training and validation rows.

    Args:
        optimizer: Optimizer, by Keras' name.
        learning_rate: Its learning rate, above 0; at the start unless it is constant.
        schedule: `"cosine"`, down to zero at the last of `epochs` along half a cosine wave;
            `"cooldown"`, constant and then down to zero over the last third; or `"constant"`.
        optimizer_options: Further arguments of the optimizer, such as `{"momentum": 0.9}`.
        loss: Loss of a classifier, by Keras' name or as an object. `"auto"`: cross-entropy of class
            numbers for a classifier, the model's own loss for an autoencoder.
        epochs: Passes over the data, at most.
        batch_size: Rows per update.
        shuffle: Whether rows are shuffled before each epoch.
        patience: Epochs that are trained in any case; see `callbacks.PatienceStopping`. `None`: all
            of them where the learning rate falls to zero, 10 where it is constant.
        keep_best: Whether validation rows, where there are any, choose the epoch whose weights
            remain. `None`: they do where the learning rate is constant or `patience` is given.
            Where it falls to zero, the last epoch remains, which a few validation rows could not
            choose better: on the digits that errs less.
        batches: `None` for batches of `batch_size` rows. Otherwise batches drawn at random, with
            replacement: `{"kind": "rows" or "blocks", "size": 100, "count": 500}`, the kind, the
            rows of a batch, and the batches of an epoch; see `datasets.random_batches`.
        class_weight: `"balanced"` weights the rows of a classifier by the inverse frequency of
            their class, as in scikit-learn, for data in which a class is rare; `None` equally.
        head: What predicts from a pretrained stack: `"finetune"`, the whole network, trained on the
            labels; `"linear"`, logistic or ridge regression on its inputs, its codes, which stay as
            they are, and random Fourier features of both (`LinearOnCodes`); `"auto"`, the
            latter unless fine-tuning errs clearly less on rows that were not learnt from. `None`:
            `"auto"` for tables, and `"finetune"` for other data.
    """

    optimizer: str = "adam"
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    loss: Any = "auto"
    epochs: int = 60
    batch_size: int = 32
    shuffle: bool = True
    patience: float | None = None
    keep_best: bool | None = None
    batches: Mapping[str, Any] | None = None
    class_weight: str | None = None
    head: str | None = None

    def __post_init__(self) -> None:
        _check_types(self, "training")
        _check_count("training.epochs", self.epochs, 0)
        _check_count("training.batch_size", self.batch_size, 1)
        check_choice("training.head", self.head, (None, "finetune", "linear", "auto"), _OWNER)
        check_positive("training.learning_rate", self.learning_rate, _OWNER)
        _check_options(self.optimizer_options)
        check_choice("training.schedule", self.schedule, SCHEDULES, _OWNER)
        if self.patience is not None:
            check_positive("training.patience", self.patience, _OWNER)
        check_choice("training.class_weight", self.class_weight, ("balanced", None), _OWNER)
        if self.batches is not None:
            self._check_batches()

    def _check_batches(self) -> None:
        batches = self.batches
        if self.class_weight is not None:
            raise ValueError(
                f"Argument `training.class_weight` of {_OWNER} weights rows, which batches drawn "
                "at random do not have: leave out class_weight or batches."
            )
        if not isinstance(batches, Mapping) or set(batches) != {"kind", "size", "count"}:
            raise ValueError(
                f"Argument `training.batches` of {_OWNER} must have the entries kind, size and "
                f"count. Received: {batches!r}"
            )
        check_choice("training.batches.kind", batches["kind"], ("rows", "blocks"), _OWNER)
        for name in ("size", "count"):
            check_positive_int(f"training.batches.{name}", batches[name], _OWNER)

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best epoch remain, and not those of the last one."""
        if self.keep_best is None:
            return self.schedule == "constant" or self.patience is not None
        return self.keep_best

    def num_steps(self, num_rows: int) -> int:
        """Returns how many updates there are at most, on so many training rows."""
        if self.batches is not None:
            return self.epochs * self.batches["count"]
        return self.epochs * math.ceil(num_rows / self.batch_size)


def _check_options(options: Mapping[str, Any]) -> None:
    """Raises a `ValueError` if further arguments of an optimizer have settings of their own."""
    if not {"name", "learning_rate", "schedule", "steps"}.isdisjoint(options):
        raise ValueError(
            f"Argument `training.optimizer_options` of {_OWNER} must be a table of options such as "
            "momentum, of which name, learning_rate, schedule and steps are none. Received: "
            f"{shown(options)}"
        )


def _check_count(name: str, value: Any, least: int) -> None:
    """Raises a `ValueError` if a number of epochs or rows is too small or beyond 32 bits."""
    if isinstance(value, numbers.Integral) and int(value) > _MOST:
        raise ValueError(
            f"Argument `{name}` of {_OWNER} must be at most {_MOST}. Received: "
            f"{name}={shown(value)}"
        )
    (check_positive_int if least else check_non_negative_int)(name, value, _OWNER)


def _check_types(part: Any, name: str) -> None:
    """Raises a `ValueError` if a field of a part is not of the type that its class declares."""
    words = {str: "text", bool: "true or false", float: "a number", int: "a whole number"}
    for field_name, declared in get_type_hints(type(part)).items():
        # Of a union the members; a mapping without its keys and values; lists are checked apart.
        is_union = get_origin(declared) is types.UnionType
        kinds = [get_origin(k) or k for k in (get_args(declared) if is_union else [declared])]
        if Any in kinds or collections.abc.Sequence in kinds:
            continue
        value = getattr(part, field_name)
        if float in kinds:
            kinds.append(int)
        is_flag = isinstance(value, bool) and bool not in kinds
        if is_flag or not isinstance(value, tuple(kinds)):
            expected = next(words.get(kind, "a table of options") for kind in kinds)
            raise ValueError(
                f"Argument `{name}.{field_name}` of {_OWNER} must be {expected}. "
                f"Received: {name}.{field_name}={shown(value)}"
            )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
