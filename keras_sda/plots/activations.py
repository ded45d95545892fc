"""Histograms of the activations of each level, and counts of dead and saturated units."""

import keras
import numpy as np
from matplotlib.figure import Figure

from keras_sda._validation import as_numbers, wrong_argument
from keras_sda.plots.accepted import check_arguments

_BAR = "#0072B2"

# Bounds of an activation's values; other activations have none.
_BOUNDS = {
    "hard_sigmoid": (0.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "softsign": (-1.0, 1.0),
    "tanh": (-1.0, 1.0),
}


def count_units(codes, activation="linear", tolerance=0.01, margin=0.05, share=0.9):
    """Counts the dead and the saturated units of a level.

    A unit is dead if it responds alike to every row: its values lie within `tolerance` of each
    other, as a share of the range of the activation or, if that has no bounds, of the largest
    absolute value of the level. Rectified units that never rise above 0 are dead, and so are the
    latent units that a variational autoencoder has switched off. A unit is saturated if for at
    least `share` of the rows its value lies within `margin`, as a share of the range, of a bound of
    the activation, where the gradient almost vanishes. A unit stuck at a bound is both.

    Args:
        codes: Array of shape `(rows, units)`, or feature maps of shape
            `(rows, height, width, channels)`, of which every channel is a unit.
        activation: Name of the activation. Saturation is counted for those with two bounds:
            sigmoid, hard_sigmoid, tanh and softsign.
        tolerance: Share, in [0, 1], of the range within which a unit counts as constant.
        margin: Share, in [0, 1], of the range that counts as near a bound.
        share: Share, in [0, 1], of rows that make a unit saturated.

    Returns:
        Dictionary with `units`, `dead` and `saturated`, which is `None` without bounds.

    Raises:
        ValueError: If a share lies outside [0, 1].

    Example:

    >>> codes = np.array([[0.5, 0.0, 0.1], [0.5, 1.0, 0.9]])
    >>> count_units(codes, "sigmoid")
    {'units': 3, 'dead': 1, 'saturated': 1}
    """
    owner = "count_units()"
    check_arguments(owner, tolerance=tolerance, margin=margin, share=share)
    if not isinstance(activation, str):
        raise wrong_argument("activation", owner, "be the name of an activation", activation)
    codes = as_numbers(codes, owner, "codes").astype("float64")
    codes = codes.reshape(-1, codes.shape[-1])
    bounds = _BOUNDS.get(activation)
    span = bounds[1] - bounds[0] if bounds else np.abs(codes).max()
    dead = int((np.ptp(codes, axis=0) <= tolerance * span).sum())
    saturated = None
    if bounds:
        near = (codes <= bounds[0] + margin * span) | (codes >= bounds[1] - margin * span)
        saturated = int((near.mean(axis=0) >= share).sum())
    return {"units": codes.shape[1], "dead": dead, "saturated": saturated}


def plot_activations(model, x, level=None, bins=50):
    """Draws a histogram of the activations of each level, and counts dead and saturated units.

    Args:
        model: A model with `encode`: a stack, an autoencoder, or an `MLP`.
        x: Array of rows, at least some hundreds, for the counts to mean something.
        level: Number of the level to draw, from 0; by default all levels.
        bins: Number of bins of each histogram.

    Returns:
        The figure. Each title says how many units are dead and how many saturated, as
        `count_units` defines it.

    Raises:
        ValueError: If the model has no codes, or no such level.

    Example:

    ```python
    plots.plot_activations(sda, data.test.x).savefig("activations.png")
    ```
    """
    check_arguments("plot_activations()", model=model, level=level, bins=bins)
    layers = getattr(model, "levels", None)
    if not hasattr(model, "encode") or layers == []:
        raise ValueError(
            "plot_activations() draws the codes of a model. Received a "
            f"{type(model).__name__}, which has none: pass a stack, an autoencoder or an MLP."
        )
    if layers is None:  # one code, after layers of many kinds
        if level not in (None, 0, -1):
            raise ValueError(
                f"Argument `level` of plot_activations() must be 0 for a {type(model).__name__}, "
                f"which has one level of codes. Received: level={level!r}"
            )
        panels = [("codes", model.encode(x), _activation_of(model.encoder.layers[-1]))]
    else:
        numbers = range(len(layers)) if level is None else [level]
        panels = [
            (
                f"level {number % len(layers) + 1}",
                model.encode(x, level=number),
                _activation_of(layers[number]),
            )
            for number in numbers
        ]
    figure = Figure(figsize=(4 * max(1.2, len(panels)), 3.6), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, codes, activation) in zip(all_axes, panels, strict=True):
        values = np.asarray(codes, dtype="float64").ravel()
        weights = np.full(values.shape, 100 / len(values))
        axes.hist(values, bins=bins, range=_BOUNDS.get(activation), weights=weights, color=_BAR)
        counts = count_units(codes, activation)
        axes.set_title(f"{name}: {_in_words(counts)}", fontsize=10)
        axes.set(xlabel=f"activation ({activation})")
        axes.grid(alpha=0.3, axis="y")
        axes.set_axisbelow(True)
    all_axes[0].set_ylabel("share of the level's activations in %")
    return figure


def _activation_of(layer):
    function = getattr(layer, "activation", None)
    name = "linear" if function is None else keras.activations.serialize(function)
    return name if isinstance(name, str) else "custom"


def _in_words(counts):
    units = counts["units"]
    parts = [
        f"{counts[kind]} {kind} ({100 * counts[kind] / units:.3g} %)"
        for kind in ("dead", "saturated")
        if counts[kind] is not None
    ]
    return f"{units} units\n{', '.join(parts)}"
