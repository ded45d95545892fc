"""Pictures of a run: filters, reconstructions, learning curves.

Functions return a `matplotlib.figure.Figure` and show nothing; save it, or let a notebook draw it.
"""

import math

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter


def tile_images(images, columns=None, gap=1, background=1.0):
    """Puts images beside and below each other into one large image.

    Args:
        images: Array of shape `(count, height, width)`.
        columns: Images in a row; by default about as many as rows.
        gap: Pixels between two images.
        background: Value of the gaps and of empty places.

    Returns:
        Array of shape `(rows * (height + gap) - gap, columns * (width + gap) - gap)`.

    Example:

    >>> tile_images(np.zeros((3, 2, 2)), columns=2).shape
    (5, 5)
    """
    count, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    tiled = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), background)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = row * (height + gap), column * (width + gap)
        tiled[top : top + height, left : left + width] = image
    return tiled


def plot_filters(kernel, image_shape=None, count=100, title="First-level filters"):
    """Draws the weights of the first hidden units, each as an image with a grey scale of its own.

    The units with the largest weights are drawn, as those of the others are still near their
    random start.

    Args:
        kernel: Array of shape `(features, units)`.
        image_shape: Shape of an input image, such as `(28, 28, 1)`; `None` draws the weights as
            one table, features by units.
        count: How many units to draw at most.
        title: Title of the picture.

    Returns:
        The figure.
    """
    kernel = np.asarray(kernel)
    strongest = np.argsort(-np.linalg.norm(kernel, axis=0), kind="stable")[:count]
    filters = kernel[:, np.sort(strongest)]
    figure = Figure(figsize=(7, 7.3), layout="constrained")
    axes = figure.subplots()
    if image_shape is None:
        limit = np.abs(filters).max() or 1.0
        picture = axes.imshow(filters, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set(xlabel="hidden unit", ylabel="feature")
        figure.colorbar(picture, label="weight")
    else:
        images = _as_images(filters.T, image_shape)
        low = images.min(axis=(1, 2), keepdims=True)
        span = images.max(axis=(1, 2), keepdims=True) - low
        scaled = (images - low) / np.where(span == 0, 1, span)
        axes.imshow(tile_images(scaled), cmap="gray", interpolation="nearest")
        axes.set_axis_off()
    axes.set_title(f"{title}: {filters.shape[1]} of {kernel.shape[1]} units")
    return figure


def plot_reconstructions(inputs, corrupted, reconstructed, image_shape=None):
    """Draws rows of inputs, below them their corrupted versions, if any, and the reconstructions.

    Args:
        inputs: Array of shape `(count, features)`.
        corrupted: The same rows with noise, or `None` where there is none.
        reconstructed: What the autoencoder makes of the corrupted rows, or of the inputs.
        image_shape: Shape of an input image; `None` draws three tables, rows by features.

    Returns:
        The figure.
    """
    strips = {"inputs": inputs, "corrupted": corrupted, "reconstructed": reconstructed}
    strips = {title: table for title, table in strips.items() if table is not None}
    low, high = float(np.min(inputs)), float(np.max(inputs))
    height = (1.1 if image_shape else 2) * len(strips)
    figure = Figure(figsize=(9, height), layout="constrained")
    all_axes = figure.subplots(len(strips), 1)
    for axes, (title, table) in zip(all_axes, strips.items(), strict=True):
        if image_shape is None:
            axes.imshow(table, aspect="auto", cmap="viridis", vmin=low, vmax=high)
            axes.set(ylabel="row")
        else:
            strip = tile_images(_as_images(table, image_shape), columns=len(table), background=high)
            axes.imshow(strip, cmap="gray", vmin=low, vmax=high)
            axes.set_axis_off()
        axes.set_title(title, loc="left", fontsize=10)
    return figure


def plot_model(model, rows, image_shape=None):
    """Draws rows, the same corrupted by the model's noise if it has any, and what it rebuilds.

    Args:
        model: An autoencoder, or a stack, whose first level's noise is taken.
        rows: The rows to draw, a dozen or so.
        image_shape: Shape of an input image, or `None`.

    Returns:
        The figure.
    """
    noise = getattr(model, "noise", None)
    if hasattr(model, "noise_layers"):
        noise = model.noise_layers[0]
    corrupted = None
    if noise is not None:
        corrupted = keras.ops.convert_to_numpy(noise(rows, training=True)).astype(rows.dtype)
    rebuilt = model.reconstruct(rows if corrupted is None else corrupted)
    return plot_reconstructions(rows, corrupted, rebuilt, image_shape)


def plot_learning_curves(pretraining, finetuning):
    """Draws the loss of each level by epoch and, beside it, the error of fine-tuning.

    Args:
        pretraining: One dictionary per level, as `History.history`; may be empty.
        finetuning: The dictionary of `fit`, with `accuracy` and `val_accuracy` if there were any.

    Returns:
        The figure.
    """
    panels = len(pretraining) + 1
    figure = Figure(figsize=(3.6 * panels, 3.4), layout="constrained")
    all_axes = figure.subplots(1, panels, squeeze=False)[0]
    for level, (axes, history) in enumerate(zip(all_axes, pretraining, strict=False)):
        _draw_curves(axes, history, ("loss", "val_loss"))
        axes.set(title=f"level {level + 1}", ylabel="reconstruction loss")
    axes = all_axes[-1]
    if "accuracy" in finetuning:
        errors = {
            name: 100 * (1 - np.asarray(finetuning[name]))
            for name in ("accuracy", "val_accuracy")
            if name in finetuning
        }
        _draw_curves(axes, errors, ("accuracy", "val_accuracy"))
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set(title="fine-tuning", ylabel="error in %")
    else:
        _draw_curves(axes, finetuning, ("loss", "val_loss"))
        axes.set(title="fine-tuning", ylabel="loss")
    return figure


def _draw_curves(axes, history, names):
    for name, label in zip(names, ("training", "validation"), strict=True):
        if name in history:
            epochs = np.arange(1, len(history[name]) + 1)
            marker = "o" if len(epochs) == 1 else None
            axes.plot(epochs, history[name], label=label, marker=marker)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()


def _as_images(rows, image_shape):
    """Returns rows as images of shape `(count, height, width)`; colours are averaged."""
    images = np.asarray(rows, dtype="float64").reshape(len(rows), *image_shape)
    return images.mean(axis=-1) if images.ndim == 4 else images
