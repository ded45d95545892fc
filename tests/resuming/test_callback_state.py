"""What callbacks remember comes back; what they were made with is theirs, whatever a state says."""

import keras
import numpy as np
import pytest

import keras_sda as ks
from keras_sda.callbacks import Backup, PatienceStopping
from keras_sda.resuming.callback_state import fits, give_state, settings_of, state_of

MONITORS = {
    "best",
    "wait",
    "min_delta",
    "cooldown_counter",
    "stopped_epoch",
    "best_epoch",
    "_allowed_epochs",
}


class PowerCut(keras.callbacks.Callback):
    is_stateless = True

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise InterruptedError


def monitoring(folder):
    """The callbacks of Keras and of this package that watch a value, in all directions."""
    return [
        keras.callbacks.EarlyStopping("loss", min_delta=0.01, patience=2),
        keras.callbacks.EarlyStopping("loss", min_delta=0.02, patience=9, mode="min"),
        keras.callbacks.EarlyStopping("accuracy", min_delta=0.5, patience=4, baseline=0.1),
        keras.callbacks.ReduceLROnPlateau("loss", min_delta=1.0, patience=1, cooldown=1),
        keras.callbacks.ReduceLROnPlateau("accuracy", min_delta=0.5, patience=3, mode="max"),
        keras.callbacks.ModelCheckpoint(
            str(folder / "{epoch}.weights.h5"),
            monitor="loss",
            mode="max",  # of which the first is the best
            save_best_only=True,
            save_weights_only=True,
        ),
        PatienceStopping("loss", patience=3, improvement_threshold=0.5),
    ]


def fit(digits, callbacks):
    x, y = digits
    model = ks.MLP(64, [8], 10, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x[:200], y[:200], epochs=8, callbacks=callbacks, verbose=0)
    return model.get_weights(), history.history


def test_watching_a_value_resumes_exactly(digits, tmp_path):
    """`min_delta` changes its sign while it trains, though it is an argument."""
    folders = [tmp_path / name for name in ("whole", "resumed")]
    for folder in folders:
        folder.mkdir()
    whole = monitoring(folders[0])
    weights, history = fit(digits, whole)
    assert 2 < len(history["loss"]) < 8, "a rule has stopped training, after the power cut"
    states = Backup(tmp_path / "states", verbose=0)
    with pytest.raises(InterruptedError):
        fit(digits, [*monitoring(folders[1]), states, PowerCut()])
    resumed = monitoring(folders[1])
    again, history_again = fit(digits, [*resumed, states])
    assert states.resumed == "epoch 2"
    assert all(map(np.array_equal, weights, again))
    assert history == history_again
    for one, other in zip(whole, resumed, strict=True):
        for name in MONITORS & vars(one).keys():
            assert getattr(one, name) == getattr(other, name), (one, name)
    for folder in folders:
        names = [path.name for path in folder.iterdir()]
        assert names == ["1.weights.h5"], "a later epoch is not the best"


class Base(keras.callbacks.Callback):
    def __init__(self, target="base.txt"):
        super().__init__()
        self.target = target


class Counter(Base):
    """Has settings of its own, and of the class below, and remembers this and that."""

    def __init__(self, files, **kwargs):
        super().__init__(**kwargs)
        self.files = files
        self.place = "runs/first/log.txt"
        self.top = "base.txt"
        self.phase = "warm"
        self.count = 0
        self.later = None
        self.steps = [1]
        self.table = {"a": 1}
        self.sink = print
        self.generator = np.random.default_rng(0)
        self.twister = np.random.Generator(np.random.MT19937(0))

    def on_epoch_end(self, epoch, logs=None):
        pass


def test_what_is_remembered():
    assert state_of(Counter(["own.txt"])).keys() == {
        *("place", "top", "phase", "count", "later", "steps", "table", "generator")
    }


def test_what_is_given_back():
    other, new = Counter([]), Counter([])
    steps, table, generator = new.steps, new.table, new.generator
    other.phase, other.count, other.later = "a/b", np.float32(3), [np.ones(2)]
    other.steps, other.table, other.born_late = [2, 3], {"b": (1,)}, 4
    other.generator.normal(size=3)
    give_state(new, state_of(other))
    assert (new.phase, new.count, new.born_late) == ("a/b", 3, 4)
    assert new.later[0].tolist() == [1, 1]
    assert (steps, table) == ([2, 3], {"b": (1,)}), "who holds them sees the change"
    assert generator.normal() == other.generator.normal()


def test_a_state_that_cannot_be_given_back_is_not_asked_for():
    class Tells(keras.callbacks.Callback):
        count = 0

        def get_state(self):
            raise AssertionError

    before, new = Tells(), Tells()
    before.count = 3
    give_state(new, state_of(before))
    assert new.count == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target", "thesis.txt"),  # an argument of the class below
        ("files", ["thesis.txt"]),
        ("place", "thesis.txt"),
        ("top", "thesis.txt"),
        ("sink", "text"),
        ("twister", np.random.default_rng(1)),
        ("generator", np.random.Generator(np.random.SFC64(1))),
        ("generator", "text"),
        ("params", {}),
        ("_model", None),
        ("model", None),
        ("monitor_op", "less"),
        ("on_epoch_end", "text"),
        ("on_resume", "text"),
        ("on_level_begin", 1),
        ("get_state", 1),
        ("set_params", 1),
        ("__class__", 1),
        ("__deepcopy__", 1),
    ],
)
def test_what_a_state_cannot_change(name, value):
    callback = Counter(["own.txt"])
    missing = object()
    before = getattr(callback, name, missing)
    give_state(callback, {name: value})
    assert getattr(callback, name, missing) == before
    assert callback.generator.normal() == Counter([]).generator.normal()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: keras.callbacks.ModelCheckpoint("a.keras"), "filepath"),
        (lambda: keras.callbacks.CSVLogger("a.csv"), "filename"),
        (lambda: keras.callbacks.BackupAndRestore("a"), "backup_dir"),
        (lambda: keras.callbacks.BackupAndRestore("a"), "_weights_path"),
        (lambda: keras.callbacks.RemoteMonitor(), "root"),
        (lambda: ks.callbacks.ReconstructionPictures(np.ones((1, 4)), folder="a"), "folder"),
    ],
)
def test_files_and_addresses_stay_those_of_the_new_callback(make, name):
    callback = make()
    assert name not in state_of(callback) or name.startswith("_")
    give_state(callback, {name: "thesis.txt"})
    assert getattr(callback, name) == getattr(make(), name)


@pytest.mark.tensorflow_only
def test_tensorboard_writes_where_it_is_told_now(tmp_path):
    pytest.importorskip("tensorboard")
    callback = ks.callbacks.LevelTensorBoard("logs")
    model = ks.MLP(4, [2], 2)
    callback.set_model(model)
    before = dict(vars(callback))
    texts = {name: "elsewhere" for name, value in before.items() if isinstance(value, str)}
    assert {"log_dir", "_top_dir", "_log_write_dir", "_train_dir", "_val_dir"} <= texts.keys()
    give_state(callback, texts)
    assert {name: getattr(callback, name) for name in texts} == {
        name: before[name] for name in texts
    }


@pytest.mark.parametrize(
    "content",
    [
        {"wait": "x"},
        {"wait": [1]},
        {"stopped_epoch": {}},
        {"model_weights": 1, 5: 2},
        [],
    ],
)
def test_values_of_another_kind_do_not_fit(content):
    stopping = keras.callbacks.EarlyStopping()
    stopping.on_train_begin()
    assert fits(stopping, {"wait": 3, "best_weights": [np.ones(2)], "best": 0.5})
    assert not fits(stopping, content)


def test_a_history_of_something_else_does_not_fit():
    history = keras.callbacks.History()
    assert fits(history, {"history": {"loss": [0.5]}, "epoch": [0]})
    assert not fits(history, {"history": {"loss": 5}})
    assert not fits(history, {"history": 5})


def test_settings_keep_their_signs_but_that_of_min_delta(digits):
    """Keras turns the sign of `min_delta` when training begins."""
    callback = keras.callbacks.EarlyStopping("loss", min_delta=0.01, patience=3, baseline=-2.0)
    settings = settings_of(callback)
    assert (settings["min_delta"], settings["baseline"]) == (0.01, -2.0)
    fit(digits, [callback])
    assert callback.min_delta == -0.01
    assert settings_of(callback) == settings
