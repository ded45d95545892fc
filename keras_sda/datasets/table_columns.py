"""The columns of a table that `load` reads, and when they are a `Scaling`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keras_sda.datasets.columns import Columns
from keras_sda.datasets.scaling import SCALES, Scaling
from keras_sda.datasets.tables import are_numbers


def choose_columns(
    frame: Any,
    train: Any,
    target: str | None,
    ids: tuple[str, ...],
    kinds: Mapping[str, str] | None,
    scale: str | None,
    notes: Mapping[str, str],
) -> Columns:
    """Fits the columns on the training rows of a table.

    Args:
        frame: All rows, without the label column.
        train: The training rows.
        target: Name of the label column.
        ids: Columns that name rows.
        kinds: Kinds asked for.
        scale: See `Columns.fit`.
        notes: Columns that are not inputs, and why.
    """
    kinds = dict(kinds or {}) | dict.fromkeys(notes, "ignore")
    rest = frame.drop(columns=[name for name in (*ids, *notes) if name in frame.columns])
    if scale in SCALES and are_numbers(rest):
        # As other data are scaled: all columns, constants, too.
        kinds = dict.fromkeys(rest.columns, "numeric") | kinds
    fitted = Columns.fit(train, None, ids, kinds, scale).columns
    noted = (replace(c, note=notes[c.name]) if c.name in notes else c for c in fitted)
    return Columns(tuple(noted), target, ids)


def plain_scaling(columns: Columns) -> Scaling | None:
    """Returns columns as a `Scaling` if all of them are scaled by a straight line, or `None`."""
    maps = [column.number for column in columns.columns if column.kind == "numeric"]
    if len(maps) != len(columns.columns) or columns.ids:
        return None
    scales = {made.scale for made in maps if made is not None}
    if not scales <= set(SCALES) or len(columns.input_names) != len(maps):
        return None
    offset = tuple(made.offset for made in maps if made is not None)
    factor = tuple(made.factor for made in maps if made is not None)
    if scales == {None}:
        return Scaling()
    if scales == {"robust"}:  # the only one whose bounds differ from column to column
        bounds = (tuple(getattr(made, name) for made in maps) for name in ("low", "high"))
        return Scaling(offset, factor, *bounds)
    low, high = next((made.low, made.high) for made in maps if made is not None)
    return Scaling(offset, factor, low, high)
