"""Recipes of networks that classify."""

from functools import partial
from typing import Any

import keras

from keras_sda.datasets.random_batches import RandomRows
from keras_sda.initializers import SigmoidGlorotUniform
from keras_sda.models import MLP, LeNet5, SoftmaxRegression, StackedDenoisingAutoencoder
from keras_sda.recipes.recipe import MNIST, MNIST_60000, Recipe
from keras_sda.regularizers import KLSparsity

_TUTORIAL = "Deep Learning Tutorials (Theano)"
_LABELS = "sparse_categorical_crossentropy"
_ERROR: dict[str, Any] = {"figure": "classification error", "baseline": "logistic regression"}
# Logistic regression errs on 11 or 12 of the 360 small digits, a quick run on less than twice that.
_QUICK_SLACK = 2.0

SOFTMAX_PROTOCOL = Recipe(
    name="softmax-mnist-protocol",
    title="Softmax regression, the tutorial's protocol",
    source=f"{_TUTORIAL}, Classifying MNIST digits using logistic regression",
    model=SoftmaxRegression,
    arguments={"input_dim": 784, "num_classes": 10},
    fit={
        "optimizer": "sgd",
        "learning_rate": 0.13,
        "loss": _LABELS,
        "epochs": 1000,
        "batch_size": 600,
        "patience": 60,  # 5,000 updates
        "shuffle": False,
    },
    published=7.49,
    seeds=1,
    slack=1.3,  # it is logistic regression
    quick={"fit": {"epochs": 60, "batch_size": 20}},
    note="From zeros and in order, so that there is nothing for a seed to change. The tutorial "
    "drops the last, partial batch: its figure is one of 9,600 test rows, this one of 10,000.",
    **_ERROR,
)

SOFTMAX = SOFTMAX_PROTOCOL.but(
    "softmax-mnist",
    "Softmax regression",
    fit={
        "learning_rate": 0.5,
        "schedule": "cosine",
        "epochs": 100,
        "patience": 100,
        "shuffle": True,
    },
    at_most=7.6,
    seeds=3,
    quick={"fit": {"epochs": 60, "batch_size": 20}},
    note="100 shuffled epochs, step size from 0.5 down along a cosine.",
)

MLP_TUTORIAL_PROTOCOL = Recipe(
    name="mlp-tutorial-protocol",
    title="MLP 784-500-10, the tutorial's protocol",
    source=f"{_TUTORIAL}, Multilayer perceptron",
    model=MLP,
    arguments={
        "input_dim": 784,
        "hidden_units": [500],
        "num_classes": 10,
        "activation": "tanh",
        "l2": 1e-4,
    },
    fit={
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "loss": _LABELS,
        "epochs": 1000,
        "batch_size": 20,
        "patience": 4,  # 10,000 updates
        "shuffle": False,
    },
    published=1.65,
    seeds=1,
    quick={
        "fit": {"epochs": 60, "learning_rate": 0.1, "batch_size": 10, "patience": 60},
        "slack": _QUICK_SLACK,
    },
    **_ERROR,
)

MLP_TUTORIAL = MLP_TUTORIAL_PROTOCOL.but(
    "mlp-tutorial",
    "MLP 784-500-10",
    arguments={"activation": "relu", "dropout": 0.3, "l2": 0.0},
    fit={
        "learning_rate": 0.1,
        "schedule": "cosine",
        "epochs": 60,
        "patience": 60,
        "shuffle": True,
    },
    at_most=1.75,
    seeds=3,
    note="ReLU and dropout of 0.3 instead of tanh and weight decay; step size 0.1 falling along a "
    "cosine over 60 shuffled epochs instead of 0.01 over up to 1,000 epochs in order.",
)

MLP_DROPOUT_ADAGRAD_PROTOCOL = Recipe(
    name="mlp-dropout-adagrad-protocol",
    title="MLP 784-300-10, ReLU, dropout, Adagrad, the notes' protocol",
    source="TensorFlow notes, multilayer perceptron",
    model=MLP,
    arguments={
        "input_dim": 784,
        "hidden_units": [300],
        "num_classes": 10,
        "activation": "relu",
        "dropout": 0.25,
        "kernel_initializer": keras.initializers.TruncatedNormal(stddev=0.1),
    },
    data={"name_or_path": "mnist", "split": "tensorflow"},
    fit={
        "optimizer": "adagrad",
        "learning_rate": 0.3,
        "loss": _LABELS,
        "epochs": 6,
        "batches": partial(RandomRows, size=100, count=500),
        "patience": 6,
    },
    published=2.22,
    quick={
        "fit": {
            "learning_rate": 0.05,
            "epochs": 6,
            "batches": partial(RandomRows, size=20, count=200),
        },
        "slack": _QUICK_SLACK,
    },
    note="3,000 batches of 100 rows, drawn at random.",
    **_ERROR,
)

MLP_DROPOUT_ADAGRAD = MLP_DROPOUT_ADAGRAD_PROTOCOL.but(
    "mlp-dropout-adagrad",
    "MLP 784-300-10, ReLU, dropout, Adagrad",
    fit={"epochs": 18, "patience": 18},
    at_most=2.22,
    note="9,000 batches instead of 3,000.",
)

LENET5 = Recipe(
    name="lenet5",
    title="LeNet-5, simplified",
    source=f"{_TUTORIAL}, Convolutional neural networks (LeNet)",
    model=LeNet5,
    arguments={},
    data={"name_or_path": "mnist", "flatten": False},
    fit={
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "options": {"momentum": 0.9},
        "schedule": "cosine",
        "loss": _LABELS,
        "epochs": 20,
        "batch_size": 100,
    },
    published=0.92,
    at_most=0.95,
    quick={
        "fit": {"epochs": 16, "batch_size": 20, "learning_rate": 0.02},
        "slack": _QUICK_SLACK,
    },
    note="Momentum 0.9 and a falling step size over 20 epochs; the tutorial: batches of 500, step "
    "size 0.1, 200 epochs.",
    **_ERROR,
)

STACKED_SPARSE = Recipe(
    name="stacked-sparse",
    title="Stacked sparse autoencoder 784-200-200-10",
    source="UFLDL, exercise: implement deep networks for digit classification",
    model=StackedDenoisingAutoencoder,
    arguments={
        "input_dim": 784,
        "hidden_units": [200, 200],
        "num_classes": 10,
        "noise": None,
        "kernel_initializer": SigmoidGlorotUniform(),
        "dropout": 0.1,
        "code_regularizer": KLSparsity(0.1, 3.0),
        "kernel_regularizer": keras.regularizers.L2(1.5e-3),  # decay 3e-3, there with a factor 1/2
    },
    data=MNIST_60000,
    pretrain={"optimizer": "sgd", "learning_rate": 0.1, "epochs": 15, "batch_size": 100},
    fit={
        "optimizer": "sgd",
        "learning_rate": 1.0,
        "schedule": "cosine",
        "loss": _LABELS,
        "epochs": 40,
        "batch_size": 100,
    },
    published=2.26,
    at_most=2.26,
    quick={
        "pretrain": {"epochs": 5, "batch_size": 20},
        "fit": {"epochs": 20, "batch_size": 20},
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
    model=StackedDenoisingAutoencoder,
    arguments={
        "input_dim": 784,
        "hidden_units": [1000, 1000, 1000],
        "num_classes": 10,
        "noise": "masking",
        "noise_level": 0.3,
        "kernel_initializer": SigmoidGlorotUniform(),
        "dropout": 0.3,
        "finetune_noise_level": 0.1,
    },
    data=MNIST,
    pretrain={"optimizer": "sgd", "learning_rate": 0.1, "epochs": 15, "batch_size": 100},
    fit={
        "optimizer": "sgd",
        "learning_rate": 4.0,
        "options": {"weight_decay": 4e-6},
        "schedule": "cosine",
        "loss": _LABELS,
        "epochs": 60,
        "batch_size": 100,
    },
    published=1.30,
    at_most=1.25,
    seeds=5,
    quick={
        "arguments": {"hidden_units": [200, 200, 200]},
        "pretrain": {"epochs": 5, "batch_size": 20},
        "fit": {"epochs": 50, "batch_size": 20, "learning_rate": 2.0},
        "slack": _QUICK_SLACK,
    },
    note="Larger batches and steps; dropout, noise and a little weight decay in fine-tuning. For "
    "the tutorial's own protocol see sda-tutorial.",
    **_ERROR,
)

SDA_UNPRETRAINED = SDA.but(
    "sda-unpretrained",
    "The same without pretraining",
    pretrain=None,
    published=None,
    at_most=None,
    seeds=3,
    quick={"pretrain": None},
)

SDA_TUTORIAL = SDA.but(
    "sda-tutorial",
    "The tutorial's own protocol",
    arguments={"noise_level": [0.1, 0.2, 0.3], "dropout": 0.0, "finetune_noise_level": 0.0},
    pretrain={"learning_rate": 0.001, "batch_size": 1, "shuffle": False},
    fit={
        "learning_rate": 0.1,
        "options": None,
        "schedule": "constant",
        # As many as the published run took; the rule alone lets each row gained double them.
        "epochs": 36,
        "batch_size": 1,
        "patience": 10,
        "shuffle": False,
    },
    at_most=None,
    seeds=1,
    quick={
        "pretrain": {"epochs": 5, "batch_size": 20, "learning_rate": 0.02},
        "fit": {"epochs": 50, "batch_size": 5, "patience": 50},
    },
    note="Pixels are divided by 255 instead of 256; the best epoch's weights are restored. "
    "Fine-tuning ends after 36 epochs, as the published run did; the rule by itself goes on.",
)

SDA_DIGITS = SDA.but(
    "sda-digits",
    "Stacked denoising autoencoder 64-256-256-256-10 on the small digits",
    source="scikit-learn's digits; no figure was published",
    arguments={
        "input_dim": 64,
        "hidden_units": [256, 256, 256],
        "noise": "gaussian",
        "noise_level": 0.2,
        "dropout": 0.2,
        "finetune_noise_level": 0.2,
    },
    data={"name_or_path": "digits"},
    pretrain={"batch_size": 20},
    fit={"learning_rate": 1.0, "options": None, "epochs": 60, "batch_size": 20},
    published=None,
    at_most=3.0,
    slack=1.0,
    quick={"arguments": {}, "pretrain": {"epochs": 5}, "fit": {"epochs": 20}},
    note="What `keras-sda train` does without options.",
)

SDA_DIGITS_UNPRETRAINED = SDA_DIGITS.but(
    "sda-digits-unpretrained",
    "The same without pretraining",
    pretrain=None,
    fit={"learning_rate": 2.0},
    at_most=None,
    note="Its step size was chosen on the validation rows, too.",
    quick={"pretrain": None},
)

CLASSIFIERS = [
    SOFTMAX,
    SOFTMAX_PROTOCOL,
    MLP_TUTORIAL,
    MLP_TUTORIAL_PROTOCOL,
    MLP_DROPOUT_ADAGRAD,
    MLP_DROPOUT_ADAGRAD_PROTOCOL,
    LENET5,
    STACKED_SPARSE,
    SDA,
    SDA_UNPRETRAINED,
    SDA_TUTORIAL,
    SDA_DIGITS,
    SDA_DIGITS_UNPRETRAINED,
]
