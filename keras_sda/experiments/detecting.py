"""The detector of outliers in a run: trained, kept without pickle, and measured."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda import datasets
from keras_sda.experiments.experiment import Experiment
from keras_sda.experiments.figures import error_interval
from keras_sda.experiments.json_files import NUMBER, read, told_as_damaged
from keras_sda.experiments.run_folder import DETECTOR, REMEDY, save_json
from keras_sda.sklearn.outlier_detector import SDAOutlierDetector

_SHAPE = {"threshold": NUMBER, "calibration_errors": [NUMBER]}


def new_detector(experiment: Experiment) -> SDAOutlierDetector:
    """Returns the detector of an experiment, for rows that the run's data have scaled already."""
    options = dict(experiment.model.options)
    try:
        return SDAOutlierDetector(
            **options, columns=None, scale=None, random_state=experiment.seed, verbose=0
        )
    except TypeError as error:
        raise ValueError(f"The detector does not take these options ({error}).") from error


def train_detector(
    experiment: Experiment, data: datasets.Data
) -> tuple[SDAOutlierDetector, dict[str, Any]]:
    """Trains the detector on the training rows; returns it, histories and minutes.

    Raises:
        ValueError: If an option, the rows or the labels do not suit it.
    """
    if experiment.data.target is not None:
        check_labels((data.train, data.valid, data.test), data.name, data.classes)
    start = time.perf_counter()
    detector = new_detector(experiment).fit(data.train.x)
    minutes = {"training": (time.perf_counter() - start) / 60}
    metrics = {"minutes": minutes, "pretraining": detector.histories_, "training": {}}
    return detector, metrics | {"training": detector.history_}


def check_labels(
    parts: Iterable[datasets.Split | None], data: str, classes: Iterable[Any] | None = None
) -> None:
    """Raises a `ValueError` if there are labels, and they do not say which rows are outliers.

    Args:
        parts: Rows of the data with their labels.
        data: The name of the data.
        classes: The names of the classes that the labels number, if they do.
    """
    labelled = [part.labelled for part in parts if part is not None]
    labels = [np.unique(np.asarray(part.y)).tolist() for part in labelled if part is not None]
    strange = classes or dict.fromkeys(y for each in labels for y in each if y not in (0, 1))
    if strange:
        shown = ", ".join(map(str, list(strange)[:4]))
        raise ValueError(
            f"The labels of outliers must be 1, and those of other rows 0. Received {shown} in "
            f"{data}: change them, or leave the target out."
        )


def judged(rows: datasets.Split) -> tuple[Any, Any]:
    """Returns rows and which are outliers, 1 or 0; `None` if labels do not say so, as of digits.

    Where they do, rows without a label are left out.
    """
    known = rows.labelled
    if known is None or not np.isin(np.asarray(known.y), (0, 1)).all():
        return rows.x, None
    return known.x, known.y


def save_detector(detector: SDAOutlierDetector, folder: Path) -> None:
    """Writes what a detector knows besides its model."""
    content = {
        "threshold": detector.threshold_,
        "calibration_errors": detector.calibration_errors_,
    }
    save_json(content, folder / DETECTOR)


def load_detector(experiment: Experiment, model: Any, folder: Path) -> SDAOutlierDetector:
    """Returns the detector of a run folder.

    Raises:
        ValueError: If its file is missing or damaged.
    """
    path = folder / DETECTOR
    content = read(path, _SHAPE, REMEDY)
    with told_as_damaged(path, REMEDY):
        errors = content["calibration_errors"]
        return new_detector(experiment).restored(model, content["threshold"], errors)


def measure(detector: SDAOutlierDetector, rows: datasets.Split) -> dict[str, Any]:
    """Returns how well a detector does on rows: one entry of `metrics.json`.

    The share that is flagged; with labels of outliers and others also the area under the ROC curve,
    the average precision, and the precision, the share of outliers among the rows flagged. Rows
    without a label among others with one do not count.

    Args:
        detector: A detector of scaled rows.
        rows: Rows as it takes them, and their labels, 1 for outliers and 0 for others, or `None`.
    """
    x, y = judged(rows)
    scores = -detector.score_samples(x)
    flagged = scores > detector.threshold_
    count = int(flagged.sum())
    found = {"flagged": count / len(x), "interval": error_interval(count, len(x))}
    found |= {"rows_flagged": count, "rows": len(x)}
    if y is None or len(np.unique(y)) < 2:
        return found
    from sklearn.metrics import average_precision_score, roc_auc_score

    found |= {"roc_auc": float(roc_auc_score(y, scores))}
    found |= {"average_precision": float(average_precision_score(y, scores))}
    if count:
        found |= {"precision": float(np.mean(y[flagged]))}
    return found | {"outliers": int(np.sum(y))}
