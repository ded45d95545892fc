"""The classifier: by hand, and which rows it learns from."""

import numpy as np
import pytest
from estimators import QUICK, codes_by_hand, kernel

from keras_sda.sklearn import SDAClassifier, SDARegressor, SDATransformer


def test_classifier_by_hand(rows):
    x, y = rows
    names = np.array(["one", "two", "three"])[y]
    classifier = SDAClassifier(**QUICK, epochs=5).fit(x, names)
    head = classifier.model_.head
    logits = codes_by_hand(classifier, x) @ np.asarray(head.kernel) + np.asarray(head.bias)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(x), shares, atol=1e-6)
    np.testing.assert_allclose(classifier.predict_log_proba(x), np.log(shares), atol=1e-5)
    assert classifier.classes_.tolist() == ["one", "three", "two"]
    expected = classifier.classes_[shares.argmax(axis=1)]
    assert (classifier.predict(x) == expected).all()
    assert len(classifier.histories_) == 1
    assert len(classifier.history_["loss"]) == 5


def test_unlabelled_rows_are_pretrained_on(rows):
    x, y = rows
    few = np.where(np.arange(150) < 60, y, -1)
    untuned = SDAClassifier(**QUICK, epochs=0).fit(x, few)
    # The same levels, pretrained on the same rows, with no labels at all.
    np.testing.assert_array_equal(kernel(untuned), kernel(SDATransformer(**QUICK).fit(x)))
    alone = SDAClassifier(**QUICK, epochs=0).fit(x[:60], y[:60])
    assert np.abs(kernel(untuned) - kernel(alone)).max() > 1e-4
    assert untuned.classes_.tolist() == [0, 1, 2]


def test_unlabelled_rows_are_not_fine_tuned_on(rows):
    x, y = rows
    few = np.where(np.arange(150) < 60, y, -1)
    # Without pretraining and scaling, which alone may use them, they change nothing.
    plain = QUICK | {"pretrain_epochs": 0, "scale": None, "epochs": 3}
    with_them = SDAClassifier(**plain).fit(x, few)
    without = SDAClassifier(**plain).fit(x[:60], y[:60])
    np.testing.assert_array_equal(with_them.predict_proba(x), without.predict_proba(x))
    target = np.where(few == -1, np.nan, x[:, 0])
    with_them = SDARegressor(**plain).fit(x, target)
    without = SDARegressor(**plain).fit(x[:60], target[:60])
    np.testing.assert_array_equal(with_them.predict(x), without.predict(x))


def test_missing_labels_are_unlabelled_as_pandas_has_them(rows):
    pandas = pytest.importorskip("pandas")
    x, y = rows
    names = np.array(["a", "b", "c"])[y]
    has_label = np.arange(150) % 4 == 0
    by_number = SDAClassifier(**QUICK, epochs=2).fit(x, np.where(has_label, y, -1))
    expected = by_number.predict_proba(x)
    numbers = pandas.Series(y).where(has_label)
    text = pandas.Series(names, dtype=object).where(has_label, None)
    for labels in (
        *(numbers, numbers.astype("Int64"), numbers.tolist()),
        *(text, text.astype("string"), text.astype("category"), text.tolist()),
        np.where(has_label, names, " "),
        pandas.DataFrame({"kind": numbers.astype("Int64")}),
        [label if known else pandas.NA for label, known in zip(names, has_label, strict=True)],
        [label if known else np.nan for label, known in zip(names, has_label, strict=True)],
    ):
        fitted = SDAClassifier(**QUICK, epochs=2).fit(x, labels)
        assert fitted.classes_.tolist() in ([0, 1, 2], ["a", "b", "c"])
        np.testing.assert_array_equal(fitted.predict_proba(x), expected)
    step = SDAClassifier(**QUICK).partial_fit(x, numbers.astype("Int64"), classes=[0, 1, 2])
    same = SDAClassifier(**QUICK).partial_fit(x, np.where(has_label, y, -1), classes=[0, 1, 2])
    np.testing.assert_array_equal(step.predict_proba(x), same.predict_proba(x))
    # 0, 1 and no label: the most common of all; -1 is a class beside one other.
    binary = pandas.Series(np.where(y == 0, 0.0, 1.0)).where(has_label)
    assert SDAClassifier(**QUICK, epochs=0).fit(x, binary).classes_.tolist() == [0, 1]
    assert SDAClassifier(**QUICK, epochs=0).fit(x, 2 * binary - 1).classes_.tolist() == [-1, 1]
    for nothing in (np.full(150, np.nan), [None] * 150, np.full(150, -1)):
        with pytest.raises(ValueError, match="at least two classes. Received no label"):
            SDAClassifier(**QUICK).fit(x, nothing)


def test_weights_are_relative_and_matter(rows):
    x, y = rows
    weight = np.where(y == 1, 8.0, 1.0)
    light = SDAClassifier(**QUICK, epochs=3).fit(x, y, sample_weight=weight)
    heavy = SDAClassifier(**QUICK, epochs=3).fit(x, y, sample_weight=64 * weight)
    np.testing.assert_allclose(light.predict_proba(x), heavy.predict_proba(x), atol=1e-6)
    alike = SDAClassifier(**QUICK, epochs=3).fit(x, y)
    assert light.predict_proba(x)[:, 1].mean() > alike.predict_proba(x)[:, 1].mean() + 0.01


def test_partial_fit_pretrains_once_and_trains_further(rows):
    x, y = rows
    classifier = SDAClassifier(**QUICK, learning_rate=0.01)
    # No label in the first call: it pretrains, as a transformer on the same rows.
    classifier.partial_fit(x, np.full(150, -1), classes=[0, 1, 2])
    np.testing.assert_array_equal(kernel(classifier), kernel(SDATransformer(**QUICK).fit(x)))
    assert classifier.history_ == {}
    np.testing.assert_allclose(classifier.predict_proba(x), 1 / 3, atol=1e-6)
    histories = classifier.histories_
    for _ in range(5):
        classifier.partial_fit(x[:90], y[:90])
    assert classifier.histories_ is histories
    assert len(classifier.history_["loss"]) == 5
    assert classifier.history_["loss"][-1] < classifier.history_["loss"][0]
    genuine = SDAClassifier(**QUICK).partial_fit(x, y - 1, classes=[-1, 0, 1])
    assert genuine.classes_.tolist() == [-1, 0, 1]
