"""The sampling layer of a variational autoencoder."""

import keras
from keras import ops

from keras_sda._validation import check_seed
from keras_sda.backend import usable_seed


@keras.saving.register_keras_serializable(package="keras_sda")
class Sampling(keras.layers.Layer):
    """Draws from normal distributions with given means and log-variances, in training only.

    `mean + exp(log_var / 2) * epsilon` with standard normal `epsilon`: the draw is a differentiable
    function of its parameters, so that gradients reach them (the reparameterisation trick).

    Args:
        seed: Integer or `None`. Seed of this layer's own generator.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        inputs: Two tensors of the same shape: means and log-variances.
        training: Whether to draw; otherwise the mean is returned.

    Output shape:
        Same as the mean.

    Example:

    >>> layer = Sampling(seed=0)
    >>> mean, log_var = keras.ops.full((1000, 10), 5.0), keras.ops.full((1000, 10), -2.0)
    >>> draws = layer([mean, log_var], training=True).numpy()
    >>> bool(4.95 < draws.mean() < 5.05), bool(0.35 < draws.std() < 0.39)  # exp(-1) = 0.368
    (True, True)

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = check_seed("seed", seed, "Sampling")
        self.seed_generator = keras.random.SeedGenerator(usable_seed(seed))
        self.built = True

    def call(self, inputs, training=False):
        mean, log_var = inputs
        if not training:
            return mean
        epsilon = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * epsilon

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}
