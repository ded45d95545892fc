"""Reader of the IDX format, in which MNIST and its relatives are distributed."""

from pathlib import Path

import numpy as np

from keras_sda._validation import check_same_length
from keras_sda.datasets.gzipped import GZIP_ERRORS, unpack

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

# Part of the split -> start of the file name. The rest of the name has two common spellings.
_PREFIXES = {"train": "train", "test": "t10k"}


def read_idx(path: Path) -> np.ndarray:
    """Reads one IDX file, gzipped or not, into an array in native byte order.

    Raises:
        ValueError: If the file is not an IDX file, or its length is not what its header says.
    """
    payload = path.read_bytes()
    try:
        payload = unpack(payload, path)
    except GZIP_ERRORS as error:
        raise ValueError(
            f"{path} is not a complete gzip file ({error}): download it again."
        ) from error
    if len(payload) < 4 or payload[:2] != b"\0\0" or payload[2] not in _DTYPES or not payload[3]:
        raise ValueError(
            f"{path} is not an IDX file: expected two zero bytes, a type and a number of "
            f"dimensions. Received {payload[:4].hex(' ') or 'an empty file'}."
        )
    dtype, ndim = np.dtype(_DTYPES[payload[2]]), payload[3]
    start = 4 + 4 * ndim
    if len(payload) < start:
        raise ValueError(f"{path} ends within its header: download it again.")
    shape = [int(n) for n in np.frombuffer(payload, dtype=">u4", count=ndim, offset=4)]
    expected = dtype.itemsize
    for length in shape:
        expected *= length
    if len(payload) - start != expected:
        raise ValueError(
            f"{path} declares shape {tuple(shape)}, which is {expected} bytes of data. Received "
            f"{len(payload) - start} bytes: download it again."
        )
    values = np.frombuffer(payload, dtype=dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


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
