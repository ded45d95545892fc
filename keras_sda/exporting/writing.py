"""Writes an export next to its target, checks it there, and only then replaces the target."""

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from keras_sda._validation import check_choice, check_path, check_positive
from keras_sda.exporting.formats import FORMATS, Format
from keras_sda.exporting.graph import ExportGraph
from keras_sda.exporting.parity import largest_differences, rows_to_compare

# Formats that Keras writes by itself, with a single output.
_OTHER_FORMATS = ("openvino", "torch")

# Under mixed precision: twice the spacing of numbers around 1, as the same sums in another order
# round differently.
_TOLERANCES = {"bfloat16": 2.0**-6, "float16": 2.0**-9}


def export_model(
    model: keras.Model,
    functions: Mapping[str, Callable[[Any], Any]],
    filepath: str | os.PathLike[str],
    format: str = "tf_saved_model",
    *,
    scaling: Any = None,
    columns: Any = None,
    threshold: float | None = None,
    counts_clipped: bool = True,
    rows: Any = None,
    tolerance: float | None = None,
    **options: Any,
) -> dict[str, float] | None:
    """Writes a model with named outputs, and compares what was written with the model.

    The export is first written next to its target, loaded there by its own runtime and compared. It
    replaces the target only if all is well, so that a failure leaves an older export as it was.

    Args:
        model: The Keras model behind `serve`, with a `row_shape`.
        functions: Functions of scaled rows, such as Keras models, by the names of the outputs.
        filepath: Folder of a SavedModel, or file that ends in `.onnx` or `.tflite`; an earlier
            export there is replaced.
        format: `"tf_saved_model"`, `"onnx"` or `"litert"`; other formats are left to Keras.
        scaling: See `Autoencoder.export`, as for all arguments below.
        columns: The `Columns` of a table, instead.
        threshold: Adds the output `anomaly`.
        counts_clipped: Whether `score` counts what the scaling clips; not if it limits on purpose.
        rows: Rows to compare on.
        tolerance: Largest difference allowed, by default 1e-5.
        **options: As in `keras.Model.export`.

    Returns:
        The largest difference of each output; `None` for a format left to Keras.

    Raises:
        ValueError: If the backend cannot write the format, an argument is not valid, there is
            something other than an export at `filepath`, or the export differs from the model.
        ImportError: If a package is missing; the message names the extra that installs it.
    """
    owner = f"{type(model).__name__}.export()"
    check_choice("format", format, (*FORMATS, *_OTHER_FORMATS), owner)
    check_path("filepath", filepath, owner)
    if format in _OTHER_FORMATS:
        if any(argument is not None for argument in (scaling, columns, threshold, rows)):
            raise ValueError(
                f"Arguments `scaling`, `columns`, `threshold` and `rows` of {owner} are for the "
                f"formats {', '.join(map(repr, FORMATS))}. Received: format={format!r}; leave them "
                "out."
            )
        keras.Model.export(model, filepath, format=format, **options)
        return None
    if tolerance is None:
        tolerance = _TOLERANCES.get(model.compute_dtype, 1e-5)
    tolerance = check_positive("tolerance", tolerance, owner)
    graph = ExportGraph(model, functions, scaling, threshold, counts_clipped, columns)
    chosen, target = FORMATS[format], Path(filepath)
    if rows is not None:
        rows = graph.rows.check(rows, owner)
    chosen.check(graph, model)
    chosen.check_target(target)
    _check_writable(target)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        written = Path(folder) / f"new{chosen.suffix}"
        _write(chosen, graph, written, options)
        differences = _compare(chosen, graph, written, rows, tolerance, target)
        _put_in_place(written, target, Path(folder) / "old")
    return differences


def _check_writable(target):
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise ValueError(
            f"{target.parent} cannot be written ({error.strerror}): export to another folder."
        ) from error


def _write(chosen: Format, graph: ExportGraph, path: Path, options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        # The converters warn of versions of NumPy and TensorFlow newer than those they are for.
        warnings.simplefilter("ignore")
        try:
            chosen.write(graph, path, **options)
        except OSError:
            raise  # it says what is wrong with the disk
        except Exception as error:
            raise ValueError(
                f"Keras could not convert this {type(graph.parts[0]).__name__} to {chosen.title} "
                f"({_first_line(error)}): export it in another format."
            ) from error


def _compare(chosen, graph, written, rows, tolerance, target):
    """Returns the differences between model and export; refuses differences that are too large."""
    kept = f"nothing was written to {target}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run = chosen.load(written)
            given = rows_to_compare(graph, rows)
            differences = largest_differences(graph, run, given, tolerance)
        except Exception as error:
            raise ValueError(
                f"The exported {chosen.title} does not run ({_first_line(error)}); {kept}: export "
                "it in another format."
            ) from error
    # Not `>`, which NaN would pass.
    wrong = {name: value for name, value in differences.items() if not value <= tolerance}
    if wrong:
        worst = max(wrong, key=wrong.__getitem__)
        remedy = "pass a larger `tolerance` if that is good enough"
        if graph.rows.is_mapped:
            remedy = f"{graph.rows.remedy}, or {remedy}"
        raise ValueError(
            f"The exported {chosen.title} must agree with the Keras model to {tolerance:g}, but "
            f"differs by {wrong[worst]:.2g} in `{worst}`; {kept}: {remedy}."
        )
    return differences


def _first_line(error):
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"


def _put_in_place(written: Path, target: Path, old: Path) -> None:
    if written.is_file():
        os.replace(written, target)
        return
    # A folder cannot replace another in one step.
    existed = target.exists()
    if existed:
        target.rename(old)
    try:
        written.rename(target)
    except OSError:
        if existed:
            old.rename(target)
        raise
