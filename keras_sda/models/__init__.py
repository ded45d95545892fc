"""The model zoo."""

from keras_sda.models.denoising import DenoisingAutoencoder
from keras_sda.models.stacked_denoising import StackedDenoisingAutoencoder
from keras_sda.models.unrolled import UnrolledAutoencoder

__all__ = ["DenoisingAutoencoder", "StackedDenoisingAutoencoder", "UnrolledAutoencoder"]
