"""Runs a recipe for all its seeds, and keeps every result as it comes."""

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_sda import plots
from keras_sda.experiments import run_folder
from keras_sda.recipes import report as reports
from keras_sda.recipes.recipe import Recipe
from keras_sda.recipes.running import run


def reproduce(
    recipe: Recipe,
    output: str | Path = "results",
    seeds: int | None = None,
    data_dir: str | None = None,
    quick: bool = False,
    verbose: Any = "auto",
) -> dict[str, Any]:
    """Trains by a recipe with seeds 0, 1, 2, ... and writes what was measured.

    `<output>/<name>.json` is written after every seed, and pictures and models go into
    `<output>/<name>/`. Seeds that the file already holds, from the same recipe and versions, are
    kept and not trained again, and within a seed training goes on after the last finished epoch,
    so that the same call again takes up an interrupted run where it stopped.

    Args:
        recipe: The recipe, or one of its variants; see `get`.
        output: Folder to write, made if it is not there.
        seeds: How many seeds, from 0; by default the recipe's own number.
        data_dir: Folder with prepared data.
        quick: Whether to run the small form; its files are named `<name>-quick`.
        verbose: 0 is silent; see `pretrain_layers`.

    Returns:
        The content of the JSON file.

    Raises:
        ValueError: If the output folder cannot be written, or if data are missing.
    """
    folder = run_folder.writable_folder(Path(output))
    if quick:
        recipe = recipe.quickened()
    name, count = recipe.name, recipe.seeds if seeds is None else seeds
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
        # The small form takes seconds.
        states = None if quick else pictures / f"seed{seed}-states"
        result, model, data = run(recipe, seed, data_dir, verbose, states)
        history = result.pop("history")
        model.save(pictures / f"seed{seed}.keras")
        run_folder.save_json(history, pictures / f"seed{seed}-history.json")
        if seed == 0:
            _draw(model, data, history, recipe.title, pictures)
        content["runs"].append(result)
        run_folder.save_json(content, path)
        if states is not None:
            shutil.rmtree(states, ignore_errors=True)
    return content


def _kept_runs(path: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the runs of an older file, if it was made by the same recipe and versions."""
    if not path.exists():
        return []
    old = reports.read(path)
    same = all(old.get(key) == content[key] for key in ("options", "versions", "figure"))
    return old["runs"] if same else []


def _draw(model, data, history, title, folder: Path) -> None:
    """Draws learning curves, and filters and reconstructions where the model has them."""
    curves = plots.plot_learning_curves(history["pretraining"], history["fit"])
    curves.savefig(folder / "learning_curves.png", dpi=120)
    kernel = _first_kernel(model)
    if kernel is not None and data.image_shape is not None:
        shape = data.image_shape if len(kernel) == np.prod(data.image_shape) else None
        if shape is None and kernel.ndim == 4:  # convolution: one filter a picture
            shape, kernel = kernel.shape[:2], kernel[:, :, 0]
            kernel = kernel.reshape(-1, kernel.shape[-1])
        if shape is not None:
            figure = plots.plot_filters(kernel, shape, title=f"{title}: filters")
            figure.savefig(folder / "filters.png", dpi=120)
    if data.image_shape is not None and hasattr(model, "reconstruct"):
        rows = (data.test or data.train).x[:12]
        picture = plots.plot_model(model, rows, data.image_shape)
        picture.savefig(folder / "reconstructions.png", dpi=120)


def _first_kernel(model):
    for weight in model.trainable_weights:
        if weight.path.endswith("kernel"):
            return keras.ops.convert_to_numpy(weight)
    return None
