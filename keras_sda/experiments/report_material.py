"""What a report is made of: a run, and as much of its data as can still be read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda import datasets
from keras_sda.datasets.files import find
from keras_sda.datasets.labels import is_labelled
from keras_sda.datasets.tables import read_column_names
from keras_sda.experiments import run_folder
from keras_sda.experiments.finished_run import Run

_PARTS = ("test", "valid", "train")
_WORDS = {"test": "test rows", "valid": "validation rows", "train": "training rows"}
# What reading data may fail with: files that are not there, or not what they were.
_UNREADABLE = (ValueError, OSError, ImportError)


@dataclass(frozen=True)
class Material:
    """A run and its data, as a report needs them.

    Attributes:
        run: The run, which looks for its data in the folder that the report was given.
        found: What the data turned out to be: the entry `found` of `config.json`.
        rows: Whether rows of the data may be seen.
        data: The data, or `None` if they cannot be read.
        trouble: Why they cannot be read, as a sentence.
    """

    run: Run
    found: Mapping[str, Any]
    rows: bool
    data: datasets.Data | None
    trouble: str = ""

    @classmethod
    def of(cls, run: Run, rows: bool, data_dir: str | Path | None) -> "Material":
        """Returns the material of a report, the data read where that is possible."""
        if data_dir is not None:
            experiment = run.experiment.but({"data.data_dir": str(data_dir)})
            run = replace(run, experiment=experiment)
        if run.folder is None:
            found: Mapping[str, Any] = {"versions": run_folder.versions()}
        else:
            found = run_folder.read_config(run.folder)["found"]
        try:
            data = run.data
            _check_unchanged(data, run, found)
        except _UNREADABLE as error:
            # A message may quote a value.
            reason = f" ({' '.join(str(error).split()).rstrip('.')})" if rows else ""
            trouble = (
                f"The data could not be read when this report was written{reason}, so what needs "
                "them is left out."
            )
            return cls(run, found, rows, None, trouble)
        return cls(run, found, rows, data)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The figures of the run."""
        return self.run.metrics

    @property
    def data_name(self) -> str:
        """The name of the data set, or of the file."""
        name = self.run.experiment.data.name
        is_named = name in datasets.names() or name.startswith("tfds:")
        return name if is_named else Path(name).name

    @property
    def what_is_shown(self) -> str:
        """Says whether rows of the data can be read from the report."""
        if self.rows:
            return (
                "This page shows rows of the data, as examples and in pictures such as "
                "reconstructions and codes. Where rows are people, pass it on only to those who "
                "may see them: keras-sda report --no-rows writes a page without."
            )
        return (
            "Rows of the data were left out of this report (--no-rows): it has no example rows and "
            "no pictures from which a row could be read, such as reconstructions and codes."
        )

    @property
    def part(self) -> str:
        """The rows that are looked at: test rows, where there are any."""
        return next(part for part in _PARTS if getattr(self.data, part, None) is not None)

    @property
    def part_words(self) -> str:
        """The same, in words."""
        return _WORDS[self.part]

    @property
    def split(self) -> datasets.Split:
        """The rows that are looked at, in the shape and scale that the model takes."""
        return getattr(self.data, self.part)

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """How many rows each part has, and how many have a label, where that is known."""
        if self.data is not None:
            return run_folder.count_rows(self.data)
        if self.found.get("rows"):
            return self.found["rows"]
        measured = {part: self.metrics.get(part) for part in ("valid", "test")}
        return {
            part: {"rows": figure["rows"]}
            for part, figure in measured.items()
            if isinstance(figure, Mapping) and "rows" in figure
        }

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, if the labels are classes that the model learns."""
        if self.run.classes is not None:
            return [str(name) for name in self.run.classes]
        return [str(number) for number in range(self.run.model.num_classes or 0)]

    @property
    def counts_by_class(self) -> dict[str, list[int]]:
        """How many rows of each class each part has; nothing if labels are not classes."""
        size = len(self.class_names)
        if self.data is None or not size:
            return {}
        counts = {}
        for part in reversed(_PARTS):
            split = getattr(self.data, part)
            if split is not None and split.y is not None and split.y.dtype.kind in "iu":
                labelled = split.y[is_labelled(split.y)]
                counts[part] = np.bincount(labelled, minlength=size)[:size].tolist()
        return counts

    def name_of(self, label: Any) -> str:
        """Returns the name of a class by its number, or a label that is not a class as it is."""
        if np.isnan(label) or (isinstance(label, np.integer) and label < 0):
            return "-"
        names = self.class_names
        is_class = float(label).is_integer() and label < len(names)
        return names[int(label)] if is_class else f"{label:.6g}"

    @property
    def column_names(self) -> list[str]:
        """The names of a table's columns; none of other data, or if they cannot be read."""
        own = self.run.experiment.data
        if self.data is None or Path(own.name).suffix.lower() not in (".csv", ".parquet"):
            return []
        names = read_column_names(find(own.name, own.data_dir), own.target)
        return names if len(names) == self.split.x.shape[1] else []

    def raw_rows(self, count: int) -> Any:
        """Returns rows with the values of the data, of a table a frame; `None` of images."""
        if self.run.image_shape is not None or len(self.run.model.row_shape) != 1:
            return None
        try:
            return self.run.raw_rows(part=self.part).x[:count]
        except _UNREADABLE:  # as of a run that is not in a folder, and whose file has gone
            return None


def _check_unchanged(data: datasets.Data, run: Run, found: Mapping[str, Any]) -> None:
    """Raises a `ValueError` if the data are not those that the run was trained and measured on."""
    shape = tuple(run.model.row_shape)
    if data.train.x.shape[1:] != shape:
        raise ValueError(f"their rows have the shape {data.train.x.shape[1:]}, and not {shape}")
    now = run_folder.count_rows(data)
    before = dict(found.get("rows") or {})
    for part in ("valid", "test"):
        figure = run.metrics.get(part)
        if part not in before and isinstance(figure, Mapping) and "rows" in figure:
            before[part] = {"rows": figure["rows"]}
    for part, counts in before.items():
        rows = now.get(part, {}).get("rows", 0)
        if rows != counts["rows"]:
            raise ValueError(f"they have {rows:,} {_WORDS[part]} now, and had {counts['rows']:,}")
