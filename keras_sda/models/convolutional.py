"""The convolutional autoencoder, with or without noise on its input."""

import functools
import math
from typing import NamedTuple

import keras

from keras_sda import initializers
from keras_sda._validation import check_non_negative_int, check_positive_int, per_level
from keras_sda.layers.noise import get_noise
from keras_sda.models.autoencoder import Autoencoder

_OWNER = "ConvolutionalAutoencoder"


@keras.saving.register_keras_serializable(package="keras_sda")
class ConvolutionalAutoencoder(Autoencoder):
    """Rebuilds images through a small stack of feature maps.

    Each level of the encoder is a convolution, its activation and max-pooling; each level of the
    decoder a transposed convolution and its activation. A last convolution gives the channels of
    the image, and an activation that fits the data ends the net. With `noise` it learns to clean
    images: the input is corrupted in training, the target is not.

    What differs from level to level takes one value for all levels or exactly one for each.

    Args:
        input_shape: `(height, width, channels)` of an image.
        filters: Number of feature maps of each level of the encoder; its length is the number of
            levels.
        kernel_size: Side of the square kernels, in pixels.
        strides: Step of the convolutions, in pixels.
        padding: `"same"`, `"valid"`, or a number of zero pixels on each side, as PyTorch counts.
            Pooling follows suit: padded with `"same"`, not padded otherwise.
        pool_size: Side of the squares of which the maximum is taken; 1 for no pooling.
        pool_strides: Step of the pooling; `None` for `pool_size`.
        decoder_filters: Feature maps of each level of the decoder, which may have another number of
            levels; `None` for the encoder's, in reverse.
        decoder_kernel_size: As `kernel_size`; `None` for the encoder's, in reverse.
        decoder_strides: Factor by which a transposed convolution enlarges; `None` for the
            encoder's steps, `strides * pool_strides`, in reverse.
        decoder_padding: `"same"`, `"valid"`, or a number of pixels cut off on each side.
        output_kernel_size: Side of the kernels of the last convolution; `None` for none, so that
            the last transposed convolution gives the image.
        activation: Activation of every convolution but the last.
        output_activation: `"auto"`, a sigmoid for cross-entropy and linear for squared error; or
            with squared error another one that reaches all of the data, such as `"tanh"`.
        noise: Noise on the input in training, as in `DenoisingAutoencoder`; by default there is
            none.
        noise_level: A rate in [0, 1], or for `"gaussian"` a standard deviation.
        reconstruction_loss: `"binary_crossentropy"`, `"squared_error"`, or `"auto"`, which chooses
            by the data.
        kernel_initializer: Initial kernels, drawn anew for each layer.
        seed: Makes initial weights, noise and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Attributes:
        encoder: Keras model from images to codes of shape `code_shape`.
        decoder: Keras model from codes to images.
        expansion: Keras model from codes to what comes before the last activation.
        code_shape: `(height, width, channels)` of a code.

    Raises:
        ValueError: If an argument lies outside its range, or if the decoder does not lead back to
            the size of the images.

    Example:

    The net of the Keras example "Convolutional autoencoder for image denoising", which with
    `noise="gaussian", noise_level=0.4` also makes the noise:

    >>> import numpy as np
    >>> model = ConvolutionalAutoencoder((28, 28, 1), seed=0)
    >>> model.code_shape, model.count_params()
    ((7, 7, 32), 28353)
    >>> x = np.random.default_rng(0).uniform(size=(8, 28, 28, 1)).astype("float32")
    >>> model.compile("adam")
    >>> history = model.fit(x, epochs=1, verbose=0)
    >>> model.encode(x).shape, model.reconstruct(x).shape
    ((8, 7, 7, 32), (8, 28, 28, 1))

    The net of a well-known PyTorch tutorial for images in [-1, 1], with 32 numbers as its code:

    >>> small = ConvolutionalAutoencoder(
    ...     (28, 28, 1), filters=(16, 8), strides=(3, 2), padding=1, pool_strides=(2, 1),
    ...     decoder_filters=(16, 8, 1), decoder_kernel_size=(3, 5, 2), decoder_strides=(2, 3, 2),
    ...     decoder_padding=(0, 1, 1), output_kernel_size=None, output_activation="tanh",
    ...     reconstruction_loss="squared_error", seed=0,
    ... )
    >>> small.code_shape, small.count_params()
    ((2, 2, 8), 5729)

    Reference:
        Masci et al., "Stacked convolutional auto-encoders for hierarchical feature extraction",
        ICANN 2011.
    """

    def __init__(
        self,
        input_shape,
        filters=(32, 32),
        kernel_size=3,
        strides=1,
        padding="same",
        pool_size=2,
        pool_strides=None,
        decoder_filters=None,
        decoder_kernel_size=None,
        decoder_strides=None,
        decoder_padding="same",
        output_kernel_size=3,
        activation="relu",
        output_activation="auto",
        noise=None,
        noise_level=0.3,
        reconstruction_loss="auto",
        kernel_initializer="glorot_uniform",
        seed=None,
        dtype=None,
        **kwargs,
    ):
        super().__init__(reconstruction_loss, output_activation, seed=seed, dtype=dtype, **kwargs)
        self.image_shape = check_image_shape(input_shape, _OWNER)
        down = _encoder_levels(filters, kernel_size, strides, padding, pool_size, pool_strides)
        up = _decoder_levels(
            down, decoder_filters, decoder_kernel_size, decoder_strides, decoder_padding
        )
        _check_way_back(self.image_shape, down, up, output_kernel_size)
        noise_seed, *seeds = initializers.child_seeds(seed, 2 + len(down) + len(up))
        self.noise = get_noise(noise, noise_level, _OWNER, noise_seed, dtype, name="noise")
        options = _layer_options(kernel_initializer, seeds, dtype)
        self.encoder = self._make_encoder(down, activation, options)
        self.code_shape = tuple(self.encoder.output_shape[1:])
        self.expansion = self._make_expansion(up, output_kernel_size, activation, options)
        self.build((None, *self.image_shape))
        self.keep_arguments(
            input_shape=self.image_shape,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            pool_size=pool_size,
            pool_strides=pool_strides,
            decoder_filters=decoder_filters,
            decoder_kernel_size=decoder_kernel_size,
            decoder_strides=decoder_strides,
            decoder_padding=decoder_padding,
            output_kernel_size=output_kernel_size,
            activation=activation,
            output_activation=self.given_output_activation,
            noise=noise,
            noise_level=noise_level,
            reconstruction_loss=reconstruction_loss,
            kernel_initializer=kernel_initializer,
            seed=seed,
        )

    def _make_encoder(self, levels, activation, options):
        images = keras.Input(self.image_shape, dtype=self.variable_dtype, name="images")
        maps = images
        for level in levels:
            maps = level.convolve(maps, activation=activation, **next(options))
        return keras.Model(images, maps, name="encoder")

    def _make_expansion(self, levels, output_kernel_size, activation, options):
        codes = keras.Input(self.code_shape, dtype=self.variable_dtype, name="codes")
        maps = codes
        for level in levels:
            is_last = output_kernel_size is None and level is levels[-1]
            ending = None if is_last else activation
            maps = level.transpose(maps, activation=ending, **next(options))
        if output_kernel_size is not None:
            channels = self.image_shape[-1]
            output = keras.layers.Conv2D(
                channels, output_kernel_size, padding="same", **next(options)
            )
            maps = output(maps)
        return keras.Model(codes, maps, name="expansion")

    def build(self, input_shape):
        # The layers are built already; the noise learns its shape for `summary`.
        if self.noise is not None:
            self.noise.build(input_shape)

    @property
    def row_shape(self):
        """The shape of an image."""
        return self.image_shape

    def _use_loss(self, name):
        super()._use_loss(name)
        self.__dict__.pop("decoder", None)  # it ends with another activation

    def preactivation(self, inputs, training=False):
        images = inputs if self.noise is None else self.noise(inputs, training=training)
        return self.expansion(self.encoder(images))

    # Cached where Keras does not track it.
    @functools.cached_property
    def decoder(self):
        """Keras model from codes to images, over these very layers."""
        codes = keras.Input(self.code_shape, dtype=self.variable_dtype, name="codes")
        images = self.output_activation(self.expansion(codes))
        return keras.Model(codes, images, name="decoder")


class _Level(NamedTuple):
    """A convolution with pooling, or a transposed convolution; `pixels=None` pads as "same"."""

    filters: int
    kernel_size: int
    stride: int
    pixels: int | None
    pool_size: int = 1
    pool_stride: int = 1

    @property
    def padding(self):
        return "same" if self.pixels is None else "valid"

    @property
    def step(self):
        return self.stride * self.pool_stride

    def side_down(self, side):
        """The side of the feature maps for images of a given side; below 1 if too small."""
        if self.pixels is None:
            return math.ceil(math.ceil(side / self.stride) / self.pool_stride)
        side = (side + 2 * self.pixels - self.kernel_size) // self.stride + 1
        return (side - self.pool_size) // self.pool_stride + 1

    def side_up(self, side):
        if self.pixels is None:
            return side * self.stride
        return (side - 1) * self.stride + self.kernel_size - 2 * self.pixels

    def convolve(self, maps, **common):
        if self.pixels:
            maps = keras.layers.ZeroPadding2D(self.pixels, dtype=common["dtype"])(maps)
        convolution = keras.layers.Conv2D(
            self.filters, self.kernel_size, strides=self.stride, padding=self.padding, **common
        )
        maps = convolution(maps)
        if self.pool_size == self.pool_stride == 1:
            return maps
        pooling = keras.layers.MaxPooling2D(
            self.pool_size, self.pool_stride, padding=self.padding, dtype=common["dtype"]
        )
        return pooling(maps)

    def transpose(self, maps, **common):
        convolution = keras.layers.Conv2DTranspose(
            self.filters, self.kernel_size, strides=self.stride, padding=self.padding, **common
        )
        maps = convolution(maps)
        # Behind the last kernel, Keras leaves what is missing to a whole stride; PyTorch does not.
        rest = max(0, self.stride - self.kernel_size)
        if self.pixels is None or not self.pixels + rest:
            return maps
        cut = (self.pixels, self.pixels + rest)
        return keras.layers.Cropping2D((cut, cut), dtype=common["dtype"])(maps)


def check_image_shape(value, owner):
    """Returns `(height, width, channels)` if they are three whole numbers of at least 1."""
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise ValueError(
            f"Argument `input_shape` of {owner} must be (height, width, channels). "
            f"Received: input_shape={value!r}"
        )
    return tuple(check_positive_int("input_shape", side, owner) for side in value)


def _whole_numbers(name, value, num_levels):
    values = per_level(name, value, num_levels, _OWNER)
    return [check_positive_int(name, number, _OWNER) for number in values]


def _pixels(name, value, num_levels):
    """Returns the padding of each level in pixels, `None` for "same"."""
    known = {"same": None, "valid": 0}
    paddings = []
    for padding in per_level(name, value, num_levels, _OWNER):
        if isinstance(padding, str):
            if padding not in known:
                raise ValueError(
                    f"Argument `{name}` of {_OWNER} must be 'same', 'valid' or a number of "
                    f"pixels. Received: {name}={padding!r}"
                )
            paddings.append(known[padding])
        else:
            paddings.append(check_non_negative_int(name, padding, _OWNER))
    return paddings


def _encoder_levels(filters, kernel_size, strides, padding, pool_size, pool_strides):
    num_levels = len(filters) if isinstance(filters, (list, tuple)) else 1
    if not num_levels:
        raise ValueError(f"{_OWNER} needs at least one level. Received: filters={filters!r}")
    sizes = _whole_numbers("pool_size", pool_size, num_levels)
    pool_strides = per_level("pool_strides", pool_strides, num_levels, _OWNER)
    steps = [size if step is None else step for size, step in zip(sizes, pool_strides, strict=True)]
    columns = (
        _whole_numbers("filters", filters, num_levels),
        _whole_numbers("kernel_size", kernel_size, num_levels),
        _whole_numbers("strides", strides, num_levels),
        _pixels("padding", padding, num_levels),
        sizes,
        _whole_numbers("pool_strides", steps, num_levels),
    )
    return [_Level(*row) for row in zip(*columns, strict=True)]


def _decoder_levels(down, filters, kernel_size, strides, padding):
    if filters is None:
        filters = [level.filters for level in reversed(down)]
    num_levels = len(filters) if isinstance(filters, (list, tuple)) else len(down)
    if not num_levels:
        raise ValueError(f"{_OWNER} needs at least one level. Received: decoder_filters=()")
    if kernel_size is None:
        kernel_size = _mirrored(level.kernel_size for level in down)
    if strides is None:
        strides = _mirrored(level.step for level in down)
    columns = (
        _whole_numbers("decoder_filters", filters, num_levels),
        _whole_numbers("decoder_kernel_size", kernel_size, num_levels),
        _whole_numbers("decoder_strides", strides, num_levels),
        _pixels("decoder_padding", padding, num_levels),
    )
    return [_Level(*row) for row in zip(*columns, strict=True)]


def _mirrored(values):
    """Returns values in reverse; one for all if they are equal, whatever the decoder's length."""
    values = list(values)[::-1]
    return values[0] if len(set(values)) == 1 else values


def _layer_options(kernel_initializer, seeds, dtype):
    """Yields the options of one layer after the other, each with an initializer of its own."""
    for number, seed in enumerate(seeds):
        initializer = initializers.for_level(kernel_initializer, number, seed)
        yield {"kernel_initializer": initializer, "dtype": dtype}


def _check_way_back(image_shape, down, up, output_kernel_size):
    """Raises a `ValueError` if the net does not lead from the images back to their shape."""
    if output_kernel_size is not None:
        check_positive_int("output_kernel_size", output_kernel_size, _OWNER)
    _check_sides(image_shape, down, up)
    channels = image_shape[-1]
    if output_kernel_size is None and up[-1].filters != channels:
        raise ValueError(
            f"{_OWNER} without a last convolution (output_kernel_size=None) needs "
            f"`decoder_filters` that end with the number of channels, {channels}. "
            f"Received: decoder_filters={[level.filters for level in up]}"
        )


def _check_sides(image_shape, down, up):
    """Raises a `ValueError` if the net does not lead from the size of the images back to it."""
    height, width, _ = image_shape
    paths = [[height], [width]]
    for path in paths:
        for level in down:
            path.append(level.side_down(path[-1]))
        for level in up:
            path.append(level.side_up(path[-1]))
    if min(min(path) for path in paths) < 1:
        raise ValueError(
            f"{_OWNER} has too many or too large levels for images of {height} x {width}: their "
            f"sides become {_joined(paths)}. Take fewer levels, or smaller steps and kernels."
        )
    ends = [path[-1] for path in paths]
    if ends == [height, width]:
        return
    factor = math.prod(level.step for level in down)
    is_same = all(level.pixels is None for level in (*down, *up))
    if is_same and factor == math.prod(level.step for level in up):
        nearest = " x ".join(str(math.ceil(side / factor) * factor) for side in (height, width))
        remedy = f"sides must be multiples of {factor}, so pad the images to {nearest} or crop them"
    else:
        remedy = "choose decoder_kernel_size, decoder_strides and decoder_padding that lead back"
    raise ValueError(
        f"{_OWNER} gives {ends[0]} x {ends[1]} for images of {height} x {width} (sides "
        f"{_joined(paths)}): {remedy}."
    )


def _joined(paths):
    height, width = ("-".join(map(str, path)) for path in paths)
    return height if height == width else f"{height} and {width}"
