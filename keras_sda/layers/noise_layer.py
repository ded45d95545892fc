"""The base of the noise layers."""

import keras
from keras import ops

from keras_sda._validation import check_fraction, check_seed
from keras_sda.backend import usable_seed


class Noise(keras.layers.Layer):
    """Base of the noise layers: a level that may change, a generator, and the training switch.

    A subclass names its constructor argument for the level in `level_name`, checks a value in
    `check_level`, and corrupts a batch in `corrupt`.
    """

    level_name = "rate"

    def __init__(self, level, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = check_seed("seed", seed, type(self).__name__)
        self.seed_generator = keras.random.SeedGenerator(usable_seed(seed))
        # float32 whatever the policy: in bfloat16 a rate of 0.3 would be 0.2998.
        self.level = self.add_weight(
            name="level",
            shape=(),
            initializer=keras.initializers.Constant(self.check_level(level)),
            trainable=False,
            dtype="float32",
            autocast=False,
        )
        self._initial_level = float(level)
        self.supports_masking = True
        self.built = True

    @classmethod
    def check_level(cls, value, name=None, owner=None):
        """Returns `value` as a float, or raises a `ValueError` if it is not a valid level.

        Args:
            value: The level.
            name: Name of the argument in the error message; by default `level_name`.
            owner: Name in the error message of what takes the argument; by default the class.
        """
        return check_fraction(name or cls.level_name, value, owner or cls.__name__)

    def corrupt(self, inputs):
        """Returns a corrupted copy of `inputs`."""
        raise NotImplementedError

    def call(self, inputs, training=False):
        inputs = ops.cast(inputs, self.compute_dtype)  # from integers, such as pixels
        return self.corrupt(inputs) if training else inputs

    def _uniform(self, shape):
        # Always float32: bfloat16 has 256 values in [0, 1), too few for an exact rate.
        return keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        return {**config, self.level_name: self._initial_level, "seed": self.seed}
