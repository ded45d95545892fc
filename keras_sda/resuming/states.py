"""States of training in files: `.npz` archives of arrays and one JSON text, no pickles.

The archive keeps a checksum of every part. Whatever a state holds, reading it runs no code, and
only its fingerprint is decoded before it is known to be that of the training at hand.
"""

import contextlib
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_sda.resuming.files import lacks_room, remove_partial, replacing
from keras_sda.resuming.fingerprint import first_difference

# How many states stay: the latest, and the one before it for the day when the latest is damaged.
KEPT = 2
# The version of what a state holds; states without one are of 0.2.0, and the same.
FORMAT = 1

_TEXT = "state"
_NAME = re.compile(r"state-(\d{6,})\.npz")

# NumPy's generators whose states are safe to restore. MT19937 and Philox also hold a position in a
# buffer, from which the first draw would read wherever a tampered state says.
_GENERATORS = {
    kind.__name__: kind for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.SFC64)
}
# Kinds of arrays, beside those of other packages, which `.npz` files do not know.
_KINDS = "biufcmMSU"
_OTHER_DTYPES = ("bfloat16", "float8_e4m3fn", "float8_e5m2")
# How many lists and dictionaries may lie in each other; those of real states are fewer than ten.
_DEEPEST = 100
_DEPTH_IN_STATE = 5


class NotPlainError(TypeError):
    """Says that a value is neither numbers, text or arrays, nor made of them."""


class Latest(NamedTuple):
    """What lies in a folder of states.

    Attributes:
        state: The latest whole state, or `None` if there is none or it is of another training.
        difference: How the other training differs, in words, or `None`.
        damaged: Names of the damaged files that are later.
    """

    state: dict[str, Any] | None
    difference: str | None
    damaged: list[str]


class StateFiles:
    """The states in one folder, numbered; the latest two stay.

    Args:
        folder: Where they lie; made when the first is written.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def paths(self) -> list[Path]:
        """Returns the files, the oldest first."""
        paths = [path for path in self.folder.glob("state-*.npz") if _NAME.fullmatch(path.name)]
        return sorted(paths, key=_number)

    def check_writable(self) -> None:
        """Raises a `ValueError` if states cannot be written here; leaves nothing behind.

        A full disk is none of it, as there may be room later.
        """
        nearest = next(
            path for path in (self.folder, *self.folder.absolute().parents) if path.exists()
        )
        try:
            with tempfile.TemporaryFile(dir=nearest):
                pass
        except OSError as error:
            if not lacks_room(error):
                raise ValueError(
                    f"Backup cannot write states to {self.folder} ({error.strerror}): name another "
                    "folder."
                ) from error

    def write(self, state: dict[str, Any]) -> Path:
        """Writes a state as the latest, and removes all but the last two.

        Raises:
            OSError: If it cannot be written; the older ones are as they were.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        older = self.paths()
        number = 1 + (_number(older[-1]) if older else 0)
        path = self.folder / f"state-{number:06}.npz"
        arrays: list[np.ndarray] = []
        text = json.dumps(encode({"format": FORMAT, **state}, arrays))
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                **{_TEXT: np.frombuffer(text.encode(), "uint8")},
                **{f"array{index}": array for index, array in enumerate(arrays)},
            )
        for old in older[: len(older) + 1 - KEPT]:
            old.unlink(missing_ok=True)
        return path

    def latest(
        self, fingerprint: Any, check: Callable[[dict[str, Any]], None] = lambda state: None
    ) -> Latest:
        """Returns the latest whole state, if its training is the one with this fingerprint.

        Args:
            fingerprint: What the state's entry `"fingerprint"` has to be.
            check: Raises any exception on a state that cannot be used, which counts as damaged.
        """
        remove_partial(self.folder)
        damaged: list[str] = []
        for path in reversed(self.paths()):
            try:
                with _opened(path) as archive:
                    content = _entries(json.loads(archive[_TEXT].tobytes()))
                    format = content.pop("format", FORMAT)
                    if type(format) is int and format > FORMAT:
                        newer = f"format was {format}, of a later version, and is now {FORMAT}"
                        return Latest(None, newer, damaged)
                    stored = decode(content["fingerprint"], {})
                    difference = first_difference(stored, fingerprint)
                    if difference is not None:
                        return Latest(None, difference, damaged)
                    arrays = {name: archive[name] for name in archive.files if name != _TEXT}
                state = {name: decode(entry, arrays) for name, entry in content.items()}
                check(state)
            # A torn or tampered file makes NumPy, zipfile and JSON stumble in almost any way.
            except Exception:
                damaged.append(path.name)
            else:
                return Latest(state, None, damaged)
        return Latest(None, None, damaged)

    def remove(self) -> None:
        """Removes all states, and the folder if it is empty then."""
        remove_partial(self.folder)
        for path in self.paths():
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match.group(1)) if match else 0


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens an archive that holds no more bytes than the file, and whose checksums are right."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        is_packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if is_packed or sum(member.file_size for member in members) > path.stat().st_size:
            raise zipfile.BadZipFile("it is not as `write` leaves it")
        bad = archive.testzip()  # reads all of it, and compares the checksums
        if bad is not None:
            raise zipfile.BadZipFile(f"{bad} is damaged")
    with np.load(path, allow_pickle=False) as arrays:
        yield arrays


def _entries(content: Any) -> dict[str, Any]:
    """Returns what the JSON text of a state holds, not decoded yet, by its names."""
    entries = dict(content["dict"])
    if not all(isinstance(name, str) for name in entries):
        raise ValueError("an entry without a name")
    return entries


def encode(value: Any, arrays: list[np.ndarray], depth: int = 0) -> Any:
    """Returns what JSON can say of a value; arrays are appended to `arrays` and named by number.

    Args:
        value: `None`, numbers, text, NumPy's arrays, numbers and generators (by PCG64, PCG64DXSM or
            SFC64), or lists, tuples and dictionaries of them.
        arrays: Gets the arrays.
        depth: How many lists and dictionaries it lies in, at most 100.

    Raises:
        NotPlainError: If the value is anything else.
    """
    if value is None or isinstance(value, (bool, str)) or type(value) in (int, float):
        return value
    if depth > _DEEPEST:
        raise NotPlainError(f"a {type(value).__name__} lies in more than {_DEEPEST} others")

    def inner(entries):
        return [encode(entry, arrays, depth + 1) for entry in entries]

    if isinstance(value, list):
        return inner(value)
    if isinstance(value, tuple):
        return {"tuple": inner(value)}
    if isinstance(value, dict):
        return {"dict": [inner(pair) for pair in value.items()]}
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        kind = "array" if isinstance(value, np.ndarray) else "number"
        name = array.dtype.name
        if name in _OTHER_DTYPES:
            array = array.view(_unsigned(array))
        if array.dtype.kind in _KINDS:
            arrays.append(array)
            return {kind: len(arrays) - 1, "dtype": name}
    is_generator = isinstance(value, np.random.Generator)
    if is_generator and type(value.bit_generator) in _GENERATORS.values():
        return {"generator": encode(value.bit_generator.state, arrays, depth + 1)}
    raise NotPlainError(f"{type(value).__name__} is neither numbers nor text nor arrays")


def check_plain(value: Any) -> None:
    """Raises a `NotPlainError` if `encode` cannot keep a value within a state."""
    encode(value, [], depth=_DEPTH_IN_STATE)


def decode(content: Any, arrays: dict[str, Any], depth: int = 0) -> Any:
    """Returns the value that `encode` was given.

    Args:
        content: What `encode` has returned.
        arrays: `"array0"`, `"array1"` and so on; each that is used is removed, so that a short text
            cannot ask for one of them a thousand times.
        depth: How many lists and dictionaries it lies in.

    Raises:
        ValueError, TypeError, KeyError, OverflowError: If `encode` cannot have returned it.
    """
    if not isinstance(content, (list, dict)):
        return content
    if depth > _DEEPEST:
        raise ValueError("too many lists in each other")
    if isinstance(content, list):
        return [decode(entry, arrays, depth + 1) for entry in content]
    names = set(content)
    if names == {"tuple"} and isinstance(content["tuple"], list):
        return tuple(decode(content["tuple"], arrays, depth))
    if names == {"dict"}:
        pairs = [(key, entry) for key, entry in content["dict"]]
        return {
            decode(key, arrays, depth + 1): decode(entry, arrays, depth + 1) for key, entry in pairs
        }
    if names == {"generator"}:
        return _generator(decode(content["generator"], arrays, depth + 1))
    if names == {"array", "dtype"}:
        return _array(arrays.pop(f"array{content['array']}"), content["dtype"])
    if names == {"number", "dtype"}:
        array = _array(arrays.pop(f"array{content['number']}"), content["dtype"])
        if array.ndim == 0:
            return array[()]
    raise ValueError(f"no value is written by {sorted(names)}")


def _unsigned(array):
    return np.dtype(f"uint{8 * array.dtype.itemsize}")


def _array(array, dtype):
    """Returns an array in the dtype that it was encoded in."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in _KINDS:
        raise ValueError("a member of the archive is not an array")
    if array.dtype.name == dtype:
        return array
    if dtype not in _OTHER_DTYPES:
        raise ValueError("an array of another dtype than it says")
    other = np.dtype(dtype)
    if array.dtype != f"uint{8 * other.itemsize}":
        raise ValueError("an array of another dtype than it says")
    return array.view(other)


def _generator(state):
    """Returns a new generator of random numbers in a state that has been checked."""
    bit_generator = _GENERATORS[state["bit_generator"]](0)
    if not _is_alike(state, bit_generator.state):
        raise ValueError("it is not the state of such a generator")
    if state["state"].get("inc", 1) % 2 == 0:
        # PCG64 then repeats itself, maybe at once, and a normal number is never found.
        raise ValueError("its increment is even")
    bit_generator.state = state
    return np.random.Generator(bit_generator)


def _is_alike(value, example):
    """Whether a value has the type of an example, and its parts those of the example's."""
    if type(value) is not type(example):
        return False
    if isinstance(example, dict):
        return value.keys() == example.keys() and all(
            _is_alike(value[name], entry) for name, entry in example.items()
        )
    if isinstance(example, np.ndarray):
        return value.dtype == example.dtype and value.shape == example.shape
    return True
