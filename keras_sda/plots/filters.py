"""Filters: the weights of units, those of deeper levels chained down to the input."""

import keras
import numpy as np
from matplotlib.figure import Figure

from keras_sda._validation import as_numbers, wrong_argument
from keras_sda.plots.accepted import check_arguments
from keras_sda.plots.features import MOST_NAMES, check_names, shortened
from keras_sda.plots.images import as_images, shape_of_images, show_as_written, tile_images


def plot_filters(
    kernel, image_shape=None, count=100, title="First-level filters", feature_names=None
):
    """Draws the weights of the first level's units, each as an image with its own grey scale.

    The units with the largest weights are drawn, as the weights of the others are still close to
    their random initial values.

    Args:
        kernel: Array of shape `(features, units)`.
        image_shape: Shape of an input image, such as `(28, 28, 1)`; `None` draws the weights as
            one table, features by units.
        count: Largest number of units to draw.
        title: Title of the picture.
        feature_names: Names of the features of a table, such as `Columns.input_names`. Of more than
            60, those with the largest weights are drawn. `None` numbers all.

    Returns:
        The figure.

    Raises:
        ValueError: If an image does not have as many pixels as a unit has weights, or there are
            not as many names.

    Example:

    >>> figure = plot_filters(np.random.default_rng(0).normal(size=(64, 16)), (8, 8, 1))
    >>> figure.axes[0].get_title()
    'First-level filters: 16 of 16 units'
    """
    owner = "plot_filters()"
    check_arguments(owner, image_shape=image_shape, count=count, title=title)
    check_arguments(owner, feature_names=feature_names)
    kernel = as_numbers(kernel, owner, "kernel")
    if kernel.ndim != 2:
        raise wrong_argument("kernel", owner, "be an array of shape (features, units)", kernel)
    strongest = np.argsort(-np.linalg.norm(kernel, axis=0), kind="stable")[:count]
    filters = kernel[:, np.sort(strongest)]
    units = f"{filters.shape[1]} of {kernel.shape[1]} units"
    figure = Figure(figsize=(7, 7.3), layout="constrained")
    axes = figure.subplots()
    if image_shape is None:
        if feature_names is not None:
            check_names(feature_names, len(kernel), owner)
            rows = np.argsort(-np.linalg.norm(kernel, axis=1), kind="stable")[:MOST_NAMES]
            filters, rows = filters[np.sort(rows)], np.sort(rows)
            figure.set_size_inches(9, max(3.5, 1.3 + 0.2 * len(rows)))
            axes.set_yticks(range(len(rows)), [shortened(feature_names[row]) for row in rows])
            axes.tick_params(axis="y", labelsize=8)
            show_as_written(axes.get_yticklabels())
            if len(rows) < len(kernel):
                units += f", {len(rows)} of {len(kernel)} features"
        limit = np.abs(filters).max() or 1.0
        picture = axes.imshow(filters, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set(xlabel="hidden unit", ylabel="feature" if feature_names is None else "")
        figure.colorbar(picture, label="weight")
    else:
        images = as_images(filters.T, image_shape)
        low = images.min(axis=(1, 2), keepdims=True)
        span = images.max(axis=(1, 2), keepdims=True) - low
        scaled = (images - low) / np.where(span == 0, 1, span)
        axes.imshow(tile_images(scaled), cmap="gray", interpolation="nearest")
        axes.set_axis_off()
    axes.set_title(f"{title}: {units}")
    return figure


def plot_level_filters(model, level=-1, image_shape=None, count=100, feature_names=None):
    """Draws the filters of any level of a model, those of deeper levels chained down to the input.

    A deeper unit is drawn as the product of the kernels below it and its own; see `chain_kernels`.

    Args:
        model: A model with dense levels: a stack, any dense autoencoder, or an `MLP`. Of a
            convolutional model only the first level's kernels can be drawn.
        level: Number of the level, from 0; -1 for the last.
        image_shape: Shape of an input image; by default the model's, if its rows are images.
            Otherwise `None` draws a table, features by units.
        count: Largest number of units to draw.
        feature_names: Names of the features of a table; see `plot_filters`.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no such level, or its filters cannot be chained down to the input.

    Example:

    ```python
    plots.plot_level_filters(sda, level=1, image_shape=(28, 28, 1)).savefig("level_2.png")
    ```
    """
    check_arguments("plot_level_filters()", model=model, level=level, image_shape=image_shape)
    check_arguments("plot_level_filters()", count=count, feature_names=feature_names)
    kernels = level_kernels(model)
    level = _check_level(level, len(kernels), model)
    if any(kernel.ndim != 2 for kernel in kernels[: level + 1]):
        if level > 0:
            raise ValueError(
                f"{type(model).__name__} has convolutions below level {level + 1}, through which "
                "filters are not chained: draw those of the first level, level=0."
            )
        height, width, channels, maps = kernels[0].shape
        patches = kernels[0].reshape(height * width * channels, maps)
        return plot_filters(patches, (height, width, channels), count, "First-level kernels")
    title = "Filters of level 1"
    if level > 0:
        title = f"Filters of level {level + 1}, chained linearly down to the input"
    kernel = chain_kernels(kernels[: level + 1])
    return plot_filters(kernel, shape_of_images(model, image_shape), count, title, feature_names)


def chain_kernels(kernels):
    """Returns the weights from the input to the units of the topmost kernel.

    The product of the kernels, `kernels[0] @ kernels[1] @ ...`: exact for linear units. For others
    it is a linear approximation, which leaves out biases and activations: a unit is shown as the
    sum of the filters below it, weighted by its own weights, as if none of them ever saturated.

    Args:
        kernels: Arrays of shape `(features, units)`, the lowest first.

    Returns:
        Array of shape `(features of the first, units of the last)`.

    Example:

    >>> chain_kernels([np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0], [-1.0]])]).tolist()
    [[-1.0], [-1.0]]
    """
    owner = "chain_kernels()"
    if not isinstance(kernels, (list, tuple)) or not kernels:
        raise wrong_argument("kernels", owner, "list arrays of shape (features, units)", kernels)
    chained, *above = (as_numbers(kernel, owner, "kernels").astype("float64") for kernel in kernels)
    for kernel in above:
        if chained.ndim != 2 or kernel.ndim != 2 or chained.shape[1] != len(kernel):
            raise ValueError(
                f"Argument `kernels` of {owner} must list kernels that fit onto each other. "
                f"Received one of shape {kernel.shape} above {chained.shape}."
            )
        chained = chained @ kernel
    return chained


def level_kernels(model):
    """Returns the kernels of a model's levels as arrays, from the input up to the codes.

    Args:
        model: A model with `levels`, or one whose `encoder` is a sequence of layers.

    Raises:
        ValueError: If it has none.

    Example:

    >>> layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)]
    >>> model = keras.Sequential(layers)
    >>> model.levels = model.layers
    >>> [kernel.shape for kernel in level_kernels(model)]
    [(4, 3), (3, 2)]
    """
    layers = getattr(model, "levels", None)
    if layers is None:
        layers = getattr(getattr(model, "encoder", None), "layers", [])
    kernels = [layer.kernel for layer in layers if hasattr(layer, "kernel")]
    if not kernels:
        raise ValueError(
            f"Filters are the kernels of a model's levels. Received a {type(model).__name__}, "
            "which has none: pass a stack, an autoencoder or an MLP, or a kernel to plot_filters()."
        )
    return [keras.ops.convert_to_numpy(kernel) for kernel in kernels]


def _check_level(level, count, model):
    if isinstance(level, bool) or not isinstance(level, int) or not -count <= level < count:
        raise ValueError(
            f"Argument `level` of plot_level_filters() must be a whole number from 0 to "
            f"{count - 1}, or from -{count} to -1 counted from the top, for this "
            f"{type(model).__name__}. Received: level={level!r}"
        )
    return level % count
