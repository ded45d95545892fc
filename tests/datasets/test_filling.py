"""Filling gaps: what goes where is worked out by hand, and what was there stays."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sda.datasets import Columns
from keras_sda.datasets.filling import describe_fills, fills_of, settled, with_values

TABLE = pd.DataFrame(
    {
        "age": [20.0, 30.0, 40.0, np.nan],
        "town": ["Rome", "Oslo", None, "Bonn"],
        "owner": pd.array([True, None, False, True], "boolean"),
        "born": pd.to_datetime(["2000-01-01", None, "2000-01-03", "2000-01-02"]),
        "rooms": pd.array([1, 2, pd.NA, 3], "Int64"),
        "size": pd.Series(["s", None, "l", "s"], dtype="category"),
    }
)


def fill_gaps(columns, frame, rebuilt):
    """The filled frame, and how many cells of each column were filled."""
    fills = fills_of(columns, frame, rebuilt)
    return with_values(frame, fills), {name: len(values) for name, (_, values) in fills.items()}


def test_expected_values_by_hand():
    columns = Columns.fit(TABLE, scale="standard", kinds={"town": "categorical"})
    rebuilt = columns(TABLE)
    groups = {group.name: group for group in columns.groups}
    inputs = {name: group.start for name, group in groups.items()}
    # One standard deviation above the mean of 20, 30, 40.
    rebuilt[3, inputs["age"]] = 1.0
    # Oslo is the second of Bonn, Oslo, Rome; that it is missing is likelier, but no value.
    town = slice(groups["town"].start, groups["town"].stop)
    rebuilt[2, town] = 0.25
    rebuilt[2, town.start : town.start + 3] = [0.1, 0.3, 0.2]
    rebuilt[2, town.stop - 1] = 0.9
    rebuilt[1, inputs["owner"]] = 0.6
    rebuilt[1, inputs["born"]] = 0.0
    rebuilt[2, inputs["rooms"]] = -0.5
    rebuilt[1, inputs["size"]] = 0.4
    filled, counts = fill_gaps(columns, TABLE, rebuilt)
    assert counts == dict.fromkeys(TABLE, 1)
    assert filled["age"][3] == pytest.approx(30 + np.std([20, 30, 40]))
    assert filled["town"][2] == "Oslo"
    assert filled["owner"].tolist() == [True, True, False, True]
    assert filled["born"][1] == pd.Timestamp("2000-01-02")
    assert filled["rooms"][2] == pytest.approx(2 - 0.5 * np.std([1, 2, 3]))
    assert filled["size"][1] == "l"
    rows = settled(columns, rebuilt)
    assert rows[2, town].sum() == rows[2, town.start + 1] == 1
    assert rows[1, inputs["owner"] : groups["owner"].stop].tolist() == [1, 0]
    expected = ["float64", TABLE["town"].dtype, "boolean", TABLE["born"].dtype, "Float64"]
    assert filled.dtypes.tolist() == [*expected, TABLE["size"].dtype]
    assert describe_fills({"age": 1, "town": 2}, 4) == "Filled 3 cells in 4 rows: age 1, town 2"
    assert describe_fills({}, 4) == "No gaps in the 4 rows."


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_there_stays_and_nothing_is_left_blank(seed):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(5, 30))
    table = pd.DataFrame(
        {
            "note": [f"note {row}" for row in range(rows)],
            "x": rng.standard_cauchy(rows),
            "y": rng.choice(["a", "b", "c", None], rows),
            "z": rng.choice([True, False, None], rows),
        },
        index=rng.permutation(rows),
    )
    table.loc[table.index[: rows // 3], "x"] = np.nan
    columns = Columns.fit(table, min_frequency=1, kinds={"note": "ignore"})
    rebuilt = rng.normal(scale=5, size=(rows, len(columns.input_names)))
    filled, counts = fill_gaps(columns, table, rebuilt)
    used = [column.name for column in columns.used]  # not text that differs in each row
    assert not filled[used].isna().to_numpy().any()
    assert sum(counts.values()) == table[used].isna().to_numpy().sum()
    assert filled.index.equals(table.index)
    for name in table:
        there = table[name].notna()
        assert filled[name][there].tolist() == table[name][there].tolist()
        if name in used and name != "x":
            assert set(filled[name]) <= set(table[name][there])
    assert filled["x"].between(table["x"].min(), table["x"].max()).all()


def test_numbers_stay_within_three_quartile_ranges():
    heavy = pd.DataFrame({"x": [*np.arange(101.0), 1e6, np.nan]})
    columns = Columns.fit(heavy)
    filled, _ = fill_gaps(columns, heavy, np.full((103, 2), 2.9))
    median, quartiles = np.nanmedian(heavy["x"]), np.nanquantile(heavy["x"], [0.25, 0.75])
    assert filled["x"].iloc[-1] == pytest.approx(median + 3 * np.ptp(quartiles))


def test_dictionaries_and_text():
    table = {"code": ["1", "2", None, "4"], "day": ["2020-01-01", None, "2020-01-03", "2020-01-05"]}
    columns = Columns.fit(table, scale="standard")
    filled, _ = fill_gaps(columns, table, np.zeros((4, len(columns.input_names))))
    assert filled["code"].tolist() == ["1", "2", repr(7 / 3), "4"]
    assert filled["day"].tolist()[0] == "2020-01-01"
    assert filled["day"].tolist()[1].startswith("2020-01-03")


def test_polars_frames():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"x": [1, None, 3], "y": ["a", "b", None]})
    columns = Columns.fit(frame, scale="standard", kinds={"y": "binary"})
    filled, _ = fill_gaps(columns, frame, np.zeros((3, len(columns.input_names))))
    assert filled["x"].to_list() == [1.0, 2.0, 3.0]
    assert filled["y"].to_list() == ["a", "b", "a"]
