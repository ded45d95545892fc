"""What a run is made of, in few words: data by their checksums, settings as they are.

Two runs with the same fingerprint go through the same weights.
"""

import hashlib
import json
from typing import Any

import keras
import numpy as np

from keras_sda.datasets.outside_memory import ComputedRows, StoredRows

# Of larger tables only some rows are read, evenly spread: a checksum must not take as long as an
# epoch.
_WHOLE_BYTES = 2**30
_SAMPLED_ROWS = 4096
_CHUNK_BYTES = 2**24


def of_data(data: Any) -> Any:
    """Returns what tells data from others: shape, type and checksum; of datasets, their size.

    Args:
        data: An array, or a dataset of batches, or `None`, or several in a list or tuple.
    """
    if isinstance(data, (list, tuple)):
        return [of_data(part) for part in data]
    if data is None:
        return None
    if isinstance(data, ComputedRows) and not isinstance(data, StoredRows):
        return {"shape": list(data.shape), "dtype": str(data.dtype)}
    if isinstance(data, (np.ndarray, StoredRows)):
        values = _checksum(data)
        return {"shape": list(data.shape), "dtype": str(data.dtype), "values": values}
    if hasattr(data, "element_spec"):
        return {"type": type(data).__name__, "batches": int(data.cardinality())}
    batches = getattr(data, "num_batches", None)
    return {"type": type(data).__name__, "batches": batches}


def _checksum(array):
    digest = hashlib.sha256()
    if array.size * array.dtype.itemsize > _WHOLE_BYTES:
        array = array[np.linspace(0, len(array) - 1, _SAMPLED_ROWS).astype("int64")]
    rows = max(1, _CHUNK_BYTES // max(1, array[:1].nbytes)) if array.ndim else 1
    for start in range(0, len(array), rows) if array.ndim else ():
        digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    return digest.hexdigest()


def of_object(thing: Any) -> Any:
    """Returns the settings of a Keras object, such as a model or an optimizer.

    Names are left out, as Keras numbers them by what was made before.
    """
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, (list, tuple)):
        return [of_object(part) for part in thing]
    settings = {"class": type(thing).__name__}
    try:
        config = thing.get_config()
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return settings  # a function, or a user's model without a configuration
    return {**settings, **plain(config)}


def plain(config: Any) -> Any:
    """Returns a configuration as JSON would give it back, without the names of layers."""
    return json.loads(json.dumps(_without_names(config), default=_described))


def _without_names(value):
    if isinstance(value, dict):
        return {
            str(key): _without_names(entry)
            for key, entry in value.items()
            if key not in ("name", "shared_object_id")
        }
    if isinstance(value, (list, tuple)):
        return [_without_names(entry) for entry in value]
    return value


def _described(value):
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (keras.layers.Layer, keras.initializers.Initializer)):
        return of_object(value)
    return type(value).__name__


def first_difference(old: Any, new: Any, path: str = "") -> str | None:
    """Returns in words where two fingerprints differ first, or `None` if they are the same.

    Example:

    >>> first_difference({"fit": {"epochs": 5}}, {"fit": {"epochs": 7}})
    'fit.epochs was 5 and is now 7'
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            shown = key if str(key).isprintable() else _short(key)  # it may come from a file
            inner = f"{path}.{shown}" if path else str(shown)
            found = first_difference(old.get(key), new.get(key), inner)
            if found:
                return found
        return None
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            found = first_difference(one, other, f"{path}[{index}]")
            if found:
                return found
        return None
    if old == new:
        return None
    if path.endswith(".values"):
        return f"the values of {path.removesuffix('.values')} are others"
    return f"{path} was {_short(old)} and is now {_short(new)}"


def _short(value):
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
