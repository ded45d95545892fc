"""Reader of the tutorials' `mnist.pkl.gz`, which unpickles arrays and refuses everything else."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_sda.datasets.gzipped import GZIP_ERRORS, read_all
from keras_sda.datasets.memory import running_out_told
from keras_sda.datasets.recorders import PickledArray, RefusedError, name_of
from keras_sda.datasets.unpickling import unpickle


def read_pickle(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reads `((x, y), (x, y), (x, y))`, training, validation and test, from a pickle.

    The file may be gzipped, and written by Python 2 or 3 in any protocol. Nothing but arrays of
    numbers is unpickled, so that a file from a stranger cannot run anything.

    Returns:
        `x` and `y` of `"train"`, `"valid"` and `"test"`, as stored, in native byte order.

    Raises:
        ValueError: If the file asks for anything but arrays, is corrupt, or holds something else.
    """
    with running_out_told(path):
        content, size = _content_of(path)
        return _check_parts(path, content, size)


def _content_of(path: Path) -> tuple[Any, int]:
    """Returns the nested tuples and lists of a pickle, and how many bytes it has."""
    try:
        payload = read_all(path)
    except PermissionError:
        raise
    except GZIP_ERRORS as error:
        raise _unreadable(path, error) from error
    try:
        return unpickle(payload), len(payload)
    except MemoryError:
        raise
    except RefusedError as error:
        raise ValueError(
            f"{path} was not loaded, because it asks to run {error}: a pickle of data may hold "
            "NumPy arrays and nothing else. Do not trust this file; if it is yours, save the "
            "arrays as .npz."
        ) from error
    except Exception as error:  # a damaged pickle fails with almost any exception
        raise _unreadable(path, error) from error


def _unreadable(path, error):
    reason = f"{type(error).__name__}: {error}"[:200]  # which may quote the file
    return ValueError(
        f"{path} is not a readable pickle, truncated or corrupt ({reason}): download it again."
    )


def _check_parts(path: Path, content: Any, size: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    def is_sequence(value: Any, length: int) -> bool:
        return isinstance(value, (tuple, list)) and len(value) == length

    if not is_sequence(content, 3) or not all(is_sequence(part, 2) for part in content):
        raise ValueError(
            f"{path} must hold three pairs of arrays, (x, y) for training, validation and test. "
            f"Received a {name_of(content)}."
        )
    arrays = {id(array): array for part in content for array in part}.values()
    if sum(array.nbytes for array in arrays if isinstance(array, PickledArray)) > size:
        raise ValueError(
            f"{path} was not loaded, because its arrays are larger than the file: they share their "
            "bytes, which could fill the memory. Do not trust this file."
        )
    parts = {}
    for name, (x, y) in zip(("train", "valid", "test"), content, strict=True):
        if not isinstance(x, PickledArray) or not isinstance(y, PickledArray):
            raise ValueError(
                f"{path} must hold a pair of NumPy arrays for its {name} part. "
                f"Received {name_of(x)} and {name_of(y)}."
            )
        owner = f"The {name} part of {path}"
        parts[name] = _to_numpy(path, x, "x", owner), _to_numpy(path, y, "y", owner)
    return parts


def _to_numpy(path, array, name, owner):
    if array.other_kind:
        raise ValueError(
            f"{owner} needs numbers in `{name}`. Received an array of {array.other_kind}."
        )
    try:
        return array.to_numpy()
    except ValueError as error:
        raise _unreadable(path, error) from error
