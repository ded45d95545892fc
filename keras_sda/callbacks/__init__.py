"""Callbacks for pretraining and fine-tuning.

Ordinary Keras callbacks: they work in `fit` and, copied for each level, in `pretrain`, whose models
have the attributes `level`, `units` and `noise` (`self.model.level` and so on in any hook). If a
callback has the methods `on_level_begin(level, logs)` and `on_level_end(level, logs)`, they are
called too, with `units`, `noise`, `num_levels` and the trained `layers_below` in `logs`.
"""

from keras_sda.callbacks.kl_warmup import KLWarmup
from keras_sda.callbacks.level_progress import LevelProgress
from keras_sda.callbacks.level_tensorboard import LevelTensorBoard
from keras_sda.callbacks.noise_schedule import NoiseSchedule
from keras_sda.callbacks.patience_stopping import PatienceStopping
from keras_sda.callbacks.reconstruction_pictures import ReconstructionPictures
from keras_sda.callbacks.stop_on_non_finite_loss import StopOnNonFiniteLoss
from keras_sda.resuming.backup import Backup

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
