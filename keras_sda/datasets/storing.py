"""The inputs of a table in a file, written to another file that is read while a network trains."""

import contextlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_sda.datasets.columns import Columns
from keras_sda.datasets.files import Source, Split
from keras_sda.datasets.memory import gibibytes
from keras_sda.datasets.outside_memory import StoredRows
from keras_sda.datasets.scratch import ScratchFolder, told_if_full
from keras_sda.datasets.table_in_file import TableInFile

_PREFIX = "keras_sda_rows_"


def in_file_order(source: Source, parts: Mapping[str, Split]) -> dict[str, Split]:
    """Returns parts with their rows in the order of the file, where they are read from one."""
    return {
        name: _in_order(rows) if isinstance(source.frame_with(name), TableInFile) else rows
        for name, rows in parts.items()
    }


def _in_order(rows: Split) -> Split:
    order = np.argsort(rows.x, kind="stable")
    return Split(rows.x[order], None if rows.y is None else rows.y[order])


def store_inputs(
    source: Source, parts: Mapping[str, Split], columns: Columns
) -> dict[str, StoredRows]:
    """Writes the inputs of all parts that are read from a file, each to a file of its own.

    It reads the table once, some 65,000 rows at a time. The files are removed once nothing refers
    to the rows that are returned.

    Args:
        source: Where the parts come from.
        parts: Parts as `in_file_order` returns them.
        columns: What turns the columns into inputs.

    Returns:
        Rows by part; nothing for a part that is in memory.

    Raises:
        ValueError: If temporary files have too little room.
        OSError: If the disk fills up all the same.
    """
    stored: dict[str, StoredRows] = {}
    tables = {id(source.frame): source.frame, id(source.test_frame): source.test_frame}
    for table in tables.values():
        if isinstance(table, TableInFile):
            own = {name: rows.x for name, rows in parts.items() if source.frame_with(name) is table}
            stored |= _store(table, own, columns)
    return stored


def _store(
    table: TableInFile, parts: Mapping[str, np.ndarray], columns: Columns
) -> dict[str, StoredRows]:
    """Writes the inputs of rows of one table, given by their numbers for each part."""
    width = len(columns.input_names)
    folder = ScratchFolder(_PREFIX)
    needed = 4 * width * sum(map(len, parts.values()))
    free = shutil.disk_usage(folder.path).free
    if needed > free:
        raise ValueError(
            f"{table.path} needs {gibibytes(needed)} for its rows on disk, but "
            f"{folder.path.parent} has {gibibytes(free)} left: let TMPDIR name a folder with more "
            "room."
        )
    part_of = np.full(len(table), -1, np.int8)
    for number, rows in enumerate(parts.values()):
        part_of[rows] = number
    paths = [folder.path / name for name in parts]
    sentence = (
        f"The disk of {folder.path.parent} is full before all rows of {table.path} are there: "
        "let TMPDIR name a folder with more room."
    )
    with told_if_full(sentence), contextlib.ExitStack() as stack:
        files: list[Any] = [stack.enter_context(path.open("wb")) for path in paths]
        for rows, frame in table.pieces():
            inputs, own = columns(frame), part_of[rows]
            for number, file in enumerate(files):
                inputs[own == number].tofile(file)
    return {
        name: StoredRows(path, width, folder=folder)
        for name, path in zip(parts, paths, strict=True)
    }
