"""Figures agree with scikit-learn's, and a comparison says plainly who won."""

import numpy as np
import pytest
from sklearn import metrics

import keras_sda as ks
from keras_sda.datasets import Split
from keras_sda.experiments import comparison, rivals, scores


def values(figures):
    return {name: each.value for name, each in figures.items()}


@pytest.mark.parametrize("classes", [2, 4])
def test_figures_of_classes_are_those_of_scikit_learn(classes):
    rng = np.random.default_rng(0)
    labels = np.append(rng.integers(0, classes, 200), [0] * 60)
    given = rng.dirichlet(np.ones(classes), len(labels)).round(2) + 1e-3  # some are tied
    given /= given.sum(axis=1, keepdims=True)
    found = values(scores.of_classes(labels, given))
    rarest = np.bincount(labels).argmin()
    one_hot = np.eye(classes)[labels]
    ranked = (one_hot[:, rarest], given[:, rarest]) if classes == 2 else (one_hot, given)
    expected = {
        "error": 1 - metrics.accuracy_score(labels, given.argmax(axis=1)),
        "balanced accuracy": metrics.balanced_accuracy_score(labels, given.argmax(axis=1)),
        "ROC-AUC": metrics.roc_auc_score(*ranked),
        "average precision": metrics.average_precision_score(*ranked),
        "log loss": metrics.log_loss(labels, given),
    }
    assert found == pytest.approx(expected, rel=1e-6)
    for each in scores.of_classes(labels, given).values():
        value, low, high = each.summary
        assert low < value < high


def test_figures_of_numbers_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=100)
    given = targets + rng.normal(size=100)
    found = values(scores.of_numbers(targets, given))
    assert found["R2"] == pytest.approx(metrics.r2_score(targets, given))
    assert found["MAE"] == pytest.approx(metrics.mean_absolute_error(targets, given))
    assert found["RMSE"] == pytest.approx(metrics.root_mean_squared_error(targets, given))


def untrained(x, y):
    """Returns a classifier that has learned nothing."""
    model = ks.SoftmaxRegression(x.shape[1], 2, seed=0)
    return (
        model,
        Split(x[:400].astype("float32"), y[:400]),
        Split(x[400:].astype("float32"), y[400:]),
    )


def test_a_network_that_lost_is_told_so():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3))
    found = comparison.compare(*untrained(x, (x[:, 0] > 0).astype(int)))
    text = comparison.describe(found)
    assert "The network lost: error" in text
    assert "Take the" in text
    assert found["rare"] is None
    assert found["figures"]["logistic regression"]["error"][0] < 0.05
    assert found["gains"]["logistic regression"]["error"][2] < 0


def test_a_rare_class_is_told():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3))
    found = comparison.compare(*untrained(x, (x[:, 0] > 1.6).astype(int)), classes=["no", "yes"])
    assert found["main"] == "ROC-AUC"
    assert found["rare"]["class"] == "yes"
    assert found["majority_error"] == pytest.approx(found["rare"]["rows"] / 200)
    text = comparison.describe(found)
    assert "The classes are unbalanced" in text
    assert "--class-weight balanced" in text


def test_quantities_meet_ridge_regression():
    import keras

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)).astype("float32")
    y = (x @ [1, 2, 3]).astype("float32")
    model = ks.MLP(3, [4], head=keras.layers.Dense(1), seed=0)
    found = comparison.compare(model, Split(x[:200], y[:200]), Split(x[200:], y[200:]))
    assert set(found["figures"]) == {"network", "ridge regression", "random forest"}
    assert found["figures"]["ridge regression"]["R2"][0] > 0.99
    assert "The network lost: R2" in comparison.verdict(found)[0]


def test_a_forest_adds_its_trees_in_their_order():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5)).astype("float32")
    y = (x[:, 0] * x[:, 1] > rng.normal(size=300)).astype(int)
    forest = rivals.train_rivals(Split(x, y), is_classifier=True)["random forest"]
    expected = np.zeros((300, 2))
    for tree in forest.estimator.estimators_:
        expected += tree.predict_proba(x)
    expected /= len(forest.estimator.estimators_)
    for _ in range(20):
        np.testing.assert_array_equal(forest.predict(x, 2), expected)


def test_a_few_rows_decide_nothing():
    figures = {
        name: {"ROC-AUC": (value, value, value)} for name, value in (("network", 0), ("a", 1))
    }
    found = {"main": "ROC-AUC", "figures": figures, "gains": {"a": {"ROC-AUC": (-1, -1, -1)}}}
    assert comparison.verdict({**found, "rows": 2}) == [
        "2 rows are too few to say which is better: ROC-AUC 0 against 1 of the a."
    ]
    assert comparison.verdict({**found, "rows": 20})[0].startswith("The network lost")
