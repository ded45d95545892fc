"""Greedy layer-wise pretraining: each layer learns to undo noise on the codes of the one below.

Knows layers that run forwards and, with `reverse=True`, backwards, such as `layers.TiedDense`, and
no model class. Each level is an ordinary Keras model trained by Keras' own `fit`.
"""

import copy
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_sda import losses, regularizers
from keras_sda._validation import (
    check_bool,
    check_choice,
    check_non_negative_int,
    check_positive,
    check_positive_int,
    check_rows,
    check_seed,
    check_verbose,
    per_level,
    shown,
)
from keras_sda.backend import is_chief, shuffling_seed
from keras_sda.callbacks import Backup, LevelProgress, StopOnNonFiniteLoss
from keras_sda.datasets.batches import BATCH_SIZE, first_batch, is_dataset, shuffles_itself
from keras_sda.datasets.given import as_table
from keras_sda.resuming import fingerprint
from keras_sda.training.code_cache import CACHES, OWNER, CodeCache
from keras_sda.training.level import PretrainingLevel
from keras_sda.training.optimizers import make_optimizer


def pretrain_layers(
    layers: Sequence[keras.layers.Layer],
    x: Any,
    *,
    noise: Any = None,
    reconstruction_loss: Any = "binary_crossentropy",
    code_regularizer: Any = None,
    kernel_regularizer: Any = None,
    epochs: Any = 15,
    batch_size: Any = 128,
    optimizer: Any = "adam",
    learning_rate: Any = 1e-3,
    callbacks: Any = None,
    validation_data: Any = None,
    shuffle: bool = True,
    cache: str = "auto",
    cache_dir: Any = None,
    verbose: Any = "auto",
    seed: int | None = None,
    backup_dir: Any = None,
    backup_steps: int | None = None,
) -> list[keras.callbacks.History]:
    """Trains each layer as a denoising autoencoder on the clean codes of the layer below it.

    Level by level: noise corrupts the input, the layer encodes and decodes it, and the loss
    compares the result with the clean input. Then the trained layer encodes the clean input once,
    and these codes are the next level's input. A level changes its own layer's variables only.

    Args:
        layers: Layers that decode with `reverse=True`, the lowest first.
        x: Array of shape `(rows, features)`, or a finite `tf.data.Dataset` or
            `keras.utils.PyDataset` of batches; labels in it are ignored. A dataset is read once per
            epoch of the first level and once more to encode it; the codes above are arrays.
        noise: A noise layer or `None`, or a list with one per level.
        reconstruction_loss: `"binary_crossentropy"` or `"squared_error"`, or one per level; at the
            first also a `losses.ColumnwiseLoss`. The first takes the way back to end in a sigmoid,
            the second looks at what the layer's `visible_activation` gives.
        code_regularizer: A Keras regularizer of a level's codes, such as
            `regularizers.KLSparsity`, or one per level: called on the codes of each (corrupted)
            batch, and part of the loss, in validation too.
        kernel_regularizer: A Keras regularizer of a level's kernel and, if untied, of its visible
            kernel, or one per level; part of the loss likewise.
        epochs: Passes over the data, or one number per level; 0 leaves a level as it is.
        batch_size: Rows per update, or one number per level. A dataset brings its own batches for
            the first level.
        optimizer: Name, or instance (copied, so that each level starts afresh), or a function of
            the level (from 0) that returns either; or one per level.
        learning_rate: Learning rate of an optimizer given by name, or one per level. Instances keep
            their own.
        callbacks: List of Keras callbacks, copied for each level so that none carries its state
            over, or a function of the level that returns such a list.
        validation_data: Held-out rows in any form that `x` may have; of a tuple, the first entry.
        shuffle: Whether rows are shuffled before each epoch; of a `PyDataset`, its batches. A
            `tf.data.Dataset` shuffles itself.
        cache: Where the codes of a trained level are kept for the next one. `"memory"` is fastest;
            it takes `8 * rows * units` bytes for the level below the one that is trained (the
            array and the backend's copy of it), and while the next codes are made, `4 * rows *
            units` of each of the two. `"disk"` keeps the same array in a file that is removed at
            the end, also after an error, and needs next to no memory. `"recompute"` keeps nothing
            and sends each batch through all levels below, every time. `"auto"` takes memory if
            the codes of two neighbouring levels fill at most half of what is available, else disk
            (memory for a dataset, whose rows are not counted yet); the line printed for a level
            says which. All give the same weights, `"recompute"` to
            rounding. Inputs are never copied whole if they are a `np.memmap` or a dataset; other
            arrays are, once, into the backend (`4 * rows * features` bytes). float64 takes twice
            as much.
        cache_dir: Folder for `"disk"`, in which a folder of its own is made; by default where
            temporary files go.
        verbose: 0 is silent. 1, or `"auto"`: a line as each level begins and ends, and between them
            one live line with epoch, loss, rows a second and the time left, or a line per epoch
            where the output is neither terminal nor notebook; see `callbacks.LevelProgress`. 2: a
            line per epoch in any case, and which way training went.
        seed: Makes shuffling repeatable; `None` leaves it to Keras' global seed.
        backup_dir: Folder in which the state of training is saved after each epoch. The same call
            again, after a crash, resumes from there, to the weights and histories of a run that was
            never disturbed; see `callbacks.Backup`, which may be among `callbacks` instead.
        backup_steps: Steps from one state to the next, besides those after each epoch.

    Returns:
        One `keras.callbacks.History` per level.

    Raises:
        ValueError: If an argument or the data does not fit, or the disk has too little room;
            before anything is trained.
        OSError: If the disk fills up all the same. What is trained so far stays.
        FloatingPointError: If a loss becomes NaN or infinite. The level gets its initial weights
            back; the levels below it keep what they have learnt.

    Example:

    >>> import numpy as np
    >>> from keras_sda.layers import MaskingNoise, TiedDense
    >>> layers = [TiedDense(8), TiedDense(4)]
    >>> layers[0].build((None, 16)), layers[1].build((None, 8))
    (None, None)
    >>> x = np.random.default_rng(0).uniform(size=(64, 16)).astype("float32")
    >>> histories = pretrain_layers(layers, x, noise=MaskingNoise(0.3), epochs=2, verbose=0)
    >>> [len(history.history["loss"]) for history in histories]
    [2, 2]

    Reference:
        Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010; Deep Learning Tutorials,
        "Stacked Denoising Autoencoders (SdA)".
    """
    _check_layers(layers)
    check_choice("cache", cache, CACHES, owner=OWNER)
    check_bool("shuffle", shuffle, OWNER)
    check_verbose(verbose, OWNER)
    plans = _plan_levels(
        layers,
        noise=noise,
        reconstruction_loss=reconstruction_loss,
        code_regularizer=code_regularizer,
        kernel_regularizer=kernel_regularizer,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        callbacks=callbacks,
        verbose=verbose,
        seed=seed,
    )
    if backup_dir is not None:
        for plan in plans:
            plan.callbacks.append(Backup(backup_dir, backup_steps, verbose=int(verbose != 0)))

    codes, held_out = _inputs_of_first_level(plans[0], x, validation_data)
    _tell_backups(plans, codes, held_out, seed)

    histories = []
    with CodeCache(cache, cache_dir, layers, (codes, held_out)) as cached:
        for level, plan in enumerate(plans):
            logs = _level_logs(plans, level)
            logs["cache"] = None if level == 0 else cached.kind
            histories.append(_fit_level(plan, codes, held_out, shuffle, logs))
            if plan is not plans[-1]:
                codes = cached.encode(level, codes, "codes")
                held_out = cached.encode(level, held_out, "held_out")
    return histories


def _check_layers(layers):
    """Refuses what are not built layers, each of which takes the codes of the one below."""
    listed = isinstance(layers, Sequence) and not isinstance(layers, str) and len(layers) > 0
    if not listed or not all(getattr(layer, "input_dim", None) for layer in layers):
        raise ValueError(
            f"Argument `layers` of {OWNER} must list built layers that decode with `reverse=True`, "
            f"such as TiedDense, at least one. Received: layers={shown(layers)}"
        )
    for below, layer in itertools.pairwise(layers):
        if layer.input_dim != below.units:
            raise ValueError(
                f"Argument `layers` of {OWNER} must list layers that take the codes of the one "
                f"below. Received one of {layer.input_dim} inputs above one of {below.units} units."
            )


def _inputs_of_first_level(plan, x, validation_data):
    """Returns both checked, the second `None` if it is not given."""
    width = plan.layer.input_dim
    within = (0, 1) if plan.reconstruction_loss == "binary_crossentropy" else None
    codes = prepare_inputs(x, width, within, "x")
    if validation_data is None:
        return codes, None
    return codes, prepare_inputs(validation_data, width, within, "validation_data")


@dataclass(frozen=True)
class _LevelPlan:
    """How one level is trained: its part of the arguments of `pretrain_layers`, checked."""

    level: int
    layer: keras.layers.Layer
    noise: keras.layers.Layer | None
    reconstruction_loss: Any
    code_regularizer: Any
    kernel_regularizer: Any
    epochs: int
    batch_size: int
    optimizer: keras.optimizers.Optimizer
    callbacks: list[keras.callbacks.Callback]
    seed: int | None

    @property
    def work(self) -> int:
        """Multiplications a row, over all epochs: what the time left is reckoned by."""
        return self.epochs * self.layer.input_dim * self.layer.units

    def make_model(self) -> PretrainingLevel:
        """Returns the model that is fitted, compiled."""
        model = PretrainingLevel(
            self.layer,
            self.noise,
            self.reconstruction_loss,
            self.level,
            self.code_regularizer,
            self.kernel_regularizer,
            name=f"level_{self.level + 1}",
            dtype=self.layer.dtype_policy,  # mixed_float16 scales the loss
        )
        model.compile(optimizer=self.optimizer)
        return model


def _plan_levels(
    layers,
    *,
    noise,
    reconstruction_loss,
    code_regularizer,
    kernel_regularizer,
    epochs,
    batch_size,
    optimizer,
    learning_rate,
    callbacks,
    verbose,
    seed,
):
    """Returns a plan for each level; raises a `ValueError` if an argument does not fit."""
    count = len(layers)
    check_seed("seed", seed, OWNER)

    def each(name, value, check=None):
        values = per_level(name, value, count, OWNER)
        return values if check is None else [check(name, value, OWNER) for value in values]

    columns = {
        "noise": each("noise", noise),
        "reconstruction_loss": each("reconstruction_loss", reconstruction_loss, _check_loss),
        "code_regularizer": regularizers.code_regularizers(code_regularizer, layers, OWNER),
        "kernel_regularizer": regularizers.kernel_regularizers(kernel_regularizer, layers, OWNER),
        "epochs": each("epochs", epochs, check_non_negative_int),
        "batch_size": each("batch_size", batch_size, check_positive_int),
    }
    rates = each("learning_rate", learning_rate, check_positive)
    columns["optimizer"] = [
        _fresh_optimizer(value, level, rates[level])
        for level, value in enumerate(each("optimizer", optimizer))
    ]
    columns["callbacks"] = [_fresh_callbacks(callbacks, level, verbose) for level in range(count)]
    return [
        _LevelPlan(
            level=level,
            layer=layer,
            seed=None if seed is None else seed + level,
            **{name: values[level] for name, values in columns.items()},
        )
        for level, layer in enumerate(layers)
    ]


def _check_loss(name, value, owner):
    losses.check_reconstruction_loss(value, owner, settled=True)
    return value


def _tell_backups(plans, codes, held_out, seed):
    """Gives each `Backup` the fingerprint of all levels.

    Of all, so that a difference in a later one shows before any is trained.
    """
    backups = [
        callback for plan in plans for callback in plan.callbacks if isinstance(callback, Backup)
    ]
    if not backups:
        return

    def of_all(name):
        return [getattr(plan, name) for plan in plans]

    context = {
        "x": fingerprint.of_data(codes),
        "validation_data": fingerprint.of_data(held_out),
        "levels": fingerprint.of_object(of_all("layer")),
        "noise": fingerprint.of_object(of_all("noise")),
        "reconstruction_loss": fingerprint.of_object(of_all("reconstruction_loss")),
        "regularizers": fingerprint.of_object(
            [of_all("code_regularizer"), of_all("kernel_regularizer")]
        ),
        "optimizers": fingerprint.of_object(of_all("optimizer")),
        "epochs_of_levels": of_all("epochs"),
        "batch_sizes": of_all("batch_size"),
        "seed": seed,
    }
    for backup in backups:
        backup.set_context(context)


def _level_logs(plans, level):
    """Returns what the hooks around a level are told before it trains."""
    plan = plans[level]
    later = sum(each.work for each in plans[level + 1 :])
    return {
        "num_levels": len(plans),
        "later_work": later / max(1, plan.work),
        "inputs": plan.layer.input_dim,
        "units": plan.layer.units,
        "noise": plan.noise,
        "layers_below": [each.layer for each in plans[:level]],
        "reconstruction_loss": losses.title(plan.reconstruction_loss),
    }


def _fit_level(plan, codes, held_out, shuffle, logs):
    """Fits one level, with the hooks around it and its initial weights kept for a failure."""
    model = plan.make_model()
    logs["gradient"] = model.gradient
    is_array = not is_dataset(codes)
    initial_weights = plan.layer.get_weights()
    start = time.perf_counter()
    _call_level_hook(plan.callbacks, model, "on_level_begin", logs)
    try:
        with shuffling_seed(plan.seed):
            history = model.fit(
                codes,
                epochs=plan.epochs,
                batch_size=plan.batch_size if is_array else None,
                shuffle=shuffle and not shuffles_itself(codes),
                validation_data=held_out,
                validation_batch_size=BATCH_SIZE if is_array else None,
                callbacks=plan.callbacks,
                verbose=0,
            )
    except FloatingPointError:
        plan.layer.set_weights(initial_weights)
        raise
    done = history.history.get("loss", [])
    logs |= {
        "epochs": len(done),
        "loss": done[-1] if done else float("nan"),
        "steps_per_call": model.steps_per_call,
        "compiled_by_xla": model.compiled_by_xla,
        "seconds": time.perf_counter() - start,
    }
    _call_level_hook(plan.callbacks, model, "on_level_end", logs)
    return history


def _call_level_hook(callbacks, model, hook, logs):
    for callback in callbacks:
        if hasattr(callback, hook):
            callback.set_model(model)
            getattr(callback, hook)(model.level, dict(logs))


def _fresh_optimizer(optimizer, level: int, learning_rate: float):
    """Returns a new optimizer for one level; see `pretrain_layers` for what it may be made from."""
    is_class = isinstance(optimizer, type)
    if callable(optimizer) and not is_class:
        optimizer = optimizer(level)
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return type(optimizer).from_config(optimizer.get_config())
    if isinstance(optimizer, str) or (
        is_class and issubclass(optimizer, keras.optimizers.Optimizer)
    ):
        return make_optimizer(optimizer, learning_rate)
    raise ValueError(
        f"Argument `optimizer` of {OWNER} must be a name such as 'adam', a Keras optimizer, or a "
        f"function of the level that returns one. Received: optimizer={optimizer!r}"
    )


def _fresh_callbacks(callbacks, level: int, verbose) -> list[keras.callbacks.Callback]:
    """Returns new callbacks for one level: copies of a list, or what a function returns."""
    if callbacks is None:
        callbacks = []
    if isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [callbacks]
    if isinstance(callbacks, (list, tuple)):
        try:
            given = copy.deepcopy(list(callbacks))
        except TypeError as error:
            raise ValueError(
                f"{OWNER} copies `callbacks` for each level, and one of them cannot be copied "
                f"({error}): pass a function of the level that returns new callbacks instead."
            ) from error
    else:
        given = list(callbacks(level)) if callable(callbacks) else [callbacks]
    if not all(isinstance(callback, keras.callbacks.Callback) for callback in given):
        raise ValueError(
            f"Argument `callbacks` of {OWNER} must be a list of Keras callbacks or a function of "
            f"the level that returns one. Received: callbacks={callbacks!r}"
        )
    is_silent = verbose == 0 or not is_chief()
    progress = [] if is_silent else [LevelProgress(details=verbose == 2)]
    return [*progress, *given, StopOnNonFiniteLoss()]


def prepare_inputs(x: Any, width: int, within: tuple[float, float] | None, name: str) -> Any:
    """Returns checked inputs: an array as it is, other tables as arrays, datasets untouched.

    Of a dataset the first batch is checked; a non-finite value further on shows in the loss.
    """
    if isinstance(x, tuple) and x:  # (x, y) or (x, y, sample_weight)
        x = x[0]
    if is_dataset(x):
        check_rows(first_batch(x, OWNER, name), OWNER, shape=(width,), within=within, name=name)
        return x
    if hasattr(x, "__next__"):
        raise ValueError(
            f"{OWNER} reads `{name}` several times, which a generator does not allow: pass an "
            "array, a tf.data.Dataset or a keras.utils.PyDataset."
        )
    rows = as_table(x, OWNER, name)
    check_rows(rows, OWNER, shape=(width,), within=within, name=name)
    return rows
