"""Run folders: what `keras-sda train` writes and the other commands read.

```
model.keras            the trained model
config.json            the experiment, and what its data turned out to be
metrics.json           figures, and every epoch's
detector.json          of a detector of outliers: its threshold, and what it was chosen by
learning_curves.png    filters.png    reconstructions.png
.lock                  until the run is finished: taken while a process trains
backup/                until the run is finished: the states that it can be resumed from
```
"""

import contextlib
import json
import platform
import shlex
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from filelock import FileLock, Timeout

import keras_sda
from keras_sda import datasets
from keras_sda.backend import num_replicas
from keras_sda.experiments.config_0_2_0 import convert_config
from keras_sda.experiments.experiment import Experiment, first_difference
from keras_sda.experiments.json_files import (
    HISTORY,
    NUMBER,
    check,
    read,
    told_as_damaged,
    with_format,
)
from keras_sda.resuming.files import lacks_room, remove_folder, remove_partial, replacing

MODEL, CONFIG, METRICS = "model.keras", "config.json", "metrics.json"
DETECTOR = "detector.json"
BACKUP = "backup"
LOCK = ".lock"


REMEDY = "train the run again"
_COUNTS = {"*": int}
_CONFIG = {
    "model": {"name": str, "options": dict},
    "data": dict,
    "pretraining": (None, {}),
    "training": (None, {}),
    "seed": int,
    "dtype": str,
    "found": {
        "num_classes?": (None, int),
        "classes": (None, list),
        "image_shape": (None, [int]),
        "scaling": (None, {}),
        "columns?": (None, {}),
        "rows?": {"*": _COUNTS},
        "backup_steps?": (None, int),
        "cross_validate?": bool,
        "shows_rows?": bool,
        "replicas?": int,
        "versions?": {"*": str},
    },
}
_FIGURES = {"*": {"*": [NUMBER]}}
_METRICS = {
    "minutes?": {"*": NUMBER},
    "pretraining": [HISTORY],
    "training": HISTORY,
    "best_epoch?": (None, int),
    "duplicates?": {"*": _COUNTS},
    "comparison?": {
        "rows": int,
        "classifier": bool,
        "options": {},
        "main": str,
        "figures": _FIGURES,
        "gains": _FIGURES,
    },
}


def versions() -> dict[str, str]:
    """Returns the versions that a figure may depend on."""
    backend = keras.backend.backend()
    return {
        "keras_sda": keras_sda.__version__,
        "keras": keras.__version__,
        backend: sys.modules[backend].__version__,
        "python": platform.python_version(),
    }


def name_of_data(data: str) -> str:
    """Returns what folders are named after: a data set's name, or a file's without its ending."""
    return Path(data.removeprefix("tfds:")).name.split(".")[0]


def free_folder(data: str, seed: int) -> Path:
    """Returns the next free name under `runs/` for a run on some data."""
    stem = f"runs/{name_of_data(data)}-seed{seed}"
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
    check_empty(folder)
    return "new"


@contextlib.contextmanager
def locked(folder: Path, name: str = LOCK, work: str = "training") -> Iterator[None]:
    """Keeps other processes from the same work in a folder while the block runs.

    The system lifts the lock of a process that was killed. The file stays where a run can be
    resumed.

    Args:
        folder: The folder.
        name: Name of the lock, if not all that is done in the folder excludes each other.
        work: What the process does, in a word.

    Raises:
        ValueError: If another process does it there, or the folder cannot be written.
    """
    path = writable_folder(folder) / name
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"Another process is {work} in {folder}: wait until it ends, or name another folder."
        ) from error
    except NotImplementedError:
        warnings.warn(
            f"The file system of {folder} has no locks: see that no other process is {work} there.",
            stacklevel=2,
        )
    try:
        yield
    finally:
        if not can_resume(folder):
            with contextlib.suppress(OSError):  # Windows keeps what is open
                path.unlink(missing_ok=True)
        lock.release()


def check_empty(folder: Path) -> None:
    """Raises a `ValueError` if a folder holds anything, which writing there might overwrite."""
    if any(path.name != LOCK for path in folder.iterdir()):
        raise ValueError(
            f"The output folder {folder} is not empty: name a new one, so that nothing in it "
            "is overwritten."
        )


def is_finished(folder: Path) -> bool:
    """Whether a run is finished."""
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
        (folder / LOCK).unlink(missing_ok=True)
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
    """Writes JSON with the version of its format; an older file stays until the new one is."""
    with replacing(path) as partial:
        text = json.dumps(with_format(content), indent=2, default=_plain) + "\n"
        partial.write_text(text, encoding="utf-8")


def _plain(value):
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def check_output(
    path: str | Path, *suffixes: str, run: str | None = None, data: str | None = None
) -> Path:
    """Returns the path of a file to write, before what is to be written takes its time.

    Args:
        path: The file; its folder is made if need be.
        *suffixes: What its name may end in.
        run: Folder of the run that is used, whose files must stay.
        data: The file of rows that are used, which must stay, too.

    Raises:
        ValueError: If it has another ending, its folder cannot be written, or it is to stay.
    """
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        names = " or ".join(suffixes)
        raise ValueError(f"The output must be a file name that ends in {names}. Received: {path}")
    used = [Path(run, name) for name in (MODEL, CONFIG, METRICS, DETECTOR)] if run else []
    used += [Path(data)] if data else []
    if target.exists() and any(each.exists() and each.samefile(target) for each in used):
        raise ValueError(f"The output {path} would replace a file that is read: give another name.")
    writable_folder(target.parent)
    return target


def save_array(array: np.ndarray, path: str) -> str:
    """Writes an array as `.npy` and returns a line that says so."""
    target = check_output(path, ".npy")
    with replacing(target) as partial, partial.open("wb") as file:
        # By Python's own writing: NumPy's does not always notice that a disk is full.
        writer: Any = types.SimpleNamespace(write=file.write)
        np.lib.format.write_array(writer, array, allow_pickle=False)
    return f"{target}: {' x '.join(map(str, array.shape))} {array.dtype}"


def save_table(columns: Mapping[str, Any], output: str | Path) -> str:
    """Writes columns as `.csv` or `.parquet`, and says what was written.

    Args:
        columns: Arrays of one length by name.
        output: File to write; its folder is made if need be.
    """
    import pandas as pd

    path = Path(output)
    writable_folder(path.parent)
    table = pd.DataFrame(dict(columns))
    with replacing(path) as partial:
        if path.suffix.lower() == ".csv":
            table.to_csv(partial, index=False)
        else:
            table.to_parquet(partial, index=False)
    return f"{path}: {len(table):,} rows, {len(table.columns)} columns"


def save_config(
    folder: Path,
    experiment: Experiment,
    model: keras.Model | None,
    data: datasets.Data,
    backup_steps: int | None,
    cross_validate: bool,
    shows_rows: bool = True,
) -> None:
    """Writes `config.json`: the experiment, and what its data turned out to be.

    An interrupted run keeps its own.
    """
    if (folder / CONFIG).exists():
        return
    config = {
        **experiment.to_dict(),
        "found": {
            "num_classes": None if model is None else model.num_classes,
            "classes": data.classes,
            "image_shape": data.image_shape,
            "scaling": None if data.scaling is None else data.scaling.to_dict(),
            "columns": None if data.columns is None else data.columns.to_dict(),
            "rows": count_rows(data),
            "backup_steps": backup_steps,
            "cross_validate": cross_validate,
            "shows_rows": shows_rows,
            "replicas": num_replicas(),
            "versions": versions(),
        },
    }
    save_json(config, folder / CONFIG)


def count_rows(data: datasets.Data) -> dict[str, dict[str, int]]:
    """Returns how many rows each part of the data has, and how many of them have a label."""
    parts = {"train": data.train, "valid": data.valid, "test": data.test}
    return {
        name: {"rows": len(part.x), "labelled": len(part.labelled.x) if part.labelled else 0}
        for name, part in parts.items()
        if part is not None
    }


def read_backup_steps(folder: Path) -> int | None:
    """Returns how many steps there were from one saved state of a run to the next."""
    return read_config(folder)["found"].get("backup_steps")


def read_cross_validate(folder: Path) -> bool:
    """Returns whether a run was to be cross-validated where labels are few."""
    return read_config(folder)["found"].get("cross_validate", False)


def read_shows_rows(folder: Path) -> bool:
    """Returns whether the pictures of a run were to show rows of the data."""
    return read_config(folder)["found"].get("shows_rows", True)


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
    return experiment_of(read_config(folder), folder / CONFIG)


def experiment_of(config: Mapping[str, Any], path: Path) -> Experiment:
    """Returns the experiment that the content of `config.json`, in a certain file, describes."""
    with told_as_damaged(path, REMEDY):
        return Experiment.from_dict({key: config[key] for key in config if key != "found"})


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the content of `config.json` as this version writes it.

    Raises:
        ValueError: If it is damaged, or of a newer version.
    """
    path = folder / CONFIG
    config = read(path, {}, REMEDY)
    with told_as_damaged(path, REMEDY):
        if "found" not in config:
            config = convert_config(config)
        check(config, _CONFIG)
    return config


def read_metrics(folder: Path) -> dict[str, Any]:
    """Returns the content of `metrics.json` as this version writes it; nothing if it is missing.

    Raises:
        ValueError: If it is damaged, or of a newer version.
    """
    path = folder / METRICS
    if not path.exists():
        return {}
    metrics = read(path, {}, REMEDY)
    if "finetuning" in metrics:  # as version 0.2.0 called it, for every model
        metrics["training"] = metrics.pop("finetuning")
    with told_as_damaged(path, REMEDY):
        check(metrics, _METRICS)
    return metrics
