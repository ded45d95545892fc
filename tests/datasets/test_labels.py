"""What counts as unlabelled, in every kind of file; and the draw of a few labels."""

import warnings

import numpy as np
import pandas as pd
import pytest

from keras_sda.datasets import load, read_rows
from keras_sda.datasets.labels import has_label, is_missing, known_labels, number_new_rows


def labels_of(path, **options):
    """Returns classes and labels as `load` reads them, in the order of the file."""
    data = load(path, scale=None, **options)
    found = {}
    for x, y in (data.train, data.valid, data.test):
        found |= zip(x[:, 0].tolist(), [None] * len(x) if y is None else y.tolist(), strict=True)
    return data.classes, [found[number] for number in sorted(found)]


def write_csv(path, labels):
    lines = [f"{number},{label}" for number, label in enumerate(labels)]
    path.write_text("\n".join(["a,y", *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ([1, "", 0, 1, 0, 1], None, [1, -1, 0, 1, 0, 1]),
        ([1, "  ", 0, 1, 0, 1], None, [1, -1, 0, 1, 0, 1]),
        ([7, "", 5, 7, 5, 7], [5, 7], [1, -1, 0, 1, 0, 1]),
        (["b", " ", "a", "b", "", "NA"], ["a", "b"], [1, -1, 0, 1, -1, -1]),
        (["True", "", "False", "True", "False"], None, [1, -1, 0, 1, 0]),
        ([1.5, "", 2.5, 3, 4], None, [1.5, None, 2.5, 3, 4]),
    ],
)
def test_a_blank_cell_of_a_csv_is_unlabelled(tmp_path, labels, classes, numbers):
    found, read = labels_of(write_csv(tmp_path / "t.csv", labels), target="y")
    assert found == classes
    assert [None if label != label else label for label in read] == numbers


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (pd.array([1, None, 2, 1, 2], dtype="Int64"), [1, 2], [0, -1, 1, 0, 1]),
        (pd.array([True, None, False, True, False], dtype="boolean"), None, [1, -1, 0, 1, 0]),
        ([True, None, False, True, False], None, [1, -1, 0, 1, 0]),
        (["x", None, "z", "x", "z"], ["x", "z"], [0, -1, 1, 0, 1]),
        (["1", None, "2", "1", "2"], ["1", "2"], [0, -1, 1, 0, 1]),
        (pd.Categorical(["x", None, "z", "x", "z"]), ["x", "z"], [0, -1, 1, 0, 1]),
    ],
)
def test_a_null_of_a_parquet_file_is_unlabelled(tmp_path, labels, classes, numbers):
    frame = pd.DataFrame({"a": np.arange(5.0), "y": labels})
    frame.to_parquet(tmp_path / "t.parquet")
    assert labels_of(tmp_path / "t.parquet", target="y") == (classes, numbers)


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ([0, -1, 1, 2, 0], None, [0, -1, 1, 2, 0]),
        ([4, -1, 6, 6, 4], [4, 6], [0, -1, 1, 1, 0]),
        ([1, -1, 1, -1, 1], [-1, 1], [1, 0, 1, 0, 1]),  # two classes, not one
        ([1.0, np.nan, 0, 1, 0], None, [1, -1, 0, 1, 0]),
        ([1.0, np.nan, -1, 1, -1], [-1, 1], [1, -1, 0, 1, 0]),
        ([1.0, np.nan, -1, 1, 0], None, [1, -1, -1, 1, 0]),
        (["a", "", "b", "a", "b"], ["a", "b"], [0, -1, 1, 0, 1]),
        ([-1, -1, -1, -1, -1], None, [None] * 5),
    ],
)
def test_minus_one_in_an_npz_is_unlabelled_unless_of_two_classes(
    tmp_path, labels, classes, numbers
):
    np.savez(tmp_path / "t.npz", x=np.arange(5.0)[:, None], y=np.array(labels))
    assert labels_of(tmp_path / "t.npz") == (classes, numbers)


def test_the_parts_of_an_npz_are_judged_together(tmp_path):
    x = np.arange(4.0)[:, None]
    y = {"y_train": np.array([-1, 0, 1, 0]), "y_test": np.array([-1, 1, 1, 1])}
    np.savez(tmp_path / "t.npz", x_train=x, x_valid=x, x_test=x, **y)
    data = load(tmp_path / "t.npz")
    assert data.classes is None
    assert data.test.y.tolist() == [-1, 1, 1, 1]  # by itself it would have two classes
    assert data.valid.labelled is None
    assert data.test.labelled.y.tolist() == [1, 1, 1]
    joined = load(tmp_path / "t.npz", split="full")
    assert joined.train.y.tolist() == [-1, 0, 1, 0, -1, -1, -1, -1]
    y = {"y_train": np.array(["b", "a", "", "b"]), "y_test": np.full(4, np.nan)}
    np.savez(tmp_path / "t.npz", x_train=x, x_valid=x, x_test=x, **y)
    data = load(tmp_path / "t.npz")
    assert (data.classes, data.train.y.tolist()) == (["a", "b"], [1, 0, -1, 1])
    assert data.test.y.tolist() == [-1] * 4


@pytest.mark.parametrize(
    ("labels", "mark", "classes", "numbers"),
    [
        ([9, 1, 2, 1, 9], 9, [1, 2], [-1, 0, 1, 0, -1]),
        ([-1, 1, 1, -1, 1], -1, [1], [-1, 0, 0, -1, 0]),
        ([-1, 0, 1, -1, 1], None, [-1, 0, 1], [0, 1, 2, 0, 2]),
        (["?", "a", "b", "a", "?"], "?", ["a", "b"], [-1, 0, 1, 0, -1]),
        (["0", "a", "b", "a", "0"], 0, ["a", "b"], [-1, 0, 1, 0, -1]),
        ([0.5, -9.0, 1.5, 2.5, 0.5], -9, None, [0.5, None, 1.5, 2.5, 0.5]),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_unlabelled_names_another_label(tmp_path, kind, labels, mark, classes, numbers):
    path = tmp_path / f"t.{kind}"
    options = {"unlabelled": mark}
    if kind == "csv":
        write_csv(path, labels)
        options["target"] = "y"
    else:
        np.savez(path, x=np.arange(5.0)[:, None], y=np.array(labels))
    found, read = labels_of(path, **options)
    assert found == classes
    assert [None if label != label else label for label in read] == numbers


def test_minus_one_in_a_table_is_a_class_and_told(tmp_path):
    path = write_csv(tmp_path / "t.csv", [-1, 0, 1, -1, 0])
    expected = ([-1, 0, 1], [0, 1, 2, 0, 1])
    with pytest.warns(UserWarning, match="'y' of .*t.csv has the label -1 in 2 rows, which is a"):
        assert labels_of(path, target="y") == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert labels_of(path, target="y", unlabelled=None) == expected, "not told: it is meant"
        assert labels_of(write_csv(path, [-1, 1, 1, -1, 1]), target="y")[0] == [-1, 1]
        load(write_csv(path, [-1, 0.5, 1, -1, 0.5]), target="y")


def test_a_named_set_has_no_unlabelled_rows():
    with pytest.raises(ValueError, match="names a label of a file. Received: unlabelled=3 with 'd"):
        load("digits", unlabelled=3)


def test_read_rows_keeps_missing_labels(tmp_path):
    numbers = read_rows(write_csv(tmp_path / "t.csv", [3, "", 4]), "y").y
    assert np.isnan(numbers).tolist() == [False, True, False]
    text = read_rows(write_csv(tmp_path / "t.csv", ["b", "", "a"]), "y").y
    assert text.tolist() == ["b", "", "a"]


def test_few_labels_are_spread_over_the_parts(tmp_path):
    y = np.full(200, -1)
    y[:20] = np.arange(20) % 2
    np.savez(tmp_path / "t.npz", x=np.arange(200.0)[:, None], y=y)
    for seed in range(3):
        data = load(tmp_path / "t.npz", seed=seed)
        counts = [len(part.labelled.x) for part in (data.train, data.valid, data.test)]
        assert counts == [14, 2, 4]
    y[2:20] = np.arange(18)  # some classes of one row: labelled ones are spread, whatever the class
    np.savez(tmp_path / "t.npz", x=np.arange(200.0)[:, None], y=y)
    data = load(tmp_path / "t.npz")
    assert [len(part.labelled.x) for part in (data.train, data.valid, data.test)] == [14, 2, 4]


def test_objects_of_every_kind_that_is_nothing():
    labels = np.array([None, np.nan, pd.NA, pd.NaT, "", " ", 0, "a", False], dtype=object)
    assert is_missing(labels).tolist() == [True] * 6 + [False] * 3
    assert has_label(labels, "a").tolist() == [False] * 6 + [True, False, True]
    assert known_labels(np.array([1.0, np.nan])).dtype == np.int64
    assert known_labels(np.array([1.0, 2.0])).dtype == np.float64, "as they are, without blanks"


def test_new_rows_are_numbered_as_the_training_rows_were():
    assert number_new_rows(np.array(["b", "", "a"]), ["a", "b"]).tolist() == [1, -1, 0]
    assert number_new_rows(np.array([-1, 1]), [-1, 1]).tolist() == [0, 1]
    assert number_new_rows(np.array([-1, 1]), [1, 2]).tolist() == [-1, 0]
    assert number_new_rows(np.array([0, -1, 3]), None).tolist() == [0, -1, 3]
    assert number_new_rows(np.array([np.nan, 3]), None, in_table=True).tolist() == [-1, 3]
    for classes in (None, [0, 2]):
        with pytest.raises(ValueError, match="Received also: -1: in a table, leave the label of"):
            number_new_rows(np.array([-1, 0]), classes, in_table=True)


# Hiding labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10, 50, 57, 1257])
def test_kept_labels_are_balanced(count):
    data = load("digits")
    few = data.keep_labels(count)
    known = few.train.y >= 0
    assert known.sum() == count
    np.testing.assert_array_equal(few.train.y[known], data.train.y[known])
    assert few.train.x is data.train.x
    assert few.valid is data.valid
    if count < 1000:
        counts = np.bincount(few.train.y[known], minlength=10)
        assert counts.max() - counts.min() <= 1


def test_the_seed_draws_the_labels():
    data = load("digits")
    draws = [data.keep_labels(53, seed).train.y for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).sum() > 50
    # Which classes get one more is drawn, too.
    more = [set(np.flatnonzero(np.bincount(y[y >= 0]) == 6)) for y in (draws[0], draws[2])]
    assert more[0] != more[1]


def test_a_rare_class_keeps_what_it_has(tmp_path):
    y = np.repeat([0, 1, 2, -1], [3, 40, 40, 17])
    x = np.arange(100.0)[:, None]
    np.savez(tmp_path / "t.npz", x_train=x, y_train=y, x_valid=x, y_valid=y)
    few = load(tmp_path / "t.npz").keep_labels(30).train
    assert np.bincount(few.labelled.y).tolist() in ([3, 13, 14], [3, 14, 13])


def test_labels_of_a_regression_are_drawn_at_random(tmp_path):
    x = np.arange(100.0)[:, None]
    np.savez(tmp_path / "t.npz", x_train=x, y_train=x[:, 0] / 3, x_valid=x)
    few = load(tmp_path / "t.npz").keep_labels(7).train
    assert np.isfinite(few.y).sum() == len(few.labelled.x) == 7


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (9, "must be from 10, one for each class, to 1257, the number of .*Received: labels=9"),
        (1258, "must be from 10, one for each class, to 1257"),
        (0, "must be a whole number of at least 1"),
    ],
)
def test_refused_numbers_of_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        load("digits").keep_labels(labels)


def test_data_without_labels_have_none_to_keep(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(10.0)[:, None])
    with pytest.raises(ValueError, match="rows with labels, and rows.npy has none"):
        load(tmp_path / "rows.npy").keep_labels(3)
