"""Runs whose rows are kept on disk: interrupted in the first epoch, and against rows in memory."""

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

from keras_sda import experiments
from keras_sda.datasets.outside_memory import StoredRows

ROWS = 400


@pytest.fixture
def small(tmp_path):
    """An experiment on a table that stays on disk, of many steps an epoch."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(ROWS, 5)), columns=list("abcde"))
    frame["kind"] = rng.choice(["red", "blue", None], ROWS)
    frame["y"] = np.where(rng.random(ROWS) < 0.1, None, frame["a"] + frame["b"] > 0)
    frame.to_parquet(tmp_path / "table.parquet", row_group_size=150)
    return experiments.default("sda").but(
        {
            "hidden_units": [8, 4],
            "data.name": str(tmp_path / "table.parquet"),
            "data.target": "y",
            "data.storage": "disk",
            "pretraining.epochs": 1,
            "pretraining.batch_size": 4,
            "training.epochs": 1,
            "training.batch_size": 4,
            "training.head": "finetune",
        }
    )


def test_interrupted_in_the_first_epoch_it_ends_with_the_same_weights(small, tmp_path, capsys):
    undisturbed = experiments.run(small, verbose=0)
    assert isinstance(undisturbed.data.train.x, StoredRows)
    folder = tmp_path / "run"

    def interrupt():
        while not (folder / "backup" / "level_1" / "state-000001.npz").exists():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        experiments.run(small, folder, backup_steps=2, verbose=0)
    assert "level 1, epoch 1, step" in capsys.readouterr().err
    resumed = experiments.run(small, folder, verbose=0)
    for one, other in zip(
        resumed.model.get_weights(), undisturbed.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert resumed.metrics["test"] == undisturbed.metrics["test"]


@pytest.mark.full
def test_a_run_on_disk_measures_as_from_memory_and_compares(small):
    stored = experiments.run(small, compare=True, verbose=0)
    kept = experiments.run(small.but({"data.storage": "memory"}), verbose=0)
    for part in ("valid", "test"):
        assert stored.metrics[part]["rows"] == kept.metrics[part]["rows"]
    assert stored.metrics["duplicates"] == kept.metrics["duplicates"]
    loss = stored.metrics["training"]["loss"][0]
    assert loss == pytest.approx(kept.metrics["training"]["loss"][0], rel=0.2)
    figures = stored.metrics["comparison"]["figures"]
    assert all(0 <= each["error"][0] < 0.3 for each in figures.values())
    raw = stored.raw_rows(part="test").x
    np.testing.assert_array_equal(stored.scaled(raw), stored.data.test.x[:])
