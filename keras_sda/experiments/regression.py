"""Targets that are numbers: the network's last layer, and the units that it learns them in."""

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_sda import datasets
from keras_sda.experiments import zoo
from keras_sda.experiments.experiment import Experiment


def is_regression(experiment: Experiment, data: datasets.Data) -> bool:
    """Whether a network is to predict numbers: labels are, and the model takes any last layer."""
    options = zoo.options(experiment.model.name)
    return (
        data.train.labelled is not None
        and data.train.y is not None
        and data.train.y.dtype.kind == "f"
        and "head" in options
        and experiment.model.options.get("head") is None
    )


def with_linear_head(experiment: Experiment) -> Experiment:
    """Returns an experiment whose network ends in one linear unit."""
    # From zero, so that nothing is random in it, and the mean is the first prediction.
    return experiment.but({"model.head": keras.layers.Dense(1, kernel_initializer="zeros")})


@dataclass(frozen=True)
class TargetScale:
    """The mean and the deviation of the training targets.

    Args:
        mean: What is subtracted.
        deviation: What the difference is divided by.
    """

    mean: float
    deviation: float

    @classmethod
    def of(cls, data: datasets.Data) -> "TargetScale":
        """Returns the scale of the targets of training rows."""
        y = np.asarray(data.train.y, "float64")
        deviation = float(np.nanstd(y))
        return cls(float(np.nanmean(y)), deviation if deviation > 0 else 1.0)

    def scaled(self, data: datasets.Data) -> datasets.Data:
        """Returns data with targets of mean 0 and deviation 1."""

        def scale(part: datasets.Split | None) -> datasets.Split | None:
            if part is None or part.y is None:
                return part
            y = (part.y.astype("float64") - self.mean) / self.deviation
            return datasets.Split(part.x, y.astype("float32"))

        parts: dict[str, Any] = {"train": scale(data.train), "valid": scale(data.valid)}
        return replace(data, **parts)

    def put_into(self, model: Any) -> None:
        """Changes the linear unit of a trained network so that it predicts in the own units."""
        kernel, bias = (keras.ops.convert_to_numpy(v) for v in (model.head.kernel, model.head.bias))
        model.head.kernel.assign(kernel * self.deviation)
        model.head.bias.assign(bias * self.deviation + self.mean)
