"""Runs recipes: data, model, training, figures."""

import math
import time
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_sda import datasets
from keras_sda.callbacks import Backup, LevelProgress, PatienceStopping, StopOnNonFiniteLoss
from keras_sda.datasets.batches import BATCH_SIZE
from keras_sda.datasets.random_batches import DrawnByEpoch
from keras_sda.experiments.figures import BASELINES, FIGURES
from keras_sda.recipes.recipe import Recipe


def run(
    recipe: Recipe,
    seed: int = 0,
    data_dir: str | None = None,
    verbose: Any = "auto",
    backup_dir: Any = None,
) -> tuple[dict[str, Any], keras.Model, datasets.Data]:
    """Trains one model by a recipe and measures it.

    Validation data choose the epoch where the recipe has any; the test data are read once, at the
    end.

    Args:
        recipe: The recipe; see `get`. In its `quickened()` form the digits of scikit-learn,
            enlarged to 28 x 28, stand for MNIST.
        seed: Seed of the model: initial weights, noise, shuffling.
        data_dir: Folder with prepared data, for `datasets.load`.
        verbose: 0 is silent; see `pretrain_layers`.
        backup_dir: Folder for the states of training, from which the same call goes on after an
            interruption, to the same weights; see `callbacks.Backup`. They stay in it.

    Returns:
        What was measured (`figure`, `valid`, `baseline`, `epochs`, `minutes`, `history`), the
        trained model, and the data.
    """
    data = load_data(recipe, seed, data_dir)
    model = recipe.model(**_fresh(recipe.arguments, seed), seed=seed)
    if recipe.start is not None:
        recipe.start(model, seed)
    result: dict[str, Any] = {"seed": seed, "minutes": {}, "history": {"pretraining": []}}
    if recipe.pretrain is not None:
        start = time.perf_counter()
        histories, backups = _pretrain(model, recipe.pretrain, data, verbose, backup_dir)
        result["minutes"]["pretraining"] = _minutes_since(start, backups)
        result["history"]["pretraining"] = [history.history for history in histories]
    start = time.perf_counter()
    backups = _backups(backup_dir)
    history, stopping = _fit(model, recipe.fit, data, seed, verbose, backups)
    result["minutes"]["fit"] = _minutes_since(start, backups)
    result["history"]["fit"] = history.history
    result["epochs"] = len(history.epoch)
    if stopping is not None and stopping.best_epoch is not None:
        result["best_epoch"] = stopping.best_epoch + 1
    measure, _ = FIGURES[recipe.figure]
    if data.valid is not None:
        result["valid"] = measure(model, data.valid)
    result["figure"] = measure(model, data.test or data.train)
    result["baseline"] = BASELINES[recipe.baseline](model, data)
    return result, model, data


def learns(recipe: Recipe, result: dict[str, Any]) -> bool:
    """Whether a run beat its baseline: PCA with a code of the same size, logistic regression."""
    ours, theirs = result["baseline"]["ours"], result["baseline"]["theirs"]
    return math.isfinite(ours) and ours < recipe.slack * theirs


def load_data(recipe: Recipe, seed: int, data_dir: str | None) -> datasets.Data:
    """Returns the data of a recipe, or its small stand-in."""
    if callable(recipe.data):
        return recipe.data(seed)
    options = dict(recipe.data)
    if not recipe.small_data or options["name_or_path"] == "digits":
        return datasets.load(data_dir=data_dir, **options)
    flatten = options.pop("flatten", True)
    options |= {"name_or_path": "digits"}
    if options.get("split") == "tensorflow":
        options["split"] = "tutorial"
    return _enlarged(datasets.load(flatten=False, **options), flatten)


def _enlarged(data: datasets.Data, flatten: bool) -> datasets.Data:
    """Returns the 8 x 8 digits as images of the size of MNIST's, each pixel three by three."""

    def enlarge(part):
        if part is None:
            return None
        background = part.x.min()
        images = part.x.repeat(3, axis=1).repeat(3, axis=2)
        images = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=background)
        return datasets.Split(images.reshape(len(images), -1) if flatten else images, part.y)

    parts = {name: enlarge(getattr(data, name)) for name in ("train", "valid", "test")}
    return replace(data, **parts, image_shape=(28, 28, 1))


def _fresh(arguments, seed):
    """Returns arguments with new layers: those of the table would carry their state along."""
    return {
        name: type(value).from_config({**value.get_config(), "seed": seed})
        if isinstance(value, keras.layers.Layer)
        else value
        for name, value in arguments.items()
    }


def _pretrain(model, options, data, verbose, backup_dir):
    options = dict(options)
    name, rate = options.pop("optimizer"), options.pop("learning_rate")
    backups: list[Backup] = []

    def optimizer(level):
        return _optimizer(name, rate, "constant", 1)

    def callbacks(level):
        of_level = _backups(backup_dir)
        backups.extend(of_level)
        return of_level

    histories = model.pretrain(
        data.train.x, optimizer=optimizer, callbacks=callbacks, verbose=verbose, **options
    )
    return histories, backups


def _fit(model, options, data, seed, verbose, backups):
    options = dict(options)
    name, rate = options.pop("optimizer"), options.pop("learning_rate")
    schedule, extra = options.pop("schedule", "constant"), options.pop("options", {})
    loss, patience = options.pop("loss", None), options.pop("patience", None)
    batches, best_epoch = options.pop("batches", None), options.pop("best_epoch", True)
    epochs, batch_size = options["epochs"], options.get("batch_size")
    x, y = data.train
    rows = {"x": x}
    if batches is not None:
        drawn = batches(x, seed=seed, y=y if loss is not None else None)
        rows = {"x": drawn}
        steps = len(drawn)
    else:
        steps = math.ceil(len(x) / batch_size)
    is_classifier = loss is not None
    metrics = ["accuracy"] if is_classifier else None
    optimizer = _optimizer(name, rate, schedule, max(1, epochs * steps), **extra)
    model.compile(optimizer, loss, metrics=metrics)
    callbacks: list[keras.callbacks.Callback] = [StopOnNonFiniteLoss(), *backups]
    stopping = None
    if data.valid is not None:
        held_out = tuple(data.valid) if is_classifier else data.valid.x
        rows |= {"validation_data": held_out, "validation_batch_size": BATCH_SIZE}
        if best_epoch:
            stopping = PatienceStopping(patience=max(1, epochs) if patience is None else patience)
            callbacks.append(stopping)
    if batches is not None:
        callbacks.append(DrawnByEpoch(drawn))
    elif is_classifier:
        rows["y"] = y
    if verbose != 0:
        callbacks.append(LevelProgress(title="fit"))
    history = model.fit(**rows, **options, callbacks=callbacks, verbose=0)
    return history, stopping


def _optimizer(name, rate, schedule, steps, **options):
    if schedule == "cosine" and rate > 0:
        rate = keras.optimizers.schedules.CosineDecay(rate, decay_steps=steps)
    config = {"learning_rate": rate, **options}
    if isinstance(name, str):
        return keras.optimizers.get({"class_name": name, "config": config})
    return name(**config)


def _backups(folder):
    """Returns the callback for a call of `fit`, or none without a folder."""
    return [] if folder is None else [Backup(folder, keep=True)]


def _minutes_since(start, backups):
    """Returns the minutes that training took, those before an interruption included."""
    earlier = sum(backup.earlier_seconds for backup in backups)
    return (time.perf_counter() - start + earlier) / 60
