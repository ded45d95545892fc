"""A constructor's arguments: kept once, and given back by `get_config`, for all models."""

import types
from typing import Any

import keras
import numpy as np


class KeepsArguments(keras.Model):
    """A Keras model whose configuration is what its constructor was given.

    A constructor ends with `self.keep_arguments(...)`, which names every argument but those that
    each Keras model has, `name` and `dtype`. Some arguments are settled later, as the data settle
    `reconstruction_loss="auto"`: `settled_arguments` says what they are by then.
    """

    def keep_arguments(self, **arguments: Any) -> None:
        """Keeps the arguments of a constructor, in place of those that its parent's has kept."""
        for name, value in arguments.items():
            if isinstance(value, list):  # the caller may change it
                arguments[name] = list(value)
            elif isinstance(value, np.generic):  # which no configuration takes
                arguments[name] = value.item()
        # A proxy, as Keras would track the layers in a dictionary, and save them once more.
        self._arguments = types.MappingProxyType(arguments)

    def settled_arguments(self) -> dict[str, Any]:
        """Returns the current values of arguments that may be settled after construction.

        Names that the constructor does not take are ignored, so that a parent may answer for all
        its subclasses.
        """
        return {}

    def get_config(self):
        """Returns the constructor's arguments as plain data."""
        settled = self.settled_arguments()
        config = super().get_config()
        for name, value in self._arguments.items():
            config[name] = _serialize(settled.get(name, value))
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a model with new weights from a configuration."""
        return cls(**{name: _deserialize(value, custom_objects) for name, value in config.items()})


def _serialize(value: Any) -> Any:
    """Returns an argument as JSON can hold it: built-in activations by name, as Keras does."""
    if isinstance(value, (list, tuple)):
        return type(value)(_serialize(one) for one in value)
    if isinstance(value, types.FunctionType):
        name = value.__name__
        if getattr(keras.activations, name, None) is value:
            return name
    return keras.saving.serialize_keras_object(value)


def _deserialize(value: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the argument that `_serialize` was given; a name stays a name."""
    if isinstance(value, (dict, list, tuple)):
        return keras.saving.deserialize_keras_object(value, custom_objects)
    return value
