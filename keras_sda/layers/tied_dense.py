"""A dense layer that encodes and, with the transpose of the same kernel, decodes."""

import keras
from keras import ops

from keras_sda._validation import (
    check_bool,
    check_positive_int,
    get_activation,
    get_initializer,
)


@keras.saving.register_keras_serializable(package="keras_sda")
class TiedDense(keras.layers.Layer):
    """A dense layer that encodes and, with the transpose of the same kernel, decodes.

    It encodes as `keras.layers.Dense` does, `code = activation(x @ kernel + bias)`; with
    `reverse=True` it returns `visible_activation(code @ transpose(kernel) + visible_bias)`. There
    is only one kernel variable, so that encoder and decoder cannot drift apart: not in training,
    not after saving, and not in another model that holds the same layer.

    Args:
        units: Number of hidden units, at least 1.
        activation: Activation of the code: a name or a callable. Sigmoid by default, as in the
            papers.
        visible_activation: Activation of the decoder. Sigmoid by default, for inputs in [0, 1];
            `"linear"` for unbounded inputs.
        tied: `False` gives the decoder a kernel of its own from the start; see also `untie`.
        kernel_initializer: Initial kernel; Glorot (Xavier) uniform by default.
        visible_kernel_initializer: Initial kernel of the decoder, if not tied.
        bias_initializer: Initial hidden bias, shape `(units,)`.
        visible_bias_initializer: Initial visible bias, shape `(input_dim,)`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        inputs: Tensor of shape `(..., input_dim)`; with `reverse`, `(..., units)`.
        reverse: Whether to decode instead of encode. The layer must already be built.
        activate: `False` leaves the activation out, for a loss that takes logits.

    Output shape:
        `(..., units)`; with `reverse`, `(..., input_dim)`.

    Raises:
        ValueError: If `units` is not a whole number of at least 1, if the last axis of `inputs`
            has the wrong size, or if a layer that is not built is called with `reverse`.

    Example:

    >>> layer = TiedDense(2, kernel_initializer="ones")
    >>> code = layer(keras.ops.zeros((1, 3)))  # sigmoid(0) = 0.5 in both units
    >>> layer(code, reverse=True, activate=False)[0].numpy().tolist()
    [1.0, 1.0, 1.0]

    Reference:
        Vincent et al., "Extracting and composing robust features with denoising autoencoders",
        ICML 2008.
    """

    def __init__(
        self,
        units,
        activation="sigmoid",
        visible_activation="sigmoid",
        tied=True,
        kernel_initializer="glorot_uniform",
        visible_kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        visible_bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = check_positive_int("units", units, owner="TiedDense")
        self.activation = get_activation("activation", activation, "TiedDense")
        self.visible_activation = get_activation(
            "visible_activation", visible_activation, "TiedDense"
        )
        self.tied = check_bool("tied", tied, "TiedDense")
        self.kernel_initializer = get_initializer(
            "kernel_initializer", kernel_initializer, "TiedDense"
        )
        self.visible_kernel_initializer = keras.initializers.get(visible_kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.visible_bias_initializer = keras.initializers.get(visible_bias_initializer)
        self.supports_masking = True

    def build(self, input_shape):
        self.input_dim = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.input_dim, self.units),
            initializer=self.kernel_initializer,
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.units,), initializer=self.bias_initializer
        )
        self.visible_bias = self.add_weight(
            name="visible_bias", shape=(self.input_dim,), initializer=self.visible_bias_initializer
        )
        if not self.tied:
            self._add_visible_kernel()

    def _add_visible_kernel(self):
        self.visible_kernel = self.add_weight(
            name="visible_kernel",
            shape=(self.units, self.input_dim),
            initializer=self.visible_kernel_initializer,
        )

    def __call__(self, inputs, *args, reverse=False, **kwargs):
        # Building from codes would give a kernel of the wrong shape.
        if reverse and not self.built:
            raise ValueError(
                f"Layer {self.name} was asked to decode before it was built: encode with it "
                "first, or call build((None, input_dim))."
            )
        return super().__call__(inputs, *args, reverse=reverse, **kwargs)

    def call(self, inputs, reverse=False, activate=True):
        self._check_last_axis(inputs, reverse)
        inputs = ops.cast(inputs, self.compute_dtype)
        if reverse:
            kernel = ops.transpose(self.kernel) if self.tied else self.visible_kernel
            outputs = ops.matmul(inputs, kernel) + self.visible_bias
            return self.visible_activation(outputs) if activate else outputs
        outputs = ops.matmul(inputs, self.kernel) + self.bias
        return self.activation(outputs) if activate else outputs

    def _check_last_axis(self, inputs, reverse):
        expected = self.units if reverse else self.input_dim
        received = inputs.shape[-1]
        if received != expected:
            kind = "codes" if reverse else "inputs"
            raise ValueError(
                f"Layer {self.name} expects {kind} with {expected} columns. "
                f"Received {received} columns."
            )

    def compute_output_spec(self, inputs, reverse=False, activate=True):
        self._check_last_axis(inputs, reverse)
        last = self.input_dim if reverse else self.units
        return keras.KerasTensor((*inputs.shape[:-1], last), dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    @property
    def visible_weights(self):
        """The variables that only decoding uses: the visible bias and, if untied, its kernel."""
        return [self.visible_bias] + ([] if self.tied else [self.visible_kernel])

    def untie(self):
        """Gives the decoder a kernel of its own, which starts as the transpose of the encoder's.

        Untying a pretrained layer before fine-tuning it on reconstruction is what Hinton and
        Salakhutdinov (2006) do. Models that hold the layer must be compiled again afterwards.

        Raises:
            ValueError: If the layer is not built yet, or is not tied.
        """
        if not self.built or not self.tied:
            state = "not tied" if self.built else "not built yet"
            raise ValueError(f"Layer {self.name} cannot be untied: it is {state}.")
        # Keras locks a built layer's variables; this is how its own layers add one later (LoRA).
        self._tracker.unlock()
        self._add_visible_kernel()
        self._tracker.lock()
        self.visible_kernel.assign(ops.transpose(self.kernel))
        self.tied = False

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "visible_activation": keras.activations.serialize(self.visible_activation),
            "tied": self.tied,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "visible_kernel_initializer": keras.initializers.serialize(
                self.visible_kernel_initializer
            ),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "visible_bias_initializer": keras.initializers.serialize(self.visible_bias_initializer),
        }
