"""Two processes, or one after a killed one, in the same places."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from studies import train_briefly

import keras_sda as ks
from keras_sda import experiments, recipes
from keras_sda.callbacks import Backup
from keras_sda.experiments import run_folder

SHORT = experiments.default("softmax").but({"training.epochs": 1})


def test_a_folder_in_which_another_process_trains(tmp_path):
    with run_folder.locked(tmp_path / "run"):
        with pytest.raises(ValueError, match="Another process is training in .*run: wait"):
            experiments.run(SHORT, tmp_path / "run", verbose=0)
        assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    assert not any((tmp_path / "run").iterdir())


def test_no_lock_stays_in_a_finished_run(tmp_path):
    experiments.run(SHORT, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run" / ".lock").exists()
    assert run_folder.is_finished(tmp_path / "run")


def test_no_lock_stays_where_another_thing_is(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty"):
        experiments.run(SHORT, tmp_path, verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@contextlib.contextmanager
def held_until_killed(path):
    """While the block runs another process has the lock in a file; then it is killed."""
    code = (
        "import filelock, sys, time\n"
        f"lock = filelock.FileLock({str(path)!r})\n"
        "lock.acquire()\n"
        "print('taken', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"taken\n"
            yield
        finally:
            process.kill()


def test_the_lock_of_a_killed_process_does_not_block(tmp_path):
    (tmp_path / "run").mkdir()
    with (
        held_until_killed(tmp_path / "run" / ".lock"),
        pytest.raises(ValueError, match="Another process"),
        run_folder.locked(tmp_path / "run"),
    ):
        pass
    with run_folder.locked(tmp_path / "run"):
        pass


def codes_in(folder):
    return sorted(path.name for path in folder.glob("keras_sda_codes_*"))


def test_codes_of_a_killed_process_are_removed(tmp_path):
    left, used = tmp_path / "keras_sda_codes_left", tmp_path / "keras_sda_codes_used"
    for folder in (left, used):
        folder.mkdir()
        (folder / "train_1").write_bytes(bytes(100))
        with held_until_killed(folder / "in_use.lock"):
            pass
        os.utime(folder / "in_use.lock", (time.time() - 60,) * 2)
    (tmp_path / "keras_sda_codes_of_another").mkdir()
    model = ks.StackedDenoisingAutoencoder(8, [4, 3], seed=0)
    with FileLock(used / "in_use.lock"):
        model.pretrain(
            np.eye(8, dtype="float32"), epochs=1, cache="disk", cache_dir=tmp_path, verbose=0
        )
        assert codes_in(tmp_path) == ["keras_sda_codes_of_another", "keras_sda_codes_used"]


@pytest.mark.parametrize("kind", ["a file", "a file above"])
def test_states_that_cannot_be_written_are_refused_at_the_start(tmp_path, kind):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / ("" if kind == "a file" else "states")
    model = ks.DenoisingAutoencoder(8, 4, seed=0)
    model.compile("adam")
    with pytest.raises(ValueError, match="Backup cannot write states to .*file.*: name another"):
        model.fit(np.eye(8), epochs=1, callbacks=[Backup(Path(folder))], verbose=0)


def test_checking_leaves_nothing_behind(tmp_path):
    model = ks.DenoisingAutoencoder(8, 4, seed=0)
    model.compile("adam")
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(np.eye(8), steps_per_epoch=1, callbacks=[Backup(tmp_path / "a")], verbose=0)
    assert not any(tmp_path.iterdir())


def test_a_folder_in_which_another_process_studies(tmp_path, monkeypatch):
    train_briefly(monkeypatch, fine_tuning=1, pretraining=1)
    with (
        held_until_killed_in(tmp_path / "study", ".lock"),
        pytest.raises(ValueError, match="Another process is studying in .*study: wait"),
    ):
        experiments.study("digits", labels=20, seeds=1, output=tmp_path / "study", verbose=0)
    assert [path.name for path in (tmp_path / "study").iterdir()] == [".lock"]


def test_a_recipe_that_another_process_reproduces(tmp_path):
    recipe = recipes.get("xor")
    with (
        held_until_killed_in(tmp_path, ".xor-quick.lock"),
        pytest.raises(ValueError, match="Another process is reproducing xor-quick in .*: wait"),
    ):
        recipes.reproduce(recipe, tmp_path, seeds=1, quick=True, verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == [".xor-quick.lock"]
    # The lock of a process that is gone blocks nobody, and none stays.
    recipes.reproduce(recipe, tmp_path, seeds=1, quick=True, verbose=0)
    assert not list(tmp_path.glob(".*"))


def held_until_killed_in(folder, name):
    """As `held_until_killed`, in a folder that is made."""
    folder.mkdir(exist_ok=True)
    return held_until_killed(folder / name)
