"""What callers give as data: one place that says which kinds there are, and makes arrays of them.

Rows, labels and weights may be a NumPy array (in a file, too), a table of pandas or polars, a
tensor of any backend, a sparse matrix, or a list of numbers. Datasets and generators bring batches
and stay as they are: of them the first batch is checked, and each loss.
"""

import datetime
from typing import Any

import keras
import numpy as np

from keras_sda._validation import shown, unmasked
from keras_sda.datasets.batches import is_dataset
from keras_sda.datasets.outside_memory import ComputedRows, SparseRows

# What pandas would make numbers of, or fail at.
_NO_NUMBERS = (str, datetime.date, datetime.timedelta)

_KINDS = "a NumPy array, a table, a tensor, or a dataset of batches"


def as_table(value: Any, owner: str, name: str = "x") -> Any:
    """Returns data as an array, or as they are if they come in batches.

    Args:
        value: Data of any kind named above.
        owner: The caller's name in the error message.
        name: The name of the data in the error message.

    Returns:
        A NumPy array, `ComputedRows`, or what brings batches.

    Raises:
        ValueError: If no array can be made of it.
    """
    if isinstance(value, ComputedRows) or is_streamed(value):
        return value
    if type(value).__module__.startswith("scipy.sparse"):
        return SparseRows(value.tocsr())
    if value is None or isinstance(value, (str, bytes, dict, set)) or np.isscalar(value):
        remedy = ": load files by keras_sda.datasets.load" if isinstance(value, str) else ""
        raise ValueError(f"{owner} needs `{name}` as {_KINDS}. Received {shown(value)}{remedy}.")
    try:
        array = _array(value)
    except Exception as error:  # each library has its own errors for what it cannot convert
        kind = f"a {type(value).__name__}"
        raise ValueError(
            f"{owner} needs `{name}` as {_KINDS}. Received {kind} of which no array can be made, "
            "such as rows of different lengths."
        ) from error
    if array.dtype.name == "bfloat16":  # NumPy has no arithmetic of its own for it
        array = array.astype("float32")
    return array


def is_streamed(value: Any) -> bool:
    """Whether something brings batches: a dataset, a generator, or a loader of PyTorch's kind."""
    is_loader = hasattr(value, "batch_sampler") or type(value).__module__.startswith("grain")
    return is_dataset(value) or hasattr(value, "__next__") or is_loader


def _array(value):
    """Returns the array of whatever holds numbers."""
    if isinstance(value, np.ndarray):
        return unmasked(value)
    if hasattr(value, "detach"):  # PyTorch's, which may be on a device, or need a gradient
        value = value.detach().cpu()
        return np.asarray(value.float() if str(value.dtype) == "torch.bfloat16" else value)
    if keras.ops.is_tensor(value):
        return keras.ops.convert_to_numpy(value)
    if hasattr(value, "to_numpy"):
        array = value.to_numpy()
        # Columns of several dtypes, or of those that know a missing value.
        if array.dtype.kind == "O" and not any(isinstance(one, _NO_NUMBERS) for one in array.flat):
            array = value.to_numpy(dtype="float64", na_value=np.nan)
        return array
    return np.asarray(value)
