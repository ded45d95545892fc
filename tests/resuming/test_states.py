"""States are plain, come back as they were, and a damaged one is noticed."""

import resource

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_sda.resuming.files import lacks_room
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


@given(PLAIN)
def test_plain_values_come_back(value):
    again = decode(encode(value, []), {})
    assert again == value
    assert repr(again) == repr(value), "lists stay lists, tuples tuples, 1 an integer"


def test_arrays_numbers_and_generators_come_back_bit_for_bit(files):
    generator = np.random.default_rng(3)
    generator.normal(size=5)
    state = {
        "array": np.arange(6, dtype="int16").reshape(2, 3),
        "half": np.array([0.1, -2], ml_dtypes.bfloat16),
        "empty": np.empty((0, 4)),
        "number": np.float32(0.1),
        "infinity": float("inf"),
        "best": [np.array(1.5), (1, 2)],
        "generator": generator,
    }
    files.write(state)
    again, damaged = files.latest()
    assert damaged == []
    for name in ("array", "half", "empty", "number"):
        assert again[name].dtype == state[name].dtype
        assert np.array_equal(again[name], state[name])
    assert isinstance(again["number"], np.float32)
    assert again["infinity"] == float("inf")
    assert again["best"][0].shape == ()
    assert again["best"][1] == (1, 2)
    assert again["generator"].normal() == generator.normal()


def test_what_is_not_plain_is_refused():
    for value in (print, object(), {1, 2}, np.array([None, 1]), 1j):
        with pytest.raises(NotPlainError, match="neither numbers nor text nor arrays"):
            encode([value], [])


def test_the_last_two_stay(files):
    assert files.latest() == (None, [])
    for number in range(5):
        files.write({"number": number})
    assert [path.name for path in files.paths()] == ["state-000004.npz", "state-000005.npz"]
    assert files.latest()[0] == {"number": 4}
    assert not list(files.folder.glob("partial-*"))
    files.remove()
    assert not files.folder.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_torn_file_is_passed_over(files, share):
    for number in range(2):
        files.write({"number": number, "array": np.arange(1000.0)})
    latest = files.paths()[-1]
    content = latest.read_bytes()
    latest.write_bytes(content[: int(share * len(content))])
    (files.folder / "partial-state-000003.npz").write_bytes(b"half")
    state, damaged = files.latest()
    assert state["number"] == 0
    assert damaged == ["state-000002.npz"]
    assert not (files.folder / "partial-state-000003.npz").exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_changed_byte_is_noticed(files, share):
    path = files.write({"array": np.random.default_rng(0).normal(size=1000)})
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)
    assert files.latest() == (None, [path.name])


def test_without_room_the_older_state_stays(files):
    files.write({"number": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            files.write({"number": 2, "array": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert lacks_room(caught.value)
    assert [path.name for path in files.folder.iterdir()] == ["state-000001.npz"]
    assert files.latest()[0] == {"number": 1}
