"""The simple models that every network is measured against, with options by cross-validation."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_sda.datasets import Split
from keras_sda.datasets.folds import draw_rows, make_folds
from keras_sda.datasets.threads import few_threads

# What bounds the time on large data: values (rows times features) and rows to train on, and rows
# to choose options by. MNIST is then some half a minute.
_MOST_VALUES = 4_000_000
_MOST_ROWS = 50_000
_ROWS_TO_CHOOSE = 2_000
_TREES = 200


@dataclass(frozen=True)
class Rival:
    """A trained scikit-learn model.

    Args:
        estimator: The model.
        options: What was chosen and on how many rows, in words.
    """

    estimator: Any
    options: str

    def predict(self, x: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns predicted numbers or, of a classifier, probabilities of all classes by number."""
        if not num_classes:
            return self.estimator.predict(x)
        known = self.estimator.classes_
        probabilities = np.zeros((len(x), max(num_classes, int(known.max()) + 1)))
        probabilities[:, known] = self.estimator.predict_proba(x)
        return probabilities


def train_rivals(
    train: Split,
    is_classifier: bool,
    class_weight: Any = None,
    groups: np.ndarray | None = None,
) -> dict[str, Rival]:
    """Trains a linear model and a forest on labelled rows.

    Logistic or ridge regression on standardised inputs chooses its penalty, the forest of 200 trees
    the rows of a leaf, by cross-validation of five folds on at most 2,000 rows. They are trained on
    all rows up to 50,000 and 4 million values, beyond that on as many drawn at random: `options`
    then says so.

    Args:
        train: Rows, all with a label.
        is_classifier: Whether labels are class numbers, not quantities.
        class_weight: As in scikit-learn, for both classifiers.
        groups: The groups of the rows, which no fold tears apart; `None` for none.
    """
    from sklearn.base import clone

    y = np.asarray(train.y)
    y = y if is_classifier else y.reshape(len(y), -1)[:, 0]
    given, width = len(train.x), train.x.size // len(train.x)
    rows = draw_rows(given, max(100, min(_MOST_ROWS, _MOST_VALUES // width)))
    x, y = train.x[rows].reshape(len(rows), -1), y[rows]
    x_few, y_few = x[:_ROWS_TO_CHOOSE], y[:_ROWS_TO_CHOOSE]
    few_groups = None if groups is None else groups[rows][:_ROWS_TO_CHOOSE]
    classes = y_few if is_classifier else None
    folds = make_folds(len(y_few), classes, seed=0, groups=few_groups)
    makers = _classifiers(class_weight) if is_classifier else _regressors()
    trained = {}
    for name, (estimator, choices) in makers.items():
        with warnings.catch_warnings():
            # Steps that end before the last digit is settled, and classes of fewer rows than folds.
            warnings.simplefilter("ignore")
            with few_threads(x_few):
                quick = clone(estimator)
                if "n_estimators" in quick.get_params():  # a fourth of the trees tells as much
                    quick.set_params(n_estimators=_TREES // 4)
                chosen = _choose(quick, choices, x_few, y_few, folds)
            with few_threads(x):
                model = _repeatable(estimator.set_params(**chosen).fit(x, y))
        words = ", ".join(f"{key.split('__')[-1]} {value:.3g}" for key, value in chosen.items())
        share = "" if len(x) == given else f", trained on {len(x):,} of {given:,} rows"
        trained[name] = Rival(model, f"{words or 'default options'}{share}")
    return trained


def _classifiers(class_weight):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    linear = LogisticRegression(class_weight=class_weight, max_iter=300)
    forest = RandomForestClassifier(
        _TREES, class_weight=class_weight, n_jobs=-1, random_state=0, min_samples_leaf=1
    )
    return {
        "logistic regression": (
            make_pipeline(StandardScaler(), linear),
            {"logisticregression__C": [0.001, 0.01, 0.1, 1.0, 10.0]},
        ),
        "random forest": (forest, {"min_samples_leaf": [1, 3, 10]}),
    }


def _regressors():
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    forest = RandomForestRegressor(_TREES, n_jobs=-1, random_state=0, max_features=0.5)
    return {
        "ridge regression": (
            make_pipeline(StandardScaler(), Ridge()),
            {"ridge__alpha": [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]},
        ),
        "random forest": (forest, {"min_samples_leaf": [1, 3, 10]}),
    }


def _choose(estimator, choices, x, y, folds):
    """Returns the options of least loss in cross-validation; none from too few rows."""
    from sklearn.base import is_classifier
    from sklearn.metrics import get_scorer
    from sklearn.model_selection import GridSearchCV

    if folds is None:
        return {}
    score = get_scorer("neg_log_loss" if is_classifier(estimator) else "neg_mean_squared_error")
    search = GridSearchCV(
        estimator,
        choices,
        scoring=lambda model, x, y: score(_repeatable(model), x, y),
        cv=folds,
        refit=False,
    ).fit(x, y)
    results = search.cv_results_["mean_test_score"]
    if not all(map(math.isfinite, results)):
        return {}
    return search.best_params_


def _repeatable(model):
    """Lets a forest predict in one thread: several add up its trees in any order."""
    if "n_jobs" in model.get_params():
        model.set_params(n_jobs=1)
    return model
