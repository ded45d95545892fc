"""Compares imputers on cells that were removed at random from two tables.

    python benchmarks/imputation.py            # some 20 minutes on one core
    python benchmarks/imputation.py --quick    # tiny, to see that it runs

A fifth of the rows of each table tests, the same one every time. Of all rows a fifth of the cells
is removed, by `RandomState(0)` to `RandomState(4)`; imputers learn from the other rows with their
gaps, and fill those of the test rows. The tables are `california.csv`, without its target, and
`credit.csv`, in the folder `tables` of KERAS_SDA_DATA.

Errors are those of the removed cells: of numbers the root mean square in standard deviations, of
squashed values (`datasets.Columns`), as a few gross ones would decide it otherwise, and of the
values themselves; of categories the share that is right. All methods get the same inputs: squashed
and standardised numbers, one-hot categories, of which the largest counts; what they fill in is
kept within the bounds that ours keeps. Rivals called raw get standardised numbers that are not
squashed. A run that was ended resumes: what its file holds already, of the same hardware, is kept.
"""

import os
import sys
import time
from pathlib import Path

import _measuring
import numpy as np

NAME = "imputation"
OURS = "SDAImputer"
TABLES = {"california": "MedHouseVal", "credit": "Status"}
RIVALS = ("mean and mode", "KNNImputer", "IterativeImputer")
RAW = {f"{name}, raw": name for name in RIVALS[1:]}
FIGURES = ("rmse_squashed", "rmse", "accuracy", "seconds")


def main():
    parser = _measuring.parser(__doc__)
    parser.set_defaults(output=_measuring.HERE / "results")
    options = parser.parse_args()
    folder = Path(os.environ.get("KERAS_SDA_DATA", "")) / "tables"
    if not all((folder / f"{name}.csv").exists() for name in TABLES):
        sys.exit(f"Skipped: there are no {', '.join(TABLES)} in {folder}; set KERAS_SDA_DATA.")
    report = _measuring.new_report(options)
    report["runs"] = _measuring.earlier(options, report, NAME).get("runs", {})
    for seed in range(options.repeats):
        for name, target in TABLES.items():
            for method in (OURS, *RIVALS, *RAW):
                done = report["runs"].setdefault(name, {}).setdefault(method, [])
                if len(done) > seed or (name == "credit" and method in RAW):
                    continue
                parts = split(folder / f"{name}.csv", target, seed, options.quick)
                done.append(measure(method, *parts, seed, options.quick))
                _measuring.save(report, options.output, NAME)
                print(name, seed, method, done[-1], flush=True)
    report["summary"] = summary(report)
    _measuring.save(report, options.output, NAME, plot(report))
    show(report)


def split(path, target, seed, quick):
    """Returns training rows with gaps, test rows with gaps, and test rows without."""
    import pandas as pd

    frame = pd.read_csv(path).drop(columns=target)
    order = np.random.RandomState(12345).permutation(len(frame))
    count = len(frame) // 5
    if quick:
        order, count = order[:300], 60
    whole = frame.iloc[order].reset_index(drop=True)
    gapped = whole.mask(np.random.RandomState(seed).rand(*whole.shape) < 0.2)
    return gapped[count:], gapped[:count], whole[:count]


def measure(method, train, gapped, whole, seed, quick):
    """Returns errors on the removed cells, and the seconds to fit and fill."""
    from keras_sda.datasets import Columns
    from keras_sda.sklearn import SDAImputer

    start = time.perf_counter()
    if method == OURS:
        options = {"epochs": 2} if quick else {}
        filled = SDAImputer(random_state=seed, **options).fit(train).transform(gapped)
    else:
        columns = Columns.fit(train, scale="standard" if method in RAW else "squash")
        filled = fill(RAW.get(method, method), columns, train, gapped, seed)
    seconds = time.perf_counter() - start
    return errors(Columns.fit(train), train, gapped, filled, whole) | {"seconds": seconds}


def fill(method, columns, train, gapped, seed):
    """Returns test rows that an imputer of scikit-learn has filled."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    from keras_sda.datasets.filling import fills_of, with_values
    from keras_sda.sklearn.cells import Cells

    imputer = {
        "mean and mode": SimpleImputer(),
        "KNNImputer": KNNImputer(),
        "IterativeImputer": IterativeImputer(random_state=seed),
    }[method]
    cells = Cells.fit(columns, train)
    rows, new = (with_nan(cells, frame) for frame in (train, gapped))
    varies = np.nanstd(rows, axis=0) > 0  # no category is left without a row by chance
    found = np.zeros(new.shape)
    found[:, varies] = imputer.fit(rows[:, varies]).transform(new[:, varies])
    rebuilt = np.zeros((len(found), len(columns.input_names)))
    rebuilt[:, cells.inputs] = found * cells.deviation + cells.mean
    return with_values(gapped, fills_of(columns, gapped, rebuilt))


def with_nan(cells, frame):
    """Returns the inputs of rows, NaN where a cell is missing."""
    widths = [width for _, width in cells.kinds]
    rows = cells.rows(frame).astype("float64")
    inputs, there = rows[:, : len(cells.inputs)], rows[:, len(cells.inputs) :]
    return np.where(np.repeat(there, widths, axis=1) == 1, inputs, np.nan)


def errors(columns, train, gapped, filled, whole):
    """Returns the errors of filled cells, of numbers and of categories."""
    squared, raw, right = [], [], []
    for column in columns.used:
        was, known, now = (frame[column.name] for frame in (gapped, whole, filled))
        removed = (was.isna() & known.notna()).to_numpy()
        if column.number is None:
            right.append((now == known)[removed].to_numpy(float))
            continue
        known, now, seen = (
            values.to_numpy("float64") for values in (known, now, train[column.name])
        )
        raw.append(((now - known)[removed] / np.nanstd(seen)) ** 2)
        squash = column.number
        deviation = np.std(squash(seen[~np.isnan(seen)]))
        squared.append(((squash(now) - squash(known))[removed] / deviation) ** 2)
    return {
        "rmse_squashed": float(np.sqrt(np.concatenate(squared).mean())),
        "rmse": float(np.sqrt(np.concatenate(raw).mean())),
        "accuracy": float(np.concatenate(right).mean()) if right else None,
    }


def summary(report):
    """Returns for each table and method mean and standard deviation of each figure."""
    found = {}
    for name, methods in report["runs"].items():
        for method, runs in methods.items():
            if runs:
                values = {key: [run[key] for run in runs] for key in FIGURES}
                found.setdefault(name, {})[method] = {
                    key: None if each[0] is None else (float(np.mean(each)), float(np.std(each)))
                    for key, each in values.items()
                }
    return found


def lines(report):
    """Returns the heads and the rows of the table."""
    heads = ["table", "imputer", "RMSE, squashed", "RMSE", "categories right, %", "seconds"]
    rows = []
    for name, methods in summary(report).items():
        for method, figure in methods.items():
            squashed, rmse, accuracy, seconds = (figure[key] for key in FIGURES)
            rows.append(
                [
                    *(name, method, f"{squashed[0]:.3f} ± {squashed[1]:.3f}"),
                    f"{rmse[0]:.3f} ± {rmse[1]:.3f}",
                    ""
                    if accuracy is None
                    else f"{100 * accuracy[0]:.1f} ± {100 * accuracy[1]:.1f}",
                    f"{seconds[0]:.1f}",
                ]
            )
    return heads, rows


def show(report):
    print(_measuring.table(*lines(report)))


def plot(report):
    """Returns a picture of the errors of numbers, a bar for each imputer."""
    from matplotlib.figure import Figure

    found = summary(report)
    figure = Figure(figsize=(4 * len(found), 4), layout="constrained")
    for axes, (name, methods) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        names = [method for method in methods if method not in RAW]
        values = [methods[method]["rmse_squashed"] for method in names]
        axes.barh(names, [mean for mean, _ in values], xerr=[spread for _, spread in values])
        axes.invert_yaxis()
        axes.set(title=name, xlabel="RMSE of removed numbers, squashed, in deviations")
    return figure


if __name__ == "__main__":
    main()
