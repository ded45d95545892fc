"""The table of columns in a report: what each is, what became of it, and how well it is rebuilt."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_sda import plots
from keras_sda.datasets.outside_memory import rows_to_describe
from keras_sda.experiments.html import Html, code, folded, join, paragraph, table
from keras_sda.experiments.report_material import Material
from keras_sda.losses import ColumnwiseLoss

# Longer tables are folded; of data that are no table, the first names are written out.
_MOST_SHOWN, _NAMES = 30, 40
# As many rows tell a mean loss well enough.
_ROWS = 2_000
_LEAST = 1e-7


def explain(material: Material) -> Iterator[Html]:
    """Yields what each column of a table is, and what became of it."""
    columns = material.run.columns
    if columns is None:
        yield from _names(material)
        return
    header = ["Column", "Kind", "Values", "Missing", "What the network gets"]
    lines: list[list[Any]] = [
        [
            *(code(c.name), c.kind, c.values),
            *(f"{100 * c.missing:.1f} %" if c.missing else "-", c.treatment),
        ]
        for c in columns.columns
    ]
    for column, line in zip(columns.columns, lines, strict=True):
        if column.kind == "ignored":
            line[-1] = join(["nothing: ", column.note])
    if not material.rows:  # a smallest or largest value is one of a row
        header.remove("Values")
        lines = [[*line[:2], *line[3:]] for line in lines]
    measured = _measured(material)
    used = [column.name for column in columns.used]
    for title, values in measured.items():
        header.append(title)
        cells = dict(zip(used, values, strict=True))
        for column, line in zip(columns.columns, lines, strict=True):
            line.append(cells.get(column.name, "-"))
    title = f"The {len(lines)} columns, as the training rows have them"
    is_long = len(lines) > _MOST_SHOWN
    yield folded(title, table(header, lines)) if is_long else table(header, lines, title)
    if "Loss" in measured:
        yield paragraph(
            f"The loss is that of the {material.part_words}, rebuilt after the noise: 1 is what "
            "saying the mean or the frequencies of the training rows would have, and above 1 is "
            "worse than that.",
            kind="small",
        )


def _names(material: Material) -> Iterator[Html]:
    names = material.column_names
    if names:
        listed = join(map(code, names[:_NAMES]), ", ")
        more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        yield folded(f"The {len(names)} columns", paragraph(listed, more))


def _measured(material: Material) -> dict[str, list[str]]:
    """Returns what is known of each column that is used: share changed by noise, and loss."""
    model: Any = material.run.model
    columns = material.run.columns
    if material.data is None or columns is None:
        return {}
    noise = getattr(model, "noise_layers", [getattr(model, "noise", None)])[0]
    found: dict[str, list[str]] = {}
    if hasattr(noise, "effective_rate") and len(material.data.train.x) > 1:
        rates = noise.effective_rate(rows_to_describe(material.data.train.x))
        if len(rates) == len(columns.used):
            found["Changed by noise"] = [f"{100 * rate:.1f} %" for rate in rates]
    loss = getattr(_denoiser(model), "reconstruction_loss", None)
    if isinstance(loss, ColumnwiseLoss) and model.reconstructs:
        losses = column_losses(model, noise, loss, material.split.x[:_ROWS])
        found["Loss"] = [f"{value:.2f}" for value in losses]
    return found


def _denoiser(model: Any) -> Any:
    """Returns what reconstructs the rows of a model."""
    return getattr(model, "denoiser", None) or getattr(model, "autoencoder", model)


def column_losses(model: Any, noise: Any, loss: ColumnwiseLoss, x: np.ndarray) -> np.ndarray:
    """Returns the mean loss of each column after the noise, as a share of its marginal loss.

    Args:
        model: A model that reconstructs rows.
        noise: The noise of its first level, or `None` for clean rows.
        loss: Its reconstruction loss.
        x: Rows, of shape `(rows, inputs)`.
    """
    given = x if noise is None else plots.corrupt_rows(noise, x).astype(x.dtype)
    scores = _before_activation(loss, np.asarray(model.reconstruct(given), "float64"))
    by_column = keras.ops.convert_to_numpy(loss.by_column(x, scores.astype(x.dtype)))
    return by_column.mean(axis=0) / np.maximum(loss.marginals, _LEAST)


def _before_activation(loss: ColumnwiseLoss, rebuilt: np.ndarray) -> np.ndarray:
    """Returns what the activation of the loss has turned into a reconstruction."""
    scores = rebuilt.copy()
    for group in loss.groups:
        bits = slice(group.start, group.stop)
        if group.kind == "numeric":
            bits = slice(group.stop - group.has_flag, group.stop)
        shares = np.clip(rebuilt[:, bits], _LEAST, 1 - _LEAST)
        is_category = group.kind == "categorical"
        scores[:, bits] = np.log(shares) if is_category else np.log(shares / (1 - shares))
    return scores
