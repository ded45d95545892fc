"""Readers: round trips of every format, and damaged files. For pickles see `test_pickled.py`."""

import gzip
import io
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from keras_sda.datasets import load, read_rows
from keras_sda.datasets.idx import read_idx
from keras_sda.datasets.scaling import fit_scaling


@pytest.fixture
def table():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(40, 3)) * 10, columns=["a", "b", "c"])
    frame["kind"] = ["red", "green"] * 20
    return frame


def write_table(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


# IDX ---------------------------------------------------------------------------------------------


@given(
    array=st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]).flatmap(
        lambda code: arrays(code, array_shapes(max_dims=4, max_side=4))
    ),
    zipped=st.booleans(),
)
@settings(deadline=None)
def test_idx_round_trip(idx_bytes, array, zipped):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file-ubyte"
        path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
        read = read_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_folder_in_every_spelling(tmp_path, dot, zipped, write_idx_folder):
    written = write_idx_folder(tmp_path, dot=dot, zipped=zipped)
    data = load(tmp_path, split="full", flatten=False)
    images, labels = written["train"]
    np.testing.assert_array_equal(data.train.x, np.float32(images / 255)[..., None])
    np.testing.assert_array_equal(data.train.y, labels)
    assert data.image_shape == (4, 5, 1)
    x, y = read_rows(tmp_path)
    np.testing.assert_array_equal(x, written["t10k"][0].reshape(6, 20))
    np.testing.assert_array_equal(y, written["t10k"][1])


def test_unpacked_file_whose_name_ends_in_gz_is_read(tmp_path, write_idx_folder):
    write_idx_folder(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.rename(path.with_name(path.name + ".gz"))
    assert read_rows(tmp_path).x.shape == (6, 20)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda b, idx: b[:-1],
            r"declares shape \(6, 4, 5\), which is 120 bytes of data. Received 119",
        ),
        (lambda b, idx: b + b"\0", "Received 120 bytes and more"),
        (lambda b, idx: b[:9], "ends within its header"),
        (lambda b, idx: b"", "is not an IDX file: .* Received an empty file"),
        (lambda b, idx: b"\x89PNG" + b[4:], "is not an IDX file: .* Received 89 50 4e 47"),
        (lambda b, idx: gzip.compress(b)[:-9], "is not a complete gzip file .*: download it again"),
        (lambda b, idx: gzip.compress(b)[:40] + bytes(40), "is not a complete gzip file"),
        (
            lambda b, idx: idx(np.ones(6, "u1")),
            r"must hold images of 3 dimensions. .* shape \(6,\)",
        ),
        (lambda b, idx: idx(np.ones((5, 4, 5), "u1")), "needs one label per row. Received 5 rows"),
        (lambda b, idx: idx(np.ones((0, 4, 5), "u1")), "one label per row. Received 0 rows"),
    ],
)
def test_damaged_idx_file(tmp_path, damage, message, write_idx_folder, idx_bytes):
    write_idx_folder(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes(), idx_bytes))
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


def test_idx_file_that_would_fill_the_memory_is_not_unpacked(tmp_path, write_idx_folder):
    write_idx_folder(tmp_path)
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 17, 2**12, 2**12)
    # gzip reads such a sequence as one file
    bomb = gzip.compress(header) + gzip.compress(bytes(2**24)) * 17
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(bomb)
    with pytest.raises(ValueError, match=f"its {len(bomb)} bytes unpack to more than {2**28}"):
        load(tmp_path)


@pytest.mark.parametrize("prefix", ["train", "t10k"])
@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_idx_folder_without_one_file_names_it(tmp_path, prefix, kind, write_idx_folder):
    write_idx_folder(tmp_path)
    (tmp_path / f"{prefix}-{kind}-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {prefix}-{kind}-ubyte"):
        load(tmp_path)


# NumPy's own formats -----------------------------------------------------------------------------


def test_npz_with_rows_round_trip(tmp_path):
    x = np.random.default_rng(3).random((20, 4)).astype("float32")
    y = np.arange(20) % 2
    np.savez(tmp_path / "rows.npz", x=x, y=y, notes=np.array([None]))  # an object beside them
    read = read_rows(tmp_path / "rows.npz")
    np.testing.assert_array_equal(read.x, x)
    np.testing.assert_array_equal(read.y, y)
    data = load(tmp_path / "rows.npz")
    together = np.concatenate([data.train.x, data.valid.x, data.test.x])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(x, axis=0))


@pytest.mark.parametrize("valid", ["valid", "val"])
def test_npz_with_parts_keeps_them(tmp_path, valid):
    parts = {f"x_{part}": np.full((n, 2, 2, 3), n / 10) for part, n in [("train", 3), (valid, 2)]}
    parts |= {"y_train": np.array([0, 1, 2]), f"y_{valid}": np.array([1, 0])}
    np.savez(tmp_path / "parts.npz", x_test=np.full((4, 2, 2, 3), 0.5), **parts)
    data = load(tmp_path / "parts.npz", flatten=False)
    np.testing.assert_array_equal(data.train.x, np.full((3, 2, 2, 3), np.float32(0.3)))
    np.testing.assert_array_equal(data.valid.y, [1, 0])
    assert data.test.y is None
    assert data.image_shape == (2, 2, 3)
    assert read_rows(tmp_path / "parts.npz").x.shape == (4, 12)


def test_read_rows_chooses_one_part(tmp_path):
    np.savez(tmp_path / "train.npz", x_train=np.ones((3, 2)))
    np.savez(tmp_path / "valid.npz", x_val=np.ones((2, 2)), x_train=np.ones((3, 2)))
    assert len(read_rows(tmp_path / "train.npz").x) == 3
    assert len(read_rows(tmp_path / "valid.npz").x) == 3
    np.savez(tmp_path / "valid.npz", x_val=np.ones((2, 2)), x_test=np.ones((4, 2)))
    assert len(read_rows(tmp_path / "valid.npz").x) == 4


def test_npy_has_no_labels(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(30.0).reshape(10, 3))
    data = load(tmp_path / "rows.npy", scale=None)
    assert [split.x.shape for split in (data.train, data.valid, data.test)] == [
        (7, 3),
        (1, 3),
        (2, 3),
    ]
    assert data.train.y is None
    assert data.train.x.dtype == np.float32


def saved(write, *args, **kwargs):
    buffer = io.BytesIO()
    write(buffer, *args, **kwargs)
    return buffer.getvalue()


OBJECTS = np.array([[1, None]], dtype=object)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", saved(np.save, np.ones((9, 9)))[:-8], "not a readable .npy file, truncated or"),
        ("a.npy", b"", "not a readable .npy file"),
        ("a.npy", b"hello, world, this is no array", "not a readable .npy file"),
        ("a.npy", saved(np.savez, x=np.ones((9, 9))), "not a readable .npy file"),
        ("a.npy", saved(np.save, OBJECTS, allow_pickle=True), "holds an array of Python objects"),
        ("a.npy", saved(np.save, np.ones((0, 3))), r"at least one row .* Received shape \(0, 3\)"),
        ("a.npy", saved(np.save, np.float64(3)), r"at least one row .* Received shape \(\)"),
        ("a.npy", saved(np.save, np.ones(3)), r"must be rows of features.* Received shape \(3,\)"),
        ("a.npy", saved(np.save, np.array([["a"]])), "needs numbers in `x`"),
        ("a.npy", saved(np.save, np.array([[1.0], [np.inf]])), "row 1 holds NaN or infinity"),
        ("a.npz", saved(np.savez, x=np.ones((9, 9)))[:-30], "not a readable .npz file"),
        ("a.npz", b"", "not a readable .npz file"),
        ("a.npz", saved(np.save, np.ones((9, 9))), "not a readable .npz file"),
        ("a.npz", saved(np.savez, x=OBJECTS, allow_pickle=True), "array of Python objects"),
        ("a.npz", saved(np.savez, z=np.ones(3)), "must hold the array x .* Received: z"),
        ("a.npz", saved(np.savez), "must hold the array x .* Received: no arrays"),
        (
            "a.npz",
            saved(np.savez, x=np.ones((3, 2)), y=np.ones(2)),
            "one label per row. Received 3 rows in `x` and 2 labels",
        ),
        (
            "a.npz",
            saved(np.savez, x=np.ones((3, 2)), y=np.eye(3)),
            r"one label per row, of shape \(rows,\). Received shape \(3, 3\): pass y.argmax",
        ),
        (
            "a.npz",
            saved(np.savez, x=np.ones((3, 2)), y=np.array([1, np.inf, 2])),
            "finite numbers in `y`, but row 1",
        ),
        (
            "a.npz",
            saved(np.savez, x_train=np.ones((3, 2)), x_test=np.ones((3, 4))),
            r"rows of one shape in all its parts. Received \(2,\) in train, \(4,\) in test",
        ),
        (
            "a.npz",
            saved(np.savez, x_train=np.ones((3, 2)), x_test=np.full((3, 2), np.nan)),
            "The test part of .*a.npz needs finite numbers in `x`, but row 0",
        ),
    ],
)
def test_damaged_numpy_file(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load(tmp_path / name)
    assert name in str(caught.value)


def test_npz_with_a_flipped_byte_is_refused(tmp_path):
    content = bytearray(saved(np.savez, x=np.ones((50, 9))))
    content[1000] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"not a readable .npz file") as caught:
        load(tmp_path / "a.npz")
    assert caught.value.__cause__ is not None


# Tables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_table_round_trip(tmp_path, table, suffix):
    path = write_table(table, tmp_path / f"table{suffix}")
    x, y = read_rows(path, target="kind")
    np.testing.assert_allclose(x, table[["a", "b", "c"]].to_numpy(), rtol=1e-12)
    assert y.tolist() == table["kind"].tolist()
    data = load(path, target="kind", scale="unit")
    assert data.classes == ["green", "red"]
    assert data.train.y.dtype == np.int64
    assert np.bincount(data.train.y).tolist() == [14, 14]
    # Red rows are even ones: find each scaled row again and compare its label.
    scaled = data.scaling(x)
    for row, label in zip(data.test.x, data.test.y, strict=True):
        (index,) = np.flatnonzero((scaled == row).all(axis=1))
        assert data.classes[label] == y[index]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_table_without_target_is_unlabelled(tmp_path, table, suffix):
    path = write_table(table.drop(columns="kind"), tmp_path / f"table{suffix}")
    assert load(path).train.y is None
    assert read_rows(path).x.shape == (40, 3)


@pytest.mark.parametrize(
    ("labels", "classes", "first"),
    [
        ([0, 1, 2] * 4, None, 0),
        ([10, 20, 20] * 4, [10, 20], 0),
        ([-1, 1, 1] * 4, [-1, 1], 0),
        ([True, False, True] * 4, None, 1),
        (["b", "a", "b"] * 4, ["a", "b"], 1),
    ],
)
def test_classes_are_numbered_only_where_needed(tmp_path, labels, classes, first):
    frame = pd.DataFrame({"f": np.arange(12.0), "label": labels})
    data = load(write_table(frame, tmp_path / "t.parquet"), target="label", scale=None)
    assert data.classes == classes
    where = np.flatnonzero(
        np.concatenate([s.x[:, 0] for s in (data.train, data.valid, data.test)]) == 0
    )
    together = np.concatenate([s.y for s in (data.train, data.valid, data.test)])
    assert together.dtype == np.int64
    assert together[where].tolist() == [first]


def test_float_targets_stay_float32(tmp_path):
    frame = pd.DataFrame({"f": np.arange(12.0), "price": np.linspace(0.5, 9.5, 12)})
    data = load(write_table(frame, tmp_path / "t.csv"), target="price")
    assert data.train.y.dtype == np.float32
    assert data.classes is None


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        ("", None, "not a readable .csv file"),
        ("a,b\n", None, "needs at least one row"),
        ("a,b\n1,2\n3,4,5\n", None, "not a readable .csv file, truncated or corrupt"),
        ("a,b\n1,2\n", "c", "must be a column of .*: a, b. Received: target='c'"),
        ("a,b\n1,2\ninf,4\n3,5\n4,5\n", None, "Column 'a' holds infinite values"),
        ("a,b\n1,x\n1,x\n1,x\n", None, "needs a column to learn from.*same value in every row"),
        ("b\n1\n2\n", "b", "at least one row and one column .* Received 2 rows and 0 columns"),
        ("a,b\n1,2\n3,4\n", None, "needs at least 3 rows to be split .* Received 2"),
    ],
)
def test_unusable_table(tmp_path, content, target, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "t.csv", target=target)


def test_truncated_parquet(tmp_path, table):
    path = write_table(table, tmp_path / "t.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"not a readable .parquet file, truncated or corrupt"):
        load(path)


@pytest.mark.parametrize(("module", "suffix"), [("pandas", ".csv"), ("pyarrow", ".parquet")])
def test_missing_table_library_names_the_extra(tmp_path, table, monkeypatch, module, suffix):
    path = write_table(table, tmp_path / f"t{suffix}")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r'pip install "keras-sda\[tables\]"'):
        load(path, target="kind")


# Paths -------------------------------------------------------------------------------------------


def test_path_is_also_looked_for_in_the_data_folders(tmp_path, monkeypatch):
    np.save(tmp_path / "rows.npy", np.eye(4))
    assert load("rows.npy", data_dir=tmp_path).train.x.shape == (2, 4)
    monkeypatch.setenv("KERAS_SDA_DATA", str(tmp_path))
    assert load("rows.npy").train.x.shape == (2, 4)
    assert read_rows("rows.npy").x.shape == (4, 4)


def test_missing_file_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SDA_DATA", str(tmp_path))
    for read in (load, read_rows):
        with pytest.raises(FileNotFoundError, match=r"No such data file .*absent.npz") as caught:
            read("absent.npz")
        assert str(tmp_path / "absent.npz") in str(caught.value)


def test_unknown_kinds_of_files(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"is of an unknown kind. Expected .npz, .npy, .csv"):
        load(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match="is a folder without IDX files"):
        load(tmp_path)


@pytest.mark.parametrize("read", [load, read_rows])
def test_target_is_refused_for_files_without_columns(tmp_path, read, write_idx_folder):
    np.save(tmp_path / "rows.npy", np.eye(4))
    write_idx_folder(tmp_path)
    for path in (tmp_path / "rows.npy", tmp_path):
        with pytest.raises(ValueError, match=r"names the label column of a .csv or .parquet"):
            read(path, target="kind")


# Tables as they are ------------------------------------------------------------------------------


def write_people(tmp_path, **changes):
    age = [20.0, None, 40.0, 50.0, 35.0] * 12
    city = ["Rome", "Oslo", None, "Bonn", "Oslo"] * 12
    frame = pd.DataFrame({"id": range(60), "age": age, "city": city, "who": ["a", "b"] * 30})
    return write_table(frame.assign(**changes), tmp_path / "people.csv")


def test_table_with_text_and_gaps(tmp_path):
    data = load(write_people(tmp_path), target="who", ids=["id"])
    assert data.scaling is None
    assert data.columns.ids == ("id",)
    assert data.columns.input_names[:3] == ("age", "age is missing", "city = Bonn")
    frame = read_rows(tmp_path / "people.csv", target="who").x
    together = np.concatenate([data.train.x, data.valid.x, data.test.x])
    # The rows of all parts are those of the file.
    assert sorted(together.tolist()) == sorted(data.columns(frame).tolist())
    again = load(tmp_path / "people.csv", target="who", columns=data.columns)
    np.testing.assert_array_equal(again.test.x, data.test.x)
    kinds = {"age": "categorical", "id": "ignore"}
    assert (
        "age = 20" in load(tmp_path / "people.csv", target="who", kinds=kinds).columns.input_names
    )


def test_plain_numbers_are_scaled_as_other_data(tmp_path, table):
    path = write_table(table, tmp_path / "t.csv")
    for scale in ("unit", "symmetric", "standard", None):
        data = load(path, target="kind", scale=scale)
        raw = load(path, target="kind", scale=None)
        expected = fit_scaling(raw.train.x.astype("float64"), scale)(raw.test.x)
        np.testing.assert_allclose(data.test.x, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(data.scaling(table[["a", "b", "c"]]).shape, (40, 3))
    assert load(path, target="kind").scaling is None  # squashed


def test_task_of_a_table(tmp_path):
    path = write_people(tmp_path, price=np.arange(60) * 100)
    with pytest.raises(ValueError, match=r"60 different whole numbers, .* say which by task="):
        load(path, target="price")
    assert load(path, target="price", task="regression").train.y.dtype == np.float32
    assert len(load(path, target="price", task="classification").classes) == 60
    with pytest.raises(ValueError, match="'who' .* holds text, and regression needs numbers"):
        load(path, target="who", task="regression")
    with pytest.raises(ValueError, match=r"`task` .* is for .csv and .parquet files"):
        load("digits", task="regression")
