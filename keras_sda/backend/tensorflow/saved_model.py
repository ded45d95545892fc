"""How a SavedModel is run, by TensorFlow under any backend of Keras."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf


def saved_model_runner(path: Path) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Returns a function that runs inputs through all endpoints of a SavedModel, by name."""
    loaded = tf.saved_model.load(str(path))
    names = [name for name in loaded.signatures if name != "serving_default"]

    def run(arrays):
        inputs = [tf.constant(array) for array in arrays.values()]
        return {name: getattr(loaded, name)(*inputs).numpy() for name in names}

    return run
