"""Stacked denoising autoencoders and their family, for Keras 3."""

import importlib

from keras_sda import (
    callbacks,
    datasets,
    initializers,
    layers,
    losses,
    models,
    presets,
    regularizers,
)
from keras_sda.models import *  # whose `__all__` is the one list of models
from keras_sda.training.pretraining import pretrain_layers

__version__ = "0.2.0"


def __getattr__(name):
    # Matplotlib is loaded when something is drawn, the others when one is asked for.
    if name in ("experiments", "plots", "recipes", "sklearn"):
        return importlib.import_module(f"keras_sda.{name}")
    raise AttributeError(f"module 'keras_sda' has no attribute {name!r}")


__all__ = [
    *models.__all__,
    "__version__",
    "callbacks",
    "datasets",
    "experiments",
    "initializers",
    "layers",
    "losses",
    "plots",
    "presets",
    "pretrain_layers",
    "recipes",
    "regularizers",
    "sklearn",
]
