"""The scikit-learn estimators: scikit-learn's own checks, and what those do not cover."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
from estimators import QUICK, kernel
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import keras_sda
from keras_sda.sklearn import (
    EXPECTED_FAILED_CHECKS,
    CodeSpreading,
    LadderClassifier,
    SDAClassifier,
    SDAImputer,
    SDAOutlierDetector,
    SDARegressor,
    SDATransformer,
)

ESTIMATORS = [
    SDAClassifier,
    SDARegressor,
    SDATransformer,
    SDAOutlierDetector,
    SDAImputer,
    LadderClassifier,
    CodeSpreading,
]


# What `test_a_row_is_judged_alone` looks at as well.
ROUNDING = {"check_methods_sample_order_invariance", "check_methods_subset_invariance"}


def check_as_scikit_learn_does(estimator):
    """Runs scikit-learn's own checks, of which those fail that the package names, and no others."""
    expected = EXPECTED_FAILED_CHECKS[type(estimator).__name__]
    results = check_estimator(
        estimator, expected_failed_checks=expected, on_skip=None, on_fail=None
    )
    failed = [
        (result["check_name"], result["exception"])
        for result in results
        if result["status"] == "failed"
    ]
    assert not failed
    # An entry that no longer fails must be removed; those of rounding fail on some processors only.
    xfailed = {result["check_name"] for result in results if result["status"] == "xfail"}
    assert xfailed | ROUNDING == set(expected) | ROUNDING
    assert len(expected) <= 4
    assert all(len(reason) > 20 for reason in expected.values())
    assert sum(result["status"] == "passed" for result in results) > 40


@pytest.fixture
def eagerly():
    """Has TensorFlow compute at once: tracing takes most of the time of a fit on a few rows."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


# Enough to tell three clouds apart, in one step an epoch.
FEW_STEPS = {"pretrain_epochs": 1, "hidden_units": (8,), "batch_size": 256}


SUPERVISED = FEW_STEPS | {"epochs": 6, "learning_rate": 0.3}
# A cost of the output alone: those of the levels below take far longer to compute at once, and
# outweigh so few epochs of labels.
LADDER = {
    "hidden_units": (8,),
    "denoising_weights": [0.0, 0.0, 0.1],
    "epochs": 12,
    "batch_size": 256,
    "learning_rate": 0.1,
}


# The other backends take as long again, and the estimators know none.
@pytest.mark.tensorflow_only
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "estimator",
    [
        SDAClassifier(**SUPERVISED),
        pytest.param(SDATransformer(**FEW_STEPS), marks=pytest.mark.full),
        # One fit and not six.
        pytest.param(
            SDAOutlierDetector(**FEW_STEPS, calibration="training"), marks=pytest.mark.full
        ),
        pytest.param(SDAImputer(hidden_units=(8,), epochs=1), marks=pytest.mark.full),
        pytest.param(LadderClassifier(**LADDER), marks=pytest.mark.full),
        CodeSpreading(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_scikit_learns_own_checks_in_few_steps(estimator, eagerly):
    check_as_scikit_learn_does(estimator)


@pytest.mark.full
@pytest.mark.tensorflow_only
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_scikit_learns_own_checks(cls):
    check_as_scikit_learn_does(cls())


@pytest.mark.parametrize(
    ("estimator", "method"),
    [
        (SDAClassifier(**SUPERVISED), "predict_proba"),
        (SDATransformer(**FEW_STEPS), "transform"),
        (SDAOutlierDetector(**FEW_STEPS, calibration="training"), "score_samples"),
        (SDARegressor(**SUPERVISED), "predict"),
        (SDAImputer(hidden_units=(8,), epochs=1), "transform"),
        (LadderClassifier(**LADDER), "predict_proba"),
    ],
    ids=lambda each: type(each).__name__ if hasattr(each, "fit") else each,
)
def test_a_row_is_judged_alone(estimator, method, rows):
    """To the digits of float32, where scikit-learn's checks compare further ones."""
    x, y = rows
    judge = getattr(estimator.fit(x, y), method)
    together = judge(x)
    np.testing.assert_allclose(judge(x[::-1])[::-1], together, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(judge(x[7:20]), together[7:20], rtol=1e-5, atol=1e-6)


def test_expected_failures_name_all_estimators():
    assert set(EXPECTED_FAILED_CHECKS) == {cls.__name__ for cls in ESTIMATORS}
    assert keras_sda.sklearn.SDAClassifier is SDAClassifier


def test_estimators_learn_from_unscaled_data(rows):
    x, y = rows
    assert SDAClassifier(random_state=0).fit(x, y).score(x, y) > 0.85
    target = 1e6 + 1e3 * (x[:, 0] - 100) + 300 * x[:, 1]
    assert SDARegressor(random_state=0).fit(x, target).score(x, target) > 0.85


def test_weight_zero_is_the_same_as_no_label(rows):
    x, y = rows
    weight = np.where(np.arange(150) < 60, 2.0, 0.0)
    by_weight = SDAClassifier(**QUICK, epochs=3).fit(x, y, sample_weight=weight)
    by_label = SDAClassifier(**QUICK, epochs=3).fit(x, np.where(weight > 0, y, -1))
    np.testing.assert_array_equal(by_weight.predict_proba(x), by_label.predict_proba(x))
    target = np.where(weight > 0, x[:, 0], np.nan)
    by_weight = SDARegressor(**QUICK, epochs=3).fit(x, x[:, 0], sample_weight=weight)
    by_label = SDARegressor(**QUICK, epochs=3).fit(x, target)
    np.testing.assert_array_equal(by_weight.predict(x), by_label.predict(x))


@pytest.mark.tensorflow_only  # elsewhere, rows that are not in memory are shuffled otherwise
@pytest.mark.parametrize("scale", ["standard", "unit", "symmetric", None])
def test_sparse_and_dense_rows_give_the_same(rows, scale):
    x, y = rows
    x = np.where(x > np.median(x, axis=0), x, 0.0)
    x[:, 3] = 2.0
    loss = "auto" if scale == "unit" else "squared_error"
    options = QUICK | {"scale": scale, "reconstruction_loss": loss, "epochs": 2}
    dense = SDAClassifier(**options).fit(x, y)
    packed = sparse.csc_array(x)
    thin = SDAClassifier(**options).fit(packed, y)
    np.testing.assert_allclose(thin.scaling_(x), dense.scaling_(x), atol=1e-6)
    np.testing.assert_allclose(kernel(thin), kernel(dense), atol=1e-5)
    np.testing.assert_allclose(thin.predict_proba(packed), dense.predict_proba(x), atol=1e-5)
    np.testing.assert_allclose(thin.encode(packed), dense.encode(x), atol=1e-5)


def test_pipeline_and_grid_search_survive_a_new_process(digits, tmp_path):
    x, y = digits[0][:300], digits[1][:300]
    pipeline = make_pipeline(
        StandardScaler(), SDAClassifier(pretrain_epochs=3, epochs=20, scale=None, random_state=0)
    )
    grid = {
        "sdaclassifier__noise": ["masking", "gaussian"],
        "sdaclassifier__hidden_units": [(16,), [24]],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(x, y)
    assert search.best_score_ > 0.6
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    joblib.dump(search.best_estimator_, tmp_path / "best.joblib")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import joblib, json, numpy as np\n"
        "best = joblib.load('best.joblib')\n"
        "print(json.dumps(best.predict_proba(np.load('x.npy')).tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    again = np.array(json.loads(done.stdout.splitlines()[-1]))
    np.testing.assert_array_equal(again, search.predict_proba(x))


def test_cross_val_score_is_reproducible(rows):
    x, y = rows
    classifier = SDAClassifier(**QUICK, epochs=3)
    first, second = (cross_val_score(classifier, x, y, cv=2) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_seeds(rows):
    x, _ = rows
    same = [SDATransformer(**QUICK).fit_transform(x) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    other = SDATransformer(**QUICK | {"random_state": 1}).fit_transform(x)
    assert np.abs(other - same[0]).max() > 1e-3
    drawn = [
        SDATransformer(**QUICK | {"random_state": np.random.RandomState(3)}).fit_transform(x)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*drawn)


def test_keras_objects_as_parameters(rows):
    x, _ = rows
    noise = keras_sda.layers.MaskingNoise(0.2)
    options = QUICK | {
        "noise": noise,
        "optimizer": keras.optimizers.SGD(0.1),
        "kernel_initializer": keras_sda.initializers.SigmoidGlorotUniform(),
    }
    transformer = SDATransformer(**options).fit(x)
    assert transformer.noise is noise
    assert transformer.model_.noise_layers[0] is not noise
    codes = clone(transformer).fit_transform(x)
    np.testing.assert_array_equal(codes, transformer.transform(x))


def test_pickling_does_not_change_the_estimator(rows):
    x, y = rows
    classifier = SDAClassifier(**QUICK, epochs=2).fit(x, y)
    model = classifier.model_
    again = pickle.loads(pickle.dumps(classifier))
    assert classifier.model_ is model
    np.testing.assert_array_equal(again.predict_proba(x), classifier.predict_proba(x))
    assert again.get_params() == classifier.get_params()
    again.partial_fit(x, y)  # trains further
    assert len(again.history_["loss"]) == 3
    assert pickle.loads(pickle.dumps(SDAClassifier(epochs=7))).epochs == 7


def test_tables_with_names(rows):
    x, _ = rows
    table = pd.DataFrame(x, columns=list("abcde"), index=range(1000, 1150))
    transformer = SDATransformer(**QUICK).set_output(transform="pandas").fit(table)
    assert transformer.feature_names_in_.tolist() == list("abcde")
    codes = transformer.transform(table)
    assert codes.columns.tolist() == [f"sdatransformer{number}" for number in range(6)]
    assert codes.index.tolist() == table.index.tolist()
    with pytest.raises(ValueError, match="feature names should match"):
        transformer.transform(table[list("edcba")])


def test_partial_fit_of_regressor_and_transformer(rows):
    x, _ = rows
    regressor = SDARegressor(**QUICK)
    for _ in range(3):
        regressor.partial_fit(x, x[:, 0])
    assert len(regressor.history_["loss"]) == 3
    transformer = SDATransformer(**QUICK).partial_fit(x[:100])
    before, scaling = kernel(transformer), transformer.scaling_
    transformer.partial_fit(x[100:])
    assert np.abs(kernel(transformer) - before).max() > 1e-5
    assert transformer.scaling_ is scaling
    transformer.set_params(epochs=2).partial_fit(x)
    assert len(transformer.history_["loss"]) == 2


def test_early_stopping_restores_the_best_weights(rows):
    x, y = rows
    options = QUICK | {"learning_rate": 0.3, "epochs": 200, "patience": 3}
    classifier = SDAClassifier(**options, early_stopping=True, validation_fraction=0.2)
    losses = classifier.fit(x, y).history_["val_loss"]
    assert len(losses) < 200
    assert len(losses) == np.argmin(losses) + 1 + 3
    regressor = SDARegressor(**options, early_stopping=True).fit(x, x[:, 0])
    assert "val_loss" in regressor.history_


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (SDAClassifier, {"epochs": -1}, "`epochs` of SDAClassifier must be a whole number"),
        (SDARegressor, {"epochs": 1.5}, "`epochs` of SDARegressor must be a whole number"),
        (SDATransformer, {"epochs": -1}, "`epochs` of SDATransformer must be a whole number"),
        (SDAClassifier, {"patience": 0}, "`patience` of SDAClassifier must be a whole number"),
        (SDAClassifier, {"validation_fraction": 1}, r"must lie in \(0, 1\). Received"),
        (SDAClassifier, {"scale": "log"}, "`scale` of SDAClassifier must be one of 'unit'"),
        (SDAClassifier, {"hidden_units": 8}, "`hidden_units` of .* must list the units"),
        (SDAClassifier, {"noise_level": 2}, r"must lie in \[0, 1\]"),
        (SDARegressor, {"unlabelled": -1}, "`unlabelled` of SDARegressor must be one of None"),
        (SDATransformer, {"level": 1}, "`level` of SDATransformer must be 'all' or a number from"),
        (SDATransformer, {"level": "last"}, "must be 'all' or a number from -1 to 0. Received"),
        (SDAOutlierDetector, {"contamination": 0}, r"must lie in \(0, 0.5\], or be"),
        (SDAOutlierDetector, {"contamination": 0.6}, r"must lie in \(0, 0.5\], or be"),
        (SDAOutlierDetector, {"contamination": 2}, r"must be 'auto', or lie in \[0, 1\]"),
    ],
)
def test_refused_parameters(rows, cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(**QUICK | options).fit(*rows)


def test_refused_data(rows):
    x, y = rows
    classifier = SDAClassifier(**QUICK)
    with pytest.raises(ValueError, match="at least two classes. Received no label"):
        SDAClassifier(**QUICK, unlabelled=-1).fit(x, np.full(150, -1))
    with pytest.raises(ValueError, match="both a label and a weight above 0. Received none"):
        classifier.fit(x, np.where(y == 0, -1, y), sample_weight=(y == 0).astype(float))
    with pytest.raises(ValueError, match="both a target and a weight above 0. Received none"):
        SDARegressor(**QUICK).fit(x, np.full(150, np.nan))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        SDARegressor(**QUICK, unlabelled=None).fit(x, np.where(y == 0, np.nan, y))
    with pytest.raises(ValueError, match="at least one non-zero number. Received numbers from 0"):
        classifier.fit(x, y, sample_weight=np.zeros(150))
    with pytest.raises(ValueError, match="numbers of at least 0 in `sample_weight`"):
        classifier.fit(x, y, sample_weight=-np.ones(150))
    with pytest.raises(ValueError, match="one number per row. Received shape"):
        classifier.fit(x, y, sample_weight=np.ones((150, 2)))
    with pytest.raises(ValueError, match="needs `classes`, a list of all classes"):
        classifier.partial_fit(x, y)
    with pytest.raises(ValueError, match="has nothing to stop: use fit"):
        SDAClassifier(**QUICK, early_stopping=True).partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"knows the classes \[0, 1\]. Received also: 2"):
        classifier.partial_fit(x, y, classes=[0, 1])


def test_refused_later(rows):
    x, y = rows
    quick = QUICK | {"pretrain_epochs": 0}
    classifier = SDAClassifier(**quick).partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"same `classes` in each call, here \[0, 1, 2\]"):
        classifier.partial_fit(x, y, classes=[0, 1])
    regressor = SDARegressor(**quick).partial_fit(x, x[:, 0])
    with pytest.raises(ValueError, match=r"here \(rows\). Received shape \(150, 2\)"):
        regressor.partial_fit(x, x[:, :2])
    transformer = SDATransformer(**quick).fit(x)
    with pytest.raises(ValueError, match=r"codes of shape \(rows, 6\).* Received shape \(150, 5\)"):
        transformer.inverse_transform(x)


@pytest.mark.full
@pytest.mark.tensorflow_only
def test_few_labels_benchmark_runs(tmp_path):
    script = Path(__file__).parents[2] / "benchmarks" / "few_labels.py"
    command = [sys.executable, script, "--quick", "--repeats", "2", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "few_labels.json").read_text())
    for name, values in content["test_accuracy"].items():
        assert content["summary"][name]["mean"] == pytest.approx(np.mean(values))
        low, high = content["summary"][name]["interval"]
        # Student's t of two values: 12.706 times half their distance.
        assert (high - low) / 2 == pytest.approx(12.706 * abs(values[1] - values[0]) / 2, rel=1e-4)
    tried = content["search"]["network, pretrained"]
    best = max(entry["valid_accuracy"] for entry in tried)
    first = next(entry for entry in tried if entry["valid_accuracy"] == best)
    assert first["options"] == content["chosen"]["network, pretrained"]
