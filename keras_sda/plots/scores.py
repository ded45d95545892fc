"""How strange rows are: the distribution of outlier scores, and where the threshold lies in it."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from keras_sda._validation import as_numbers
from keras_sda.plots.accepted import check_arguments

_NORMAL, _OUTLIER = "#0072B2", "#D55E00"
# Beside a higher bar, one of a single row is seen on a logarithmic scale only.
_MOST_IN_LINE = 50


def plot_scores(scores, threshold=None, labels=None, bins=40, title="Scores"):
    """Draws a histogram of the scores of rows, with the threshold above which one is flagged.

    Args:
        scores: Array of shape `(rows,)`: the higher, the stranger, such as `decision_scores_` of
            `SDAOutlierDetector`, or minus its `score_samples`. If all are above 0, their axis is
            logarithmic, as a few may be many times the others.
        threshold: Where to draw a line, or `None` for none.
        labels: For each row 1 for an outlier, 0 for another, where that is known: both kinds are
            then drawn in a colour of their own. `None` if not.
        bins: Number of bars.
        title: What stands above; what share is flagged follows.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no score, one is not finite, or labels are not 0 and 1.

    Example:

    >>> from keras_sda import plots
    >>> plots.plot_scores([1.0, 2.0, 9.0], threshold=5.0).axes[0].get_title()
    'Scores: 33.33 % flagged, 1 of 3 rows'
    """
    owner = "plot_scores()"
    check_arguments(owner, threshold=threshold, bins=bins, title=title)
    scores = as_numbers(scores, owner, "scores").astype("float64").ravel()
    kinds = np.zeros(len(scores), int) if labels is None else np.asarray(labels).ravel()
    if len(kinds) != len(scores) or not np.isin(kinds, (0, 1)).all():
        raise ValueError(
            f"Argument `labels` of {owner} must be 0 or 1 for each score, 1 for an outlier. "
            f"Received: {len(kinds)} labels for {len(scores)} scores."
        )
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    ends = [scores.min(), scores.max(), *([] if threshold is None else [threshold])]
    is_positive = min(ends) > 0
    ways = np.geomspace if is_positive else np.linspace
    edges = ways(min(ends), max(ends) if max(ends) > min(ends) else min(ends) + 1, bins + 1)
    edges[0], edges[-1] = min(ends), max(edges[-1], max(ends))  # rounding must lose no row
    edges = edges.tolist()
    parts = [scores[kinds == 0], scores[kinds == 1]]
    if labels is None:
        axes.hist(scores, edges, color=_NORMAL)
    else:
        names = [f"{len(p):,} {n}" for p, n in zip(parts, ("other rows", "outliers"), strict=True)]
        axes.hist(parts, edges, color=[_NORMAL, _OUTLIER], label=names, stacked=True)
    if is_positive:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    if np.histogram(scores, edges)[0].max() > _MOST_IN_LINE:
        axes.set_yscale("symlog", linthresh=1)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(xlabel="score, the higher the stranger", ylabel="rows", title=title)
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:.4g}")
        count = int((scores > threshold).sum())
        share = 100 * count / len(scores)
        axes.set_title(f"{title}: {share:.2f} % flagged, {count:,} of {len(scores):,} rows")
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return figure
