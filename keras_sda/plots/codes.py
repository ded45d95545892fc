"""Codes drawn in two or three dimensions, with their labels as coloured text."""

import numpy as np
from matplotlib.figure import Figure

from keras_sda._validation import (
    as_numbers,
    check_choice,
    check_same_length,
    wrong_argument,
)
from keras_sda.plots.accepted import check_arguments
from keras_sda.plots.images import class_colour, show_as_written

METHODS = ("pca", "tsne")

# Longer class names would overlap: points and a legend take their place.
_LONGEST_TEXT = 2


def plot_codes(
    codes,
    labels=None,
    method="pca",
    dimensions=None,
    seed=0,
    classes=None,
    count=1000,
    title="Codes",
):
    """Draws codes in two or three dimensions, each as its label in the colour of its class.

    Codes of as many units as `dimensions` are drawn as they are, others by `project_codes`. Class
    names longer than two characters are put in a legend, with points in the picture.

    Args:
        codes: Array of shape `(rows, units)`; feature maps of shape
            `(rows, height, width, channels)` are flattened.
        labels: Class number, or name, of each row, -1 for a row without a label, which is a grey
            point; `None` draws points.
        method: `"pca"` or `"tsne"`, for codes of more units.
        dimensions: 2 or 3; by default 3 for codes of three units, else 2.
        seed: Seed of the projection and of the choice of rows.
        classes: Name of each class number, if it has one.
        count: Largest number of rows to draw, chosen at random: more could not be told apart.
        title: Title of the picture, to which the kind of projection is added.

    Returns:
        The figure.

    Raises:
        ValueError: If an argument is not valid, such as codes of fewer units than dimensions.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> figure = plot_codes(rng.normal(size=(50, 2)), labels=rng.integers(0, 10, 50))
    >>> figure.axes[0].get_title(), len(figure.axes[0].texts)
    ('Codes', 50)
    """
    owner = "plot_codes()"
    codes = _as_table(codes)
    check_arguments(owner, count=count, seed=seed, classes=classes, title=title)
    if dimensions is None:
        dimensions = 3 if codes.shape[1] == 3 else 2
    if labels is not None:
        labels = _as_labels(labels, classes, owner)
        check_same_length(codes, labels, owner)
    if len(codes) > count:
        chosen = np.sort(np.random.default_rng(seed).choice(len(codes), count, replace=False))
        codes, labels = codes[chosen], None if labels is None else labels[chosen]
    points, projection = _project(codes, method, dimensions, seed)
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.add_subplot(projection="3d" if dimensions == 3 else None)
    if labels is None:
        _draw_points(axes, points, class_colour(0))
    else:
        _draw_labels(axes, points, labels, classes)
    _frame(axes, points, projection)
    axes.set_title(f"{title}, {projection}" if projection else title)
    return figure


def project_codes(codes, method="pca", dimensions=2, seed=0):
    """Projects codes to points of fewer dimensions; codes of as many units stay as they are.

    Args:
        codes: Array of shape `(rows, units)`.
        method: `"pca"`, the directions of the largest variance, or `"tsne"`, which keeps
            neighbours together and says nothing about distances; both by scikit-learn.
        dimensions: 2 or 3.
        seed: Seed of the projection.

    Returns:
        Array of shape `(rows, dimensions)`.

    Raises:
        ValueError: If an argument is not valid.

    Example:

    >>> project_codes(np.random.default_rng(0).normal(size=(20, 8)), dimensions=3).shape
    (20, 3)
    """
    check_arguments("project_codes()", seed=seed)
    return _project(_as_table(codes), method, dimensions, seed)[0]


def _as_labels(labels, classes, owner):
    """Returns labels as an array; class numbers must be among the names, if there are names."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        expected = "be one class number, or name, for each row"
        raise wrong_argument("labels", owner, expected, labels)
    if classes is not None and labels.dtype.kind in "iu" and labels.max(initial=-1) >= len(classes):
        raise ValueError(
            f"Argument `classes` of {owner} must name every class. Received {len(classes)} names, "
            f"and labels up to {labels.max()}."
        )
    return labels


def _as_table(codes):
    codes = as_numbers(codes, "plot_codes()", "codes").astype("float64")
    if codes.ndim < 2:
        raise ValueError(
            "Argument `codes` must be an array of shape (rows, units), of which codes are drawn. "
            f"Received shape {codes.shape}."
        )
    return codes.reshape(len(codes), -1)


def _project(codes, method, dimensions, seed):
    """Returns points and, in words, how they were projected; "" if they are the codes."""
    check_choice("method", method, METHODS, "plot_codes()")
    check_choice("dimensions", dimensions, (2, 3), "plot_codes()")
    rows, units = codes.shape
    if units == dimensions:
        return codes, ""
    if units < dimensions or rows <= dimensions:
        raise ValueError(
            f"Codes need at least {dimensions} units, and more rows than that, to be drawn in "
            f"{dimensions} dimensions. Received {rows} rows of {units} units."
        )
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (rows - 1) / 3)
        projection = TSNE(dimensions, perplexity=perplexity, init="pca", random_state=seed)
        return projection.fit_transform(codes), f"t-SNE of {units} units"
    from sklearn.decomposition import PCA

    projection = PCA(dimensions, random_state=seed)
    points = projection.fit_transform(codes)
    kept = 100 * float(np.nan_to_num(projection.explained_variance_ratio_).sum())
    return points, f"PCA of {units} units ({kept:.0f} % of the variance)"


def _draw_labels(axes, points, labels, classes):
    if labels.dtype.kind in "iu":
        unlabelled = labels == -1
        if unlabelled.any():
            _draw_points(axes, points[unlabelled], "0.6")
        points, labels = points[~unlabelled], labels[~unlabelled]
    values = np.unique(labels)
    numbers = {value: number for number, value in enumerate(values.tolist())}
    if labels.dtype.kind in "iu":  # the colour of a class is that of its number
        numbers = {value: value for value in values.tolist()}
    texts = {value: str(value if classes is None else classes[value]) for value in numbers}
    if max(map(len, texts.values()), default=0) <= _LONGEST_TEXT:
        for point, label in zip(points, labels.tolist(), strict=True):
            axes.text(
                *point,
                texts[label],
                color=class_colour(numbers[label]),
                fontsize=9,
                ha="center",
                va="center",
                clip_on=True,
                parse_math=False,
            )
        return
    for value, number in numbers.items():
        of_class = points[labels == value]
        _draw_points(axes, of_class, class_colour(number), texts[value])
    show_as_written(axes.legend(loc="best").get_texts())


def _draw_points(axes, points, colour, label=None):
    axes.scatter(*points.T, s=14, color=colour, label=label, alpha=0.7)


def _frame(axes, points, projection):
    """Sets the limits, which texts do not, and labels the axes."""
    kind = "component" if projection.startswith("PCA") else "unit"
    for number, name in enumerate("xyz"[: points.shape[1]]):
        low, high = points[:, number].min(), points[:, number].max()
        margin = 0.04 * (high - low) or 1.0
        axes.set(**{f"{name}lim": (low - margin, high + margin)})
        if projection.startswith("t-SNE"):  # its distances mean nothing
            axes.set(**{f"{name}ticks": []})
        else:
            axes.set(**{f"{name}label": f"{kind} {number + (kind == 'component')}"})
    if points.shape[1] == 3:
        axes.set_box_aspect(None, zoom=0.9)  # otherwise the label of the third axis is cut off
    axes.set_axisbelow(True)
    axes.grid(alpha=0.25)
