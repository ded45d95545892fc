"""One level of a stack as a Keras model: what `pretrain` fits."""

import keras

from keras_sda import losses, regularizers
from keras_sda.training import tied_gradient
from keras_sda.training.fast_fit import FastFit

# Arguments that may be Keras objects.
_OBJECTS = ("layer", "noise", "reconstruction_loss", "code_regularizer", "kernel_regularizer")


@keras.saving.register_keras_serializable(package="keras_sda")
class PretrainingLevel(FastFit):
    """One level as a model: corrupts its input, encodes and decodes it, compares with the clean.

    What callbacks see as `self.model` while a level trains. Called on clean inputs, it returns the
    reconstruction: for squared error as the layer gives it, otherwise before its activation, as
    the loss takes it. Its target is always its own input, so that `fit(x)` is all it takes.

    Args:
        layer: A built layer that decodes with `reverse=True`.
        noise: A layer that corrupts in training, or `None`.
        reconstruction_loss: `"binary_crossentropy"`, `"squared_error"` or a `ColumnwiseLoss`.
        level: Number of this level, from 0.
        code_regularizer: Keras regularizer called on the batch's codes (of the corrupted rows, in
            training), whose value is added to the loss; or `None`.
        kernel_regularizer: The same on the layer's kernel and, if untied, its visible kernel.

    Attributes:
        level: Number of this level, from 0.
        units: Its number of hidden units.
        noise: Its noise layer, or `None`.
        gradient: `"written out"` or `"automatic"`: how training differentiates, chosen by what
            layer and penalties allow. The results agree to rounding; the first is faster.
        steps_per_call: How many steps a call of the backend takes; see `FastFit`.
        compiled_by_xla: Whether XLA compiles the loop over them; see `FastFit`.
    """

    def __init__(
        self,
        layer,
        noise,
        reconstruction_loss,
        level,
        code_regularizer=None,
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.layer = layer
        self.noise = noise
        self.reconstruction_loss = reconstruction_loss
        self.level = level
        self.units = layer.units
        self.code_regularizer = keras.regularizers.get(code_regularizer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._rows_loss, _ = losses.on_preactivation(reconstruction_loss, layer.variable_dtype)
        self.gradient = "automatic"
        penalised = self.code_regularizer is not None or self.kernel_regularizer is not None
        if not penalised and tied_gradient.is_written_out(layer):
            self.gradient = "written out"
            if reconstruction_loss == "binary_crossentropy":
                self._rows_loss = tied_gradient.WrittenOutCrossentropy(dtype=self._rows_loss.dtype)
        self.built = True

    @property
    def target_bounds(self):
        """Between which bounds clean inputs must lie: those of cross-entropy, or any."""
        return (0, 1) if self.reconstruction_loss == "binary_crossentropy" else None

    def target(self, x, y=None):
        """Returns what outputs are compared with: the clean input."""
        return x

    def call(self, inputs, training=False):
        corrupted = inputs if self.noise is None else self.noise(inputs, training=training)
        if training and self.gradient == "written out":
            self.keep_for_loss(codes=None)
            outputs = tied_gradient.tied_reconstruction(self.layer, corrupted)
            is_squared = self.reconstruction_loss == "squared_error"
            return self.layer.visible_activation(outputs) if is_squared else outputs
        codes = self.layer(corrupted)
        self.keep_for_loss(codes=codes)
        activate = self.reconstruction_loss == "squared_error"
        return self.layer(codes, reverse=True, activate=activate)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        # The clean input is the target; labels that a dataset may bring along are ignored.
        loss = self._rows_loss(x, y_pred, sample_weight=sample_weight)
        if self.kept.codes is None:
            return loss
        return regularizers.add_penalties(
            loss,
            self.layer,
            self.kept.codes,
            [self.code_regularizer],
            self.kernel_regularizer,
        )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "layer": serialize(self.layer),
            "noise": serialize(self.noise),
            "reconstruction_loss": serialize(self.reconstruction_loss),
            "level": self.level,
            "code_regularizer": serialize(self.code_regularizer),
            "kernel_regularizer": serialize(self.kernel_regularizer),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        deserialize = keras.saving.deserialize_keras_object
        for name in _OBJECTS:
            config[name] = deserialize(config.get(name), custom_objects)
        return cls(**config)
