"""Training by two JAX processes together, against the same on one device."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_sda_cli.launching import free_addresses

WORKER = Path(__file__).with_name("jax_processes_worker.py")
# Bounds a hang; on an idle machine a process takes a minute.
SECONDS = 600


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What each of the two processes reports, the chief first."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("needs JAX")
    folder = tmp_path_factory.mktemp("processes")
    address, _ = free_addresses(2)
    one_device = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    logs = [folder / f"{number}.log" for number in range(2)]
    with contextlib.ExitStack() as stack:
        processes = []
        for number, log in enumerate(logs):
            process = subprocess.Popen(
                [sys.executable, WORKER, str(number), "2", address, str(folder)],
                env={**os.environ, **one_device},
                stdout=subprocess.PIPE,
                stderr=stack.enter_context(log.open("w")),
                text=True,
            )
            stack.callback(process.kill)
            processes.append(process)
        printed = [process.communicate(timeout=SECONDS)[0] for process in processes]
    for process, log in zip(processes, logs, strict=True):
        assert process.returncode == 0, log.read_text()[-4000:]
    return [json.loads(text.splitlines()[-1]) for text in printed]


def test_two_processes_train_to_the_weights_of_one_device(reports):
    for report in reports:
        largest, name = report["difference"]
        assert largest < 1e-5, name
    assert reports[0]["weights"] == reports[1]["weights"]


def test_the_first_process_is_the_chief(reports):
    assert [report["chief"] for report in reports] == [True, False]
    assert [report["from chief"] for report in reports] == [[0], [0]]
    assert [report["alone"] for report in reports] == [[True, [0]], [True, [1]]]


def test_the_chief_alone_encodes_saves_and_evaluates(reports):
    differences = reports[0]["alone differs"]
    assert len(differences) == 5
    assert max(differences.values()) < 1e-5, differences


def test_processes_resume_together(reports):
    assert [report["resumed after"] for report in reports] == ["epoch 1", "epoch 1"]
    assert [report["resumed"] for report in reports] == [0, 0]


def test_what_processes_cannot_do_is_refused(reports):
    for report in reports:
        assert "must have the same rows and the same random seed" in report["other rows"]
        assert report["shards"].endswith("Received: auto_shard_dataset=False")
        assert "under keras.distribution.DataParallel alone" in report["model parallel"]
