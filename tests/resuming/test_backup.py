"""Training that was interrupted ends with the weights and histories of one that was not."""

import os
import random
import resource
import signal
import time

import keras
import numpy as np
import pytest

import keras_sda as ks
from keras_sda.callbacks import Backup, NoiseSchedule, PatienceStopping
from keras_sda.layers import MaskingNoise
from keras_sda.resuming.signals import Terminated

ROWS, BATCH = 200, 16
STEPS = -(-ROWS // BATCH)


class Disturb(keras.callbacks.Callback):
    """Does something at the first chance from a place on: `(level or "fit", epoch, step)`."""

    accepts_step_groups = True
    is_stateless = True  # which `Backup` leaves alone

    def __init__(self, place=None, action=None):
        super().__init__()
        self.place, self.action = place, action
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._look(batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        self._look(STEPS + 1)

    def _look(self, step):
        if self.place is None:
            return
        where, epoch, first = self.place
        level = getattr(self.model, "level", "fit")
        if (level, self.epoch) == (where, epoch) and step >= first:
            self.place = None
            self.action()


class CrashError(Exception):
    pass


def crash():
    raise CrashError


def send(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture(scope="module")
def rows(digits):
    return digits[0][:ROWS], digits[1][:ROWS], digits[0][ROWS : ROWS + 50]


def make_stack():
    return ks.StackedDenoisingAutoencoder(
        64, [12, 8], 10, noise_level=0.3, dropout=0.2, finetune_noise_level=0.1, seed=3
    )


def train(rows, folder=None, disturb=None, every=None, epochs=3, batch_size=BATCH):
    """Pretrains and fits a stack; returns its weights and histories."""
    x, y, held_out = rows
    stack = make_stack()
    disturb = disturb or Disturb()

    def callbacks(level=None):
        backup = [] if folder is None else [Backup(folder, every=every, keep=True, verbose=False)]
        if level is None:
            return [*backup, PatienceStopping("loss", patience=2), disturb]
        stopping = keras.callbacks.EarlyStopping(
            "val_loss", patience=1, min_delta=0.5, restore_best_weights=True
        )
        return [disturb, *backup, stopping, NoiseSchedule((0.5, 0.1))]

    histories = stack.pretrain(
        x,
        epochs=epochs,
        batch_size=batch_size,
        callbacks=callbacks,
        validation_data=held_out,
        verbose=0,
    )
    stack.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    histories.append(
        stack.fit(x, y, epochs=epochs, batch_size=16, callbacks=callbacks(), verbose=0)
    )
    return stack.get_weights(), [(each.epoch, each.history) for each in histories]


@pytest.fixture(scope="module")
def undisturbed(rows):
    return train(rows)


def same(one, other):
    pairs = zip(one[0], other[0], strict=True)
    return all(np.array_equal(*pair) for pair in pairs) and one[1] == other[1]


def test_crashes_do_not_show(rows, undisturbed, tmp_path):
    """At the end of an epoch, within one, in a later level, in fine-tuning: one run, four times."""
    for place in ((0, 0, STEPS + 1), (1, 1, 9), ("fit", 0, 5), ("fit", 1, 9)):
        with pytest.raises(CrashError):
            train(rows, tmp_path, Disturb(place, crash), every=4)
    assert same(train(rows, tmp_path, every=4), undisturbed)
    assert {path.name for path in tmp_path.iterdir()} == {"level_1", "level_2", "fit"}
    for folder in tmp_path.iterdir():
        assert len(list(folder.iterdir())) == 2
    # What is finished comes back without training.
    assert same(train(rows, tmp_path, Disturb((0, 0, 1), crash), every=4), undisturbed)


def test_signals_save_and_end(rows, undisturbed, tmp_path, capsys):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    # Three steps a call, so that a signal finds the middle of an epoch.
    with pytest.raises(KeyboardInterrupt, match=r"saved after level 1, epoch 2, step \d+ in "):
        train(rows, tmp_path, Disturb((0, 1, 4), send(signal.SIGINT)), every=3)
    with pytest.raises(Terminated, match=r"saved after epoch 1, step \d+ in ") as caught:
        train(rows, tmp_path, Disturb(("fit", 0, 7), send(signal.SIGTERM)), every=3)
    assert caught.value.code == 143
    # After the last step of an epoch, its end has to come first.
    with pytest.raises(KeyboardInterrupt, match="saved after epoch 1 in "):
        train(rows, tmp_path, Disturb(("fit", 0, STEPS), send(signal.SIGINT)), every=3)
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith("Interrupted, saved after ")
        assert line.endswith("; the same call again resumes from there.")
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert same(train(rows, tmp_path, every=3), undisturbed)


def test_a_damaged_state_gives_way_to_the_one_before(rows, undisturbed, tmp_path, capsys):
    with pytest.raises(CrashError):
        train(rows, tmp_path, Disturb((0, 2, 1), crash))
    latest = sorted((tmp_path / "level_1").iterdir())[-1]
    latest.write_bytes(latest.read_bytes()[:-100])
    assert same(train(rows, tmp_path), undisturbed)
    assert "state-000002.npz is damaged; the state before it is used." in capsys.readouterr().err


def test_a_full_disk_stops_nobody(rows, undisturbed, tmp_path, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limits[1]))

    def fill_and_go_on():
        fill()
        os.kill(os.getpid(), signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt, match="saved after level 1, epoch 1 in"):
            train(rows, tmp_path, Disturb((0, 1, STEPS + 1), fill_and_go_on))
        told = capsys.readouterr().err.splitlines()[0]
        assert told.startswith("The state after level 1, epoch 2 could not be written to ")
        assert "(the disk is full); that of level 1, epoch 1 stays, training continues" in told
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert [path.name for path in (tmp_path / "level_1").iterdir()] == ["state-000001.npz"]
        # From here on without room once more: training reaches its end all the same.
        assert same(train(rows, tmp_path, Disturb((0, 1, STEPS + 1), fill)), undisturbed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert same(train(rows, tmp_path), undisturbed)


def test_a_disk_that_is_full_from_the_start_is_told_once(rows, undisturbed, tmp_path, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limits[1]))

    try:
        assert same(train(rows, tmp_path, Disturb((0, 0, 1), fill)), undisturbed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3, "once for each level and for fine-tuning"
    assert "(the disk is full); there is none so far, training continues" in told[0]


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"batch_size": [BATCH, 32]}, r"batch_sizes\[1\] was 16 and is now 32"),
        ({"epochs": 4}, r"epochs_of_levels\[0\] was 3 and is now 4"),
        ({"rows": 199}, r"x.shape\[0\] was 200 and is now 199"),
        ({"rows": "other"}, "the values of x are others"),
    ],
    ids=str,
)
def test_another_training_is_refused(rows, tmp_path_factory, changed, difference):
    folder = tmp_path_factory.getbasetemp() / "begun"
    if not folder.exists():
        with pytest.raises(CrashError):
            train(rows, folder, Disturb((0, 1, 1), crash))
    changed = dict(changed)
    found = changed.pop("rows", None)
    if found is not None:
        x = rows[0][:found] if found != "other" else rows[0] / 2
        rows = (x, rows[1][: len(x)], rows[2])
    with pytest.raises(ValueError, match=f"belong to another training: {difference}. Use the same"):
        train(rows, folder, **changed)


def make_mlp():
    model = ks.MLP(64, [8], 10, dropout=0.2, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_a_second_fit_trains_on(rows, tmp_path):
    x, y, _ = rows
    model, backup = make_mlp(), Backup(tmp_path / "states")
    model.fit(x, y, epochs=2, callbacks=[backup], verbose=0)
    assert not (tmp_path / "states").exists()
    model.fit(x, y, epochs=2, callbacks=[backup], verbose=0)
    alone = make_mlp()
    for _ in range(2):
        alone.fit(x, y, epochs=2, verbose=0)
    assert all(map(np.array_equal, model.get_weights(), alone.get_weights()))
    assert model.steps_per_call == alone.steps_per_call, "states cost no call for each step"
    if keras.backend.backend() != "torch":  # PyTorch takes one step after the other
        assert model.steps_per_call > 1


def test_pretrain_takes_a_folder(rows, tmp_path, capsys):
    x = rows[0]
    arguments = {"epochs": 2, "batch_size": 16, "backup_dir": tmp_path, "backup_steps": 4}
    with pytest.raises(CrashError):
        make_stack().pretrain(
            x, **arguments, callbacks=lambda level: [Disturb((1, 1, 9), crash)], verbose=0
        )
    stack = make_stack()
    stack.pretrain(x, **arguments, callbacks=lambda level: [Disturb()])
    assert "Resuming after level 2, epoch 2, step 8, from " in capsys.readouterr().err
    alone = make_stack()
    alone.pretrain(x, epochs=2, batch_size=16, verbose=0)
    assert all(map(np.array_equal, stack.get_weights(), alone.get_weights()))


@pytest.mark.parametrize("kind", ["in a file", "dataset", "class weight", "split"])
def test_other_ways_to_hand_over_rows(rows, tmp_path, kind):
    x, y, _ = rows
    weights = []
    if kind == "in a file":
        np.save(tmp_path / "x.npy", x)
        x = np.load(tmp_path / "x.npy", mmap_mode="r")

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return x[index::5], y[index::5]

    for folder, places in ((None, [None]), (tmp_path / "states", [("fit", 1, 3), None])):
        for place in places:
            model = make_mlp()
            random.seed(0)  # by which Keras shuffles the batches of a dataset
            backup = [] if folder is None else [Backup(folder, every=2)]
            given = {"x": x, "y": y, "batch_size": 16}
            if kind == "dataset":
                given = {"x": Batches(workers=1)}
            elif kind == "split":
                given["validation_split"] = 0.2
            elif kind == "class weight":
                given["class_weight"] = dict.fromkeys(range(10), 2.0)
            try:
                history = model.fit(
                    **given, epochs=3, callbacks=[*backup, Disturb(place, crash)], verbose=0
                )
            except CrashError:
                assert place is not None
        weights.append(model.get_weights())
        assert history.epoch == [0, 1, 2]
    assert all(map(np.array_equal, *weights))


class Remembers(keras.callbacks.Callback):
    """Draws and counts, into a list that its maker holds, too."""

    def __init__(self, draws):
        super().__init__()
        self.seen = draws  # by another name than the argument, which is a setting
        self.generator = np.random.default_rng(0)
        self.total = 0.0
        self.function = print

    def on_train_begin(self, logs=None):
        self.total = 0.0

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(float(self.generator.normal()))
        self.total += logs["loss"]


class SpeaksForItself(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = set()  # which no state can hold as it is

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.add(epoch)

    def get_state(self):
        return sorted(self.epochs)

    def set_state(self, state):
        self.epochs = set(state)


def test_what_callbacks_remember(rows, tmp_path):
    x, y, _ = rows
    found = []
    for folder, places in ((None, [None]), (tmp_path / "states", [("fit", 2, 1), None])):
        for place in places:
            model, seen = make_mlp(), []
            remembers, speaks = Remembers(seen), SpeaksForItself()
            slower = keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=1.0)
            callbacks = [remembers, speaks, slower, Disturb(place, crash)]
            if folder is not None:
                callbacks.append(Backup(folder))
            try:
                model.fit(x, y, batch_size=16, epochs=5, callbacks=callbacks, verbose=0)
            except CrashError:
                assert len(seen) == 2
        rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        found.append((seen, remembers.total, speaks.epochs, rate, slower.min_delta))
    assert found[0] == found[1]
    assert len(found[0][0]) == 5
    assert found[0][3] < 1e-3, "the plateau rule has struck"


class PowerCutAtTheEnd(keras.callbacks.Callback):
    is_stateless = True

    def on_train_end(self, logs=None):
        raise CrashError


def test_training_that_a_rule_ended_stays_ended(rows, tmp_path):
    """The crash comes after the last state and before the call returns."""
    x, y, _ = rows

    def fit(*more):
        model, seen, resumed = make_mlp(), [], []
        rule = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=10.0)
        remembers, backup = Remembers(seen), Backup(tmp_path / "states", verbose=False)
        remembers.on_resume = lambda: resumed.append(True)
        callbacks = [rule, remembers, *more, backup]
        try:
            model.fit(x, y, epochs=5, callbacks=callbacks, verbose=0)
        except CrashError:
            assert more
        return len(seen), len(resumed), model.get_weights()

    *counts, weights = fit(PowerCutAtTheEnd())
    assert counts == [2, 0]
    *counts, again = fit()
    assert counts == [2, 1], "it remembers both epochs, has heard of it, and sees no third"
    assert all(map(np.array_equal, weights, again))


def test_what_cannot_be_backed_up_is_refused(rows, tmp_path):
    x, y, _ = rows
    with pytest.raises(ValueError, match="every.*whole number of at least 1"):
        Backup(tmp_path, every=0)
    with pytest.raises(ValueError, match="takes one Backup. Received 2"):
        make_mlp().fit(x, y, callbacks=[Backup(tmp_path), Backup(tmp_path)], verbose=0)
    with pytest.raises(ValueError, match="`steps_per_epoch`.*leave it out"):
        make_mlp().fit(x, y, steps_per_epoch=3, callbacks=[Backup(tmp_path)], verbose=0)
    other = keras.Sequential([keras.layers.Input((64,)), MaskingNoise(0.1), keras.layers.Dense(1)])
    other.compile("sgd", "mse")
    with pytest.raises(ValueError, match="models of keras_sda. Received a Sequential: use keras"):
        other.fit(x, y, callbacks=[Backup(tmp_path)], verbose=0)

    class Speaks(SpeaksForItself):
        def get_state(self):
            return self.epochs

    with pytest.raises(ValueError, match=r"get_state\(\) of Speaks must return numbers"):
        make_mlp().fit(x, y, callbacks=[Speaks(), Backup(tmp_path)], verbose=0)
    assert not any(tmp_path.iterdir())


def test_the_time_before_a_crash_counts(rows, tmp_path):
    x, y, _ = rows

    def fit(disturb):
        model = ks.SoftmaxRegression(64, 10, seed=0)
        model.compile("sgd", "sparse_categorical_crossentropy")
        backup = Backup(tmp_path, keep=True, verbose=False)
        start = time.perf_counter()
        try:
            model.fit(x, y, epochs=3, batch_size=BATCH, callbacks=[disturb, backup], verbose=0)
        finally:
            taken = time.perf_counter() - start
        return backup.earlier_seconds, taken

    with pytest.raises(CrashError):
        fit(Disturb(("fit", 2, 0), crash))
    first, taken = fit(Disturb())
    assert 0 < first < 60
    total, _ = fit(Disturb())
    assert first < total < first + taken, "what both have taken, and no more"
