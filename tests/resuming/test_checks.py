"""A state is looked through before any of it is used."""

import json

import keras
import numpy as np
import pytest

import keras_sda as ks
from keras_sda import backend
from keras_sda.callbacks import Backup
from keras_sda.resuming.checks import check_state
from keras_sda.resuming.states import StateFiles, decode

ROWS = 60


class PowerCut(keras.callbacks.Callback):
    """Ends training in the middle of the second epoch."""

    accepts_step_groups = True
    is_stateless = True

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 2):
            raise InterruptedError


def fit(digits, *callbacks):
    x, y = digits
    model = ks.MLP(64, [8], 10, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[:ROWS], y[:ROWS], batch_size=16, epochs=3, callbacks=list(callbacks), verbose=0)
    return model.get_weights()


def interrupted(digits, folder):
    with pytest.raises(InterruptedError):
        fit(digits, PowerCut(), Backup(folder, every=1))
    return StateFiles(folder / "fit")


def read(path):
    with np.load(path) as archive:
        arrays = dict(archive)
    return decode(json.loads(arrays.pop("state").tobytes()), arrays)


@pytest.fixture(scope="module")
def path(digits, tmp_path_factory):
    """The file of a state within the second epoch."""
    return interrupted(digits, tmp_path_factory.mktemp("states")).paths()[-1]


def check(state):
    check_state(state, [keras.callbacks.History()], ROWS)


def test_a_real_state_passes(path):
    before = backend.shuffling_state()
    state = read(path)
    assert (state["epoch"], state["step"]) == (1, 2)
    check(state)
    after = backend.shuffling_state()
    assert np.array_equal(before["numpy"][1], after["numpy"][1])
    assert (before["python"], before["numpy"][2]) == (after["python"], after["numpy"][2])


ZEROS = np.zeros(624, "uint32")


def numpy_state(*, name="MT19937", keys=ZEROS, position=0):
    return (name, keys, position, 0, 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("position", "epoch 1\x1b[2J"),
        ("position", 1),
        ("epoch", "1"),
        ("epoch", -1),
        ("epoch", 2**31),
        ("step", True),
        ("step", 1.5),
        ("stopped", 1),
        ("seconds", float("nan")),
        ("steps_per_call", 0),
        ("steps_per_call", "1"),
        ("variables", None),
        ("variables", ["text"]),
        ("variables", [np.array(["text"])]),
        ("optimizer", [1.0]),
        ("metrics", [np.datetime64("2026-01-01")]),
        ("callbacks", []),
        ("callbacks", [{}, {}]),
        ("callbacks", [[]]),
        ("callbacks", [{1: 2}]),
        ("logs", {"loss": "low"}),
        ("logs", []),
        ("remaining_rows", [1, 2]),
        ("remaining_rows", np.array([[1]], "int32")),
        ("remaining_rows", np.array([1.0])),
        ("remaining_rows", np.array([0, ROWS], "int32")),
        ("remaining_rows", np.array([-1], "int32")),
    ],
)
def test_other_types_and_values_do_not(path, name, value):
    with pytest.raises((TypeError, ValueError, AttributeError)):
        check({**read(path), name: value})


@pytest.mark.parametrize(
    "changed",
    [
        {"numpy": numpy_state(position=625)},  # the next draw would read beyond the buffer
        {"numpy": numpy_state(position=-1)},
        {"numpy": numpy_state(position=2**40)},
        {"numpy": numpy_state(keys=np.zeros(5, "uint32"))},
        {"numpy": numpy_state(keys=ZEROS.astype("int64"))},
        {"numpy": numpy_state(keys="text")},
        {"numpy": numpy_state(name="Philox")},
        {"numpy": {"bit_generator": "MT19937", "state": {"key": np.zeros(624), "pos": 700}}},
        {"python": (3, (0,) * 624 + (700,), None)},
        {"python": (3, (-1,) * 625, None)},
        {"python": (3, (0,) * 9, None)},
        {"python": (9, (0,) * 625, None)},
        {"python": (3, (0,) * 625, "text")},
        {"torch": np.zeros(5, "uint8")},
        {"torch": "text"},
    ],
    ids=lambda changed: str(changed)[:50],
)
@pytest.mark.parametrize("part", ["shuffling", "epoch_shuffling"])
def test_other_generators_do_not(path, changed, part):
    state = read(path)
    state[part] = {**state[part], **changed}
    before = backend.shuffling_state()
    with pytest.raises(
        (AttributeError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)
    ):
        check(state)
    after = backend.shuffling_state()
    assert np.array_equal(before["numpy"][1], after["numpy"][1])
    assert before["python"] == after["python"]


@pytest.mark.parametrize("missing", ["fingerprint", "shuffling", "metrics"])
def test_what_is_missing_is_noticed_before_training(digits, tmp_path, capsys, missing):
    """The state before is used then, and nothing of it shows in the weights."""
    files = interrupted(digits, tmp_path)
    state = read(files.paths()[-1])
    del state[missing]
    path = files.write(state)
    weights = fit(digits, Backup(tmp_path, every=1))
    assert f"{path.name} is damaged; the state before it is used" in capsys.readouterr().err
    assert all(map(np.array_equal, weights, fit(digits)))


def test_arrays_of_another_shape_end_in_a_sentence(digits, tmp_path):
    files = interrupted(digits, tmp_path)
    state = read(files.paths()[-1])
    state["optimizer"][-1] = np.zeros(3, "float32")
    files.write(state)
    with pytest.raises(ValueError, match="arrays for the optimizer, .* remove its folder"):
        fit(digits, Backup(tmp_path, every=1))
