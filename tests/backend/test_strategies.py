"""Training on several devices and by several processes, against the same on one device."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from backend import strategy_runs

from keras_sda.launching import free_addresses, worker_environment
from keras_sda.runs import error_interval

pytestmark = pytest.mark.tensorflow_only

SCRIPT = Path(strategy_runs.__file__)
# Bounds a hang; on an idle machine a process takes half a minute.
SECONDS = 600


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The results by name: one device, two devices of one process, two processes."""
    folder = tmp_path_factory.mktemp("strategies")
    addresses = free_addresses(2)
    environments = {
        "mirrored": {},
        "worker_0": worker_environment(addresses, 0),
        "worker_1": worker_environment(addresses, 1),
    }
    with contextlib.ExitStack() as stack:
        processes = {}
        for name, environment in environments.items():
            kind = "mirrored" if name == "mirrored" else "multi_worker"
            log = stack.enter_context((folder / f"{name}.log").open("w"))
            processes[name] = subprocess.Popen(
                [sys.executable, str(SCRIPT), kind, str(folder / f"{name}.npz")],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )
            stack.callback(ended, processes[name])
        results = {"one": strategy_runs.everything(contextlib.nullcontext)}
        results["one"] |= strategy_runs.plain_keras(contextlib.nullcontext)
        for name, process in processes.items():
            status = process.wait(SECONDS)
            assert status == 0, (folder / f"{name}.log").read_text()[-4000:]
            results[name] = dict(np.load(folder / f"{name}.npz"))
    return results


def ended(process):
    process.kill()
    process.wait()


def compared(runs, *prefixes):
    names = [name for name in runs["one"] if name.startswith(prefixes)]
    assert names
    return names


@pytest.mark.parametrize("kind", ["mirrored", "worker_0"])
def test_weights_and_figures_equal_those_of_one_device(runs, kind):
    ours, one = runs[kind], runs["one"]
    exact = ("pretrained", "level_", "fit", "evaluated", "predicted", "encoded", "best_epoch")
    for name in compared(runs, *exact, "dataset", "last", "contractive"):
        np.testing.assert_allclose(
            ours[name], one[name], rtol=1e-5, atol=1e-5, err_msg=f"{kind}, {name}"
        )
    assert ours["steps_per_call"] == one["steps_per_call"] > 1, "the fast way was gone"


def test_workers_end_with_the_very_same_weights(runs):
    for name in compared(runs, "pretrained", "fit", "last", "contractive", "evaluated", "errors"):
        np.testing.assert_array_equal(runs["worker_0"][name], runs["worker_1"][name], name)
        np.testing.assert_allclose(
            runs["worker_0"][name], runs["mirrored"][name], rtol=1e-5, atol=1e-5, err_msg=name
        )


def test_without_communication_the_weights_differ(runs):
    """What the other tests rely on: they notice when gradients stay where they are."""
    assert np.abs(runs["worker_0"]["deaf"] - runs["worker_1"]["deaf"]).max() > 1e-3
    assert np.abs(runs["worker_0"]["deaf"] - runs["one"]["deaf"]).max() > 1e-3


def test_each_replica_sees_its_half_of_every_batch(runs):
    whole = runs["one"]["rows_0_1"]
    assert sorted(whole) == list(range(160))
    for first, second in (("mirrored", "mirrored"), ("worker_0", "worker_1")):
        parts = runs[first]["rows_0_1"], runs[second]["rows_1_1"]
        assert [len(part) for part in parts] == [80, 80]
        for step in range(4):
            batch = np.concatenate([part[20 * step : 20 * step + 20] for part in parts])
            np.testing.assert_array_equal(batch, whole[40 * step : 40 * step + 40])
    assert "rows_1_1" not in runs["worker_0"]
    assert "rows_0_1" not in runs["worker_1"]


def test_each_replica_draws_noise_of_its_own_and_the_same_again(runs):
    for first, second in (("mirrored", "mirrored"), ("worker_0", "worker_1")):
        zeros = [runs[one][f"masks_{i}_1"] == 0 for i, one in enumerate((first, second))]
        # Two independent masks of rate 0.4 disagree in 2 * 0.4 * 0.6 = 48 % of the entries.
        assert 0.43 < (zeros[0] != zeros[1]).mean() < 0.53
        for replica, one in enumerate((first, second)):
            assert 0.35 < (runs[one][f"masks_{replica}_1"] == 0).mean() < 0.45
            again = runs[one][f"masks_{replica}_2"]
            np.testing.assert_array_equal(runs[one][f"masks_{replica}_1"], again)


def test_with_noise_the_digits_are_recognised_as_well(runs):
    """The 95 % intervals of the error rates overlap."""
    low, high = error_interval(int(runs["one"]["errors"]), 360)
    assert high < 0.15
    for kind in ("mirrored", "worker_0"):
        ours = error_interval(int(runs[kind]["errors"]), 360)
        assert ours[0] < high
        assert ours[1] > low


def test_what_keras_lacks_it_still_lacks(runs):
    """When one of these fails, Keras has mended it: then take the mend out of the backend."""
    mirrored, worker = runs["mirrored"], runs["worker_0"]
    assert "plain_error" in worker, "fit on several workers: step_function, example_batch"
    assert "plain_evaluate_error" in mirrored, "parts of unequal shapes: _maybe_symbolic_build"
    difference = np.abs(mirrored["plain_kernel"] - runs["one"]["plain_kernel"]).max()
    assert difference > 1e-4, "batches that split unevenly: the weight in _step_of_replica"
    first, second = mirrored["plain_masks"]
    np.testing.assert_array_equal(first, second, "noise of each replica: _noise_of_its_own")
