"""LeNet-5 in the tutorials' simplified form."""

import keras

from keras_sda import initializers
from keras_sda._validation import check_fraction, check_positive_int
from keras_sda.models.classifier import PlainClassifier, make_head

_OWNER = "LeNet5"


@keras.saving.register_keras_serializable(package="keras_sda")
class LeNet5(PlainClassifier):
    """A small convolutional network: twice convolution and max-pooling, a dense layer, a softmax.

    It differs from LeCun's LeNet-5 in four things, as the Theano tutorial does: pooling has no gain
    and bias of its own for each map; it takes the maximum instead of the average; a softmax layer
    stands in place of radial basis functions; and every map of the second convolution sees all
    maps of the first.

    Bias and activation come after pooling in the tutorial. Adding a bias before takes nothing from
    the maximum, and a rising activation commutes with it, so that the order here, bias, pooling,
    activation, computes the same for less.

    Args:
        input_shape: `(height, width, channels)` of an image.
        num_classes: Number of classes, at least 2.
        kernels: Number of feature maps of the two convolutions.
        hidden_units: Units of the dense layer.
        activation: Activation of the convolutions and of the dense layer; one that falls anywhere
            does not commute with pooling.
        kernel_size: Side of the square kernels, in pixels; the convolutions are not padded.
        pool_size: Side of the squares of which the maximum is taken.
        dropout: Share, in [0, 1), of the dense layer's outputs dropped in training.
        seed: Makes initial weights, dropout and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Attributes:
        levels: The two convolutions and the dense layer.
        head: The softmax layer.

    Raises:
        ValueError: If an argument lies outside its range, or the images are too small.

    Example:

    >>> import numpy as np
    >>> model = LeNet5(input_shape=(28, 28, 1), num_classes=10, seed=0)
    >>> model.predict(np.zeros((2, 28, 28, 1), "float32"), verbose=0).shape
    (2, 10)

    Reference:
        LeCun et al., "Gradient-based learning applied to document recognition", Proceedings of the
        IEEE, 1998; Deep Learning Tutorials, "Convolutional neural networks (LeNet)".
    """

    def __init__(
        self,
        input_shape=(28, 28, 1),
        num_classes=10,
        kernels=(20, 50),
        hidden_units=500,
        activation="tanh",
        kernel_size=5,
        pool_size=2,
        dropout=0.0,
        seed=None,
        dtype=None,
        **kwargs,
    ):
        _check_sizes(input_shape, kernels, hidden_units, kernel_size, pool_size)
        check_fraction("dropout", dropout, _OWNER, below_one=True)
        super().__init__(seed=seed, dtype=dtype, **kwargs)
        self.image_shape = tuple(input_shape)
        self.num_classes = num_classes
        self._map_shapes = _map_shapes(self.image_shape, kernels, kernel_size, pool_size)
        *kernel_seeds, dense_seed, dropout_seed = initializers.child_seeds(seed, 4)
        maps = (input_shape[2], *kernels)
        self.levels = _convolutions(maps, kernel_size, pool_size, kernel_seeds, dtype)
        self.levels.append(
            keras.layers.Dense(
                int(hidden_units),
                activation=activation,
                kernel_initializer=initializers.for_level("glorot_uniform", 0, dense_seed),
                dtype=dtype,
                name="dense",
            )
        )
        self.pooling = keras.layers.MaxPooling2D(pool_size, dtype=dtype, name="pooling")
        self.activation = keras.layers.Activation(activation, dtype=dtype, name="activation")
        self.flatten = keras.layers.Flatten(dtype=dtype, name="flatten")
        self.dropout = keras.layers.Dropout(dropout, seed=dropout_seed, dtype=dtype, name="dropout")
        self.head = make_head(
            num_classes, None, _OWNER, self.variable_dtype, kernel_initializer="zeros"
        )
        self.build((None, *self.image_shape))
        self.keep_arguments(
            input_shape=self.image_shape,
            num_classes=num_classes,
            kernels=tuple(kernels),
            hidden_units=hidden_units,
            activation=activation,
            kernel_size=kernel_size,
            pool_size=pool_size,
            dropout=dropout,
            seed=seed,
        )

    @property
    def row_shape(self):
        """The shape of one image."""
        return self.image_shape

    def build(self, input_shape):
        # Keras calls it again when it loads a saved model.
        if self.levels[0].built:
            return
        *given, last = self._map_shapes
        for layer, shape in zip(self.levels, given, strict=False):
            layer.build((None, *shape))
        self.levels[-1].build((None, last[0] * last[1] * last[2]))
        self.head.build((None, self.levels[-1].units))

    def hidden(self, inputs, level=-1, training=False):
        """Returns the outputs of a convolution, pooled, or of the dense layer, as a tensor."""
        level = level % len(self.levels)
        outputs = keras.ops.cast(inputs, self.compute_dtype)
        for layer in self.levels[: min(level + 1, 2)]:
            outputs = self.activation(self.pooling(layer(outputs)))
        if level == 2:
            outputs = self.dropout(self.levels[2](self.flatten(outputs)), training=training)
        return outputs

    def call(self, inputs, training=False):
        return self.classify(self.hidden(inputs, training=training))


def _check_sizes(input_shape, kernels, hidden_units, kernel_size, pool_size):
    """Raises a `ValueError` if one of them is not made of whole numbers of at least 1."""
    given = (input_shape, kernels)
    if [len(value) if isinstance(value, (list, tuple)) else 0 for value in given] != [3, 2]:
        raise ValueError(
            f"{_OWNER} expects `input_shape` as (height, width, channels) and two numbers of "
            f"`kernels`. Received: input_shape={input_shape!r}, kernels={kernels!r}"
        )
    for name, value in (
        *(("input_shape", side) for side in input_shape),
        *(("kernels", count) for count in kernels),
        ("hidden_units", hidden_units),
        ("kernel_size", kernel_size),
        ("pool_size", pool_size),
    ):
        check_positive_int(name, value, _OWNER)


def _map_shapes(image_shape, kernels, kernel_size, pool_size):
    """Returns the shape of what each convolution is given, and of what the last one leaves."""
    height, width, _ = image_shape
    shapes = [image_shape]
    for count in kernels:
        height, width = ((side - kernel_size + 1) // pool_size for side in (height, width))
        shapes.append((height, width, count))
        if height < 1 or width < 1:
            smallest = 1
            for _ in kernels:
                smallest = smallest * pool_size + kernel_size - 1
            raise ValueError(
                f"{_OWNER} with kernels of {kernel_size} and pooling by {pool_size} pixels needs "
                f"images of at least {smallest} x {smallest}. Received: input_shape={image_shape}"
            )
    return shapes


def _convolutions(maps, kernel_size, pool_size, seeds, dtype):
    """Returns the convolutions between given numbers of maps, the channels of the image first."""
    return [
        keras.layers.Conv2D(
            count,
            kernel_size,
            kernel_initializer=_after_pooling(
                kernel_size**2 * before, kernel_size**2 * count / pool_size**2, seed
            ),
            dtype=dtype,
            name=f"convolution_{level}",
        )
        for level, (before, count, seed) in enumerate(zip(maps, maps[1:], seeds, strict=False), 1)
    ]


def _after_pooling(fan_in, fan_out, seed):
    """Returns the tutorial's initializer: pooling leaves a kernel fewer units to feed.

    That makes it wider than Glorot's, which counts every pixel.
    """
    bound = (6 / (fan_in + fan_out)) ** 0.5
    return keras.initializers.RandomUniform(-bound, bound, seed=seed)
