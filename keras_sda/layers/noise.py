"""Noise layers, which corrupt the input of a denoising autoencoder, by their names.

All of them are active in training only, draw anew for every batch from a generator of their own,
and rescale nothing. The level is a variable, `layer.level`, which may be assigned during training.
"""

import keras
from keras import ops

from keras_sda._validation import check_choice, check_non_negative, check_number
from keras_sda.layers.noise_layer import Noise
from keras_sda.layers.swap_noise import ColumnSwapNoise, SwapNoise


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
        draw = self._uniform(ops.shape(inputs))
        return ops.where(draw < self.level, ops.zeros_like(inputs), inputs)


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
        ValueError: If `rate` lies outside [0, 1], or `low` is not below `high`.

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
        self.low = check_number("low", low, "SaltAndPepperNoise")
        self.high = check_number("high", high, "SaltAndPepperNoise")
        if not self.low < self.high:
            raise ValueError(
                "Arguments `low` and `high` of SaltAndPepperNoise must be the lower and the upper "
                f"value. Received: low={low!r}, high={high!r}"
            )

    def corrupt(self, inputs):
        draw = self._uniform(ops.shape(inputs))
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
        is_pair = isinstance(clip, (list, tuple)) and len(clip) == 2
        if clip is not None and not (is_pair and clip[0] < clip[1]):
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


# Models, estimators, the command line and the tests know a noise by its line here.
NOISES: dict[str, type[Noise]] = {
    "masking": MaskingNoise,
    "salt_and_pepper": SaltAndPepperNoise,
    "gaussian": AdditiveGaussianNoise,
    "swap": SwapNoise,
    "column_swap": ColumnSwapNoise,
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


def copy_noise(layer, level=None, seed=None, name=None, on_codes=False):
    """Returns a new layer of the same kind, with a seed of its own, at another level if given.

    With `on_codes`, it is for the codes of a level, whose columns are not those of the input.
    """
    config = {**layer.get_config(), "name": name}
    if on_codes and isinstance(layer, ColumnSwapNoise):
        config |= {"groups": None, "rate": float(layer.level)}
    if "seed" in config:
        config["seed"] = seed
    if level is not None:
        config[layer.level_name] = level
    return type(layer).from_config(config)
