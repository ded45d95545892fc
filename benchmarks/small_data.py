"""Measures what a few hundred rows take: a fit, a grid search, a first run, the output of one row.

    python benchmarks/small_data.py             # about eight minutes
    python benchmarks/small_data.py --quick     # tiny, to see that it runs

A fit: `SDAClassifier()` on 200 rows of 20 features, the first in a process and a later one, against
`MLPClassifier` of as many units and epochs, a plain Keras model likewise, and PyOD's `AutoEncoder`
at its defaults, which learns without labels. A grid search: six noise levels by five folds, against
six penalties of `MLPClassifier`, which ends after 60 epochs; neither fits the best one once more. A
first run: `keras-sda train` on the digits, from Enter to the prompt. One row: `predict`, against
Keras' own.

Each has a process of its own, and takes its turn in every repeat. What is not installed here is run
by the Python that KERAS_SDA_OTHER_PYTHON names, such as one with JAX and PyOD but no TensorFlow.
"""

import functools
import os
import statistics
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import _measuring

NAME = "small_data"
OURS, JAX = "ours, TensorFlow", "ours, JAX"
MLP, KERAS, PYOD = "scikit-learn, MLPClassifier", "plain Keras", "PyOD, AutoEncoder"
TASKS = {
    "first fit": ("s", "First fit, 200 x 20"),
    "later fit": ("s", "Later fit, 200 x 20"),
    "grid search": ("s", "Grid search, 30 fits"),
    "first run": ("s", "keras-sda train, digits"),
    "one row": ("ms", "predict, one row"),
}
EPOCHS = 130  # of `SDAClassifier()`: 30 without labels, 100 with them


def main():
    options = _measuring.parser(__doc__).parse_args()
    report = _measuring.new_report(options)
    report |= {"rows": 200, "features": 20, "tasks": {task: {} for task in TASKS}}
    found = {task: {} for task in TASKS}
    able = contestants()
    for repeat in range(options.repeats):
        for name, (python, environment) in able.items():
            values = measured(name, python, environment, repeat, options.quick)
            for task, value in values.items():
                found[task].setdefault(name, []).append(value)
        print(f"repeat {repeat + 1} measured", flush=True)
    for task, by_name in found.items():
        report["tasks"][task] = {
            name: {
                **_measuring.summary(values),
                "ratio": _measuring.ratios(by_name.get(OURS, values), values),
            }
            for name, values in by_name.items()
        }
    _measuring.save(report, options.output, NAME, plot(report))
    print_tables(report)


def contestants():
    """Returns, for each contestant that can run, the Python that runs it, and its environment."""
    needed = {
        OURS: ("tensorflow", "tensorflow"),
        JAX: ("jax", "jax"),
        KERAS: ("tensorflow", "tensorflow"),
        MLP: ("sklearn", ""),
        PYOD: ("pyod", ""),
    }
    found = {}
    for name, (package, backend) in needed.items():
        python = _measuring.python_with(package)
        if python:
            found[name] = python, {"KERAS_BACKEND": backend} if backend else {}
    return found


def measured(name, python, environment, seed, quick):
    """Returns seconds, or milliseconds, of each task of a contestant, in new processes."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    with _measuring.Worker(__file__, "--serve", python=python, **environment) as worker:
        values = worker.call("measure", name=name, seed=seed, quick=quick)
    if name in (OURS, JAX):
        values["first run"] = first_run(python, environment, seed, quick)
    return values


def first_run(python, environment, seed, quick):
    """Returns the seconds of `keras-sda train` on the digits."""
    size = ["--units", "8", "--pretrain-epochs", "1", "--epochs", "1"] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", "keras_sda_cli", "train", *size, "--seed", str(seed), "--quiet"]
        start = time.perf_counter()
        subprocess.run(  # noqa: S603  (this repository's own program)
            [*command, "--output", str(Path(folder) / "run")],
            env={**os.environ, **environment, "XDG_CACHE_HOME": folder},  # nothing kept from before
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - start


def measure(name, seed, quick):
    """Returns the figures of a contestant, measured in this process."""
    from sklearn.datasets import make_classification
    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)
    x, y = make_classification(200, 20, random_state=0)
    make = MAKERS[name](quick)
    values = {"first fit": seconds(lambda: make(seed).fit(x, y))}
    later = [make(seed + number) for number in (1, 2, 3)]
    values["later fit"] = statistics.median(
        seconds(functools.partial(model.fit, x, y)) for model in later
    )
    if name in (OURS, JAX, MLP):
        values["grid search"] = grid_search(name, make, x, y, quick)
    predict = one_row(name, make(seed).fit(x, y), x)
    predict()
    calls = 3 if quick else 50
    values["one row"] = 1000 * statistics.median(seconds(predict) for _ in range(calls))
    return values


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def grid_search(name, make, x, y, quick):
    """Returns the seconds of 30 fits, of which the first may be the first of its kind."""
    from sklearn.model_selection import GridSearchCV

    values = [0.1, 0.3] if quick else [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    parameter = "alpha" if name == MLP else "noise_level"
    estimator = make(0)
    if name == MLP:
        estimator.set_params(max_iter=60)
    search = GridSearchCV(estimator, {parameter: values}, cv=2 if quick else 5, refit=False)
    return seconds(lambda: search.fit(x, y))


def one_row(name, fitted, x):
    if name in (OURS, JAX):
        row = fitted.scaling_(x[:1])
        return lambda: fitted.model_.predict(row, verbose=0)
    if name == KERAS:
        return lambda: fitted.predict(x[:1], verbose=0)
    return lambda: fitted.predict(x[:1])


def ours(quick):
    from keras_sda.sklearn import SDAClassifier

    epochs = {"pretrain_epochs": 1, "epochs": 1} if quick else {}
    return lambda seed: SDAClassifier(random_state=seed, **epochs)


def mlp(quick):
    from sklearn.neural_network import MLPClassifier

    return lambda seed: MLPClassifier(
        (64,),
        max_iter=1 if quick else EPOCHS,
        batch_size=32,
        tol=0,
        n_iter_no_change=EPOCHS,
        random_state=seed,
    )


def plain_keras(quick):
    import keras

    class Fitted:
        """Trains a new model, as an estimator does."""

        def __init__(self, seed):
            self.seed = seed

        def fit(self, x, y):
            keras.utils.set_random_seed(self.seed)
            layers = [
                keras.Input((x.shape[1],)),
                keras.layers.Dense(64, "sigmoid"),
                keras.layers.Dense(2, "softmax"),
            ]
            model = keras.Sequential(layers)
            model.compile("adam", "sparse_categorical_crossentropy")
            model.fit(x, y, batch_size=32, epochs=1 if quick else EPOCHS, verbose=0)
            return model

    return Fitted


def pyod(quick):
    from pyod.models.auto_encoder import AutoEncoder

    class Fitted(AutoEncoder):
        """Takes labels, and leaves them."""

        def fit(self, x, y=None):
            return super().fit(x)

    return lambda seed: Fitted(random_state=seed, verbose=0, epoch_num=1 if quick else 10)


MAKERS = {OURS: ours, JAX: ours, MLP: mlp, KERAS: plain_keras, PYOD: pyod}


def print_tables(report):
    names = list(report["tasks"]["first fit"])
    rows = []
    for task, (unit, title) in TASKS.items():
        by_name = report["tasks"][task]
        texts = [
            f"{_measuring.spread(by_name[name], 3 if unit == 's' else 2)} {unit}"
            if name in by_name
            else ""
            for name in names
        ]
        rows.append([title, *texts])
    print("\nMedian (range of the repeats)\n")
    print(_measuring.table(["", *names], rows))


def plot(report):
    """Returns a picture with a panel for each task, a bar for each contestant."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(len(TASKS), 1)
    for axis, (task, (unit, title)) in zip(axes, TASKS.items(), strict=True):
        by_name = report["tasks"][task]
        names = sorted(by_name, key=lambda name: -by_name[name]["median"])
        medians = [by_name[name]["median"] for name in names]
        colors = ["tab:blue" if name.startswith("ours") else "tab:gray" for name in names]
        bars = axis.barh(names, medians, color=colors)
        axis.bar_label(bars, [f"{value:,.3g} {unit}" for value in medians], padding=4)
        axis.set_title(title, loc="left")
        axis.margins(x=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    _measuring.main_or_serve(main, measure=measure)
