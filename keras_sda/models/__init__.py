"""The model zoo."""

from keras_sda.models.contractive import ContractiveAutoencoder
from keras_sda.models.convolutional import ConvolutionalAutoencoder
from keras_sda.models.deep import DeepAutoencoder
from keras_sda.models.denoising import DenoisingAutoencoder
from keras_sda.models.ladder import LadderNetwork
from keras_sda.models.lenet5 import LeNet5
from keras_sda.models.linear_on_codes import LinearOnCodes
from keras_sda.models.mlp import MLP
from keras_sda.models.softmax_regression import SoftmaxRegression
from keras_sda.models.sparse import SparseAutoencoder
from keras_sda.models.stacked_denoising import StackedDenoisingAutoencoder
from keras_sda.models.unrolled import UnrolledAutoencoder
from keras_sda.models.variational import VariationalAutoencoder

__all__ = [
    "MLP",
    "ContractiveAutoencoder",
    "ConvolutionalAutoencoder",
    "DeepAutoencoder",
    "DenoisingAutoencoder",
    "LadderNetwork",
    "LeNet5",
    "LinearOnCodes",
    "SoftmaxRegression",
    "SparseAutoencoder",
    "StackedDenoisingAutoencoder",
    "UnrolledAutoencoder",
    "VariationalAutoencoder",
]
