"""Reader of the IDX format, in which MNIST and its relatives are distributed."""

import math
from pathlib import Path
from typing import IO

import numpy as np

from keras_sda._validation import check_same_length
from keras_sda.datasets.gzipped import GZIP_ERRORS, opened, read_exactly
from keras_sda.datasets.memory import running_out_told

# NumPy's own limit is 32 or 64.
_MAX_DIMENSIONS = 8

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

# Part of the split -> start of the file name. The rest of the name has two common spellings.
_PREFIXES = {"train": "train", "test": "t10k"}


def read_idx(path: Path) -> np.ndarray:
    """Reads one IDX file, gzipped or not, into an array in native byte order.

    Raises:
        ValueError: If the file is not an IDX file, or its length is not what its header says,
            or it would fill the memory.
    """
    with running_out_told(path), opened(path) as file:
        try:
            return _read(file, path)
        except GZIP_ERRORS as error:
            raise ValueError(
                f"{path} is not a complete gzip file ({error}): download it again."
            ) from error


def _read(file: IO[bytes], path: Path) -> np.ndarray:
    """Reads what an opened file holds, whose header says how much that is."""
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES or not head[3]:
        raise ValueError(
            f"{path} is not an IDX file: expected two zero bytes, a type and a number of "
            f"dimensions. Received {head.hex(' ') or 'an empty file'}."
        )
    dtype, ndim = np.dtype(_DTYPES[head[2]]), head[3]
    lengths = file.read(4 * ndim)
    if len(lengths) < 4 * ndim:
        raise ValueError(f"{path} ends within its header: download it again.")
    shape = tuple(int(n) for n in np.frombuffer(lengths, dtype=">u4"))
    expected = dtype.itemsize * math.prod(shape)
    content = read_exactly(file, path, expected)
    beyond = len(file.read(1))
    if len(content) != expected or beyond:
        received = f"{len(content)} bytes{' and more' if beyond else ''}"
        declared = f"shape {shape}" if ndim <= _MAX_DIMENSIONS else f"{ndim} dimensions"
        raise ValueError(
            f"{path} declares {declared}, which is {expected} bytes of data. Received "
            f"{received}: download it again."
        )
    if ndim > _MAX_DIMENSIONS:
        raise ValueError(f"{path} declares {ndim} dimensions, more than any data have.")
    return np.frombuffer(content, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))


def is_idx_folder(folder: Path) -> bool:
    """Whether the folder holds at least one of the four files, under either spelling."""
    return any(_find(folder, prefix, kind) for prefix in _PREFIXES.values() for kind in _KINDS)


def read_idx_part(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads images and labels of the `"train"` or the `"test"` part of an IDX folder.

    Returns:
        Images of shape `(rows, height, width)` and labels of shape `(rows,)`, as stored.

    Raises:
        FileNotFoundError: If one of the two files is missing.
        ValueError: If a file is corrupt, or the two do not belong together.
    """
    arrays = []
    for kind, ndim in _KINDS.items():
        path = _find(folder, _PREFIXES[part], kind)
        if path is None:
            raise FileNotFoundError(
                f"{folder} lacks {_PREFIXES[part]}-{kind}-idx{ndim}-ubyte (with or without .gz): "
                "an IDX folder holds four files, images and labels for training (train-...) and "
                "for testing (t10k-...)."
            )
        array = read_idx(path)
        if array.ndim != ndim:
            raise ValueError(
                f"{path} must hold {kind} of {ndim} dimension{'s' if ndim > 1 else ''}. "
                f"Received shape {array.shape}."
            )
        arrays.append(array)
    images, labels = arrays
    check_same_length(images, labels, f"The {part} part of {folder}")
    return images, labels


_KINDS = {"images": 3, "labels": 1}


def _find(folder: Path, prefix: str, kind: str) -> Path | None:
    for separator in "-.":
        for ending in ("", ".gz"):
            path = folder / f"{prefix}-{kind}{separator}idx{_KINDS[kind]}-ubyte{ending}"
            if path.is_file():
                return path
    return None
