"""Errors over the number of labels."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from keras_sda._validation import wrong_argument
from keras_sda.plots.accepted import check_arguments

_MARKERS = "osD^vP*"


def plot_label_curves(panels, ylabel="error in %", columns=1):
    """Draws the error of several methods over the number of labels, in panels beside each other.

    Each panel has its own methods in colour, and those of the other panels in grey behind them.

    Args:
        panels: Methods by title of the panel: `{title: {name: {count: (mean, low, high)}}}`, where
            low and high bound an interval, or are `None`.
        ylabel: What the error is.
        columns: Columns of the legend below each panel.

    Returns:
        The figure.
    """
    owner = "plot_label_curves()"
    check_arguments(owner, panels=panels, ylabel=ylabel, columns=columns)
    for title, methods in panels.items():
        check_arguments(owner, panels=methods, title=title)
        _check_curves(methods, owner)
    figure = Figure(figsize=(5.2 * len(panels), 5.6), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (title, methods) in zip(all_axes, panels.items(), strict=True):
        for other, behind in panels.items():
            for curve in behind.values() if other != title else ():
                axes.plot(list(curve), [mean for mean, *_ in curve.values()], color="0.8", lw=1)
        for number, (name, curve) in enumerate(methods.items()):
            _draw_curve(axes, name, curve, number)
        axes.set(title=title, xlabel="labels", xscale="log")
        axes.grid(alpha=0.3)
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.14),
            ncols=columns,
            frameon=False,
            fontsize=9,
        )
    all_axes[0].set_ylabel(ylabel)
    every = (curve for methods in panels.values() for curve in methods.values())
    counts = sorted({count for curve in every for count in curve})
    all_axes[0].xaxis.set_major_locator(FixedLocator(_apart(counts)))
    all_axes[0].xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    all_axes[0].xaxis.set_minor_locator(NullLocator())
    all_axes[0].xaxis.set_minor_formatter(NullFormatter())
    low, high = all_axes[0].get_ylim()
    if low < high / 2:
        all_axes[0].set_ylim(bottom=0)
    return figure


def _check_curves(methods, owner):
    """Refuses curves that do not give three numbers, of which two may be `None`, to each count."""
    for name, curve in methods.items():
        is_curve = isinstance(curve, Mapping) and all(
            isinstance(count, (int, float))
            and count > 0
            and isinstance(values, Sequence)
            and len(values) == 3
            and all(value is None or isinstance(value, (int, float)) for value in values)
            and values[0] is not None
            for count, values in curve.items()
        )
        if not is_curve:
            expected = "give each number of labels mean, low and high, {count: (mean, low, high)}"
            raise wrong_argument("panels", owner, expected, {name: curve})


def _draw_curve(axes, name, curve, number):
    counts = list(curve)
    (line,) = axes.plot(
        counts,
        [mean for mean, *_ in curve.values()],
        label=name,
        color=f"C{number}",
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=4,
    )
    bounded = [count for count in counts if curve[count][1] is not None]
    if bounded:
        low, high = ([curve[count][side] for count in bounded] for side in (1, 2))
        axes.fill_between(bounded, low, high, color=line.get_color(), alpha=0.1, linewidth=0)


def _apart(counts):
    """Returns the numbers that can be written below the axis without touching each other."""
    kept: list[float] = []
    for count in counts:
        if not kept or count >= 1.35 * kept[-1]:
            kept.append(count)
    return kept
