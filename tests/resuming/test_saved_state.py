"""A state that version 0.2.0 wrote is resumed from."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_sda as ks
from keras_sda.callbacks import Backup

SAVED = Path(__file__).parents[1] / "saved" / "state_0_2_0"


class Cut(keras.callbacks.Callback):
    """Stands for the callback that ended the second of three epochs before it was saved."""

    accepts_step_groups = True


@pytest.mark.tensorflow_only
def test_state_of_0_2_0(tmp_path):
    folder = shutil.copytree(SAVED, tmp_path / "states")
    model = ks.DenoisingAutoencoder(
        8,
        4,
        noise="masking",
        noise_level=0.25,
        activation="sigmoid",
        reconstruction_loss="squared_error",
        seed=0,
    )
    model.compile("adam")
    backup = Backup(folder, verbose=0)
    rows = np.eye(8, dtype="float32").repeat(2, axis=0)
    history = model.fit(rows, batch_size=4, epochs=3, callbacks=[backup, Cut()], verbose=0)
    assert backup.resumed == "epoch 1"
    # As 0.2.0 went on itself.
    expected = [2.0983004570007324, 1.9747073650360107, 1.9896129369735718]
    assert history.history["loss"] == pytest.approx(expected, abs=1e-5)
