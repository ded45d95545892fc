"""The main job from data to figures: pretrain, fine-tune, evaluate, and keep the results."""

import contextlib
import math
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_sda import datasets, plots
from keras_sda._validation import check_non_negative_int, check_positive, check_positive_int
from keras_sda.backend import strategies
from keras_sda.callbacks import Backup, LevelProgress, PatienceStopping, StopOnNonFiniteLoss
from keras_sda.datasets.batches import BATCH_SIZE
from keras_sda.experiments import run_folder
from keras_sda.initializers import SigmoidGlorotUniform
from keras_sda.models import StackedDenoisingAutoencoder

OWNER = "train"


def train_stack(
    folder: Path,
    *,
    data: str = "digits",
    data_dir: str | None = None,
    target: str | None = None,
    split: str = "tutorial",
    scale: str | None = "unit",
    units: Sequence[int] = (256, 256, 256),
    noise: str | None = "gaussian",
    noise_level: float | Sequence[float] = 0.2,
    activation: str = "sigmoid",
    initializer: str = "auto",
    reconstruction_loss: str = "auto",
    tied: bool = True,
    pretrain: bool = True,
    pretrain_epochs: int | Sequence[int] = 15,
    pretrain_optimizer: str = "sgd",
    pretrain_learning_rate: float | Sequence[float] = 0.1,
    epochs: int = 60,
    optimizer: str = "sgd",
    learning_rate: float = 1.0,
    schedule: str = "cosine",
    patience: float | None = None,
    batch_size: int = 20,
    dropout: float = 0.2,
    finetune_noise_level: float = 0.2,
    seed: int = 0,
    dtype: str = "float32",
    backup: bool = True,
    backup_steps: int | None = None,
    states: Path | None = None,
    verbose: Any = "auto",
) -> dict[str, Any]:
    """Trains a stack on a data set and writes a run folder; what `keras-sda train` does.

    The defaults suit the digits of scikit-learn; they were chosen by five-fold cross-validation on
    the training and validation rows.

    Labelled data are classified: after pretraining the whole network is fine-tuned, and the epoch
    with the lowest validation error is kept. Data without labels are pretrained only. Validation
    data choose, test data are read once, at the end.

    Args:
        folder: Existing folder, empty, or that of the same run after an interruption; see
            `run_folder` for what is written there.
        data: Name or path for `datasets.load`, as are `data_dir`, `target`, `split` and `scale`.
        data_dir: Folder with prepared data.
        target: Label column of a table.
        split: Which rows validate.
        scale: How values are scaled.
        units: Hidden units of each level.
        noise: Noise of each level, by name; `None` for none.
        noise_level: Its rate or standard deviation, or one per level.
        activation: Activation of the hidden units.
        initializer: Initial kernels by Keras' name; `"auto"`: Glorot's uniform, four times as wide
            for sigmoid units.
        reconstruction_loss: Loss of every level, or `"auto"`.
        tied: Whether decoders share the encoders' kernels.
        pretrain: Whether to pretrain at all.
        pretrain_epochs: Passes over the data per level, or one number per level.
        pretrain_optimizer: Optimizer of pretraining, by name.
        pretrain_learning_rate: Its step size, or one per level.
        epochs: Passes over the data in fine-tuning, at most.
        optimizer: Optimizer of fine-tuning, by name.
        learning_rate: Its step size, at the start for `schedule="cosine"`.
        schedule: `"cosine"`, down to zero at the last of `epochs`, or `"constant"`.
        patience: See `callbacks.PatienceStopping`; by default 10, for cosine all epochs.
        batch_size: Rows per update, in both phases.
        dropout: Share of the codes dropped in fine-tuning.
        finetune_noise_level: Level of the noise on the input in fine-tuning; without `noise`, 0.
        seed: Makes the run repeatable.
        dtype: Precision: `"float32"`, `"float64"` (with `keras.config.set_floatx("float64")`, or
            Keras casts the data to float32) or a policy such as `"mixed_bfloat16"`.
        backup: Whether to save the state of training in the folder after each epoch; see
            `callbacks.Backup`. With the same options and a folder that has states, training goes on
            from there.
        backup_steps: Steps from one state to the next, besides those after each epoch.
        states: Folder of the states; by default in the folder of the run.
        verbose: 0 prints results only; otherwise as in `pretrain`.

    Returns:
        The content of `metrics.json`.

    Raises:
        ValueError: If an argument or the data do not fit; before training.
        FloatingPointError: If a loss becomes NaN or infinite.
    """
    left_out = ("folder", "states", "verbose")
    options = {name: value for name, value in locals().items() if name not in left_out}
    # Whatever only fine-tuning needs is checked before pretraining, too.
    check_non_negative_int("epochs", epochs, OWNER)
    check_positive_int("batch_size", batch_size, OWNER)
    check_positive("learning_rate", learning_rate, OWNER)
    if patience is None:
        patience = max(1, epochs) if schedule == "cosine" else 10
    stopping = PatienceStopping(patience=patience)
    for name in (optimizer, pretrain_optimizer):
        make_optimizer(name, learning_rate)

    loaded = datasets.load(data, data_dir=data_dir, split=split, scale=scale, target=target, seed=0)
    train, valid = loaded.train, loaded.valid
    num_classes = _count_classes(loaded)
    model = StackedDenoisingAutoencoder(
        input_dim=train.x.shape[1],
        hidden_units=list(units),
        num_classes=num_classes,
        noise=noise,
        noise_level=noise_level,
        activation=activation,
        tied=tied,
        kernel_initializer=_kernel_initializer(initializer, activation),
        reconstruction_loss=reconstruction_loss,
        dropout=dropout,
        finetune_noise_level=0.0 if noise is None else finetune_noise_level,
        seed=seed,
        dtype=dtype,
    )
    sizes = [model.input_dim, *units, *([] if num_classes is None else [num_classes])]
    print(f"{loaded.name}: {_count(loaded)}; network {'-'.join(map(str, sizes))}", flush=True)
    config = {
        **options,
        "input_dim": model.input_dim,
        "num_classes": num_classes,
        "classes": loaded.classes,
        "image_shape": loaded.image_shape,
        "scaling": loaded.scaling.to_dict(),
        "versions": run_folder.versions(),
        "replicas": strategies.num_replicas(),
    }
    if not (folder / run_folder.CONFIG).exists():  # an interrupted run keeps its own
        run_folder.save_json(config, folder / run_folder.CONFIG)

    def saving() -> list[Backup]:
        if not backup:
            return []
        place = folder / run_folder.BACKUP if states is None else states
        callback = Backup(place, backup_steps, keep=True, verbose=int(verbose != 0))
        callback.advice = how_to_go_on(folder)
        backups.append(callback)
        return [callback]

    backups: list[Backup] = []
    metrics: dict[str, Any] = {"minutes": {}, "pretraining": [], "finetuning": {}}
    if pretrain:
        with _timed(metrics, "pretraining"):
            histories = model.pretrain(
                train.x,
                epochs=pretrain_epochs,
                batch_size=batch_size,
                optimizer=pretrain_optimizer,
                learning_rate=pretrain_learning_rate,
                validation_data=None if valid is None else valid.x,
                callbacks=lambda level: [_SaveAfterLevel(model, folder), *saving()],
                verbose=verbose,
            )
        metrics["pretraining"] = [history.history for history in histories]
        metrics["minutes"]["pretraining"] += _earlier_minutes(backups)
        # Now, as supervised fine-tuning forgets how to reconstruct.
        strip = plots.plot_model(model, (loaded.valid or train).x[:12], loaded.image_shape)
        _save_picture(strip, folder / "reconstructions.png")

    if num_classes is not None and epochs > 0:
        steps = epochs * math.ceil(len(train.x) / batch_size)
        model.compile(
            make_optimizer(optimizer, learning_rate, schedule, steps),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        if verbose != 0:
            print(f"Fine-tuning: {optimizer}, step size {learning_rate:g}, {schedule}", flush=True)
        callbacks = [StopOnNonFiniteLoss(), *([] if valid is None else [stopping])]
        if verbose != 0:
            callbacks.append(LevelProgress(verbose == 2, title="Fine-tuning"))
        backups.clear()
        callbacks.extend(saving())
        with _timed(metrics, "finetuning"):
            history = model.fit(
                *train,
                epochs=epochs,
                batch_size=batch_size,
                validation_data=None if valid is None else tuple(valid),
                validation_batch_size=BATCH_SIZE,
                callbacks=callbacks,
                verbose=0,
            )
        metrics["finetuning"] = history.history
        metrics["minutes"]["finetuning"] += _earlier_minutes(backups)
        best = history.epoch[-1] if valid is None else stopping.best_epoch
        metrics["best_epoch"] = None if best is None else best + 1
    run_folder.save_model(model, folder)

    for name, part in (("valid", valid), ("test", loaded.test)):
        if part is not None:
            metrics[name] = run_folder.measure(model, part)
    run_folder.save_json(metrics, folder / run_folder.METRICS)
    print_results(metrics)
    curves = plots.plot_learning_curves(metrics["pretraining"], metrics["finetuning"])
    _save_picture(curves, folder / "learning_curves.png")
    filters = plots.plot_filters(model.levels[0].kernel, loaded.image_shape)
    _save_picture(filters, folder / "filters.png")
    run_folder.finish(folder)
    print(f"Model, figures and pictures: {folder}")
    return metrics


def how_to_go_on(folder: Path) -> str:
    """Returns how to go on with a run that was interrupted."""
    return f"to go on: keras-sda train --resume {shlex.quote(str(folder))}"


def _earlier_minutes(backups):
    """Returns how many minutes a phase took before it was interrupted."""
    return sum(backup.earlier_seconds for backup in backups) / 60


@contextlib.contextmanager
def _timed(metrics: dict[str, Any], phase: str) -> Iterator[None]:
    """Notes how many minutes the block takes."""
    start = time.perf_counter()
    yield
    metrics["minutes"][phase] = (time.perf_counter() - start) / 60


class _SaveAfterLevel(keras.callbacks.Callback):
    """Saves the stack after each level, so that a later level's failure costs that level only."""

    def __init__(self, stack, folder):
        super().__init__()
        self.stack = stack
        self.folder = folder

    def on_level_end(self, level, logs=None):
        run_folder.save_model(self.stack, self.folder)


def _save_picture(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=120)


def print_results(metrics: dict[str, Any]) -> None:
    """Prints errors with their intervals, the best epoch, and the minutes of each phase."""
    for name, title in (("valid", "Validation"), ("test", "Test")):
        if name in metrics:
            print(f"{title}: {describe(metrics[name])}")
    if "best_epoch" in metrics:
        done = len(metrics["finetuning"]["loss"])
        print(f"Best epoch of fine-tuning: {metrics['best_epoch']} of {done}")
    minutes = [f"{name} {value:.2f}" for name, value in metrics["minutes"].items()]
    print(f"Minutes: {', '.join(minutes) or 'none trained'}")


def describe(figure: dict[str, Any]) -> str:
    """Returns a figure of `metrics.json` in words."""
    if "error" not in figure:
        return f"reconstruction error {figure['reconstruction_error']:.4f} a row"
    low, high = figure["interval"]
    return (
        f"error {100 * figure['error']:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f}; "
        f"{figure['errors']} of {figure['rows']} rows)"
    )


def make_optimizer(name: str, learning_rate: float, schedule: str = "constant", steps: int = 1):
    """Returns a Keras optimizer by name, its step size constant or falling to 0 over `steps`."""
    rate: Any = learning_rate
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps=steps)
    try:
        return keras.optimizers.get({"class_name": name, "config": {"learning_rate": rate}})
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"The optimizer must be known to Keras, such as sgd, adam or adamw. Received: {name!r}"
        ) from error


def _kernel_initializer(name, activation):
    if name != "auto":
        return name
    return SigmoidGlorotUniform() if activation == "sigmoid" else "glorot_uniform"


def _count_classes(data: datasets.Data) -> int | None:
    if data.train.y is None:
        return None
    if data.train.y.dtype.kind not in "iu":
        raise ValueError(
            f"{OWNER} classifies, so that the labels of {data.name} must be class numbers or "
            f"names. Received numbers with fractions: leave the target out to train without labels."
        )
    labels = [part.y for part in (data.train, data.valid, data.test) if part is not None]
    return max(2, 1 + int(max(y.max() for y in labels if y is not None)))


def _count(data: datasets.Data) -> str:
    parts = {"train": data.train, "valid": data.valid, "test": data.test}
    return ", ".join(f"{len(part.x):,} {name}" for name, part in parts.items() if part is not None)
