"""Trains a model on one JAX device, then by several processes, and prints what differs, as JSON.

Run with `KERAS_BACKEND=jax` as `jax_processes_worker.py NUMBER COUNT ADDRESS FOLDER`.
"""

import contextlib
import json
import sys
from pathlib import Path

import jax
import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_sda as ks
from keras_sda import backend

X, Y = load_digits(return_X_y=True)
X, Y = (X[:101] / 16).astype("float32"), Y[:101]  # batches of 50 leave one row over
DISTRIBUTIONS = keras.distribution


class Stop(keras.callbacks.Callback):
    """Ends training by an error before an epoch."""

    is_stateless = True  # `Backup` would bring the epoch back, too

    def __init__(self, before):
        super().__init__()
        self._before = before

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._before:
            raise InterruptedError


def fine_tuned(model, epochs=2, **options):
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    options |= {"batch_size": 50, "validation_data": (X[:33], Y[:33]), "verbose": 0}
    return model.fit(X, Y, epochs=epochs, **options).history


def results():
    """Returns weights, histories and outputs of a stack, by name, and the stack."""
    model = ks.StackedDenoisingAutoencoder(64, [12], num_classes=10, noise="masking", seed=0)
    (level,) = model.pretrain(X, epochs=2, batch_size=50, validation_data=X[:33], verbose=0)
    found = {**level.history} | fine_tuned(model)
    found |= {f"weight {index}": value for index, value in enumerate(model.get_weights())}
    found["evaluated"] = model.evaluate(X, Y, batch_size=50, verbose=0)
    found["predicted"] = model.predict(X, batch_size=50, verbose=0)
    found["encoded"] = model.encode(X)
    return {name: np.asarray(value, "float64") for name, value in found.items()}, model


def difference(one, other):
    """Returns the largest difference, relative where values are beyond 1, and whose it is."""
    assert one.keys() == other.keys()
    return max(
        (float((abs(one[name] - other[name]) / np.maximum(1, abs(one[name]))).max()), name)
        for name in one
    )


def alone(model, several, path):
    """Returns by how much one process, which saves and loads the model, differs from several."""
    found = {"encoded": model.encode(X[:7]) - several["encoded"][:7]}
    with without_distribution():
        model.save(path)
        for name, each in (("", model), (" loaded", keras.saving.load_model(path))):
            found["predicted" + name] = each.predict(X, batch_size=50) - several["predicted"]
            figures = each.evaluate(X, Y, batch_size=50, verbose=0)
            found["evaluated" + name] = np.array(figures) - several["evaluated"]
    return {name: float(abs(value).max()) for name, value in found.items()}


@contextlib.contextmanager
def without_distribution():
    distribution = DISTRIBUTIONS.distribution()
    DISTRIBUTIONS.set_distribution(None)
    yield
    DISTRIBUTIONS.set_distribution(distribution)


def resumed(folder):
    """Returns from where a stopped training is resumed, and its weights."""
    for before in (1, None):
        model = ks.SoftmaxRegression(64, 10, seed=0)
        backup = ks.callbacks.Backup(folder, verbose=0)
        with contextlib.suppress(InterruptedError):
            fine_tuned(model, callbacks=[backup, Stop(before)])
    return backup.resumed, model.get_weights()


def refused(distribution, rows=X):
    """Returns the sentence by which `fit` refuses a distribution, or rows."""
    with distribution.scope():
        model = ks.DenoisingAutoencoder(64, 4, seed=0)
        model.compile("adam")
        try:
            model.fit(rows, verbose=0)
        except ValueError as error:
            return str(error)
    return None


def main(number, count, address, folder):
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    DISTRIBUTIONS.initialize(address, int(count), int(number))
    one, _ = results()
    report = {"alone": [backend.is_chief(), backend.from_chief(np.array([int(number)])).tolist()]}

    DISTRIBUTIONS.set_distribution(DISTRIBUTIONS.DataParallel())
    report["chief"] = backend.is_chief()
    report["from chief"] = backend.from_chief(np.array([int(number)])).tolist()
    several, model = results()
    report["difference"] = difference(one, several)
    report["weights"] = [weight.tolist() for weight in model.get_weights()]
    # One alone may encode, and do everything else without the distribution.
    if backend.is_chief():
        report["alone differs"] = alone(model, several, Path(folder) / "several.keras")

    whole = ks.SoftmaxRegression(64, 10, seed=0)
    fine_tuned(whole)
    report["resumed after"], weights = resumed(Path(folder) / "states")
    pairs = zip(whole.get_weights(), weights, strict=True)
    report["resumed"] = max(float(abs(a - b).max()) for a, b in pairs)

    report["other rows"] = refused(DISTRIBUTIONS.DataParallel(), X[int(number) :: int(count)])
    report["shards"] = refused(DISTRIBUTIONS.DataParallel(auto_shard_dataset=False))
    mesh = DISTRIBUTIONS.DeviceMesh((1, int(count)), ("batch", "model"))
    layouts = DISTRIBUTIONS.LayoutMap(mesh)
    report["model parallel"] = refused(DISTRIBUTIONS.ModelParallel(layout_map=layouts))
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
