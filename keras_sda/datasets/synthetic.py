"""A few points in the plane, as the tutorials draw them."""

from itertools import pairwise

import numpy as np

from keras_sda._validation import check_non_negative, check_positive_int, check_seed, wrong_argument
from keras_sda.datasets.files import Split


def gaussian_clouds(seed=0, rows=1000):
    """Returns the two overlapping Gaussian clouds of the Theano tutorial's small network.

    Class 0 lies around (-1, -1) and class 1 around (1, 1), each axis of each class with a standard
    deviation of its own between 1 and 2. The default arguments give exactly the tutorial's points.

    Args:
        seed: Seed of NumPy's `RandomState`, which the tutorial uses.
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
    """Returns the initial weights that the tutorial draws after the clouds, from their generator.

    Args:
        seed: Seed of the clouds.
        rows: Number of points of the clouds.
        sizes: Number of inputs, then of the units of each layer.

    Returns:
        Kernel, bias, kernel, bias, ...: normal kernels of shape `(inputs, units)`, biases of ones.
    """
    owner = "gaussian_clouds_weights()"
    if not isinstance(sizes, (list, tuple)) or len(sizes) < 2:
        expected = "list the number of inputs and of units of each layer"
        raise wrong_argument("sizes", owner, expected, sizes)
    sizes = [check_positive_int("sizes", size, owner) for size in sizes]
    _, generator = _clouds(seed, rows)
    arrays = []
    for inputs, units in pairwise(sizes):
        arrays += [generator.randn(units, inputs).T, np.ones(units)]
    return arrays


def _clouds(seed, rows):
    check_positive_int("rows", rows, "gaussian_clouds")
    # Drawn in the tutorial's order, so that the points are the tutorial's.
    if (check_seed("seed", seed, "gaussian_clouds()") or 0) >= 2**32:  # of the old generator
        raise wrong_argument("seed", "gaussian_clouds()", "be below 2**32", seed)
    generator = np.random.RandomState(seed)
    y = generator.randint(0, 2, rows)
    deviations = generator.random_sample((2, 2)) + 1
    means = np.array([[-1, 1], [-1, 1]])
    x = np.stack([generator.randn(rows) * deviations[k, y] + means[k, y] for k in (0, 1)], axis=1)
    return Split(x.astype("float32"), y.astype("int64")), generator


def xor(rows=None, noise=0.0, seed=0):
    """Returns the exclusive or of two inputs, which no linear model can learn.

    Args:
        rows: Number of points, drawn at random from the four corners; `None` for the corners.
        noise: Standard deviation of normal noise on the points.
        seed: Seed of points and noise.

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
