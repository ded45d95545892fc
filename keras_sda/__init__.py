"""Stacked denoising autoencoders and their family, for Keras 3."""

from keras_sda import callbacks, datasets, initializers, layers, losses
from keras_sda.models import (
    DenoisingAutoencoder,
    StackedDenoisingAutoencoder,
    UnrolledAutoencoder,
)
from keras_sda.pretraining import pretrain_layers

__version__ = "0.1.0"

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
    "pretrain_layers",
]
