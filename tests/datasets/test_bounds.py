"""What a file may take: memory bounded by its size, no devices or pipes, sentences not pages."""

import contextlib
import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_sda.datasets import Columns, load, memory, read_rows

FORMATS = ("npy", "npz", "csv", "parquet", "pkl", "pkl.gz")
LONG = "n" * 3000


@contextlib.contextmanager
def allocating_at_most(count):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < count
    finally:
        tracemalloc.stop()


def npy_header(shape, dtype="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def zeros(start, count):
    """A gzip file of some bytes, and then of so many zeros."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb") as packed:
        packed.write(start)
        for _ in range(count >> 20):
            packed.write(bytes(2**20))
    return file.getvalue()


# Pipes, devices and folders ----------------------------------------------------------------------


@pytest.mark.parametrize("read", [load, read_rows])
@pytest.mark.parametrize("ending", FORMATS)
def test_neither_pipes_nor_devices_are_opened(tmp_path, ending, read):
    pipe, device = tmp_path / f"pipe.{ending}", tmp_path / f"device.{ending}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(ValueError, match="must be a file. Received a device, a pipe"):
            read(path)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_folder_with_the_name_of_a_table(tmp_path, ending):
    (tmp_path / f"a.{ending}").mkdir()
    with pytest.raises(ValueError, match="must be a file. Received a folder"):
        load(tmp_path / f"a.{ending}")


# Memory ------------------------------------------------------------------------------------------


def test_idx_reads_no_more_than_its_header_says(tmp_path, write_idx_folder):
    write_idx_folder(tmp_path)
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 4, 2, 2)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(zeros(header, 2**26))
    with (
        allocating_at_most(2**23),
        pytest.raises(ValueError, match="16 bytes of data. Received 16 bytes and more"),
    ):
        load(tmp_path)


def test_idx_of_many_dimensions(tmp_path, write_idx_folder):
    write_idx_folder(tmp_path)
    header = bytes([0, 0, 8, 200]) + struct.pack(">200I", *[1] * 200)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(header + b"a")
    with pytest.raises(ValueError, match="declares 200 dimensions"):
        load(tmp_path)


@pytest.mark.parametrize("shape", [(2**33,), (2**28, 1), (-1, 4), (2**70, 3)])
def test_npy_allocates_nothing_that_is_not_there(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(npy_header(shape) + bytes(64))
    with (
        allocating_at_most(2**21),
        pytest.raises(ValueError, match=r"a\.npy is not a readable \.npy file"),
    ):
        load(tmp_path / "a.npy")


def write_npz(path, shape, count):
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy_header(shape))
        for _ in range(count >> 20):
            member.write(bytes(2**20))


def test_npz_that_would_fill_the_memory(tmp_path):
    write_npz(tmp_path / "a.npz", (2**15, 2**10), 2**28 + 2**20)
    with (
        allocating_at_most(2**23),
        pytest.raises(ValueError, match="unpack to more than .* write it without compression"),
    ):
        load(tmp_path / "a.npz")


def test_npz_whose_header_lies(tmp_path):
    write_npz(tmp_path / "a.npz", (2**30, 64), 2**20)
    with (
        allocating_at_most(2**23),
        pytest.raises(ValueError, match=r"not a readable \.npz .* is 549755813888 bytes"),
    ):
        load(tmp_path / "a.npz")


def repeated(count):
    """Three pairs of arrays over the same bytes, as a pickle of protocol 4 can share them."""
    data = bytes(count)
    parts = []
    for _ in range(3):
        x, y = (np.frombuffer(data, "u1").reshape(shape) for shape in ((-1, 4), (-1,)))
        parts.append((_Shared(x, data), _Shared(y, data)))
    return pickle.dumps(tuple(parts), protocol=4)


class _Shared:
    """Pickles as an array whose bytes are an object of its own."""

    def __init__(self, array, data):
        self.array, self.data = array, data

    def __reduce__(self):
        make, arguments, (version, shape, dtype, order, _) = self.array.copy().__reduce__()
        return make, arguments, (version, shape, dtype, order, self.data)


@pytest.mark.parametrize(
    ("content", "most", "message"),
    [
        (gzip.compress(b"\x80\x02" + b"]" * 999_000 + b"."), 2**23, "more than 10000 opcodes"),
        (zeros(b"\x80\x02T" + struct.pack("<i", 2**26), 2**26 + 2**20), 2**27, "must hold three"),
        (repeated(2**22), 2**23, "they share their bytes"),
        # One wide character would make two hundred million bytes of fifty.
        (
            b"X" + struct.pack("<I", 2**22 + 4) + "\U0001f600".encode() + b"a" * 2**22 + b".",
            2**23,
            "neither a name nor data",
        ),
        (b"V\\U0001f600" + b"a" * 2**22 + b"\n.", 2**24, "neither a name nor data"),
    ],
    ids=["lists", "bytes", "shared", "wide", "escaped"],
)
def test_pickle_takes_little_more_than_it_has(tmp_path, content, most, message):
    path = tmp_path / "a.pkl"
    if message == "must hold three":
        content = zeros(b"\x80\x02T" + struct.pack("<i", 2**26), 2**26) + gzip.compress(b".")
    path.write_bytes(content)
    with allocating_at_most(most), pytest.raises(ValueError, match=message):
        load(path)


def test_parquet_of_numbers_that_would_fill_the_memory(tmp_path):
    table = pa.table({"x": pa.array(np.zeros(2**20))})
    with pq.ParquetWriter(tmp_path / "a.parquet", table.schema, compression="zstd") as writer:
        for _ in range(33):
            writer.write_table(table)
    before = pa.total_allocated_bytes()
    with pytest.raises(ValueError, match=f"unpack to more than {2**28}"):
        load(tmp_path / "a.parquet")
    assert pa.total_allocated_bytes() == before


def test_parquet_of_small_numbers_that_would_fill_the_memory(tmp_path):
    table = pa.table({"x": pa.array(np.zeros(2**26, "int8"))})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 2**18
    with pytest.raises(ValueError, match=f"unpack to more than {2**28}"):
        load(tmp_path / "a.parquet")


@pytest.mark.parametrize("texts", [["x" * 2**18], [b"x" * 2**18]])
def test_parquet_of_categories_that_would_fill_the_memory(tmp_path, texts):
    column = pa.array(texts * 2**11).dictionary_encode()
    pq.write_table(pa.table({"x": column}), tmp_path / "a.parquet", compression="gzip")
    assert (tmp_path / "a.parquet").stat().st_size < 2**15
    with pytest.raises(ValueError, match=f"unpack to more than {2**28}"):
        load(tmp_path / "a.parquet")


def test_parquet_of_categories_is_read(tmp_path):
    columns = {
        "c": pa.array(["a", "b", None, "a"] * 20).dictionary_encode(),
        "n": pa.array([3, 5, 7, 7] * 20).dictionary_encode(),
        "y": pa.array([0, 1] * 40),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    kinds = {c.name: c.kind for c in load(tmp_path / "a.parquet", target="y").columns.columns}
    assert kinds == {"c": "binary", "n": "numeric"}


def test_parquet_of_text_that_would_fill_the_memory(tmp_path):
    text = pa.array(["q" * 2**20]).take(pa.array(np.zeros(300, int)))
    pq.write_table(pa.table({"x": text}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 2**17
    with pytest.raises(ValueError, match=f"unpack to more than {2**28}"):
        load(tmp_path / "a.parquet")


def test_parquet_of_text_that_repeats_is_read(tmp_path):
    frame = pd.DataFrame({"colour": ["red", None, "green"] * 50, "size": np.arange(150) % 7})
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    pd.testing.assert_frame_equal(read_rows(tmp_path / "a.parquet").x, frame, check_dtype=False)


def test_a_million_columns(tmp_path):
    names = ",".join(f"c{number}" for number in range(10**6))
    (tmp_path / "a.csv").write_text(f"{names}\n{',1' * (10**6 - 1)}\n")
    with pytest.raises(ValueError, match="has more than 100000 columns"):
        load(tmp_path / "a.csv")


def test_a_sparse_file_larger_than_the_memory(tmp_path):
    for ending in ("csv", "pkl"):
        path = tmp_path / f"a.{ending}"
        path.touch()
        os.truncate(path, 2**43)
        with pytest.raises(ValueError, match="needs at least .* GiB of memory, and .* available"):
            load(path)


def test_limits_of_the_process_count():
    """Under a limit on address space, what does not fit is refused."""
    code = (
        "import pathlib, resource, runpy\n"
        f"memory = runpy.run_path({memory.__file__!r})\n"
        "free = memory['available_memory']()\n"
        "taken = int(pathlib.Path('/proc/self/statm').read_text().split()[0])\n"
        "limit = taken * resource.getpagesize() + 2**27\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "assert memory['available_memory']() <= 2**27 < free\n"
        "memory['check_memory']('a.npy', 2**28)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "needs at least 0.25 GiB of memory, and 0.1" in done.stderr


def test_available_memory_is_that_of_the_machine_at_most():
    assert 2**20 < memory.available_memory() < 2**50


# Messages ----------------------------------------------------------------------------------------


def rows(*first, count=5):
    return "\n".join([*first, *(f"{number},{number % 2}" for number in range(count))]) + "\n"


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (f"{LONG},b\n" + "inf,1\n" * 5, {}),
        (f"{LONG},{LONG}2\n" + "1,1\n" * 5, {}),
        (",".join(f"{LONG}{n}" for n in range(50)) + "\n" + ",1" * 49 + "\n", {"target": "z"}),
        (",".join(f"c{n}" for n in range(900)) + "\n" + ",1" * 899 + "\n", {"target": "z"}),
        (rows("a,b"), {"target": LONG}),
        (rows("a,b"), {"ids": [LONG]}),
        (rows("a,b"), {"kinds": {LONG: "numeric"}}),
        (rows("a,b"), {"kinds": {"a": LONG}}),
        (rows(f"{LONG},b", f"{LONG},1"), {"kinds": {LONG: "numeric"}}),
        (rows("a,b"), {"groups": LONG}),
        (rows("a,b", f"1,{LONG}"), {"split_column": "b"}),
        (rows("a,b"), {"split": LONG}),
        (rows("a,b"), {"test": LONG}),
    ],
)
def test_messages_are_sentences(tmp_path, content, options):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load(tmp_path / "a.csv", **options)
    assert len(str(caught.value)) <= 500 + len(str(tmp_path))


def test_columns_that_are_missing_are_not_all_named():
    frame = pd.DataFrame({f"c{number}": np.arange(9.0) + number for number in range(900)})
    columns = Columns.fit(frame)
    with pytest.raises(ValueError, match="lacks 898 of the 900 columns .*: c2, .* and 890 more"):
        columns(frame.iloc[:, :2])
    (remark,) = columns.remarks(frame.join(frame.add_prefix("d")))
    assert len(remark) < 500


def test_path_that_no_file_could_have():
    for name in (f"{LONG}.csv", LONG, "a\0.csv"):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            load(name)
        assert len(str(caught.value)) <= 500
