"""Noise layers, which corrupt the input of a denoising autoencoder.

All of them are active in training only, draw anew for every batch from a generator of their own,
and rescale nothing. The level is a variable, `layer.level`, which may be assigned during training.
"""

import keras
from keras import ops

from keras_sda._validation import check_choice, check_fraction, check_non_negative
from keras_sda.backend import usable_seed


class Noise(keras.layers.Layer):
    """Base of the noise layers: a level that may change, a generator, and the training switch.

    A subclass names its constructor argument for the level in `level_name`, checks a value in
    `check_level`, and corrupts a batch in `corrupt`.
    """

    level_name = "rate"

    def __init__(self, level, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
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

    def _uniform(self, inputs):
        # Always float32: bfloat16 has 256 values in [0, 1), too few for an exact rate.
        return keras.random.uniform(ops.shape(inputs), dtype="float32", seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        return {**config, self.level_name: self._initial_level, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_sda")
class MaskingNoise(Noise):
    """Sets a random share of the inputs to zero and leaves the others as they are.

    Unlike in `keras.layers.Dropout`, the remaining values are not scaled up.

    Args:
        rate: Probability, in [0, 1], that an entry is set to zero.
        seed: Integer or `None`. Seed of this layer's own generator.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        inputs: Tensor of any shape.
        training: Whether to corrupt; otherwise the inputs pass unchanged.

    Output shape:
        Same as the input.

    Raises:
        ValueError: If `rate` lies outside [0, 1].

    Example:

    >>> layer = MaskingNoise(0.25, seed=0)
    >>> kept = layer(keras.ops.ones((100, 100)), training=True).numpy().mean()
    >>> bool(0.73 < kept < 0.77)
    True
    >>> layer.level.assign(0.5)  # from the next batch on
    <...

    Reference:
        Vincent et al., "Extracting and composing robust features with denoising autoencoders",
        ICML 2008.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(rate, seed=seed, **kwargs)

    def corrupt(self, inputs):
        return ops.where(self._uniform(inputs) < self.level, ops.zeros_like(inputs), inputs)


@keras.saving.register_keras_serializable(package="keras_sda")
class SaltAndPepperNoise(Noise):
    """Sets a random share of the inputs to one of two extreme values, half of it to each.

    Args:
        rate: Probability, in [0, 1], that an entry is replaced, by each of the two values with
            probability `rate / 2`.
        low: The lower value ("pepper"); 0 by default, for data in [0, 1].
        high: The upper value ("salt"); 1 by default.
        seed: Integer or `None`. Seed of this layer's own generator.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        inputs: Tensor of any shape.
        training: Whether to corrupt; otherwise the inputs pass unchanged.

    Output shape:
        Same as the input.

    Raises:
        ValueError: If `rate` lies outside [0, 1].

    Example:

    >>> layer = SaltAndPepperNoise(1.0, seed=0)
    >>> noisy = layer(keras.ops.full((1000,), 0.5), training=True).numpy()
    >>> sorted(set(noisy.tolist()))
    [0.0, 1.0]

    Reference:
        Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010.
    """

    def __init__(self, rate, low=0.0, high=1.0, seed=None, **kwargs):
        super().__init__(rate, seed=seed, **kwargs)
        self.low = float(low)
        self.high = float(high)

    def corrupt(self, inputs):
        draw = self._uniform(inputs)
        low = ops.full_like(inputs, self.low)
        high = ops.full_like(inputs, self.high)
        extreme = ops.where(draw < 0.5 * self.level, low, high)
        return ops.where(draw < self.level, extreme, inputs)

    def get_config(self):
        return {**super().get_config(), "low": self.low, "high": self.high}


@keras.saving.register_keras_serializable(package="keras_sda")
class AdditiveGaussianNoise(Noise):
    """Adds Gaussian noise of mean zero, drawn independently for every entry.

    Unlike `keras.layers.GaussianNoise`, it takes standard deviations above 1, too, and the
    deviation may change during training. The sum is clipped only if `clip` is given.

    Args:
        stddev: Standard deviation, at least 0, in the units of the data.
        clip: Pair of the lowest and the highest output value, such as `(0, 1)` to keep pixels in
            their range; `None`, as in the papers, for no bounds.
        seed: Integer or `None`. Seed of this layer's own generator.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        inputs: Tensor of any shape.
        training: Whether to corrupt; otherwise the inputs pass unchanged.

    Output shape:
        Same as the input.

    Raises:
        ValueError: If `stddev` is negative or not finite, or `clip` is not a pair of bounds.

    Example:

    >>> layer = AdditiveGaussianNoise(2.0, seed=0)
    >>> noisy = layer(keras.ops.zeros((100, 100)), training=True).numpy()
    >>> bool(1.95 < noisy.std() < 2.05)
    True

    Reference:
        Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010.
    """

    level_name = "stddev"

    def __init__(self, stddev, clip=None, seed=None, **kwargs):
        super().__init__(stddev, seed=seed, **kwargs)
        if clip is not None and (len(clip) != 2 or not clip[0] < clip[1]):
            raise ValueError(
                "Argument `clip` of AdditiveGaussianNoise must be a pair (lowest, highest). "
                f"Received: clip={clip!r}"
            )
        self.clip = None if clip is None else tuple(clip)

    @classmethod
    def check_level(cls, value, name=None, owner=None):
        return check_non_negative(name or cls.level_name, value, owner or cls.__name__)

    def corrupt(self, inputs):
        draw = keras.random.normal(ops.shape(inputs), dtype=inputs.dtype, seed=self.seed_generator)
        noisy = inputs + ops.cast(self.level, inputs.dtype) * draw
        return noisy if self.clip is None else ops.clip(noisy, *self.clip)

    def get_config(self):
        return {**super().get_config(), "clip": self.clip}


@keras.saving.register_keras_serializable(package="keras_sda")
class SwapNoise(Noise):
    """Replaces a random share of the entries with the same column's value in another row.

    The noise for tables: every value it puts in is one that the column really takes, whatever the
    column's unit or distribution. For each entry the other row is drawn from the rest of the batch;
    a batch of one row passes unchanged.

    Args:
        rate: Probability, in [0, 1], that an entry is replaced.
        seed: Integer or `None`. Seed of this layer's own generator.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`.
        training: Whether to corrupt; otherwise the inputs pass unchanged.

    Output shape:
        Same as the input.

    Raises:
        ValueError: If `rate` lies outside [0, 1].

    Example:

    >>> layer = SwapNoise(1.0, seed=0)
    >>> layer(keras.ops.array([[1.0, 10.0], [2.0, 20.0]]), training=True).numpy().tolist()
    [[2.0, 20.0], [1.0, 10.0]]

    Reference:
        Jahrer, winning solution of the Porto Seguro safe driver prediction, 2017.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(rate, seed=seed, **kwargs)

    def corrupt(self, inputs):
        rows = ops.shape(inputs)[0]
        others = ops.cast(rows, "float32") - 1.0
        # Distance to the other row, from 1 to rows - 1: never the row itself. The minimum guards
        # against a product that rounds up.
        step = ops.floor(self._uniform(inputs) * others)
        step = 1 + ops.cast(ops.minimum(step, others - 1.0), "int32")
        own = ops.reshape(ops.arange(rows, dtype="int32"), (-1,) + (1,) * (len(inputs.shape) - 1))
        other_row = (own + ops.maximum(step, 0)) % rows
        swapped = ops.take_along_axis(inputs, other_row, axis=0)
        return ops.where(self._uniform(inputs) < self.level, swapped, inputs)


# Models, estimators, the command line and the tests know a noise by its line here.
NOISES: dict[str, type[Noise]] = {
    "masking": MaskingNoise,
    "salt_and_pepper": SaltAndPepperNoise,
    "gaussian": AdditiveGaussianNoise,
    "swap": SwapNoise,
}


def noise_names() -> list[str]:
    """Returns the names that the argument `noise` of models and estimators takes.

    Example:

    >>> "masking" in noise_names()
    True
    """
    return list(NOISES)


def get_noise(noise, level, owner, seed=None, dtype=None, name=None):
    """Returns a noise layer of the given name and level; a layer or `None` is returned as it is.

    Args:
        noise: One of `noise_names()`, a Keras layer, or `None`.
        level: Level of a noise given by name: a rate or a standard deviation, see its layer.
        owner: The caller's name in the error message.
        seed: Seed of the layer made from a name.
        dtype: Dtype or policy of the layer made from a name.
        name: Name of the layer made from a name.
    """
    if noise is None or isinstance(noise, keras.layers.Layer):
        return noise
    choices = (*noise_names(), None)
    check_choice("noise", noise, choices, owner=f"{owner}, if not a Keras layer,")
    return NOISES[noise](level, seed=seed, dtype=dtype, name=name)


def copy_noise(layer, level=None, seed=None, name=None):
    """Returns a new layer of the same kind, with a seed of its own, at another level if given."""
    config = {**layer.get_config(), "name": name}
    if "seed" in config:
        config["seed"] = seed
    if level is not None:
        config[layer.level_name] = level
    return type(layer).from_config(config)
