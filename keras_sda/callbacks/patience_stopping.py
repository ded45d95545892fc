"""The patience rule of the Deep Learning Tutorials."""

import math

import keras

from keras_sda._validation import check_bool, check_fraction, check_positive


class PatienceStopping(keras.callbacks.Callback):
    """Stops fine-tuning by the patience rule of the Deep Learning Tutorials, with the best weights.

    Training runs for at least `patience` epochs. Whenever the monitored value falls below
    `improvement_threshold` times the best one so far, the patience grows to `patience_increase`
    times the epochs done, if that is more: the longer an improvement took, the longer the wait for
    the next. The tutorials count updates; here the rule is applied at the end of each epoch, which
    is when Keras validates, and counts epochs, which changes nothing else.

    Every value below the best so far is the new best, and the weights of the best are restored at
    the end; ties, which are common with small validation sets, go to the lower validation loss.
    Both are additions: the tutorials keep the last weights.

    Args:
        monitor: Name of the monitored value. `"val_accuracy"` and other names with `acc` or `auc`
            in them are turned into errors, `1 - value`, as the tutorials' rule monitors an error.
            `None`, the default: the validation accuracy if there is one, else `"val_loss"`.
        patience: Smallest number of epochs, above 0; 10 in the tutorials' SdA.
        patience_increase: Factor, at least 1, by which the epochs done are multiplied; 2 there.
        improvement_threshold: Factor, in [0, 1], on the best value below which a value extends the
            patience; 0.995 there.
        restore_best_weights: Whether to restore the best weights at the end.

    Attributes:
        best: The lowest value (as an error) seen in this fit.
        best_epoch: Its epoch, counted from 0 as Keras does; `None` before the first.
        stopped_epoch: The epoch after which the rule stopped training, or `None`.

    Raises:
        ValueError: If an argument lies outside its range, or, at the end of the first epoch, if
            the monitored value is missing.

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
        self.restore_best_weights = check_bool("restore_best_weights", restore_best_weights, owner)
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
