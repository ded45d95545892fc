"""The two networks of a variational autoencoder, as Keras models.

The posterior leads from a row to the mean and the log-variance of its code, the generator from a
code to the reconstruction before its last activation. `make_kernel(number)` gives the initializer
of layer `number`, so that no two layers begin alike.
"""

import math

import keras
from keras import layers


def dense_networks(input_dim, hidden_units, latent_dim, activation, make_kernel, dtypes):
    """Returns posterior and generator of fully connected layers; the second mirrors the first.

    Args:
        input_dim: Number of features of a row.
        hidden_units: Units of each hidden layer of the posterior.
        latent_dim: Number of latent units.
        activation: Activation of the hidden layers.
        make_kernel: Function of a layer's number that returns its kernel's initializer.
        dtypes: Dtype of the inputs, and dtype or policy of the layers.
    """
    dense = _maker(layers.Dense, make_kernel, dtypes[1], first=0)
    rows = keras.Input((input_dim,), dtype=dtypes[0], name="rows")
    values = rows
    for units in hidden_units:
        values = dense(units, activation=activation)(values)
    posterior = _posterior(rows, values, latent_dim, dense)

    codes = keras.Input((latent_dim,), dtype=dtypes[0], name="codes")
    values = codes
    for units in reversed(hidden_units):
        values = dense(units, activation=activation)(values)
    return posterior, keras.Model(codes, dense(input_dim)(values), name="generator")


def convolutional_networks(
    image_shape, levels, hidden_units, latent_dim, activation, make_kernel, dtypes
):
    """Returns posterior and generator of convolutions that halve and double the sides.

    Args:
        image_shape: `(height, width, channels)`, sides divisible by `2 ** len(levels)`.
        levels: Number of feature maps and side of the kernels of each level.
        hidden_units: Units of each dense layer between the last convolution and the posterior.
        latent_dim: Number of latent units.
        activation: Activation of all layers but the last of either network.
        make_kernel: As in `dense_networks`.
        dtypes: As in `dense_networks`.
    """
    height, width, channels = image_shape
    shrink = 2 ** len(levels)
    small = (height // shrink, width // shrink, levels[-1][0])
    convolution = _maker(layers.Conv2D, make_kernel, dtypes[1], first=0)
    dense = _maker(layers.Dense, make_kernel, dtypes[1], first=len(levels))
    first = len(levels) + len(hidden_units) + 3  # mean, log-variance, and the way back from codes
    transposed = _maker(layers.Conv2DTranspose, make_kernel, dtypes[1], first=first)

    images = keras.Input(image_shape, dtype=dtypes[0], name="images")
    values = images
    for maps, size in levels:
        step = convolution(maps, size, strides=2, padding="same", activation=activation)
        values = step(values)
    values = layers.Flatten(dtype=dtypes[1])(values)
    for units in hidden_units:
        values = dense(units, activation=activation)(values)
    posterior = _posterior(images, values, latent_dim, dense)

    codes = keras.Input((latent_dim,), dtype=dtypes[0], name="codes")
    values = dense(math.prod(small), activation=activation)(codes)
    values = layers.Reshape(small, dtype=dtypes[1])(values)
    for maps, size in reversed(levels):
        step = transposed(maps, size, strides=2, padding="same", activation=activation)
        values = step(values)
    values = transposed(channels, levels[0][1], padding="same")(values)
    return posterior, keras.Model(codes, values, name="generator")


def _posterior(inputs, values, latent_dim, dense):
    mean = dense(latent_dim, name="mean")(values)
    log_var = dense(latent_dim, name="log_var")(values)
    return keras.Model(inputs, [mean, log_var], name="posterior")


def _maker(layer_class, make_kernel, dtype, first):
    """Returns a function that makes layers of a class, each with a kernel of its own."""
    number = first - 1

    def make(*args, **kwargs):
        nonlocal number
        number += 1
        return layer_class(*args, kernel_initializer=make_kernel(number), dtype=dtype, **kwargs)

    return make
