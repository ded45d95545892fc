"""Compares networks on tables with logistic or ridge regression and a forest, labels being few.

python benchmarks/tables.py            # some 30 minutes on two cores, five seeds
python benchmarks/tables.py --quick    # tiny, to see that it runs
python benchmarks/tables.py --resume   # keeps what the last run had measured

Tables are those of `$KERAS_SDA_DATA/tables` (titanic, credit, california, pbmc), where it is set,
and three of scikit-learn's own. For each seed a fifth of the rows, drawn at random (of classes in
proportion), tests; 50, 100 and 200 of the others keep their label, and the network sees them all.
The rivals learn from the labelled rows, of the same `Columns`. All are as they come:

- `SDAClassifier` and `SDARegressor` with default options, which pretrain on all training rows and
  choose by cross-validation between a linear model on inputs, codes and random Fourier features of
  both, and fine-tuning;
- logistic or ridge regression, its penalty and whether inputs are standardised by cross-validation;
- a random forest of 300 trees, the rows of a leaf by cross-validation.

Besides, for the first four: the area under the ROC curve by which the reconstruction error tells
test rows from the same with every column shuffled, and that of boosted trees, which learn to tell
apart just these; and how much of the error the largest column and the worst hundredth of the rows
make up. For credit with few bad loans (6 %), balanced accuracy with balanced class weights. And for
titanic the error on all rows whose label is withheld, where 50 of each class keep theirs.

Defaults were chosen on validation rows drawn from the training rows of these tables, apart from the
draws here; no option was chosen by the figures that this prints. Intervals are those of Student's t
for the mean over the seeds.
"""

import os
import time
from pathlib import Path

import _measuring
import numpy as np
import pandas as pd
from few_labels import mean_and_interval
from sklearn import datasets as theirs
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from keras_sda.datasets import Columns
from keras_sda.experiments import run_folder
from keras_sda.sklearn import SDAClassifier, SDARegressor, SDATransformer

NAME = "tables"
COUNTS = (50, 100, 200)
NETWORK, LINEAR, FOREST = "network", "linear model", "random forest"
# File, label column and figure of the tables in a folder.
FILES = {
    "titanic": ("titanic.csv", "survived", "ROC-AUC"),
    "credit": ("credit.csv", "Status", "ROC-AUC"),
    "california": ("california.csv", "MedHouseVal", "R2"),
    "pbmc": ("pbmc.parquet", "cell", "accuracy"),
}
OWN = {
    "wine": (theirs.load_wine, "accuracy"),
    "breast cancer": (theirs.load_breast_cancer, "ROC-AUC"),
    "diabetes": (theirs.load_diabetes, "R2"),
}
RARE = 0.06
PARTS = ("figures", "denoiser", "rare", "withheld")
# Rows, and shuffled copies of each, that the boosted trees learn from.
TRAINING_ROWS, COPIES = 6_000, 5


def main():
    parser = _measuring.parser(__doc__, repeats=5)
    _measuring.resume_option(parser)
    parser.set_defaults(output=_measuring.HERE / "results")
    options = parser.parse_args()
    report = _measuring.new_report(options)
    report["versions"] |= run_folder.versions()
    report |= {"seeds": list(range(options.repeats))} | {part: {} for part in PARTS}
    kept = _measuring.older(options, report, NAME, ())
    report |= {part: kept[part] for part in PARTS if part in kept}
    names = ["wine"] if options.quick else [*(FILES if folder() else ()), *OWN]
    if not folder():
        report["skipped"] = f"{', '.join(FILES)}: KERAS_SDA_DATA has no folder tables"
        print(f"Skipped {report['skipped']}")
    for seed in report["seeds"]:
        for name in names:
            measure(report, name, seed, options.quick)
            _measuring.save(report, options.output, NAME)
    report["summary"] = summary(report)
    _measuring.save(report, options.output, NAME, plot(report["summary"]))
    show(report)


def folder():
    """Returns the folder of the tables, or `None`."""
    root = os.environ.get("KERAS_SDA_DATA")
    path = Path(root) / "tables" if root else None
    return path if path is not None and path.is_dir() else None


def load(name):
    """Returns a table without its labels, the labels, and the name of the figure."""
    if name in OWN:
        reader, figure = OWN[name]
        x, y = reader(return_X_y=True, as_frame=True)
        return x, y.to_numpy(), figure
    file, target, figure = FILES[name]
    path = folder() / file
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    y = frame.pop(target)
    known = y.notna()
    y = y[known].to_numpy()
    return frame[known], y if figure == "R2" else np.unique(y, return_inverse=True)[1], figure


def split(y, share, seed, figure):
    """Returns the numbers of rows of two parts, the second of them a share or a number of rows."""
    classes = None if figure == "R2" else y
    return train_test_split(np.arange(len(y)), test_size=share, stratify=classes, random_state=seed)


def measure(report, name, seed, quick):
    """Adds the figures of one table and seed, where they are not there yet."""
    done = report["figures"].setdefault(name, {})
    if str(seed) in done:
        return
    started = time.perf_counter()
    frame, y, figure = load(name)
    rest, test = split(y, 0.2, seed, figure)
    columns = Columns.fit(frame.iloc[rest])
    x = columns(frame)
    found = {}
    for count in COUNTS[:1] if quick else COUNTS:
        if count > 0.7 * len(rest):
            continue
        few = rest[split(y[rest], count, seed, figure)[1]]
        network = fit_network(columns, frame, y, rest, few, seed, figure)
        scores = {NETWORK: score(network, frame.iloc[test], y[test], figure)}
        for kind in (LINEAR, FOREST):
            rival = fit_rival(kind, x[few], y[few], seed, figure)
            scores[kind] = score(rival, x[test], y[test], figure)
        found[str(count)] = scores | {"head": network.head_}
        shown = ", ".join(f"{kind} {value:.4f}" for kind, value in scores.items())
        print(f"{name}, seed {seed}, {count} labels: {figure} of {shown}", flush=True)
    if name in FILES:
        report["denoiser"].setdefault(name, {})[str(seed)] = denoiser(
            columns, frame.iloc[rest], x[rest], x[test], seed
        )
    if name == "credit":
        report["rare"][str(seed)] = rare(frame, y, seed)
    if name == "titanic":
        report["withheld"][str(seed)] = withheld(frame, y, seed)
    done[str(seed)] = found | {"figure": figure, "seconds": time.perf_counter() - started}


def fit_network(columns, frame, y, rest, few, seed, figure, class_weight=None):
    """Returns our estimator, fitted on all rows but those that test, of which few have a label."""
    is_labelled = np.isin(rest, few)
    if figure == "R2":
        labels = np.where(is_labelled, y[rest], np.nan)
        return SDARegressor(columns=columns, random_state=seed).fit(frame.iloc[rest], labels)
    labels = np.where(is_labelled, y[rest], -1)
    network = SDAClassifier(columns=columns, random_state=seed, class_weight=class_weight)
    return network.fit(frame.iloc[rest], labels)


def fit_rival(kind, x, y, seed, figure, class_weight=None):
    """Returns a rival fitted on labelled rows, with the options that cross-validation chooses."""
    is_regression = figure == "R2"
    if kind == FOREST:
        grid = {"min_samples_leaf": [1, 3, 5, 10]}
        model = RandomForestClassifier(300, class_weight=class_weight, random_state=seed)
        if is_regression:
            model = RandomForestRegressor(300, max_features=0.5, random_state=seed)
    else:
        strengths = {("last__alpha" if is_regression else "last__C"): np.logspace(-3, 3, 13)}
        grid = strengths | {"scaler": [StandardScaler(), "passthrough"]}
        model = _scaled(LogisticRegression(max_iter=1000, class_weight=class_weight))
        if is_regression:
            model = _scaled(Ridge())
    folds = 5
    if not is_regression:
        least = np.unique(y, return_counts=True)[1].min()
        folds = StratifiedKFold(int(np.clip(least, 2, 5)), shuffle=True, random_state=seed)
    scoring = {"R2": "r2", "accuracy": "accuracy", "ROC-AUC": "neg_log_loss"}[figure]
    return GridSearchCV(model, grid, scoring=scoring, cv=folds).fit(x, y)


def _scaled(model):
    return Pipeline([("scaler", StandardScaler()), ("last", model)])


def score(model, rows, y, figure):
    """Returns the figure of a fitted model on test rows."""
    if figure == "R2":
        return float(r2_score(y, model.predict(rows)))
    if figure == "accuracy":
        return float(accuracy_score(y, model.predict(rows)))
    return float(roc_auc_score(y, model.predict_proba(rows)[:, 1]))


def denoiser(columns, frame, train, test, seed):
    """Returns how well the error tells rows from shuffled ones, and what makes up the error."""
    model = SDATransformer(columns=columns, random_state=seed).fit(frame).model_
    shuffled = with_shuffled_columns(columns, test, np.random.default_rng(seed))
    errors = model.reconstruction_error(test), model.reconstruction_error(shuffled)
    loss = model.reconstruction_losses[0]
    by_column = np.asarray(loss.by_column(test, model.autoencoder.preactivation(test)))
    worst = np.sort(errors[0])[::-1][: max(1, len(test) // 100)]
    return {
        "auc": area_of(*errors),
        "trees": area_of(*trees_on(columns, train, (test, shuffled), seed)),
        "error": float(errors[0].sum() / len(test)),
        "marginal": float(sum(loss.marginals)),
        "largest column": float(by_column.mean(axis=0).max() / by_column.mean(axis=0).sum()),
        "worst hundredth": float(worst.sum() / errors[0].sum()),
    }


def area_of(rows, shuffled):
    """Returns the area under the ROC curve by which scores tell rows from shuffled ones."""
    kinds = np.repeat([0, 1], [len(rows), len(shuffled)])
    return float(roc_auc_score(kinds, np.concatenate([rows, shuffled])))


def trees_on(columns, train, tables, seed):
    """Returns what boosted trees say of tables that learn to tell rows from shuffled ones."""
    rng = np.random.default_rng(seed)
    train = train[:TRAINING_ROWS]
    copies = [with_shuffled_columns(columns, train, rng) for _ in range(COPIES)]
    model = HistGradientBoostingClassifier(max_iter=150, random_state=seed)
    model.fit(np.concatenate([*[train] * COPIES, *copies]), np.repeat([0, 1], COPIES * len(train)))
    return [model.predict_proba(table)[:, 1] for table in tables]


def with_shuffled_columns(columns, x, rng):
    """Returns rows of which each column, with all of its inputs, comes from another one."""
    shuffled = x.copy()
    for group in columns.groups:
        inputs = slice(group.start, group.stop)
        shuffled[:, inputs] = x[rng.permutation(len(x)), inputs]
    return shuffled


def rare(frame, y, seed):
    """Returns balanced accuracy and area of network and logistic regression, 6 % being bad."""
    bad, good = np.flatnonzero(y == y.min()), np.flatnonzero(y != y.min())
    if len(bad) > len(good):
        bad, good = good, bad
    rng = np.random.RandomState(seed)
    count = round(RARE / (1 - RARE) * len(good))
    rows = np.sort(np.concatenate([good, rng.permutation(bad)[:count]]))
    frame, y = frame.iloc[rows], y[rows]
    rest, test = split(y, 0.3, seed, "accuracy")
    columns = Columns.fit(frame.iloc[rest])
    x, few = columns(frame), rest
    network = fit_network(columns, frame, y, rest, few, seed, "ROC-AUC", "balanced")
    rival = fit_rival(LINEAR, x[rest], y[rest], seed, "ROC-AUC", "balanced")
    found = {"head": network.head_}
    for kind, model, rows in ((NETWORK, network, frame.iloc[test]), (LINEAR, rival, x[test])):
        found[kind] = {
            "balanced accuracy": float(balanced_accuracy_score(y[test], model.predict(rows))),
            "ROC-AUC": score(model, rows, y[test], "ROC-AUC"),
        }
    return found


def withheld(frame, y, seed):
    """Returns the errors on withheld labels of network and logistic regression: 50 a class kept."""
    rng = np.random.default_rng(seed)
    few = np.concatenate([rng.choice(np.flatnonzero(y == kind), 50, False) for kind in (0, 1)])
    rest = np.setdiff1d(np.arange(len(y)), few)
    columns = Columns.fit(frame)
    x = columns(frame)
    network = fit_network(columns, frame, y, np.arange(len(y)), few, seed, "ROC-AUC")
    rival = fit_rival(LINEAR, x[few], y[few], seed, "ROC-AUC")
    return {
        NETWORK: 1 - score(network, frame.iloc[rest], y[rest], "accuracy"),
        LINEAR: 1 - score(rival, x[rest], y[rest], "accuracy"),
        "head": network.head_,
    }


def summary(report):
    """Returns means, and paired differences of the network from both rivals, over the seeds."""
    found = {}
    for name, by_seed in report["figures"].items():
        counts = [key for key in next(iter(by_seed.values())) if key.isdigit()]
        for count in counts:
            values = {
                kind: np.array([by_seed[seed][count][kind] for seed in by_seed])
                for kind in (NETWORK, LINEAR, FOREST)
            }
            means = {kind: mean_and_interval(each) for kind, each in values.items()}
            gains = {
                f"gain over {kind}": mean_and_interval(values[NETWORK] - values[kind])
                for kind in (LINEAR, FOREST)
            }
            figure = next(iter(by_seed.values()))["figure"]
            found[f"{name}, {count} labels"] = {"figure": figure, **means, **gains}
    return found


def plot(found):
    """Returns a picture of the gains over the linear model, with their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1 + 0.3 * len(found)), layout="constrained")
    axes = figure.subplots()
    for place, each in enumerate(found.values()):
        gain = each[f"gain over {LINEAR}"]
        axes.plot([100 * bound for bound in gain["interval"]], [place, place], color="tab:blue")
        axes.plot([100 * gain["mean"]], [place], "o", color="tab:blue")
    axes.axvline(0, color="tab:gray")
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlabel("gain over logistic or ridge regression, points")
    return figure


def show(report):
    rows = []
    for name, each in report["summary"].items():
        means = [f"{100 * each[kind]['mean']:.1f}" for kind in (NETWORK, LINEAR, FOREST)]
        gains = []
        for kind in (LINEAR, FOREST):
            gain = each[f"gain over {kind}"]
            low, high = (100 * bound for bound in gain["interval"])
            gains.append(f"{100 * gain['mean']:+.1f} ({low:+.1f} to {high:+.1f})")
        rows.append([f"{name}, {each['figure']}", *means, *gains])
    head = ["table", NETWORK, LINEAR, FOREST, f"gain over the {LINEAR}", "gain over the forest"]
    print("\n" + _measuring.table(head, rows))
    for name, by_seed in report["denoiser"].items():
        keys = next(iter(by_seed.values()))
        means = {key: np.mean([each[key] for each in by_seed.values()]) for key in keys}
        print(f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in means.items()))
    for kind in (NETWORK, LINEAR) if report["rare"] else ():
        each = [found[kind] for found in report["rare"].values()]
        means = {key: np.mean([one[key] for one in each]) for key in each[0]}
        print(f"credit, 6 % bad, {kind}: " + ", ".join(f"{k} {v:.3f}" for k, v in means.items()))
    for kind in (NETWORK, LINEAR) if report["withheld"] else ():
        errors = [found[kind] for found in report["withheld"].values()]
        print(f"titanic, 100 labels, error on the others, {kind}: {100 * np.mean(errors):.1f} %")


if __name__ == "__main__":
    main()
