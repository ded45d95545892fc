"""Exports of a run's model for other runtimes."""

from pathlib import Path

import numpy as np

from keras_sda.experiments.finished_run import Run
from keras_sda.exporting import DRAWN_ROWS, FORMATS, MAX_ROWS


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
    if contamination is not None and not run.model.reconstructs:
        raise ValueError(
            f"{type(run.model).__name__} does not reconstruct its rows, so it has no score that a "
            "threshold could stand for."
        )
    scaling, rows = run.scaling, None
    if scaling is None and raw:
        raise ValueError(
            "The run takes a table by the names of its columns, which an export cannot do yet: "
            "export it with --scaled and give it what the run's Columns return, or, if all columns "
            "are numbers without gaps, train with --scale unit."
        )
    raw = raw and scaling is not None
    try:
        read = run.rows if scaling is None else run.raw_rows
        rows = read(part="train", data_dir=data_dir).x
        compared = f"{min(len(rows), MAX_ROWS):,} training rows"
    except (ValueError, OSError, ImportError) as error:
        reason = str(error).rstrip(".")
        if contamination is not None:
            raise ValueError(
                "The threshold for a contamination is taken from the training rows, which cannot "
                f"be read ({reason}): name their folder by --data-dir, or give --threshold."
            ) from error
        compared = f"{DRAWN_ROWS} random rows, as the data cannot be read ({reason})"
    if contamination is not None and rows is not None:
        errors = run.model.reconstruction_error if scaling is None else run.reconstruction_error
        scores = errors(rows)
        threshold = float(np.quantile(scores, 1 - contamination))
    target = _target(run, format, output)
    differences = run.model.export(
        target,
        format=format,
        scaling=scaling if raw else None,
        threshold=threshold,
        rows=rows if raw or rows is None or scaling is None else scaling(rows),
    )
    outputs = f"{'endpoints' if format == 'tf_saved_model' else 'outputs'} {', '.join(differences)}"
    largest = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
    lines = [
        f"{FORMATS[format].title}: {target} ({outputs}), for {'raw' if raw else 'scaled'} rows",
        f"Largest difference from Keras, on {compared}: {largest}",
    ]
    if threshold is not None:
        lines.insert(1, f"Threshold: anomaly where score is above {threshold:.6g}")
    return "\n".join(lines)


def _target(run: Run, format: str, output: str | None) -> Path:
    """Returns what to write."""
    if output is not None:
        return Path(output)
    if run.folder is None:
        raise ValueError("The run is not in a folder: name the file or folder to write by output.")
    name = "saved_model" if format == "tf_saved_model" else f"model{FORMATS[format].suffix}"
    return run.folder / name
