"""Experiments: train any model of the zoo on any data, and keep what came of it.

>>> from keras_sda import experiments
>>> experiment = experiments.default("mlp").but({"hidden_units": [32], "training.epochs": 2})
>>> result = experiments.run(experiment, verbose=0)
>>> result.metrics["test"]["rows"]
360
"""

from keras_sda.experiments.experiment import Experiment
from keras_sda.experiments.finished_run import Run
from keras_sda.experiments.loading import load_run
from keras_sda.experiments.parts import Data, Model, Pretraining, Training
from keras_sda.experiments.reporting import report
from keras_sda.experiments.running import run
from keras_sda.experiments.studying import Study, study
from keras_sda.experiments.zoo import default, names

__all__ = [
    "Data",
    "Experiment",
    "Model",
    "Pretraining",
    "Run",
    "Study",
    "Training",
    "default",
    "load_run",
    "names",
    "report",
    "run",
    "study",
]
