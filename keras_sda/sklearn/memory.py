"""Pretraining that is remembered, so that a grid search does each one once."""

import os
import warnings
from typing import Any

import keras
import numpy as np
from sklearn.utils.validation import check_memory

import keras_sda

# The parameters that pretraining reads, besides the scaling.
_PARAMETERS = (
    *("hidden_units", "noise", "noise_level", "activation", "tied", "kernel_initializer"),
    *("reconstruction_loss", "pretrain_epochs", "pretrain_learning_rate", "batch_size"),
    "optimizer",
)


def pretrain(estimator: Any, model: Any, rows: Any, X: Any) -> list[dict[str, list[float]]]:
    """Pretrains a new model of an estimator, or gives it what an equal pretraining has left.

    Equal are the rows, the seed, the parameters that pretraining reads, and the versions of what
    computes it.

    Args:
        estimator: The estimator; its `memory` says where results are kept.
        model: The model, with the initial weights of its seed.
        rows: The rows as the model takes them.
        X: The rows before they were scaled, array or sparse matrix.

    Returns:
        The histories of the levels.
    """
    settings = {name: _plain(getattr(estimator, name)) for name in _PARAMETERS}
    settings |= {"class": type(estimator).__name__, "seed": model.seed}
    settings |= {"scaling": estimator.scaling_.to_dict(), "keras": keras.__version__}
    settings |= {"backend": keras.backend.backend(), "keras_sda": keras_sda.__version__}
    place = estimator.memory
    place = os.fspath(place) if isinstance(place, os.PathLike) else place
    remembered = check_memory(place).cache(_pretrain, ignore=["estimator", "work"])
    with warnings.catch_warnings():
        # joblib describes the rows for people, which may be slow on a busy machine.
        warnings.filterwarnings("ignore", message="Persisting input arguments")
        histories, state = remembered(estimator, (model, rows), X, settings)
    for variable, value in zip(_variables(model), state, strict=True):
        variable.assign(value)
    return histories


def _pretrain(estimator, work, X, settings):
    """Returns histories, and the values that pretraining has left in a model."""
    model, rows = work
    histories = estimator._pretrain(model, rows)
    return histories, [keras.ops.convert_to_numpy(each) for each in _variables(model)]


def _variables(model):
    """Returns what pretraining changes: weights of the levels, and how far their noise has come."""
    layers = [*model.levels, *(layer for layer in model.noise_layers if layer is not None)]
    return [variable for layer in layers for variable in layer.variables]


def _plain(value):
    """Returns a parameter as plain data, which joblib can tell from others."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return keras.saving.serialize_keras_object(value)
