"""Every benchmark runs in its quick form and writes its figures; how fast it is, is not tested."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
EVERYWHERE = {"command", "hardware", "threads", "versions", "repeats", "quick"}

pytestmark = pytest.mark.tensorflow_only


def run(name, folder, *options):
    """Runs a benchmark as the command line does; returns its JSON and what it printed."""
    command = [sys.executable, BENCHMARKS / f"{name}.py", "--quick", "--repeats", "1"]
    # Workers choose their backend themselves; the tests' own may be another one.
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    result = subprocess.run(
        [*command, "--output", folder, *options], capture_output=True, text=True, env=environment
    )
    assert result.returncode == 0, result.stderr
    content = json.loads((folder / f"{name}.json").read_text())
    assert content.keys() >= EVERYWHERE
    assert (folder / f"{name}.png").stat().st_size > 1000
    assert "| " in result.stdout
    return content


@pytest.mark.full
def test_pretraining_speed(tmp_path):
    content = run("pretraining_speed", tmp_path)
    (cell,) = content["cells"]
    assert not cell["failures"]
    there = {name for name, state in content["contestants"].items() if state == "measured"}
    assert {"ours, TensorFlow", "plain Keras", "scikit-learn"} <= there
    assert cell["samples_a_second"].keys() == there
    assert cell["samples_a_second"]["plain Keras"]["median"] > 0
    ratios = cell["ratios"]["ours, TensorFlow"]
    assert {"plain Keras", "plain Keras, steps_per_execution=50", "limit"} <= ratios.keys()
    ours = cell["samples_a_second"]["ours, TensorFlow"]["values"][0]
    limit = cell["limits"]["best of each product"]["values"][0]
    assert ratios["limit"]["median"] == pytest.approx(ours / limit)
    assert len(cell["gflops"]) == 5
    assert content["three_levels"][0]["speed_up"]["ours, TensorFlow"]["plain Keras"]["median"] > 0


@pytest.mark.full
def test_end_to_end(tmp_path):
    chosen = ("--tasks", "all labels, an SdA", "digits, 50 labels")
    ways = ("--ways", "ours, TensorFlow", "plain Keras", "SVM, scikit-learn")
    content = run("end_to_end", tmp_path, *chosen, *ways)
    stack, digits = (content["tasks"][name] for name in chosen[1:])
    for task, names in ((stack, ways[1:3]), (digits, (ways[1], ways[3]))):
        for name in names:
            (result,) = task["runs"][name]
            seconds, errors = zip(*result["epochs"], strict=True)
            assert 0 < result["ready"] <= result["pretrained"] < seconds[0]
            assert seconds[-1] <= result["finished"]
            assert all(0 <= error <= 1 for error in errors)
            within = [s for s, e in result["epochs"] if e <= task["mark"]]
            assert result["reached"] == (within[0] if within else None)
            assert task["summary"][name]["test_error"]["median"] == result["test_error"]
    (pretrained,) = stack["runs"]["ours, TensorFlow"]
    assert pretrained["pretrained"] > pretrained["ready"]
    again = run("end_to_end", tmp_path, "--resume", "--ablation", "--tasks", "all labels")
    assert again["tasks"]["all labels, an SdA"]["runs"] == stack["runs"]
    assert again["tasks"]["digits, 50 labels"]["runs"] == digits["runs"]
    steps = again["tasks"]["all labels"]["ablation"]
    assert [len(runs) for runs in steps.values()] == [1, 1]


def test_what_other_hardware_measured_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    measuring = importlib.import_module("_measuring")
    options = argparse.Namespace(output=tmp_path, resume=True)
    now = {"hardware": "this", "repeats": 1, "quick": False, "threads": 1}
    assert measuring.older(options, now, "speed", ()) == {}
    (tmp_path / "speed.json").write_text(json.dumps({**now, "tasks": [1]}))
    assert measuring.older(options, now, "speed", ())["tasks"] == [1]
    with pytest.raises(SystemExit, match="differs in hardware: leave out --resume"):
        measuring.older(options, {**now, "hardware": "another"}, "speed", ())
    options.resume = False
    assert measuring.older(options, now, "speed", ()) == {}


def test_each_ablation_ends_with_the_recipe_of_its_task(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    end_to_end = importlib.import_module("end_to_end")
    for task in end_to_end.TASKS.values():
        trained = [end_to_end.experiment_of(*each) for each in _entries(task)]
        assert not trained or end_to_end.experiment_of(task.recipe, False) in trained
    # The last step but one of the stack lacks nothing but the width of the recipe.
    steps = _entries(end_to_end.TASKS["all labels, an SdA"])
    recipe, _, changes = steps[3]
    narrower = end_to_end.experiment_of(recipe, False, {**changes, "hidden_units": [1000, 1000]})
    assert narrower == end_to_end.experiment_of("sda-fast", False)


def _entries(task):
    return [(recipe, False, changes) for recipe, changes in task.ablation.values()]


@pytest.mark.full
def test_scaling(tmp_path):
    content = run("scaling", tmp_path)
    assert content["series"].keys() == {"rows", "width", "depth", "batch", "cache"}
    for name, series in content["series"].items():
        for point in series["points"]:
            assert not point["available"] or point["epoch"]["median"] > 0
        assert (name == "cache") == ("exponents" not in series)
    assert content["series"]["cache"]["points"][0]["available"]


@pytest.mark.full
def test_large_data(tmp_path):
    content = run("large_data", tmp_path)
    for size in ("2000", "4000"):
        for storage in ("disk", "memory"):
            (figures,) = content["rows"][f"{size} {storage}"]
            assert min(figures["ready"], figures["trained"], figures["rows a second"]) > 0
            assert figures["whole"] > figures["ready"] + figures["trained"]
    assert content["mixed"].keys() >= {".parquet", ".csv"}


@pytest.mark.full
def test_small_data(tmp_path):
    content = run("small_data", tmp_path)
    assert content["tasks"].keys() >= {"first fit", "later fit", "grid search", "one row"}
    for task, by_name in content["tasks"].items():
        assert by_name["ours, TensorFlow"]["median"] > 0
        assert by_name["ours, TensorFlow"]["ratio"]["median"] == 1
        assert ("plain Keras" in by_name) == (task not in ("grid search", "first run"))


@pytest.mark.full
def test_ladder_step(tmp_path):
    steps = run("ladder_step", tmp_path)["steps"]
    plain = steps["plain Keras, TensorFlow"]
    assert plain["times_as_fast_as_plain_keras"]["median"] == 1
    ours = steps["ours, TensorFlow"]
    assert ours["times_as_fast_as_plain_keras"]["median"] == pytest.approx(
        plain["median"] / ours["median"]
    )
    assert 0 < steps["the matrix products alone, TensorFlow"]["median"] < plain["median"]


@pytest.mark.full
def test_inference(tmp_path):
    content = run("inference", tmp_path)
    for tasks in content["sizes"].values():
        assert tasks["encode"]["encode"]["median"] > 0
        assert tasks["predict"]["predict"]["share"]["median"] > 0
    for figures in content["latency"].values():
        assert 0 < figures["median"] <= figures["percentile_95"]


@pytest.mark.full
def test_step_profile(tmp_path):
    (figures,) = run("step_profile", tmp_path)["batch_sizes"].values()
    medians = {name: figure["median"] for name, figure in figures.items()}
    duration = medians.pop("a step")
    assert duration > 0
    # Every kind of operation is found by its name.
    assert all(value > 0 for value in medians.values())
    assert medians["everything else"] < sum(medians.values()) / 3


@pytest.mark.full
def test_distribution(tmp_path):
    content = run("distribution", tmp_path)
    clusters = ["plain", "1", "2"]
    if importlib.util.find_spec("jax") or os.environ.get("KERAS_SDA_OTHER_PYTHON"):
        clusters += ["plain, JAX", "1, JAX", "2, JAX"]
    assert [cell["workers"] for cell in content["cells"][::2]] == clusters
    for cell in content["cells"]:
        assert cell["steps_a_second"]["median"] > 0
        assert cell["parameters"] == 784 * cell["width"] + cell["width"] + 784
    # Two workers send the gradients to each other, once to add and once to share them.
    for together in content["cells"][5::6]:
        assert together["on_loopback_on_paper"] == 2 * 4 * together["parameters"]
        if together["on_loopback"] is not None:
            assert together["on_loopback"]["median"] > 0.5 * together["on_loopback_on_paper"]
    assert list(content["fitted"]) == clusters[2::3]


@pytest.mark.full
@pytest.mark.skipif(
    not (Path(os.environ.get("KERAS_SDA_DATA", "")) / "tables").is_dir(),
    reason="needs the folder tables in KERAS_SDA_DATA",
)
def test_imputation(tmp_path):
    content = run("imputation", tmp_path)
    for methods in content["runs"].values():
        for figures in methods.values():
            assert all(0 < figure["rmse_squashed"] < 2 for figure in figures)
    right = content["runs"]["credit"]["mean and mode"][0]["accuracy"]
    assert 0.3 < right < 0.8
    assert content["runs"]["california"]["SDAImputer"][0]["accuracy"] is None


@pytest.mark.full
def test_tables(tmp_path):
    content = run("tables", tmp_path)
    (scores,) = content["figures"]["wine"].values()
    found = content["summary"]["wine, 50 labels"]
    gain = scores["50"]["network"] - scores["50"]["linear model"]
    assert found["gain over linear model"]["mean"] == pytest.approx(gain)
    assert scores["50"]["network"] > 0.8
    kept = run("tables", tmp_path, "--resume")["figures"]["wine"]["0"]
    assert kept == scores  # its seconds, too: nothing was measured again


@pytest.mark.skipif(
    not (Path(os.environ.get("KERAS_SDA_DATA", "")) / "outliers").is_dir(),
    reason="needs the folder outliers in KERAS_SDA_DATA",
)
@pytest.mark.full
def test_outliers(tmp_path):
    content = run("outliers", tmp_path)
    assert content["sets"].keys() == {"glass", "lympho"}
    found = content["summary"]["all"]
    assert {"ours", "ours, squared error", "isolation forest", "k-NN", "LOF", "PCA"} <= set(found)
    by_set = [content["sets"][name]["ours"]["auc"][0] for name in content["sets"]]
    assert found["ours"]["auc"] == pytest.approx(sum(by_set) / 2)
    ranks = [figure["rank"] for figure in found.values() if figure["rank"] is not None]
    assert sum(ranks) == pytest.approx(len(ranks) * (len(ranks) + 1) / 2)
    (tmp_path / "outliers.png").unlink()
    assert run("outliers", tmp_path)["sets"] == content["sets"]  # nothing is measured again
