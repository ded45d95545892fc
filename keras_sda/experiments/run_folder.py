"""Run folders: what `keras-sda train` writes and the other commands read.

```
model.keras            the trained model
config.json            the experiment, and what its data turned out to be
metrics.json           figures, and every epoch's
learning_curves.png    filters.png    reconstructions.png
backup/                until the run is finished: the states that it can be resumed from
```
"""

import json
import math
import platform
import shlex
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_sda
from keras_sda import datasets
from keras_sda.backend import strategies
from keras_sda.experiments.config_0_2_0 import convert_config
from keras_sda.experiments.experiment import Experiment, first_difference
from keras_sda.resuming.files import lacks_room, remove_folder, remove_partial, replacing

MODEL, CONFIG, METRICS = "model.keras", "config.json", "metrics.json"
BACKUP = "backup"


def versions() -> dict[str, str]:
    """Returns the versions that a figure may depend on."""
    backend = keras.backend.backend()
    return {
        "keras_sda": keras_sda.__version__,
        "keras": keras.__version__,
        backend: sys.modules[backend].__version__,
        "python": platform.python_version(),
    }


def free_folder(data: str, seed: int) -> Path:
    """Returns the next free name under `runs/` for a run on some data."""
    name = Path(data.removeprefix("tfds:")).name.split(".")[0]
    stem = f"runs/{name}-seed{seed}"
    number = 1
    folder = Path(stem)
    while folder.exists():
        number += 1
        folder = Path(f"{stem}-{number}")
    return folder


def prepare_folder(folder: Path, experiment: Experiment) -> str:
    """Makes the folder of a run ready to be written.

    Returns:
        `"new"`, `"begun"` if it holds the same experiment, interrupted, or `"finished"`.

    Raises:
        ValueError: If the folder holds another experiment or something else, or cannot be written.
    """
    remove_partial(writable_folder(folder))  # of a run that was killed
    if (folder / CONFIG).is_file():
        difference = first_difference(read_experiment(folder), experiment)
        if difference is not None:
            name, old, new = difference
            raise ValueError(
                f"The run in {folder} is resumed with its own settings, where {name} is {old!r}. "
                f"Received {name}={new!r}: give the setting as it was, or train a new run in "
                "another folder."
            )
        return "finished" if is_finished(folder) else "begun"
    if any(folder.iterdir()):
        raise ValueError(
            f"The output folder {folder} is not empty: name a new one, so that nothing in it "
            "is overwritten."
        )
    return "new"


def is_finished(folder: Path) -> bool:
    """Whether a run has come to its end."""
    return (folder / METRICS).exists() and not (folder / BACKUP).exists()


def writable_folder(folder: Path) -> Path:
    """Makes the folder if it is not there, and returns it once it is known to be writable.

    Raises:
        ValueError: If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"The output folder {folder} cannot be written ({error.strerror}): name another one."
        ) from error
    return folder


def discard_if_untrained(folder: Path) -> None:
    """Removes a run folder in which nothing trained was saved, as after refused arguments."""
    if not (folder / MODEL).exists() and not (folder / BACKUP).exists():
        remove_partial(folder)
        (folder / CONFIG).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def resume_command(folder: Path) -> str:
    """Returns the command that resumes a run."""
    return f"keras-sda train --resume {shlex.quote(str(folder))}"


def can_resume(folder: Path) -> bool:
    """Whether a folder is that of a run that was interrupted and can be resumed."""
    return (folder / CONFIG).is_file() and (folder / BACKUP).is_dir()


def finish(folder: Path) -> None:
    """Removes the states of a run once everything else is written."""
    remove_folder(folder / BACKUP)


def save_model(model: keras.Model, folder: Path) -> None:
    """Writes the model; an older one stays whole until the new one is.

    Raises:
        OSError: If the disk is full; the message says how to resume.
    """
    try:
        with replacing(folder / MODEL) as partial:
            model.save(partial)
    except Exception as error:
        if not lacks_room(error):
            raise
        remedy = "make room, and save it again"
        if (folder / BACKUP).exists():
            remedy = f"nothing is lost: make room, then `{resume_command(folder)}`"
        raise OSError(
            f"The model could not be written to {folder}, as the disk is full; {remedy}."
        ) from error


def save_json(content: dict[str, Any], path: Path) -> None:
    """Writes JSON; an older file stays whole until the new one is."""
    with replacing(path) as partial:
        text = json.dumps(content, indent=2, default=_plain) + "\n"
        partial.write_text(text, encoding="utf-8")


def _plain(value):
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def save_array(array: np.ndarray, path: str) -> str:
    """Writes an array as `.npy` and returns a line that says so."""
    target = Path(path)
    if target.suffix != ".npy":
        raise ValueError(f"The output must be a file name that ends in .npy. Received: {path}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as partial:
        np.save(partial, array)
    return f"{target}: {' x '.join(map(str, array.shape))} {array.dtype}"


def save_config(
    folder: Path,
    experiment: Experiment,
    model: keras.Model,
    data: datasets.Data,
    backup_steps: int | None,
) -> None:
    """Writes `config.json`: the experiment, and what its data turned out to be.

    An interrupted run keeps its own.
    """
    if (folder / CONFIG).exists():
        return
    config = {
        **experiment.to_dict(),
        "found": {
            "num_classes": model.num_classes,
            "classes": data.classes,
            "image_shape": data.image_shape,
            "scaling": data.scaling.to_dict(),
            "backup_steps": backup_steps,
            "replicas": strategies.num_replicas(),
            "versions": versions(),
        },
    }
    save_json(config, folder / CONFIG)


def read_backup_steps(folder: Path) -> int | None:
    """Returns how many steps there were from one saved state of a run to the next."""
    return _read_config(folder)["found"].get("backup_steps")


def read_experiment(folder: Path) -> Experiment:
    """Returns the experiment of a run, finished or not.

    Raises:
        ValueError: If the folder holds no run, or its `config.json` is damaged.
    """
    if not (folder / CONFIG).is_file():
        raise ValueError(
            f"{folder} does not hold a run, as {CONFIG} is missing there: give the folder of a run "
            "that `keras-sda train` has begun."
        )
    return _experiment_of(_read_config(folder))


def _experiment_of(config: Mapping[str, Any]) -> Experiment:
    return Experiment.from_dict({key: config[key] for key in config if key != "found"})


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return convert_config(config) if "found" not in config else config
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG} is damaged ({error}): train the run again.") from error


@dataclass(frozen=True)
class Run:
    """An experiment that was carried out: its model, what its data were, and its figures.

    Attributes:
        folder: Where it is written, or `None`.
        experiment: The `Experiment`.
        model: The trained Keras model.
        scaling: The `datasets.Scaling` of the training rows.
        classes: The original labels, where they were numbered, or `None`.
        image_shape: Shape of a row as an image, or `None`.
        metrics: Figures (`valid`, `test`), histories (`pretraining`, `training`), `minutes`, and
            `best_epoch`, counted from 1: the content of `metrics.json`.

    Example:

    ```python
    run = ks.experiments.load_run("runs/digits-seed0")
    run.model.predict(run.rows("new.csv").x)
    ```
    """

    folder: Path | None
    experiment: Experiment
    model: Any
    scaling: datasets.Scaling
    classes: Any
    image_shape: Any
    metrics: Mapping[str, Any]
    _loaded: datasets.Data | None = None

    @classmethod
    def of_data(
        cls,
        folder: Path | None,
        experiment: Experiment,
        model: keras.Model,
        metrics: Mapping[str, Any],
        data: datasets.Data,
    ) -> "Run":
        """Returns the run of a model that was just trained on data."""
        found = (data.scaling, data.classes, data.image_shape)
        return cls(folder, experiment, model, *found, metrics, data)

    @property
    def data(self) -> datasets.Data:
        """The data of the experiment, in the shape and scale that the model takes."""
        if self._loaded is not None:
            return self._loaded
        parts = {part: self._part(part) for part in ("train", "valid", "test")}
        return datasets.Data(
            **parts,
            name=self.experiment.data.name,
            scaling=self.scaling,
            image_shape=self.image_shape,
            classes=self.classes,
        )

    def _part(self, part: str) -> Any:
        raw = getattr(self._load(), part)
        return None if raw is None else self._prepared(raw)

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
        return self._prepared(self.raw_rows(data, target, part, **load))

    def _prepared(self, raw: datasets.Split) -> datasets.Split:
        return datasets.Split(self._shaped(self.scaling(raw.x)), raw.y)

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
            raise ValueError(f"A {name} has no codes, as it has no hidden layer.")
        if levels is not None:
            return self.model.encode(x, level=-1 if level is None else level)
        if level not in (None, 0, -1):
            raise ValueError(f"A {name} has one level of codes, number 0. Received: level={level}")
        return self.model.encode(x)

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """Returns rows encoded and decoded again.

        Args:
            x: Rows, as `rows` returns them.

        Raises:
            ValueError: If the model does not reconstruct its rows.
        """
        if not hasattr(self.model, "reconstruct"):
            raise ValueError(
                f"A {type(self.model).__name__} does not reconstruct its rows: it has no decoder."
            )
        return self.model.reconstruct(x)

    def raw_rows(
        self, data: str | None = None, target: str | None = None, part: str = "test", **load: Any
    ) -> datasets.Split:
        """Returns rows as `rows` does, but with the values they have in the data."""
        if data is not None and not _is_named(data):
            x, y = datasets.read_rows(data, target=target)
            return datasets.Split(self._shaped(x), _number(y, self.classes))
        loaded = self._load(data, **load)
        split = getattr(loaded, part)
        if split is None:
            raise ValueError(f"{loaded.name} has no {part} rows: choose another --part.")
        return datasets.Split(self._shaped(split.x), split.y)

    def _load(self, data: str | None = None, data_dir: str | None = None) -> datasets.Data:
        own = self.experiment.data
        return datasets.load(
            data or own.name,
            data_dir=data_dir or own.data_dir,
            split=own.split,
            target=own.target,
            scale=None,
        )


def _is_named(data: str) -> bool:
    return data in datasets.names() or data.startswith("tfds:")


def _number(labels, classes):
    """Returns labels as class numbers, by the classes of the training data."""
    if labels is None or classes is None:
        return labels
    numbers = {label: number for number, label in enumerate(classes)}
    unknown = sorted({str(label) for label in labels.tolist() if label not in numbers})
    if unknown:
        raise ValueError(
            f"The labels must be among {classes}, which the model was trained on. "
            f"Received also: {', '.join(unknown[:5])}"
        )
    return np.array([numbers[label] for label in labels.tolist()], dtype="int64")


def load_run(folder: str | Path) -> Run:
    """Reads a run folder.

    Args:
        folder: What `run` or `keras-sda train` has written; of version 0.2.0, too.

    Raises:
        ValueError: If the folder is not that of a run with a trained model, or is damaged.

    Example:

    ```python
    run = ks.experiments.load_run("runs/digits-seed0")
    print(run.experiment.model.name, run.metrics["test"])
    ```
    """
    path = Path(folder)
    missing = [name for name in (CONFIG, MODEL) if not (path / name).is_file()]
    if missing:
        raise ValueError(
            f"{path} is not a finished run, as {' and '.join(missing)} is missing there: give the "
            "folder that `keras-sda train` has written."
        )
    config = _read_config(path)
    experiment, found = _experiment_of(config), config["found"]
    try:
        scaling, classes = datasets.Scaling.from_dict(found["scaling"]), found["classes"]
        shape = None if found["image_shape"] is None else tuple(found["image_shape"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path / CONFIG} is damaged ({error}): train the run again.") from error
    try:
        if not zipfile.is_zipfile(path / MODEL):
            raise zipfile.BadZipFile("it is not a whole zip archive")
        model = keras.saving.load_model(path / MODEL)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path / MODEL} is damaged ({error}): train the run again.") from error
    return Run(path, experiment, model, scaling, classes, shape, _read_metrics(path))


def _read_metrics(folder: Path) -> dict[str, Any]:
    path = folder / METRICS
    if not path.is_file():
        return {}
    metrics = json.loads(path.read_text(encoding="utf-8"))
    if "finetuning" in metrics:  # as version 0.2.0 called it, for every model
        metrics["training"] = metrics.pop("finetuning")
    return metrics
