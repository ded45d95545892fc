"""`keras-sda train` survives signals, crashes and a full disk."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from commands import as_soon_as, call

from keras_sda import datasets

SMALL = [
    *("--units", "24,16", "--noise", "masking", "--batch-size", "10", "--pretrain-epochs", "2"),
    *("--pretrain-optimizer", "adam", "--pretrain-learning-rate", "0.001", "--epochs", "3"),
    *("--optimizer", "adam", "--learning-rate", "0.003", "--schedule", "constant", "--quiet"),
]
PICTURES = {"filters.png", "learning_curves.png", "reconstructions.png"}
FILES = {"config.json", "metrics.json", "model.keras"} | PICTURES


def finished(folder):
    """Returns weights and figures of a finished run, whose files are all there and no others."""
    assert {path.name for path in folder.iterdir()} == FILES
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["minutes"]
    return keras.saving.load_model(folder / "model.keras").get_weights(), metrics


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    result = call("train", *SMALL, "--output", folder)
    assert result.exit_code == 0, result.output
    return finished(folder)


def is_same(one, other):
    return all(map(np.array_equal, one[0], other[0])) and one[1] == other[1]


def test_signals_end_with_one_line_and_resume_goes_on(tmp_path, undisturbed):
    folder = tmp_path / "a run"
    command = ["train", *SMALL, "--output", folder]
    for number, status, path in (
        (signal.SIGTERM, 143, "level_1/state-000001.npz"),
        (signal.SIGINT, 130, "fit/state-000002.npz"),
    ):
        signalled = as_soon_as(folder / "backup" / path, lambda it=number: os.kill(os.getpid(), it))
        with signalled:
            result = call(*command)
        assert result.exit_code == status, result.output
        *going_on, line = result.stderr.strip().splitlines()
        assert line.startswith("Interrupted, saved after ")
        assert line.endswith(f"; to resume: keras-sda train --resume '{folder}'.")
        assert going_on == []
        command = ["train", "--resume", folder, "--quiet"]
        if status == 143:  # once by the same command again
            other = call("train", *SMALL, "--epochs", "4", "--output", folder)
            assert other.exit_code == 2
            assert "where training.epochs is 3. Received training.epochs=4" in other.output
            command = ["train", *SMALL, "--output", folder]
    result = call(*command)
    assert result.exit_code == 0, result.output
    assert is_same(finished(folder), undisturbed)
    again = call(*command)
    assert again.exit_code == 0
    assert again.output == f"{folder} is finished; there is nothing to resume.\n"


@pytest.mark.full
@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    "signals",
    [["KILL"], ["KILL", "INT", "TERM"]],
    ids="-".join,
)
def test_killed_processes(signals, tmp_path):
    """Signals at random moments, in real processes."""
    script = Path(__file__).parents[2] / "benchmarks" / "kill_test.py"
    command = [sys.executable, script, "--quick", "--kills", "1"]
    command += ["--runs", str(len(signals)), "--seed", "1"]
    result = subprocess.run(
        [*command, "--signal", *signals, "--output", tmp_path], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = tmp_path.iterdir()
    report = json.loads(path.read_text())
    assert report["runs"] == report["bit_equal"] == report["whole_histories"] == len(signals)
    assert report["broken_files"] == 0
    assert report["kills"] >= max(1, len(signals) - 1), "a moment may have come too late"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1.5 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", disk]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("mount is not there")
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not allowed: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)  # noqa: S607


def fill(disk):
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_loses_nothing(small_disk, undisturbed):
    folder = small_disk / "run"
    states = folder / "backup" / "level_2"
    with as_soon_as(states / "state-000001.npz", lambda: fill(small_disk)):
        result = call("train", *SMALL, "--output", folder)
    assert result.exit_code == 2, result.output
    *warnings, error = result.stderr.strip().splitlines()
    assert error.startswith(f"Error: The model could not be written to {folder}, as the disk is")
    assert error.endswith(f"nothing is lost: make room, then `keras-sda train --resume {folder}`.")
    assert all("could not be written" in line and "disk is full" in line for line in warnings)
    assert not list(folder.rglob("partial-*"))
    assert list(states.iterdir())
    (small_disk / "filler").unlink()
    result = call("train", "--resume", folder, "--quiet")
    assert result.exit_code == 0, result.output
    assert is_same(finished(folder), undisturbed)


def refused(*arguments):
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()[-1:]
    return line


def test_another_run_is_refused(tmp_path, digits):
    table, folder = tmp_path / "rows.npz", tmp_path / "run"
    np.savez(table, x=digits[0][:200], y=digits[1][:200])
    command = ["train", *SMALL, "--data", table, "--output", folder]
    path = folder / "backup" / "level_1" / "state-000001.npz"
    with as_soon_as(path, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        assert call(*command).exit_code == 143
    assert "where pretraining.batch_size is 10. Received pretraining.batch_size=20" in refused(
        *command, "--batch-size", 20
    )
    resume = ["train", "--resume", folder]
    message = refused(*resume, "--batch-size", 20, "--noise", "masking")
    assert "pretraining.batch_size is 10. Received pretraining.batch_size=20" in message
    assert "give the setting as it was" in message
    assert "Give --resume or --output" in refused(*resume, "--output", tmp_path / "other")
    assert "does not hold a run, as config.json" in refused("train", "--resume", tmp_path)
    config = (folder / "config.json").read_bytes()
    np.savez(table, x=digits[0][200:400], y=digits[1][200:400])
    message = refused(*resume, "--quiet")
    assert "belong to another training: the values of x are others" in message
    assert (folder / "config.json").read_bytes() == config
    np.savez(table, x=digits[0][:200], y=digits[1][:200])
    result = call(*resume, "--quiet", "--units", "24,16")
    assert result.exit_code == 0, result.output
    assert len(datasets.load(str(table)).train.x) < 200
    finished(folder)


def test_without_backup_nothing_is_kept(tmp_path):
    folder = tmp_path / "run"
    with as_soon_as(folder / "config.json", lambda: os.kill(os.getpid(), signal.SIGTERM)):
        result = call("train", *SMALL, "--no-backup", "--output", folder)
    assert result.exit_code == 143
    assert result.stderr.strip() == "Interrupted."
    assert not (folder / "backup").exists()


def test_a_recipe_ends_with_one_line_between_two_fits(tmp_path):
    command = ["reproduce", "xor", "--quick", "--seeds", "50", "--quiet", "--output", tmp_path]
    results = tmp_path / "xor-quick.json"
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        results.unlink(missing_ok=True)
        with as_soon_as(results, lambda it=number: os.kill(os.getpid(), it)):
            result = call(*command)
        assert result.exit_code == status, result.output
        line = f"Interrupted; the same command again resumes from {tmp_path}."
        assert result.stderr.strip() == line
        done = json.loads(results.read_text())["runs"]
        assert [run["seed"] for run in done] == list(range(len(done)))
        assert 1 <= len(done) < 50
        assert not list(tmp_path.glob(".*"))
