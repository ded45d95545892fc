"""States are plain, come back as they were, and a damaged one is noticed."""

import json
import resource
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_sda.resuming.files import lacks_room, replacing
from keras_sda.resuming.states import NotPlainError, StateFiles, decode, encode

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)


@pytest.fixture
def files(tmp_path):
    return StateFiles(tmp_path / "states")


MINE = {"x": "1a2b", "fit": {"epochs": 3}}


def write(files, **state):
    return files.write({"fingerprint": MINE, **state})


def latest(files):
    found = files.latest(MINE)
    assert found.damaged == []
    assert found.difference is None
    return found.state


@given(PLAIN)
def test_plain_values_come_back(value):
    again = decode(encode(value, []), {})
    assert again == value
    assert repr(again) == repr(value), "lists stay lists, tuples tuples, 1 an integer"


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"key": v}])
def test_as_deep_as_promised_and_no_deeper(wrap):
    value = 1
    for _ in range(101):
        value = wrap(value)
    assert decode(encode(value, []), {}) == value, "the innermost lies in 100 others"
    with pytest.raises(NotPlainError, match="in more than 100 others"):
        encode(wrap(value), [])
    content = 1
    for _ in range(102):
        content = [content]
    with pytest.raises(ValueError, match="too many lists"):
        decode(content, {})
    content = 1
    for _ in range(102):
        content = {"dict": [[content, 1]]}
    with pytest.raises(ValueError, match="too many lists"):
        decode(content, {})


def test_no_form_is_a_value_without_a_form():
    with pytest.raises(ValueError, match="no value is written by"):
        decode({}, {})


def test_arrays_numbers_and_generators_come_back_bit_for_bit(files):
    generator = np.random.default_rng(3)
    generator.normal(size=5)
    state = {
        "array": np.arange(6, dtype="int16").reshape(2, 3),
        "half": np.array([0.1, -2], ml_dtypes.bfloat16),
        "quarters": [np.array([0.1, -2], kind) for kind in (ml_dtypes.float8_e4m3fn, "f2")],
        "eighth": np.array([0.1, -2], ml_dtypes.float8_e5m2),
        "text": np.array(["a", "bc"]),
        "date": np.datetime64("2026-01-01"),
        "empty": np.empty((0, 4)),
        "number": np.float32(0.1),
        "infinity": float("inf"),
        "best": [np.array(1.5), (1, 2)],
        "generator": generator,
    }
    write(files, **state)
    again = latest(files)
    for name in ("array", "half", "eighth", "empty", "number", "text", "date"):
        assert again[name].dtype == state[name].dtype
        assert np.array_equal(again[name], state[name])
    assert isinstance(again["number"], np.float32)
    assert again["infinity"] == float("inf")
    assert again["best"][0].shape == ()
    assert again["best"][1] == (1, 2)
    assert again["generator"].normal() == generator.normal()


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.PCG64DXSM, np.random.SFC64])
def test_generators_of_numpy_come_back(files, kind):
    generator = np.random.Generator(kind(3))
    generator.integers(5, dtype="uint32")  # which keeps the other half of 64 bits
    write(files, generator=generator)
    again = latest(files)["generator"]
    assert type(again.bit_generator) is kind
    assert np.array_equal(again.integers(9, size=20), generator.integers(9, size=20))


def test_what_is_not_plain_is_refused():
    twister = np.random.Generator(np.random.MT19937(0))
    records = np.zeros(2, [("a", "f4"), ("b", "f8")])
    integers = np.zeros(2, ml_dtypes.int4)
    for value in (print, object(), {1, 2}, np.array([None, 1]), 1j, twister, records, integers):
        with pytest.raises(NotPlainError, match="neither numbers nor text nor arrays"):
            encode([value], [])
    endless = []
    endless.append(endless)
    with pytest.raises(NotPlainError, match="a list lies in more than 100 others"):
        encode(endless, [])


def test_the_last_two_stay(files):
    assert files.latest(MINE) == (None, None, [])
    for number in range(5):
        write(files, number=number)
    assert [path.name for path in files.paths()] == ["state-000004.npz", "state-000005.npz"]
    assert latest(files) == {"fingerprint": MINE, "number": 4}
    assert not list(files.folder.glob("partial-*"))
    files.remove()
    assert not files.folder.exists()


def test_files_of_others_stay_in_the_folder(files):
    write(files)
    (files.folder / "notes.txt").touch()
    files.remove()
    assert [path.name for path in files.folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_torn_file_is_passed_over(files, share):
    for number in range(2):
        write(files, number=number, array=np.arange(1000.0))
    latest = files.paths()[-1]
    content = latest.read_bytes()
    latest.write_bytes(content[: int(share * len(content))])
    (files.folder / "partial-state-000003.npz").write_bytes(b"half")
    found = files.latest(MINE)
    assert found.state["number"] == 0
    assert found.damaged == ["state-000002.npz"]
    assert not (files.folder / "partial-state-000003.npz").exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_changed_byte_is_noticed(files, share):
    path = write(files, array=np.random.default_rng(0).normal(size=1000))
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)
    assert files.latest(MINE) == (None, None, [path.name])


def test_without_room_the_older_state_stays(files):
    write(files, number=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            write(files, number=2, array=np.zeros(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert lacks_room(caught.value)
    assert [path.name for path in files.folder.iterdir()] == ["state-000001.npz"]
    assert latest(files)["number"] == 1


# States that were tampered with ------------------------------------------------------------------


def plain(value):
    return encode(value, [])


class OnLoading:
    """Leaves a mark in a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def write_raw(files, entries, members=(), compression=zipfile.ZIP_STORED):
    """Writes a state as someone who tampers with one would: checksums are right."""
    files.folder.mkdir(exist_ok=True)
    path = files.folder / "state-000009.npz"
    content = {"dict": [["fingerprint", plain(MINE)], *entries.items()]}
    text = np.frombuffer(json.dumps(content).encode(), "uint8")
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in (("state", text), *members):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=array.dtype == object)
    return path


def test_a_raw_state_is_read(files):
    write_raw(files, {"a": {"array": 0, "dtype": "int64"}}, [("array0", np.arange(3))])
    assert latest(files)["a"].tolist() == [0, 1, 2]


def generator(name="PCG64", **changed):
    state = np.random.PCG64(0).state
    inner = {**state["state"], **changed.pop("state", {})}
    return {"generator": plain({**state, "bit_generator": name, "state": inner, **changed})}


def nested(depth):
    content = []
    for _ in range(depth):
        content = [content]
    return content


@pytest.mark.parametrize(
    "content",
    [
        # A name of numpy.random that is not a generator: it started pytest in the current folder.
        generator("test"),
        generator("RandomState"),
        generator("MT19937"),
        generator("Philox"),
        generator("SFC64"),
        generator(["PCG64"]),
        generator(state={"state": -1}),
        generator(state={"state": 2**128}),
        generator(state={"inc": 0.5}),
        generator(state={"inc": True}),
        generator(state={"state": 0, "inc": 0}),  # every draw is 0
        generator(state={"more": 1}),
        generator(has_uint32="1"),
        generator(uinteger=2**64),
        {"generator": plain({"bit_generator": "PCG64"})},
        {"generator": "PCG64"},
        {"generator": {"generator": plain({})}},
        # Arrays that are not there, or of a type that they are not.
        {"array": 1, "dtype": "int64"},
        {"array": "../0", "dtype": "int64"},
        {"array": [0], "dtype": "int64"},
        {"array": None, "dtype": "int64"},
        {"array": 0},
        {"array": 0, "dtype": "O"},
        {"array": 0, "dtype": "object"},
        {"array": 0, "dtype": "float64"},
        {"array": 0, "dtype": "bfloat16"},
        {"array": 0, "dtype": "V8"},
        {"array": 0, "dtype": "(1000000,)f8"},
        {"array": 0, "dtype": ["i8"]},
        {"array": 0, "dtype": None},
        {"array": 0, "dtype": "int64", "number": 0},
        {"number": 0, "dtype": "int64"},
        [{"array": 0, "dtype": "int64"}] * 2,
        {"array": 9, "dtype": "void64"},
        # Forms that `encode` never gives.
        {},
        {"list": []},
        {"tuple": "text"},
        {"tuple": {"dict": []}},
        {"dict": {"a": 1}},
        {"dict": [[1, 2, 3]]},
        {"dict": [["a"]]},
        {"dict": [[[1], 2]]},
        {"dict": [[{"dict": []}, 2]]},
        nested(200),
    ],
    ids=lambda content: str(content)[:60],
)
def test_tampered_states_are_passed_over(files, content):
    write(files, number=1)
    records = np.zeros(1, [("a", "f4"), ("b", "i4")])
    path = write_raw(files, {"a": content}, [("array0", np.arange(3)), ("array9", records)])
    found = files.latest(MINE)
    assert found.state["number"] == 1
    assert found.damaged == [path.name]


@pytest.mark.parametrize("entry", [{"array": 0, "dtype": "object"}, None])
def test_a_pickle_in_a_state_runs_nothing(files, tmp_path, entry):
    write(files, number=1)
    mark = tmp_path / "mark"
    path = write_raw(files, {"a": entry}, [("array0", np.array([OnLoading(mark)], object))])
    assert files.latest(MINE) == ({"fingerprint": MINE, "number": 1}, None, [path.name])
    assert not mark.exists()
    with np.load(path, allow_pickle=True) as archive:
        archive["array0"]
    assert mark.exists(), "the pickle does run where one lets it"


def test_not_a_number_may_be_a_key(files):
    write_raw(files, {"a": {"dict": [[float("nan"), 1]]}})
    assert list(latest(files)["a"].values()) == [1]


@pytest.mark.parametrize(
    "text",
    [b"[" * 100_000, b'{"dict": ' * 100_000, b'{"dict": 1}', b'{"dict": [[1, 2]]}', b"1", b"\xff"],
    ids=lambda text: text[:9].decode("latin1"),
)
def test_other_texts_are_passed_over(files, text):
    write(files, number=1)
    path = files.folder / "state-000009.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("state.npy", "w") as file:
        np.lib.format.write_array(file, np.frombuffer(text, "uint8"))
    assert files.latest(MINE).damaged == ["state-000009.npz"]


def test_packed_members_are_passed_over(files):
    zeros = [("array0", np.zeros(2**20))]
    path = write_raw(files, {}, zeros, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**15
    assert files.latest(MINE).damaged == [path.name]


def test_of_another_training_only_the_fingerprint_is_decoded(files):
    write_raw(files, {"a": generator("test")})
    found = files.latest({**MINE, "fit": {"epochs": 5}})
    assert found == (None, "fit.epochs was 3 and is now 5", [])


def test_what_cannot_be_used_is_passed_over(files):
    for number in range(3):
        write(files, number=number)

    def is_first(state):
        assert state["number"] < 2

    found = files.latest(MINE, is_first)
    assert found.state["number"] == 1
    assert found.damaged == ["state-000003.npz"]


def test_states_of_a_later_version_are_not_taken(tmp_path):
    files = StateFiles(tmp_path)
    path = files.write({"fingerprint": {"seed": 0}})
    assert files.latest({"seed": 0}).state == {"fingerprint": {"seed": 0}}
    with np.load(path) as archive:
        text = json.loads(archive["state"].tobytes())
    text["dict"] = [[name, 2 if name == "format" else entry] for name, entry in text["dict"]]
    np.savez(path, state=np.frombuffer(json.dumps(text).encode(), "uint8"))
    state, difference, damaged = files.latest({"seed": 0})
    assert (state, damaged) == (None, [])
    assert "format was 2, of a later version" in difference


def test_an_error_before_anything_is_written_is_told_as_it_is(tmp_path):
    with pytest.raises(ValueError, match="of the caller"), replacing(tmp_path / "state.npz"):
        raise ValueError("of the caller")
    assert not any(tmp_path.iterdir())
