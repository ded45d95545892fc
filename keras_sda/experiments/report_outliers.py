"""The section of a report on a detector that names the strangest rows, and why they are."""

from collections.abc import Iterator
from typing import Any

from keras_sda.experiments.explaining import short_text
from keras_sda.experiments.html import Html, code, paragraph, table
from keras_sda.experiments.report_data import PARTS
from keras_sda.experiments.report_material import Material

# Rows, and columns of each.
_ROWS, _COLUMNS = 10, 3


def explain(material: Material) -> Iterator[Html]:
    """Yields the strangest rows of a table with their reasons, if rows may be seen."""
    run = material.run
    if run.detector is None or run.columns is None or material.data is None or not material.rows:
        return
    import pandas as pd

    parts = [part for part in PARTS if getattr(material.data, part) is not None]
    frames: list[Any] = [run.raw_rows(part=part).x for part in parts]
    names = [PARTS[part] for part, frame in zip(parts, frames, strict=True) for _ in frame.index]
    rows = pd.concat(frames)
    lines = []
    for row, reasons in run.explain(rows, _ROWS, _COLUMNS).groupby("row", sort=False):
        score = reasons["row_error"].iloc[0]
        flagged = "yes" if score > run.detector.threshold_ else "no"
        words = "; ".join(
            f"{each.column}: {short_text(each.value)}, expected {short_text(each.expected)}"
            for each in reasons.itertuples()
        )
        lines.append([rows.index[row], names[row], f"{score:.4f}", flagged, words])
    yield table(
        ["Row", "Part", "Score", "Flagged", "What is strange, and what was expected"], lines
    )
    yield paragraph(
        *("Rows are counted from 0, as they are in the file. What is expected of a value is "),
        *("rebuilt without it; of new rows, ", code("keras-sda explain"), " tells the same."),
        kind="small",
    )
