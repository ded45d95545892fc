"""Stacked denoising autoencoders and their family, for Keras 3."""

import importlib

from keras_sda import callbacks, datasets, initializers, layers, losses
from keras_sda.models import (
    DenoisingAutoencoder,
    StackedDenoisingAutoencoder,
    UnrolledAutoencoder,
)
from keras_sda.pretraining import pretrain_layers

__version__ = "0.1.0"


def __getattr__(name):
    # Matplotlib is loaded when something is drawn.
    if name == "plots":
        return importlib.import_module("keras_sda.plots")
    raise AttributeError(f"module 'keras_sda' has no attribute {name!r}")


__all__ = [
    "DenoisingAutoencoder",
    "StackedDenoisingAutoencoder",
    "UnrolledAutoencoder",
    "__version__",
    "callbacks",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "plots",
    "pretrain_layers",
]
