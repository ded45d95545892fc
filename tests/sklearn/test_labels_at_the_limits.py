"""Labels at the limits: none at all, one class, one row of each class, more with than without."""

import numpy as np
import pytest

import keras_sda as ks
from keras_sda.sklearn import CodeSpreading, LadderClassifier, SDAClassifier

QUICK = {"hidden_units": (8,), "random_state": 0}
LADDER = QUICK | {"epochs": 60, "batch_size": 30, "learning_rate": 0.02, "schedule": "constant"}
NOT_LABELLED = -1


class Network:
    """A `LadderNetwork` as a classifier of scaled rows."""

    def fit(self, x, y):
        self.model = ks.LadderNetwork(5, [8], 3, noise_level=0.3, seed=0)
        self.model.compile("adam")
        self.model.optimizer.learning_rate = 0.02
        self.model.fit(x, y, epochs=60, batch_size=30, verbose=0)
        return self

    def predict_proba(self, x):
        return self.model.predict(x, verbose=0)

    def score(self, x, y):
        return (self.predict_proba(x).argmax(axis=1) == y).mean()


CLASSIFIERS = {
    "LadderNetwork": Network,
    "LadderClassifier": lambda: LadderClassifier(**LADDER, scale="standard"),
    "SDAClassifier": lambda: SDAClassifier(**QUICK, pretrain_epochs=5, learning_rate=0.02),
    "CodeSpreading": CodeSpreading,
}


@pytest.fixture(params=CLASSIFIERS)
def classifier(request):
    return CLASSIFIERS[request.param]()


@pytest.fixture(scope="module")
def clouds():
    """150 rows of three classes that lie apart, each feature of mean 0 and variance 1."""
    y = np.arange(150) % 3
    x = np.random.default_rng(0).normal(size=(150, 5)) + 5.0 * np.eye(5)[y]
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32"), y


def test_no_label_at_all_is_refused(classifier, clouds):
    x, y = clouds
    with pytest.raises(ValueError, match=r"(?s)needs .* at least two classes.*Received no label"):
        classifier.fit(x, np.full_like(y, NOT_LABELLED))


def test_labels_of_one_class_are_refused(classifier, clouds):
    x, y = clouds
    message = r"at least two classes.*Received (one class: \[2\]|labels of class 2 alone)"
    with pytest.raises(ValueError, match=message):
        classifier.fit(x, np.full_like(y, 2))


def test_one_class_beside_rows_without_a_label(clouds):
    """The estimators take -1 beside one other label for a class, as in {-1, 1}; the network not."""
    x, y = clouds
    one = np.where(y == 2, 2, NOT_LABELLED)
    with pytest.raises(ValueError, match="Received labels of class 2 alone"):
        Network().fit(x, one)
    for cls in (LadderClassifier, SDAClassifier, CodeSpreading):
        with pytest.raises(ValueError, match=r"Received one class: \[2\]"):
            cls(unlabelled=NOT_LABELLED).fit(x, one)
        with pytest.raises(ValueError, match=r"Received one class: \[2(\.0)?\]"):
            cls().fit(x, np.where(y == 2, 2, np.nan))


@pytest.mark.parametrize("count", [3, 120, 149, 150])
def test_few_labels_and_many(classifier, clouds, count):
    """One labelled row a class; most rows labelled; all but one; all."""
    x, y = clouds
    classifier.fit(x, np.where(np.arange(150) < count, y, NOT_LABELLED))
    probabilities = classifier.predict_proba(x)
    assert probabilities.shape == (150, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert classifier.score(x, y) > 0.8


BRIEFLY = {
    SDAClassifier: QUICK | {"pretrain_epochs": 0, "epochs": 0},
    LadderClassifier: LADDER | {"epochs": 1},
}


@pytest.mark.full
@pytest.mark.parametrize("kind", BRIEFLY, ids=lambda kind: kind.__name__)
def test_which_label_marks_unlabelled_rows(kind, rows):
    x, y = rows

    def classes(labels, **options):
        return kind(**BRIEFLY[kind], **options).fit(x, labels).classes_.tolist()

    assert classes(np.where(y == 0, -1, y)) == [1, 2]
    assert classes(np.where(y == 0, -1, 1)) == [-1, 1]  # otherwise there would be one class
    assert classes(np.where(y == 0, -1, y), unlabelled=None) == [-1, 1, 2]
    assert classes(np.array(["?", "a", "b"])[y], unlabelled="?") == ["a", "b"]
    assert classes(np.array([-1, "a", "b"], dtype=object)[y]) == ["a", "b"]
    with pytest.raises(ValueError, match=r"at least two classes. Received one class: \[1\]"):
        classes(np.where(y == 0, -1, 1), unlabelled=-1)
