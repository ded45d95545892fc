"""Compares detectors of outliers on the 17 data sets of PyOD's benchmark, all at their defaults.

    python benchmarks/outliers.py                 # some 20 minutes on one core
    python benchmarks/outliers.py --part even     # of the alphabetical list, counted from 1
    python benchmarks/outliers.py --quick         # tiny, to see that it runs

PyOD's protocol: 60 % of the rows train, drawn by `RandomState(0)` to `RandomState(4)`, without
labels; all rows are standardised by them; the other 40 % are scored. The sets lie in the folder
`outliers` of KERAS_SDA_DATA, as `.mat` files with `X` and `y`. The sets at odd places of the list
chose the defaults of `SDAOutlierDetector`, with tables from elsewhere.

Rivals are scikit-learn's, and PyOD's if this Python or that of KERAS_SDA_OTHER_PYTHON has it. PCA
is the distance from the mean after whitening. Variants of ours differ from it in one thing. A run
that was interrupted resumes: what its file holds already, of the same hardware, is kept.

Besides: how the area under the ROC curve falls with the share of outliers among the training rows,
over the sets with enough of them; how one value of 1e6 in the training rows changes it; and which
share of new normal rows is flagged where 5 % were asked for, of 50 training rows with 20 features;
and what a hundred thousand and a million rows of 50 features take.
"""

import os
import sys
import time
from pathlib import Path

import _measuring
import numpy as np

NAME = "outliers"
OURS, FOREST, AUTOENCODER = "ours", "isolation forest", "PyOD, AutoEncoder"
BEFORE = {
    **{"noise": "masking", "noise_level": 0.3, "scale": "standard", "trim": 0.0, "epochs": 0},
    **{"pretrain_epochs": 30, "row_error": "squared_error", "calibration": "training"},
}
VARIANTS = {
    "ours, as in 0.1": BEFORE,
    "ours, masking noise": {"noise": "masking", "noise_level": 0.3},
    "ours, all rows trained on": {"trim": 0.0},
    "ours, standard scaling": {"scale": "standard"},
    "ours, squared error": {"row_error": "squared_error"},
    "ours, 30 epochs always": {"epochs": 30},
}
RIVALS = (FOREST, "k-NN", "LOF", "PCA")
PYOD = {
    "PyOD, ECOD": ("ecod", "ECOD"),
    "PyOD, COPOD": ("copod", "COPOD"),
    "PyOD, HBOS": ("hbos", "HBOS"),
    AUTOENCODER: ("auto_encoder", "AutoEncoder"),
    "PyOD, VAE": ("vae", "VAE"),
}
SHARES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
SPLITS = 5


def main():
    parser = _measuring.parser(__doc__, repeats=SPLITS)
    parser.set_defaults(output=_measuring.HERE / "results")
    parser.add_argument("--part", choices=["odd", "even", "all"], default="all")
    options = parser.parse_args()
    folder = Path(os.environ.get("KERAS_SDA_DATA", "")) / "outliers"
    places = {path.stem: place for place, path in enumerate(paths(folder))}
    if not places:
        sys.exit(f"Skipped: there are no .mat files in {folder}; set KERAS_SDA_DATA.")
    report = _measuring.new_report(options) | {"part": options.part}
    kept = _measuring.earlier(options, report, NAME)
    report |= {"defaults": defaults()}
    if kept.get("defaults") != report["defaults"]:  # ours are other methods than they were
        kept = {"sets": {name: without_ours(found) for name, found in kept.get("sets", {}).items()}}
    report |= {"places": places, "sets": kept.get("sets", {})}
    names = [name for name, place in places.items() if options.part in ("all", part_of(place))]
    if options.quick:
        names = ["glass", "lympho"]
    python = _measuring.python_with("pyod")
    with _measuring.Worker(__file__, "--serve", python=python or sys.executable) as pyod:
        for name in names:
            done = report["sets"].setdefault(name, {})
            for method in (OURS, *VARIANTS, *RIVALS, *(PYOD if python else ())):
                if method not in done:
                    call = pyod.call if method in PYOD else here
                    arguments = {"method": method, "splits": options.repeats}
                    done[method] = call("measure", path=str(folder / f"{name}.mat"), **arguments)
            _measuring.save(report, options.output, NAME)
            print(name, *(f"{m} {np.mean(v['auc']):.3f}" for m, v in done.items()), flush=True)
    report["summary"] = {
        part: summary({name: report["sets"][name] for name in of_part})
        for part in ("odd", "even", "all")
        if (of_part := [name for name in names if part in ("all", part_of(places[name]))])
    }
    chosen = ["glass"] if options.quick else names
    count = 2 if options.quick else 100
    for key, measure_it in {
        "contamination": lambda: contaminated(folder, chosen, options.quick),
        "gross_value": lambda: gross_value(),
        "false_alarms": lambda: false_alarms(count),
        "large": lambda: large((1000,) if options.quick else (10**5, 10**6)),
    }.items():
        report[key] = kept[key] if key in kept else measure_it()
        _measuring.save(report, options.output, NAME)
    _measuring.save(report, options.output, NAME, plot(report))
    show(report)


def defaults():
    """Returns the parameters of ours as text, which say whether it is still the same."""
    from keras_sda.sklearn import SDAOutlierDetector

    return {name: repr(value) for name, value in SDAOutlierDetector().get_params().items()}


def without_ours(found):
    return {name: figures for name, figures in found.items() if name not in (OURS, *VARIANTS)}


def paths(folder):
    """Returns the files in alphabetical order."""
    return sorted(folder.glob("*.mat"), key=lambda path: path.stem.lower())


def part_of(place):
    """Returns the part of a place, from 0, of the list: the first is odd."""
    return "even" if place % 2 else "odd"


def here(function, **arguments):
    return {"measure": measure}[function](**arguments)


def measure(path, method, splits):
    """Returns area under the ROC curve, average precision and seconds to fit of each split."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    x, y = load(path)
    found = {"auc": [], "average_precision": [], "seconds": []}
    for split in range(splits):
        train, test, _, y_test = parts(x, y, split)
        score, seconds = fit(method, train, split)
        errors = score(test)
        found["auc"].append(float(roc_auc_score(y_test, errors)))
        found["average_precision"].append(float(average_precision_score(y_test, errors)))
        found["seconds"].append(seconds)
    return found


def load(path):
    from scipy.io import loadmat

    content = loadmat(path)
    return np.asarray(content["X"], "float64"), content["y"].ravel().astype(int)


def parts(x, y, split):
    """Returns rows and labels of a split, standardised by the training rows."""
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    state = np.random.RandomState(split)
    train, test, y_train, y_test = train_test_split(x, y, test_size=0.4, random_state=state)
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test), y_train, y_test


def fit(method, rows, seed):
    """Returns a function that scores rows, high is strange, and the seconds it took to fit."""
    start = time.perf_counter()
    score = pyod(method, rows, seed) if method in PYOD else scikit_learn(method, rows, seed)
    return score, time.perf_counter() - start


def scikit_learn(method, rows, seed):
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

    if method == FOREST:
        forest = IsolationForest(random_state=seed).fit(rows)
        return lambda new: -forest.score_samples(new)
    if method == "k-NN":  # the fifth, as in PyOD
        near = NearestNeighbors(n_neighbors=5).fit(rows)
        return lambda new: near.kneighbors(new)[0][:, -1]
    if method == "LOF":
        factor = LocalOutlierFactor(novelty=True).fit(rows)
        return lambda new: -factor.score_samples(new)
    if method == "PCA":
        rank = np.linalg.matrix_rank(rows - rows.mean(axis=0))
        pca = PCA(int(rank), whiten=True, random_state=seed).fit(rows)
        return lambda new: (pca.transform(new) ** 2).sum(axis=1)
    from keras_sda.sklearn import SDAOutlierDetector

    detector = SDAOutlierDetector(random_state=seed, **VARIANTS.get(method, {})).fit(rows)
    return lambda new: -detector.score_samples(new)


def pyod(method, rows, seed):
    import importlib

    module, name = PYOD[method]
    seeded = {"random_state": seed, "verbose": 0} if name in ("AutoEncoder", "VAE") else {}
    detector = getattr(importlib.import_module(f"pyod.models.{module}"), name)(**seeded)
    return detector.fit(rows).decision_function


def summary(sets):
    """Returns means and ranks over sets, and each method's comparison with ours."""
    from scipy.stats import rankdata, wilcoxon

    first = next(iter(sets.values()))
    methods = [name for name in (OURS, *VARIANTS, *RIVALS, *PYOD) if name in first]
    auc, precision = (
        np.array([[np.mean(found[m][key]) for m in methods] for found in sets.values()])
        for key in ("auc", "average_precision")
    )
    seconds = np.median(
        [[np.median(found[m]["seconds"]) for m in methods] for found in sets.values()], axis=0
    )
    main = [column for column, method in enumerate(methods) if method not in VARIANTS]
    ranks = dict(zip(main, rankdata(-auc[:, main], axis=1).mean(axis=0), strict=True))
    ours = methods.index(OURS)
    result = {}
    for column, method in enumerate(methods):
        differences = auc[:, ours] - auc[:, column]
        differs = len(sets) > 2 and differences.any()
        result[method] = {
            "auc": float(auc[:, column].mean()),
            "average_precision": float(precision[:, column].mean()),
            "rank": float(ranks[column]) if column in ranks else None,
            "seconds": float(seconds[column]),
            "lowest_auc": float(auc[:, column].min()),
            "ours_wins": int((differences > 0).sum()),
            "wilcoxon_p": float(wilcoxon(differences).pvalue) if differs else None,
        }
    return result


def contaminated(folder, names, quick):
    """Returns the mean area under the ROC curve by the share of outliers in the training rows."""
    from sklearn.metrics import roc_auc_score

    curves = {OURS: [], FOREST: []}
    used = set()
    for share in SHARES[::3] if quick else SHARES:
        found = {OURS: [], FOREST: []}
        for name in names:
            x, y = load(folder / f"{name}.mat")
            for split in range(1 if quick else 3):
                train, test, y_train, y_test = parts(x, y, split)
                normal, strange = train[y_train == 0], train[y_train == 1]
                count = min(len(normal), int(len(strange) * (1 - SHARES[-1]) / SHARES[-1]), 2000)
                if count < 100 and not quick:
                    continue
                used.add(name)
                outliers = strange[: round(count * share / (1 - share))]
                rows = np.vstack([normal[:count], outliers])
                for method, values in found.items():
                    errors = fit(method, rows, split)[0](test)
                    values.append(float(roc_auc_score(y_test, errors)))
        for method, values in found.items():
            curves[method].append({"share": share, "auc": float(np.mean(values))})
    return {"sets": sorted(used), "curves": curves}


def gross_value():
    """Returns the area under the ROC curve without and with one value of 1e6 in training rows."""
    from sklearn.metrics import roc_auc_score

    found = {OURS: [], FOREST: []}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        mixing = rng.normal(size=(4, 12))
        clean, new, strange = (
            rng.normal(size=(count, 4)) @ mixing + rng.normal(size=(count, 12)) * 0.3
            for count in (500, 500, 50)
        )
        strange = np.stack([rng.permutation(column) for column in strange.T], axis=1)
        dirty = clean.copy()
        dirty[0, 0] = 1e6
        labels = np.r_[np.zeros(500), np.ones(50)]
        for method, values in found.items():
            scores = [fit(method, rows, seed)[0] for rows in (clean, dirty)]
            both = [roc_auc_score(labels, score(np.vstack([new, strange]))) for score in scores]
            values.append([float(value) for value in both])
    return found


def false_alarms(draws):
    """Returns the share of new normal rows that are flagged where 5 % are asked for."""
    from keras_sda.sklearn import SDAOutlierDetector

    shares = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        detector = SDAOutlierDetector(contamination=0.05, random_state=draw)
        detector.fit(rng.normal(size=(50, 20)))
        shares.append(float((detector.predict(rng.normal(size=(10_000, 20))) == -1).mean()))
    return {"mean": float(np.mean(shares)), "draws": shares}


def large(sizes):
    """Returns seconds to fit and to score so many rows of 50 features, and memory beyond theirs."""
    from keras_sda.sklearn import SDAOutlierDetector

    found = {}
    for count in sizes:
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(count, 8)) @ rng.normal(size=(8, 50))
        rows += rng.normal(size=rows.shape)
        with _measuring.PeakMemory() as memory:
            start = time.perf_counter()
            detector = SDAOutlierDetector(random_state=0).fit(rows)
            fitted = time.perf_counter()
            detector.predict(rows)
            seconds = {"fit": fitted - start, "predict": time.perf_counter() - fitted}
        gained = None if memory.peak is None else memory.peak - memory.start
        found[str(count)] = {**seconds, "bytes": gained, "bytes_of_rows": rows.nbytes}
    return found


def show(report):
    for part, found in report["summary"].items():
        rows = [
            [
                method,
                *(f"{value[key]:.3f}" for key in ("auc", "average_precision")),
                "" if value["rank"] is None else f"{value['rank']:.2f}",
                f"{value['seconds']:.2f}",
                "" if value["wilcoxon_p"] is None else f"{value['wilcoxon_p']:.3f}",
            ]
            for method, value in found.items()
        ]
        head = ["method", "ROC-AUC", "average precision", "rank", "s to fit", "p against ours"]
        print(f"\nSets: {part}\n\n{_measuring.table(head, rows)}")
    print(f"\nFalse alarms, 5 % asked: {report['false_alarms']['mean']:.3f}")
    for count, found in report["large"].items():
        print(
            f"{int(count):,} rows x 50: {found['fit']:.1f} s to fit, {found['predict']:.1f} s more"
        )


def critical_difference(methods, sets):
    """Returns by how much mean ranks must differ by Nemenyi's test at 5 %."""
    from scipy.stats import studentized_range

    quantile = studentized_range.ppf(0.95, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * sets)))


def plot(report):
    """Returns a picture of mean ranks with their critical difference, and of contamination."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    ranks, curve = figure.subplots(1, 2)
    found = report["summary"].get("all") or next(iter(report["summary"].values()))
    found = {name: value["rank"] for name, value in found.items() if value["rank"] is not None}
    names = sorted(found, key=found.get, reverse=True)
    colors = ["tab:blue" if name == OURS else "tab:gray" for name in names]
    ranks.scatter([found[name] for name in names], names, c=colors)
    difference = critical_difference(len(names), len(report["sets"]))
    best = min(found.values())
    ranks.axvspan(best, best + difference, color="tab:gray", alpha=0.15)
    ranks.set_xlabel("mean rank by ROC-AUC (gray: not told apart from the best at 5 %)")
    for method, points in report["contamination"]["curves"].items():
        curve.plot([p["share"] for p in points], [p["auc"] for p in points], "o-", label=method)
    curve.set_xlabel("share of outliers among the training rows")
    curve.set_ylabel("ROC-AUC")
    curve.legend()
    return figure


if __name__ == "__main__":
    _measuring.main_or_serve(main, measure=measure)
