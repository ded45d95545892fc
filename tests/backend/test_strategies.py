"""Training on several devices and by several processes, against the same on one device."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from backend import strategy_runs

import keras_sda as ks
from keras_sda import backend
from keras_sda.experiments.figures import error_interval
from keras_sda_cli.launching import free_addresses, worker_environment

pytestmark = pytest.mark.tensorflow_only

SCRIPT = Path(strategy_runs.__file__)
# Bounds a hang; on an idle machine a process takes half a minute.
SECONDS = 600


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The results by name: one device, two devices of one process, two processes.

    These train all that is compared, for minutes of processor time: for the tier `full`.
    """
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


@pytest.mark.full
@pytest.mark.parametrize("kind", ["mirrored", "worker_0"])
def test_weights_and_figures_equal_those_of_one_device(runs, kind):
    ours, one = runs[kind], runs["one"]
    exact = ("pretrained", "level_", "fit", "evaluated", "predicted", "encoded", "best_epoch")
    for name in compared(runs, *exact, "dataset", "last", "contractive"):
        np.testing.assert_allclose(
            ours[name], one[name], rtol=1e-5, atol=1e-5, err_msg=f"{kind}, {name}"
        )
    assert ours["steps_per_call"] == one["steps_per_call"] > 1, "the fast way was gone"


@pytest.mark.full
def test_workers_end_with_the_very_same_weights(runs):
    for name in compared(runs, "pretrained", "fit", "last", "contractive", "evaluated", "errors"):
        np.testing.assert_array_equal(runs["worker_0"][name], runs["worker_1"][name], name)
        np.testing.assert_allclose(
            runs["worker_0"][name], runs["mirrored"][name], rtol=1e-5, atol=1e-5, err_msg=name
        )


@pytest.mark.full
def test_without_communication_the_weights_differ(runs):
    """What the other tests rely on: they notice when gradients stay where they are."""
    assert np.abs(runs["worker_0"]["deaf"] - runs["worker_1"]["deaf"]).max() > 1e-3
    assert np.abs(runs["worker_0"]["deaf"] - runs["one"]["deaf"]).max() > 1e-3


@pytest.mark.full
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


@pytest.mark.full
def test_each_replica_draws_noise_of_its_own_and_the_same_again(runs):
    for first, second in (("mirrored", "mirrored"), ("worker_0", "worker_1")):
        zeros = [runs[one][f"masks_{i}_1"] == 0 for i, one in enumerate((first, second))]
        # Two independent masks of rate 0.4 disagree in 2 * 0.4 * 0.6 = 48 % of the entries.
        assert 0.43 < (zeros[0] != zeros[1]).mean() < 0.53
        for replica, one in enumerate((first, second)):
            assert 0.35 < (runs[one][f"masks_{replica}_1"] == 0).mean() < 0.45
            again = runs[one][f"masks_{replica}_2"]
            np.testing.assert_array_equal(runs[one][f"masks_{replica}_1"], again)


@pytest.mark.full
def test_with_noise_the_digits_are_recognised_as_well(runs):
    """The 95 % intervals of the error rates overlap."""
    low, high = error_interval(int(runs["one"]["errors"]), 360)
    assert high < 0.15
    for kind in ("mirrored", "worker_0"):
        ours = error_interval(int(runs[kind]["errors"]), 360)
        assert ours[0] < high
        assert ours[1] > low


@pytest.mark.full
def test_what_keras_lacks_it_still_lacks(runs):
    """When one of these fails, Keras has mended it: then take the mend out of the backend."""
    mirrored, worker = runs["mirrored"], runs["worker_0"]
    assert "plain_error" in worker, "fit on several workers: step_function, example_batch"
    assert "plain_evaluate_error" in mirrored, "parts of unequal shapes: _maybe_symbolic_build"
    difference = np.abs(mirrored["plain_kernel"] - runs["one"]["plain_kernel"]).max()
    assert difference > 1e-4, "batches that split unevenly: the weight in _step_of_replica"
    first, second = mirrored["plain_masks"]
    np.testing.assert_array_equal(first, second, "noise of each replica: noise_of_each_replica")


def test_two_devices_train_to_the_weights_of_one(tmp_path):
    path = tmp_path / "mirrored.npz"
    result = subprocess.run(
        [sys.executable, str(SCRIPT), "mirrored", str(path), "contractive", "masks"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    ours = dict(np.load(path))
    for name, weights in strategy_runs.contractive(contextlib.nullcontext).items():
        np.testing.assert_allclose(ours[name], weights, rtol=1e-5, atol=1e-5, err_msg=name)
    rows = [ours[f"rows_{replica}_1"] for replica in (0, 1)]
    assert [len(part) for part in rows] == [80, 80]
    assert sorted(np.concatenate(rows)) == list(range(160))
    zeros = [ours[f"masks_{replica}_1"] == 0 for replica in (0, 1)]
    assert 0.43 < (zeros[0] != zeros[1]).mean() < 0.53  # 2 * 0.4 * 0.6


def one_device():
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0"])


def test_what_was_made_outside_the_scope_is_refused(digits):
    x = digits[0][:64]
    layer = ks.layers.TiedDense(4)
    layer.build((None, 64))
    model = ks.SoftmaxRegression(64, 10)
    optimizer = keras.optimizers.SGD()
    with one_device().scope():
        with pytest.raises(ValueError, match="kernel was made outside of the strategy's scope"):
            ks.pretrain_layers([layer], x, epochs=1, verbose=0)
        with pytest.raises(ValueError, match="SoftmaxRegression trains under a strategy"):
            model.compile("sgd", "sparse_categorical_crossentropy")
        inside = ks.SoftmaxRegression(64, 10)
    inside.compile(optimizer, "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="optimizers that are given as instances"):
        inside.fit(x, digits[1][:64], verbose=0)


@pytest.mark.full
def test_rows_in_a_file_and_of_codes_computed_anew(digits, tmp_path):
    np.save(tmp_path / "rows.npy", digits[0][:100])
    x = np.load(tmp_path / "rows.npy", mmap_mode="r")
    kernels = []
    for scope in (contextlib.nullcontext, one_device().scope):
        with scope():
            sda = ks.StackedDenoisingAutoencoder(64, [8, 4], noise=None, seed=0)
        for cache in ("disk", "recompute"):
            sda.pretrain(x, epochs=1, batch_size=30, validation_data=x, cache=cache, verbose=0)
        kernels.append(np.array(sda.levels[1].kernel))
    np.testing.assert_allclose(kernels[0], kernels[1], atol=1e-5)


def test_workers_are_found_in_the_variables_of_slurm(monkeypatch):
    from keras_sda.backend.tensorflow.strategies import worker_resolver

    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name in ("SLURM_STEP_NODELIST", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="TF_CONFIG"):
        worker_resolver()
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "5")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[01-02,07]")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "2(x2),1")
    resolver = worker_resolver()
    expected = [
        f"node{node}:{port}"
        for node, port in (("01", 8888), ("01", 8889), ("02", 8888), ("02", 8889), ("07", 8888))
    ]
    assert resolver.cluster_spec().as_dict() == {"worker": expected}
    assert resolver.get_task_info() == ("worker", 3)


def test_without_a_strategy_everything_is_local():
    assert backend.is_chief()
    assert backend.num_replicas() == 1
    order = np.arange(3)
    assert backend.from_chief(order) is order
    with backend.strategy_scope("none"):
        assert backend.num_replicas() == 1


def test_a_lost_worker_is_named():
    import tensorflow as tf

    from keras_sda.backend.tensorflow.strategies import lost_workers_named

    with pytest.raises(ConnectionError, match="Another worker is gone.*gone"), lost_workers_named():
        raise tf.errors.UnavailableError(None, None, "task 1 is gone")
