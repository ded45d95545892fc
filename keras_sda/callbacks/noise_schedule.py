"""A noise level that changes from epoch to epoch."""

import keras
import numpy as np

from keras_sda._validation import check_non_negative, wrong_argument


class NoiseSchedule(keras.callbacks.Callback):
    """Changes the noise level from epoch to epoch, without rebuilding anything.

    Works in `pretrain`, where the schedule starts again at each level, and in `fit` of any model
    that has a `noise` layer of this package. In the supervised `fit` of a stack it changes the
    noise on the input, which exists only if `finetune_noise_level` was above 0.

    Args:
        schedule: A function of the epoch (from 0) that returns the level; or a pair
            `(first, last)`, between which the level changes linearly over all epochs.

    Raises:
        ValueError: At the start of training, if the model has no noise layer, or if the schedule
            returns a level that is not valid for the noise, such as a rate above 1.

    Example:

    ```python
    # From strong noise to weak, as in scheduled denoising autoencoders.
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
            expected = "be a function of the epoch or a pair (first, last)"
            raise wrong_argument("schedule", "NoiseSchedule", expected, schedule)
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
