"""The base class of the autoencoders: `fit(x)`, and its loss in the units of the papers."""

from typing import Any

import keras
import numpy as np

from keras_sda import losses
from keras_sda._validation import check_choice, check_rows, lies_within_unit
from keras_sda.exporting import export_saved_model
from keras_sda.models.checked import CheckedModel
from keras_sda.pretraining import is_dataset, peek, run_in_batches


class Autoencoder(CheckedModel):
    """A Keras model whose target is its own input.

    A subclass provides `preactivation(inputs, training)`, the reconstruction before its last
    activation, the Keras models `encoder` and `decoder`, and `input_dim`. `compile(optimizer)`
    without a loss then trains on the reconstruction loss; with one, that loss compares the
    reconstruction with the input, or with `y` if it is given.

    Args:
        reconstruction_loss: `"binary_crossentropy"` (data in [0, 1], sigmoid at the end),
            `"squared_error"` (any data, linear at the end), or `"auto"`: the first if the data it
            is trained on lie in [0, 1], else the second.
        seed: Makes the shuffling of `fit` repeatable.
        **kwargs: As for `keras.Model`.
    """

    def __init__(self, reconstruction_loss="auto", seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        choices = ("auto", *losses.RECONSTRUCTION_LOSSES)
        owner = type(self).__name__
        check_choice("reconstruction_loss", reconstruction_loss, choices, owner)
        self._use_loss(reconstruction_loss)

    def _use_loss(self, name):
        """Takes the loss called `name` and, with it, the activation that ends the decoder."""
        self.reconstruction_loss = name
        self._rows_loss, activation = losses.on_preactivation(name)
        self.output_activation = keras.activations.get(activation)
        # What was traced with another activation is void.
        self.train_function = self.test_function = self.predict_function = None

    def preactivation(self, inputs, training=False):
        """Returns the reconstruction before its last activation; corrupts first in training."""
        raise NotImplementedError

    def call(self, inputs, training=False):
        # The loss works on the preactivation, as a sigmoid rounds to 0 or 1. Keras hands it only
        # what `call` returns, so `compute_loss`, next in the same step, finds it here.
        self._latest_preactivation = self.preactivation(inputs, training=training)
        return self.output_activation(self._latest_preactivation)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        target = x if y is None else y
        if self._compile_loss is not None:
            return super().compute_loss(x, target, y_pred, sample_weight, training=training)
        return self.compute_reconstruction_loss(target, sample_weight)

    def compute_reconstruction_loss(self, target, sample_weight=None):
        """Returns the loss of the latest call against `target`, with the layers' own losses."""
        loss = self._rows_loss(target, self._latest_preactivation, sample_weight=sample_weight)
        return loss + sum(self.losses) if self.losses else loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        target = x if y is None else y
        return super().compute_metrics(x, target, y_pred, sample_weight=sample_weight)

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains on `x`, which is also the target, by Keras' own `fit`, whose arguments it takes.

        Args:
            x: Array of shape `(rows, features)`, or a dataset of batches.
            y: Another target, such as clean rows for `x` with noise of its own.
            *args: As in `keras.Model.fit`.
            **kwargs: As in `keras.Model.fit`; `validation_data` may be an array of rows.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: Before training, if the data do not fit the model.
        """
        return super().fit(x, target_of(x, y, kwargs), *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Returns loss and metrics of the reconstruction by Keras' own `evaluate`."""
        return super().evaluate(x, target_of(x, y, kwargs), *args, **kwargs)

    def check_data(self, x: Any, y: Any = None, owner: str = "") -> None:
        """Checks data before training on them, and settles `reconstruction_loss="auto"` by them."""
        super().check_data(x, y, owner)
        self.check_target(x, y, owner, uses_own_loss=self._compile_loss is None)

    def check_target(self, x: Any, y: Any, owner: str, uses_own_loss: bool) -> None:
        """Settles the loss by the target; raises a `ValueError` if it cannot measure it.

        Of a dataset the first batch is looked at.
        """
        if is_dataset(x):
            batch = peek(x)
            x, y = (*batch, None)[:2] if isinstance(batch, (tuple, list)) else (batch, None)
            x, y = (value if value is None else np.asarray(value) for value in (x, y))
        target = x if y is None else y
        if not isinstance(target, np.ndarray):
            return
        self.settle_reconstruction_loss(target)
        if not uses_own_loss:
            return
        within_unit = self.reconstruction_loss == "binary_crossentropy"
        owner = f"{type(self).__name__}.{owner}"
        check_rows(target, owner, width=self.input_dim, within_unit=within_unit)

    def settle_reconstruction_loss(self, x: np.ndarray) -> None:
        """Replaces `reconstruction_loss="auto"` by what fits `x`."""
        if self.reconstruction_loss == "auto":
            self._use_loss("binary_crossentropy" if lies_within_unit(x) else "squared_error")

    def encode(self, x):
        """Returns the codes of `x` as a NumPy array, without noise."""
        return self._run(self.encoder, x, "encode()")

    def decode(self, codes):
        """Returns the reconstruction of `codes` as a NumPy array."""
        return self._run(self.decoder, codes, "decode()", width=self.decoder.input_shape[-1])

    def reconstruct(self, x):
        """Returns `x` encoded and decoded again, as a NumPy array, without noise."""
        return self._run(self, x, "reconstruct()")

    def reconstruction_error(self, x):
        """Returns the reconstruction loss of each row, without noise: high means strange.

        Args:
            x: Array of shape `(rows, features)`.

        Returns:
            NumPy array of shape `(rows,)`, in nats for cross-entropy, in squared units otherwise.
        """

        def score(rows):
            outputs = keras.ops.cast(self.preactivation(rows), keras.config.floatx())
            return self._rows_loss.call(keras.ops.cast(rows, outputs.dtype), outputs)

        return self._run(score, x, "reconstruction_error()")

    def _run(self, function, x, owner, width=None):
        self.check_rows(x, owner, width=width)
        return run_in_batches(function, x)

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Writes a SavedModel with the endpoints `serve`, `encode` and `reconstruct`.

        `serve` is `predict`, the reconstruction. All take any number of rows. Other formats are as
        in `keras.Model.export`.

        Args:
            filepath: Folder to write.
            format: `"tf_saved_model"`, or another of Keras' formats, with `serve` alone.
            **kwargs: As in `keras.Model.export`.

        Raises:
            ValueError: If the backend cannot write a SavedModel.
        """
        if format == "tf_saved_model":
            export_saved_model(self, self, filepath)
        else:
            super().export(filepath, format=format, **kwargs)


def target_of(x, y, kwargs):
    """Returns `y`; or `x` where Keras would drop the sample weights that come without a `y`."""
    return x if y is None and kwargs.get("sample_weight") is not None else y
