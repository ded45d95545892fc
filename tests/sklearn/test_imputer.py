"""The imputer: what it fills, what it leaves alone, and how well."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from keras_sda.sklearn import SDAImputer

QUICK = {"hidden_units": (8,), "epochs": 2, "random_state": 0}


def people(rows=300, seed=0):
    """A table whose columns tell much of each other, with a tenth of the cells gone."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 60, rows).round(1)
    table = pd.DataFrame(
        {
            "age": age,
            "income": 100 * age + rng.normal(0, 50, rows),
            "group": np.where(age < 30, "young", np.where(age < 45, "middle", "old")),
            "adult": age > 40,
        }
    )
    gone = rng.random(table.shape) < 0.1
    return table, table.astype({"adult": object}).mask(gone), gone


def test_it_beats_mean_and_mode_where_columns_tell_of_each_other():
    table, gapped, gone = people()
    filled = SDAImputer(random_state=0).fit_transform(gapped)
    assert not filled.isna().to_numpy().any()
    for place, name in enumerate(table):
        there = ~gone[:, place]
        assert filled[name][there].tolist() == gapped[name][there].tolist()
    hidden = gone[:, 1]
    errors = (filled["income"] - table["income"])[hidden].astype(float)
    assert np.sqrt(np.mean(errors**2)) < 0.5 * table["income"].std()
    assert (filled["group"] == table["group"])[gone[:, 2]].mean() > 0.75
    assert (filled["adult"] == table["adult"])[gone[:, 3]].mean() > 0.75


def test_arrays_and_frames_give_the_same():
    _, gapped, _ = people()
    x = gapped[["age", "income"]].to_numpy("float64")
    by_array = SDAImputer(**QUICK).fit_transform(x)
    by_frame = SDAImputer(**QUICK).fit_transform(gapped[["age", "income"]])
    assert isinstance(by_array, np.ndarray)
    np.testing.assert_allclose(by_array, by_frame.to_numpy(), rtol=1e-6)
    again = SDAImputer(**QUICK).fit_transform(x.astype("float32"))
    assert again.dtype == "float32"


def test_constants_empty_columns_and_ids():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": range(50), "one": 7.0, "none": np.nan, "x": rng.normal(size=50)})
    imputer = SDAImputer(**QUICK).fit(table)
    table.loc[0] = np.nan
    filled = imputer.transform(table).loc[0]
    assert filled["one"] == 7.0
    assert np.isfinite(filled["x"])
    assert np.isnan(filled["none"])
    assert np.isnan(filled["id"])
    x = np.c_[np.arange(50.0), np.full(50, 7.0), np.full(50, np.nan)]
    x[0] = np.nan
    filled = SDAImputer(**QUICK).fit_transform(x)[0]
    assert filled[1] == 7.0
    assert np.isfinite(filled[0])
    assert np.isnan(filled[2])


@pytest.mark.full
def test_a_mark_of_its_own_and_the_indicator():
    x = np.random.default_rng(0).normal(size=(40, 3))
    marked, blank = x.copy(), x.copy()
    marked[:5, 1], blank[:5, 1] = -1, np.nan
    expected = SDAImputer(**QUICK).fit_transform(blank)
    np.testing.assert_array_equal(
        SDAImputer(**QUICK, missing_values=-1).fit_transform(marked), expected
    )
    imputer = SDAImputer(**QUICK, add_indicator=True).fit(blank)
    filled = imputer.transform(blank)
    np.testing.assert_array_equal(filled[:, :3], expected)
    np.testing.assert_array_equal(filled[:, 3], np.isnan(blank[:, 1]))
    assert imputer.get_feature_names_out()[3:].tolist() == ["missingindicator_x1"]
    _, gapped, gone = people(60)
    filled = SDAImputer(**QUICK, add_indicator=True).fit_transform(gapped)
    assert filled["missingindicator_age"].tolist() == gone[:, 0].tolist()
    whole = pd.DataFrame({"n": [1, 2, -1, 4] * 10, "m": [1.5, 2.5, 3.5, 4.5] * 10})
    filled = SDAImputer(**QUICK, missing_values=-1).fit_transform(whole)
    assert filled["n"].between(1, 4).all()


@pytest.mark.full
def test_pickle_clone_pipeline_and_set_output():
    _, gapped, _ = people(80)
    imputer = SDAImputer(**QUICK).fit(gapped)
    filled = imputer.transform(gapped)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(imputer)).transform(gapped), filled)
    pd.testing.assert_frame_equal(clone(imputer).fit_transform(gapped), filled)
    turned = imputer.transform(gapped[gapped.columns[::-1]])
    pd.testing.assert_frame_equal(turned[gapped.columns], filled)
    with pytest.raises(ValueError, match="lacks 1 of the 4 columns .*: income"):
        imputer.transform(gapped.drop(columns="income"))
    x = gapped[["age"]].to_numpy("float64")
    pipeline = make_pipeline(SDAImputer(**QUICK), LinearRegression()).fit(x, np.arange(80))
    assert pipeline.predict(x).shape == (80,)
    named = SDAImputer(**QUICK).set_output(transform="pandas").fit_transform(x)
    assert named.columns.tolist() == ["x0"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "`epochs` of SDAImputer must be 'auto', or be a whole number"),
        ({"learning_rate": 0}, "`learning_rate` of SDAImputer must be"),
        ({"removal_rate": (0.5, 2)}, r"`removal_rate` of CellDenoiser must lie in \[0, 1\]"),
        ({"kinds": {"age": "colour"}}, "kind of a column must be one of"),
    ],
)
def test_refused_parameters(options, message):
    _, gapped, _ = people(40)
    with pytest.raises(ValueError, match=message):
        SDAImputer(**QUICK | options).fit(gapped)
