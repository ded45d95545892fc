"""The section of a report that says what the rows are: columns, parts, classes, examples."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_sda.datasets.duplicates import describe_duplicates
from keras_sda.experiments import report_columns
from keras_sda.experiments.figures import predicted_classes
from keras_sda.experiments.html import (
    Html,
    code,
    facts,
    folded,
    join,
    paragraph,
    table,
)
from keras_sda.experiments.parts import Data
from keras_sda.experiments.report_material import Material

PARTS = {"train": "Training", "valid": "Validation", "test": "Test"}
_SCALES = {
    "unit": "to [0, 1]",
    "symmetric": "to [-1, 1]",
    "standard": "to mean 0 and standard deviation 1",
    "robust": "to mean 0 and standard deviation 1, of values cut far out",
    "squash": "numbers by median and quartiles, squashed far out",
    "quantile": "numbers to normal scores of their ranks",
    None: "none, values as they are",
}
# Names of classes and columns that are written out; of more, the first.
_NAMES = 40
# Longer tables of columns or classes are folded.
_MOST_SHOWN = 30
# Rows and columns of the examples.
_EXAMPLES, _COLUMNS = 5, 6


def explain(material: Material) -> Iterator[Html]:
    """Yields what the rows are, how they were divided, and what each column is."""
    yield facts(_entries(material))
    if material.data is None:
        yield paragraph(material.trouble, kind="note")
    yield from _row_counts(material)
    if words := describe_duplicates(material.metrics.get("duplicates", {})):
        yield paragraph(words, kind="note")
    yield from report_columns.explain(material)
    yield from _examples(material)


def _entries(material: Material) -> dict[str, Any]:
    run, own = material.run, material.run.experiment.data
    classes = material.class_names
    entries: dict[str, Any] = {"Data set": code(own.name)}
    if own.target is not None:
        entries["Label column"] = code(own.target)
    columns = run.columns
    if columns is not None:
        entries["Columns"] = f"{len(columns.columns)}, of which {len(columns.used)} are inputs"
        if columns.ids:
            entries["Columns that name rows"] = join(map(code, columns.ids), ", ")
    entries["Features of a row"] = _shape(run.model.row_shape)
    if run.image_shape is not None and len(run.model.row_shape) == 1:
        entries["Features of a row"] += f", images of {_shape(run.image_shape)}"
    if classes:
        entries["Classes"] = f"{len(classes)}: {_listed(classes)}"
    scale = own.scale
    if scale == "auto":
        scale = "unit" if columns is None else "squash"
    entries["Scaling"] = _SCALES.get(scale, scale)
    entries["Split"] = code(own.split) if columns is None else _split_of_table(own)
    if own.groups is not None:
        number = _num_groups(material)
        entries["Groups"] = join(
            [number, "of the column ", code(own.groups), ", of which none is in two parts"]
        )
    return entries


def _split_of_table(own: Data) -> Html:
    """Returns in words which rows of a table validate and test."""
    if own.split_column is not None:
        return join(["by the column ", code(own.split_column)])
    validates = "" if own.split == "full" else "{} of the rows validates"
    if own.test is None:
        words = [validates.format("a tenth"), "a fifth of the rows tests"]
        return join(["at random: ", ", ".join(word for word in words if word)])
    drawn = f", {validates.format('a sixth')}, drawn at random" if validates else ""
    return join(["the file ", code(own.test), f" tests{drawn}"])


def _num_groups(material: Material) -> str:
    groups = None if material.data is None else material.data.groups
    if groups is None:
        return ""
    return f"{len(np.unique(np.concatenate(list(groups.values())))):,} groups "


def _shape(shape: Any) -> str:
    return " x ".join(map(str, shape))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _row_counts(material: Material) -> Iterator[Html]:
    """Yields how many rows and labels there are, also by class."""
    counts = material.counts
    if counts:
        lines = [
            [PARTS[part], f"{count['rows']:,}", *_thousands(count.get("labelled"))]
            for part, count in counts.items()
        ]
        header = ["Rows", "Number"] + (["With a label"] if len(lines[0]) > 2 else [])
        yield table(header, lines)
    by_class = material.counts_by_class
    if by_class:
        parts = list(by_class)
        lines = [
            [name, *(_with_share(by_class[part][number], sum(by_class[part])) for part in parts)]
            for number, name in enumerate(material.class_names)
        ]
        title = "Labelled rows of each class"
        header = ["Class", *(PARTS[part] for part in parts)]
        short = len(lines) <= _MOST_SHOWN
        yield table(header, lines, title) if short else folded(title, table(header, lines))


def _with_share(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / total:.1f} %)" if total else "-"


def _thousands(count: int | None) -> list[str]:
    return [] if count is None else [f"{count:,}"]


def _examples(material: Material) -> Iterator[Html]:
    """Yields a few rows of a table with what the model makes of them."""
    if not material.rows or material.data is None:
        return
    x = material.split.x[:_EXAMPLES]
    shown, how = _shown_rows(material, x)
    if not shown:
        return
    columns = [*_outcomes(material, x), *list(shown.items())[:_COLUMNS]]
    if len(shown) > _COLUMNS:
        columns.append(("…", ["…"] * len(x)))
    lines = [[row + 1, *(cells[row] for _, cells in columns)] for row in range(len(x))]
    title = f"The first {len(x)} {material.part_words}, {how}"
    yield table(["Row", *(name for name, _ in columns)], lines, title)


def _shown_rows(material: Material, x: Any) -> tuple[dict[str, list[str]], str]:
    """Returns the columns of rows as text, and where they are from."""
    raw, columns = material.raw_rows(len(x)), material.run.columns
    if raw is not None and columns is not None:
        cells = {column.name: _texts(raw[column.name].tolist()) for column in columns.used}
        return cells, "as they are in the data"
    if raw is not None:
        names = material.column_names or [f"Feature {number}" for number in range(raw.shape[1])]
        cells = {name: _texts(raw[:, number]) for number, name in enumerate(names)}
        return cells, "as they are in the data"
    if columns is None:
        return {}, ""
    frame = columns.inverse(x)
    cells = {name: _texts(frame[name].tolist()) for name in frame.columns}
    return cells, "in the units of the table, as the network is given them"


def _texts(values: Any) -> list[str]:
    """Returns values as cells, a dash where one is missing."""
    written = (f"{value:.6g}" if isinstance(value, float) else str(value) for value in values)
    return ["-" if text in ("nan", "None", "NaT") else text for text in written]


def _outcomes(material: Material, x: Any) -> list[tuple[str, list[str]]]:
    """Returns the labels of the first rows, and what the model makes of them, with headings."""
    outcomes = []
    model: Any = material.run.model
    labels = material.split.y
    if labels is not None:
        outcomes.append(("Label", [material.name_of(label) for label in labels[: len(x)]]))
    if model.num_classes is not None:
        predicted = predicted_classes(model, x)
        outcomes.append(("Predicted", [material.name_of(number) for number in predicted]))
    elif getattr(model, "head", None) is not None:
        predicted = model.predict(x, verbose=0).reshape(len(x), -1)[:, 0]
        outcomes.append(("Predicted", [f"{number:.6g}" for number in predicted]))
    elif material.run.detector is not None:
        scores = -material.run.detector.score_samples(x)
        outcomes.append(("Score", [f"{score:.4f}" for score in scores]))
    else:
        errors = model.reconstruction_error(x)
        outcomes.append(("Reconstruction error", [f"{error:.4f}" for error in errors]))
    return outcomes
