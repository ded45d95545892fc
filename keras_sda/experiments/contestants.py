"""What a study compares: each contestant by its name, how to build it, and its settings.

Every contestant has the same budget of choices: at most three settings, of which held-out labels
choose one. Of those that are as good, a study recommends one of the least effort.
A new contestant is one entry of `CLASSIFIERS` or `REGRESSORS`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_sda.datasets.labels import UNLABELLED


@dataclass(frozen=True)
class Rows:
    """How many rows an estimator is fitted on, and how many of them have a label."""

    rows: int
    labels: int


@dataclass(frozen=True, eq=False)
class Contestant:
    """One way to learn from few labels.

    Attributes:
        name: What tables and figures call it.
        build: Function of a setting, a seed and `Rows` that returns an unfitted estimator.
        effort: How much it asks of its user, by which a study tells simpler methods: 0 for plain
            estimators, 1 for a graph of all rows, 2 for a network that is trained in one go, 3 for
            an estimator on the codes of another, 4 for a network that all rows have trained.
        settings: Its settings, at most three. The first is taken where labels are too few to hold
            some out.
        on_codes: Whether it is given the codes of a network that all rows have trained.
        takes_unlabelled: Whether it is fitted on all rows, those without a label among them.
        without: Name of the nearest contestant that uses labelled rows only: what the unlabelled
            rows are worth is measured against it.
        most_labels: Beyond so many labels it is left out, as it would take too long.
        most_rows: Beyond so many rows it is left out; only if it takes unlabelled rows.
        why: Why it takes long, in words that follow "as".
    """

    name: str
    build: Callable[[Mapping[str, Any], int, Rows], Any]
    settings: Sequence[Mapping[str, Any]]
    effort: int = 0
    on_codes: bool = False
    takes_unlabelled: bool = False
    without: str | None = None
    most_labels: float = math.inf
    most_rows: float = math.inf
    why: str = ""

    @property
    def uses_unlabelled(self) -> bool:
        """Whether unlabelled rows have any part in it."""
        return self.on_codes or self.takes_unlabelled

    def reason_to_leave_out(self, rows: int, labels: int) -> str | None:
        """Returns why it does not take part with so many rows and labels, or `None` if it does."""
        if labels > self.most_labels:
            return f"more than {self.most_labels:,} labels, as {self.why}"
        if self.takes_unlabelled and rows > self.most_rows:
            return f"more than {self.most_rows:,} rows, as {self.why}"
        return None


def contestants(is_classification: bool) -> tuple[Contestant, ...]:
    """Returns all contestants of a kind of labels, in the order of tables."""
    return CLASSIFIERS if is_classification else REGRESSORS


@dataclass(frozen=True)
class _Duration:
    """How long to train: updates rather than epochs are about the same for few rows and many."""

    updates: int
    batch_size: int
    fewest: int
    most: float = math.inf

    def epochs(self, rows: int) -> int:
        """Returns the epochs that make so many updates, within the bounds."""
        wanted = math.ceil(self.updates / math.ceil(rows / self.batch_size))
        return int(min(self.most, max(self.fewest, wanted)))


_FINE_TUNING_DURATION = _Duration(1500, batch_size=32, fewest=20, most=300)
_PRETRAINING_DURATION = _Duration(4000, batch_size=32, fewest=5, most=100)
# Half the steps of its default, as it has four fits for each number of labels and each seed.
_LADDER_DURATION = _Duration(1500, batch_size=100, fewest=10)


def code_network(seed: int, rows: int) -> Any:
    """Returns the unfitted network whose codes all contestants on codes share.

    Args:
        seed: Seed of the network.
        rows: How many rows it will be trained on.
    """
    from keras_sda.sklearn import SDATransformer

    return SDATransformer(
        **CODES, pretrain_epochs=_PRETRAINING_DURATION.epochs(rows), random_state=seed
    )


# Chosen on validation rows of the digits by benchmarks/few_labels.py; `scale` is None as a study
# scales all rows once, for all contestants alike.
CODES: dict[str, Any] = {
    "hidden_units": [512],
    "noise": "masking",
    "noise_level": 0.3,
    "scale": None,
}
# The best networks of each kind of unit there: sigmoid units first, as they are less sensitive to a
# table's few rows, normalised rectifiers next.
_GAUSSIAN: dict[str, Any] = {"noise": "gaussian", "noise_level": 0.3}
_NORMALIZED: dict[str, Any] = {"activation": "relu", "batch_normalization": True}
_NETWORK = (
    {"hidden_units": [256], "dropout": 0.5} | _GAUSSIAN,
    {"hidden_units": [256], "finetune_noise_level": 0.3} | _GAUSSIAN | _NORMALIZED,
    {"hidden_units": [256, 256], "dropout": 0.5} | _GAUSSIAN,
)
_WITHOUT_PRETRAINING = (
    {"hidden_units": [256], "dropout": 0.5},
    {"hidden_units": [512], "dropout": 0.5} | _NORMALIZED,
    {"hidden_units": [256, 256], "dropout": 0.5},
)
_PRETRAINING = {"pretrain_learning_rate": 0.005}
# Its noise is chosen for features in [0, 1], where pixels are already.
_LADDERS = (
    {"hidden_units": [256, 256], "noise_level": 0.2, "scale": "unit"},
    {"hidden_units": [256, 256], "noise_level": 0.3, "scale": "unit"},
    {"hidden_units": [256], "noise_level": 0.2, "scale": "unit"},
)


def _network(kind: str, is_pretrained: bool) -> Callable[[Mapping[str, Any], int, Rows], Any]:
    def build(setting: Mapping[str, Any], seed: int, size: Rows) -> Any:
        from keras_sda import sklearn

        options = dict(setting)
        if is_pretrained:
            options |= _PRETRAINING | {"pretrain_epochs": _PRETRAINING_DURATION.epochs(size.rows)}
        else:
            options["pretrain_epochs"] = 0
        if kind == "SDAClassifier":
            options["unlabelled"] = UNLABELLED
        return getattr(sklearn, kind)(
            **options,
            scale=None,
            epochs=_FINE_TUNING_DURATION.epochs(size.labels),
            batch_size=_FINE_TUNING_DURATION.batch_size,
            random_state=seed,
        )

    return build


def _ladder(setting: Mapping[str, Any], seed: int, size: Rows) -> Any:
    from keras_sda.sklearn import LadderClassifier

    return LadderClassifier(
        **setting,
        schedule="cosine",
        epochs=_LADDER_DURATION.epochs(size.rows),
        batch_size=_LADDER_DURATION.batch_size,
        unlabelled=UNLABELLED,
        random_state=seed,
    )


def _spreading(setting: Mapping[str, Any], seed: int, size: Rows) -> Any:
    from keras_sda.sklearn import CodeSpreading

    return CodeSpreading(**setting, unlabelled=UNLABELLED)


def _logistic_regression(setting: Mapping[str, Any], seed: int, size: Rows) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**setting, max_iter=300)


def _ridge(setting: Mapping[str, Any], seed: int, size: Rows) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(**setting)


def _svm(setting: Mapping[str, Any], seed: int, size: Rows) -> Any:
    from sklearn.svm import SVC

    return SVC(**setting)


def _neighbours(kind: str) -> Callable[[Mapping[str, Any], int, Rows], Any]:
    def build(setting: Mapping[str, Any], seed: int, size: Rows) -> Any:
        from sklearn import neighbors

        count = min(setting["n_neighbors"], size.labels)
        return getattr(neighbors, kind)(n_neighbors=count, weights="distance")

    return build


def _forest(kind: str) -> Callable[[Mapping[str, Any], int, Rows], Any]:
    def build(setting: Mapping[str, Any], seed: int, size: Rows) -> Any:
        from sklearn import ensemble

        return getattr(ensemble, kind)(**setting, n_estimators=300, random_state=seed)

    return build


KNN, LOGISTIC, FOREST = "k-NN", "logistic regression", "random forest"
SVM, RIDGE = "RBF-SVM", "ridge regression"
PLAIN, PRETRAINED, LADDER = "network, not pretrained", "network, pretrained", "ladder network"
SPREADING, ON_CODES = "label spreading", "on codes"

_STRENGTHS = ({"C": 1.0}, {"C": 0.1}, {"C": 10.0})
_WIDTHS = ({"C": 10.0}, {"C": 1.0}, {"C": 100.0})
_PENALTIES = ({"alpha": 1.0}, {"alpha": 0.1}, {"alpha": 10.0})
_NEIGHBOURS = ({"n_neighbors": 3}, {"n_neighbors": 1}, {"n_neighbors": 7})
_MORE_NEIGHBOURS = ({"n_neighbors": 7}, {"n_neighbors": 3}, {"n_neighbors": 15})
_LEAVES = (
    {"max_features": "sqrt"},
    {"max_features": 0.5},
    {"max_features": "sqrt", "min_samples_leaf": 3},
)
# The draws have as many labels of each class, so that their shares say nothing where classes are
# of different sizes: the second setting leaves them alone.
_SPREADINGS = (
    {"n_neighbors": 7, "class_mass": "labels"},
    {"n_neighbors": 7, "class_mass": None},
    {"n_neighbors": 10, "class_mass": "labels"},
)
_OF_SVM: dict[str, Any] = {
    "most_labels": 10_000,
    "why": "its time grows with the square of their number",
}
_OF_SPREADING: dict[str, Any] = {
    "takes_unlabelled": True,
    "without": KNN,
    "most_rows": 20_000,
    "why": "a search for the neighbours of all rows takes minutes",
}

_OF_PRETRAINED: dict[str, Any] = {"effort": 4, "takes_unlabelled": True, "without": PLAIN}


def _of_codes(without: str) -> dict[str, Any]:
    return {"effort": 3, "on_codes": True, "without": without}


CLASSIFIERS = (
    Contestant(KNN, _neighbours("KNeighborsClassifier"), _NEIGHBOURS),
    Contestant(LOGISTIC, _logistic_regression, _STRENGTHS),
    Contestant(FOREST, _forest("RandomForestClassifier"), _LEAVES),
    Contestant(SVM, _svm, _WIDTHS, **_OF_SVM),
    Contestant(SPREADING, _spreading, _SPREADINGS, effort=1, **_OF_SPREADING),
    Contestant(PLAIN, _network("SDAClassifier", False), _WITHOUT_PRETRAINING, effort=2),
    Contestant(f"{LOGISTIC} {ON_CODES}", _logistic_regression, _STRENGTHS, **_of_codes(LOGISTIC)),
    Contestant(f"{SVM} {ON_CODES}", _svm, _WIDTHS, **_of_codes(SVM), **_OF_SVM),
    Contestant(
        f"{SPREADING} {ON_CODES}", _spreading, _SPREADINGS, **(_of_codes(KNN) | _OF_SPREADING)
    ),
    Contestant(PRETRAINED, _network("SDAClassifier", True), _NETWORK, **_OF_PRETRAINED),
    Contestant(LADDER, _ladder, _LADDERS, **_OF_PRETRAINED),
)

REGRESSORS = (
    Contestant(KNN, _neighbours("KNeighborsRegressor"), _MORE_NEIGHBOURS),
    Contestant(RIDGE, _ridge, _PENALTIES),
    Contestant(FOREST, _forest("RandomForestRegressor"), _LEAVES),
    Contestant(PLAIN, _network("SDARegressor", False), _WITHOUT_PRETRAINING, effort=2),
    Contestant(f"{RIDGE} {ON_CODES}", _ridge, _PENALTIES, **_of_codes(RIDGE)),
    Contestant(PRETRAINED, _network("SDARegressor", True), _NETWORK, **_OF_PRETRAINED),
)
