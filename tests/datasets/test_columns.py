"""`Columns`: kinds, inputs by name, and the way back."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_sda.datasets import Columns
from keras_sda.datasets.number_maps import NumberMap, fit_number_map


def people() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": [f"person {number}" for number in range(40)],
            "row": range(100, 140),
            "age": [20.0, 30.0, None, 50.0] * 10,
            "sex": ["f", "m", "m", " "] * 10,
            "city": pd.Categorical(["Rome", "Oslo", "Bonn", None] * 10),
            "member": [True, False, True, True] * 10,
            "since": [datetime.date(2020 + year, month, 5) for year in range(4) for month in RANGE],
            "country": ["x"] * 40,
            "empty": [None] * 40,
            "income": np.arange(40) % 7 * 1000.0,
        }
    )


RANGE = range(1, 11)


def test_kinds_are_inferred():
    columns = Columns.fit(people(), target="income")
    kinds = {column.name: column.kind for column in columns.columns}
    assert kinds == {
        "name": "ignored",
        "row": "ignored",
        "age": "numeric",
        "sex": "binary",
        "city": "categorical",
        "member": "binary",
        "since": "date",
        "country": "ignored",
        "empty": "ignored",
    }
    assert "an id" in columns.columns[0].note
    assert "no value in any row" in str(columns)


def test_inputs_worked_by_hand():
    columns = Columns.fit(people()[["age", "sex", "city", "member"]])
    assert columns.input_names == (
        *("age", "age is missing", "sex = m", "sex is missing"),
        *("city = Bonn", "city = Oslo", "city = Rome", "city = (missing)"),
        "member",
    )
    # Ages 20, 30, 50: median 30, quartiles 20 and 50, so 50 is 2/3 quartile ranges above.
    above = (2 / 3) / np.sqrt(1 + (2 / 9) ** 2)
    x = columns(people())
    np.testing.assert_allclose(x[3], [above, 0, 0.5, 1, 0, 0, 0, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(x[2], [0, 1, 1, 0, 1, 0, 0, 0, 1])
    assert [tuple(group) for group in columns.groups] == [
        ("age", "numeric", 0, 2, True),
        ("sex", "binary", 2, 4, True),
        ("city", "categorical", 4, 8, False),
        ("member", "binary", 8, 9, False),
    ]


def test_columns_go_by_name():
    columns, table = Columns.fit(people(), target="income"), people()
    x = columns(table)
    np.testing.assert_array_equal(columns(table[table.columns[::-1]].assign(extra=1)), x)
    assert "extra" in columns.remarks(table.assign(extra=1))[0]
    assert columns.remarks(table) == []
    with pytest.raises(ValueError, match=r"lacks 2 of the 5 columns .*: age, city\. Add or rename"):
        columns(table.drop(columns=["age", "city"]))
    with pytest.raises(ValueError, match="'age' must hold numbers. Received: 'old'"):
        columns(table.assign(age="old"))


def test_what_training_never_had():
    table = pd.DataFrame(
        {"a": np.arange(30) % 7, "c": ["x", "y", "z"] * 10, "t": [True, False] * 15}
    )
    columns = Columns.fit(table)
    new = pd.DataFrame({"a": [None, 2], "c": ["new", None], "t": [None, True]})
    np.testing.assert_allclose(columns(new)[0], [0, 0, 0, 0, 0.5])
    assert not columns(new)[1, 1:4].any()
    assert columns.remarks(new) == ["Missing here, but never in training: a, c, t"]


def test_rare_categories_share_an_input():
    table = pd.DataFrame({"c": ["a"] * 300 + ["b"] * 300 + ["rare", "rarer"], "n": [1, 2] * 301})
    columns = Columns.fit(table)
    assert columns.input_names[:3] == ("c = a", "c = b", "c = (other)")
    assert columns(table)[-1, :3].tolist() == [0, 0, 1]
    assert len(Columns.fit(table, min_frequency=0).input_names) == 5


def test_inverse_has_the_units_of_the_table():
    table = people()
    columns = Columns.fit(table, target="income")
    back = columns.inverse(columns(table))
    np.testing.assert_allclose(back["age"], table["age"], rtol=1e-5)
    assert back["sex"].fillna("gone").tolist()[:4] == ["f", "m", "m", "gone"]
    assert back["city"].tolist()[:3] == ["Rome", "Oslo", "Bonn"]
    assert back["member"].tolist() == table["member"].tolist()
    assert back["since"].dt.year.tolist() == [day.year for day in table["since"]]


def test_kinds_asked_for():
    table = people()
    kinds = {"row": "numeric", "age": "categorical", "city": "ignore"}
    columns = Columns.fit(table, kinds=kinds)
    found = {column.name: column.kind for column in columns.columns}
    assert (found["row"], found["age"], found["city"]) == ("numeric", "categorical", "ignored")
    assert "age = 20" in columns.input_names
    with pytest.raises(ValueError, match="'city' cannot be numeric"):
        Columns.fit(table, kinds={"city": "numeric"})
    with pytest.raises(ValueError, match="no columns: agee. The table has name, row"):
        Columns.fit(table, kinds={"agee": "numeric"})
    with pytest.raises(ValueError, match="needs a column to learn from.*the same value"):
        Columns.fit(table[["country", "empty"]])


def test_text_of_dates_and_of_numbers():
    table = pd.DataFrame(
        {
            "day": ["2024-01-31", "2025-06-01T12:00", None] * 10,
            "number": ["1.5", " ", "22"] * 10,
            "code": ["00501", "10001", "94103"] * 10,
        }
    )
    columns = Columns.fit(table)
    assert [c.kind for c in columns.columns] == ["date", "numeric", "categorical"]
    assert columns.columns[0].parts == ("year", "week", "day")
    assert columns.columns[0].values == "2024-01-31 to 2025-06-01T12:00:00"


def test_arrays_only_without_doubt():
    x = np.random.default_rng(0).normal(size=(30, 3))
    columns = Columns.fit({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]})
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    np.testing.assert_array_equal(columns(x), columns(frame))
    with pytest.raises(ValueError, match="has no names"):
        columns(x[:, :2])


@pytest.mark.parametrize("scale", ["squash", "quantile", "standard", "unit", "symmetric", None])
def test_maps_of_numbers(scale):
    numbers = np.concatenate([np.zeros(500), np.random.default_rng(0).lognormal(size=500)])
    made = fit_number_map(numbers, scale)
    scaled = made(numbers)
    np.testing.assert_allclose(made.inverse(scaled), numbers, rtol=1e-6, atol=1e-9)
    limits = {"squash": (-3, 3), "unit": (0, 1), "symmetric": (-1, 1)}.get(scale)
    if limits:
        assert limits[0] <= scaled.min() < scaled.max() <= limits[1]
    if scale == "standard":
        np.testing.assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=1e-9)
    if scale == "quantile":  # ties share the middle of their ranks: a quarter of all
        np.testing.assert_allclose(scaled[0], -0.6744897501960817)


def test_robust_scale_by_hand():
    numbers = np.r_[np.arange(9.0), 1e6]
    first, median, third = np.quantile(numbers, [0.25, 0.5, 0.75])
    cut = np.minimum(numbers, median + 10 * (third - first) / 1.349)
    expected = (cut - cut.mean()) / cut.std()
    made = fit_number_map(numbers, "robust")
    np.testing.assert_allclose(made(numbers), expected, rtol=1e-12)
    np.testing.assert_allclose(made(np.array([np.nan])), made(np.array([median])))
    np.testing.assert_allclose(made.inverse(made(numbers)), cut, rtol=1e-12)
    assert NumberMap.from_dict(made.to_dict()) == made


@pytest.mark.parametrize(
    "damage",
    [
        {"columns": []},
        {"extra": 1},
        {"target": 3},
        {"columns": [{"name": "a"}]},
        {"ids": "name"},
    ],
)
def test_strange_dictionaries_are_refused(damage):
    with pytest.raises(ValueError, match=r"Columns|column"):
        Columns.from_dict(Columns.fit(people()).to_dict() | damage)


CELLS = {
    "number": st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-5, 5)),
    "text": st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["a", "b"])),
    "flag": st.one_of(st.none(), st.booleans()),
    "date": st.one_of(st.none(), st.dates(datetime.date(1900, 1, 1))),
}
ROWS = st.lists(st.fixed_dictionaries(CELLS), min_size=3, max_size=30)


@given(ROWS, st.sampled_from(["squash", "quantile", "standard", "unit"]))
@settings(max_examples=40, deadline=None)
def test_any_table_maps_to_finite_inputs_and_back(rows, scale):
    table = pd.DataFrame(rows, dtype=object).assign(fixed=np.arange(len(rows)) % 3 * 1.0)
    columns = Columns.fit(table, scale=scale, kinds={"fixed": "numeric"})
    x = columns(table)
    assert x.dtype == np.float32
    assert x.shape == (len(rows), len(columns.input_names))
    assert np.isfinite(x).all()
    for group in columns.groups:
        if group.kind == "categorical":
            assert (x[:, group.start : group.stop].sum(axis=1) == 1).all()
    again = Columns.from_dict(json.loads(json.dumps(columns.to_dict())))
    assert again == columns
    np.testing.assert_array_equal(again(table[table.columns[::-1]]), x)
    back = columns.inverse(x)
    for name in back:
        if name in ("text", "flag"):
            missing = table[name].map(lambda cell: cell is None or str(cell).strip() == "")
            assert (back[name].isna() == missing).all() or not missing.any()


@given(arrays("float64", 50, elements=st.floats(-1e9, 1e9)))
@settings(max_examples=50, deadline=None)
def test_squashing_keeps_the_order(numbers):
    made = fit_number_map(numbers, "squash")
    order = np.argsort(numbers, kind="stable")
    assert (np.diff(made(numbers)[order]) >= 0).all()
    assert np.abs(made(numbers)).max() <= 3


def test_squashing_keeps_order_and_bound_far_out():
    # Of these, products in float64 that are rounded once more often break both.
    numbers = np.array([-1e308, -7.15827883e8, -7.15827882e8, 0, 0.25, 1, 2.81825419e8, 1e308])
    scaled = NumberMap("squash", offset=1.0, factor=1.0)(numbers)
    assert (np.diff(scaled) >= 0).all()
    assert np.abs(scaled).max() <= 3
    np.testing.assert_array_equal(scaled[[0, -1]].astype("float32"), [-3, 3])


def test_polars_frames_give_the_same():
    polars = pytest.importorskip("polars")
    table = people()
    columns = Columns.fit(table, target="income")
    plain = {name: [None if pd.isna(cell) else cell for cell in table[name]] for name in table}
    np.testing.assert_array_equal(columns(polars.DataFrame(plain)), columns(table))
    assert Columns.fit(polars.DataFrame(plain), target="income") == columns
