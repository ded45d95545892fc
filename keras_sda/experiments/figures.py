"""What is measured of a trained model, and what it is measured against."""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_sda._validation import check_class_labels
from keras_sda.datasets import Data, Split
from keras_sda.datasets.batches import BATCH_SIZE
from keras_sda.experiments import comparison
from keras_sda.experiments.scores import r2

_PIXEL_NOISE = 0.4


def error_interval(errors: int, count: int) -> tuple[float, float]:
    """Returns the 95 % interval (Wilson's) of an error rate, as two fractions.

    Args:
        errors: Number of wrong predictions.
        count: Number of predictions.

    Example:

    >>> [round(100 * bound, 2) for bound in error_interval(130, 10_000)]
    [1.1, 1.54]
    """
    from scipy.stats import binomtest

    interval = binomtest(errors, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval (Student's t) of a mean, from at least two values.

    Args:
        values: One value for each row.

    Example:

    >>> [round(bound, 3) for bound in mean_interval(np.array([1.0, 2.0, 3.0]))]
    [-0.484, 4.484]
    """
    from scipy.stats import t

    values = np.asarray(values, dtype="float64")
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def error_rate(errors: int, count: int) -> dict[str, Any]:
    """Returns what is reported of a classifier's errors: their rate, its interval, the numbers."""
    interval = error_interval(errors, count)
    return {"error": errors / count, "interval": interval, "errors": errors, "rows": count}


def measure(model: keras.Model, rows: Split) -> dict[str, Any]:
    """Returns how well a model does on rows: one entry of `metrics.json`.

    For a classifier the share of labelled rows put into a wrong class, for an autoencoder the mean
    reconstruction error of all rows, each with its 95 % interval; otherwise the loss on labelled
    rows.

    Args:
        model: The model.
        rows: Rows in the shape and scale that the model takes.

    Raises:
        ValueError: If the rows lack the labels that the model is measured by.
    """
    has_head = getattr(model, "head", None) is not None
    if not has_head and hasattr(model, "reconstruction_error"):
        errors_of_rows = model.reconstruction_error(rows.x)
        figure: dict[str, Any] = {"reconstruction_error": float(errors_of_rows.mean())}
        if len(rows.x) > 1:
            figure["interval"] = mean_interval(errors_of_rows)
        return {**figure, "rows": len(rows.x)}
    labelled = rows.labelled
    if labelled is None:
        raise ValueError(
            "A classifier is evaluated on rows with labels. Received rows without: name the label "
            "column by --target, or add `y` to the file."
        )
    x, y = labelled
    if model.num_classes is None:
        loss = model.evaluate(x, y, batch_size=BATCH_SIZE, return_dict=True, verbose=0)
        return {
            "loss": float(loss["loss"]),
            "rows": len(x),
            **regression_figures(model, x, np.asarray(y)),
        }
    check_class_labels(y, model.num_classes, "evaluate")  # type: ignore[arg-type]
    return error_rate(int((predicted_classes(model, x) != y).sum()), len(x))


def regression_figures(model: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Returns R2 and the mean absolute error where a model predicts one number a row."""
    predicted = model.predict(x, batch_size=BATCH_SIZE, verbose=0)
    if predicted.shape != (len(x), 1) or y.dtype.kind != "f":
        return {}
    targets = y.astype("float64")
    errors = targets - predicted[:, 0]
    explained = {"r2": r2(targets, errors)} if np.ptp(targets) > 0 else {}
    return {**explained, "mae": float(np.abs(errors).mean())}


def predicted_classes(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Returns the number of the most probable class of each row; of one output, 0 or 1."""
    outputs = model.predict(x, batch_size=BATCH_SIZE, verbose=0)
    return outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(int)


def describe(figure: Mapping[str, Any]) -> str:
    """Returns what `measure` has returned, in words."""
    if "flagged" in figure:
        return _describe_flagged(figure)
    if "reconstruction_error" in figure:
        text = f"reconstruction error {figure['reconstruction_error']:.4f} a row"
        if "interval" not in figure:  # of one row, or in a run of an earlier version
            return text
        low, high = figure["interval"]
        return f"{text} (95 % interval {low:.4f} to {high:.4f}; {figure['rows']} rows)"
    if "mae" in figure:
        share = f"R2 {figure['r2']:.3f}, " if "r2" in figure else ""
        return f"{share}mean absolute error {figure['mae']:.5g} ({figure['rows']} rows)"
    if "error" not in figure:
        return f"loss {figure['loss']:.4f}"
    low, high = figure["interval"]
    return (
        f"error {100 * figure['error']:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f}; "
        f"{figure['errors']} of {figure['rows']} rows)"
    )


def _describe_flagged(figure: Mapping[str, Any]) -> str:
    """Returns what `detecting.measure` has returned, in words."""
    low, high = (100 * bound for bound in figure["interval"])
    flagged = (
        f"{100 * figure['flagged']:.2f} % flagged (95 % interval {low:.2f} to {high:.2f}; "
        f"{figure['rows_flagged']} of {figure['rows']} rows)"
    )
    if "roc_auc" not in figure:
        return flagged
    right = f", {100 * figure['precision']:.1f} % of them outliers" if "precision" in figure else ""
    return (
        f"ROC-AUC {figure['roc_auc']:.3f}, average precision {figure['average_precision']:.3f} "
        f"({figure['outliers']} outliers); {flagged}{right}"
    )


def classification_error(model: keras.Model, rows: Split) -> float:
    """Returns the percentage of labelled rows put into a wrong class."""
    x, y = rows.labelled or rows
    return 100 * float(np.mean(predicted_classes(model, x) != y))


def auc_shortfall(model: keras.Model, rows: Split) -> float:
    """Returns by how much 100 times the area under the ROC curve of two classes falls short."""
    from sklearn.metrics import roc_auc_score

    x, y = rows.labelled or rows
    probability = model.predict(x, batch_size=BATCH_SIZE, verbose=0)[:, -1]
    return 100 * (1 - float(roc_auc_score(y, probability)))


def variance_not_explained(model: keras.Model, rows: Split) -> float:
    """Returns 100 times 1 - R2: the mean squared error in % of the variance of the targets."""
    x, y = rows.labelled or rows
    return 100 * (1 - regression_figures(model, x, np.asarray(y))["r2"])


def squared_error(model: keras.Model, rows: Split) -> float:
    """Returns the squared distance between a row and its reconstruction, averaged over rows."""
    return _squared_distance(rows.x, model.reconstruct(rows.x))


def cross_entropy(model: keras.Model, rows: Split) -> float:
    """Returns the cross-entropy of a row and its reconstruction in nats, averaged over rows."""
    return float(model.reconstruction_error(rows.x).astype("float64").mean())


def cross_entropy_per_pixel(model: keras.Model, rows: Split) -> float:
    """Returns the cross-entropy of the reconstruction in nats a pixel."""
    return cross_entropy(model, rows) / rows.x[0].size


def denoising_cross_entropy_per_pixel(model: keras.Model, rows: Split) -> float:
    """Returns the cross-entropy, a pixel, of clean images and what is made of noisy ones.

    The noise is Gaussian of deviation 0.4, cut off at 0 and 1, and the same in each call.
    """
    probability = np.clip(model.reconstruct(noisy(rows.x)).astype("float64"), 1e-7, 1 - 1e-7)
    entropy = rows.x * np.log(probability) + (1 - rows.x) * np.log(1 - probability)
    return -float(entropy.mean())


def noisy(x: np.ndarray) -> np.ndarray:
    """Returns images with Gaussian noise of deviation 0.4, cut off at 0 and 1."""
    noise = np.random.default_rng(0).normal(0, _PIXEL_NOISE, x.shape)
    return np.clip(x + noise, 0, 1).astype(x.dtype)


def bound(model: keras.Model, rows: Split) -> float:
    """Returns the variational bound in nats a row, each code drawn once."""
    result = model.evaluate(rows.x, batch_size=1000, return_dict=True, verbose=0)
    return float(result["loss"])


def half_squared_error_of_all(model: keras.Model, rows: Split) -> float:
    """Returns half the squared error summed over all rows, the noise of the input left on."""
    total = 0.0
    for start in range(0, len(rows.x), 128):
        x = rows.x[start : start + 128]
        rebuilt = keras.ops.convert_to_numpy(model(x, training=True))
        total += 0.5 * float(((x - rebuilt).astype("float64") ** 2).sum())
    return total


FIGURES: dict[str, tuple[Callable[[keras.Model, Split], float], str]] = {
    "classification error": (classification_error, "%"),
    "training error": (classification_error, "%"),
    "ROC-AUC short of 100": (auc_shortfall, "points"),
    "variance not explained": (variance_not_explained, "%"),
    "squared error": (squared_error, "an image"),
    "cross-entropy": (cross_entropy, "nats an image"),
    "cross-entropy per pixel": (cross_entropy_per_pixel, "nats a pixel"),
    "denoising cross-entropy": (denoising_cross_entropy_per_pixel, "nats a pixel"),
    "variational bound": (bound, "nats an image"),
    "half squared error of all": (half_squared_error_of_all, "all rows together"),
}


def compare_with_logistic_regression(model: keras.Model, data: Data) -> dict[str, Any]:
    """Returns the test error in % of the model and of scikit-learn's logistic regression."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    x, y = data.train.labelled or data.train
    with warnings.catch_warnings():
        # On MNIST its 100 steps end before it has converged, at no price on other rows.
        warnings.simplefilter("ignore", ConvergenceWarning)
        linear = LogisticRegression().fit(x.reshape(len(x), -1), y)
    test = _labelled_test(data)
    predicted = linear.predict(test.x.reshape(len(test.x), -1))
    return {
        "name": "logistic regression",
        "unit": "% error",
        "theirs": 100 * float(np.mean(predicted != test.y)),
        "ours": classification_error(model, test),
    }


def compare_with_chance(model: keras.Model, data: Data) -> dict[str, Any]:
    """Returns the error in % of the model and of always guessing the most frequent class."""
    test = _labelled_test(data)
    labels = np.asarray(test.y)
    return {
        "name": "the most frequent class",
        "unit": "% error",
        "theirs": 100 * (1 - float(np.bincount(labels).max()) / len(labels)),
        "ours": classification_error(model, test),
    }


def compare_with_rivals(model: keras.Model, data: Data, figure: str) -> dict[str, Any]:
    """Returns a figure on test rows of the model, a linear model and a forest; less is better.

    Args:
        model: A network that learns labels.
        data: What all three are trained on, and the test rows.
        figure: A figure of `comparison.compare`: `"error"`, or `"ROC-AUC"` or `"R2"`, which are
            told as what is missing to 100 %.
    """
    found = comparison.compare(model, data.train, data.test or data.train)["figures"]
    sign, start = (1, 0.0) if figure == "error" else (-1, 1.0)
    told = {name: 100 * (start + sign * each[figure][0]) for name, each in found.items()}
    ours = told.pop(comparison.NETWORK)
    name = next(iter(told))
    unit = "% error" if figure == "error" else f"{figure} in %, what is missing to 100"
    return {"name": name, "unit": unit, "theirs": told.pop(name), "ours": ours, "others": told}


def _labelled_test(data: Data) -> Split:
    rows = data.test or data.train
    return rows.labelled or rows


def compare_with_pca(model: keras.Model, data: Data, corrupt: Any = None) -> dict[str, Any]:
    """Returns the squared error a test row of the model and of PCA with a code of the same size.

    Args:
        model: An autoencoder.
        data: What both were trained on, and the test rows.
        corrupt: Function that corrupts the test rows before both get them; `None` for clean rows.
    """
    from sklearn.decomposition import PCA

    size = int(np.prod(model.encoder.output_shape[1:]))
    train = data.train.x.reshape(len(data.train.x), -1)
    x = (data.test or data.train).x
    given = x if corrupt is None else corrupt(x)
    size = min(size, *train.shape)
    pca = PCA(size, svd_solver="randomized" if size < 100 else "full", random_state=0).fit(train)
    rebuilt = pca.inverse_transform(pca.transform(given.reshape(len(x), -1)))
    return {
        "name": f"PCA with {size} components",
        "unit": "squared error" if corrupt is None else "squared error from corrupted rows",
        "theirs": _squared_distance(x.reshape(len(x), -1), rebuilt),
        "ours": _squared_distance(x, model.reconstruct(given)),
    }


def compare_denoising_with_pca(model: keras.Model, data: Data) -> dict[str, Any]:
    """Returns what both make of rows that the model's own noise has corrupted."""
    return compare_with_pca(model, data, lambda x: _corrupted(model, x))


def _corrupted(model, x):
    return keras.ops.convert_to_numpy(model.noise(x, training=True)).astype(x.dtype)


def _squared_distance(x: np.ndarray, rebuilt: np.ndarray) -> float:
    difference = (x - rebuilt).reshape(len(x), -1)
    return float(np.einsum("ij,ij->", difference, difference, dtype="float64") / len(x))


BASELINES: dict[str, Callable[[keras.Model, Data], dict[str, Any]]] = {
    "logistic regression": compare_with_logistic_regression,
    "chance": compare_with_chance,
    "pca": compare_with_pca,
    "denoising pca": compare_denoising_with_pca,
    "logistic regression and forest by error": functools.partial(
        compare_with_rivals, figure="error"
    ),
    "logistic regression and forest by ROC-AUC": functools.partial(
        compare_with_rivals, figure="ROC-AUC"
    ),
    "ridge regression and forest by R2": functools.partial(compare_with_rivals, figure="R2"),
}
