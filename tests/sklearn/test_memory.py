"""Pretraining that is remembered: the same results, and each pretraining once."""

import joblib
import numpy as np
import pytest
from estimators import QUICK
from scipy.sparse import csr_matrix
from sklearn.model_selection import GridSearchCV

from keras_sda.layers import MaskingNoise
from keras_sda.sklearn import SDAClassifier, SDARegressor, SDATransformer

OPTIONS = QUICK | {"noise": "gaussian", "noise_level": 0.2, "pretrain_epochs": 3}


def entries(folder):
    """Returns how many pretrainings a folder remembers."""
    return len(list(folder.rglob("output.pkl")))


def test_results_are_the_same_to_the_bit(rows, tmp_path):
    x, y = rows
    options = OPTIONS | {"epochs": 3, "dropout": 0.3, "finetune_noise_level": 0.1}
    plain = SDAClassifier(**options).fit(x, y)
    for _ in range(2):
        remembered = SDAClassifier(**options, memory=tmp_path).fit(x, y)
        np.testing.assert_array_equal(remembered.predict_proba(x), plain.predict_proba(x))
        assert remembered.histories_ == plain.histories_
        assert remembered.history_ == plain.history_
        rebuilt = remembered.model_.reconstruct(remembered.scaling_(x))
        np.testing.assert_array_equal(rebuilt, plain.model_.reconstruct(plain.scaling_(x)))
    assert entries(tmp_path) == 1


def test_training_further_goes_on_as_without(rows, tmp_path):
    x, _ = rows
    plain = SDATransformer(**OPTIONS, epochs=2).fit(x).partial_fit(x)
    for _ in range(2):
        remembered = SDATransformer(**OPTIONS, epochs=2, memory=str(tmp_path)).fit(x)
        np.testing.assert_array_equal(remembered.partial_fit(x).transform(x), plain.transform(x))


def test_a_grid_search_pretrains_once_a_fold(rows, tmp_path):
    x, y = rows
    memory = joblib.Memory(tmp_path, verbose=0)
    grid = {"learning_rate": [1e-3, 1e-2], "head": ["finetune", "linear"]}
    search = GridSearchCV(SDAClassifier(**OPTIONS, epochs=2, memory=memory), grid, cv=2).fit(x, y)
    assert entries(tmp_path) == 3, "two folds, and all rows in the end"
    alone = GridSearchCV(SDAClassifier(**OPTIONS, epochs=2), grid, cv=2).fit(x, y)
    scores = "mean_test_score"
    np.testing.assert_array_equal(search.cv_results_[scores], alone.cv_results_[scores])


@pytest.mark.parametrize(
    "other",
    [
        {"random_state": 1},
        {"noise_level": 0.3},
        {"pretrain_epochs": [2]},
        {"hidden_units": np.array([5])},
        {"noise": MaskingNoise(0.2)},
        {"scale": "unit"},
        {"batch_size": 64},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_pretraining_reads_makes_another_one(other, rows, tmp_path):
    x, _ = rows
    SDATransformer(**OPTIONS, memory=tmp_path).fit(x)
    for _ in range(2):
        changed = SDATransformer(**OPTIONS | other, memory=tmp_path).fit(x)
        expected = SDATransformer(**OPTIONS | other).fit_transform(x)
        np.testing.assert_array_equal(changed.transform(x), expected)
    assert entries(tmp_path) == 2
    SDATransformer(**OPTIONS, memory=tmp_path).fit(x[:-1])
    assert entries(tmp_path) == 3


def test_sparse_rows_and_targets(rows, tmp_path):
    x, y = rows
    packed = csr_matrix(np.where(x > 1, x, 0))
    for epochs in (1, 2):
        SDARegressor(**OPTIONS, epochs=epochs, memory=tmp_path).fit(packed, y)
    assert entries(tmp_path) == 1


def test_memory_is_checked(rows):
    with pytest.raises(ValueError, match="'memory' should be None, a string or"):
        SDATransformer(**OPTIONS, memory=3).fit(rows[0])
