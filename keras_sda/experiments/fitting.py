"""The training of a whole model by Keras' `fit`: its rows, its loss, its best epoch."""

import time
from typing import Any

import keras

from keras_sda import datasets
from keras_sda._validation import shown
from keras_sda.callbacks import LevelProgress, PatienceStopping, StopOnNonFiniteLoss
from keras_sda.datasets.batches import BATCH_SIZE
from keras_sda.datasets.labels import balanced_weights
from keras_sda.datasets.random_batches import DRAWN, DrawnByEpoch
from keras_sda.experiments.parts import Training
from keras_sda.experiments.saving import Saver
from keras_sda.models import StackedDenoisingAutoencoder
from keras_sda.training.optimizers import make_optimizer


def train_whole(
    model: Any,
    how: Training,
    data: datasets.Data,
    seed: int,
    metrics: dict[str, Any],
    saver: Saver,
) -> None:
    """Trains the whole model by Keras' `fit`, and notes its history, minutes and best epoch."""
    supervised = is_supervised(model)
    train, valid = _rows_to_learn_from(model, data)
    compile_for(model, how, data, how.num_steps(len(train.x)))
    if how.epochs == 0:
        return
    title = "Fine-tuning" if metrics["pretraining"] else "Training"
    if saver.verbose != 0:
        step = f"learning rate {how.learning_rate:g}, {how.schedule}"
        print(f"{title}: {how.optimizer}, {step}", flush=True)
    callbacks: list[keras.callbacks.Callback] = [StopOnNonFiniteLoss()]
    stopping = None
    if valid is not None and how.keeps_best:
        all_epochs = max(1, how.epochs) if how.schedule != "constant" else 10
        stopping = PatienceStopping(patience=how.patience or all_epochs)
        callbacks.append(stopping)
    if saver.verbose != 0:
        callbacks.append(LevelProgress(saver.verbose == 2, title=title))
    rows = _rows(how, train, valid, seed, supervised)
    if how.batches is not None:
        callbacks.append(DrawnByEpoch(rows["x"]))
    start = time.perf_counter()
    history = model.fit(
        **rows,
        epochs=how.epochs,
        shuffle=how.shuffle,
        callbacks=[*callbacks, *saver.callbacks_of_training()],
        verbose=0,
    )
    metrics["training"] = history.history
    metrics["minutes"]["training"] = saver.minutes_since(start)
    best = stopping.best_epoch if stopping is not None else (history.epoch or [None])[-1]
    metrics["best_epoch"] = None if best is None else best + 1


def check_training(how: Training | None) -> None:
    """Checks before pretraining what only training will need.

    Raises:
        ValueError: If Keras does not know the optimizer or the loss.
    """
    if how is None:
        return
    make_optimizer(how.optimizer, how.learning_rate, **how.optimizer_options)
    if how.loss == "auto":
        return
    try:
        keras.losses.get(how.loss)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "training.loss must be auto or the name of a loss that Keras knows, such as "
            f"mean_squared_error. Received: {shown(how.loss)}"
        ) from error


def compile_for(model: Any, how: Training, data: datasets.Data, steps: int) -> None:
    """Compiles a model with the optimizer and the loss of its training."""
    supervised = is_supervised(model)
    model.compile(
        make_optimizer(
            *(how.optimizer, how.learning_rate, how.schedule, max(1, steps)),
            **how.optimizer_options,
        ),
        _loss(how.loss, supervised, data),
        metrics=["accuracy"] if supervised and not _has_numbers(data) else None,
    )


def _rows_to_learn_from(
    model: Any, data: datasets.Data
) -> tuple[datasets.Split, datasets.Split | None]:
    """Returns the rows to train on and to validate on: for labels, those that have one."""
    if not is_supervised(model):
        return data.train, data.valid
    valid = None if data.valid is None else data.valid.labelled
    train = data.train if model.uses_unlabelled else data.train.labelled
    return train or data.train, valid


def _rows(
    how: Training,
    train: datasets.Split,
    valid: datasets.Split | None,
    seed: int,
    supervised: bool,
) -> dict[str, Any]:
    """Returns the arguments of `fit` that say which rows are trained on and which validate."""
    x, y = train
    if how.batches is not None:
        kind, size, count = (how.batches[name] for name in ("kind", "size", "count"))
        rows: dict[str, Any] = {"x": DRAWN[kind](x, size, count, seed, y if supervised else None)}
    else:
        rows = {"x": x, "batch_size": how.batch_size} | ({"y": y} if supervised else {})
        if how.class_weight is not None and supervised:
            rows["sample_weight"] = balanced_weights(y, y)
    if valid is not None:
        rows["validation_data"] = tuple(valid) if supervised else valid.x
        if how.class_weight is not None and supervised:
            rows["validation_data"] += (balanced_weights(y, valid.y),)
        rows["validation_batch_size"] = BATCH_SIZE
    return rows


def _has_numbers(data: datasets.Data) -> bool:
    """Whether labels are numbers, and not classes."""
    return data.train.y is not None and data.train.y.dtype.kind == "f"


def _loss(loss: Any, supervised: bool, data: datasets.Data) -> Any:
    if loss != "auto":
        return loss
    if supervised and _has_numbers(data):
        return "mean_squared_error"
    return "sparse_categorical_crossentropy" if supervised else None


def is_supervised(model: Any) -> bool:
    """Whether a model learns from labels."""
    return model.num_classes is not None or getattr(model, "head", None) is not None


def has_target(model: Any, data: datasets.Data) -> bool:
    """Whether there is something to train the whole model on, beyond pretraining."""
    if is_supervised(model):
        return data.train.labelled is not None
    # A stack without labels is what pretraining has made of it.
    return not isinstance(model, StackedDenoisingAutoencoder)
