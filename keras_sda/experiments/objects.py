"""Keras objects as plain values: what `config.json` and a TOML file say of a layer or a penalty."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

# Where a class is looked for, after those that this package has registered.
_MODULES = (
    keras.regularizers,
    keras.initializers,
    keras.losses,
    keras.layers,
)
_KINDS = (
    keras.regularizers.Regularizer,
    keras.initializers.Initializer,
    keras.losses.Loss,
    keras.layers.Layer,
)
# Layers that run code, or read files that their arguments name: settings from a stranger run
# nothing.
_REFUSED = ("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")
_LEFT_OUT = ("name", "trainable", "dtype")


def to_plain(value: Any) -> Any:
    """Returns a value as numbers, text, lists and mappings, ready for JSON and TOML.

    A Keras object becomes a mapping of its class and those arguments that differ from its defaults.

    Args:
        value: A plain value, a tuple, a NumPy number or array, a Keras object, or a list or mapping
            of them.

    Raises:
        ValueError: If the value is anything else, such as a function.

    Example:

    >>> to_plain({"kernel_regularizer": keras.regularizers.L2(0.5), "filters": (32, 4)})
    {'kernel_regularizer': {'class': 'L2', 'l2': 0.5}, 'filters': [32, 4]}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        if set(value) >= {"class_name", "config"}:  # as Keras writes an object inside another
            return {"class": value["class_name"], **to_plain(value["config"])}
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(entry) for entry in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if not isinstance(value, _KINDS):
        raise ValueError(
            "An option must be a number, text, a list, or a Keras layer, initializer, regularizer "
            f"or loss. Received: {value!r}"
        )
    defaults = inspect.signature(type(value)).parameters
    arguments = {}
    for name, entry in value.get_config().items():
        is_default = name in defaults and _is_equal(entry, defaults[name].default)
        if name in defaults and name not in _LEFT_OUT and not is_default and entry is not None:
            arguments[name] = to_plain(entry)
    return {"class": type(value).__name__, **arguments}


def _is_equal(entry: Any, default: Any) -> bool:
    if isinstance(entry, Mapping) and isinstance(default, str):
        # An initializer of which the default is a name.
        return entry.get("class_name", "").lower() == default.replace("_", "").lower()
    if isinstance(entry, (list, tuple)) and isinstance(default, (list, tuple)):
        return list(entry) == list(default)
    return type(entry) is type(default) and entry == default


def from_plain(value: Any) -> Any:
    """Returns what `to_plain` was given; lists stand for tuples, objects are new ones.

    Args:
        value: Plain values, in which a mapping with the key `class` stands for a Keras object: a
            layer, initializer, regularizer or loss of Keras or of this package.

    Raises:
        ValueError: If there is no such class, or it does not take these arguments.

    Example:

    >>> from_plain({"class": "L2", "l2": 0.5}).get_config()
    {'l2': 0.5}
    """
    if isinstance(value, (list, tuple)):
        return [from_plain(entry) for entry in value]
    if not isinstance(value, Mapping):
        return value
    entries = {key: from_plain(entry) for key, entry in value.items()}
    if "class" not in entries:
        return entries
    name = entries.pop("class")
    kind = _find_class(name)
    try:
        return kind(**entries)
    except TypeError as error:
        expected = ", ".join(p for p in inspect.signature(kind).parameters if p != "kwargs")
        raise ValueError(
            f"{name} takes the arguments {expected}. Received: {', '.join(entries) or 'none'}"
        ) from error


def first_other_key(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Returns the first key whose value differs between two mappings, or `None` if none does."""
    return next((key for key in {**old, **new} if old.get(key) != new.get(key)), None)


def _find_class(name: Any) -> Any:
    found = None
    if isinstance(name, str) and name not in _REFUSED:
        candidates = [keras.saving.get_registered_object(f"keras_sda>{name}")]
        candidates += [getattr(module, name, None) for module in _MODULES]
        for candidate in candidates:
            if inspect.isclass(candidate) and issubclass(candidate, _KINDS):
                found = found or candidate
    if found is None or issubclass(found, keras.Model):
        raise ValueError(
            "The entry `class` must name a layer, initializer, regularizer or loss of Keras or "
            f"keras_sda that runs no code of its own, such as 'L2'. Received: {name!r}"
        )
    return found
