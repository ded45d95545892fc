"""What an unpickled file says about its arrays, recorded in plain objects and then checked.

NumPy's own `dtype` and `ndarray` trust a file: field offsets, flags and shapes in it decide where
they read and write. A recorder holds the same information, and hands the bytes of an array to
NumPy, and nothing else in the file, after checking that dtype, shape and number of bytes agree.
"""

import math
import sys
from typing import Any

import numpy as np

_NUMERIC = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f2", "f4", "f8", "b1"}
_KINDS = {"O": "objects", "S": "bytes", "U": "text", "V": "records", "c": "complex numbers"}

# The limit of NumPy 1.
_MAX_DIMENSIONS = 32


class RefusedError(Exception):
    """Says what a pickle asked for that is not needed to build an array of numbers."""


class PickledDtype:
    """What a pickle says about a dtype.

    Args:
        code: Kind and size in bytes, such as `"f4"`.
    """

    name = "NumPy dtype"

    def __init__(self, code: str):
        self.code = code
        self.order = "|"  # until `build` sets that of numbers of several bytes

    def build(self, state: Any) -> None:
        """Takes the byte order; the rest of the state must be that of plain numbers."""
        if self.code not in _NUMERIC:
            return  # `to_numpy` will refuse it
        version, order, *rest = state
        if (version, *rest) != (3, None, None, None, -1, -1, 0) or order not in ("<", ">", "|"):
            raise RefusedError("the opcode BUILD with fields or flags of a dtype")
        self.order = order


class PickledArray:
    """What a pickle says about an array, which `to_numpy` checks."""

    name = "NumPy array"

    def __init__(self) -> None:
        self._shape: Any = None
        self._dtype: Any = None
        self._order: Any = "C"
        self._axes: Any = None
        self._data: Any = None

    def build(self, state: Any) -> None:
        """Takes the state that `numpy.ndarray.__reduce__` returns."""
        version, shape, dtype, is_fortran, data = state
        if version != 1 or not isinstance(is_fortran, int):
            raise RefusedError("the opcode BUILD with an unknown state of an array")
        self.fill(data, dtype, shape, "F" if is_fortran else "C")

    def fill(self, data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> None:
        """Takes the parts of an array, unchecked.

        Args:
            data: Bytes, or a view of them, or text with one character per byte.
            dtype: A `PickledDtype`.
            shape: Tuple of integers.
            order: `"C"`, `"F"`, or `"K"` with `axes`.
            axes: The order of the axes for `"K"`, as `numpy.transpose` takes it.
        """
        self._data, self._dtype, self._shape = data, dtype, shape
        self._order, self._axes = order, axes

    @property
    def nbytes(self) -> int:
        """How many bytes the data have; 0 if there are none."""
        return len(self._data) if isinstance(self._data, (str, bytes, memoryview)) else 0

    @property
    def other_kind(self) -> str | None:
        """What the array holds if that is not numbers, such as `"objects"`; otherwise `None`."""
        if not isinstance(self._dtype, PickledDtype):
            return "an unknown dtype"
        code = self._dtype.code
        return None if code in _NUMERIC else _KINDS.get(code[:1], f"dtype {code[:8]!a}")

    def to_numpy(self) -> np.ndarray:
        """Returns a new array in the byte order of this machine.

        Raises:
            ValueError: If dtype, shape and number of bytes do not agree.
        """
        data, shape = self._data, self._shape
        if isinstance(data, str):
            data = data.encode("latin1")
        if self.other_kind or not isinstance(data, (bytes, memoryview)) or not _are_lengths(shape):
            raise ValueError("an array without bytes, shape or numeric dtype")
        # A boolean is 0 or 1 for NumPy, whatever byte the file holds.
        is_boolean = self._dtype.code == "b1"
        dtype = np.dtype(self._dtype.order + ("u1" if is_boolean else self._dtype.code))
        if dtype.itemsize > 1 and self._dtype.order == "|":
            raise ValueError("an array without byte order")
        expected = dtype.itemsize * math.prod(shape)
        if len(data) != expected:
            raise ValueError(f"an array of {expected} bytes by its shape, {len(data)} in the file")
        values = np.frombuffer(data, dtype)
        if self._order in ("C", "F"):
            values = values.reshape(shape, order=self._order)
        elif _are_lengths(self._axes) and sorted(self._axes) == list(range(len(shape))):
            values = values.reshape(shape).transpose(self._axes)
        else:
            raise ValueError("an array of unknown order")
        return values.astype(bool if is_boolean else dtype.newbyteorder("="))


class PickledNumber:
    """Stands for a single NumPy number, which no data set needs."""

    name = "NumPy number"


def _are_lengths(shape: Any) -> bool:
    return (
        isinstance(shape, tuple)
        and len(shape) <= _MAX_DIMENSIONS
        and all(type(length) is int and 0 <= length <= sys.maxsize for length in shape)
    )


def name_of(value: Any) -> str:
    """Returns the name for a value of `unpickle` in a message, such as `"NumPy array"`."""
    return getattr(value, "name", type(value).__name__)


# What the names in a pickle stand for ------------------------------------------------------------


class _Class:
    name = "class"


_NDARRAY = _Class()


def _dtype(code, align=False, copy=False):
    if not isinstance(code, str):
        raise RefusedError("numpy.dtype with fields")
    return PickledDtype(code)


def _reconstruct(kind, shape, code):
    if kind is not _NDARRAY:
        raise RefusedError("_reconstruct of something other than an array")
    return PickledArray()


def _frombuffer(data, dtype, shape, order, axes=None):
    array = PickledArray()
    array.fill(data, dtype, shape, order, axes)
    return array


def _scalar(dtype, data=None):
    return PickledNumber()


def _encode(text, encoding):
    # Python 3 writes bytes this way in protocols 0 to 2. The text is not encoded here: with a new
    # copy for every call, a short file could fill the memory.
    if encoding != "latin1":
        raise RefusedError("_codecs.encode with an encoding other than latin1")
    return text


# Nothing that the file names is ever imported. NumPy 2 has moved the module that NumPy 1 and the
# tutorials' mnist.pkl.gz name.
_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
    **{
        (f"numpy.{core}.{module}", name): function
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _frombuffer),  # protocol 5
        )
    },
}


def look_up(module: Any, name: Any) -> Any:
    """Returns what a name in a pickle stands for: a function that makes a recorder, or a marker.

    Raises:
        RefusedError: If no array needs it, or it is not text (hashing a tuple of tuples that is
            deep enough would crash the process).
    """
    if not isinstance(module, str) or not isinstance(name, str):
        raise RefusedError(f"a {name_of(module)}.{name_of(name)}")
    if (module, name) not in _NAMES:
        # ASCII only, as the text goes to a terminal.
        raise RefusedError(ascii(f"{module}.{name}")[1:-1][:100])
    return _NAMES[module, name]
