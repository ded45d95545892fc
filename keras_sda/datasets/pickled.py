"""Reader of the tutorials' `mnist.pkl.gz`, which unpickles arrays and refuses everything else."""

import gzip
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda._validation import check_same_length


class _Refused(pickle.UnpicklingError):
    """The pickle asked for something that is not needed to rebuild an array."""


# `ndarray.__reduce__` names the function that a pickle of an array begins with, wherever this
# version of NumPy keeps it; numpy.core.multiarray is where it was when mnist.pkl.gz was written.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]

# A table of objects rather than names to import: nothing the file says is ever looked up.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # How Python 3 writes bytes in an old protocol. `str.encode` knows text encodings only, while
    # `codecs.encode` would also run any other codec.
    ("_codecs", "encode"): str.encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _Refused(f"{module}.{name}")
        return _ALLOWED[module, name]


def read_pickle(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reads `((x, y), (x, y), (x, y))`, training, validation and test, from a pickle.

    The file may be compressed by gzip, and written by Python 2 or 3. Only NumPy's array
    constructors are unpickled, so that a file from a stranger cannot run anything.

    Returns:
        `x` and `y` of `"train"`, `"valid"` and `"test"`, as stored.

    Raises:
        ValueError: If the file asks for anything but arrays, is corrupt, or holds something else.
    """
    payload = path.read_bytes()
    try:
        if payload[:2] == b"\x1f\x8b":
            payload = gzip.decompress(payload)
        # latin1 maps the byte strings of Python 2 to text one to one, as NumPy expects them.
        content = _ArrayUnpickler(io.BytesIO(payload), encoding="latin1").load()
    except _Refused as error:
        raise ValueError(
            f"{path} was not loaded, because it asks to run {error}: a pickle of data may hold "
            "NumPy arrays and nothing else. Do not trust this file; if it is yours, save the "
            "arrays as .npz."
        ) from error
    except Exception as error:  # a damaged pickle fails with almost any exception
        raise ValueError(
            f"{path} is not a readable pickle, truncated or corrupt ({type(error).__name__}: "
            f"{error}): download it again."
        ) from error
    return _check_parts(path, content)


def _check_parts(path: Path, content: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    def is_sequence(value: Any, length: int) -> bool:
        return isinstance(value, (tuple, list)) and len(value) == length

    if not is_sequence(content, 3) or not all(is_sequence(part, 2) for part in content):
        raise ValueError(
            f"{path} must hold three pairs of arrays, (x, y) for training, validation and test. "
            f"Received a {type(content).__name__}."
        )
    parts = {}
    for name, (x, y) in zip(("train", "valid", "test"), content, strict=True):
        if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
            raise ValueError(
                f"{path} must hold a pair of NumPy arrays for its {name} part. "
                f"Received {type(x).__name__} and {type(y).__name__}."
            )
        check_same_length(x, y, f"The {name} part of {path}")
        parts[name] = (x, y)
    return parts
