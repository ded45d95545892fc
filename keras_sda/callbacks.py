"""Callbacks for pretraining and fine-tuning.

Ordinary Keras callbacks: they work in `fit`, and, copied for each level, in `pretrain`, whose
models carry `level`, `units` and `noise` as attributes (`self.model.level` and so on in any hook).
A callback that has the methods `on_level_begin(level, logs)` and `on_level_end(level, logs)` gets
these calls too, with `units`, `noise`, `num_levels` and the trained `layers_below` in `logs`.
"""

import importlib.util
import io
import math
from pathlib import Path

import keras
import numpy as np

from keras_sda._validation import (
    check_fraction,
    check_non_negative,
    check_non_negative_int,
    check_positive,
    check_positive_int,
)
from keras_sda.progress import LevelProgress
from keras_sda.resuming.backup import Backup
from keras_sda.tracking import LevelTensorBoard

__all__ = [
    "Backup",
    "KLWarmup",
    "LevelProgress",
    "LevelTensorBoard",
    "NoiseSchedule",
    "PatienceStopping",
    "ReconstructionPictures",
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

    def set_model(self, model):
        # Not by `self.model`, by which Keras fetches the weights from JAX: beside a step they are
        # gone, as the step has taken their memory.
        self._trained = model
        super().set_model(model)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        level = getattr(self._trained, "level", None)
        where = "" if level is None else f"level {level + 1}, "
        step = batch + 1
        if hasattr(self._trained, "first_bad_step"):
            step = self._trained.first_bad_step(batch)
        raise FloatingPointError(
            f"The loss became {loss} in {where}epoch {self._epoch + 1}, step {step}: lower "
            "the learning rate, or look for extreme values in the data."
        )


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


class ReconstructionPictures(keras.callbacks.Callback):
    """Draws what the model makes of a few fixed rows, again and again while it trains.

    Each picture shows the rows, the same rows corrupted, always by the same draw of the noise, and
    what the model rebuilds from these. The first picture, number 0, is drawn before training. In
    `pretrain` every level draws its own: the rows are coded by the levels below, corrupted and
    rebuilt by this one, and sent down again, so that each picture shows rows of the input.

    Weights, histories and random streams are what they are without it. With `every_epochs` it hears
    of epochs only, which leaves many steps per call to a fast `fit`; `every_steps` asks for each
    single step and is slower.

    Args:
        rows: Array of a dozen rows or so, of the data that the model trains on or of others.
        image_shape: Shape of an image, such as `(28, 28, 1)`; `None` draws tables, or, if a row is
            an image, images.
        folder: Folder to write PNG files into, made if it is not there; files of the same name are
            replaced. Names end with the number of epochs or steps done:
            `reconstructions-epoch0003.png`, in `pretrain`
            `reconstructions-level2-epoch0003.png`. `None` shows one picture in the output of a
            notebook cell (for each level, one), which changes as training goes on.
        every_epochs: Epochs from one picture to the next; 1 if `every_steps` is not given either.
        every_steps: Steps from one picture to the next, counted through all epochs.
        seed: Seed of the draw of the noise.

    Raises:
        ValueError: If an argument does not fit; at the start of training, if the model does not
            reconstruct or has other rows.
        ImportError: If `folder` is `None` and IPython is not there.

    Example:

    ```python
    pictures = ReconstructionPictures(x[:12], image_shape=(28, 28, 1), folder="pictures")
    sda.pretrain(x, epochs=15, callbacks=[pictures])
    ```
    """

    def __init__(
        self, rows, image_shape=None, folder=None, every_epochs=None, every_steps=None, seed=0
    ):
        super().__init__()
        owner = "ReconstructionPictures"
        self.rows = np.asarray(rows)
        if self.rows.ndim < 2 or not len(self.rows) or self.rows.dtype.kind not in "biuf":
            raise ValueError(
                f"Argument `rows` of {owner} must be an array of a few rows of numbers. "
                f"Received an array of {self.rows.dtype} of shape {self.rows.shape}."
            )
        if image_shape is None and self.rows.ndim > 2:
            image_shape = self.rows.shape[1:]
        width = math.prod(self.rows.shape[1:])
        if image_shape is not None and math.prod(image_shape) != width:
            raise ValueError(
                f"Argument `image_shape` of {owner} must have as many pixels as a row has values, "
                f"{width}. Received: image_shape={image_shape!r}"
            )
        self.image_shape = image_shape
        if every_epochs is not None and every_steps is not None:
            raise ValueError(
                f"{owner} draws by `every_epochs` or by `every_steps`. Received both: "
                f"every_epochs={every_epochs!r}, every_steps={every_steps!r}"
            )
        if every_steps is None:
            every_epochs = 1 if every_epochs is None else every_epochs
            check_positive_int("every_epochs", every_epochs, owner)
        else:
            check_positive_int("every_steps", every_steps, owner)
            # Only now: by hooks for batches a callback asks to be called for every one.
            self.on_train_batch_end = self._after_step
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.seed = check_non_negative_int("seed", seed, owner)
        self.folder = None if folder is None else Path(folder)
        if folder is None and importlib.util.find_spec("IPython") is None:
            raise ImportError(
                f"{owner} without `folder` draws into a notebook, which needs IPython: "
                "`pip install ipython`, or pass folder='pictures' to write files."
            )
        self._layers_below = []
        self._reset()

    def _reset(self):
        self._steps_before = self._steps = self._drawn_at = 0
        self._display = None

    def on_level_begin(self, level, logs=None):
        self._layers_below = logs["layers_below"]

    def on_train_begin(self, logs=None):
        self._reset()
        if self._level is None and not hasattr(self.model, "reconstruct"):
            raise ValueError(
                "ReconstructionPictures needs a model that reconstructs, such as an autoencoder or "
                f"a stack. Received a {type(self.model).__name__}: leave the callback out."
            )
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._draw("epoch" if self.every_steps is None else "step", 0)

    def on_epoch_end(self, epoch, logs=None):
        self._steps_before = self._steps
        if self.every_epochs is not None and (epoch + 1) % self.every_epochs == 0:
            self._draw("epoch", epoch + 1)

    def _after_step(self, batch, logs=None):
        self._steps = self._steps_before + batch + 1
        # With `compile(steps_per_execution=...)` several steps may have passed.
        if self._steps // self.every_steps > self._drawn_at // self.every_steps:
            self._drawn_at = self._steps
            if hasattr(self.model, "jax_state_sync"):  # Keras keeps JAX's variables to itself
                self.model.jax_state_sync()
            self._draw("step", self._steps)

    @property
    def _level(self):
        """The number of the level that is pretrained, or `None` in another `fit`."""
        return getattr(self.model, "level", None)

    def _draw(self, unit, number):
        from keras_sda import plots  # Matplotlib, which takes a while, when it is needed

        title = f"{unit} {number}"
        if self._level is not None:
            title = f"level {self._level + 1}, {title}"
        if self._layers_below and self._level is not None:
            title += ": corrupted and rebuilt codes, sent down to the input"
        if self._level is None:
            figure = plots.plot_model(self.model, self.rows, self.image_shape, self.seed, title)
        else:
            rows, corrupted, rebuilt = self._strips_of_level(plots.corrupt_rows)
            figure = plots.plot_reconstructions(rows, corrupted, rebuilt, self.image_shape, title)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=100)
        if self.folder is None:
            self._show(picture.getvalue())
        else:
            digits = 4 if unit == "epoch" else 7
            level = "" if self._level is None else f"-level{self._level + 1}"
            name = f"reconstructions{level}-{unit}{number:0{digits}}.png"
            (self.folder / name).write_bytes(picture.getvalue())

    def _strips_of_level(self, corrupt):
        """Returns rows, the same corrupted if there is noise, and rebuilt, all at the input."""
        codes = self.rows
        for layer in self._layers_below:
            codes = layer(codes)
        noise, layer = self.model.noise, self.model.layer
        corrupted = None
        if noise is not None:
            codes = corrupt(noise, keras.ops.convert_to_numpy(codes), self.seed)
            corrupted = self._down(codes)
        return self.rows, corrupted, self._down(layer(layer(codes), reverse=True))

    def _down(self, codes):
        for layer in reversed(self._layers_below):
            codes = layer(codes, reverse=True)
        return keras.ops.convert_to_numpy(keras.ops.cast(codes, keras.config.floatx()))

    def _show(self, picture):
        from IPython import display

        image = display.Image(data=picture)
        if self._display is None:
            self._display = display.display(image, display_id=True)
        else:
            self._display.update(image)
