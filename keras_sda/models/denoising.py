"""The denoising autoencoder of one level."""

import keras

from keras_sda import initializers
from keras_sda._validation import check_positive_int
from keras_sda.layers.noise import get_noise
from keras_sda.layers.tied_dense import TiedDense
from keras_sda.losses import check_reconstruction_loss
from keras_sda.models.unrolled import UnrolledAutoencoder


@keras.saving.register_keras_serializable(package="keras_sda")
class DenoisingAutoencoder(UnrolledAutoencoder):
    """Learns to rebuild clean rows from corrupted ones, through one layer of hidden units.

    `compile("adam")` and `fit(x)` are all it takes: the target is `x` itself, the loss is the
    reconstruction loss summed over features and averaged over the batch. `predict` reconstructs.

    Args:
        input_dim: Number of features of a row.
        hidden_units: Number of hidden units.
        noise: The name of a noise, such as `"masking"` (`layers.noise_names()` lists them all), any
            Keras layer, or `None` for the plain autoencoder.
        noise_level: A rate in [0, 1], or for `"gaussian"` a standard deviation. A noise given as a
            layer has its own.
        activation: Activation of the code.
        tied: Whether decoder and encoder share one kernel; see `layers.TiedDense`.
        kernel_initializer: Initial kernel: Glorot's (Xavier's) uniform, which suits tanh;
            `initializers.SigmoidGlorotUniform()` is the tutorials' for sigmoid.
        visible_kernel_initializer: Initial kernel of an untied decoder; by default drawn like the
            encoder's.
        reconstruction_loss: `"binary_crossentropy"` (data in [0, 1], sigmoid decoder),
            `"squared_error"` (any data, linear decoder), or `"auto"`, which chooses by the data.
        seed: Makes initial weights, noise and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(size=(64, 16)).astype("float32")
    >>> model = DenoisingAutoencoder(input_dim=16, hidden_units=8, seed=0)
    >>> model.compile("adam")
    >>> history = model.fit(x, epochs=2, verbose=0)
    >>> model.encode(x).shape, model.reconstruct(x).shape, model.reconstruction_error(x).shape
    ((64, 8), (64, 16), (64,))

    Reference:
        Vincent et al., "Extracting and composing robust features with denoising autoencoders",
        ICML 2008.
    """

    def __init__(
        self,
        input_dim,
        hidden_units,
        noise="masking",
        noise_level=0.3,
        activation="sigmoid",
        tied=True,
        kernel_initializer="glorot_uniform",
        visible_kernel_initializer=None,
        reconstruction_loss="auto",
        seed=None,
        dtype=None,
        **kwargs,
    ):
        owner = "DenoisingAutoencoder"
        check_positive_int("input_dim", input_dim, owner)
        check_positive_int("hidden_units", hidden_units, owner)
        check_reconstruction_loss(reconstruction_loss, owner)
        visible = visible_kernel_initializer or kernel_initializer
        kernel_seed, visible_seed, noise_seed = initializers.child_seeds(seed, 3)
        layer = TiedDense(
            hidden_units,
            activation=activation,
            tied=tied,
            kernel_initializer=initializers.for_level(kernel_initializer, 0, kernel_seed),
            visible_kernel_initializer=initializers.for_level(visible, 1, visible_seed),
            dtype=dtype,
            name="level_1",
        )
        layer.build((None, input_dim))
        noise_layer = get_noise(noise, noise_level, owner, noise_seed, dtype, name="noise_1")
        super().__init__(
            [layer], noise_layer, reconstruction_loss, seed=seed, dtype=dtype, **kwargs
        )
        self.hidden_units = hidden_units
        self.keep_arguments(
            input_dim=input_dim,
            hidden_units=hidden_units,
            noise=noise,
            noise_level=noise_level,
            activation=activation,
            tied=tied,
            kernel_initializer=kernel_initializer,
            visible_kernel_initializer=visible_kernel_initializer,
            reconstruction_loss=reconstruction_loss,
            seed=seed,
        )
