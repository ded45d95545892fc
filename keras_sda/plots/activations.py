"""How the units of each level respond: histograms, and counts of units that do not work."""

import keras
import numpy as np
from matplotlib.figure import Figure

from keras_sda._validation import check_fraction

_BAR = "#0072B2"

# Between which bounds an activation's values lie; beyond these names there are none.
_BOUNDS = {
    "hard_sigmoid": (0.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "softsign": (-1.0, 1.0),
    "tanh": (-1.0, 1.0),
}


def count_units(codes, activation="linear", tolerance=0.01, margin=0.05, share=0.9):
    """Counts the units of a level that are dead and those that are saturated.

    A unit is dead if it says the same of every row: its values lie within `tolerance` of each
    other, measured by the range of the activation, or, where that has no bounds, by the largest
    value of the level. Rectified units that never rise above 0 are among them, and so are the
    latent units that a variational autoencoder has switched off. A unit is saturated if for at
    least `share` of the rows it lies within `margin`, of the range, from a bound of its activation,
    where there is hardly a gradient. A unit stuck at a bound is both.

    Args:
        codes: Array of shape `(rows, units)`; of maps `(rows, height, width, channels)` every
            channel is a unit.
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
    for name, value in (("tolerance", tolerance), ("margin", margin), ("share", share)):
        check_fraction(name, value, "count_units()")
    codes = np.asarray(codes, dtype="float64")
    codes = codes.reshape(-1, codes.shape[-1])
    bounds = _BOUNDS.get(activation)
    reach = bounds[1] - bounds[0] if bounds else np.abs(codes).max()
    dead = int((np.ptp(codes, axis=0) <= tolerance * reach).sum())
    saturated = None
    if bounds:
        near = (codes <= bounds[0] + margin * reach) | (codes >= bounds[1] - margin * reach)
        saturated = int((near.mean(axis=0) >= share).sum())
    return {"units": codes.shape[1], "dead": dead, "saturated": saturated}


def plot_activations(model, x, level=None, bins=50):
    """Draws how often the units of each level take which value, and counts those that do not work.

    Args:
        model: A model with `encode`: a stack, an autoencoder, or an `MLP`.
        x: Array of rows, hundreds at least, for the counts to mean something.
        level: Number of the only level to draw, from 0; by default all.
        bins: Number of bars of a histogram.

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
