"""Readers of a user's files: arrays, tables, IDX folders and the tutorials' pickle."""

import contextlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_sda._validation import check_rows, check_same_length, shown
from keras_sda.datasets.idx import is_idx_folder, read_idx_part
from keras_sda.datasets.labels import is_labelled, is_missing, number_classes, tell_of_class
from keras_sda.datasets.memory import check_is_file
from keras_sda.datasets.numpy_files import read_npy, read_npz
from keras_sda.datasets.outside_memory import choose_rows
from keras_sda.datasets.pickled import read_pickle
from keras_sda.datasets.placing import (
    Places,
    check_parts,
    check_test_groups,
    group_numbers,
    rows_by_column,
)
from keras_sda.datasets.table_in_file import open_table, take_rows
from keras_sda.datasets.tables import as_numbers, read_table, split_labels
from keras_sda.datasets.targets import as_kind_of, as_task

# Characters of a path that a message shows.
_PATH = 120

FORMATS = (".npz", ".npy", ".csv", ".parquet", ".pkl.gz", ".pkl")


class Split(NamedTuple):
    """Rows and their labels; unpacks as `x, y = split`.

    Attributes:
        x: Array of shape `(rows, features)`, or of images `(rows, height, width, channels)`.
        y: Array of shape `(rows,)`, or `None` for data without labels. As `load` returns it, a row
            without a label has the class number -1, or NaN where labels are no classes.
    """

    x: np.ndarray
    y: np.ndarray | None

    @property
    def labelled(self) -> "Split | None":
        """The rows with a label, of data as `load` returns them; `None` if there is no such row."""
        which = np.zeros(len(self.x), bool) if self.y is None else is_labelled(self.y)
        if which.all():
            return self
        if self.y is None or not which.any():
            return None
        return Split(choose_rows(self.x, which), self.y[which])


class Source(NamedTuple):
    """What a reader found, before splitting and scaling.

    Attributes:
        parts: `"rows"` alone if the data have no split of their own; otherwise `"train"` with or
            without `"valid"` and `"test"`. Values are raw; images keep their shape.
        name: Name of the data.
        classes: The labels that were numbered from 0, or `None` if none had to be.
        unit_range: The values to map to 0 and 1, if the kind of data fixes them.
        ordered: Whether the validation rows are the last training rows, by convention.
        seed: Seed of the split, if the kind of data fixes it.
        frame: The columns of a table; then `x` are the numbers of its rows.
        test_frame: The columns of another table of which the test rows are, or `None`.
        groups: The number of each row's group, of all rows of `frame`; `None` without groups.
    """

    parts: dict[str, Split]
    name: str
    classes: list[Any] | None = None
    unit_range: tuple[float, float] | None = None
    ordered: bool = False
    seed: int | None = None
    frame: Any = None
    test_frame: Any = None
    groups: np.ndarray | None = None

    def groups_of(self, rows: Split) -> np.ndarray | None:
        """Returns the groups of rows of `frame`."""
        return None if self.groups is None else self.groups[rows.x]

    def frame_with(self, part: str) -> Any:
        """Returns the table that the rows of a part are in."""
        is_other = part == "test" and self.test_frame is not None
        return self.test_frame if is_other else self.frame

    def frame_of(self, part: str, rows: Split) -> Any:
        """Returns the rows of a part of a table."""
        return take_rows(self.frame_with(part), rows.x)


def find(path: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None) -> Path:
    """Finds a file or folder as given, in `data_dir`, or in the folder `KERAS_SDA_DATA` names."""
    if not str(path).strip():
        raise ValueError("The data need a name or a path. Received an empty one.")
    given = Path(path).expanduser()
    roots = [data_dir, os.environ.get("KERAS_SDA_DATA")]
    candidates = [given, *(Path(root).expanduser() / given for root in roots if root)]
    for candidate in candidates:
        with contextlib.suppress(OSError, ValueError):  # no name that a file could have
            if candidate.exists():
                return candidate
    looked = " or ".join(str(candidate.absolute())[:_PATH] for candidate in candidates)
    raise FileNotFoundError(
        f"No such data file or folder: {shown(str(path))}. Looked for {looked}. Give a full path, "
        "or set KERAS_SDA_DATA to the folder that holds it."
    )


def read_source(
    path: Path,
    target: str | None = None,
    unlabelled: Any = "auto",
    task: str = "auto",
    places: Places = Places(),  # noqa: B008  (a tuple, which nothing changes)
    storage: str = "auto",
) -> Source:
    """Reads every part of a file or of an IDX folder, checks it and numbers its classes."""
    if is_table(path):
        source = _read_tables(path, target, task, places, storage)
        if target is not None and unlabelled == "auto":
            for rows in source.parts.values():
                tell_of_class(rows.y, f"Column {shown(target)} of {path}")  # type: ignore[arg-type]
    else:
        source = _read_arrays(path, target, places)
    labels, classes = number_classes(
        {part: rows.y for part, rows in source.parts.items()},
        unlabelled,
        in_table=is_table(path),
        # Labels of images are digits already, however few of them are there.
        renumber=not (source.ordered or _is_pickle(path)),
    )
    parts = {part: Split(rows.x, labels[part]) for part, rows in source.parts.items()}
    return source._replace(parts=parts, classes=classes)


def _read_tables(path: Path, target: str | None, task: str, places: Places, storage: str) -> Source:
    """Reads a table, and the one of its test rows if there is one."""
    places.check(target)
    frame, labels = split_labels(open_table(path, storage), target, path)
    places.check_frame(frame, str(path))
    parts = {"rows": np.arange(len(frame))}
    test = test_labels = groups = None
    if places.split_column is not None:
        parts = rows_by_column(frame, places.split_column, str(path))
    if places.groups is not None:
        groups = group_numbers(frame, places.groups, str(path))
        check_parts(parts, groups, places)
    owner = f"Column {shown(target)} of {path}"
    labels = None if labels is None else _check_labels(frame, labels, str(path))
    if places.test is None and labels is not None and is_missing(labels).all():
        raise ValueError(f"{owner} has no label in any row: leave the target out, or name another.")
    if places.test is not None:
        other = _find_test(path, places)
        texts = _text_names(frame) if path.suffix.lower() == ".csv" else []
        test, test_labels = split_labels(open_table(other, storage, texts), target, other)
        if places.groups is not None:
            check_test_groups(frame, test, places.groups, str(path), str(other))
        if test_labels is not None and labels is not None:
            test_labels = _check_labels(test, test_labels, str(other))
            test_labels = as_kind_of(test_labels, labels, f"Column {shown(target)} of {other}")
            both = as_task(np.concatenate([labels, test_labels]), task, owner)
            labels, test_labels = both[: len(labels)], both[len(labels) :]
        parts = {"train": parts["rows"]}
    elif labels is not None:
        labels = as_task(labels, task, owner)
    splits = {part: Split(r, None if labels is None else labels[r]) for part, r in parts.items()}
    if test is not None:
        splits["test"] = Split(np.arange(len(test)), test_labels)
    return Source(splits, path.name, frame=frame, test_frame=test, groups=groups)


def _text_names(frame: Any) -> list[str]:
    return [name for name, dtype in frame.dtypes.items() if dtype.kind not in "biufmM"]


def _find_test(path: Path, places: Places) -> Path:
    """Returns the file of test rows, which is of the kind of the others."""
    other = find(places.test, path.parent)  # type: ignore[arg-type]
    if is_table(path) != is_table(other):
        raise ValueError(
            f"Argument `test` must be a table where the training rows are one, and no table where "
            f"they are not. Received: {other} with {path}"
        )
    return other


def _read_arrays(path: Path, target: str | None, places: Places) -> Source:
    """Reads a file without names of columns, or an IDX folder, and the file of test rows."""
    is_idx = is_idx_folder(path)
    if places.notes:
        raise ValueError(
            "Arguments `split_column` and `groups` name columns of a .csv or .parquet file. "
            f"Received: {', '.join(places.notes)} with {path}"
        )
    if is_idx:
        _refuse_target(path, target)
        parts = {part: Split(*read_idx_part(path, part)) for part in ("train", "test")}
    else:
        parts = _read_parts(path, target)
    if places.test is not None:
        if "test" in parts:
            raise ValueError(
                f"{path} has test rows already. Received: test={str(places.test)!r}, which is for "
                "files without."
            )
        parts |= {"train": parts.pop("rows")} if "rows" in parts else {}
        parts["test"] = _one_part(_find_test(path, places))
        if all(rows.y is not None for part, rows in parts.items() if part != "test"):
            _check_has_labels(parts["test"], str(places.test))
    return Source(_check(path, parts), path.name, ordered=is_idx)


def _check_has_labels(rows: Split, owner: str) -> None:
    if rows.y is None:
        raise ValueError(f"The test rows of {owner} need labels, as the training rows have some.")


def read_rows(path: str | os.PathLike[str], target: str | None = None) -> Split:
    """Reads the rows of a file as they are: flattened, but neither split nor scaled.

    Use it to apply a model trained earlier, with its `Columns` or `Scaling`, to new data. If a file
    has parts, its test part is read: `x_test` of an `.npz` without `x` (or, without a test part,
    `x_train`), and the test rows of an IDX folder or of `mnist.pkl.gz`.

    Args:
        path: An `.npz`, `.npy`, `.csv` or `.parquet` file, an IDX folder, or `mnist.pkl.gz`. A path
            that does not exist is also looked for in the folder that `KERAS_SDA_DATA` names.
        target: Label column of a `.csv` or `.parquet` file; `None` if it has none.

    Returns:
        A `Split`: `x` of shape `(rows, features)`, or of a table that has text, gaps or dates, its
        pandas frame; and `y` of shape `(rows,)` or `None`, both with the values of the file. Labels
        are not renumbered, since a few new rows do not show which classes there were; missing ones
        are NaN, or empty among text.

    Raises:
        FileNotFoundError: If there is no such file, or an IDX folder is incomplete.
        ValueError: If the file is corrupt or of an unknown kind, or, unless it is a table, holds
            anything but finite numbers.
        ImportError: If pandas, or pyarrow for `.parquet`, is missing.

    Example:

    >>> import os, tempfile
    >>> import numpy as np
    >>> from keras_sda.datasets import read_rows
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "new.npy")
    ...     np.save(path, np.eye(3))
    ...     x, y = read_rows(path)
    >>> x.shape, y
    ((3, 3), None)
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(
            f"Argument `path` of read_rows() must be the path of a file. Received: {shown(path)}"
        )
    found = find(path)
    if is_table(found):
        frame, y = read_table(found, target)
        numbers = as_numbers(frame)
        y = None if y is None else _check_labels(frame, y, str(found))
        return Split(frame if numbers is None else numbers, y)
    _refuse_target(found, target)
    x, y = _one_part(found)
    return Split(x.reshape(len(x), -1), y)


def _one_part(path: Path) -> Split:
    """Returns the rows of a file, of its test part if it has parts."""
    if is_idx_folder(path):
        parts = {"test": Split(*read_idx_part(path, "test"))}
    else:
        parts = _read_parts(path, None)
    chosen = next(part for part in ("rows", "test", "train", "valid") if part in parts)
    return _check(path, {chosen: parts[chosen]})[chosen]


def _read_parts(path: Path, target: str | None) -> dict[str, Split]:
    if path.is_dir():
        raise FileNotFoundError(
            f"{path} is a folder without IDX files, such as train-images-idx3-ubyte.gz: name a "
            f"file ({', '.join(FORMATS)}) or an IDX folder."
        )
    _refuse_target(path, target)
    check_is_file(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return {"rows": Split(read_npy(path), None)}
    if suffix == ".npz":
        return {part: Split(x, y) for part, (x, y) in read_npz(path).items()}
    if _is_pickle(path):
        return {part: Split(_square(x), y) for part, (x, y) in read_pickle(path).items()}
    raise ValueError(
        f"{path} is of an unknown kind. Expected {', '.join(FORMATS)} or an IDX folder."
    )


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a table, whose labels are a column."""
    return Path(path).suffix.lower() in (".csv", ".parquet")


def _is_pickle(path: Path) -> bool:
    return path.name.lower().endswith((".pkl", ".pkl.gz"))


def _square(x: np.ndarray) -> np.ndarray:
    """Restores the shape of rows of 784 pixels, so that `flatten=False` works for this MNIST."""
    return x.reshape(-1, 28, 28) if x.ndim == 2 and x.shape[1] == 784 else x


def _refuse_target(path: Path, target: str | None) -> None:
    if target is not None:
        raise ValueError(
            "Argument `target` names the label column of a .csv or .parquet file. "
            f"Received: target={shown(target)} with {path}, which has no columns to name."
        )


def _check(path: Path, parts: dict[str, Split]) -> dict[str, Split]:
    """Checks that every part is a non-empty table of finite numbers, with one label a row."""
    checked = {}
    for part, (x, y) in parts.items():
        owner = str(path) if part == "rows" else f"The {part} part of {path}"
        check_rows(x, owner)
        if x.ndim not in (2, 3, 4):
            raise ValueError(
                f"{owner} must be rows of features, or images of shape (rows, height, width) or "
                f"(rows, height, width, channels). Received shape {x.shape}."
            )
        if y is not None:
            y = _check_labels(x, y, owner)
        checked[part] = Split(x, y)
    shapes = {part: split.x.shape[1:] for part, split in checked.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{shape} in {part}" for part, shape in shapes.items())
        raise ValueError(f"{path} must hold rows of one shape in all its parts. Received {listed}.")
    return checked


def _check_labels(x: np.ndarray, y: np.ndarray, owner: str) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ValueError(
            f"{owner} must hold one label per row, of shape (rows,). Received shape {y.shape}: "
            "pass y.argmax(axis=1) if the labels are one-hot."
        )
    check_same_length(x, y, owner)
    if y.dtype.kind != "U":
        # A missing label is none; infinity is a mistake.
        check_rows(np.nan_to_num(y, nan=0, posinf=np.inf, neginf=-np.inf), owner, name="y")
    return y
