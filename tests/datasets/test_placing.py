"""Test rows of another file, a column that says where rows belong, and groups that stay whole."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_sda.datasets import load
from keras_sda.datasets.duplicates import count_duplicates, describe_duplicates
from keras_sda.datasets.folds import group_folds, make_folds

PARTS = ("train", "valid", "test")


def visits(count=120):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "patient": np.repeat(np.arange(count // 4), 4),
            "age": rng.normal(50, 10, count),
            "ward": rng.choice(["A", "B"], count),
            "ill": rng.choice(["yes", "no"], count),
        }
    )


def write(frame, path):
    frame.to_csv(path, index=False)
    return path


# Another file of test rows -------------------------------------------------------------------


def test_test_rows_of_another_table_go_by_name(tmp_path):
    table = visits()
    path = write(table[:80], tmp_path / "train.csv")
    test = table[80:]
    write(test[["ill", "age", "ward"]].assign(extra=1), tmp_path / "test.csv")
    data = load(path, target="ill", ids=["patient"], test="test.csv")  # beside the other
    assert [len(getattr(data, part).x) for part in PARTS] == [66, 14, 40]
    np.testing.assert_allclose(data.test.x, data.columns(test))
    assert data.test.y.tolist() == (test["ill"] == "yes").astype(int).tolist()
    assert data.classes == ["no", "yes"]
    kinds = {"patient": "ignore"}
    assert (
        load(path, target="ill", test=tmp_path / "test.csv", kinds=kinds, split="full").valid
        is None
    )


def test_labels_of_both_tables_are_numbered_together(tmp_path):
    train = pd.DataFrame({"a": np.arange(12.0) ** 2, "y": ["1", "2", "x"] * 4})
    path = write(train, tmp_path / "train.csv")
    other = write(pd.DataFrame({"a": [1.0, 2.0], "y": [2, 1]}), tmp_path / "test.csv")
    assert load(path, target="y", test=other).test.y.tolist() == [1, 0]
    write(pd.DataFrame({"a": [1.0, 2.0], "y": [2, None]}), tmp_path / "test.csv")
    assert load(path, target="y", test=other).test.y.tolist() == [1, -1]


def test_test_rows_of_arrays(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), np.arange(30) % 2
    np.savez(tmp_path / "train.npz", x=x, y=y)
    np.savez(tmp_path / "test.npz", x_train=x, x_test=x[:5], y_test=y[:5])
    data = load(tmp_path / "train.npz", test="test.npz", scale=None)
    assert len(data.train.x) + len(data.valid.x) == 30
    np.testing.assert_allclose(data.test.x, x[:5].astype("float32"))
    np.savez(tmp_path / "parts.npz", x_train=x, y_train=y, x_valid=x[:4], y_valid=y[:4])
    assert len(load(tmp_path / "parts.npz", test="test.npz").valid.x) == 4
    np.save(tmp_path / "bare.npy", x[:5])
    with pytest.raises(ValueError, match=r"test rows of bare\.npy need labels"):
        load(tmp_path / "train.npz", test="bare.npy")
    np.savez(tmp_path / "wide.npz", x=np.eye(4), y=np.arange(4) % 2)
    with pytest.raises(ValueError, match="must hold rows of one shape"):
        load(tmp_path / "train.npz", test="wide.npz")
    with pytest.raises(ValueError, match="has test rows already"):
        load(tmp_path / "test.npz", test="train.npz")


# A column that says where rows belong ----------------------------------------------------------


def test_a_column_says_where_rows_belong(tmp_path):
    table = visits()
    where = np.array(["Training"] * 60 + [" VAL "] * 20 + ["test"] * 40)
    path = write(table.assign(where=where), tmp_path / "rows.csv")
    data = load(path, target="ill", split_column="where")
    assert [len(getattr(data, part).x) for part in PARTS] == [60, 20, 40]
    np.testing.assert_allclose(data.test.x, data.columns(table[80:]))  # where is not needed
    assert not any("where" in name for name in data.columns.input_names)
    assert "where    ignored" in data.columns.table()
    assert "says where a row belongs" in data.columns.table()
    assert data.columns.remarks(table.assign(where="test")) == []
    assert len(load(path, target="ill", split_column="where", split="full").train.x) == 80
    write(table.assign(where=where).iloc[np.r_[:60]], path)
    drawn = load(path, target="ill", split_column="where")
    assert (len(drawn.train.x), len(drawn.valid.x), drawn.test) == (50, 10, None)


# Groups ----------------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(1, 12), min_size=3, max_size=30).filter(lambda s: sum(s) > 4),
    num_classes=st.integers(1, 3),
    seed=st.integers(0, 3),
)
@settings(deadline=None, max_examples=40)
def test_no_fold_tears_a_group_apart(sizes, num_classes, seed):
    groups = np.repeat(np.arange(len(sizes)) * 7, sizes)
    classes = np.random.default_rng(seed).integers(0, num_classes, len(groups))
    folds = group_folds(5, classes, groups, seed)
    assert len(folds) == min(5, len(sizes))
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(len(groups)))
    for rest, held_out in folds:
        assert len(held_out)
        assert not set(groups[rest]) & set(groups[held_out])
        assert len(rest) + len(held_out) == len(groups)


def test_folds_of_groups_are_no_more_than_the_rarest_class_has_rows():
    classes = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 4])
    assert len(make_folds(8, classes, 0, groups)) == 2
    assert make_folds(8, classes, 0, np.zeros(8)) is None


@pytest.mark.parametrize("seed", [0, 1])
def test_groups_stay_in_one_part(tmp_path, seed):
    table = visits()
    path = write(table, tmp_path / "rows.csv")
    data = load(path, target="ill", groups="patient", seed=seed)
    seen = [set(data.groups[part].tolist()) for part in PARTS]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 30
    assert [len(getattr(data, part).x) for part in PARTS] == [
        pytest.approx(expected, abs=4) for expected in (84, 12, 24)
    ]
    # Each row is still the row of its group.
    own = table.set_index("patient")["age"]
    first = int(sorted(map(str, range(30)))[data.groups["test"][0]])  # numbered as text
    ages = data.columns.inverse(data.test.x)["age"]
    assert np.abs(ages[0] - own[first]).min() < 1e-3
    assert data.columns.columns[0].note == "rows of one value stay together"
    other = load(path, target="ill", groups="patient", seed=seed + 1)
    assert set(other.groups["test"].tolist()) != seen[2]


def test_groups_beside_another_file_and_a_column(tmp_path):
    table = visits()
    path = write(table[:80], tmp_path / "train.csv")
    write(table[80:], tmp_path / "test.csv")
    data = load(path, target="ill", groups="patient", test="test.csv")
    assert set(data.groups) == {"train", "valid"}
    assert not set(data.groups["train"]) & set(data.groups["valid"])
    write(table[78:], tmp_path / "test.csv")
    with pytest.raises(ValueError, match=r"1 group of 'patient' has rows both .* \(2 rows\)"):
        load(path, target="ill", groups="patient", test="test.csv")
    where = np.where(np.arange(120) < 90, "train", "test")
    both = {"groups": "patient", "split_column": "where"}
    path = write(table.assign(where=where), tmp_path / "rows.csv")
    with pytest.raises(ValueError, match=r"1 group of 'patient' has rows in more than one part"):
        load(path, target="ill", **both)
    write(table.assign(where=np.where(np.arange(120) < 92, "train", "test")), path)
    data = load(path, target="ill", **both)
    assert not set(data.groups["train"]) & set(data.groups["valid"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split_column": "where", "test": "rows.csv"}, "both say which rows test"),
        ({"split_column": "when"}, r"must be a column of .*did you mean where\?"),
        ({"split_column": "ill"}, "a column for each of these"),
        (
            {"split_column": "ward"},
            "must say of every row train, valid or test.*also: A, B, in 120",
        ),
        ({"split_column": "gaps"}, r"also: \(blank\), in 20 rows"),
        ({"split_column": "tests"}, "no row to train on"),
        ({"groups": "one"}, "has one group, 7, which cannot be divided"),
        ({"groups": "two"}, "needs at least 3 groups, .* 3 parts .* Received 2"),
        ({"groups": "gaps"}, "name the group of every row, and 20 are blank"),
        ({"groups": "ill"}, "a column for each of these"),
        ({"test": "rows.npy"}, "must be a table where"),
        ({"test": "none.csv"}, "No such data file"),
        ({"test": "unlabelled.csv"}, "must be a column of .*unlabelled.csv"),
        ({"test": "short.csv"}, "test rows of short.csv do not fit: .* lacks 1 of .*: ward"),
        ({"test": "text.csv", "target": "age"}, "holds text, and the training rows have numbers"),
    ],
)
def test_refusals(tmp_path, arguments, message):
    table = visits().assign(
        where="train", gaps=["train"] * 100 + [None] * 20, tests="test", one=7, two=[1, 2] * 60
    )
    path = write(table, tmp_path / "rows.csv")
    np.save(tmp_path / "rows.npy", np.eye(3))
    write(table.drop(columns="ill"), tmp_path / "unlabelled.csv")
    write(table.drop(columns="ward"), tmp_path / "short.csv")
    write(table.assign(age="old"), tmp_path / "text.csv")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load(path, **{"target": "ill"} | arguments)


def test_named_data_and_arrays_have_no_columns(tmp_path):
    np.save(tmp_path / "rows.npy", np.eye(9))
    with pytest.raises(ValueError, match="are for files.*digits"):
        load("digits", test="rows.csv")
    with pytest.raises(ValueError, match="name columns of a .csv or .parquet file"):
        load(tmp_path / "rows.npy", groups="patient")


# Rows in two parts -----------------------------------------------------------------------------


def test_rows_in_two_parts_are_counted(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), np.arange(60) % 2
    x[0] = 0.0
    test = np.concatenate([x[:4], x[50:], -x[:1], x[1:2] + 1e-3])  # -0.0 is 0.0
    parts = {"x_train": x[:40], "y_train": y[:40], "x_valid": x[38:50], "y_valid": y[38:50]}
    np.savez(tmp_path / "rows.npz", x_test=test, y_test=np.zeros(16, int), **parts)
    found = count_duplicates(load(tmp_path / "rows.npz", scale=None))
    assert found == {
        "valid": {"rows": 12, "in_training": 2},
        "test": {"rows": 16, "in_training": 5},
    }
    words = describe_duplicates(found)
    assert words.startswith("2 of 12 validation rows and 5 of 16 test rows are also training rows")
    np.savez(tmp_path / "rows.npz", x_test=test[4:14], y_test=np.zeros(10, int), **parts)
    data = load(tmp_path / "rows.npz", split="full", scale=None)
    assert count_duplicates(data) == {"test": {"rows": 10, "in_training": 0}}
    assert describe_duplicates(count_duplicates(data)) == ""


def test_rows_of_a_table_in_two_parts_whatever_their_ids_and_labels(tmp_path):
    table = visits()
    where = {"id": [f"v{n}" for n in range(120)], "part": ["train"] * 90 + ["test"] * 30}
    table.loc[90:95, ["age", "ward"]] = table.loc[:5, ["age", "ward"]].to_numpy()
    table["age"] = table["age"].astype(float)
    path = write(table.assign(**where), tmp_path / "rows.csv")
    given = {"target": "ill", "ids": ["id"], "split_column": "part", "split": "full"}
    data = load(path, kinds={"patient": "ignore"}, **given)
    assert count_duplicates(data) == {"test": {"rows": 30, "in_training": 6}}
