"""The deep autoencoder: several layers down to a narrow code, and the same layers back up."""

import keras

from keras_sda import initializers
from keras_sda._validation import check_positive_int
from keras_sda.layers.noise import get_noise
from keras_sda.layers.tied_dense import TiedDense
from keras_sda.losses import check_reconstruction_loss
from keras_sda.models.greedy import GreedyPretraining
from keras_sda.models.levels import check_hidden_units
from keras_sda.models.unrolled import UnrolledAutoencoder
from keras_sda.training import pretraining

_OWNER = "DeepAutoencoder"


@keras.saving.register_keras_serializable(package="keras_sda")
class DeepAutoencoder(GreedyPretraining, UnrolledAutoencoder):
    """Squeezes rows through several layers into a short code, and rebuilds them the same way back.

    The decoder mirrors the encoder: 784-128-64-12-3 goes back 3-12-64-128-784. The code is linear,
    so that it is not confined to the range of an activation. `compile("adam")` and `fit(x)` train
    all layers together; `pretrain(x)` before it trains them one by one, which is how such nets were
    first made to work and still helps where they are deep and saturating.

    Args:
        input_dim: Number of features of a row.
        hidden_units: Units of each layer of the encoder; the last is the size of the code.
        activation: Activation of all layers but the code, in encoder and decoder.
        code_activation: Activation of the code.
        tied: Whether a layer of the decoder shares the kernel of its mirror image in the encoder.
            Untied by default, as in both sources; `pretrain` with tied kernels and then `untie`
            is what Hinton and Salakhutdinov did.
        noise: Noise on the input in training, and in `pretrain` on the input of each level, as in
            `DenoisingAutoencoder`; by default there is none.
        noise_level: A rate in [0, 1], or for `"gaussian"` a standard deviation.
        kernel_initializer: Initial kernels: Glorot's (Xavier's) uniform, which suits tanh.
        reconstruction_loss: `"binary_crossentropy"`, `"squared_error"`, or `"auto"`, which takes
            the first for data in [0, 1].
        output_activation: What ends the decoder: `"auto"` is sigmoid for cross-entropy and linear
            for squared error; with squared error also `"sigmoid"` for data in [0, 1] or `"tanh"`
            for data in [-1, 1].
        seed: Makes initial weights, noise and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(size=(64, 16)).astype("float32")
    >>> model = DeepAutoencoder(input_dim=16, hidden_units=[8, 4, 2], seed=0)
    >>> model.compile("adam")
    >>> history = model.fit(x, epochs=2, verbose=0)
    >>> model.encode(x).shape, model.encode(x, level=0).shape, model.reconstruct(x).shape
    ((64, 2), (64, 8), (64, 16))

    Reference:
        Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks",
        Science 313, 2006.
    """

    def __init__(
        self,
        input_dim,
        hidden_units,
        activation="tanh",
        code_activation="linear",
        tied=False,
        noise=None,
        noise_level=0.3,
        kernel_initializer="glorot_uniform",
        reconstruction_loss="auto",
        output_activation="auto",
        seed=None,
        dtype=None,
        **kwargs,
    ):
        check_positive_int("input_dim", input_dim, _OWNER)
        hidden_units = check_hidden_units(hidden_units, _OWNER, each="layer of the encoder")
        check_reconstruction_loss(reconstruction_loss, _OWNER)
        *kernel_seeds, noise_seed = initializers.child_seeds(seed, 2 * len(hidden_units) + 1)
        layers = _build_levels(
            [input_dim, *hidden_units],
            [*(len(hidden_units) - 1) * [activation], code_activation],
            activation,
            tied,
            kernel_initializer,
            kernel_seeds,
            dtype,
        )
        super().__init__(
            layers,
            get_noise(noise, noise_level, _OWNER, noise_seed, dtype, name="noise"),
            reconstruction_loss,
            output_activation,
            seed=seed,
            dtype=dtype,
            **kwargs,
        )
        self.hidden_units = hidden_units
        self.keep_arguments(
            input_dim=input_dim,
            hidden_units=hidden_units,
            activation=activation,
            code_activation=code_activation,
            tied=tied,
            noise=noise,
            noise_level=noise_level,
            kernel_initializer=kernel_initializer,
            reconstruction_loss=reconstruction_loss,
            output_activation=self.given_output_activation,
            seed=seed,
        )

    def pretraining_arguments(self, x):
        """Returns layers, noise and losses: cross-entropy for sigmoid codes, else squared error."""
        rows = pretraining.prepare_inputs(x, self.input_dim, within=None, name="x")
        self.check_target(rows, None, "pretrain()", uses_own_loss=True)
        upper = [
            "binary_crossentropy" if _is_sigmoid(layer) else "squared_error"
            for layer in self.levels[:-1]
        ]
        return {
            "layers": self.levels,
            "noise": self.noise,
            "reconstruction_loss": [self.reconstruction_loss, *upper],
        }


def _build_levels(widths, activations, visible_activation, tied, kernel_initializer, seeds, dtype):
    """Returns one built `TiedDense` per level of given widths, which begin with the input's."""
    layers = []
    for level, activation in enumerate(activations):
        encoding, decoding = (
            initializers.for_level(kernel_initializer, number, seeds[number])
            for number in (2 * level, 2 * level + 1)
        )
        layer = TiedDense(
            widths[level + 1],
            activation=activation,
            # The way back ends as the level below did; the loss sets the first layer's.
            visible_activation=visible_activation,
            tied=tied,
            kernel_initializer=encoding,
            visible_kernel_initializer=decoding,
            dtype=dtype,
            name=f"level_{level + 1}",
        )
        layer.build((None, widths[level]))
        layers.append(layer)
    return layers


def _is_sigmoid(layer):
    return keras.activations.serialize(layer.activation) == "sigmoid"
