"""Keras layers of the denoising autoencoders."""

from keras_sda.layers.ladder import LadderDecoder, LadderEncoder
from keras_sda.layers.noise import (
    AdditiveGaussianNoise,
    ColumnSwapNoise,
    MaskingNoise,
    SaltAndPepperNoise,
    SwapNoise,
    noise_names,
)
from keras_sda.layers.sampling import Sampling
from keras_sda.layers.tied_dense import TiedDense

__all__ = [
    "AdditiveGaussianNoise",
    "ColumnSwapNoise",
    "LadderDecoder",
    "LadderEncoder",
    "MaskingNoise",
    "SaltAndPepperNoise",
    "Sampling",
    "SwapNoise",
    "TiedDense",
    "noise_names",
]
