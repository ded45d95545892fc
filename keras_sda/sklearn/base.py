"""Base of the four estimators: parameters, scaling, pretraining, pickling."""

import numbers
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from keras_sda import backend
from keras_sda.models.stacked_denoising import StackedDenoisingAutoencoder
from keras_sda.sklearn.rows import choose_scaling, scaled_rows
from keras_sda.training.optimizers import make_optimizer

_SHARED = """\
hidden_units: Units of each level, the lowest first. One level of 64 by default, which is fast
            and enough for a table of a few dozen columns; pass several to stack them.
        noise: Noise on the input of each level in pretraining: its name
            (`keras_sda.layers.noise_names()` lists them all), a Keras layer, or `None`; or one per
            level. Masking by default, which, on standardised features, replaces values with the
            feature's mean.
        noise_level: Level of the noise, one value or one per level of the stack; 0.3 is in the
            middle of the rates (0.1 to 0.5) that papers choose from.
        activation: Activation of the codes, or one per level; sigmoid, as in the tutorials.
        tied: Whether decoders share the kernels of the encoders, which halves the weights; or one
            value per level.
        kernel_initializer: Initializer of the kernels; Glorot uniform, as in Keras.
        reconstruction_loss: As in `StackedDenoisingAutoencoder`.{loss_reason}
        scale: How to scale the features before training, as in `keras_sda.datasets.load`:
            `"standard"` (mean 0, standard deviation 1 in each column; the default, as it suits
            features in any unit), `"unit"` ([0, 1], for cross-entropy, as with images),
            `"symmetric"` ([-1, 1]) or `None`. It is fitted on the training rows; new rows are
            scaled in the same way.
        pretrain_epochs: Epochs of pretraining, or one number per level; 0 skips pretraining. Twice
            the default of `StackedDenoisingAutoencoder.pretrain`, as tables are smaller.
        pretrain_learning_rate: Learning rate of pretraining, or one per level; Adam's default.
        batch_size: Rows per update; 32 as in Keras, so that small tables still take many steps.
        optimizer: Name, or a Keras optimizer with its own learning rate, copied for each use; Adam,
            as it needs the least tuning.
        random_state: Seed of initial weights, noise, dropout and shuffling: an integer gives the
            same weights every time. `None` and a `RandomState` draw the seed, as usual.
        verbose: As in Keras' `fit`; silent by default, as grid searches fit many models."""


def documented(**texts):
    """Returns a class decorator that fills in `{shared}` and other texts in the docstring."""

    def fill(cls):
        for name, text in {"shared": _SHARED, "loss_reason": "", **texts}.items():
            cls.__doc__ = cls.__doc__.replace(f"{{{name}}}", text)
        return cls

    return fill


@dataclass(kw_only=True, eq=False, repr=False)
class StackedEstimator(BaseEstimator):
    """The base of the estimators; a subclass documents the parameters (see `documented`).

    A dataclass, as scikit-learn needs a constructor that names every parameter and stores it.
    """

    hidden_units: Any = (64,)
    noise: Any = "masking"
    noise_level: Any = 0.3
    activation: Any = "sigmoid"
    tied: Any = True
    kernel_initializer: Any = "glorot_uniform"
    reconstruction_loss: Any = "auto"
    scale: str | None = "standard"
    pretrain_epochs: Any = 30
    pretrain_learning_rate: Any = 1e-3
    batch_size: int = 32
    optimizer: Any = "adam"
    random_state: Any = None
    verbose: Any = 0

    def encode(self, X, level=-1):
        """Returns the codes of a level.

        Args:
            X: Array or sparse matrix of shape `(rows, features)`.
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

    def _start(self, X, **head):
        """Chooses the scaling, builds the model and pretrains it.

        Args:
            X: Checked rows, array or CSR matrix.
            **head: Arguments of the model for its supervised part.

        Returns:
            The model and the scaled rows.
        """
        self.scaling_ = self._choose_scaling(X)
        self._seed = self._draw_seed()
        with backend.anonymous_variables():  # A grid search makes many models.
            model = StackedDenoisingAutoencoder(
                input_dim=X.shape[1],
                hidden_units=_plain_list(self.hidden_units),
                noise=self._fresh_noise(),
                noise_level=self.noise_level,
                activation=self.activation,
                tied=self.tied,
                kernel_initializer=self.kernel_initializer,
                reconstruction_loss=self.reconstruction_loss,
                seed=self._seed,
                **head,
            )
        rows = scaled_rows(X, self.scaling_)
        model.autoencoder.settle_reconstruction_loss(rows)
        self._pretrain(model, rows)
        return model, rows

    def _choose_scaling(self, X):
        return choose_scaling(X, self.scale, type(self).__name__)

    def _pretrain(self, model, rows):
        histories = model.pretrain(
            rows,
            epochs=self.pretrain_epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.pretrain_learning_rate,
            verbose=self.verbose,
        )
        self.histories_ = [history.history for history in histories]

    def _draw_seed(self):
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _fresh_noise(self):
        """Returns the noise, layers as copies, which `random_state` seeds if they have no seed."""
        if isinstance(self.noise, (list, tuple)):
            return [_fresh(noise, self._seed + level) for level, noise in enumerate(self.noise)]
        return _fresh(self.noise, self._seed)

    def _train(self, *data, **options):
        """Trains all levels together, and extends the history."""
        history = self.model_.fit(
            *data, batch_size=self.batch_size, verbose=self.verbose, **options
        )
        for name, values in history.history.items():
            self.history_.setdefault(name, []).extend(values)

    def _fresh_optimizer(self, learning_rate):
        if isinstance(self.optimizer, str):
            return make_optimizer(self.optimizer, learning_rate)
        return _fresh(self.optimizer)

    def _checked_rows(self, X):
        """Returns the rows given to a method of a fitted estimator, checked and scaled."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        return scaled_rows(X, self.scaling_)

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


def _plain_list(values):
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
