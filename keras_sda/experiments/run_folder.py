"""Run folders: what `keras-sda train` writes and the other commands read.

```
model.keras            the trained model
config.json            every option of the run, the data's scaling and classes
metrics.json           figures, and every epoch's
learning_curves.png    filters.png    reconstructions.png
backup/                until the run is finished: the states that it can be gone on from
```
"""

import json
import platform
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_sda
from keras_sda import datasets
from keras_sda._validation import check_class_labels
from keras_sda.datasets.batches import BATCH_SIZE
from keras_sda.exporting import DRAWN_ROWS, FORMATS, MOST_ROWS
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


def error_interval(errors: int, count: int) -> tuple[float, float]:
    """Returns the 95 % interval (Wilson's) of an error rate, as two fractions.

    Args:
        errors: Number of wrong predictions.
        count: Number of predictions.

    Example:

    >>> [round(100 * bound, 2) for bound in error_interval(130, 10_000)]
    [1.1, 1.54]
    """
    from scipy.stats import binomtest

    interval = binomtest(errors, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def measure(model: keras.Model, rows: datasets.Split) -> dict[str, Any]:
    """Returns how well a model does on rows: one entry of `metrics.json`.

    For a classifier the share of rows put into a wrong class, with its 95 % interval; otherwise the
    mean reconstruction error.

    Raises:
        ValueError: If a classifier gets rows without labels.
    """
    count = len(rows.x)
    if model.num_classes is None:
        error = float(model.reconstruction_error(rows.x).mean())
        return {"reconstruction_error": error, "rows": count}
    if rows.y is None:
        raise ValueError(
            "A classifier is evaluated on rows with labels. Received rows without: name the label "
            "column by --target, or add `y` to the file."
        )
    check_class_labels(rows.y, model.num_classes, "evaluate")
    predicted = model.predict(rows.x, batch_size=BATCH_SIZE, verbose=0).argmax(axis=1)
    errors = int((predicted != rows.y).sum())
    interval = error_interval(errors, count)
    return {"error": errors / count, "interval": interval, "errors": errors, "rows": count}


def new_folder(path: str | None, data: str, seed: int) -> Path:
    """Makes an empty folder for a run: the given one, or the next free name under `runs/`.

    Raises:
        ValueError: If the folder exists and is not empty, or cannot be written.
    """
    if path is None:
        name = Path(data.removeprefix("tfds:")).name.split(".")[0]
        stem = f"runs/{name}-seed{seed}"
        number = 1
        folder = Path(stem)
        while folder.exists():
            number += 1
            folder = Path(f"{stem}-{number}")
    else:
        folder = Path(path)
    remove_partial(writable_folder(folder))  # of a run that was killed before it began
    if any(folder.iterdir()):
        raise ValueError(
            f"The output folder {folder} is not empty: name a new one, so that nothing in it "
            "is overwritten."
        )
    return folder


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


def has_states(folder: Path) -> bool:
    """Whether a folder is that of a run that was interrupted and can be gone on with."""
    return (folder / CONFIG).is_file() and (folder / BACKUP).is_dir()


def options_to_resume(
    folder: Path, given: dict[str, Any], known: Iterable[str]
) -> dict[str, Any] | None:
    """Returns the options of a run that was interrupted, or `None` if it is finished.

    Args:
        folder: Its folder.
        given: Options that were given once more, and must be what they were.
        known: Names of the options.

    Raises:
        ValueError: If the folder holds no run, or an option was another one.
    """
    if not (folder / CONFIG).is_file():
        raise ValueError(
            f"{folder} holds no run to go on with, as {CONFIG} is missing there: give the folder "
            "of a run that `keras-sda train` has begun."
        )
    config = _read_config(folder)
    options = {name: config[name] for name in known if name in config}
    for name, value in given.items():
        if options.get(name) != value:
            raise ValueError(
                f"The run in {folder} goes on with its own options, where {name} is "
                f"{options.get(name)!r}. Received {name}={value!r}: give the option as it was, or "
                "train a new run in another folder."
            )
    remove_partial(folder)
    is_finished = (folder / METRICS).exists() and not (folder / BACKUP).exists()
    return None if is_finished else options


def finish(folder: Path) -> None:
    """Removes the states of a run once everything else is written."""
    remove_folder(folder / BACKUP)


def save_model(model: keras.Model, folder: Path) -> None:
    """Writes the model; an older one stays whole until the new one is.

    Raises:
        OSError: If the disk is full; the message says how to go on.
    """
    try:
        with replacing(folder / MODEL) as partial:
            model.save(partial)
    except Exception as error:
        if not lacks_room(error):
            raise
        remedy = "make room, and save it again"
        if (folder / BACKUP).exists():
            remedy = f"nothing is lost: make room, then `keras-sda train --resume {folder}`"
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


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its options, and its model."""

    folder: Path
    config: dict[str, Any]
    model: keras.Model

    def rows(
        self, data: str | None, target: str | None = None, part: str = "test", **load: Any
    ) -> datasets.Split:
        """Returns rows scaled as the run's training data were.

        Args:
            data: A file, or the name of a data set; `None` for the data of the run.
            target: Label column of a table.
            part: `"train"`, `"valid"` or `"test"`, of a named data set.
            **load: `data_dir` for a named data set.
        """
        raw = self.raw_rows(data, target, part, **load)
        return datasets.Split(self.scaling(raw.x), raw.y)

    @property
    def scaling(self) -> datasets.Scaling:
        """The scaling of the run's training data."""
        return datasets.Scaling.from_dict(self.config["scaling"])

    def raw_rows(
        self, data: str | None, target: str | None = None, part: str = "test", **load: Any
    ) -> datasets.Split:
        """Returns rows as `rows` does, but with the values they have in the data."""
        if data is not None and not _is_named(data):
            x, y = datasets.read_rows(data, target=target)
            return datasets.Split(x, _number(y, self.config["classes"]))
        options = {name: self.config[name] for name in ("data_dir", "split", "target")}
        options |= {name: value for name, value in load.items() if value is not None}
        loaded = datasets.load(data or self.config["data"], scale=None, **options)
        split = getattr(loaded, part)
        if split is None:
            raise ValueError(f"{loaded.name} has no {part} rows: choose another --part.")
        return split


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


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / CONFIG} is damaged ({error}): train the run again.") from error


def load_run(folder: str) -> Run:
    """Reads a run folder.

    Raises:
        ValueError: If the folder is not that of a finished run.
    """
    path = Path(folder)
    missing = [name for name in (CONFIG, MODEL) if not (path / name).is_file()]
    if missing:
        raise ValueError(
            f"{path} is no finished run, as {' and '.join(missing)} is missing there: give the "
            "folder that `keras-sda train` has written."
        )
    config = _read_config(path)
    try:
        model = keras.saving.load_model(path / MODEL)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path / MODEL} is damaged ({error}): train the run again.") from error
    return Run(path, config, model)


def export_run(
    run: Run,
    format: str = "tf_saved_model",
    output: str | None = None,
    raw: bool = True,
    threshold: float | None = None,
    contamination: float | None = None,
    data_dir: str | None = None,
) -> str:
    """Writes the model of a run for another runtime, compared on training rows of the run.

    Args:
        run: A finished run.
        format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
        output: What to write; by default in the folder of the run.
        raw: Whether the export takes raw rows, the run's scaling inside, or scaled ones.
        threshold: Adds the output `anomaly`: whether `score` is above.
        contamination: The same, with the threshold that this share of the training rows exceeds.
        data_dir: Folder with prepared data; by default that of the run.

    Returns:
        What was written and how far it is from the Keras model, for people to read.

    Raises:
        ValueError: If the threshold needs training rows that cannot be read, or as in
            `Autoencoder.export`.
    """
    scaling, rows = run.scaling, None
    try:
        rows = run.raw_rows(None, part="train", data_dir=data_dir).x
        compared = f"{min(len(rows), MOST_ROWS):,} training rows"
    except (ValueError, OSError, ImportError) as error:
        reason = str(error).rstrip(".")
        if contamination is not None:
            raise ValueError(
                "The threshold for a contamination is taken from the training rows, which cannot "
                f"be read ({reason}): name their folder by --data-dir, or give --threshold."
            ) from error
        compared = f"{DRAWN_ROWS} random rows, as the data cannot be read ({reason})"
    if contamination is not None:
        scores = run.model.reconstruction_error(scaling(rows))
        threshold = float(np.quantile(scores, 1 - contamination))
    target = Path(output) if output else run.folder / f"model{FORMATS[format].suffix}"
    if output is None and format == "tf_saved_model":
        target = run.folder / "saved_model"
    differences = run.model.export(
        target,
        format=format,
        scaling=scaling if raw else None,
        threshold=threshold,
        rows=rows if raw or rows is None else scaling(rows),
    )
    outputs = f"{'endpoints' if format == 'tf_saved_model' else 'outputs'} {', '.join(differences)}"
    lines = [
        f"{FORMATS[format].title}: {target} ({outputs}), for {'raw' if raw else 'scaled'} rows",
        *(
            []
            if threshold is None
            else [f"Threshold: anomaly where score is above {threshold:.6g}"]
        ),
        f"Largest difference from Keras, on {compared}: "
        + ", ".join(f"{name} {value:.1e}" for name, value in differences.items()),
    ]
    return "\n".join(lines)
