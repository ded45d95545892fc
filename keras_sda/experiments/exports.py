"""Exports of a run's model for other runtimes."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_sda._validation import check_fraction
from keras_sda.experiments.finished_run import Run
from keras_sda.exporting import DRAWN_ROWS, FORMATS, MAX_ROWS

# More columns are not named.
_SHOWN = 12


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
        threshold: Adds the output `anomaly`: whether `score` is above. A detector has one of its
            own.
        contamination: The same, with the threshold that this share of the training rows exceeds.
        data_dir: Folder with prepared data; by default that of the run.

    Returns:
        What was written and how far it is from the Keras model, for people to read.

    Raises:
        ValueError: If the threshold needs training rows that cannot be read, or as in
            `Autoencoder.export`.
    """
    if contamination is not None:
        check_fraction("contamination", contamination, "export")
    if contamination is not None and not run.model.reconstructs:
        raise ValueError(
            f"{type(run.model).__name__} does not reconstruct its rows, so it has no score that a "
            "threshold could stand for."
        )
    rows = None
    try:
        rows = run.raw_rows(part="train", data_dir=data_dir).x
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
        scores = run.reconstruction_error(rows)
        threshold = float(np.quantile(scores, 1 - contamination))
    target = _target(run, format, output)
    options: dict[str, Any] = {
        "scaling": run.scaling if raw and run.columns is None else None,
        "columns": run.columns if raw else None,
        "rows": rows if raw or rows is None else run.scaled(rows),
    }
    if run.detector is None or threshold is not None:
        options["threshold"] = threshold
    else:
        threshold = run.detector.threshold_
    model = run.model if run.detector is None else run.detector
    differences = model.export(target, format=format, **options)
    outputs = f"{'endpoints' if format == 'tf_saved_model' else 'outputs'} {', '.join(differences)}"
    largest = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
    lines = [
        f"{FORMATS[format].title}: {target} ({outputs}), for {'raw' if raw else 'scaled'} rows",
        *(_inputs(run, format) if raw and run.columns is not None else ()),
        f"Largest difference from Keras, on {compared}: {largest}",
    ]
    if threshold is not None:
        lines.insert(len(lines) - 1, f"Threshold: anomaly where score is above {threshold:.6g}")
    return "\n".join(lines)


def _inputs(run: Run, format: str) -> list[str]:
    """Returns what the inputs of a table are, for people to read."""
    layout, lines = run.columns.layout, []  # type: ignore[union-attr]
    for name in ("numbers", "categories"):
        if held := [place["column"] for place in layout[name]]:
            shown = ", ".join(held[:_SHOWN]) + (", ..." if len(held) > _SHOWN else "")
            lines.append(f"Input {name}, {len(held)} a row: {shown}")
    where = "the metadata `columns`" if format == "onnx" else "columns.json inside"
    return [*lines, f"All of them, and what they hold: {where}; `Columns.arrays` makes them"]


def _target(run: Run, format: str, output: str | None) -> Path:
    """Returns what to write."""
    if output is not None:
        return Path(output)
    if run.folder is None:
        raise ValueError("The run is not in a folder: name the file or folder to write by output.")
    name = "saved_model" if format == "tf_saved_model" else f"model{FORMATS[format].suffix}"
    return run.folder / name
