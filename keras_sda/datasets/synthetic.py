"""A few points in the plane, as the tutorials draw them."""

from itertools import pairwise

import numpy as np

from keras_sda._validation import check_non_negative, check_positive_int
from keras_sda.datasets.files import Split


def gaussian_clouds(seed=0, rows=1000):
    """Returns the two overlapping Gaussian clouds of the Theano tutorial's small network.

    Class 0 lies around (-1, -1) and class 1 around (1, 1), with deviations between 1 and 2 of their
    own for each class and axis. With the default arguments these are the tutorial's very points.

    Args:
        seed: Of NumPy's `RandomState`, which the tutorial uses.
        rows: Number of points.

    Returns:
        `Split` of x, float32 of shape `(rows, 2)`, and y, int64 of shape `(rows,)`.

    Example:

    >>> x, y = gaussian_clouds()
    >>> x.shape, y[:5].tolist()
    ((1000, 2), [0, 1, 1, 0, 1])
    """
    return _clouds(seed, rows)[0]


def gaussian_clouds_weights(seed=0, rows=1000, sizes=(2, 4, 1)):
    """Returns the initial weights that the tutorial draws after the clouds, from one generator.

    Args:
        seed: As for the clouds.
        rows: As for the clouds.
        sizes: Inputs and units of each layer.

    Returns:
        Kernel, bias, kernel, bias, ...: normal kernels of shape `(inputs, units)`, biases of one.
    """
    _, generator = _clouds(seed, rows)
    arrays = []
    for inputs, units in pairwise(sizes):
        arrays += [generator.randn(units, inputs).T, np.ones(units)]
    return arrays


def _clouds(seed, rows):
    check_positive_int("rows", rows, "gaussian_clouds")
    # The order of draws is the tutorial's, so that the points are, too.
    generator = np.random.RandomState(seed)
    y = generator.randint(0, 2, rows)
    deviations = generator.random_sample((2, 2)) + 1
    means = np.array([[-1, 1], [-1, 1]])
    x = np.stack([generator.randn(rows) * deviations[k, y] + means[k, y] for k in (0, 1)], axis=1)
    return Split(x.astype("float32"), y.astype("int64")), generator


def xor(rows=None, noise=0.0, seed=0):
    """Returns the exclusive or of two inputs: what no linear model can learn.

    Args:
        rows: Number of points, drawn at random from the four corners; `None` for the four.
        noise: Standard deviation of normal noise on the points.
        seed: Of the draws.

    Returns:
        `Split` of x, float32 of shape `(rows, 2)`, and y, int64 of shape `(rows,)`.

    Example:

    >>> x, y = xor()
    >>> x.tolist(), y.tolist()
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    check_non_negative("noise", noise, "xor")
    rng = np.random.default_rng(seed)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    if rows is not None:
        corners = corners[rng.integers(0, 4, check_positive_int("rows", rows, "xor"))]
    x = corners + noise * rng.normal(size=corners.shape)
    return Split(x.astype("float32"), (corners[:, 0] ^ corners[:, 1]).astype("int64"))
