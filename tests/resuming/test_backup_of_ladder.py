"""A ladder network that was interrupted ends with the weights and history of one that was not.

Its noise, its moving statistics, the settled weights of its costs, and the rows with and without a
label that each step pairs: all of it is part of the state.
"""

import keras
import numpy as np
import pytest

import keras_sda as ks
from keras_sda.callbacks import Backup

EPOCHS = 4


class CrashError(Exception):
    pass


class Crash(keras.callbacks.Callback):
    """Crashes at the first chance after so many steps of an epoch, and notes the epochs begun."""

    accepts_step_groups = True
    is_stateless = True  # which `Backup` leaves alone

    def __init__(self, epoch=None, step=0):
        super().__init__()
        self.epoch, self.step = epoch, step
        self.begun = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)
        if (epoch, 0) == (self.epoch, self.step):
            raise CrashError

    def on_train_batch_end(self, batch, logs=None):
        if self.begun[-1] == self.epoch and batch + 1 >= self.step:
            raise CrashError


@pytest.fixture(scope="module")
def rows(digits):
    """200 rows, 40 of which have a label."""
    x, y = (table[:200] for table in digits)
    return x, np.where(np.arange(200) % 5 == 0, y, -1)


def train(rows, folder=None, crash=None, every=None, **options):
    model = ks.LadderNetwork(64, [12], 10, noise_level=0.3, seed=3)
    # A state of its own, and a learning rate that depends on how many steps were taken.
    rate = keras.optimizers.schedules.CosineDecay(0.01, decay_steps=EPOCHS * 7)
    model.compile(keras.optimizers.Adam(rate), metrics=["accuracy"])
    backup = [] if folder is None else [Backup(folder, every=every, verbose=False)]
    callbacks = [*backup, crash or Crash()]
    history = model.fit(
        *rows, epochs=EPOCHS, batch_size=30, callbacks=callbacks, verbose=0, **options
    )
    return model, history


@pytest.fixture(scope="module")
def undisturbed(rows):
    return train(rows)


def assert_same(one, other):
    for ours, theirs in zip(one[0].get_weights(), other[0].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert one[1].epoch == other[1].epoch == list(range(EPOCHS))
    assert one[1].history == other[1].history
    assert one[0].denoising_weights == other[0].denoising_weights


@pytest.mark.parametrize("places", [[(2, 0)], [(1, 0), (3, 0)], [(1, 4)]], ids=str)
def test_crashes_do_not_show(rows, undisturbed, tmp_path, places):
    """After an epoch, twice after one, and within one."""
    every = 2 if places[-1][1] else None
    for place in places:
        with pytest.raises(CrashError):
            train(rows, tmp_path, Crash(*place), every)
    rest = Crash()
    assert_same(train(rows, tmp_path, rest, every), undisturbed)
    assert rest.begun == list(range(places[-1][0], EPOCHS)), "what was done is not done again"


def test_another_training_is_refused(rows, tmp_path):
    with pytest.raises(CrashError):
        train(rows, tmp_path, Crash(1, 1))
    x, y = rows
    for changed in ((x, np.where(y == 3, -1, y)), (x / 2, y)):
        with pytest.raises(ValueError, match="belong to another training"):
            train(changed, tmp_path)
