"""Tables whose inputs are kept on disk: the same rows, read and shuffled in pieces."""

import gc
import os
import tempfile

import numpy as np
import pandas as pd
import pytest

from keras_sda.datasets import Columns, load, outside_memory, scratch, table_in_file
from keras_sda.datasets.batches import RowBatches
from keras_sda.datasets.outside_memory import ComputedRows, StoredRows, epoch_order
from keras_sda.datasets.scratch import ScratchFolder

ROWS = 700


@pytest.fixture(scope="module")
def table():
    """A frame of all kinds of columns, with gaps."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "weight": rng.normal(70, 9, ROWS),
            "count": rng.integers(0, 40, ROWS),
            "city": rng.choice(["Rome", "Oslo", "Lima"], ROWS),
            "is_new": rng.random(ROWS) < 0.3,
            "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 900, ROWS), "D"),
            "number": np.arange(ROWS),
        }
    )
    frame["target"] = np.where(frame["weight"] + frame["count"] > 90, "heavy", "light")
    frame.loc[rng.random(ROWS) < 0.1, ["weight", "city", "day"]] = None
    frame.loc[rng.random(ROWS) < 0.2, "target"] = None
    return frame


@pytest.fixture
def path(table, tmp_path, monkeypatch):
    """Its file, of row groups that do not end where pieces do; pieces and blocks are small."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(table_in_file, "_ROWS", 100)
    file = tmp_path / "table.parquet"
    table.to_parquet(file, row_group_size=130)
    return file


def by_row(split):
    """Returns rows and labels in an order that tells nothing of the file's."""
    x = np.asarray(split.x[:])
    order = np.lexsort([split.y, *x.T])  # some rows are alike but for their label
    return x[order], split.y[order]


@pytest.mark.parametrize("scale", ["auto", "quantile", "unit"])
def test_the_same_rows_as_from_memory(path, scale):
    stored, read = (
        load(path, target="target", scale=scale, storage=storage, seed=3)
        for storage in ("disk", "memory")
    )
    assert stored.columns == read.columns
    assert stored.classes == read.classes == ["heavy", "light"]
    for part in ("train", "valid", "test"):
        ours, theirs = getattr(stored, part), getattr(read, part)
        assert isinstance(ours.x, StoredRows)
        for one, other in zip(by_row(ours), by_row(theirs), strict=True):
            np.testing.assert_array_equal(one, other)
        assert isinstance(ours.labelled.x, StoredRows)
        for one, other in zip(by_row(ours.labelled), by_row(theirs.labelled), strict=True):
            np.testing.assert_array_equal(one, other)


def test_test_rows_groups_and_parts_by_column(path, table, tmp_path):
    table.assign(part=np.repeat(["train", "test"], [500, 200])).to_parquet(tmp_path / "p.parquet")
    kept = load(tmp_path / "p.parquet", split_column="part", storage="disk", keep_frames=True)
    assert len(kept.test.x) == 200
    np.testing.assert_array_equal(kept.frames["test"].read()["number"], np.arange(500, 700))
    np.testing.assert_array_equal(kept.columns(kept.frames["test"].read()), kept.test.x[:])
    other = load(path, test=tmp_path / "p.parquet", storage="disk", ids=["number"])
    assert len(other.test.x) == ROWS
    grouped = load(path, groups="count", storage="disk", keep_frames=True)
    numbers = [set(grouped.groups[part].tolist()) for part in ("train", "valid", "test")]
    assert len(set().union(*numbers)) == sum(map(len, numbers))
    counts = grouped.frames["train"].read()["count"].to_numpy()
    first = {group: counts[grouped.groups["train"] == group] for group in numbers[0]}
    assert all((each == each[0]).all() for each in first.values())


def test_a_column_is_read_at_a_time(path, table):
    whole = table_in_file.TableInFile(path)
    some = whole.drop("city").take(np.array([650, 3, 129, 130]))
    assert (len(whole), len(some)) == (ROWS, 4)
    assert some.columns == [name for name in table.columns if name != "city"]
    assert some["number"].tolist() == [3, 129, 130, 650]
    pieces = list(some.pieces())
    assert [rows.tolist() for rows, _ in pieces] == [[3], [129], [130], [650]]
    assert [frame["number"].tolist() for _, frame in pieces] == [[3], [129], [130], [650]]
    assert max(len(frame) for _, frame in whole.pieces()) <= 100
    pd.testing.assert_frame_equal(whole.read(), table)
    assert Columns.fit(whole, "target") == Columns.fit(table, "target")


def stored_rows(folder, rows, width=8):
    path = folder / f"{rows}.rows"
    np.arange(rows * width, dtype="float32").tofile(path)
    return StoredRows(path, width)


def test_an_epoch_has_each_row_once_and_few_blocks_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(outside_memory, "_BLOCK_BYTES", 320)  # ten rows
    monkeypatch.setattr(outside_memory, "_SHUFFLED_BYTES", 1600)
    short = stored_rows(tmp_path, 203).order(np.random.RandomState(0))
    np.testing.assert_array_equal(np.sort(short), np.arange(203))
    rows = stored_rows(tmp_path, 200)
    order = rows.order(np.random.RandomState(0))
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(200))
    blocks = [set((order[start : start + 50] // 10).tolist()) for start in range(0, 200, 50)]
    assert [len(own) for own in blocks] == [5] * 4
    assert not np.array_equal(order, rows.order(np.random.RandomState(1)))
    np.testing.assert_array_equal(order, rows.order(np.random.RandomState(0)))
    within = order[:10] // 10
    assert len(set(within.tolist())) > 1  # rows of several blocks beside each other
    codes = ComputedRows(rows, np.asarray, 8, "float32")
    np.testing.assert_array_equal(order, epoch_order(codes, np.random.RandomState(0)))


def test_batches_of_stored_rows_are_shuffled_by_blocks_too(tmp_path):
    rows = stored_rows(tmp_path, 50)
    batches = RowBatches(rows, np.arange(50), batch_size=8, shuffle=True)
    seen = [batches[index] for index in range(len(batches))]
    labels = np.concatenate([y for _, y in seen])
    np.testing.assert_array_equal(np.sort(labels), np.arange(50))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in seen]), rows[labels])


@pytest.mark.parametrize("has_pread", [True, False])
def test_stored_rows_are_indexed_as_arrays(tmp_path, monkeypatch, has_pread):
    if not has_pread:  # as under Windows
        monkeypatch.delattr(os, "pread", raising=False)
    rows = stored_rows(tmp_path, 30)
    array = np.arange(240, dtype="float32").reshape(30, 8)
    several = (slice(3, 9), slice(5, 2), slice(-4, None), slice(1, 20, 6), np.array([4, 2, 2]))
    for which in (*several, 5, -1, array[:, 0] > 100, np.array([], int)):
        np.testing.assert_array_equal(rows[which], array[which])
    np.testing.assert_array_equal(np.asarray(rows), array)
    odd = rows.choose(np.arange(1, 30, 2))
    np.testing.assert_array_equal(odd[1:4], array[[3, 5, 7]])
    np.testing.assert_array_equal(odd.choose(np.array([0, 2]))[:], array[[1, 5]])
    assert (rows.shape, len(odd)) == ((30, 8), 15)


def test_files_go_with_the_data_and_after_a_kill(path, tmp_path, monkeypatch):
    data = load(path, target="target", storage="disk")
    (folder,) = (tmp_path / "scratch").iterdir()
    assert sorted(file.name for file in folder.iterdir()) == [
        "in_use.lock",
        "test",
        "train",
        "valid",
    ]
    rows = data.train.labelled.x
    del data
    gc.collect()
    assert len(rows[:3]) == 3
    del rows
    gc.collect()
    assert not folder.exists()
    left = tmp_path / "scratch" / "keras_sda_rows_killed"
    left.mkdir()
    (left / "in_use.lock").touch()
    monkeypatch.setattr(scratch, "_SECONDS_TO_LOCK", -1)
    ScratchFolder("keras_sda_rows_").close()
    assert not left.exists()


def test_auto_goes_by_the_table_alone(path, monkeypatch):
    assert isinstance(load(path).train.x, np.ndarray)
    monkeypatch.setattr(table_in_file, "_LARGE_BYTES", 4 * ROWS * 7 - 1)
    assert isinstance(load(path).train.x, StoredRows)
    assert isinstance(load(path, storage="memory").train.x, np.ndarray)


def test_refusals(path, table, tmp_path, monkeypatch):
    table.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(ValueError, match=r"'disk' for .parquet files, whose columns .*table.csv"):
        load(tmp_path / "table.csv", storage="disk")
    with pytest.raises(ValueError, match="`storage` of .* must be one of .*'somewhere'"):
        load(path, storage="somewhere")
    with pytest.raises(ValueError, match="`target` must be a column of"):
        load(path, target="nowhere", storage="disk")
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="not a readable .parquet file"):
        load(tmp_path / "cut.parquet", storage="disk")
    usage = scratch.shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ValueError, match="GiB for its rows on disk, but .* let TMPDIR name"):
        load(path, storage="disk")
