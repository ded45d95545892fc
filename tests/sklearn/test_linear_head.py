"""The head of classifier and regressor: fine-tuned, linear on frozen codes, or the better one."""

import pickle

import keras
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_breast_cancer, load_diabetes

from keras_sda.models import LinearOnCodes
from keras_sda.sklearn import SDAClassifier, SDARegressor

SMALL = {"hidden_units": (16, 8), "pretrain_epochs": 3, "random_state": 0}


@pytest.fixture(scope="module")
def cancer():
    x, y = load_breast_cancer(return_X_y=True)
    few = np.full_like(y, -1)
    few[::9] = y[::9]
    return x, y, few


def test_head_is_the_linear_model_on_codes(cancer):
    x, y, few = cancer
    classifier = SDAClassifier(**SMALL, head="linear").fit(x, np.where(few == -1, -1, few + 5))
    assert isinstance(classifier.model_, LinearOnCodes)
    alone = LinearOnCodes(classifier.model_.stack, num_classes=2, seed=classifier.model_.seed)
    rows = classifier.scaling_(x)
    alone.solve(rows[::9], y[::9], all_rows=rows)
    expected = alone.predict(rows, verbose=0)
    np.testing.assert_allclose(classifier.predict_proba(x), expected, atol=1e-6)
    assert set(classifier.predict(x)) == {5, 6}
    assert classifier.score(x, y + 5) > 0.9


def test_targets_are_standardised_for_the_linear_model():
    x, y = load_diabetes(return_X_y=True)
    few = np.where(np.arange(len(y)) < 80, y, np.nan)
    regressor = SDARegressor(**SMALL, head="linear").fit(x, few)
    model = regressor.model_
    alone = LinearOnCodes(model.stack, head=keras.layers.Dense(1), seed=model.seed)
    rows = regressor.scaling_(x)
    alone.solve(rows[:80], (y[:80] - y[:80].mean()) / y[:80].std(), all_rows=rows)
    expected = alone.predict(rows, verbose=0)[:, 0] * y[:80].std() + y[:80].mean()
    np.testing.assert_allclose(regressor.predict(x), expected, rtol=1e-4)
    both = SDARegressor(**SMALL, head="linear").fit(x, np.column_stack([few, -few]))
    assert both.predict(x).shape == (442, 2)


def test_linear_head_leaves_the_network_as_pretraining_left_it(cancer):
    x, _, few = cancer
    linear = SDAClassifier(**SMALL, head="linear").fit(x, few)
    tuned = SDAClassifier(**SMALL, epochs=0).fit(x, few)
    np.testing.assert_array_equal(linear.encode(x), tuned.encode(x))
    rows = linear.scaling_(x)
    np.testing.assert_array_equal(linear.model_.reconstruct(rows), tuned.model_.reconstruct(rows))
    assert linear.history_ == {}


@pytest.mark.parametrize(
    ("epochs", "expected"), [(0, "linear"), (60, None)], ids=["untrained", "trained"]
)
def test_auto_takes_the_head_with_the_lower_cross_validated_error(epochs, expected, cancer):
    x, _, few = cancer
    auto = SDAClassifier(**SMALL, head="auto", epochs=epochs).fit(x, few)
    kind = auto.head_
    if expected is not None:
        assert kind == expected, "an untrained network knows nothing"
    # Whichever it is, nothing is left behind of the trainings that chose it.
    same = SDAClassifier(**SMALL, head=kind, epochs=epochs).fit(x, few)
    np.testing.assert_array_equal(auto.predict_proba(x), same.predict_proba(x))


def test_auto_of_a_regressor_takes_a_line_where_there_is_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5))
    y = x @ np.arange(5.0)
    auto = SDARegressor(**SMALL, head="auto", epochs=3).fit(x, y)
    assert auto.head_ == "linear"
    assert auto.score(x, y) > 0.99


def test_linear_head_bends_by_its_waves():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (600, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)  # exclusive or
    few = np.where(np.arange(600) < 200, y, -1)
    classifier = SDAClassifier(**SMALL, head="linear").fit(x, few)
    assert classifier.score(x[200:], y[200:]) > 0.9


def test_auto_takes_the_network_where_it_errs_less():
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (400, 12))
    y = (np.prod(x[:, :3], axis=1) > 0).astype(int)  # parity of three of twelve
    auto = SDAClassifier(
        **SMALL | {"hidden_units": (16,)}, head="auto", epochs=100, learning_rate=0.03
    ).fit(x, y)
    assert auto.head_ == "finetune"
    assert auto.score(x, y) > 0.9


def test_linear_head_takes_what_the_network_takes(cancer):
    x, _, few = cancer
    dense = SDAClassifier(**SMALL, scale=None, head="linear").fit(x / x.max(axis=0), few)
    sparse = SDAClassifier(**SMALL, scale=None, head="linear").fit(csr_matrix(x / x.max(0)), few)
    rows = x / x.max(axis=0)
    # Pretraining on sparse rows comes to the same weights to rounding only.
    np.testing.assert_allclose(dense.predict_proba(rows), sparse.predict_proba(rows), atol=0.02)
    again = pickle.loads(pickle.dumps(dense))
    np.testing.assert_array_equal(again.predict_proba(rows), dense.predict_proba(rows))
    one_each = np.full(len(x), -1)
    one_each[[0, 20]] = [0, 1]
    for head in ("linear", "auto"):
        assert SDAClassifier(**SMALL, head=head).fit(x, one_each).predict(x).shape == (569,)


def test_head_is_checked(cancer):
    x, _, few = cancer
    with pytest.raises(ValueError, match="Argument `head` of SDAClassifier must be"):
        SDAClassifier(head="lienar").fit(x, few)
    with pytest.raises(ValueError, match=r"partial_fit\(\) trains the whole network.*head='auto'"):
        SDAClassifier(head="auto").partial_fit(x, few, classes=[0, 1])


@pytest.mark.full
def test_frames_are_predicted_by_the_better_head_unless_told_otherwise(people):
    frame, y = people
    few = np.where(np.arange(120) % 2 == 0, y, None)
    chosen = SDAClassifier(**SMALL, epochs=0).fit(frame, few)
    assert chosen.head_ == "linear", "an untrained network knows nothing"
    assert SDAClassifier(**SMALL, epochs=0, head="finetune").fit(frame, few).head_ == "finetune"
    numbers = frame[["member"]].assign(age=frame["age"].fillna(0))
    assert SDAClassifier(**SMALL, epochs=0).fit(numbers, few).head_ == "finetune"
    steps = SDAClassifier(**SMALL).partial_fit(frame, y, classes=["no", "yes"])
    assert "loss" in steps.history_
