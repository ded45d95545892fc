"""`keras-sda train` by several processes: what is printed and written, and what a lost one does."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import keras_sda  # noqa: F401 (its models, for load_model)
from keras_sda_cli.launching import free_addresses, worker_environment

pytestmark = pytest.mark.tensorflow_only

COMMAND = [sys.executable, "-m", "keras_sda_cli"]
# Bounds a hang; on an idle machine it takes half a minute.
SECONDS = 600


QUICK = ["--units", "16,8", "--pretrain-epochs", "2", "--epochs", "2", "--batch-size", "50"]
OPTIONS = ["--units", "16,8", "--pretrain-epochs", "20", "--epochs", "20", "--optimizer", "adam"]
OPTIONS += ["--learning-rate", "0.003", "--batch-size", "50"]


def launch_two(folder, *options):
    """Trains by two workers; returns the folder of the run and what was printed."""
    environment = {key: os.environ[key] for key in os.environ if key != "TF_CPP_MIN_LOG_LEVEL"}
    result = subprocess.run(
        [*COMMAND, "launch", "--workers", "2", "--", "train", *options, "--output", "run"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert result.returncode == 0, result.stderr
    return folder / "run", result


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return launch_two(tmp_path_factory.mktemp("workers"), *OPTIONS)[0]


@pytest.mark.full
def test_only_the_chief_prints_and_writes(tmp_path):
    run, result = launch_two(tmp_path, *QUICK)
    # TensorFlow 2.20 tells of the servers that it starts.
    told = [
        line
        for line in result.stderr.splitlines()
        if "grpc_server_lib" not in line and "InitializeLog" not in line
    ]
    assert told == [], "a clean terminal"
    lines = result.stdout.splitlines()
    assert all(line.startswith("[0] ") for line in lines)
    assert lines[0] == "[0] Strategy multi_worker: 2 replicas"
    assert "[0] Model, figures and pictures: run" in lines
    pictures = {"learning_curves.png", "filters.png", "reconstructions.png"}
    assert {path.name for path in run.iterdir()} >= {"model.keras", "metrics.json"} | pictures
    assert json.loads((run / "config.json").read_text())["found"]["replicas"] == 2
    assert json.loads((run / "metrics.json").read_text())["test"]["rows"] == 360
    assert {path.name for path in run.parent.iterdir()} == {"run"}, "the other worker wrote nothing"


@contextlib.contextmanager
def two_workers(folder, *options):
    """Yields two processes that train together, and whose errors go to files in the folder."""
    addresses = free_addresses(2)
    workers = []
    try:
        for number in (0, 1):
            with (folder / f"{number}.err").open("w") as errors:
                workers.append(
                    subprocess.Popen(
                        [*COMMAND, "train", *options],
                        env={**os.environ, **worker_environment(addresses, number)},
                        stdout=subprocess.PIPE,
                        stderr=errors,
                        text=True,
                    )
                )
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def come_to_third_epoch(workers, phase, folder):
    lines = (line for line in workers[0].stdout if line.startswith(f"{phase}  epoch "))
    if len(list(itertools.islice(lines, 3))) < 3:
        pytest.fail((folder / "0.err").read_text())


def train_to_the_end(folder, *options):
    with two_workers(folder, *options) as workers:
        for worker in workers:
            worker.communicate(timeout=SECONDS)
            assert worker.returncode == 0, (folder / "0.err").read_text()


def lose(lost, workers, folder):
    """Kills one of two workers; the other has to end and to say why."""
    workers[lost].send_signal(signal.SIGKILL)
    other = workers[1 - lost]
    other.communicate(timeout=SECONDS)
    assert other.returncode not in (0, -signal.SIGKILL)
    message = (folder / f"{1 - lost}.err").read_text()
    assert "Another worker is gone" in message


@pytest.mark.full
@pytest.mark.parametrize(
    "losses",
    [
        [("Level 2 of 2", 0)],
        [("Level 1 of 2", 1), ("Level 2 of 2", 0), ("Fine-tuning", 1)],
    ],
    ids=["once", "three times"],
)
def test_killed_they_go_on_to_the_same_weights(losses, undisturbed, tmp_path):
    run = tmp_path / "killed"
    arguments = [*OPTIONS, "--output", str(run)]
    rng = np.random.default_rng()
    for phase, lost in losses:
        with two_workers(tmp_path, *arguments) as workers:
            come_to_third_epoch(workers, phase, tmp_path)
            time.sleep(rng.uniform(0, 0.2))  # somewhere within an epoch
            lose(lost, workers, tmp_path)
        arguments = ["--resume", str(run)]
    train_to_the_end(tmp_path, *arguments)
    assert "Resuming after " in (tmp_path / "0.err").read_text()
    expected, found = (
        keras.saving.load_model(folder / "model.keras").get_weights()
        for folder in (undisturbed, run)
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    histories = [json.loads((folder / "metrics.json").read_text()) for folder in (undisturbed, run)]
    assert histories[0]["pretraining"] == histories[1]["pretraining"]
    assert histories[0]["training"] == histories[1]["training"]
    assert len(histories[1]["training"]["loss"]) == 20
