"""Writes files of models, waits, and compares those that other backends have written.

Run as `python files_worker.py FOLDER MODELS OTHER...` with `KERAS_BACKEND` set; MODELS is "all" or
names with commas. Says "written" on standard output and resumes at a line on standard input, once
the others have written theirs as well.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_sda as ks
from keras_sda.layers import SwapNoise, TiedDense
from keras_sda.models import UnrolledAutoencoder

X, Y = load_digits(return_X_y=True)
X, Y = (X[:200] / 16).astype("float32"), Y[:200]
LARGE_SEED = 2**32 - 1  # PyTorch has no unsigned numbers of 32 bits
IMAGES = np.pad(X.reshape(-1, 8, 8, 1), ((0, 0), (4, 4), (4, 4), (0, 0)))


def classifier(model, x=X):
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, Y, epochs=1, verbose=0)
    return model


def autoencoder(model, x=X):
    model.compile("adam")
    model.fit(x, epochs=1, verbose=0)
    return model


def stack(**arguments):
    model = ks.StackedDenoisingAutoencoder(64, [20, 12], seed=0, **arguments)
    model.pretrain(X, epochs=1, verbose=0)
    return model


def unrolled():
    seeded = keras.initializers.GlorotUniform(LARGE_SEED)
    layers = [
        TiedDense(12, "tanh", kernel_initializer=seeded),
        TiedDense(6, "relu", "linear", tied=False),
    ]
    layers[0].build((None, 64))
    layers[1].build((None, 12))
    return UnrolledAutoencoder(layers, SwapNoise(0.1, seed=LARGE_SEED))


MODELS = {
    "stack": lambda: classifier(stack(num_classes=10, dropout=0.1, finetune_noise_level=0.1)),
    "headless": lambda: autoencoder(stack(noise="gaussian", activation=["tanh", "relu"])),
    "regression": lambda: stack(head=keras.layers.Dense(1), noise="salt_and_pepper"),
    "denoising": lambda: autoencoder(ks.DenoisingAutoencoder(64, 20, noise="swap", tied=False)),
    "sparse": lambda: autoencoder(ks.SparseAutoencoder(64, 20)),
    "contractive": lambda: autoencoder(ks.ContractiveAutoencoder(64, 20)),
    "deep": lambda: autoencoder(ks.DeepAutoencoder(64, [20, 2])),
    "unrolled": lambda: autoencoder(unrolled()),
    "convolutional": lambda: autoencoder(
        ks.ConvolutionalAutoencoder((16, 16, 1), filters=(4, 3)), IMAGES
    ),
    "variational": lambda: autoencoder(ks.VariationalAutoencoder(64, (16,), 2)),
    "variational images": lambda: autoencoder(
        ks.VariationalAutoencoder(input_shape=(16, 16, 1), filters=(4, 3), latent_dim=2), IMAGES
    ),
    "softmax": lambda: classifier(ks.SoftmaxRegression(64, 10)),
    "mlp": lambda: classifier(ks.MLP(64, [16, 12], num_classes=10, dropout=0.2, l2=1e-4)),
    "ladder": lambda: classifier(ks.LadderNetwork(64, [16, 12], 10)),
    "lenet": lambda: classifier(ks.LeNet5((16, 16, 1), kernels=(3, 4), hidden_units=8), IMAGES),
}


def answers(model):
    """Returns what a model computes, by name."""
    x = IMAGES if len(model.row_shape) == 3 else X
    found = {"predict": model.predict(x, verbose=0)}
    for name in ("encode", "reconstruct", "reconstruction_error"):
        if hasattr(model, name) and not isinstance(model, ks.SoftmaxRegression):  # no codes
            found[name] = getattr(model, name)(x)
    return found


def chosen():
    """Returns the models that the command line names."""
    names = MODELS if sys.argv[2] == "all" else sys.argv[2].split(",")
    return {name: MODELS[name] for name in names}


def path(backend, name):
    return Path(sys.argv[1]) / f"{backend} {name}.keras"


def write():
    for name, make in chosen().items():
        model = make()
        file = path(keras.backend.backend(), name)
        model.save(file)
        np.savez(file.with_suffix(".npz"), **answers(model))


def compare(other):
    """Prints the largest difference of every answer, relative to the largest value beyond 1."""
    for name in chosen():
        model = keras.saving.load_model(path(other, name))
        expected = np.load(path(other, name).with_suffix(".npz"))
        for answer, values in answers(model).items():
            size = max(1.0, float(abs(expected[answer]).max()))
            difference = float(abs(values - expected[answer]).max()) / size
            print(f"{other}|{name}|{answer}|{difference:.3g}")
        if name == "stack":  # compiled as it was saved, and trained further
            before = model.evaluate(X, Y, verbose=0)[0]
            model.fit(X, Y, epochs=3, verbose=0)
            print(f"{other}|{name}|trained|{model.evaluate(X, Y, verbose=0)[0] - before:.3g}")


if __name__ == "__main__":
    write()
    print("written", flush=True)
    sys.stdin.readline()
    for backend in sys.argv[3:]:
        compare(backend)
