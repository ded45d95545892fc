"""Reader of `.npy` and `.npz` files: arrays of numbers, and nothing that is pickled."""

import contextlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from keras_sda._validation import listed
from keras_sda.datasets.memory import (
    TooLargeError,
    check_is_file,
    check_memory,
    check_unpacked,
    damaged,
    running_out_told,
)

_NPZ_ENDINGS = (("train", "_train"), ("valid", "_valid"), ("valid", "_val"), ("test", "_test"))


def read_npy(path: Path) -> np.ndarray:
    """Reads the array of an `.npy` file.

    Raises:
        ValueError: If it is not such a file, is damaged, holds objects, or is too large.
    """
    with _reading(path, ".npy"), path.open("rb") as file:
        return _read_array(file, path.stat().st_size, path)


def read_npz(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Reads the arrays of an `.npz` file that are rows and labels.

    Returns:
        `x` and `y` as `"rows"`, or those of `"train"`, `"valid"` and `"test"`.

    Raises:
        ValueError: As `read_npy`, or if there are no rows.
    """
    parts = {}
    with _reading(path, ".npz"), zipfile.ZipFile(path) as archive:
        held = {name.removesuffix(".npy"): name for name in archive.namelist()}
        # Only the arrays that are needed are read: the others may be of any type.
        endings = (("rows", ""),) if "x" in held else _NPZ_ENDINGS
        wanted = {part: ending for part, ending in endings if f"x{ending}" in held}
        names = [f"{kind}{ending}" for ending in wanted.values() for kind in "xy"]
        members = {name: archive.getinfo(held[name]) for name in names if name in held}
        check_unpacked(path, sum(member.file_size for member in members.values()))
        arrays = {}
        for name, member in members.items():
            with archive.open(member) as file:
                arrays[name] = _read_array(file, member.file_size, path)
        for part, ending in wanted.items():
            parts[part] = arrays[f"x{ending}"], arrays.get(f"y{ending}")
    if not parts:
        raise ValueError(
            f"{path} must hold the array x (and y), or x_train, y_train, x_valid, x_test and so "
            f"on. Received: {listed(sorted(held)) or 'no arrays'}"
        )
    return parts


def _read_array(file: IO[bytes], size: int, path: Path) -> np.ndarray:
    """Reads an array after comparing its header with the bytes that there are.

    NumPy would first allocate what the header asks for. `np.load` would also mistake a file with a
    damaged header for a pickle, and say that instead.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:  # others differ in the text of names of columns, which arrays of numbers do not have
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be read")
    needed, held = dtype.itemsize * math.prod(shape), size - file.tell()
    if min(shape, default=0) < 0 or needed > held:
        raise ValueError(f"shape {shape} of {dtype} is {needed} bytes, and {held} are there")
    check_memory(path, needed)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


@contextlib.contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    """Turns whatever a library raises on a damaged file into one sentence."""
    check_is_file(path)
    try:
        with running_out_told(path):
            yield
    except (PermissionError, TooLargeError):
        raise
    except Exception as error:
        if "Object arrays" in str(error):
            raise ValueError(
                f"{path} holds an array of Python objects, which only unpickling could read, and "
                "that might run anything: save it again as numbers, for example with "
                "x.astype('float32')."
            ) from error
        raise damaged(path, kind, error) from error
