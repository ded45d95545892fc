"""Recipes of classifiers."""

from typing import Any

import keras

from keras_sda import experiments
from keras_sda.experiments import Data, Experiment, Model, Pretraining, Training
from keras_sda.initializers import SigmoidGlorotUniform
from keras_sda.recipes.recipe import MNIST, MNIST_60000, Recipe
from keras_sda.regularizers import KLSparsity

_TUTORIAL = "Deep Learning Tutorials (Theano)"
# As stacks were published: the model's defaults have changed since.
_PUBLISHED_UNITS: dict[str, Any] = {
    "activation": "sigmoid",
    "kernel_initializer": SigmoidGlorotUniform(),
    "batch_normalization": False,
}
_ERROR: dict[str, Any] = {"figure": "classification error", "baseline": "logistic regression"}
# Logistic regression errs on 11 or 12 of the 360 small digits, a quick run on less than twice that.
_QUICK_SLACK = 2.0

SOFTMAX_PROTOCOL = Recipe(
    name="softmax-mnist-protocol",
    title="Softmax regression, the tutorial's protocol",
    source=f"{_TUTORIAL}, Classifying MNIST digits using logistic regression",
    experiment=Experiment(
        Model("softmax"),
        MNIST,
        pretraining=None,
        training=Training(
            "sgd",
            0.13,
            "constant",
            epochs=1000,
            batch_size=600,
            patience=60,  # 5,000 updates
            shuffle=False,
            keep_best=True,
        ),
    ),
    published=7.49,
    seeds=1,
    slack=1.3,  # it is logistic regression
    quick={"training.epochs": 60, "training.batch_size": 20},
    note="From zeros and in order, so that there is nothing for a seed to change. The tutorial "
    "drops the last, partial batch: its figure is one of 9,600 test rows, this one of 10,000.",
    **_ERROR,
)

SOFTMAX = SOFTMAX_PROTOCOL.but(
    "softmax-mnist",
    "Softmax regression",
    {
        "training.learning_rate": 0.5,
        "training.schedule": "cosine",
        "training.epochs": 100,
        "training.patience": 100,
        "training.shuffle": True,
    },
    at_most=7.6,
    seeds=3,
    note="100 shuffled epochs, learning rate from 0.5 down along a cosine.",
)

MLP_TUTORIAL_PROTOCOL = Recipe(
    name="mlp-tutorial-protocol",
    title="MLP 784-500-10, the tutorial's protocol",
    source=f"{_TUTORIAL}, Multilayer perceptron",
    experiment=Experiment(
        Model("mlp", {"hidden_units": [500], "activation": "tanh", "l2": 1e-4}),
        MNIST,
        pretraining=None,
        training=Training(
            "sgd",
            0.01,
            "constant",
            epochs=1000,
            batch_size=20,
            patience=4,  # 10,000 updates
            shuffle=False,
            keep_best=True,
        ),
    ),
    published=1.65,
    seeds=1,
    quick={
        "training.epochs": 60,
        "training.learning_rate": 0.1,
        "training.batch_size": 10,
        "training.patience": 60,
        "slack": _QUICK_SLACK,
    },
    **_ERROR,
)

MLP_TUTORIAL = MLP_TUTORIAL_PROTOCOL.but(
    "mlp-tutorial",
    "MLP 784-500-10",
    {
        "activation": "relu",
        "dropout": 0.3,
        "l2": 0.0,
        "training.learning_rate": 0.1,
        "training.schedule": "cosine",
        "training.epochs": 60,
        "training.patience": 60,
        "training.shuffle": True,
    },
    at_most=1.75,
    seeds=3,
    note="ReLU and dropout of 0.3 instead of tanh and weight decay; learning rate 0.1 falling "
    "along a cosine over 60 shuffled epochs instead of 0.01 over up to 1,000 epochs in order.",
)

MLP_DROPOUT_ADAGRAD_PROTOCOL = Recipe(
    name="mlp-dropout-adagrad-protocol",
    title="MLP 784-300-10, ReLU, dropout, Adagrad, the notes' protocol",
    source="TensorFlow notes, multilayer perceptron",
    experiment=Experiment(
        Model(
            "mlp",
            {
                "hidden_units": [300],
                "activation": "relu",
                "dropout": 0.25,
                "kernel_initializer": keras.initializers.TruncatedNormal(stddev=0.1),
            },
        ),
        Data("mnist", split="tensorflow"),
        pretraining=None,
        training=Training(
            "adagrad",
            0.3,
            "constant",
            epochs=6,
            batches={"kind": "rows", "size": 100, "count": 500},
            patience=6,
            keep_best=True,
        ),
    ),
    published=2.22,
    quick={
        "training.learning_rate": 0.05,
        "training.epochs": 6,
        "training.batches": {"kind": "rows", "size": 20, "count": 200},
        "slack": _QUICK_SLACK,
    },
    note="3,000 batches of 100 rows, drawn at random.",
    **_ERROR,
)

MLP_DROPOUT_ADAGRAD = MLP_DROPOUT_ADAGRAD_PROTOCOL.but(
    "mlp-dropout-adagrad",
    "MLP 784-300-10, ReLU, dropout, Adagrad",
    {"training.epochs": 18, "training.patience": 18},
    at_most=2.22,
    note="9,000 batches instead of 3,000.",
)

LENET5 = Recipe(
    name="lenet5",
    title="LeNet-5, simplified",
    source=f"{_TUTORIAL}, Convolutional neural networks (LeNet)",
    experiment=Experiment(
        Model("lenet5"),
        MNIST,
        pretraining=None,
        training=Training(
            "sgd",
            0.1,
            optimizer_options={"momentum": 0.9},
            epochs=20,
            batch_size=100,
            keep_best=True,
        ),
    ),
    published=0.92,
    at_most=0.95,
    quick={
        "training.epochs": 16,
        "training.batch_size": 20,
        "training.learning_rate": 0.02,
        "slack": _QUICK_SLACK,
    },
    note="Momentum 0.9 and a falling learning rate over 20 epochs; the tutorial: batches of 500, "
    "learning rate 0.1, 200 epochs.",
    **_ERROR,
)

LENET5_FAST = LENET5.but(
    "lenet5-fast",
    "The same in 3 epochs",
    {"training.epochs": 3, "training.keep_best": False},
    at_most=1.2,
    note="3 epochs, as long as a falling learning rate needs for 1.3 % on validation rows: see "
    "the page on speed. The last epoch counts.",
)

STACKED_SPARSE = Recipe(
    name="stacked-sparse",
    title="Stacked sparse autoencoder 784-200-200-10",
    source="UFLDL, exercise: implement deep networks for digit classification",
    experiment=Experiment(
        Model(
            "sda",
            {
                **_PUBLISHED_UNITS,
                "hidden_units": [200, 200],
                "noise": None,
                "dropout": 0.1,
                "code_regularizer": KLSparsity(0.1, 3.0),
                # decay 3e-3, there with a factor 1/2
                "kernel_regularizer": keras.regularizers.L2(1.5e-3),
            },
        ),
        MNIST_60000,
        Pretraining("sgd", 0.1, epochs=15, batch_size=100),
        Training("sgd", 1.0, epochs=40, batch_size=100, keep_best=True),
    ),
    published=2.26,
    at_most=2.26,
    quick={
        "pretraining.epochs": 5,
        "pretraining.batch_size": 20,
        "training.epochs": 20,
        "training.batch_size": 20,
        "slack": _QUICK_SLACK,
    },
    note="Stochastic gradient descent on cross-entropy, and dropout of 0.1 in fine-tuning; the "
    "exercise: L-BFGS on squared error.",
    **_ERROR,
)

SDA = Recipe(
    name="sda",
    title="Stacked denoising autoencoder 784-1000-1000-1000-10",
    source=f"{_TUTORIAL}, Stacked denoising autoencoders (SdA)",
    experiment=Experiment(
        Model(
            "sda",
            {
                **_PUBLISHED_UNITS,
                "hidden_units": [1000, 1000, 1000],
                "noise": "masking",
                "noise_level": 0.3,
                "dropout": 0.3,
                "finetune_noise_level": 0.1,
            },
        ),
        MNIST,
        Pretraining("sgd", 0.1, epochs=15, batch_size=100),
        Training(
            "sgd",
            4.0,
            optimizer_options={"weight_decay": 4e-6},
            epochs=60,
            batch_size=100,
            keep_best=True,
        ),
    ),
    published=1.30,
    at_most=1.25,
    seeds=5,
    quick={
        "hidden_units": [200, 200, 200],
        "pretraining.epochs": 5,
        "pretraining.batch_size": 20,
        "training.epochs": 50,
        "training.batch_size": 20,
        "training.learning_rate": 2.0,
        "slack": _QUICK_SLACK,
    },
    note="Larger batches and steps; dropout, noise and a little weight decay in fine-tuning. For "
    "the tutorial's own protocol see sda-tutorial.",
    **_ERROR,
)

SDA_UNPRETRAINED = SDA.but(
    "sda-unpretrained",
    "The same without pretraining",
    {"pretraining": None},
    published=None,
    at_most=None,
    seeds=3,
    quick={"pretraining": None},
)

SDA_BATCHNORM = SDA.but(
    "sda-batchnorm",
    "The same of ReLU units, with batch normalisation",
    {
        "activation": "relu",
        "kernel_initializer": "he_normal",
        "batch_normalization": True,
        "noise": "gaussian",
        "finetune_noise_level": 0.3,
        "pretraining.optimizer": "adam",
        "pretraining.learning_rate": 1e-3,
        "pretraining.epochs": 5,
        "training.optimizer": "adam",
        "training.learning_rate": 2e-3,
        "training.optimizer_options": {},
        "training.epochs": 40,
        "training.keep_best": False,
    },
    source="a form of its own; the published one is sda",
    published=None,
    at_most=1.15,
    seeds=3,
    quick={"training.learning_rate": 2e-3, "training.epochs": 20},
    note="Gaussian noise of 0.3 instead of masking; Adam. The last epoch counts.",
)

SDA_FAST = SDA_BATCHNORM.but(
    "sda-fast",
    "Two such levels, in a minute",
    {
        "hidden_units": [1000, 1000],
        "finetune_noise_level": 0.25,
        "pretraining.epochs": 1,
        "pretraining.batch_size": 128,
        "training.epochs": 16,
        "training.batch_size": 128,
    },
    at_most=1.3,
    quick={"hidden_units": [200, 200]},
    note="One epoch of pretraining a level and 16 of fine-tuning, as few as 1.3 % on validation "
    "rows needs: see the page on speed. The last epoch counts.",
)

SDA_TUTORIAL = SDA.but(
    "sda-tutorial",
    "The tutorial's own protocol",
    {
        "noise_level": [0.1, 0.2, 0.3],
        "dropout": 0.0,
        "finetune_noise_level": 0.0,
        "pretraining.learning_rate": 0.001,
        "pretraining.batch_size": 1,
        "pretraining.shuffle": False,
        "training.learning_rate": 0.1,
        "training.optimizer_options": {},
        "training.schedule": "constant",
        # As many as the published run took; the rule alone lets each row gained double them.
        "training.epochs": 36,
        "training.batch_size": 1,
        "training.patience": 10,
        "training.shuffle": False,
    },
    at_most=None,
    seeds=1,
    quick={
        "pretraining.learning_rate": 0.02,
        "training.batch_size": 5,
        "training.patience": 50,
        "training.learning_rate": 0.1,
    },
    note="Pixels are divided by 255 instead of 256; the best epoch's weights are restored. "
    "Fine-tuning ends after 36 epochs, as the published run did; the rule by itself goes on.",
)

SDA_DIGITS = Recipe(
    name="sda-digits",
    title="Stacked denoising autoencoder 64-256-256-10 on the small digits",
    source="scikit-learn's digits; no figure was published",
    experiment=experiments.default("sda"),
    at_most=2.2,
    seeds=5,
    quick={"training.epochs": 20, "slack": _QUICK_SLACK},
    note="What `keras-sda train` does without options.",
    **_ERROR,
)

SDA_DIGITS_UNPRETRAINED = SDA_DIGITS.but(
    "sda-digits-unpretrained",
    "The same without pretraining",
    {"pretraining": None},
    at_most=None,
    note="",
    quick={"pretraining": None},
)

CLASSIFIERS = [
    SOFTMAX,
    SOFTMAX_PROTOCOL,
    MLP_TUTORIAL,
    MLP_TUTORIAL_PROTOCOL,
    MLP_DROPOUT_ADAGRAD,
    MLP_DROPOUT_ADAGRAD_PROTOCOL,
    LENET5,
    LENET5_FAST,
    STACKED_SPARSE,
    SDA,
    SDA_UNPRETRAINED,
    SDA_BATCHNORM,
    SDA_FAST,
    SDA_TUTORIAL,
    SDA_DIGITS,
    SDA_DIGITS_UNPRETRAINED,
]
