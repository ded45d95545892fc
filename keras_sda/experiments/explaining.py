"""What is strange about rows, and what a run's denoiser expects where cells are missing."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda._validation import check_positive_int
from keras_sda.datasets.columns import Columns
from keras_sda.datasets.csv_files import read_text
from keras_sda.datasets.files import find, is_table
from keras_sda.datasets.filling import expected_values, fills_of, gaps_of, settled, with_values
from keras_sda.datasets.frames import as_text
from keras_sda.datasets.tables import split_labels
from keras_sda.models.leaving_out import leave_out_columns

# How often what is missing, or left out, is rebuilt from the rest: on removed cells of credit and
# california the second time brings it nearer to what was there, and a third gains no more.
_ROUNDS = 2


def impute(run: Any, frame: Any) -> Any:
    """Fills the gaps of a table by the denoiser of a run; see `Run.impute`."""
    return with_values(frame, _fills(run, frame))


def impute_file(run: Any, data: str) -> tuple[Any, dict[str, int]]:
    """Fills the gaps of a file.

    Returns:
        The whole table as a pandas frame, of a `.csv` file as text, so that what is there is copied
        as it stands; and how many cells were filled, for each column with gaps.
    """
    frame = read_whole(run, data)
    fills = _fills(run, frame)
    counts = {name: len(values) for name, (_, values) in fills.items()}
    text = read_text(find(data)) if Path(data).suffix.lower() == ".csv" else None
    if text is not None and len(text) == len(frame):
        frame = text
        fills = {
            name: (missing, _written(values, text[name]))
            for name, (missing, values) in fills.items()
        }
    return with_values(frame, fills), counts


def read_whole(run: Any, data: str) -> Any:
    """Returns a table with all its columns, also the label's, as a frame."""
    if run.columns is None:
        raise ValueError(f"The run was not trained on a table, so that {data} means nothing to it.")
    if not is_table(data):
        raise ValueError(f"Give a .csv or .parquet file of the run's columns. Received: {data}")
    path = find(data)
    return split_labels(run.frame(path), None, path)[0]


def _fills(run, frame):
    if run.columns is None:
        raise ValueError(
            f"{run.experiment.data.name} is not a table of named columns: gaps are filled by the "
            "run of a .csv or .parquet file."
        )
    x = run.columns(frame)
    groups = run.columns.groups
    widths = [group.stop - group.start for group in groups]
    is_missing = np.repeat(gaps_of(run.columns, frame), widths, axis=1)
    filled = rebuilt = np.where(is_missing, neutral_inputs(run.columns), x)
    for _ in range(_ROUNDS):
        rebuilt = run.reconstruct(filled)
        for group in groups:  # what has been filled is missing no more
            if group.has_flag:
                rebuilt[:, group.stop - 1] = 0.0
        filled = np.where(is_missing, rebuilt, x)
    return fills_of(run.columns, frame, rebuilt)


def short_text(value: Any) -> str:
    """Returns a value as a person would write it: of numbers four digits count.

    >>> short_text(21412.7), short_text(984.31), short_text("rent")
    ('21,410', '984.3', 'rent')
    """
    if not isinstance(value, float):
        return str(value)
    # Powers of ten only where zeros would hide the digits.
    return f"{float(f'{value:.4g}'):,.10g}" if abs(value) < 1e9 else f"{value:.4g}"


def _written(values, column):
    """Returns values as text to stand among the text of a column."""
    # Among percentages, a number without the sign could mean anything.
    sign = "%" if column.str.strip().str.endswith("%").any() else ""
    return [
        as_text(float(f"{value:.6g}")) + sign if isinstance(value, float) else str(value)
        for value in values
    ]


def explain(run: Any, data: Any, top: int, columns: int) -> Any:
    """Explains rows of a table, or raw rows of numbers; see `Run.explain`."""
    import pandas as pd

    check_positive_int("top", top, "Run.explain()")
    check_positive_int("columns", columns, "Run.explain()")
    if len(run.model.row_shape) != 1 or run.image_shape is not None:
        raise ValueError(
            "Pixels are not explained one by one: `keras-sda plot RUN reconstructions` shows what "
            "was expected of an image."
        )
    if not run.model.reconstructs:
        run.reconstruct(np.zeros((1, *run.model.row_shape), "float32"))  # says why not
    x = run.scaled(np.asarray(data)) if run.columns is None else run.columns(data)
    is_detector = run.detector is not None
    judge = functools.partial(_scores, run) if is_detector else run.model.reconstruction_error
    errors = judge(x)
    if run.columns is None and not is_detector:
        errors = errors + run.scaling.excess(np.asarray(data)).astype(errors.dtype)
    order = np.argsort(-errors, kind="stable")[:top]
    groups, neutral = _columns_of(run, x)
    settle = None if run.columns is None else functools.partial(settled, run.columns)
    expected, costs = leave_out_columns(
        run.model.reconstruct,
        judge,
        x[order],
        groups,
        neutral,
        _ROUNDS,
        settle,
    )
    names, found, values = _in_own_units(run, data, order, expected)
    if run.columns is not None:  # what is missing is not strange
        costs[gaps_of(run.columns, data)[order]] = -np.inf
    lines = []
    for place, row in enumerate(order):
        own, wanted = ([column[place] for column in every] for every in (found, values))
        for column in _strangest(costs[place], own, wanted)[:columns]:
            line = (names[column], own[column], wanted[column], float(costs[place, column]))
            lines.append((int(row), float(errors[row]), *line))
    return pd.DataFrame(lines, columns=["row", "row_error", "column", "value", "expected", "error"])


def _scores(run, x):
    """Returns the scores of a detector, high for strange rows."""
    return -run.detector.score_samples(x)


def _strangest(costs, found, expected):
    """Returns the columns of a row, the costliest first, without those that are as expected."""
    order = np.argsort(-costs, kind="stable")
    strange = [n for n in order if costs[n] > 0 and as_text(found[n]) != as_text(expected[n])]
    return strange or order[:1].tolist()


def _columns_of(run, x):
    """Returns the inputs of each column, and what stands for no knowledge of it."""
    if run.columns is None:
        return [(place, place + 1) for place in range(x.shape[1])], x.mean(axis=0)
    groups = [(group.start, group.stop) for group in run.columns.groups]
    return groups, neutral_inputs(run.columns)


def neutral_inputs(columns: Columns) -> np.ndarray:
    """Returns inputs that say nothing of any column: the middle of its scale, no category."""
    neutral = np.zeros(len(columns.input_names), "float32")
    for column, group in zip(columns.used, columns.groups, strict=True):
        if column.number is not None:
            neutral[group.start] = column.number.centre
        elif group.kind == "binary":
            neutral[group.start] = 0.5
    return neutral


def _in_own_units(run, data, order, expected):
    """Returns names of the columns, and for each the values found and expected in some rows."""
    if run.columns is None:
        raw = expected.astype("float64") / run.scaling.factor + run.scaling.offset
        found = np.asarray(data)[order].reshape(raw.shape)
        return [f"feature {place}" for place in range(raw.shape[1])], found.T, raw.T
    used = run.columns.used
    table = run.columns.read(data)
    found = [_taken(table[column.name], order) for column in used]
    values = [
        expected_values(column, expected[:, group.start : group.stop])
        for column, group in zip(used, run.columns.groups, strict=True)
    ]
    return [column.name for column in used], found, values


def _taken(column, rows):
    items = list(column)
    return [items[row] for row in rows]
