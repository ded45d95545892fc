"""Label spreading: against the closed form, where no label leads, and on digits."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading

import keras_sda as ks
from keras_sda.sklearn import CodeSpreading, SDATransformer


@pytest.fixture
def clouds():
    """90 rows of 3 features in three clouds, their classes, and the labels of 9 of them."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.normal(size=(90, 3)) + 4.0 * np.eye(3)[y]
    return x, y, np.where(np.arange(90) < 9, y, -1)


def closed_form(x, given, count, alpha):
    """The spreading of Zhou et al. with dense matrices, from the definition."""
    distances = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argsort(axis=1)[:, :count]
    width = np.median(np.sort(distances, axis=1)[:, count - 1]) / 3
    weights = np.zeros_like(distances)
    for row, others in enumerate(nearest):
        weights[row, others] = np.exp(-(distances[row, others] ** 2) / (2 * width**2))
    weights = (weights + weights.T) / 2
    roots = np.sqrt(weights.sum(axis=1))
    normalised = weights / roots[:, None] / roots[None]
    return (1 - alpha) * np.linalg.inv(np.eye(len(x)) - alpha * normalised) @ given, width


def test_three_rows_by_hand():
    # The nearest neighbours are 1, 0 and 1, at distances 1, 1 and 2: the width is 1/3.
    x = np.array([[0.0], [1.0], [3.0]])
    spreading = CodeSpreading(n_neighbors=1, alpha=0.5, class_mass=None).fit(x, ["a", "?", "b"])
    assert spreading.classes_.tolist() == ["?", "a", "b"]
    spreading = clone(spreading).set_params(unlabelled="?").fit(x, ["a", "?", "b"])
    assert spreading.classes_.tolist() == ["a", "b"]
    assert spreading.width_ == pytest.approx(1 / 3)
    both, one = np.exp(-4.5), np.exp(-18) / 2  # the last row is no neighbour of the middle one
    left, right = both / np.sqrt(both * (both + one)), one / np.sqrt(one * (both + one))
    system = np.array([[1, -left / 2, 0], [-left / 2, 1, -right / 2], [0, -right / 2, 1]])
    expected = 0.5 * np.linalg.inv(system) @ [[1, 0], [0, 0], [0, 1]]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(spreading.label_distributions_, expected, rtol=1e-6)
    assert spreading.transduction_.tolist() == ["a", "a", "b"]


@pytest.mark.parametrize(("count", "alpha"), [(5, 0.99), (3, 0.5), (1000, 0.9)])
def test_closed_form(clouds, count, alpha):
    x, _, few = clouds
    given = np.eye(4)[few][:, :3]  # -1 is the last row, which is zero in the first three columns
    expected, width = closed_form(x, given, min(count, 89), alpha)
    options = {"n_neighbors": count, "alpha": alpha}
    spreading = CodeSpreading(**options, class_mass=None).fit(x, few)
    assert spreading.width_ == pytest.approx(width)
    shares = expected / expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(spreading.label_distributions_, shares, atol=1e-7)
    assert (spreading.transduction_ == expected.argmax(axis=1)).all()


def test_class_masses(clouds):
    x, y, few = clouds
    x = x - 2 * np.eye(3)[y]  # half as far apart, so that the classes overlap
    few = np.where(np.isin(np.arange(90), [0, 3]), -1, few)  # 1, 3 and 3 labels
    free = CodeSpreading(class_mass=None).fit(x, few).label_distributions_
    weighted = free * ([1 / 7, 3 / 7, 3 / 7] / free.sum(axis=0))
    weighted /= weighted.sum(axis=1, keepdims=True)
    spreading = CodeSpreading().fit(x, few)
    np.testing.assert_allclose(spreading.label_distributions_, weighted, atol=1e-12)
    thirds = CodeSpreading(class_mass=[2, 2, 2]).fit(x, few).label_distributions_
    # One label of the first class gave it less than the third that it has.
    assert free[:, 0].sum() < thirds[:, 0].sum()
    assert (thirds[:, 0] > weighted[:, 0]).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_alpha_next_to_one(clouds):
    """However rough the solution, a row without edges keeps its own label."""
    x, _, few = clouds
    x, few = np.concatenate([x, [[1e4, 0, 0]]]), np.append(few, 2)  # the nearest have class 0
    for alpha in (1 - 1e-9, 1 - 1e-12):
        spreading = CodeSpreading(alpha=alpha).fit(x, few)
        assert spreading.transduction_[-1] == 2
        np.testing.assert_allclose(spreading.label_distributions_.sum(axis=1), 1)


def test_new_rows_by_hand():
    x = np.array([[0.0], [1.0], [4.0], [6.0]])
    spreading = CodeSpreading(n_neighbors=2).fit(x, [0, -1, 2, 1])
    # The nearest two of 3 are 4 and 1, at distances 1 and 2; of 100, 6 and 4.
    near = np.exp(-1 / (2 * spreading.width_**2)), np.exp(-4 / (2 * spreading.width_**2))
    known = spreading.label_distributions_
    expected = (near[0] * known[2] + near[1] * known[1]) / sum(near)
    proba = spreading.predict_proba([[3.0], [100.0]])
    np.testing.assert_allclose(proba, [expected, known[3]], rtol=1e-9)
    assert spreading.predict([[3.0], [100.0]]).tolist() == [2, 1]


def test_rows_out_of_reach():
    """Weights fall to zero with the distance; each such row follows the nearest, or its label."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2)) + np.repeat([[0, 0], [20, 0]], 40, axis=0)
    x = np.concatenate([x, [[1e4, 0], [-1e6, 0], [0, 1e5]]])
    y = np.full(83, -1)
    y[:3], y[40:43], y[82] = 0, 1, 1
    spreading = CodeSpreading().fit(x, y)
    assert spreading.transduction_[[80, 81, 82]].tolist() == [1, 0, 1]
    assert np.isfinite(spreading.label_distributions_).all()
    np.testing.assert_allclose(spreading.label_distributions_.sum(axis=1), 1)
    assert (spreading.transduction_[:80] == np.repeat([0, 1], 40)).all()


def test_components_without_labels():
    """Four clusters, too far apart for edges; two of them have labels, two are close to them."""
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [100, 0], [0, 30], [100, 30]])
    x = np.repeat(corners, 20, axis=0) + rng.normal(size=(80, 2))
    y = np.full(80, -1)
    y[0], y[20] = 5, 6
    spreading = CodeSpreading().fit(x, y)
    assert spreading.transduction_.tolist() == [5] * 20 + [6] * 20 + [5] * 20 + [6] * 20
    # The rows near the first cluster's upper rim copy those; none gets a class at random.
    assert spreading.label_distributions_[40:60, 0].min() > 0.99


def test_equal_rows():
    spreading = CodeSpreading().fit(np.ones((30, 2)), [0, 1, 1] + [-1] * 27)
    assert np.isfinite(spreading.label_distributions_).all()
    copies = np.repeat([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]], [20, 1, 20], axis=0)
    spreading = CodeSpreading().fit(copies, [0] + [-1] * 39 + [1])
    assert spreading.transduction_.tolist() == [0] * 21 + [1] * 20


@pytest.mark.parametrize("missing", [-1, None, np.nan, pd.NA, float("nan")])
@pytest.mark.parametrize("names", [["a", "b", "c"], [3, 4, 5]])
def test_missing_labels(clouds, missing, names):
    x, y, few = clouds
    expected = np.array(names)[CodeSpreading().fit(x, few).transduction_]
    labels = [names[label] if label >= 0 else missing for label in few]
    for given in (np.array(labels, dtype=object), pd.Series(labels, dtype=object)):
        spreading = CodeSpreading().fit(x, given)
        assert spreading.classes_.tolist() == names
        assert spreading.transduction_.tolist() == expected.tolist()
        assert spreading.score(x, np.array(names)[y]) > 0.9


def test_which_label_marks_unlabelled_rows(clouds):
    x, y, few = clouds
    numbers = np.where(few < 0, np.nan, few)
    assert CodeSpreading().fit(x, numbers).classes_.tolist() == [0, 1, 2]
    two = np.where(y == 0, -1, 1)  # otherwise there would be one class
    assert CodeSpreading().fit(x, two).classes_.tolist() == [-1, 1]
    assert CodeSpreading(unlabelled=None).fit(x, few).classes_.tolist() == [-1, 0, 1, 2]
    assert CodeSpreading(unlabelled=0).fit(x, y).classes_.tolist() == [1, 2]


def test_sparse_and_dense_rows_give_the_same(clouds):
    x, _, few = clouds
    x = np.where(x > 0, x, 0.0)
    dense, thin = CodeSpreading().fit(x, few), CodeSpreading().fit(sparse.csc_array(x), few)
    np.testing.assert_allclose(thin.label_distributions_, dense.label_distributions_, atol=1e-8)
    probabilities = thin.predict_proba(sparse.csr_array(x))
    np.testing.assert_allclose(probabilities, dense.predict_proba(x), atol=1e-8)


def test_encoders(clouds):
    x, _, few = clouds
    x = x * [1, 100, 1]  # the second feature would outweigh the others
    plain = StandardScaler()
    spreading = CodeSpreading(encoder=plain).fit(x, few)
    assert not hasattr(plain, "mean_")
    by_hand = CodeSpreading().fit(StandardScaler().fit_transform(x), few)
    np.testing.assert_array_equal(spreading.transduction_, by_hand.transduction_)
    new = x[:5] + 0.1
    scaled = spreading.encoder_.transform(new)
    np.testing.assert_array_equal(spreading.predict_proba(new), by_hand.predict_proba(scaled))

    fitted = StandardScaler().fit(10 * x)
    frozen = CodeSpreading(encoder=FrozenEstimator(fitted)).fit(x, few)
    by_hand = CodeSpreading().fit(fitted.transform(x), few)
    np.testing.assert_array_equal(frozen.label_distributions_, by_hand.label_distributions_)

    class Halves:
        def transform(self, rows):
            return rows / 2

    halved = CodeSpreading(encoder=Halves()).fit(x, few)
    np.testing.assert_array_equal(halved.transduction_, CodeSpreading().fit(x, few).transduction_)


def test_codes_of_a_network(clouds):
    x, y, few = clouds
    network = SDATransformer(hidden_units=(6,), pretrain_epochs=2, random_state=0)
    spreading = CodeSpreading(encoder=network).fit(x, few)
    by_hand = CodeSpreading().fit(network.fit_transform(x), few)
    np.testing.assert_array_equal(spreading.label_distributions_, by_hand.label_distributions_)
    again = pickle.loads(pickle.dumps(spreading))
    np.testing.assert_array_equal(again.predict_proba(x), spreading.predict_proba(x))
    search = GridSearchCV(spreading, {"encoder__hidden_units": [(4,), (6,)]}, cv=2).fit(x, y)
    assert search.best_score_ > 0.8


def test_tables_with_names(clouds):
    x, _, few = clouds
    table = pd.DataFrame(x, columns=list("abc"))
    spreading = CodeSpreading().fit(table, few)
    assert spreading.feature_names_in_.tolist() == list("abc")
    with pytest.raises(ValueError, match="feature names should match"):
        spreading.predict(table[list("cba")])


def test_many_rows_need_no_square_array():
    """60,000 rows: their square array alone would take 28 GB."""
    rng = np.random.default_rng(0)
    y = np.arange(60_000) % 2
    x = rng.normal(size=(60_000, 2)) + 8.0 * y[:, None]
    few = np.where(np.arange(60_000) < 20, y, -1)
    assert (CodeSpreading().fit(x, few).transduction_ == y).mean() > 0.999


def test_more_accurate_than_scikit_learns_on_digits():
    """50 labels, three draws; the rows that are compared are training rows without a label."""
    x, y = ks.datasets.load("digits").train
    ours, theirs = [], []
    for seed in range(3):
        few, rest = train_test_split(
            np.arange(len(x)), train_size=50, stratify=y, random_state=seed
        )
        labels = np.full_like(y, -1)
        labels[few] = y[few]
        ours.append((CodeSpreading().fit(x, labels).transduction_ == y)[rest].mean())
        other = LabelSpreading(kernel="knn", alpha=0.99, max_iter=1000).fit(x, labels)
        theirs.append((other.transduction_ == y)[rest].mean())
    assert np.mean(ours) > 0.96
    assert np.mean(ours) > np.mean(theirs) + 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_neighbors": 0}, "`n_neighbors` of CodeSpreading must be a whole number of at least 1"),
        ({"alpha": 1}, r"`alpha` of CodeSpreading must lie in \(0, 1\). Received: alpha=1"),
        ({"alpha": 1.5}, r"`alpha` of CodeSpreading must lie in \[0, 1\]"),
        ({"encoder": "pca"}, "`encoder` of CodeSpreading must be None or have a method"),
        ({"class_mass": "equal"}, "be 'labels', None or 3 numbers above 0, one for each class"),
        ({"class_mass": [0.5, 0.5]}, r"3 numbers above 0.* Received: class_mass=\[0.5, 0.5\]"),
        ({"class_mass": [1, 1, 0]}, "3 numbers above 0"),
        ({"class_mass": True}, "3 numbers above 0"),
    ],
)
def test_refused_parameters(clouds, options, message):
    with pytest.raises(ValueError, match=message):
        CodeSpreading(**options).fit(clouds[0], clouds[2])


def test_refused_data(clouds):
    x, y, few = clouds
    with pytest.raises(ValueError, match="CodeSpreading needs labels of at least two.* no label"):
        CodeSpreading().fit(x, np.full(90, np.nan))
    with pytest.raises(ValueError, match=r"at least two classes. Received one class: \[1\]"):
        CodeSpreading(unlabelled=-1).fit(x, np.where(y == 1, 1, -1))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        CodeSpreading().fit(x, few[:-1])
    with pytest.raises(ValueError, match="Unknown label type"):
        CodeSpreading().fit(x, np.where(few < 0, np.nan, few + 0.5))
    with pytest.raises(NotFittedError):
        CodeSpreading().predict(x)


def test_a_solution_that_is_not_exact_is_reported(clouds, monkeypatch):
    from keras_sda.sklearn import spreading

    def one_step(system, column, rtol):
        return original(system, column, rtol=rtol, maxiter=1)

    original = spreading.cg
    monkeypatch.setattr(spreading, "cg", one_step)
    with pytest.warns(ConvergenceWarning, match="choose an alpha further from 1"):
        CodeSpreading().fit(clouds[0], clouds[2])
