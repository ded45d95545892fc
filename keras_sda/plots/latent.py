"""Codes decoded by a variational autoencoder: its manifold, and one unit at a time."""

import statistics

import numpy as np
from matplotlib.figure import Figure

from keras_sda._validation import as_numbers
from keras_sda.plots.accepted import check_arguments, check_size
from keras_sda.plots.images import as_images, shape_of_images, tile_images


def plot_manifold(model, image_shape=None, count=20, coverage=0.9):
    """Draws codes from all over the prior of two latent units, decoded by the model.

    The codes form a grid of evenly spaced quantiles of the normal distribution, so that every tile
    stands for the same share of the model's random samples.

    Args:
        model: A `VariationalAutoencoder` with `latent_dim=2`.
        image_shape: Shape of an input image; by default the model's, if its rows are images.
        count: Tiles per row and per column, at least 2.
        coverage: Share of each unit's prior between the outermost tiles, in (0, 1).

    Returns:
        The figure. Unit 0 increases to the right, unit 1 upwards.

    Raises:
        ValueError: If the model is not such a model, or its rows are not images.

    Example:

    ```python
    plots.plot_manifold(vae, image_shape=(28, 28, 1)).savefig("manifold.png")
    ```
    """
    owner = "plot_manifold()"
    check_arguments(owner, image_shape=image_shape, count=count, coverage=coverage)
    if not hasattr(model, "traverse") or model.latent_dim != 2:
        units = getattr(model, "latent_dim", None)
        received = type(model).__name__ + ("" if units is None else f" with {units}")
        raise ValueError(
            f"{owner} expects a VariationalAutoencoder with 2 latent units. Received a {received}: "
            "draw traversals of more units, or the codes of other models."
        )
    if count < 2:
        raise ValueError(
            f"Argument `count` of {owner} must be at least 2, tiles per row and per column. "
            f"Received: count={count!r}"
        )
    shape = _image_shape(model, image_shape, owner)
    check_size(count * shape[0], count * shape[1], owner)
    shares = np.linspace((1 - coverage) / 2, (1 + coverage) / 2, count)
    values = np.array([statistics.NormalDist().inv_cdf(share) for share in shares])
    # The first row of tiles is the top one.
    second, first = np.meshgrid(values[::-1], values, indexing="ij")
    codes = np.stack([first.ravel(), second.ravel()], axis=1)
    images = as_images(model.decode(codes.astype(model.variable_dtype)), shape)
    figure = Figure(figsize=(7, 7.2), layout="constrained")
    axes = figure.subplots()
    tiles = tile_images(images, columns=count, gap=0)
    axes.imshow(tiles, cmap="gray", interpolation="nearest", aspect="equal")
    shown = np.unique(np.linspace(0, count - 1, min(count, 5)).round().astype(int))
    height, width = images.shape[1:]
    names = [f"{value:.2f}" for value in values.round(2) + 0.0]  # no "-0.00"
    axes.set_xticks((shown + 0.5) * width - 0.5, [names[tile] for tile in shown])
    axes.set_yticks((shown + 0.5) * height - 0.5, [names[::-1][tile] for tile in shown])
    axes.set(
        xlabel="latent unit 0",
        ylabel="latent unit 1",
        title=f"Decoded codes at {count} x {count} quantiles of the prior",
    )
    return figure


def plot_traversals(model, start=None, units=None, values=None, image_shape=None, count=10):
    """Draws what changes as one latent unit of a variational autoencoder varies, the others fixed.

    Args:
        model: A `VariationalAutoencoder`.
        start: The code to start from, or a row to encode; by default zeros, the centre of the
            prior.
        units: Numbers of the units, one row of images each; by default the `count` units that
            change the image most.
        values: The values each unit takes; by default 11 from -3 to 3.
        image_shape: Shape of an input image; by default the model's, if its rows are images.
        count: Largest number of units to draw, if `units` are not given.

    Returns:
        The figure.

    Raises:
        ValueError: If the model is not a variational autoencoder, or an argument is not valid.

    Example:

    ```python
    plots.plot_traversals(vae, start=x[0], image_shape=(28, 28, 1)).savefig("traversals.png")
    ```
    """
    owner = "plot_traversals()"
    check_arguments(owner, units=units, values=values, image_shape=image_shape, count=count)
    if not hasattr(model, "traverse"):
        raise ValueError(
            f"{owner} expects a VariationalAutoencoder. Received a {type(model).__name__}: draw "
            "its codes or its filters instead."
        )
    shape = _image_shape(model, image_shape, owner)
    start = np.zeros(model.latent_dim) if start is None else as_numbers(start, owner, "start")
    values = np.linspace(-3, 3, 11) if values is None else np.asarray(values)
    candidates = range(model.latent_dim) if units is None else list(units)
    lines = {unit: as_images(model.traverse(start, unit, values), shape) for unit in candidates}
    drawn = list(candidates)
    if units is None:
        change = [float(np.var(lines[unit], axis=0).sum()) for unit in drawn]
        drawn = sorted(np.argsort(change, kind="stable")[::-1][:count].tolist())
    images = np.concatenate([lines[unit] for unit in drawn])
    height, width = images.shape[1:]
    tiles = tile_images(images, columns=len(values), background=images.max())
    # Inches per image, so that rows of few and of many images fill the page alike.
    side = min(0.75, 8 / len(values))
    size = (side * len(values) + 0.9, side * len(drawn) * height / width + 1.1)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(tiles, cmap="gray", interpolation="nearest")
    centres = (np.arange(max(len(values), len(drawn)))[:, None] + 0.5) * (width + 1, height + 1) - 1
    axes.set_xticks(centres[: len(values), 0], [f"{value:.2g}" for value in values])
    axes.set_yticks(centres[: len(drawn), 1], [str(unit) for unit in drawn])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(
        xlabel="value of the unit",
        ylabel="latent unit",
        title=f"One latent unit at a time: {len(drawn)} of {model.latent_dim}",
    )
    return figure


def _image_shape(model, image_shape, owner):
    shape = shape_of_images(model, image_shape)
    if shape is None:
        raise ValueError(
            f"{owner} draws images. Received a model of rows of shape "
            f"{tuple(model.row_shape)}: pass image_shape=(height, width, channels)."
        )
    return shape
