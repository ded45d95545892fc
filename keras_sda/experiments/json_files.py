"""The one reader of JSON files that this package has written: whole, of the right types, not newer.

Whatever is wrong with one, the answer is a sentence that names the file.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_sda._validation import shown
from keras_sda.datasets.memory import check_is_file, check_memory

# The version of what `write` writes, in its entry `format`. It changes when older versions of the
# package could not read a file any more, or would read it wrongly; files without it are of 0.2.0.
FORMAT = 1

NUMBER = (int, float)
HISTORY = {"*": [NUMBER]}


class DamagedError(ValueError):
    """Says which file is damaged, why, and what to do."""


def read(path: Path, shape: Any, remedy: str) -> dict[str, Any]:
    """Returns the content of a JSON file, without its entry `format`.

    Args:
        path: The file.
        shape: What it has to hold. A type or a tuple of types, with `None` for nothing; `[shape]`,
            a list of such values; or a mapping of shapes by key, where `"key?"` may be missing and
            `"*"` stands for every other key.
        remedy: What to do about a damaged one.

    Raises:
        ValueError: If it is damaged, holds something else, or is of a newer version.
    """
    with told_as_damaged(path, remedy):
        check_is_file(path)
        check_memory(path, path.stat().st_size)
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"a table is expected, not {_named(content)}")
        found = content.pop("format", FORMAT)
        if type(found) is int and found > FORMAT:
            raise DamagedError(
                f"{path} is of format {found}, which a later version of keras-sda writes, and "
                f"this one reads {FORMAT} at most: update keras-sda."
            )
        check(content, shape)
    return content


def with_format(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what to write: the content, with the version of its format first."""
    return {"format": FORMAT, **content}


def check(value: Any, shape: Any, name: str = "") -> None:
    """Raises a `ValueError` if a value does not have a shape, as `read` describes them.

    Example:

    >>> check({"loss": [0.5, "x"]}, {"*": [float]})
    Traceback (most recent call last):
    ValueError: loss[1] must be float, not 'x'
    """
    if isinstance(shape, dict):
        _expect(isinstance(value, dict), name, "a table", value)
        for key in shape:
            if key.removesuffix("?") not in value and key != "*":
                _expect(key.endswith("?"), name, f"a table with {key}", sorted(value))
        for key, entry in value.items():
            inner = shape.get(key, shape.get(f"{key}?", shape.get("*", object)))
            check(entry, inner, f"{name}.{key[:40]}" if name else key[:40])
    elif isinstance(shape, list):
        _expect(isinstance(value, list), name, "a list", value)
        for index, entry in enumerate(value):
            check(entry, shape[0], f"{name}[{index}]")
    else:
        kinds = shape if isinstance(shape, tuple) else (shape,)
        if any(isinstance(kind, (dict, list)) for kind in kinds):
            (inner,) = (kind for kind in kinds if kind is not None)
            if value is not None:
                check(value, inner, name)
            return
        is_flag = isinstance(value, bool) and bool not in kinds and object not in kinds
        fits = not is_flag and isinstance(value, tuple(type(k) if k is None else k for k in kinds))
        words = " or ".join("null" if kind is None else kind.__name__ for kind in kinds)
        _expect(fits, name, words, value)


def _expect(is_so: bool, name: str, expected: str, value: Any) -> None:
    if not is_so:
        raise ValueError(f"{name or 'it'} must be {expected}, not {_named(value)}")


def _named(value: Any) -> str:
    return shown(value, 40)


@contextlib.contextmanager
def told_as_damaged(path: Path, remedy: str) -> Iterator[None]:
    """Turns whatever a damaged or tampered file leads to into a sentence that names it."""
    try:
        yield
    except (PermissionError, DamagedError):
        raise
    except FileNotFoundError as error:
        raise DamagedError(f"{path} is missing: {remedy}.") from error
    # Almost any: text that is no JSON, numbers too long, lists too deep, values of other types.
    except Exception as error:
        reason = f"{error}".strip().splitlines() or [type(error).__name__]
        raise DamagedError(
            f"{path} is damaged ({reason[0][:200].rstrip('.')}): {remedy}."
        ) from error
