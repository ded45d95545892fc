"""A finished run: its model, its data and its figures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_sda import datasets
from keras_sda._validation import check_choice, check_path, shown
from keras_sda.datasets.catalog import is_named
from keras_sda.datasets.duplicates import count_among, describe_duplicates
from keras_sda.datasets.files import find, is_table
from keras_sda.datasets.labels import UNLABELLED, number_new_rows
from keras_sda.datasets.table_files import read_frame
from keras_sda.datasets.table_in_file import TableInFile
from keras_sda.datasets.tables import split_labels
from keras_sda.datasets.targets import as_task
from keras_sda.experiments import comparison, detecting, explaining, figures
from keras_sda.experiments.experiment import Experiment


@dataclass(frozen=True)
class Run:
    """An experiment that was carried out: its model, what its data were, and its figures.

    Attributes:
        folder: Where it is written, or `None`.
        experiment: The `Experiment`.
        model: The trained Keras model.
        scaling: The `datasets.Scaling` of the training rows, or `None` where only `columns` can
            turn a table into inputs.
        classes: The original labels, where they were numbered, or `None`.
        image_shape: Shape of a row as an image, or `None`.
        metrics: Figures (`valid`, `test`), histories (`pretraining`, `training`), `minutes`, and
            `best_epoch`, counted from 1: the content of `metrics.json`.
        columns: The `datasets.Columns` of a table, or `None`.
        detector: The fitted `SDAOutlierDetector` that `model` belongs to, which takes rows as
            `rows` returns them; `None` of other models.

    Example:

    ```python
    run = ks.experiments.load_run("runs/digits-seed0")
    run.model.predict(run.rows("new.csv").x)
    ```
    """

    folder: Path | None
    experiment: Experiment
    model: Any
    scaling: datasets.Scaling | None
    classes: Any
    image_shape: Any
    metrics: Mapping[str, Any]
    columns: datasets.Columns | None = None
    detector: Any = None
    _loaded: datasets.Data | None = None
    _read: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of_data(
        cls,
        folder: Path | None,
        experiment: Experiment,
        model: keras.Model,
        metrics: Mapping[str, Any],
        data: datasets.Data,
        detector: Any = None,
    ) -> "Run":
        """Returns the run of a model that was just trained on data."""
        found = (data.scaling, data.classes, data.image_shape)
        return cls(folder, experiment, model, *found, metrics, data.columns, detector, data)

    @property
    def data(self) -> datasets.Data:
        """The data of the experiment, in the shape and scale that the model takes."""
        if self._loaded is not None:
            return self._loaded
        if self.columns is not None:
            return self._load_table()
        loaded = self._load()
        return replace(
            loaded,
            train=self._prepared(loaded.train),
            valid=None if loaded.valid is None else self._prepared(loaded.valid),
            test=None if loaded.test is None else self._prepared(loaded.test),
            scaling=self.scaling,
            classes=self.classes,
        )

    def rows(
        self, data: str | None = None, target: str | None = None, part: str = "test", **load: Any
    ) -> datasets.Split:
        """Returns rows in the shape of the model's, scaled as the run's training data were.

        Args:
            data: A file, or the name of a data set; `None` for the data of the run.
            target: Label column of a table.
            part: `"train"`, `"valid"` or `"test"`, of a named data set.
            **load: `data_dir` for a named data set.

        Raises:
            ValueError: If there are no such rows, or they do not fit the model.
        """
        _check_which(data, part)
        own = self.experiment.data.target
        if data is None and target is not None and target != own:
            raise ValueError(
                f"The label column of the run's own data is {shown(own)}. Received: "
                f"target={shown(target)}; leave it out, or name other data."
            )
        if self.columns is None:
            return self._prepared(self.raw_rows(data, target, part, **load))
        if data is None:
            return _part_of(self._load_table(**load), part)
        frame, y = self._read_table(data, target)
        return datasets.Split(self.columns(frame), y)

    def remarks(self, data: str | None) -> list[str]:
        """Returns what is to be told of a new table, in a sentence each; see `Columns.remarks`."""
        if self.columns is None or data is None or not is_table(data):
            return []
        return self.columns.remarks(self.frame(find(data)))

    def ids_of(self, data: str) -> dict[str, Any]:
        """Returns the columns of a new table that name its rows."""
        if self.columns is None or not is_table(data) or not self.columns.ids:
            return {}
        frame = self.frame(find(data))
        return {name: frame[name] for name in self.columns.ids if name in frame}

    def _prepared(self, raw: datasets.Split) -> datasets.Split:
        return datasets.Split(self.scaled(raw.x), raw.y)

    def scaled(self, raw: Any) -> np.ndarray:
        """Returns raw rows, as `raw_rows` returns them, as the model takes them."""
        if self.columns is not None:
            return self.columns(raw)
        assert self.scaling is not None  # noqa: S101  (for the type checker)
        return self._shaped(self.scaling(raw))

    def _shaped(self, x: np.ndarray) -> np.ndarray:
        """Returns rows as images where the model takes images, and the other way round."""
        shape = tuple(self.model.row_shape)
        fits = math.prod(x.shape[1:]) == math.prod(shape)
        return x.reshape(len(x), *shape) if fits else x

    def encode(self, x: np.ndarray, level: int | None = None) -> np.ndarray:
        """Returns the codes of rows.

        Args:
            x: Rows, as `rows` returns them.
            level: Whose codes, from 0 or, counted from the last, from -1; `None` for the last
                level's.

        Raises:
            ValueError: If the model has no codes, or no such level.
        """
        name = type(self.model).__name__
        levels = getattr(self.model, "levels", None)
        if not hasattr(self.model, "encode") or levels == []:
            raise ValueError(f"{name} has no codes, as it has no hidden layer.")
        if levels is not None:
            return self.model.encode(x, level=-1 if level is None else level)
        if level not in (None, 0, -1):
            raise ValueError(f"{name} has one level of codes, number 0. Received: level={level}")
        return self.model.encode(x)

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """Returns rows encoded and decoded again.

        Args:
            x: Rows, as `rows` returns them.

        Raises:
            ValueError: If the model does not reconstruct its rows.
        """
        if not self.model.reconstructs:
            raise ValueError(
                f"{type(self.model).__name__} does not reconstruct its rows: it has no decoder, or "
                "none that was pretrained and kept."
            )
        return self.model.reconstruct(x)

    def reconstruction_error(self, raw: Any) -> np.ndarray:
        """Returns how strange raw rows are, shape `(rows,)`, also beyond what the scaling clips.

        Of a detector it is the score, which does not count what is clipped: high means strange.

        Args:
            raw: Rows as `raw_rows` returns them.
        """
        if self.detector is not None:
            return -self.detector.score_samples(self.scaled(raw))
        errors = self.model.reconstruction_error(self.scaled(raw))
        scaling: Any = self.scaling if self.columns is None else self.columns
        return errors + scaling.excess(raw).astype(errors.dtype)

    def impute(self, frame: Any) -> Any:
        """Returns a table with its gaps filled by what the denoiser of the run expects there.

        Only columns that the run was trained on are filled; all other cells stay as they are. A run
        is trained to rebuild whole rows, or to predict a label: `sklearn.SDAImputer`, which is
        trained on rows with gaps and knows which cells it sees, fills better.

        Args:
            frame: Frame of pandas or polars with the columns of training; others are kept.

        Returns:
            A frame of the same kind.

        Raises:
            ValueError: If the run is not that of a table, or does not reconstruct its rows.
        """
        return explaining.impute(self, frame)

    def explain(self, data: Any, top: int = 10, columns: int = 3) -> Any:
        """Returns the strangest rows, and the columns that make them so, as a frame.

        Each column is left out in turn and rebuilt from the others: that is what is expected. Its
        error is by how much the reconstruction error of the whole row falls with the expected value
        in place of the found one. Missing cells are not judged.

        Args:
            data: Frame with the columns of training; or raw rows, if the run is not of a table.
            top: How many rows.
            columns: How many columns of each row, those of the largest errors.

        Returns:
            A pandas frame, the strangest row first, with a line for each row and column: `row`,
            counted from 0, `row_error`, `column`, `value`, `expected`, `error`.

        Raises:
            ValueError: If the rows are images, or the run does not reconstruct them.
        """
        return explaining.explain(self, data, top, columns)

    def measure(self, rows: datasets.Split) -> dict[str, Any]:
        """Returns how well the model does on rows; see `figures.measure` and `detecting.measure`.

        Args:
            rows: Rows as `rows` returns them.
        """
        if self.detector is not None:
            return detecting.measure(self.detector, rows)
        return figures.measure(self.model, rows)

    def _data_if_readable(self) -> datasets.Data | None:
        try:
            return self.data
        except (ValueError, OSError, ImportError):
            return None

    def describe_shared(self, rows: datasets.Split) -> str:
        """Returns a sentence if rows are also training rows, which flatters; else no text.

        Args:
            rows: Rows as `rows` returns them. Where the training rows cannot be read, no text.
        """
        data = self._data_if_readable()
        if data is None:
            return ""
        return describe_duplicates(count_among(data.train.x, {"given": rows.x}))

    def compare(self, rows: datasets.Split) -> dict[str, Any] | None:
        """Returns the figures of the model and of simple ones on rows; see `comparison.compare`.

        Args:
            rows: Rows with labels, as `rows` returns them.

        Returns:
            `None` if the model learns no labels, or the training rows cannot be read.
        """
        data = self._data_if_readable()
        if data is None or not comparison.can_compare(self.model, data.train, rows):
            return None
        training = self.experiment.training
        weight = None if training is None else training.class_weight
        groups = (data.groups or {}).get("train")
        return comparison.compare(self.model, data.train, rows, self.classes, weight, groups)

    def raw_rows(
        self, data: str | None = None, target: str | None = None, part: str = "test", **load: Any
    ) -> datasets.Split:
        """Returns rows as `rows` does, but with the values they have in the data.

        Of a table they are a pandas frame with all its columns but the labels.

        Raises:
            ValueError: If there are no such rows.
        """
        _check_which(data, part)
        if self.columns is not None and data is not None:
            return datasets.Split(*self._read_table(data, target))
        if self.columns is not None:
            loaded = self._load_table(**load, keep_frames=True)
            labels = _part_of(loaded, part).y
            assert loaded.frames is not None  # noqa: S101  (for the type checker)
            frame = loaded.frames[part]
            return datasets.Split(frame.read() if isinstance(frame, TableInFile) else frame, labels)
        if data is not None and not is_named(data):
            x, y = datasets.read_rows(data, target=target)
            return datasets.Split(self._shaped(x), self._numbered(y, data))
        split = _part_of(self._load(data, target, **load), part)
        return datasets.Split(self._shaped(split.x), split.y)

    def _numbered(self, y: np.ndarray | None, data: str) -> np.ndarray | None:
        return number_new_rows(
            y,
            self.classes,
            self.experiment.data.unlabelled,
            in_table=is_table(data),
            are_classes=self.classes is not None or self.model.num_classes is not None,
        )

    def _read_table(self, data: str, target: str | None) -> tuple[Any, np.ndarray | None]:
        """Returns the frame of new rows and their labels; the run knows the label column."""
        if is_named(data) or not is_table(data):
            raise ValueError(
                f"The run was trained on a table: give a .csv or .parquet file. Received: {data}"
            )
        path = find(data)
        own = self.experiment.data.target
        whole = self.frame(path)
        if target is None and own is not None and own in whole.columns:
            target = own
        frame, y = split_labels(whole, target, path)
        if y is not None and self.classes is not None and isinstance(self.classes[0], str):
            y = as_task(y, "classification", f"Column {target!r} of {data}")
        return frame, self._numbered(y, data)

    def frame(self, path: Path) -> Any:
        """Returns all columns of a table, which one command needs several times and reads once.

        Of a `.csv` file, what was text in training is text, even if only digits are left of it.
        """
        state = path.stat()
        key = (path, state.st_mtime_ns, state.st_size)
        if key not in self._read:
            self._read.clear()
            text = () if self.columns is None else self.columns.text_names
            self._read[key] = read_frame(path, text)
        return self._read[key]

    def _load_table(self, data_dir: str | None = None, keep_frames: bool = False) -> datasets.Data:
        """Returns the data of the experiment by the columns of the run."""
        loaded = self._load_own(data_dir, columns=self.columns, keep_frames=keep_frames)
        return replace(loaded, scaling=self.scaling, classes=self.classes)

    def _load(
        self, data: str | None = None, target: str | None = None, data_dir: str | None = None
    ) -> datasets.Data:
        """Returns data of a name, or those of the experiment, with their own values."""
        if data is None:
            return self._load_own(data_dir, scale=None)
        own = self.experiment.data
        where = data_dir or own.data_dir
        return datasets.load(data, data_dir=where, split=own.split, scale=None, target=target)

    def _load_own(self, data_dir: str | None, **changes: Any) -> datasets.Data:
        experiment = self.experiment
        if experiment.data.unlabelled == "auto" and UNLABELLED in (self.classes or ()):
            # What was a class in training is one still.
            experiment = experiment.but({"data.unlabelled": None})
        return load_data_of(experiment, data_dir, **changes)


def _check_which(data: Any, part: Any) -> None:
    """Checks which rows are asked for."""
    if data is not None and not isinstance(data, (str, Path)):
        check_path("data", data, "Run.rows()")
    check_choice("part", part, ("train", "valid", "test"), "Run.rows()")


def _part_of(data: datasets.Data, part: str) -> datasets.Split:
    split = getattr(data, part)
    if split is None:
        raise ValueError(f"{data.name} has no {part} rows: choose another --part.")
    return split


def load_data_of(
    experiment: Experiment, data_dir: str | None = None, **changes: Any
) -> datasets.Data:
    """Returns the data of an experiment, with other arguments of `load` where they are given."""
    own = experiment.data
    options: dict[str, Any] = {
        "data_dir": data_dir or own.data_dir,
        "split": own.split,
        "scale": own.scale,
        "target": own.target,
        "unlabelled": own.unlabelled,
        "task": own.task,
        "ids": own.ids,
        "kinds": own.kinds or None,
        "test": own.test,
        "split_column": own.split_column,
        "groups": own.groups,
        "storage": own.storage,
    }
    loaded = datasets.load(own.name, **options | changes)
    return loaded if own.labels is None else loaded.keep_labels(own.labels, experiment.seed)
