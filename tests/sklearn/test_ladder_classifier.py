"""The ladder classifier: what it passes on to the network, its labels, and what they gain."""

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_sda as ks
from keras_sda.sklearn import LadderClassifier

# With a schedule, fits of different lengths share no graph: tracing takes longer than training.
QUICK = {
    "hidden_units": (8,),
    "epochs": 3,
    "batch_size": 30,
    "schedule": "constant",
    "random_state": 0,
}
# Enough to tell the classes of `rows` apart.
LEARNING = QUICK | {"scale": "standard", "epochs": 60, "learning_rate": 0.02}
# Which of `rows` keep their label where most are hidden.
HAS_LABEL = np.arange(150) % 4 == 0


def weights_of(classifier):
    return [np.asarray(variable) for variable in classifier.model_.variables]


def same_weights(one, other):
    return all(map(np.array_equal, weights_of(one), weights_of(other)))


def few_labels(y, count, seed=0):
    """Returns labels of which all but so many are hidden."""
    kept, _ = train_test_split(np.arange(len(y)), train_size=count, stratify=y, random_state=seed)
    few = np.full_like(y, -1)
    few[kept] = y[kept]
    return few


def test_network_by_hand(rows):
    """The same as the network, given scaled rows and class numbers."""
    x, y = rows
    few = np.where(HAS_LABEL, np.array(["one", "three", "two"])[y], "")
    options = QUICK | {"scale": "standard", "noise_level": 0.1}
    classifier = LadderClassifier(**options, learning_rate=0.01).fit(x, few)
    scaled = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    model = ks.LadderNetwork(5, [8], 3, noise_level=0.1, seed=0)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(scaled, np.where(HAS_LABEL, y, -1), epochs=3, batch_size=30, verbose=0)
    expected = model.predict(scaled, verbose=0)
    np.testing.assert_allclose(classifier.predict_proba(x), expected, atol=1e-5)
    np.testing.assert_allclose(classifier.predict_log_proba(x), np.log(expected), atol=1e-4)
    np.testing.assert_allclose(classifier.encode(x), model.encode(scaled), atol=1e-4)
    assert classifier.encode(x, level=0).shape == (150, 8)
    assert classifier.classes_.tolist() == ["one", "three", "two"]
    assert (classifier.predict(x) == classifier.classes_[expected.argmax(axis=1)]).all()
    assert sorted(classifier.history_) == ["denoising_0", "denoising_1", "denoising_2", "loss"]
    assert len(classifier.history_["loss"]) == 3


@pytest.mark.full
def test_unlabelled_rows_are_worth_their_while(digits):
    """50 labels of 1,000 rows, two draws: the others lower the error on rows not trained on."""
    options = {"hidden_units": (64,), "learning_rate": 5e-3, "random_state": 0}
    errors = []
    for seed in range(2):
        x, test_x, y, test_y = train_test_split(
            *digits, train_size=1000, stratify=digits[1], random_state=seed
        )
        few = few_labels(y, 50, seed)
        both = LadderClassifier(**options, epochs=60).fit(x, few)
        known = few != -1
        # As many steps.
        alone = LadderClassifier(**options, epochs=600).fit(x[known], few[known])
        errors.append([1 - each.score(test_x, test_y) for each in (both, alone)])
    with_them, without = np.mean(errors, axis=0)
    assert with_them < 0.75 * without, errors
    assert with_them < 0.12


@pytest.mark.parametrize(
    ("rows", "epochs", "expected"),
    [
        (40, "auto", (3000, 3000)),
        (1000, "auto", (300, 3000)),
        (1001, "auto", (273, 3003)),
        (60_000, "auto", (10, 6000)),
        (250, 7, (7, 21)),
    ],
)
def test_epochs_and_steps(rows, epochs, expected):
    assert LadderClassifier(batch_size=100, epochs=epochs)._duration(rows) == expected


@pytest.mark.full
def test_auto_epochs_learn_a_small_table(rng):
    """100 rows are one step an epoch. The learning rate is 0 in the end, unless it is constant."""
    y = np.arange(100) % 3
    x = rng.normal(size=(100, 5)) + 5.0 * np.eye(5)[y]
    classifier = LadderClassifier(hidden_units=(16,), random_state=0).fit(x, few_labels(y, 12))
    assert len(classifier.history_["loss"]) == 3000
    assert classifier.score(x, y) > 0.9
    assert float(classifier.model_.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-9)
    constant = LadderClassifier(**QUICK).fit(x, y)
    assert float(constant.model_.optimizer.learning_rate) == pytest.approx(2e-3)


def test_missing_labels_of_every_kind(rows):
    x, y = rows
    expected = LadderClassifier(**QUICK).fit(x, np.where(HAS_LABEL, y, -1))
    numbers = pd.Series(y).where(HAS_LABEL)
    names = pd.Series(np.array(["a", "b", "c"])[y], dtype=object).where(HAS_LABEL, None)
    for labels, classes in (
        (numbers, [0, 1, 2]),
        (numbers.astype("Int64"), [0, 1, 2]),
        (names, ["a", "b", "c"]),
        (names.tolist(), ["a", "b", "c"]),
        (names.fillna(" "), ["a", "b", "c"]),
    ):
        fitted = LadderClassifier(**QUICK).fit(x, labels)
        assert fitted.classes_.tolist() == classes
        assert same_weights(fitted, expected)


def test_weight_zero_is_the_same_as_no_label(rows):
    x, y = rows
    by_weight = LadderClassifier(**QUICK).fit(x, y, sample_weight=np.where(HAS_LABEL, 2.0, 0.0))
    by_label = LadderClassifier(**QUICK).fit(x, np.where(HAS_LABEL, y, -1))
    assert same_weights(by_weight, by_label)


@pytest.mark.full
def test_weights_are_relative_and_matter(rows):
    x, y = rows
    few, weight = np.where(HAS_LABEL, y, -1), np.where(y == 1, 8.0, 1.0)
    options = LEARNING | {"epochs": 20}
    light = LadderClassifier(**options).fit(x, few, sample_weight=weight)
    heavy = LadderClassifier(**options).fit(x, few, sample_weight=64 * weight)
    np.testing.assert_allclose(light.predict_proba(x), heavy.predict_proba(x), atol=1e-4)
    # Those of rows without a label are never looked at.
    odd = np.where(few < 0, 99.0, weight)
    kept = odd.copy()
    assert same_weights(LadderClassifier(**options).fit(x, few, sample_weight=odd), light)
    np.testing.assert_array_equal(odd, kept)
    alike = LadderClassifier(**options).fit(x, few)
    assert light.predict_proba(x)[:, 1].mean() > alike.predict_proba(x)[:, 1].mean() + 0.05


@pytest.mark.full
def test_few_and_many_labels(rows):
    x, y = rows
    one_each = np.where(np.arange(150) < 3, y, -1)
    mostly = np.where(np.arange(150) < 130, y, -1)
    for labels in (one_each, mostly, y):
        classifier = LadderClassifier(**LEARNING).fit(x, labels)
        assert np.isfinite(classifier.history_["loss"]).all()
        assert classifier.score(x, y) > 0.5
    # Two rows at all; and a batch of more rows than there are.
    tiny = LadderClassifier(**QUICK | {"batch_size": 500}).fit(x[:2], y[:2])
    assert np.isfinite(tiny.predict_proba(x)).all()


@pytest.mark.full
def test_constant_columns(rows):
    x, y = rows
    x = np.concatenate([x, np.full((150, 2), 1e6)], axis=1)
    for scale in ("standard", "unit", "symmetric"):
        classifier = LadderClassifier(**QUICK, scale=scale).fit(x, few_labels(y, 30))
        assert np.isfinite(classifier.predict_proba(x)).all()
        # The published 1000 is for a mean variance of 0.07.
        variance = np.asarray(classifier.scaling_(x)).var(axis=0).mean()
        first, *others = classifier.model_.denoising_weights
        assert first == pytest.approx(70 / variance, rel=1e-4)
        assert others == [10.0, 0.1]
    assert classifier.denoising_weights == "auto"


def test_seeds(rows):
    x, y = rows
    few = few_labels(y, 30)
    first, second = (LadderClassifier(**QUICK).fit(x, few) for _ in range(2))
    assert same_weights(first, second)
    other = LadderClassifier(**QUICK | {"random_state": 1}).fit(x, few)
    assert np.abs(other.encode(x) - first.encode(x)).max() > 1e-3
    drawn = QUICK | {"noise": ks.layers.MaskingNoise(0.2), "denoising_weights": [1.0, 0.0]}
    drawn["optimizer"] = keras.optimizers.SGD(0.1)
    first, second = (
        LadderClassifier(**drawn | {"random_state": np.random.RandomState(3)}).fit(x, few)
        for _ in range(2)
    )
    assert same_weights(first, second)


def test_keras_objects_as_parameters(rows):
    noise, optimizer = ks.layers.MaskingNoise(0.2), keras.optimizers.SGD(0.1)
    options = QUICK | {"noise": noise, "optimizer": optimizer, "denoising_weights": [1.0, 0.0]}
    classifier = LadderClassifier(**options).fit(*rows)
    assert classifier.model_.noises[0] is not noise
    assert classifier.model_.optimizer is not optimizer
    assert isinstance(classifier.model_.optimizer, keras.optimizers.SGD)
    assert len(classifier.model_.decoders) == 3  # down to the input, but for its cost alone
    assert sorted(classifier.history_) == ["denoising_0", "loss"]
    assert same_weights(clone(classifier).fit(*rows), classifier)


def test_pickling(rows):
    x, y = rows
    classifier = LadderClassifier(**QUICK).fit(x, few_labels(y, 30))
    model = classifier.model_
    again = pickle.loads(pickle.dumps(classifier))
    assert classifier.model_ is model
    np.testing.assert_array_equal(again.predict_proba(x), classifier.predict_proba(x))
    assert again.get_params() == classifier.get_params()
    assert again.model_.denoising_weights == model.denoising_weights


@pytest.mark.full
def test_pipeline_and_grid_search(rows):
    x, y = rows
    pipeline = make_pipeline(StandardScaler(), LadderClassifier(**LEARNING | {"scale": None}))
    grid = {
        "ladderclassifier__noise_level": [0.2, np.array([0.2, 0.3, 0.1])],
        "ladderclassifier__epochs": [1, 30],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(x, y)
    assert search.best_params_["ladderclassifier__epochs"] == 30
    assert search.best_score_ > 0.6


@pytest.mark.tensorflow_only  # elsewhere, rows that are not in memory are shuffled otherwise
@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_sparse_and_dense_rows_give_the_same(rows, scale):
    x, y = rows
    x = np.where(x > np.median(x, axis=0), x, 0.0)
    few, packed = few_labels(y, 30), sparse.csc_array(x)
    dense = LadderClassifier(**QUICK, scale=scale).fit(x, few)
    thin = LadderClassifier(**QUICK, scale=scale).fit(packed, few)
    np.testing.assert_allclose(thin.predict_proba(packed), dense.predict_proba(x), atol=1e-4)
    np.testing.assert_allclose(thin.encode(packed), dense.encode(x), atol=1e-3)


def test_tables_with_names(rows):
    x, y = rows
    table = pd.DataFrame(x, columns=list("abcde"))
    labels = pd.Series(y, dtype="Int64").where(HAS_LABEL)
    classifier = LadderClassifier(**QUICK).fit(table, labels)
    assert classifier.feature_names_in_.tolist() == list("abcde")
    assert classifier.predict(table).dtype.kind == "i"
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(table[list("edcba")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "`epochs` of LadderClassifier must be 'auto', or be a whole number"),
        ({"epochs": "all"}, "`epochs` of LadderClassifier must be 'auto', or be a whole number"),
        ({"batch_size": 0}, "`batch_size` of LadderClassifier must be a whole number"),
        ({"batch_size": 1}, "must be at least 2, as rows are normalised by those of their batch"),
        ({"learning_rate": 0}, "`learning_rate` of LadderClassifier must be"),
        ({"schedule": "linear"}, "`schedule` of LadderClassifier must be one of 'constant'"),
        ({"scale": "log"}, "`scale` of LadderClassifier must be one of 'unit'"),
        ({"hidden_units": 8}, "`hidden_units` of LadderClassifier must list the units"),
        ({"noise_level": [0.1, 0.2]}, "`noise_level` of LadderNetwork .* here 3"),
        ({"denoising_weights": -1.0}, "`denoising_weights` of LadderNetwork must be"),
        ({"optimizer": "newton"}, "`optimizer` of LadderClassifier must be a name such as"),
    ],
)
def test_refused_parameters(rows, options, message):
    with pytest.raises(ValueError, match=message):
        LadderClassifier(**QUICK | options).fit(*rows)


def test_refused_data(rows):
    x, y = rows
    classifier = LadderClassifier(**QUICK)
    for nothing in (np.full(150, np.nan), [None] * 150, np.full(150, -1)):
        with pytest.raises(ValueError, match="LadderClassifier needs .* Received no label"):
            classifier.fit(x, nothing)
    with pytest.raises(ValueError, match=r"at least two classes. Received one class: \[2\]"):
        classifier.fit(x, np.full(150, 2))
    message = r"leaves out labels of weight 0, needs labels of at least two .* one class: \[1\]"
    with pytest.raises(ValueError, match=message):
        classifier.fit(x, y, sample_weight=(y == 1).astype(float))
    with pytest.raises(ValueError, match="at least one non-zero number. Received numbers from 0"):
        classifier.fit(x, y, sample_weight=np.zeros(150))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier.fit(x, y[:-1])
    with pytest.raises(ValueError, match="Unknown label type"):
        classifier.fit(x, np.where(HAS_LABEL, y + 0.5, np.nan))
    with pytest.raises(ValueError, match="contains NaN"):
        classifier.fit(np.where(y[:, None] == 0, np.nan, x), y)
    with pytest.raises(NotFittedError):
        classifier.predict(x)
    assert not hasattr(classifier, "partial_fit")
