"""Classes weigh as in scikit-learn, in estimators and in experiments."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from keras_sda import experiments
from keras_sda.sklearn import LadderClassifier, SDAClassifier


@pytest.fixture(scope="module")
def rare():
    """Rows of two overlapping classes, of which one in twenty is of the second."""
    rng = np.random.default_rng(0)
    y = (np.arange(600) % 20 == 0).astype(int)
    return rng.normal(size=(600, 4)) + 1.5 * y[:, None] * [1, 1, 0, 0], y


def short(**arguments):
    return SDAClassifier(
        hidden_units=(16,), pretrain_epochs=2, epochs=15, random_state=0, **arguments
    )


def test_balanced_finds_the_rare_class(rare):
    x, y = rare
    found = {
        weight: balanced_accuracy_score(y, short(class_weight=weight).fit(x, y).predict(x))
        for weight in (None, "balanced")
    }
    assert found["balanced"] > found[None] + 0.1


@pytest.mark.full
def test_balanced_is_the_same_as_its_weights(rare):
    x, y = rare
    by_class = {0: 600 / (2 * 570), 1: 600 / (2 * 30)}
    balanced = short(class_weight="balanced").fit(x, y).predict_proba(x)
    for other in (
        short(class_weight=by_class).fit(x, y),
        short().fit(x, y, sample_weight=np.array([by_class[label] for label in y])),
    ):
        np.testing.assert_allclose(other.predict_proba(x), balanced, atol=1e-5)
    few = np.where(np.arange(600) < 300, y, -1)
    ladder = LadderClassifier(hidden_units=(8,), epochs=2, random_state=0, class_weight="balanced")
    assert ladder.fit(x, few).predict(x).shape == y.shape


@pytest.mark.parametrize("weight", ["even", {5: 1.0}, {0: -1.0}])
def test_what_is_no_weight_is_refused(weight, rare):
    with pytest.raises(ValueError, match="^Argument `class_weight` of SDAClassifier must"):
        short(class_weight=weight).fit(*rare)


def test_an_experiment_balances(rare, tmp_path):
    x, y = rare
    np.savez(tmp_path / "rare.npz", x=x, y=y)
    plain = experiments.default("mlp").but(
        {"data.name": str(tmp_path / "rare.npz"), "training.epochs": 8}
    )
    shares = [
        np.mean(run.model.predict(x.astype("float32"), verbose=0).argmax(axis=1))
        for run in (
            experiments.run(plain, verbose=0),
            experiments.run(plain.but({"training.class_weight": "balanced"}), verbose=0),
        )
    ]
    assert shares[1] > shares[0] + 0.05
    headless = experiments.default("da").but({"training.class_weight": "balanced"})
    with pytest.raises(ValueError, match=r"class_weight weights classes.*leave it out\.$"):
        experiments.run(headless, verbose=0)
