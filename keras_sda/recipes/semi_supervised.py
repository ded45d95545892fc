"""Recipes for rows of which few have a label, and the ladder network with all labels."""

from typing import Any

from keras_sda.experiments import Data, Experiment, Model, Pretraining, Training
from keras_sda.recipes.recipe import Recipe

_LADDER = "Rasmus et al., Semi-supervised learning with ladder networks (2015)"
_DRAWS = (
    "Each seed draws its own labelled rows, evenly over the classes. The last epoch counts: no "
    "validation row chooses it."
)
# The weights of the input, of the first level, and of all above it.
_MNIST_100: dict[str, Any] = {
    "hidden_units": [1000, 500, 250, 250, 250],
    "noise_level": 0.3,
    "denoising_weights": [1000.0, 10.0, 0.1],
}
_ERROR: dict[str, Any] = {"figure": "classification error", "baseline": "logistic regression"}

LADDER_MNIST_100 = Recipe(
    name="ladder-mnist-100",
    title="Ladder network 784-1000-500-250-250-250-10, 100 labels",
    source=_LADDER,
    experiment=Experiment(
        Model("ladder", _MNIST_100),
        Data("mnist", labels=100),
        pretraining=None,
        training=Training("adam", 2e-3, "cooldown", epochs=75, batch_size=100, keep_best=False),
    ),
    published=1.06,
    at_most=1.6,
    quick={
        "hidden_units": [200, 100, 50],
        "data.labels": 50,
        "training.epochs": 30,
        "training.batch_size": 50,
    },
    note=f"50,000 rows for 75 epochs; published: 60,000 for 150. {_DRAWS}",
    **_ERROR,
)

LADDER_MNIST_100_SHORT = LADDER_MNIST_100.but(
    "ladder-mnist-100-short",
    "The same in 20 epochs",
    {"training.epochs": 20},
    at_most=2.4,
    note=f"50,000 rows for 20 epochs; published: 60,000 for 150. {_DRAWS}",
)

LADDER_MNIST_1000 = LADDER_MNIST_100.but(
    "ladder-mnist-1000",
    "Ladder network 784-1000-500-250-250-250-10, 1,000 labels",
    {
        "noise_level": [0.3, *[0.2] * 6],
        "denoising_weights": [2000.0, 20.0, 0.1],
        "data.labels": 1000,
        "training.epochs": 50,
    },
    published=0.84,
    at_most=1.35,
    quick={"noise_level": [0.3, *[0.2] * 4], "data.labels": 100},
    note=f"50,000 rows for 50 epochs; published: 60,000 for 150. {_DRAWS}",
)

LADDER_MNIST = LADDER_MNIST_100.but(
    "ladder-mnist",
    "Ladder network 784-1000-500-250-250-250-10, all labels",
    {
        "denoising_weights": [1000.0, 1.0, 0.01],
        "data.labels": None,
        "training.epochs": 50,
    },
    published=0.57,
    at_most=0.95,
    quick={"data.labels": None},
    note="50,000 rows for 50 epochs; published: 60,000 for 150. The last epoch counts.",
)

NOISY_MLP_MNIST = LADDER_MNIST.but(
    "noisy-mlp-mnist",
    "The same without the way down: an MLP with normalised, noisy levels",
    {"noise_level": [0.3, *[0.5] * 6], "denoising_weights": 0.0},
    published=0.80,
    at_most=None,
    quick={"noise_level": [0.3, *[0.5] * 4]},
)

LADDER_DIGITS_50 = LADDER_MNIST_100.but(
    "ladder-digits-50",
    "Ladder network 64-256-256-10 on the small digits, 50 labels",
    {
        "hidden_units": [256, 256],
        "noise_level": 0.3,
        "denoising_weights": "auto",
        "data.name": "digits",
        "training.epochs": 200,
    },
    source="scikit-learn's digits; no figure was published",
    published=None,
    at_most=5.0,
    seeds=10,
    quick={"hidden_units": [256, 256], "training.epochs": 30},
    note=_DRAWS,
)

SDA_MNIST_100 = Recipe(
    name="sda-mnist-100",
    title="Stacked denoising autoencoder 784-500-500-10, 100 labels",
    source="no figure was published",
    experiment=Experiment(
        Model(
            "sda",
            {
                "hidden_units": [500, 500],
                "noise": "masking",
                "noise_level": 0.3,
                "kernel_initializer": "auto",
            },
        ),
        Data("mnist", labels=100),
        Pretraining("adam", 1e-3, epochs=15, batch_size=128),
        Training("adam", 1e-3, epochs=100, batch_size=32, keep_best=False),
    ),
    quick={
        "hidden_units": [200, 200],
        "data.labels": 50,
        "pretraining.batch_size": 20,
    },
    note=_DRAWS,
    **_ERROR,
)

SDA_MNIST_1000 = SDA_MNIST_100.but(
    "sda-mnist-1000",
    "The same, 1,000 labels",
    {"data.labels": 1000, "training.epochs": 50},
    quick={"data.labels": 100},
)

SEMI_SUPERVISED = [
    LADDER_DIGITS_50,
    LADDER_MNIST_100,
    LADDER_MNIST_100_SHORT,
    LADDER_MNIST_1000,
    LADDER_MNIST,
    NOISY_MLP_MNIST,
    SDA_MNIST_100,
    SDA_MNIST_1000,
]
