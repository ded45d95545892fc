"""Rows, their corrupted versions, and their reconstructions."""

import keras
import numpy as np
from matplotlib.figure import Figure

from keras_sda._validation import as_numbers, check_non_negative_int, shown
from keras_sda.plots.accepted import check_arguments
from keras_sda.plots.features import MOST_NAMES, check_names, shortened
from keras_sda.plots.images import as_images, shape_of_images, show_as_written, tile_images


def plot_reconstructions(
    inputs, corrupted, reconstructed, image_shape=None, title=None, feature_names=None
):
    """Draws rows of inputs, below them their corrupted versions, if any, and the reconstructions.

    Args:
        inputs: Array of shape `(count, features)`.
        corrupted: The same rows with noise, or `None` where there is none.
        reconstructed: The autoencoder's reconstructions of the corrupted rows, or of the inputs.
        image_shape: Shape of an input image; `None` draws three tables, rows by features.
        title: Title of the figure, or `None`.
        feature_names: Names of the features of a table, such as `Columns.input_names`, which are
            written below if they are at most 60. `None` numbers them.

    Returns:
        The figure.

    Raises:
        ValueError: If an image does not have as many pixels as a row has values, or there are not
            as many names.
    """
    owner = "plot_reconstructions()"
    check_arguments(owner, image_shape=image_shape, title=title, feature_names=feature_names)
    strips = {"inputs": inputs, "corrupted": corrupted, "reconstructed": reconstructed}
    strips = {
        name: as_numbers(table, owner, name)
        for name, table in strips.items()
        if table is not None or name != "corrupted"
    }
    inputs = strips["inputs"]
    for name, table in strips.items():
        if table.shape != inputs.shape or table.ndim < 2:
            raise ValueError(
                f"Argument `{name}` of {owner} must have the shape of the inputs, (count, features)"
                f". Received shape {table.shape} beside inputs of shape {inputs.shape}."
            )
    low, high = float(np.min(inputs)), float(np.max(inputs))
    height = (1.1 if image_shape else 2) * len(strips) + (0.3 if title else 0)
    if feature_names is not None and image_shape is None:
        check_names(feature_names, np.shape(inputs)[1], owner)
        height += 1.5
    figure = Figure(figsize=(9, height), layout="constrained")
    all_axes = figure.subplots(len(strips), 1)
    for axes, (name, table) in zip(all_axes, strips.items(), strict=True):
        if image_shape is None:
            axes.imshow(table, aspect="auto", cmap="viridis", vmin=low, vmax=high)
            axes.set(ylabel="row")
        else:
            strip = tile_images(as_images(table, image_shape), columns=len(table), background=high)
            axes.imshow(strip, cmap="gray", vmin=low, vmax=high)
            axes.set_axis_off()
        axes.set_title(name, loc="left", fontsize=10)
    if feature_names is not None and image_shape is None:
        _write_names(all_axes, feature_names)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _write_names(all_axes, names):
    """Writes the names of features below the last of several tables of rows by features."""
    for axes in all_axes:
        axes.set_xticks([])
    if len(names) <= MOST_NAMES:
        texts = [shortened(name) for name in names]
        all_axes[-1].set_xticks(range(len(texts)), texts, rotation=90, fontsize=8)
        show_as_written(all_axes[-1].get_xticklabels())
    else:
        all_axes[-1].set_xlabel(f"{len(names)} features")


def plot_model_reconstructions(
    model, rows, image_shape=None, seed=0, title=None, feature_names=None
):
    """Draws rows, the same rows corrupted by the model's noise, if any, and their reconstructions.

    Args:
        model: An autoencoder, or a stack, of which the first level's noise is used.
        rows: The rows to draw, about a dozen.
        image_shape: Shape of an input image; by default the model's, if its rows are images.
        seed: Seed of the noise, which is the same in each call; see `corrupt_rows`.
        title: Title of the figure, or `None`.
        feature_names: Names of the features of a table; see `plot_reconstructions`.

    Returns:
        The figure.
    """
    owner = "plot_model_reconstructions()"
    check_arguments(owner, model=model, image_shape=image_shape, seed=seed, title=title)
    rows = as_numbers(rows, owner, "rows")
    if hasattr(model, "check_rows"):  # a model of one's own may not
        model.check_rows(rows, "reconstruct()")
    noise = getattr(model, "noise", None)
    if hasattr(model, "noise_layers"):
        noise = model.noise_layers[0]
    corrupted = None
    if noise is not None:
        corrupted = corrupt_rows(noise, rows, seed).astype(rows.dtype)
    reconstructed = model.reconstruct(rows if corrupted is None else corrupted)
    shape = shape_of_images(model, image_shape)
    return plot_reconstructions(rows, corrupted, reconstructed, shape, title, feature_names)


def corrupt_rows(noise, rows, seed=0):
    """Returns rows corrupted by a layer at its current noise level, by the same draw in each call.

    The layer's own random stream is restored, so that training continues as if nothing had been
    drawn. That works for layers that draw from a `keras.random.SeedGenerator` of their own, as all
    layers of Keras and of this package do.

    Args:
        noise: A noise layer, or any Keras layer that corrupts in training.
        rows: Array of rows.
        seed: Seed of the draw.

    Returns:
        NumPy array of the shape of `rows`.

    Example:

    >>> from keras_sda.layers import MaskingNoise
    >>> noise, rows = MaskingNoise(0.5), np.ones((4, 16), "float32")
    >>> bool((corrupt_rows(noise, rows) == corrupt_rows(noise, rows)).all())
    True
    """
    owner = "corrupt_rows()"
    check_non_negative_int("seed", seed, owner)
    if not isinstance(noise, keras.layers.Layer):
        raise ValueError(
            f"Argument `noise` of {owner} must be a Keras layer. Received: noise={shown(noise)}"
        )
    rows = as_numbers(rows, owner, "rows")
    before = [(value, keras.ops.convert_to_numpy(value)) for value in noise.variables]
    streams = [value for value in noise.variables if value.name == "seed_generator_state"]
    try:
        for number, stream in enumerate(streams):
            stream.assign([seed, number])
        corrupted = noise(rows, training=True)
    finally:
        for variable, value in before:
            variable.assign(value)
    return keras.ops.convert_to_numpy(keras.ops.cast(corrupted, keras.config.floatx()))
