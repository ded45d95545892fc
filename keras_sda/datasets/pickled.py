"""Reader of the tutorials' `mnist.pkl.gz`, which unpickles arrays and refuses everything else."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_sda.datasets.gzipped import GZIP_ERRORS, unpack
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
    payload = path.read_bytes()
    try:
        payload = unpack(payload, path)
    except GZIP_ERRORS as error:
        raise _unreadable(path, error) from error
    try:
        content = unpickle(payload)
    except RefusedError as error:
        raise ValueError(
            f"{path} was not loaded, because it asks to run {error}: a pickle of data may hold "
            "NumPy arrays and nothing else. Do not trust this file; if it is yours, save the "
            "arrays as .npz."
        ) from error
    except Exception as error:  # a damaged pickle fails with almost any exception
        raise _unreadable(path, error) from error
    return _check_parts(path, content)


def _unreadable(path, error):
    reason = f"{type(error).__name__}: {error}"[:200]  # which may quote the file
    return ValueError(
        f"{path} is not a readable pickle, truncated or corrupt ({reason}): download it again."
    )


def _check_parts(path: Path, content: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    def is_sequence(value: Any, length: int) -> bool:
        return isinstance(value, (tuple, list)) and len(value) == length

    if not is_sequence(content, 3) or not all(is_sequence(part, 2) for part in content):
        raise ValueError(
            f"{path} must hold three pairs of arrays, (x, y) for training, validation and test. "
            f"Received a {name_of(content)}."
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
    except (MemoryError, ValueError) as error:
        raise _unreadable(path, error) from error
