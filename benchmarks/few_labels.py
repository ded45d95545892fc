"""Measures what unlabelled rows are worth where labels are few: digits with 50 labels, ten draws.

python benchmarks/few_labels.py            # some 20 minutes on two cores
python benchmarks/few_labels.py --quick    # tiny, to see that it runs

Of the 1,257 training rows of the digits, 50 keep their label, drawn by the seed with the classes in
proportion; the others have none. These classifiers learn from all rows:

- `LadderClassifier` and `CodeSpreading` by their defaults, chosen on training and validation rows;
- scikit-learn's `LabelSpreading`;
- `SDAClassifier`, pretrained on all rows, fine-tuned on the 50;
- logistic regression on the codes of `SDATransformer`, which all rows have trained;

and these from the 50 alone:

- the network of `SDAClassifier` without pretraining;
- logistic regression, an SVM with Gaussian kernel, k-NN and a random forest.

Those of the 50 alone, and the logistic regression on codes, choose their options by
cross-validation among the 50. Options of the networks and of LabelSpreading are chosen one after
the other, each for the mean accuracy on the validation rows over the first seeds; where nothing is
gained the earlier, usually smaller value stays. Each chooses for itself, among the same values as
far as it has the option. The test rows are read once per seed and classifier, at the end. Intervals
are those of Student's t for the mean over the seeds, so that they tell how draws and starts vary,
not how test rows would.
"""

import json
import time

import _measuring
import numpy as np
from scipy import stats
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import LabelSpreading
from sklearn.svm import SVC

import keras_sda as ks
from keras_sda.experiments import run_folder
from keras_sda.sklearn import CodeSpreading, LadderClassifier, SDAClassifier, SDATransformer

NAME = "few_labels"
LABELS = 50
SEARCH_SEEDS = 5
START = {
    "hidden_units": [256],
    "activation": "sigmoid",
    "batch_normalization": False,
    "noise": "masking",
    "noise_level": 0.3,
    "pretrain_learning_rate": 1e-3,
    "pretrain_epochs": 50,
    "epochs": 100,
    "learning_rate": 1e-3,
    "dropout": 0.0,
    "finetune_noise_level": 0.0,
    "scale": None,  # the digits lie in [0, 1]
}
# In this order, each option at the best of those before.
CHOICES = {
    "hidden_units": [[256], [512], [256, 256]],
    "activation": ["sigmoid", "relu"],
    "batch_normalization": [False, True],
    "pretrain_learning_rate": [1e-3, 5e-3],
    "pretrain_epochs": [50, 150],
    "noise": ["masking", "salt_and_pepper", "gaussian"],
    "noise_level": [0.3, 0.5],
    "epochs": [100, 300],
    "learning_rate": [1e-3, 3e-4],
    "dropout": [0.0, 0.5],
    "finetune_noise_level": [0.0, 0.3],
}
OF_PRETRAINING = ("noise", "noise_level", "pretrain_learning_rate", "pretrain_epochs")
QUICK_CHOICES = {"hidden_units": [[8], [16]]}
QUICK_EPOCHS = {"pretrain_epochs": 2, "epochs": 2}
QUICK_LADDER = {"epochs": 2}
OF_FINE_TUNING = (
    *("batch_normalization", "epochs", "learning_rate"),
    *("dropout", "finetune_noise_level"),
)
OURS, WITHOUT = "network, pretrained", "network, not pretrained"
CODES, PIXELS = "logistic regression on codes", "logistic regression on pixels"
LEFT_OUT = {OURS: (), WITHOUT: OF_PRETRAINING, CODES: OF_FINE_TUNING}
LADDER, SPREADING = "ladder network", "label spreading, ours"
THEIRS = "label spreading, scikit-learn's"
THEIR_START = {"kernel": "knn", "n_neighbors": 7, "alpha": 0.2}
THEIR_CHOICES = {"n_neighbors": [5, 7, 10], "alpha": [0.2, 0.8, 0.99]}
# What learns from the 50 alone, with what is cross-validated among them.
ALONE = {
    PIXELS: (LogisticRegression(max_iter=5000), {"C": np.logspace(-4, 4, 17)}),
    "SVM on pixels": (SVC(), {"C": [1, 10, 100], "gamma": ["scale", 0.01, 0.03, 0.1]}),
    "k-NN on pixels": (KNeighborsClassifier(), {"n_neighbors": [1, 3, 5]}),
    "random forest on pixels": (
        RandomForestClassifier(500),
        {"max_features": ["sqrt", 0.1, 0.3]},
    ),
}


def main():
    parser = _measuring.parser(__doc__, repeats=10)
    parser.set_defaults(output=_measuring.HERE / "results")
    options = parser.parse_args()
    data = ks.datasets.load("digits")
    seeds = list(range(options.repeats))
    report = _measuring.new_report(options)
    report["versions"] |= run_folder.versions()
    report |= {
        "data": "digits",
        "rows": {"train": len(data.train.x), "valid": len(data.valid.x), "test": len(data.test.x)},
        "labels": LABELS,
        "seeds": seeds,
        "search_seeds": seeds[:SEARCH_SEEDS],
        "search": {},
        "chosen": {},
        "test_accuracy": {},
    }
    choices = QUICK_CHOICES if options.quick else CHOICES
    start = START | (QUICK_EPOCHS if options.quick else {})
    started = time.perf_counter()
    for name, left_out in LEFT_OUT.items():
        values = {key: value for key, value in choices.items() if key not in left_out}
        first = {key: value for key, value in start.items() if key not in left_out}
        if name == WITHOUT:
            first["pretrain_epochs"] = 0
        chosen, tried = choose(name, data, seeds[:SEARCH_SEEDS], first, values)
        report["chosen"][name], report["search"][name] = chosen, tried

    theirs = {} if options.quick else THEIR_CHOICES
    chosen, tried = choose(THEIRS, data, seeds[:SEARCH_SEEDS], THEIR_START, theirs)
    report["chosen"][THEIRS], report["search"][THEIRS] = chosen, tried

    for name in (LADDER, SPREADING, THEIRS, *LEFT_OUT, *ALONE):
        chosen = report["chosen"].get(name, {})
        if name == LADDER and options.quick:
            chosen = QUICK_LADDER
        report["test_accuracy"][name] = [
            fit(name, data, seed, chosen).score(*data.test) for seed in seeds
        ]
    figures = {name: np.array(values) for name, values in report["test_accuracy"].items()}
    report["summary"] = {
        name: mean_and_interval(values) for name, values in report["test_accuracy"].items()
    }
    report["gain_of_pretraining"] = {
        "network": mean_and_interval(figures[OURS] - figures[WITHOUT]),
        "logistic regression": mean_and_interval(figures[CODES] - figures[PIXELS]),
    }
    best = max(ALONE, key=lambda name: figures[name].mean())
    report["gain_of_unlabelled_rows"] = {
        f"{name} over {best}": mean_and_interval(figures[name] - figures[best])
        for name in (LADDER, SPREADING)
    }
    report["seconds"] = time.perf_counter() - started
    _measuring.save(report, options.output, NAME)
    show(report)


def choose(kind, data, seeds, start, choices):
    """Returns the options best on the validation rows, and all that were tried."""
    best, tried, known = dict(start), [], {}
    for name, values in choices.items():
        scored = []
        for value in values:
            candidate = best | {name: value}
            key = json.dumps(candidate, sort_keys=True)
            if key not in known:
                scores = [fit(kind, data, seed, candidate).score(*data.valid) for seed in seeds]
                known[key] = float(np.mean(scores))
                tried.append({"options": candidate, "valid_accuracy": known[key]})
                print(f"{known[key]:.4f} on validation rows: {key}", flush=True)
            scored.append((known[key], value))
        best[name] = max(scored, key=lambda pair: pair[0])[1]  # the first of equals
    return best, tried


def fit(kind, data, seed, options):
    """Returns a classifier fitted on the draw of a seed."""
    x, y = data.train
    few, _ = train_test_split(np.arange(len(x)), train_size=LABELS, stratify=y, random_state=seed)
    if kind in (CODES, *ALONE):
        last, grid = ALONE[PIXELS if kind == CODES else kind]
        if hasattr(last, "random_state"):
            last = clone(last).set_params(random_state=seed)
        last = GridSearchCV(last, grid, cv=5)  # five folds, as most classes have five labels
        if kind in ALONE:
            return last.fit(x[few], y[few])
        codes = SDATransformer(**options, random_state=seed).fit(x)
        last.fit(codes.transform(x[few]), y[few])
        return make_pipeline(codes, last)
    labels = np.full_like(y, -1)
    labels[few] = y[few]
    if kind == LADDER:
        return LadderClassifier(**options, random_state=seed).fit(x, labels)
    if kind == SPREADING:
        return CodeSpreading().fit(x, labels)
    if kind == THEIRS:
        return LabelSpreading(**options).fit(x, labels)
    return SDAClassifier(**options, random_state=seed).fit(x, labels)


def mean_and_interval(values):
    """Returns the mean over the seeds and its 95 % interval."""
    mean = float(np.mean(values))
    if len(values) < 2 or np.ptp(values) == 0:  # SciPy gives NaN where nothing varies
        return {"mean": mean, "interval": [mean, mean]}
    interval = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=stats.sem(values))
    return {"mean": mean, "interval": [float(bound) for bound in interval]}


def show(report):
    def percent(summary, sign=""):
        low, high = (100 * bound for bound in summary["interval"])
        return [f"{100 * summary['mean']:{sign}.2f}", f"{low:{sign}.2f} to {high:{sign}.2f}"]

    head = ["classifier", "test accuracy, %", "95 % interval of the mean"]
    rows = [[name, *percent(summary)] for name, summary in report["summary"].items()]
    gains = report["gain_of_pretraining"].items()
    rows += [[f"gain of pretraining {name}", *percent(gain, "+")] for name, gain in gains]
    gains = report["gain_of_unlabelled_rows"].items()
    rows += [[f"gain of {name}", *percent(gain, "+")] for name, gain in gains]
    print("\n" + _measuring.table(head, rows))
    for name, chosen in report["chosen"].items():
        print(f"\n{name}: {chosen}")


if __name__ == "__main__":
    main()
