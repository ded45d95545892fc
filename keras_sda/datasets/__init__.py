"""Data for the models: a few named sets, any `tfds:NAME`, and your own files.

`load` returns arrays that are split, scaled and ready to train on; `read_rows` returns the rows of
a file as they are, for a model trained earlier whose `Scaling` is already known.
"""

from keras_sda.datasets.catalog import Data, load, names
from keras_sda.datasets.columns import Columns
from keras_sda.datasets.files import Split, read_rows
from keras_sda.datasets.scaling import Scaling
from keras_sda.datasets.synthetic import gaussian_clouds, gaussian_clouds_weights, xor

__all__ = [
    "Columns",
    "Data",
    "Scaling",
    "Split",
    "gaussian_clouds",
    "gaussian_clouds_weights",
    "load",
    "names",
    "read_rows",
    "xor",
]
