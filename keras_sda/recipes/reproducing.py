"""Runs a recipe for all its seeds, and saves every result at once."""

import itertools
import math
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_sda import experiments
from keras_sda._validation import check_path, check_positive_int, check_seed, check_verbose
from keras_sda.experiments import Run, run_folder
from keras_sda.experiments.figures import BASELINES, FIGURES
from keras_sda.experiments.pictures import draw_overview
from keras_sda.recipes import report as reports
from keras_sda.recipes.recipe import Recipe, check_is_recipe
from keras_sda.recipes.tables import quick_folder

# Results that differ in one of these do not belong together.
_COMPARED = ("experiment", "versions", "figure")


def reproduce(
    recipe: Recipe,
    output: str | Path = "results",
    seeds: int | None = None,
    data_dir: str | None = None,
    quick: bool = False,
    verbose: Any = "auto",
) -> dict[str, Any]:
    """Trains the model of a recipe with seeds 0, 1, 2, ... and writes the measured figures.

    `<output>/<name>.json` is written after every seed, and pictures and models go into
    `<output>/<name>/`. Seeds that the file already holds, from the same recipe and versions, are
    kept and not trained again, and within a seed training resumes after the last finished epoch,
    so that the same call again resumes an interrupted run. Results of other versions or settings
    are set aside as `<name>-earlier-1.json` and `<name>-earlier-1/`, and a warning says so.

    Args:
        recipe: The recipe, or one of its variants; see `get`.
        output: Folder to write to, created if it does not exist.
        seeds: Number of seeds, from 0; by default the recipe's own number.
        data_dir: Folder with prepared data.
        quick: Whether to run the quick form; its files are named `<name>-quick`.
        verbose: 0 is silent; see `pretrain_layers`.

    Returns:
        The content of the JSON file.

    Raises:
        ValueError: If an argument is not valid, the output folder cannot be written, data are
            missing, or another process is reproducing the recipe there.
    """
    check_is_recipe(recipe, "reproduce()")
    check_verbose(verbose, "reproduce()")
    if quick:
        recipe = recipe.quickened()
    name, count = recipe.name, recipe.seeds
    if seeds is not None:
        count = check_positive_int("seeds", seeds, "reproduce()")
    folder = run_folder.writable_folder(Path(check_path("output", output, "reproduce()")))
    with run_folder.locked(folder, f".{name}.lock", f"reproducing {name}"):
        return _reproduce_seeds(recipe, count, folder, data_dir, quick=quick, verbose=verbose)


def _reproduce_seeds(
    recipe: Recipe,
    count: int,
    folder: Path,
    data_dir: str | None,
    *,
    quick: bool,
    verbose: Any,
) -> dict[str, Any]:
    """Trains by the seeds that are missing, and writes each result at once; see `reproduce`."""
    name = recipe.name
    path = folder / f"{name}.json"
    content = reports.new_report(recipe, count)
    content["runs"] = _kept_runs(path, content)
    if content["runs"]:  # titles and bounds may have changed since
        content["command"] = reports.command(recipe, max(count, len(content["runs"])))
        run_folder.save_json(content, path)
    for seed in range(len(content["runs"]), count):
        if verbose != 0:
            print(f"{name}, seed {seed} ({seed + 1} of {count}): {recipe.title}", flush=True)
        pictures = folder / name
        pictures.mkdir(exist_ok=True)
        # The quick form takes seconds.
        states = None if quick else pictures / f"seed{seed}-states"
        result = run(recipe, seed, data_dir, verbose, states)
        result.model.save(pictures / f"seed{seed}.keras")
        history = {name: result.metrics[name] for name in ("pretraining", "training")}
        run_folder.save_json(history, pictures / f"seed{seed}-history.json")
        if seed == 0:
            draw_overview(result.model, result.data, history, pictures, recipe.title)
        content["runs"].append(_row(seed, result.metrics))
        run_folder.save_json(content, path)
        if states is not None:
            shutil.rmtree(states, ignore_errors=True)
    return content


def run(
    recipe: Recipe,
    seed: int = 0,
    data_dir: str | None = None,
    verbose: Any = "auto",
    states: Any = None,
) -> Run:
    """Trains the model of a recipe with one seed and measures it.

    Args:
        recipe: The recipe; see `get`.
        seed: Seed of the model: initial weights, noise, shuffling.
        data_dir: Folder with prepared data, for `datasets.load`.
        verbose: 0 is silent; see `pretrain_layers`.
        states: Folder for the states of training, from which the same call resumes after an
            interruption, to the same weights; see `callbacks.Backup`. They are not removed.

    Returns:
        The `experiments.Run`, whose metrics hold `figure`, `baseline`, and the figure on validation
        rows, `valid`, too.
    """
    check_is_recipe(recipe, "run()")
    check_seed("seed", seed, "run()")
    check_verbose(verbose, "run()")
    measure, _ = FIGURES[recipe.figure]
    start = recipe.start
    with quick_folder(recipe, data_dir) as folder:
        result = experiments.run(
            recipe.experiment.but({"seed": seed, "data.data_dir": folder}),
            measure=measure,
            prepare=None if start is None else lambda model: start(model, seed),
            states=states,
            verbose=verbose,
        )
    if result.data.test is None:
        figure = measure(result.model, result.data.train)
    else:
        figure = result.metrics["test"]
    baseline = BASELINES[recipe.baseline](result.model, result.data)
    return replace(result, metrics={**result.metrics, "figure": figure, "baseline": baseline})


def learns(recipe: Recipe, metrics: Mapping[str, Any]) -> bool:
    """Whether a run beat its baseline: PCA with a code of the same size, logistic regression."""
    ours, theirs = metrics["baseline"]["ours"], metrics["baseline"]["theirs"]
    return math.isfinite(ours) and ours < recipe.slack * theirs


def _row(seed: int, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the report keeps of one seed."""
    kept = ("minutes", "best_epoch", "valid", "figure", "baseline")
    row = {name: metrics[name] for name in kept if metrics.get(name) is not None}
    return {"seed": seed, "epochs": len(metrics["training"].get("loss", [])), **row}


def _kept_runs(path: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the runs of an older file; one of other versions or settings is set aside."""
    if not path.exists():
        return []
    old = reports.read(path)
    different = [key for key in _COMPARED if old.get(key) != content[key]]
    if not different:
        return old["runs"]
    if old["runs"]:
        kept = _set_aside(path)
        warnings.warn(
            f"{path} holds results of {reports.difference(old, content, different[0])}: they are "
            f"kept as {kept}.",
            stacklevel=4,
        )
    return []


def _set_aside(path: Path) -> Path:
    """Renames a report, and the folder of its pictures and models, and returns its new path."""
    numbers = itertools.count(1)
    kept = next(
        new for n in numbers if not (new := path.with_stem(f"{path.stem}-earlier-{n}")).exists()
    )
    folder = path.with_suffix("")
    if folder.is_dir():
        folder.rename(kept.with_suffix(""))
    return path.rename(kept)
