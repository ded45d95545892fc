"""States of training in files: `.npz` archives of arrays and one JSON text, no pickles.

Whatever a state holds, reading it runs no code. The archive keeps a checksum of every part.
"""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda.resuming.files import remove_partial, replacing

# How many states stay: the latest, and the one before it for the day when the latest is damaged.
KEPT = 2

_TEXT = "state"
_NAME = re.compile(r"state-(\d{6,})\.npz")


class NotPlainError(TypeError):
    """Says that a value is neither numbers, text or arrays, nor made of them."""


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
        text = json.dumps(encode(state, arrays))
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

    def latest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Returns the latest whole state, or `None`, and the names of damaged files after it."""
        remove_partial(self.folder)
        damaged: list[str] = []
        for path in reversed(self.paths()):
            try:
                return _read(path), damaged
            # Whatever a torn file makes NumPy, zipfile or JSON stumble over.
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                damaged.append(path.name)
        return None, damaged

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


def _read(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()  # reads all of it, and compares the checksums
        if bad is not None:
            raise zipfile.BadZipFile(f"{bad} is damaged")
    with np.load(path, allow_pickle=False) as archive:
        content = json.loads(archive[_TEXT].tobytes())
        return decode(content, archive)


def encode(value: Any, arrays: list[np.ndarray]) -> Any:
    """Returns what JSON can say of a value; arrays are appended to `arrays` and named by number.

    Args:
        value: `None`, numbers, text, NumPy's arrays, numbers and generators, or lists, tuples and
            dictionaries of them.
        arrays: Gets the arrays.

    Raises:
        NotPlainError: If the value is anything else.
    """
    if value is None or isinstance(value, (bool, str)) or type(value) in (int, float):
        return value
    if isinstance(value, list):
        return [encode(entry, arrays) for entry in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(entry, arrays) for entry in value]}
    if isinstance(value, dict):
        pairs = value.items()
        return {"dict": [[encode(key, arrays), encode(entry, arrays)] for key, entry in pairs]}
    if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        array = np.asarray(value)
        kind = "array" if isinstance(value, np.ndarray) else "number"
        name = array.dtype.name
        if array.dtype.kind == "V":  # such as bfloat16, which `.npz` files do not know
            array = array.view(f"uint{8 * array.dtype.itemsize}")
        arrays.append(array)
        return {kind: len(arrays) - 1, "dtype": name}
    if isinstance(value, np.random.Generator):
        return {"generator": encode(value.bit_generator.state, arrays)}
    raise NotPlainError(f"{type(value).__name__} is neither numbers nor text nor arrays")


def decode(content: Any, arrays: Any) -> Any:
    """Returns the value that `encode` was given."""
    if isinstance(content, list):
        return [decode(entry, arrays) for entry in content]
    if not isinstance(content, dict):
        return content
    if "tuple" in content:
        return tuple(decode(entry, arrays) for entry in content["tuple"])
    if "dict" in content:
        return {decode(key, arrays): decode(entry, arrays) for key, entry in content["dict"]}
    if "generator" in content:
        state = decode(content["generator"], arrays)
        generator = np.random.Generator(getattr(np.random, state["bit_generator"])())
        generator.bit_generator.state = state
        return generator
    array = arrays[f"array{content.get('array', content.get('number'))}"]
    if array.dtype.name != content["dtype"]:
        array = array.view(content["dtype"])
    return array if "array" in content else array[()]
