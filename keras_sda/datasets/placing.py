"""Where the rows of a file belong: test rows of another file, parts by a column, groups of rows."""

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from keras_sda._validation import (
    check_choice,
    check_path,
    check_text,
    did_you_mean,
    listed,
    shown,
    wrong_argument,
)
from keras_sda.datasets.frames import read_values, to_text
from keras_sda.datasets.table_in_file import STORAGES
from keras_sda.datasets.targets import TASKS

_OWNER = "keras_sda.datasets.load"

# How people call the parts.
_SYNONYMS = {
    "train": ("train", "training", "learn", "learning"),
    "valid": ("valid", "val", "validation", "validate", "dev", "development"),
    "test": ("test", "testing", "holdout", "hold-out", "held-out"),
}
_PART_OF = {name: part for part, names in _SYNONYMS.items() for name in names}

SPLIT_NOTE = "says where a row belongs"
GROUP_NOTE = "rows of one value stay together"


class Places(NamedTuple):
    """Where rows belong, as `load` is told.

    Attributes:
        test: File of the test rows.
        split_column: Column of a table whose values are train, valid or test.
        groups: Column of a table of whose values none is in two parts.
    """

    test: str | os.PathLike[str] | None = None
    split_column: str | None = None
    groups: str | None = None

    @property
    def notes(self) -> dict[str, str]:
        """The columns that are not inputs, and why."""
        given = {self.groups: GROUP_NOTE, self.split_column: SPLIT_NOTE}
        return {name: note for name, note in given.items() if name is not None}

    def check_arguments(
        self, target: Any, ids: Any, data_dir: Any, task: Any, storage: Any
    ) -> None:
        """Refuses arguments of `load` that name nothing, whatever the data are."""
        check_choice("task", task, TASKS, _OWNER)
        check_choice("storage", storage, STORAGES, _OWNER)
        texts = {"target": target, "split_column": self.split_column, "groups": self.groups}
        for name, value in texts.items():
            if value is not None:
                check_text(name, value, _OWNER)
        for name, value in (("test", self.test), ("data_dir", data_dir)):
            if value is not None:
                check_path(name, value, _OWNER)
        if isinstance(ids, str) or not isinstance(ids, Iterable):
            raise wrong_argument("ids", _OWNER, "list names of columns", ids)

    def check(self, target: str | None) -> None:
        """Refuses what contradicts itself."""
        if self.test is not None and self.split_column is not None:
            raise ValueError(
                f"Arguments `test` and `split_column` of {_OWNER} both say which rows test: give "
                f"one of them. Received: test={shown(str(self.test))}, "
                f"split_column={shown(self.split_column)}"
            )
        given = {"target": target, "split_column": self.split_column, "groups": self.groups}
        named = {argument: name for argument, name in given.items() if name is not None}
        if len(set(named.values())) < len(named):
            received = ", ".join(f"{argument}={shown(name)}" for argument, name in named.items())
            raise ValueError(f"{_OWNER} needs a column for each of these. Received: {received}")

    def check_frame(self, frame: Any, owner: str) -> None:
        """Refuses columns that a table does not have."""
        for argument, name in (("split_column", self.split_column), ("groups", self.groups)):
            if name is not None and name not in frame.columns:
                hint = did_you_mean(name, list(frame.columns))
                raise ValueError(
                    f"Argument `{argument}` must be a column of {owner}: {hint}its columns are "
                    f"{listed(frame.columns)}. Received: {argument}={shown(name)}"
                )


def rows_by_column(frame: Any, name: str, owner: str) -> dict[str, np.ndarray]:
    """Returns the numbers of the rows of each part, as a column says where they belong.

    Args:
        frame: A table.
        name: The column. Of `"train"`, `"valid"` and `"test"`, `"train"` must be there.
        owner: The file, for error messages.

    Raises:
        ValueError: If a value is blank or none of these, or there are no training rows.
    """
    text = to_text(read_values(frame[name].tolist(), f"Column {shown(name)} of {owner}"))
    parts = np.array([_PART_OF.get((value or "").lower(), "") for value in text])
    strange = sorted({value or "(blank)" for value in text[parts == ""]})
    if strange:
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        raise ValueError(
            f"Column {shown(name)} of {owner} must say of every row train, valid or test. Received "
            f"also: {listed(strange[:5])}{more}, in {(parts == '').sum():,} rows."
        )
    found = {part: np.flatnonzero(parts == part) for part in _SYNONYMS}
    if not len(found["train"]):
        raise ValueError(
            f"Column {shown(name)} of {owner} has no row to train on: none says train."
        )
    return {part: rows for part, rows in found.items() if len(rows)}


def group_numbers(frame: Any, name: str, owner: str) -> np.ndarray:
    """Returns the number of each row's group.

    Args:
        frame: A table.
        name: The column of groups.
        owner: The file, for error messages.

    Raises:
        ValueError: If a row has no group, or all have the same.
    """
    text = _groups(frame, name, owner)
    names, numbers = np.unique(text, return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"Column {shown(name)} of {owner} has one group, {listed(names)}, which cannot be "
            "divided into parts: name another column by groups (--groups), or leave it out."
        )
    return numbers


def _groups(frame: Any, name: str, owner: str) -> np.ndarray:
    text = to_text(read_values(frame[name].tolist(), f"Column {shown(name)} of {owner}"))
    blank = sum(value is None for value in text)
    if blank:
        raise ValueError(
            f"Column {shown(name)} of {owner} must name the group of every row, and {blank:,} are "
            "blank: fill them."
        )
    return text.astype(str)


def check_test_groups(frame: Any, test: Any, name: str, owner: str, test_owner: str) -> None:
    """Refuses groups that have rows both in a table and in its table of test rows."""
    if name not in test.columns:
        return
    tested = _groups(test, name, test_owner)
    shared = set(tested) & set(_groups(frame, name, owner))
    if shared:
        raise ValueError(
            f"{_count(shared, name)} both in {owner} and among the test rows of {test_owner} "
            f"({int(np.isin(tested, list(shared)).sum()):,} rows): take them out of one of them."
        )


def check_parts(parts: dict[str, np.ndarray], groups: np.ndarray, places: Places) -> None:
    """Refuses groups that a column puts into two parts."""
    seen = [set(groups[rows].tolist()) for rows in parts.values()]
    torn = {group for number, own in enumerate(seen) for group in own & set().union(*seen[:number])}
    if torn:
        raise ValueError(
            f"{_count(torn, places.groups)} in more than one part by the column "
            f"{shown(places.split_column)}: put each into one part, or leave one of the two "
            "columns out."
        )


def _count(groups: set, name: str | None) -> str:
    one, several = (
        f"1 group of {shown(name)} has rows",
        f"{len(groups):,} groups of {shown(name)} have rows",
    )
    return one if len(groups) == 1 else several
