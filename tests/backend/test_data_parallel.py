"""Training on two JAX devices, in a process of its own, as devices are counted at its start."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_sda.backend import shard_rows

WORKER = Path(__file__).with_name("data_parallel_worker.py")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("needs JAX")
    two_devices = {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    result = subprocess.run(
        [sys.executable, WORKER],
        cwd=tmp_path_factory.mktemp("parallel"),
        env={**os.environ, **two_devices},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", ["no noise", "noise", "noise again"])
def test_two_devices_train_to_the_weights_of_one(case, report):
    largest, name = report[case]
    assert largest < 1e-5, name
    if case == "noise again":
        assert largest == 0, name


def test_the_devices_share_the_work(report):
    assert report["devices of a kernel"] == 2
    assert report["devices of a batch"] == [2]
    assert report["shares of 10 rows"] == [5, 5]


def test_a_file_from_two_devices_loads_on_one(report):
    assert report["file"] < 1e-6


def test_on_one_device_nothing_happens():
    assert keras.distribution.distribution() is None
    x = np.ones((3, 2))
    assert shard_rows(x) is x
