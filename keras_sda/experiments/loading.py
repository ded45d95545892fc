"""Reading a finished run from its folder."""

from pathlib import Path
from typing import Any

from keras_sda import datasets
from keras_sda._validation import check_path
from keras_sda.experiments import detecting, zoo
from keras_sda.experiments.experiment import Experiment
from keras_sda.experiments.finished_run import Run
from keras_sda.experiments.json_files import told_as_damaged
from keras_sda.experiments.run_folder import (
    CONFIG,
    MODEL,
    experiment_of,
    read_config,
    read_metrics,
)
from keras_sda.presets.model_file import read_model


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
    path = Path(check_path("folder", folder, "load_run()"))
    missing = [name for name in (CONFIG, MODEL) if not (path / name).is_file()]
    if missing:
        raise ValueError(
            f"{path} is not a finished run, as {' and '.join(missing)} is missing there: give the "
            "folder that `keras-sda train` has written."
        )
    experiment, found = read_settings(path)
    model = read_model(path / MODEL, "train the run again")
    if not hasattr(model, "row_shape"):
        raise ValueError(
            f"{path / MODEL} holds a {type(model).__name__}, which is not a model that a run "
            "trains: train the run again."
        )
    if zoo.detects(experiment.model):
        found["detector"] = detecting.load_detector(experiment, model, path)
    return Run(path, experiment, model, **found, metrics=read_metrics(path))


def read_settings(path: Path) -> tuple[Experiment, dict[str, Any]]:
    """Returns the experiment of a run folder, and what its data turned out to be.

    Raises:
        ValueError: If its `config.json` is damaged.
    """
    config = read_config(path)
    experiment, found = experiment_of(config, path / CONFIG), config["found"]
    with told_as_damaged(path / CONFIG, "train the run again"):
        scaling, columns, shape = found["scaling"], found.get("columns"), found["image_shape"]
        scaling = None if scaling is None else datasets.Scaling.from_dict(scaling)
        columns = None if columns is None else datasets.Columns.from_dict(columns)
        shape = None if shape is None else tuple(shape)
    return experiment, {
        "scaling": scaling,
        "classes": found["classes"],
        "image_shape": shape,
        "columns": columns,
    }
