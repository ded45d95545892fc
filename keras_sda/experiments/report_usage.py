"""How the model of a run is used, in a report: commands and lines of Python that can be copied."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda import datasets
from keras_sda.experiments.html import Html, block, code, element, paragraph
from keras_sda.experiments.report_material import Material

# What new rows are read from; data of other kinds, such as a folder of IDX files, have no rows
# without parts.
_FILES = (".csv", ".npy", ".npz", ".parquet")


def explain(material: Material) -> Iterator[Html]:
    """Yields how to use the model from Python, the command line and as a SavedModel."""
    if material.run.folder is None:
        yield paragraph(
            *("This run is not in a folder: save its model by ", code("run.model.save(...)")),
            *(", or give ", code("experiments.run"), " a folder."),
        )
        return
    usage = _Usage(material)
    yield element("h3", "From Python")
    yield paragraph("New rows are scaled as the training rows were.")
    yield block("\n".join(usage.python()))
    yield element("h3", "From the command line")
    yield block("\n".join(usage.commands()))
    yield element("h3", "As a SavedModel")
    takes: tuple[Any, ...] = ("The exported model takes raw rows, float32 of shape ",)
    takes += (code(usage.shape("n")), ", scales them itself, and needs TensorFlow alone. ")
    if material.run.columns is not None:
        takes = ("The exported model takes raw rows as numbers and categories, of which ",)
        takes += (code("columns.json"), " in its folder tells the columns. ")
    yield paragraph(
        *takes,
        *("For other runtimes: ", code("--format onnx"), " or ", code("--format litert"), "."),
    )
    yield block(f"keras-sda export {usage.quoted}")
    yield block("\n".join(usage.saved_model()))


class _Usage:
    """Lines of code for one run."""

    def __init__(self, material: Material) -> None:
        run = material.run
        self.run = run
        self.model: Any = run.model
        self.folder = run.folder or Path()
        self.quoted = shlex.quote(str(self.folder))
        self.own = run.experiment.data
        self.is_named = self.own.name in datasets.names() or self.own.name.startswith("tfds:")
        self.is_readable = material.data is not None
        self.part = material.part if self.is_readable else "test"
        suffix = Path(self.own.name).suffix.lower()
        self.new_file = f"new{suffix if suffix in _FILES else '.csv'}"
        self.has_codes = hasattr(self.model, "encode") and getattr(self.model, "levels", None) != []
        self.reconstructs = self.model.reconstructs

    def shape(self, count: Any, shape: Any = None) -> str:
        """Returns the shape of so many rows as Python writes it; by default that of the input."""
        inner = self.model.row_shape if shape is None else shape
        return f"({', '.join(map(str, (count, *inner)))})"

    def python(self) -> Iterator[str]:
        """Yields lines that read the run and use its model."""
        row = np.zeros((1, *self.model.row_shape), "float32")
        # The run of a table knows its label column.
        is_known = self.own.target is None or self.run.columns is not None
        target = "" if is_known else f", target={self.own.target!r}"
        new_rows = f"run.rows({self.new_file!r}{target})"
        yield "from keras_sda import experiments"
        yield ""
        yield f"run = experiments.load_run({str(self.folder)!r})"
        if self.is_readable:
            given = [] if self.part == "test" else [f"part={self.part!r}"]
            given += [] if self.own.data_dir is None else [f"data_dir={self.own.data_dir!r}"]
            yield f"x, y = run.rows({', '.join(given)})  # or {new_rows}"
        else:
            yield f"x, y = {new_rows}"
        has_head = getattr(self.model, "head", None) is not None
        outputs = "reconstructions" if self.reconstructs and not has_head else "predictions"
        outputs = outputs if self.model.num_classes is None else "class probabilities"
        of_row = self.model.predict(row, verbose=0).shape[1:]
        yield f"run.model.predict(x)  # {outputs}, {self.shape('n', of_row)}"
        if self.has_codes:
            yield f"run.encode(x)  # codes, {self.shape('n', self.run.encode(row).shape[1:])}"
        if self.run.detector is not None:
            yield "run.detector.predict(x)  # (n,): -1 for outliers"
            yield "-run.detector.score_samples(x)  # (n,): the larger, the stranger the row"
        elif self.reconstructs:
            yield "run.model.reconstruction_error(x)  # (n,): the larger, the stranger the row"

    def commands(self) -> Iterator[str]:
        """Yields commands that use the run."""
        own = "" if self.part == "test" else f" --part {self.part}"
        if self.own.data_dir is not None:
            own += f" --data-dir {shlex.quote(self.own.data_dir)}"
        rows = f"{shlex.quote(self.own.name)}{own}" if self.is_named else self.new_file
        is_table = self.run.columns is not None
        is_known = self.own.target is None or is_table
        target = "" if is_known else f" --target {shlex.quote(str(self.own.target))}"
        if self.is_readable:
            yield f"keras-sda evaluate {self.quoted}{own}"
        if not self.is_named:
            yield f"keras-sda evaluate {self.quoted} --data {self.new_file}{target}"
        if self.has_codes:
            suffix = ".csv" if is_table else ".npy"
            yield f"keras-sda encode {self.quoted} {rows} --output codes{suffix}"
        if self.reconstructs:
            units = " --output reconstructions.csv  # in the table's units" if is_table else ""
            yield f"keras-sda reconstruct {self.quoted} {rows}{units}"
        if self.is_readable:
            yield f"keras-sda plot {self.quoted}{own}"
        again = shlex.quote(f"{self.folder}-again")
        yield f"keras-sda train --like {self.quoted} --output {again}  # the same once more"

    def saved_model(self) -> Iterator[str]:
        """Yields lines that use the exported model."""
        is_table = self.run.columns is not None
        yield "import pandas as pd" if is_table else "import numpy as np"
        yield "import tensorflow as tf"
        yield from ["from keras_sda import experiments"] if is_table else []
        yield ""
        yield f"model = tf.saved_model.load({str(self.folder / 'saved_model')!r})"
        if is_table:
            read = "read_parquet" if self.new_file.endswith(".parquet") else "read_csv"
            yield f"columns = experiments.load_run({str(self.folder)!r}).columns"
            yield f"rows = columns.arrays(pd.{read}({self.new_file!r}))"
            rows = "**rows"
        else:
            yield f'rows = np.zeros({self.shape(2)}, "float32")  # two raw rows'
            rows = "rows"
        yield f"model.serve({rows})  # what predict returns"
        if self.has_codes:
            yield f"model.encode({rows})"
        if self.reconstructs:
            yield f"model.reconstruct({rows})"
            yield f"model.score({rows})  # the reconstruction error of each row"
