"""Stops training whose loss is NaN or infinite."""

import math

import keras


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Stops training with an error as soon as the loss is NaN or infinite.

    `pretrain` and the command line always use it. Unlike `keras.callbacks.TerminateOnNaN`, which
    prints a line and returns as if all were well, it raises an error that says where it happened.

    Raises:
        FloatingPointError: At the first step whose loss is not finite; level (in `pretrain`),
            epoch and step are counted from 1 in its message, as in Keras' progress display.

    Example:

    ```python
    sda.fit(x, y, callbacks=[StopOnNonFiniteLoss()])
    ```
    """

    # It only reads numbers, so Keras may run it during the next step.
    async_safe = True
    # `FastFit.first_bad_step` finds the step.
    accepts_step_groups = True
    accepts_epoch_groups = True

    def __init__(self):
        super().__init__()
        self._epoch = 0

    def set_model(self, model):
        # Not `self.model`, which makes Keras fetch the weights from JAX: during a step they are
        # gone, as the step has taken over their memory.
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
