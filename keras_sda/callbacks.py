"""Callbacks for pretraining and fine-tuning.

Ordinary Keras callbacks: they work in `fit`, and, copied for each level, in `pretrain`, whose
models carry `level`, `units` and `noise` as attributes (`self.model.level` and so on in any hook).
A callback that has the methods `on_level_begin(level, logs)` and `on_level_end(level, logs)` gets
these calls too, with `units`, `noise` and `num_levels` in `logs`.
"""

import math

import keras
import numpy as np

from keras_sda._validation import (
    check_fraction,
    check_non_negative,
    check_positive,
    check_positive_int,
)

__all__ = [
    "KLWarmup",
    "LevelProgress",
    "NoiseSchedule",
    "PatienceStopping",
    "StopOnNonFiniteLoss",
]


class PatienceStopping(keras.callbacks.Callback):
    """Stops fine-tuning by the patience rule of the Deep Learning Tutorials, best weights restored.

    Training goes on for at least `patience` epochs. Whenever the monitored value falls below
    `improvement_threshold` times the best one so far, the patience grows to `patience_increase`
    times the epochs done, if that is more: the longer it took to get better, the longer the wait
    for the next time. The rule counts updates in the tutorials; it is applied here at the end of
    each epoch, which is when Keras validates, so that epochs stand for updates without a change.

    Every value below the best so far is the new best, and its weights are the ones that remain:
    the tutorials keep the last weights; restoring the best is an addition. So is what decides
    between equal values, which small validation sets often give: the lower validation loss.

    Args:
        monitor: Name of the monitored value. `"val_accuracy"` and other names with `acc` or `auc`
            in them are turned into errors, `1 - value`, as the tutorials' rule is one for errors.
            `None`, the default: the validation accuracy if there is one, else `"val_loss"`.
        patience: Epochs that are trained in any case, above 0; 10 in the tutorials' SdA.
        patience_increase: Factor, at least 1, by which the epochs done are multiplied; 2 there.
        improvement_threshold: Relative improvement that counts, in [0, 1]; 0.995 there.
        restore_best_weights: Whether to put back the best weights at the end.

    Attributes:
        best: The lowest value (as an error) seen in this fit.
        best_epoch: Its epoch, counted from 0 as Keras does; `None` before the first.
        stopped_epoch: The epoch after which the rule stopped training, or `None`.

    Raises:
        ValueError: If an argument lies outside its range, or, at the end of the first epoch, if
            the monitored value is not there.

    Example:

    ```python
    stopping = PatienceStopping(patience=10)
    sda.fit(x, y, epochs=1000, validation_data=(x_valid, y_valid), callbacks=[stopping])
    print(stopping.best_epoch, stopping.best)
    ```

    Reference:
        Deep Learning Tutorials, "Getting started: early stopping" and "Stacked Denoising
        Autoencoders (SdA)".
    """

    def __init__(
        self,
        monitor=None,
        patience=10,
        patience_increase=2.0,
        improvement_threshold=0.995,
        restore_best_weights=True,
    ):
        super().__init__()
        owner = "PatienceStopping"
        self.monitor = monitor
        self.patience = check_positive("patience", patience, owner)
        self.patience_increase = check_positive("patience_increase", patience_increase, owner)
        if patience_increase < 1:
            raise ValueError(
                f"Argument `patience_increase` of {owner} must be at least 1. "
                f"Received: patience_increase={patience_increase!r}"
            )
        self.improvement_threshold = check_fraction(
            "improvement_threshold", improvement_threshold, owner
        )
        self.restore_best_weights = restore_best_weights
        self._reset()

    def _reset(self):
        self.best = math.inf
        self._best_tie_breaker = math.inf
        self.best_epoch = None
        self.stopped_epoch = None
        self._allowed_epochs = self.patience
        self._best_weights = None

    def on_train_begin(self, logs=None):
        self._reset()

    def on_epoch_end(self, epoch, logs=None):
        error = self._error(logs or {})
        done = epoch + 1
        tie_breaker = (logs or {}).get("val_loss", 0.0)
        if (error, tie_breaker) < (self.best, self._best_tie_breaker):
            if error < self.best * self.improvement_threshold:
                self._allowed_epochs = max(self._allowed_epochs, done * self.patience_increase)
            self.best = error
            self._best_tie_breaker = tie_breaker
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._best_weights = self.model.get_weights()
        if done >= self._allowed_epochs:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _error(self, logs):
        monitor = self.monitor
        if monitor is None:
            accuracies = [name for name in logs if name.startswith("val_") and "acc" in name]
            monitor = accuracies[0] if accuracies else "val_loss"
        if monitor not in logs:
            raise ValueError(
                f"PatienceStopping monitors {monitor!r}, but the epoch reports only "
                f"{sorted(logs)}: pass validation_data to fit(), or another `monitor`."
            )
        higher_is_better = "acc" in monitor or "auc" in monitor
        return 1 - logs[monitor] if higher_is_better else logs[monitor]

    def on_train_end(self, logs=None):
        if self._best_weights is not None:
            self.model.set_weights(self._best_weights)
            self._best_weights = None


class NoiseSchedule(keras.callbacks.Callback):
    """Changes the noise level from epoch to epoch, without rebuilding anything.

    Works in `pretrain`, where each level begins the schedule anew, and in `fit` of any model that
    has a `noise` layer of this package. Fitting a supervised stack changes the noise on its input,
    which is there if `finetune_noise_level` was above 0.

    Args:
        schedule: A function of the epoch (from 0) that returns the level; or a pair
            `(first, last)`, between which the level moves evenly over all epochs.

    Raises:
        ValueError: At the start of training, if the model has no noise layer, or if the schedule
            gives a level that the noise does not take, such as a rate above 1.

    Example:

    ```python
    # From much noise to little, as in scheduled denoising autoencoders.
    sda.pretrain(x, callbacks=[NoiseSchedule((0.5, 0.1))])
    sda.pretrain(x, callbacks=[NoiseSchedule(lambda epoch: 0.5 * 0.9**epoch)])
    ```

    Reference:
        Geras and Sutton, "Scheduled denoising autoencoders", ICLR 2015.
    """

    def __init__(self, schedule):
        super().__init__()
        is_pair = isinstance(schedule, (tuple, list)) and len(schedule) == 2
        if not callable(schedule) and not is_pair:
            raise ValueError(
                "Argument `schedule` of NoiseSchedule must be a function of the epoch or a pair "
                f"(first, last). Received: schedule={schedule!r}"
            )
        if is_pair:
            for value in schedule:
                check_non_negative("schedule", value, owner="NoiseSchedule")
        self.schedule = schedule

    def on_train_begin(self, logs=None):
        if not hasattr(getattr(self.model, "noise", None), "level"):
            raise ValueError(
                f"NoiseSchedule found no noise layer in {self.model.name}: give the model a noise "
                "whose level can change, such as noise='masking', or leave the callback out."
            )

    def on_epoch_begin(self, epoch, logs=None):
        noise = self.model.noise
        noise.level.assign(noise.check_level(self._level(epoch)))

    def _level(self, epoch):
        if callable(self.schedule):
            return float(self.schedule(epoch))
        first, last = self.schedule
        share = epoch / max(1, self.params["epochs"] - 1)
        return first + (last - first) * min(1.0, share)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["noise_level"] = float(np.asarray(self.model.noise.level))


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Ends training with an error as soon as the loss is NaN or infinite.

    `pretrain` and the command line always use it. Unlike `keras.callbacks.TerminateOnNaN`, which
    prints a line and returns as if all were well, it raises, and says where it happened.

    Raises:
        FloatingPointError: At the first step whose loss is not finite; level (in `pretrain`),
            epoch and step are counted from 1 in its message, as in Keras' progress display.

    Example:

    ```python
    sda.fit(x, y, callbacks=[StopOnNonFiniteLoss()])
    ```
    """

    # Reads numbers only: Keras may run it beside the next step.
    async_safe = True
    # Finds the step by `FastFit.first_bad_step`.
    works_on_groups = True

    def __init__(self):
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        level = getattr(self.model, "level", None)
        where = "" if level is None else f"level {level + 1}, "
        step = batch + 1
        if hasattr(self.model, "first_bad_step"):
            step = self.model.first_bad_step(batch)
        raise FloatingPointError(
            f"The loss became {loss} in {where}epoch {self._epoch + 1}, step {step}: lower "
            "the learning rate, or look for extreme values in the data."
        )


class LevelProgress(keras.callbacks.Callback):
    """Prints one line as each level of a stack begins, and one as it ends.

    `pretrain` adds it unless `verbose=0`.

    Args:
        details: Whether to tell how the level is differentiated and how many steps a call of the
            backend takes, too.
    """

    def __init__(self, details=False):
        super().__init__()
        self.details = details

    def on_level_begin(self, level, logs=None):
        noise = logs["noise"]
        if noise is None:
            corrupted = "no noise"
        else:
            corrupted = noise.__class__.__name__
            if hasattr(noise, "level"):
                corrupted += f"({float(np.asarray(noise.level)):.3g})"
        print(
            f"Level {level + 1} of {logs['num_levels']}: {logs['inputs']} -> {logs['units']} "
            f"units, {corrupted}, {logs['reconstruction_loss']}{self._kept(logs)}",
            flush=True,
        )

    def on_level_end(self, level, logs=None):
        print(
            f"Level {level + 1} of {logs['num_levels']}: loss {logs['loss']:.4f} after "
            f"{logs['epochs']} epochs, {logs['seconds']:.1f} s{self._way(logs)}",
            flush=True,
        )

    @staticmethod
    def _kept(logs):
        ways = {
            "memory": ", codes in memory",
            "disk": ", codes on disk",
            "recompute": ", codes recomputed",
        }
        return ways.get(logs.get("cache"), "")

    def _way(self, logs):
        if not self.details:
            return ""
        calls = logs["steps_per_call"]
        steps = "Keras' own training function" if calls is None else f"{calls} steps per call"
        return f"; gradient {logs['gradient']}, {steps}"


class KLWarmup(keras.callbacks.Callback):
    """Raises the weight of the KL term of a variational autoencoder from 0 to its `beta`.

    Without it, latent units may be switched off before the decoder has learnt to use them. The
    first epoch trains with weight 0, epoch number `epochs` (counted from 0) and all later ones with
    the `beta` that the model was made with. Validation uses the weight of its epoch, so that
    `val_loss` can be compared from one epoch to the next only after the warm-up.

    Args:
        epochs: Over how many epochs the weight rises, evenly.

    Raises:
        ValueError: If `epochs` is no whole number of at least 1, or, at the start of training, if
            the model has no such weight.

    Example:

    ```python
    vae.fit(x, epochs=50, callbacks=[KLWarmup(10)])
    ```

    Reference:
        Sønderby et al., "Ladder variational autoencoders", NeurIPS 2016.
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = check_positive_int("epochs", epochs, owner="KLWarmup")

    def on_train_begin(self, logs=None):
        if not hasattr(self.model, "final_beta"):
            raise ValueError(
                f"KLWarmup found no weight `beta` of a KL term in {self.model.name}: use it with a "
                "VariationalAutoencoder, or leave it out."
            )

    def on_epoch_begin(self, epoch, logs=None):
        self.model.beta.assign(self.model.final_beta * min(1.0, epoch / self.epochs))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["beta"] = float(np.asarray(self.model.beta))
