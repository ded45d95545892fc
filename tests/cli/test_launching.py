"""`keras-sda launch`: a local cluster of real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import keras_sda
from keras_sda_cli import launching

ROOT = Path(keras_sda.__file__).parents[1]

# Stands for `keras-sda` in a worker: what it is told to do comes as its arguments.
WORKER = """
import json, os, sys, time
config = json.loads(os.environ["TF_CONFIG"])
number, workers = config["task"]["index"], config["cluster"]["worker"]
print("worker", number, "of", len(workers), os.environ["KERAS_SDA_STRATEGY"], flush=True)
print("a remark", file=sys.stderr, flush=True)
status, seconds = json.loads(sys.argv[1])[number]
time.sleep(seconds)
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@pytest.fixture
def launched(tmp_path):
    """Returns a function that starts `launch` for workers with given statuses and durations."""
    (tmp_path / "keras_sda_cli.py").write_text(WORKER)
    code = "import sys; from keras_sda_real import launch; sys.exit(launch(sys.argv[1:], 2))"
    # The real one, loaded from its file, as the command does.
    (tmp_path / "keras_sda_real.py").write_text(
        (ROOT / "keras_sda_cli" / "launching.py").read_text()
    )

    def start(*workers):
        return subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(workers)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_output_has_the_number_of_the_worker_in_front(launched):
    out, err = launched((0, 0), (0, 0.2)).communicate(timeout=60)
    assert sorted(out.splitlines()) == [
        "[0] worker 0 of 2 multi_worker",
        "[1] worker 1 of 2 multi_worker",
    ]
    assert sorted(err.splitlines()) == ["[0] a remark", "[1] a remark"]


def test_the_first_failure_decides(launched):
    process = launched((0, 0), (0, 0))
    process.communicate(timeout=60)
    assert process.returncode == 0
    process = launched((5, 1.0), (3, 0.2))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Worker 1 ended with status 3" in err
    process = launched((-signal.SIGKILL, 0.2), (0, 0.4))
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def children(process):
    """Returns the numbers of a process's children."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in found.split()]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all(launched, sent):
    process = launched((0, 300), (0, 300))
    while len(started := children(process)) < 2:
        time.sleep(0.05)
    for _ in range(2):  # both have begun to work
        assert "worker" in process.stdout.readline()
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode == 128 + sent
    assert not any(map(is_alive, started))


def test_a_worker_that_hangs_after_another_failed_is_ended(launched, monkeypatch):
    monkeypatch.setattr(launching, "GRACE", 0.5)
    hanging = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    failing = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    assert launching._first_failure([hanging, failing], []) == 7
    launching._end([hanging, failing])
    assert hanging.returncode == -signal.SIGTERM


def test_addresses_are_free_and_differ():
    addresses = launching.free_addresses(5)
    assert len(set(addresses)) == 5
    for address in addresses:
        host, port = address.split(":")
        with socket.socket() as one:
            one.bind((host, int(port)))
    config = json.loads(launching.worker_environment(addresses, 3)["TF_CONFIG"])
    assert config == {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 3}}


def test_the_command_starts_no_tensorflow_of_its_own():
    code = (
        "import sys, keras_sda_cli.__main__\n"
        "sys.argv = ['keras-sda', 'launch', '--', 'train', '--help']\n"
        "try:\n    keras_sda_cli.__main__.main()\n"
        "except SystemExit as end:\n    print(end.code, {'keras', 'numpy'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    lines = result.stdout.splitlines()
    for number in (0, 1):  # of the workers, which answer at once, too
        assert f"[{number}] Usage: keras-sda train [OPTIONS]" in lines
    assert lines[-1] == "0 set()", result.stderr
