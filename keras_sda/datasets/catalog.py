"""The named data sets, `load`, and the rule that splits rows into train, valid and test."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda._validation import (
    check_bool,
    check_choice,
    check_non_negative_int,
    check_positive_int,
    shown,
)
from keras_sda.datasets.columns import Columns
from keras_sda.datasets.dividing import divide
from keras_sda.datasets.files import FORMATS, Source, Split, find, read_source
from keras_sda.datasets.labels import choose_labels
from keras_sda.datasets.number_maps import COLUMN_SCALES
from keras_sda.datasets.placing import Places
from keras_sda.datasets.prepared import IMAGE_SETS, load_image_set, load_tfds
from keras_sda.datasets.scaling import SCALES, Scaling, fit_scaling
from keras_sda.datasets.storing import in_file_order, store_inputs
from keras_sda.datasets.synthetic import gaussian_clouds, xor
from keras_sda.datasets.table_columns import choose_columns, plain_scaling

_OWNER = "keras_sda.datasets.load"
_SPLITS = ("tutorial", "tensorflow", "full")


@dataclass(frozen=True, eq=False)
class Data:
    """Data ready to train on, as `load` returns it.

    Attributes:
        train: `Split` of the training rows; every `Split` unpacks as `x, y`, and its `labelled` are
            the rows that have a label.
        valid: `Split` of the validation rows, or `None`.
        test: `Split` of the test rows, or `None`.
        name: Name of the data set, or of the file.
        scaling: The `Scaling` that turned the raw values into `x`; call it on new raw rows. `None`
            of a table for which only `columns` can do that.
        image_shape: `(height, width, channels)` of one row, or `None` if rows are not images.
        classes: The original labels, if they were text, or integers other than 0 to C - 1, and had
            to be numbered: label `k` was `classes[k]`. Otherwise `None`.
        columns: Of a table, the `Columns` that turned it into `x`; call them on new frames.
        groups: The number of the group of each row by part, `"train"` and so on, but of a file of
            test rows; `None` without groups.
        frames: Of a table, the rows of each part as they are in the file, where `load` was asked to
            keep them; otherwise `None`.
    """

    train: Split
    valid: Split | None
    test: Split | None
    name: str
    scaling: Scaling | None
    image_shape: tuple[int, int, int] | None = None
    classes: list[Any] | None = None
    columns: Columns | None = None
    groups: Mapping[str, np.ndarray] | None = None
    frames: Mapping[str, Any] | None = None

    @property
    def held_out(self) -> dict[str, Split]:
        """The validation and test rows, `"valid"` and `"test"`, as far as there are such."""
        parts = {"valid": self.valid, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    def __repr__(self) -> str:
        parts = (
            f"{part}={None if split is None else split.x.shape}"
            for part, split in (("train", self.train), ("valid", self.valid), ("test", self.test))
        )
        return f"Data({self.name!r}, {', '.join(parts)})"

    def keep_labels(self, labels: int, seed: int = 0) -> "Data":
        """Returns the same data with all but some labels of the training rows hidden.

        To see what few labels are worth where many are known. Validation and test rows keep theirs.

        Args:
            labels: How many labels stay: of each class as many as of any other, or one more, as
                long as the class has so many.
            seed: Seed of the draw.

        Raises:
            ValueError: If there are fewer labels, or more classes than `labels`.

        Example:

        >>> from keras_sda import datasets
        >>> data = datasets.load("digits").keep_labels(50)
        >>> len(data.train.x), len(data.train.labelled.x), int(data.train.y.min())
        (1257, 50, -1)
        """
        owner = "Data.keep_labels"
        labels = check_positive_int("labels", labels, owner)
        seed = check_non_negative_int("seed", seed, owner)
        if self.train.y is None:
            raise ValueError(
                f"Argument `labels` of {owner} needs training rows with labels, and {self.name} "
                f"has none: name the label column by `target`. Received: labels={labels}"
            )
        hidden = choose_labels(self.train.y, labels, seed, owner)
        return replace(self, train=Split(self.train.x, hidden))


def names() -> list[str]:
    """Returns the names that `load` knows; it also takes `tfds:NAME` and paths.

    >>> from keras_sda import datasets
    >>> datasets.names()
    ['digits', 'digits28', 'mnist', 'fashion_mnist', 'gaussian_clouds', 'xor']
    """
    return ["digits", "digits28", *IMAGE_SETS, *_POINTS]


def is_named(name: str) -> bool:
    """Whether `load` takes this for the name of a data set, and not for the path of a file."""
    return name in names() or name.startswith("tfds:")


def load(
    name_or_path: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    split: str = "tutorial",
    flatten: bool = True,
    scale: str | None = "auto",
    target: str | None = None,
    unlabelled: Any = "auto",
    task: str = "auto",
    ids: Iterable[str] = (),
    kinds: Mapping[str, str] | None = None,
    columns: Columns | None = None,
    test: str | os.PathLike[str] | None = None,
    split_column: str | None = None,
    groups: str | None = None,
    keep_frames: bool = False,
    storage: str = "auto",
    seed: int = 0,
) -> Data:
    """Loads data by name or from a file, split into train, valid and test and scaled.

    `digits` ships with scikit-learn and needs no network; `digits28` are the same digits enlarged
    to 28 x 28 pixels, a small stand-in for MNIST. `gaussian_clouds` and `xor` are the tutorials'
    points in the plane, with training rows only for `split="full"`. `mnist` and `fashion_mnist`
    are looked for in `data_dir`; without it in the folder that `TFDS_DATA_DIR` names (as prepared
    by tensorflow-datasets), then in the one that `KERAS_SDA_DATA` names (four IDX files: MNIST's in
    it or in its subfolder `mnist` or `mnist-idx`, the other's in `fashion_mnist`); failing that,
    they are downloaded. Wherever they come from, rows are in their published order.

    Args:
        name_or_path: One of `names()`; `"tfds:NAME"` for any supervised set of images or vectors
            in tensorflow-datasets; or a path, also looked for in `data_dir` and `KERAS_SDA_DATA`:

            - `.npz` with `x` and `y`, or with `x_train`, `y_train`, `x_valid` (or `x_val`),
              `x_test` and so on; labels may be left out.
            - `.npy` without labels.
            - `.csv` (with a header line of column names) or `.parquet`.
            - a folder of four IDX files, unpacked or with `.gz`.
            - `mnist.pkl.gz` of the deep learning tutorials, with its own split and pixels divided
              by 256; nothing but NumPy arrays is unpickled.
        data_dir: Folder of prepared data, see above.
        split: Which rows train, validate and test:

            - `"tutorial"`: MNIST, its relatives, IDX folders and sets of tensorflow-datasets
              validate on the last sixth of the training rows (MNIST: 50,000, 10,000 and 10,000
              rows), unless they have validation rows of their own. `digits`, and files without
              parts, are split at random, 70 % to train, 10 % to validate, 20 % to test (`digits`:
              1,257, 180 and 360 rows); the test rows are drawn first. A file with `x_train` but
              no `x_valid` validates on a random sixth of it. Random splits are stratified if
              labels are classes with enough rows each.
            - `"tensorflow"`: validation on the first twelfth of the training rows (MNIST: 5,000
              of 60,000) instead of the last sixth.
            - `"full"`: the validation rows join the training rows and `valid` is `None`; the test
              rows stay the same.
        flatten: Whether to flatten images into rows. Other data are rows anyway.
        scale: How to scale `x`; everything is fitted on the training rows alone:

            - `"auto"`: `"squash"` for a table, where heavy tails would otherwise make most of the
              loss, and `"unit"` for other data.
            - `"squash"` and `"quantile"`, of a table: see `Columns.fit`.
            - `"unit"`: to [0, 1]. Values that already lie there stay as they are; bytes (`uint8`)
              count as pixels and are divided by 255, `digits` by 16; all pixels of other images
              share one range; in any other table each column has its own, from its smallest to
              its largest value. Values beyond the range of the training rows are clipped.
            - `"symmetric"`: the same, to [-1, 1].
            - `"standard"`: to mean 0 and standard deviation 1 in each column that is not constant.
            - `"robust"`: the same of values that are cut at ten robust standard deviations from the
              median, so that no gross value decides the scale; a constant column is scaled so that
              a move by a thousandth counts as far.
            - `None`: the raw values.
        target: Label column of a `.csv` or `.parquet` file; `None` for a table without labels.
        unlabelled: The label of a file that marks rows without one, besides missing labels (NaN,
            null, a blank cell), which always do. `"auto"`: -1 in arrays, unless there is only one
            other class, as in {-1, 1}; in a table -1 is a class, with a warning. `None`: no label.
        task: Of a table, what its labels are: `"classification"`, `"regression"`, or `"auto"`, by
            which text and up to 20 whole numbers are classes, and fractions are not.
        ids: Columns of a table that name its rows, and are no inputs.
        kinds: Kinds of columns of a table by name, instead of the inferred ones; see `Columns.fit`.
            A table of numbers without gaps, given with one of the scales of other data, is taken as
            numeric throughout.
        columns: Of a table, a map fitted earlier, instead of a new one.
        test: File of the test rows, for a file without: with the same columns, by name, or arrays
            of the same shape. The rows of `name_or_path` then train and validate. It is also looked
            for beside it.
        split_column: Column of a table that says of every row `train`, `valid` or `test` (or
            `training`, `val`, `validation`, `dev`, `testing`, `holdout`), and is not an input.
            Without validation rows, a sixth of the training rows validates.
        groups: Column of a table, such as that of patients, of whose values none is in two parts,
            as rows of one group tell of each other. It is not an input.
        keep_frames: Whether `Data.frames` holds the rows of a table as they are, which takes as
            much memory once more.
        storage: Where the inputs made of a table are kept. `"memory"`. `"disk"`, for `.parquet`
            files: in temporary files of `4 * rows * inputs` bytes, where `TMPDIR` says, which are
            removed once nothing refers to the data; the table is read column by column, and then
            some rows at a time. Training shuffles such rows by blocks; see `StoredRows`.
            `"auto"`: disk for a `.parquet` file of more than 1 GiB as float32, whatever memory is
            free, so that the same data give the same weights everywhere.
        seed: Seed of random splits of files. The split of `digits` is always the same.

    Returns:
        `Data`, whose splits hold `x`, float32 of shape `(rows, features)`, or with
        `flatten=False` of shape `(rows, height, width, channels)` if rows are images; and `y`,
        int64 class numbers of shape `(rows,)`, from 0, and -1 for a row without a label; or float32
        if the labels are not integers (regression), NaN without a label; or `None` if no row has a
        label.

    Raises:
        ValueError: If the name, an argument or the content of a file is not as described.
        FileNotFoundError: If a file or folder is missing, or a set cannot be downloaded.
        ImportError: If a table is read without pandas: `pip install "keras-sda[tables]"`.

    Example:

    >>> from keras_sda import datasets
    >>> data = datasets.load("digits")
    >>> data
    Data('digits', train=(1257, 64), valid=(180, 64), test=(360, 64))
    >>> x, y = data.train
    >>> x.dtype.name, float(x.min()), float(x.max()), y.dtype.name
    ('float32', 0.0, 1.0, 'int64')
    >>> datasets.load("digits", flatten=False, split="full").train.x.shape
    (1437, 8, 8, 1)
    """
    check_choice("split", split, _SPLITS, _OWNER)
    check_choice("scale", scale, ("auto", *COLUMN_SCALES), _OWNER)
    seed = check_non_negative_int("seed", seed, _OWNER)
    flatten = check_bool("flatten", flatten, _OWNER)
    places = Places(test, split_column, groups)
    places.check_arguments(target, ids, data_dir, task, storage)
    source = _open(name_or_path, data_dir, target, unlabelled, task, places, storage)
    parts = divide(source, split, seed)
    if source.frame is not None:
        parts = in_file_order(source, parts)
        if columns is None:
            train = source.frame_of("train", parts["train"])
            scale = "squash" if scale == "auto" else scale
            how = (target, tuple(ids), kinds, scale, places.notes)
            columns = choose_columns(source.frame, train, *how)
        return _finished(
            source,
            parts,
            _inputs_by_part(source, parts, columns, places),
            scaling=plain_scaling(columns),
            columns=columns,
            groups=_groups(source, parts),
            frames=_frames(source, parts) if keep_frames else None,
        )
    scale = "unit" if scale == "auto" else scale
    check_choice("scale", scale, SCALES, _OWNER)
    _refuse_columns(source.name, task=task, ids=tuple(ids), kinds=kinds, columns=columns)
    scaling = fit_scaling(parts["train"].x, scale, source.unit_range)
    shape = _image_shape(parts["train"].x)
    return _finished(
        source,
        parts,
        lambda _, rows: _values(rows.x, scaling, None if flatten else shape),
        scaling=scaling,
        image_shape=shape,
    )


def _inputs_by_part(
    source: Source, parts: Mapping[str, Split], columns: Columns, places: Places
) -> Callable[[str, Split], Any]:
    """Returns a function of a part's name and rows of a table that returns their inputs."""
    stored = store_inputs(source, parts, columns)

    def inputs(part: str, rows: Split) -> Any:
        if part in stored:
            return stored[part]
        return _inputs(columns, source.frame_of(part, rows), part, places)

    return inputs


def _inputs(columns: Columns, frame: Any, part: str, places: Places) -> np.ndarray:
    """Returns the inputs of a part; what is wrong with a file of test rows is told of it."""
    try:
        return columns(frame)
    except ValueError as error:
        if part != "test" or places.test is None:
            raise
        raise ValueError(f"The test rows of {places.test} do not fit: {error}") from error


def _frames(source: Source, parts: dict[str, Split]) -> dict[str, Any]:
    """Returns the rows of each part as they are."""
    return {part: source.frame_of(part, rows) for part, rows in parts.items()}


def _groups(source: Source, parts: dict[str, Split]) -> dict[str, np.ndarray] | None:
    """Returns the groups of the rows of each part, but of test rows from another file."""
    if source.groups is None:
        return None
    own = [part for part in parts if part != "test" or source.test_frame is None]
    return {part: source.groups[parts[part].x] for part in own}


def _finished(
    source: Source,
    parts: dict[str, Split],
    inputs: Callable[[str, Split], np.ndarray],
    **found: Any,
) -> Data:
    """Returns the parts of a source with the inputs of a network as their rows.

    Args:
        source: Where they come from.
        parts: The parts as they were read.
        inputs: Function of a part's name and rows.
        **found: What else the `Data` hold: scaling, shape, columns.
    """
    made = {part: Split(inputs(part, rows), _labels(rows.y)) for part, rows in parts.items()}
    return Data(
        train=made["train"],
        valid=made.get("valid"),
        test=made.get("test"),
        name=source.name,
        classes=source.classes,
        **found,
    )


def _refuse_columns(name: str, **given: Any) -> None:
    """Raises a `ValueError` if arguments for tables are given with other data."""
    strange = [key for key, value in given.items() if value and value != "auto"]
    if strange:
        raise ValueError(
            f"Argument `{strange[0]}` of {_OWNER} is for .csv and .parquet files. "
            f"Received: {strange[0]}={given[strange[0]]!r} with {name}"
        )


def _open(
    name_or_path: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None,
    target: str | None,
    unlabelled: Any,
    task: str,
    places: Places,
    storage: str,
) -> Source:
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise ValueError(
            f"Argument `name_or_path` of {_OWNER} must be a name or a path. "
            f"Received: name_or_path={name_or_path!r}"
        )
    # A Path is always a path; a string is first taken as a name ("./mnist" avoids that).
    name = name_or_path if isinstance(name_or_path, str) else ""
    if is_named(name) and not (unlabelled is None or unlabelled == "auto"):
        raise ValueError(
            "Argument `unlabelled` names a label of a file. "
            f"Received: unlabelled={unlabelled!r} with {name!r}, where every label is a class."
        )
    if is_named(name) and target is not None:
        raise ValueError(
            "Argument `target` names the label column of a .csv or .parquet file. "
            f"Received: target={target!r} with {name!r}, which has its labels already."
        )
    if is_named(name) and any(places):
        raise ValueError(
            "Arguments `test`, `split_column` and `groups` are for files. "
            f"Received: {', '.join(str(each) for each in places if each)} with {name!r}, which has "
            "its own test rows."
        )
    if name == "digits":
        return _digits()
    if name == "digits28":
        return _enlarged(_digits())
    if name in _POINTS:
        return Source({"train": _POINTS[name]()}, name)
    if name in IMAGE_SETS:
        return load_image_set(name, data_dir)
    if name.startswith("tfds:"):
        return load_tfds(name.removeprefix("tfds:"), data_dir)
    try:
        path = find(name_or_path, data_dir)
    except FileNotFoundError as error:
        if name and os.sep not in name and "/" not in name and not Path(name).suffix:
            raise ValueError(
                f"Unknown data {shown(name)}. Expected one of {', '.join(names())}, tfds:NAME, or "
                f"the path of a file ({', '.join(FORMATS)}) or of an IDX folder."
            ) from error
        raise
    return read_source(path, target, unlabelled, task, places, storage)


def _digits() -> Source:
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Seed 0, whatever the caller's seed: only figures on the same split can be compared.
    return Source(
        {"rows": Split(digits.images, digits.target)}, "digits", unit_range=(0.0, 16.0), seed=0
    )


def _enlarged(source: Source) -> Source:
    """Returns the 8 x 8 digits at the size of MNIST's, each pixel repeated three by three."""
    rows = source.parts["rows"]
    images = rows.x.repeat(3, axis=1).repeat(3, axis=2)
    images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    return source._replace(parts={"rows": Split(images, rows.y)}, name="digits28")


# The tutorials' points in the plane.
_POINTS: dict[str, Callable[[], Split]] = {"gaussian_clouds": gaussian_clouds, "xor": xor}


def _image_shape(x: np.ndarray) -> tuple[int, int, int] | None:
    if x.ndim == 2:
        return None
    return int(x.shape[1]), int(x.shape[2]), int(x.shape[3]) if x.ndim == 4 else 1


def _values(x: np.ndarray, scaling: Scaling, shape: tuple[int, int, int] | None) -> np.ndarray:
    rows = scaling(x.reshape(len(x), -1))
    return rows if shape is None else rows.reshape(-1, *shape)


def _labels(y: np.ndarray | None) -> np.ndarray | None:
    return None if y is None else y.astype("float32" if y.dtype.kind == "f" else "int64")
