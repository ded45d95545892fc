"""An autoencoder unrolled from reversible layers: up through each, down through each."""

import functools

import keras

from keras_sda._validation import shown
from keras_sda.models.autoencoder import Autoencoder
from keras_sda.training import tied_gradient


@keras.saving.register_keras_serializable(package="keras_sda")
class UnrolledAutoencoder(Autoencoder):
    """Runs its input up through given layers and down through the same layers in reverse.

    It owns nothing: layers of a stack, or of several models, may be unrolled together and trained
    on reconstruction. `StackedDenoisingAutoencoder.autoencoder` is one of these.

    Args:
        layers: Built `layers.TiedDense` layers, the lowest first.
        noise: A layer that corrupts the input in training, or `None`.
        reconstruction_loss: See `Autoencoder`.
        output_activation: See `Autoencoder`.
        seed: Makes the shuffling of `fit` repeatable.
        **kwargs: As for `keras.Model`.

    Example:

    >>> import numpy as np
    >>> from keras_sda.layers import TiedDense
    >>> layer = TiedDense(3)
    >>> layer.build((None, 4))
    >>> model = UnrolledAutoencoder([layer])
    >>> model.reconstruct(np.zeros((2, 4), "float32")).shape
    (2, 4)
    """

    def __init__(
        self,
        layers,
        noise=None,
        reconstruction_loss="auto",
        output_activation="auto",
        seed=None,
        **kwargs,
    ):
        # Models over these layers, made on demand, and kept where Keras does not track them.
        self._encoder_to = functools.cache(self._make_encoder)
        self._decoder_from = functools.cache(self._make_decoder)
        super().__init__(reconstruction_loss, output_activation, seed=seed, **kwargs)
        owner = type(self).__name__
        if (
            not isinstance(layers, (list, tuple))
            or not layers
            or not all(map(_has_way_back, layers))
        ):
            raise ValueError(
                f"Argument `layers` of {owner} must list built layers that decode with "
                f"`reverse=True`, such as TiedDense, at least one. Received: layers={shown(layers)}"
            )
        if noise is not None and not isinstance(noise, keras.layers.Layer):
            raise ValueError(
                f"Argument `noise` of {owner} must be a Keras layer or None. Received: "
                f"noise={shown(noise)}"
            )
        self.noise = noise
        self.levels = list(layers)
        self.input_dim = self.levels[0].input_dim
        self._use_loss(reconstruction_loss)
        self.build((None, self.input_dim))
        self.keep_arguments(
            layers=list(self.levels),
            noise=noise,
            reconstruction_loss=reconstruction_loss,
            output_activation=self.given_output_activation,
            seed=seed,
        )

    def settled_arguments(self):
        """Returns the loss, and of a subclass whether its levels are tied, which `untie` ends."""
        return {**super().settled_arguments(), "tied": self.levels[0].tied}

    def build(self, input_shape):
        # The layers are built already; the noise learns its shape for `summary`.
        if self.noise is not None:
            self.noise.build(input_shape)

    def _use_loss(self, name):
        super()._use_loss(name)
        self._encoder_to.cache_clear()
        self._decoder_from.cache_clear()
        if hasattr(self, "levels"):
            self.levels[0].visible_activation = self.output_activation

    def preactivation(self, inputs, training=False):
        codes = inputs if self.noise is None else self.noise(inputs, training=training)
        if training and self.gradient == "written out":
            return tied_gradient.tied_reconstruction(self.levels[0], codes)
        for layer in self.levels:
            codes = layer(codes)
        return self._down(codes, len(self.levels) - 1)

    @property
    def gradient(self):
        """How training differentiates: `"written out"` for one usual level, else `"automatic"`.

        The results agree to rounding; the first is faster.
        """
        is_usual = len(self.levels) == 1 and tied_gradient.is_written_out(self.levels[0])
        return "written out" if is_usual else "automatic"

    def compute_reconstruction_loss(self, target, sample_weight=None):
        """Returns the loss of the latest call against `target`."""
        is_entropy = self.reconstruction_loss in ("binary_crossentropy", "auto")
        if is_entropy and self.gradient == "written out":
            loss = tied_gradient.WrittenOutCrossentropy(dtype=self._rows_loss.dtype)
            return loss(target, self.kept.preactivation, sample_weight=sample_weight)
        return super().compute_reconstruction_loss(target, sample_weight)

    def _down(self, codes, level):
        """Decodes codes of a level, up to the last activation."""
        for layer in reversed(self.levels[1 : level + 1]):
            codes = layer(codes, reverse=True)
        return self.levels[0](codes, reverse=True, activate=False)

    @property
    def encoder(self):
        """Keras model from the input to the codes of the last level, over these very layers."""
        return self.encoder_to(-1)

    @property
    def decoder(self):
        """Keras model from the codes of the last level to the reconstruction."""
        return self.decoder_from(-1)

    def encoder_to(self, level):
        """Returns the Keras model from the input to the codes of a level."""
        return self._encoder_to(self.check_level(level))

    def _make_encoder(self, level):
        inputs = keras.Input((self.input_dim,), dtype=self.variable_dtype, name="inputs")
        codes = inputs
        for layer in self.levels[: level + 1]:
            codes = layer(codes)
        return keras.Model(inputs, codes, name=f"encoder_{level + 1}")

    def decoder_from(self, level):
        """Returns the Keras model from the codes of a level to the reconstruction."""
        return self._decoder_from(self.check_level(level))

    def _make_decoder(self, level):
        units = self.levels[level].units
        codes = keras.Input((units,), dtype=self.variable_dtype, name="codes")
        outputs = self.output_activation(self._down(codes, level))
        return keras.Model(codes, outputs, name=f"decoder_{level + 1}")

    def encode(self, x, level=-1):
        """Returns the clean codes of `x` at a level, shape `(rows, units)`."""
        return self.run(self.encoder_to(level), x, "encode()")

    def decode(self, codes, level=-1):
        """Returns the reconstruction, shape `(rows, input_dim)`, of codes of a level."""
        decoder = self.decoder_from(level)
        return self.run(decoder, codes, "decode()", shape=decoder.input_shape[1:])

    def check_level(self, level):
        """Returns the number of a level from 0; raises a `ValueError` if there is none."""
        count = len(self.levels)
        if not isinstance(level, int) or not -count <= level < count:
            raise ValueError(
                f"Argument `level` of {type(self).__name__} must be a whole number from 0 to "
                f"{count - 1}, or from -{count} to -1 counted from the top. "
                f"Received: level={level!r}"
            )
        return level % count

    def untie(self):
        """Gives every tied level a decoding kernel of its own; see `layers.TiedDense.untie`.

        The model must be compiled again afterwards.
        """
        for layer in self.levels:
            if layer.tied:
                layer.untie()
        self._use_loss(self.reconstruction_loss)


def _has_way_back(layer):
    """Whether something is a built layer that encodes and decodes."""
    return isinstance(layer, keras.layers.Layer) and hasattr(layer, "input_dim")
