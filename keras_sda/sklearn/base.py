"""Bases of the estimators of a network: seed, training, pickling; scaling, codes."""

import numbers
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from keras_sda import backend
from keras_sda.datasets.batches import run_in_batches
from keras_sda.datasets.scaling import Scaling
from keras_sda.sklearn.frames import TakesFrames
from keras_sda.sklearn.parameters import Check
from keras_sda.sklearn.rows import choose_scaling, scaled_rows
from keras_sda.training.optimizers import make_optimizer


class ModelEstimator(BaseEstimator):
    """The base of the estimators of a Keras model: its seed, its training, its pickle.

    A subclass is a dataclass of the parameters. Those that are declared here, every one of them
    has.
    """

    # What `parameters.CHECKS` does not say about the parameters of a subclass.
    own_checks: ClassVar[dict[str, Check]] = {}

    batch_size: int
    optimizer: Any
    random_state: Any
    verbose: Any

    def __sklearn_is_fitted__(self):
        return hasattr(self, "model_")  # A fit that was refused leaves other attributes behind.

    def _draw_seed(self):
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _train(self, *data, **options):
        """Trains the whole network, and extends the history."""
        history = self.model_.fit(
            *data, batch_size=self.batch_size, verbose=self.verbose, **options
        )
        for name, values in history.history.items():
            self.history_.setdefault(name, []).extend(values)

    def _fresh_optimizer(self, learning_rate, schedule="constant", steps=1):
        if isinstance(self.optimizer, str):
            return make_optimizer(self.optimizer, learning_rate, schedule, steps)
        with backend.anonymous_variables():
            return _fresh(self.optimizer)

    # A Keras model is pickled as the content of its `.keras` file.

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "model_" in state:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.keras"
                state["model_"].save(path)
                state["model_"] = path.read_bytes()
        return state

    def __setstate__(self, state):
        state = dict(state)
        if "model_" in state:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.keras"
                path.write_bytes(state["model_"])
                state["model_"] = keras.saving.load_model(path)
        super().__setstate__(state)


class NetworkEstimator(TakesFrames, ModelEstimator):
    """The base of all estimators of a network; a subclass is a dataclass of the parameters.

    Those that are declared here, every one of them has.
    """

    noise: Any
    scale: str | None

    def encode(self, X, level=-1):
        """Returns the codes of a level.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            level: Number of the level from 0; -1 is the last.

        Returns:
            Array of shape `(rows, hidden_units[level])`, float32.
        """
        rows = self._checked_rows(X)
        return self.model_.encode(rows, level=level)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _scale_of_columns(self):
        return "squash" if self.scale == "auto" else self.scale

    def _choose_scaling(self, X):
        if self.columns_ is not None:
            return Scaling()  # the columns are scaled already
        scale = "standard" if self.scale == "auto" else self.scale
        return choose_scaling(X, scale, type(self).__name__)

    def _fresh_noise(self):
        """Returns the noise, layers as copies, which `random_state` seeds if they have no seed."""
        if isinstance(self.noise, (list, tuple)):
            return [_fresh(noise, self._seed + level) for level, noise in enumerate(self.noise)]
        return _fresh(self.noise, self._seed)

    def _checked_rows(self, X):
        """Returns the rows given to a method of a fitted estimator, checked and scaled."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return scaled_rows(X, self.scaling_)

    def _unscaled(self, rows):
        """Returns scaled rows in the units of the features, as a frame if they came from one."""
        rows = rows.astype("float64")
        rows = rows / np.asarray(self.scaling_.factor) + np.asarray(self.scaling_.offset)
        return rows if self.columns_ is None else self.columns_.inverse(rows)

    def _outputs(self, rows):
        """Returns what predicts from scaled rows: probabilities or targets, float64."""
        return run_in_batches(self.model_, rows).astype("float64")


def plain_list(values):
    """Returns an array of numbers, as `np.geomspace` in a grid search gives, as a list."""
    return values.tolist() if isinstance(values, np.ndarray) else values


def _fresh(argument, seed=None):
    """Returns a copy of a Keras object, so that training does not change the parameter.

    A layer that takes a seed, but has none, gets this one.
    """
    if not isinstance(argument, (keras.layers.Layer, keras.optimizers.Optimizer)):
        return argument
    config = argument.get_config()
    if "seed" in config and config["seed"] is None:
        config["seed"] = seed
    return type(argument).from_config(config)
