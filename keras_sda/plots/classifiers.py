"""Pictures of a classifier: its confusion matrix and its decision boundaries."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keras_sda._validation import as_numbers, check_same_length
from keras_sda.plots.accepted import check_arguments
from keras_sda.plots.images import class_colour, show_as_written

# The colours of wrong and of right predictions.
_WRONG, _RIGHT = np.array(to_rgb("#D55E00")), np.array(to_rgb("#0072B2"))


def plot_confusion(labels, predicted, classes=None, title="Confusion"):
    """Draws the confusion matrix, with the error rate in its title.

    Args:
        labels: Class number, from 0, of each row.
        predicted: Predicted class number of each row.
        classes: Names of the classes; by default their numbers.
        title: Title of the picture, to which the error rate is added.

    Returns:
        The figure: true classes from top to bottom, predicted classes from left to right. Right
        predictions are blue and wrong ones orange, the darker the larger their share of the class.

    Raises:
        ValueError: If there is not one label for each prediction.

    Example:

    >>> plot_confusion([0, 0, 1, 1], [0, 1, 1, 1]).axes[0].get_title()
    'Confusion: 25.00 % wrong, 1 of 4 rows'
    """
    check_arguments("plot_confusion()", classes=classes, title=title)
    labels = as_numbers(labels, "plot_confusion()", "labels")
    predicted = as_numbers(predicted, "plot_confusion()", "predicted")
    check_same_length(labels, predicted, "plot_confusion()")
    for name, values in (("labels", labels), ("predicted", predicted)):
        if values.dtype.kind not in "iu" or values.ndim != 1 or values.min() < 0:
            raise ValueError(
                f"Argument `{name}` of plot_confusion() must be class numbers from 0, one for each "
                f"row. Received an array of {values.dtype} of shape {values.shape}."
            )
    size = max(int(labels.max()), int(predicted.max())) + 1
    names = [str(number) for number in range(size)]
    if classes is not None and len(classes) >= size:
        size, names = len(classes), [str(name) for name in classes]
    counts = np.zeros((size, size), int)
    np.add.at(counts, (labels, predicted), 1)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = max(4.5, min(10, 0.55 * size + 1.5))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(_tint(shares))
    for true in range(size):
        for guess in range(size):
            if counts[true, guess]:
                is_dark = shares[true, guess] > (0.5 if true == guess else 0.35)
                colour = "white" if is_dark else "black"
                text = str(counts[true, guess])
                axes.text(guess, true, text, ha="center", va="center", color=colour, fontsize=9)
    turned = 90 if max(map(len, names)) > 3 else 0
    axes.set_xticks(range(size), names, rotation=turned)
    axes.set_yticks(range(size), names)
    show_as_written([*axes.get_xticklabels(), *axes.get_yticklabels()])
    axes.set_xticks(np.arange(1, size) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, size) - 0.5, minor=True)
    axes.grid(which="minor", color="0.85", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    wrong = len(labels) - int(np.trace(counts))
    axes.set(
        xlabel="predicted class",
        ylabel="class",
        title=f"{title}: {100 * wrong / len(labels):.2f} % wrong, {wrong} of {len(labels)} rows",
    )
    axes.title.set_wrap(True)  # few classes of long names leave it little room
    return figure


def _tint(shares):
    """Returns a colour for each share; the square root makes single errors visible."""
    strength = np.sqrt(shares)[..., None]
    hue = np.where(np.eye(len(shares), dtype=bool)[..., None], _RIGHT, _WRONG)
    return 1 - strength * (1 - hue)


def plot_decision_surface(model, x, y=None, classes=None, points=150, feature_names=None):
    """Draws the decision boundaries of a classifier of two features, and the rows.

    The background has the colours of the classes, mixed by their predicted probabilities.

    Args:
        model: A model whose `predict` gives class probabilities, or one probability of class 1, for
            rows of two features.
        x: Rows of shape `(rows, 2)`, which also set the limits of the picture.
        y: Class number of each row, -1 for a row without a label, drawn in grey; `None` draws all
            rows in black.
        classes: Names of the classes; by default their numbers.
        points: Number of points along each axis at which the model is evaluated.
        feature_names: Names of the two features.

    Returns:
        The figure.

    Raises:
        ValueError: If the rows do not have two features.

    Example:

    ```python
    plots.plot_decision_surface(mlp, x, y).savefig("surface.png")
    ```
    """
    owner = "plot_decision_surface()"
    check_arguments(owner, points=points, classes=classes, feature_names=feature_names)
    x = as_numbers(x, owner, "x")
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(
            f"{owner} expects rows of two features. Received an array of shape "
            f"{x.shape}: for more features, draw the codes of the model."
        )
    if y is not None:
        y = as_numbers(y, owner, "y").ravel().astype(int)
        check_same_length(x, y, owner)
    low, high = x.min(axis=0), x.max(axis=0)
    margin = np.where(high > low, 0.08 * (high - low), 1.0)
    low, high = low - margin, high + margin
    first, second = (np.linspace(low[axis], high[axis], points) for axis in range(2))
    grid = np.stack(np.meshgrid(first, second), axis=-1)
    probabilities = model.predict(grid.reshape(-1, 2).astype(x.dtype), batch_size=4096, verbose=0)
    if probabilities.shape[1] == 1:
        probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)
    probabilities = probabilities.reshape(points, points, -1)
    count = probabilities.shape[-1]
    names = [str(number) for number in range(count)] if classes is None else list(classes)
    # Pale, so that the rows stand out.
    colours = 1 - 0.55 * (1 - np.array([to_rgb(class_colour(number)) for number in range(count)]))
    background = np.clip(probabilities @ colours, 0, 1)
    # The model was evaluated at the centre of each pixel, not at its corner.
    half = (high - low) / (points - 1) / 2
    extent = (low[0] - half[0], high[0] + half[0], low[1] - half[1], high[1] + half[1])
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(background, extent=extent, origin="lower", aspect="auto")
    for number in range(count if count > 2 else 1):
        others = np.delete(probabilities, number, axis=-1).max(axis=-1)
        lead = probabilities[..., number] - others
        if lead.min() < 0 < lead.max():
            axes.contour(first, second, lead, levels=[0.0], colors="0.25", linewidths=1)
    labelled = np.zeros(len(x), dtype=bool) if y is None else y != -1
    if y is None:
        axes.scatter(x[:, 0], x[:, 1], s=12, color="black")
    elif not labelled.all():
        axes.scatter(x[~labelled, 0], x[~labelled, 1], s=12, color="0.4")
    if labelled.any():
        _draw_labelled(axes, x[labelled], y[labelled], names)
    axis_names = feature_names or ("feature 0", "feature 1")
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1], title="Class probabilities")
    show_as_written([axes.xaxis.label, axes.yaxis.label])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6))
    if labelled.any():
        wrong, count = _count_wrong(model, x[labelled], y[labelled]), labelled.sum()
        axes.set_title(f"Class probabilities; {wrong} of {count} rows on the wrong side")
    return figure


def _draw_labelled(axes, x, y, names):
    """Draws rows with a mark and a colour for each class, and a legend."""
    markers = "os^DvP*X<>"
    for number in np.unique(y):
        of_class = x[y == number]
        axes.scatter(
            of_class[:, 0],
            of_class[:, 1],
            s=22,
            marker=markers[number % len(markers)],
            color=class_colour(number),
            edgecolors="white",
            linewidths=0.6,
            label=f"class {names[number]}",
        )
    show_as_written(axes.legend(loc="best", framealpha=0.9).get_texts())


def _count_wrong(model, x, y):
    outputs = model.predict(x, batch_size=4096, verbose=0)
    classes = outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(int)
    return int((classes != y).sum())
