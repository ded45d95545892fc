"""Readers of a user's files: arrays, tables, IDX folders and the tutorials' pickle."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_sda._validation import check_rows, check_same_length
from keras_sda.datasets.idx import is_idx_folder, read_idx_part
from keras_sda.datasets.labels import is_labelled, number_classes, tell_of_class
from keras_sda.datasets.pickled import read_pickle
from keras_sda.datasets.tables import as_numbers, read_table
from keras_sda.datasets.targets import as_task

FORMATS = (".npz", ".npy", ".csv", ".parquet", ".pkl.gz", ".pkl")

_NPZ_ENDINGS = (("train", "_train"), ("valid", "_valid"), ("valid", "_val"), ("test", "_test"))


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
        return Split(self.x[which], self.y[which]) if self.y is not None and which.any() else None


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
    """

    parts: dict[str, Split]
    name: str
    classes: list[Any] | None = None
    unit_range: tuple[float, float] | None = None
    ordered: bool = False
    seed: int | None = None
    frame: Any = None


def find(path: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None) -> Path:
    """Finds a file or folder as given, in `data_dir`, or in the folder `KERAS_SDA_DATA` names."""
    given = Path(path).expanduser()
    roots = [data_dir, os.environ.get("KERAS_SDA_DATA")]
    candidates = [given, *(Path(root).expanduser() / given for root in roots if root)]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    looked = " or ".join(str(candidate.absolute()) for candidate in candidates)
    raise FileNotFoundError(
        f"No such data file or folder: {str(path)!r}. Looked for {looked}. Give a full path, or "
        "set KERAS_SDA_DATA to the folder that holds it."
    )


def read_source(
    path: Path, target: str | None = None, unlabelled: Any = "auto", task: str = "auto"
) -> Source:
    """Reads every part of a file or of an IDX folder, checks it and numbers its classes."""
    is_idx = is_idx_folder(path)
    frame = None
    if is_table(path):
        frame, y = read_table(path, target)
        if y is not None:
            y = as_task(_check_labels(frame, y, str(path)), task, f"Column {target!r} of {path}")
        parts = {"rows": Split(np.arange(len(frame)), y)}
    elif is_idx:
        _refuse_target(path, target)
        parts = {part: Split(*read_idx_part(path, part)) for part in ("train", "test")}
    else:
        parts = _read_parts(path, target)
    if frame is None:
        parts = _check(path, parts)
    labels = {part: rows.y for part, rows in parts.items()}
    if is_table(path) and target is not None and unlabelled == "auto":
        tell_of_class(parts["rows"].y, f"Column {target!r} of {path}")  # type: ignore[arg-type]
    labels, classes = number_classes(
        labels,
        unlabelled,
        in_table=is_table(path),
        # Labels of images are digits already, however few of them are there.
        renumber=not (is_idx or _is_pickle(path)),
    )
    parts = {part: Split(rows.x, labels[part]) for part, rows in parts.items()}
    return Source(parts, path.name, classes, ordered=is_idx, frame=frame)


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
    found = find(path)
    if is_table(found):
        frame, y = read_table(found, target)
        numbers = as_numbers(frame)
        y = None if y is None else _check_labels(frame, y, str(found))
        return Split(frame if numbers is None else numbers, y)
    if is_idx_folder(found):
        _refuse_target(found, target)
        parts = {"test": Split(*read_idx_part(found, "test"))}
    else:
        parts = _read_parts(found, target)
    chosen = next(part for part in ("rows", "test", "train", "valid") if part in parts)
    x, y = _check(found, {chosen: parts[chosen]})[chosen]
    return Split(x.reshape(len(x), -1), y)


def _read_parts(path: Path, target: str | None) -> dict[str, Split]:
    if path.is_dir():
        raise FileNotFoundError(
            f"{path} is a folder without IDX files, such as train-images-idx3-ubyte.gz: name a "
            f"file ({', '.join(FORMATS)}) or an IDX folder."
        )
    _refuse_target(path, target)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return {"rows": Split(_read_npy(path), None)}
    if suffix == ".npz":
        return _read_npz(path)
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
            f"Received: target={target!r} with {path}, which has no columns to name."
        )


@contextlib.contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    """Turns whatever a library raises on a damaged file into one sentence."""
    try:
        yield
    except PermissionError:
        raise
    except Exception as error:
        if "Object arrays" in str(error):
            raise ValueError(
                f"{path} holds an array of Python objects, which only unpickling could read, and "
                "that might run anything: save it again as numbers, for example with "
                "x.astype('float32')."
            ) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path} is not a readable {kind} file, truncated or corrupt ({reason}): make or "
            "download it again."
        ) from error


def _read_npy(path: Path) -> np.ndarray:
    # `np.load` would mistake a file with a damaged header for a pickle, and say that instead.
    with _reading(path, ".npy"), path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_npz(path: Path) -> dict[str, Split]:
    parts = {}
    with (
        _reading(path, ".npz"),
        path.open("rb") as file,
        np.lib.npyio.NpzFile(file, allow_pickle=False) as archive,
    ):
        held = archive.files
        # Only the arrays that are needed are read: the others may be of any type.
        for part, ending in (("rows", ""),) if "x" in held else _NPZ_ENDINGS:
            if f"x{ending}" in held:
                y = archive[f"y{ending}"] if f"y{ending}" in held else None
                parts[part] = Split(archive[f"x{ending}"], y)
        # NumPy returns bytes for a member that does not begin like an array.
        if any(isinstance(array, bytes) for split in parts.values() for array in split):
            raise ValueError("a member is not an array")
    if not parts:
        raise ValueError(
            f"{path} must hold the array x (and y), or x_train, y_train, x_valid, x_test and so "
            f"on. Received: {', '.join(sorted(held)) or 'no arrays'}"
        )
    return parts


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
