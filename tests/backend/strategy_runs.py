"""What the tests of strategies compare: the same training on one device, on two, by two processes.

A script: `python strategy_runs.py mirrored FILE` trains on two logical devices and writes FILE, an
`.npz` of all that is compared; `multi_worker` is one of the workers in `TF_CONFIG`. Names of the
functions below, as further arguments, choose among what is compared.
"""

import sys
from typing import ClassVar

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_sda as ks

# The last batch has one row, so that one of two replicas gets none; the others do not split evenly.
ROWS, BATCH = 301, 75


def digits():
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype("float32"), y.astype("int64")


def exact(scope):
    """Trains without noise; returns what must agree however the batches are split."""
    x, y = (part[:ROWS] for part in digits())
    held_out = tuple(part[400:461] for part in digits())
    with scope():
        sda = ks.StackedDenoisingAutoencoder(
            64,
            [24, 12],
            num_classes=10,
            noise=None,
            activation="sigmoid",
            batch_normalization=False,  # of the one row of the last batch it makes nothing
            code_regularizer=[ks.regularizers.CodeL1(0.05), None],
            kernel_regularizer=[None, keras.regularizers.L2(0.01)],
            seed=0,
        )
    # From here on the model enters its scope by itself.
    levels = sda.pretrain(
        x,
        epochs=2,
        batch_size=BATCH,
        optimizer="sgd",
        learning_rate=0.02,
        validation_data=held_out[0],
        shuffle=False,
        verbose=0,
    )
    result = {f"pretrained_{i}": weight for i, weight in enumerate(sda.get_weights())}
    for level, history in enumerate(levels):
        result |= {f"level_{level}_{key}": value for key, value in history.history.items()}
    sda.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    sda.optimizer.learning_rate = 0.2
    stopping = ks.callbacks.PatienceStopping(patience=2)
    history = sda.fit(
        x,
        y,
        epochs=3,
        batch_size=BATCH,
        validation_data=held_out,
        callbacks=[stopping, ks.callbacks.StopOnNonFiniteLoss()],
        verbose=0,
    )
    result |= {f"fit_{key}": value for key, value in history.history.items()}
    result["steps_per_call"] = sda.steps_per_call
    result["best_epoch"] = stopping.best_epoch
    result |= {f"fitted_{i}": weight for i, weight in enumerate(sda.get_weights())}
    result["evaluated"] = sda.evaluate(*held_out, batch_size=20, verbose=0)
    result["predicted"] = sda.predict(x, batch_size=100, verbose=0)
    result["encoded"] = sda.encode(x)
    # A dataset goes another way than arrays: TensorFlow splits its batches.
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((x[:-1], y[:-1])).batch(BATCH)
    history = sda.fit(dataset, epochs=1, validation_data=dataset, verbose=0)
    result |= {f"dataset_{key}": value for key, value in history.history.items()}
    result |= {f"last_{i}": weight for i, weight in enumerate(sda.get_weights())}
    return result | normalised(scope, x[:-1], y[:-1])


def normalised(scope, x, y):
    """Fits a model with batch normalisation, whose statistics must be those of all replicas."""
    with scope():
        model = ks.StackedDenoisingAutoencoder(64, [24, 12], num_classes=10, noise=None, seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit(x, y, epochs=2, batch_size=BATCH, shuffle=False, verbose=0)
    weights = {f"normalised_{i}": weight for i, weight in enumerate(model.get_weights())}
    return weights | {"normalised_loss": history.history["loss"]}


def contractive(scope):
    """Fits a model that adds a penalty of its own to the loss."""
    x = digits()[0][:ROWS]
    with scope():
        model = ks.ContractiveAutoencoder(64, 16, contraction_weight=0.5, seed=0)
        model.compile(keras.optimizers.SGD(0.01))
    model.fit(x, epochs=1, batch_size=BATCH, verbose=0)
    return {f"contractive_{i}": weight for i, weight in enumerate(model.get_weights())}


class Watched(ks.layers.MaskingNoise):
    """Masking noise that notes, for each replica, which rows it got and what it left of them."""

    seen: ClassVar[list] = []

    def corrupt(self, inputs):
        import tensorflow as tf

        outputs = super().corrupt(inputs)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group

        def note(replica, rows, kept):
            Watched.seen.append((int(replica), rows[:, 0].copy(), kept[:, 1:].copy()))
            return np.float32(0)

        watching = tf.numpy_function(note, [replica, inputs, outputs], tf.float32)
        watching.set_shape(())
        return outputs + watching


def masks(scope):
    """Returns the rows that each replica saw in one epoch, and the masks that it drew, twice."""
    x = np.ones((160, 20), "float32")
    x[:, 0] = np.arange(160) / 160
    result = {}
    for run in (1, 2):
        Watched.seen.clear()
        with scope():
            layer = ks.layers.TiedDense(4)
            layer.build((None, 20))
            noise = Watched(0.4, seed=3)
            ks.pretrain_layers([layer], x, noise=noise, epochs=1, batch_size=40, verbose=0, seed=1)
        for replica in {replica for replica, _, _ in Watched.seen}:
            rows = [rows for number, rows, _ in Watched.seen if number == replica]
            kept = [kept for number, _, kept in Watched.seen if number == replica]
            result[f"rows_{replica}_{run}"] = np.round(160 * np.concatenate(rows)).astype(int)
            result[f"masks_{replica}_{run}"] = np.concatenate(kept)
    return result


def noisy(scope):
    """Trains with noise and dropout, and counts the errors on test data."""
    data = ks.datasets.load("digits")
    with scope():
        sda = ks.StackedDenoisingAutoencoder(
            64, [96, 48], num_classes=10, noise_level=0.2, dropout=0.1, seed=0
        )
    sda.pretrain(data.train.x, epochs=5, batch_size=32, verbose=0)
    with scope():
        sda.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
    sda.fit(*data.train, epochs=12, batch_size=32, verbose=0)
    predicted = sda.predict(data.test.x, verbose=0).argmax(axis=1)
    return {"errors": (predicted != data.test.y).sum()}


class Deaf(keras.optimizers.SGD):
    """An optimizer that does not hear of the other replicas' gradients."""

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


def without_communication(scope):
    """Trains with all-reduce cut, which must show."""
    x = digits()[0][:ROWS]
    with scope():
        model = ks.DenoisingAutoencoder(64, 8, noise=None, seed=0)
        model.compile(Deaf(0.02))
    model.fit(x, epochs=1, batch_size=BATCH, verbose=0)
    return {"deaf": model.levels[0].kernel.numpy()}


def plain_keras(scope):
    """What Keras does by itself, mended here."""
    x, y = (part[:ROWS] for part in digits())
    keras.utils.set_random_seed(0)
    with scope():
        model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, "softmax")])
        model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
        model.set_weights([np.zeros((64, 10)), np.zeros(10)])
        noise = keras.Sequential([keras.Input((20,)), keras.layers.Dropout(0.5, seed=1), Shown()])
        noise.compile("sgd", "mse")
    result = {}
    try:
        # Of the last batch, one row, one of two replicas gets none.
        model.fit(x, y, batch_size=100, shuffle=False, verbose=0)
        result["plain_kernel"] = model.get_weights()[0]
        Shown.seen.clear()
        noise.fit(np.ones((8, 20)), np.ones((8, 20)), batch_size=8, verbose=0)
        result["plain_masks"] = np.stack(Shown.seen)
    except Exception as error:
        result["plain_error"] = f"{type(error).__name__}: {error}"
    try:
        model.evaluate(x[:61], y[:61], batch_size=61, verbose=0)
    except Exception as error:
        result["plain_evaluate_error"] = f"{type(error).__name__}: {error}"
    return result


class Shown(keras.layers.Layer):
    """Notes what passes."""

    seen: ClassVar[list] = []

    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs):
        import tensorflow as tf

        def note(values):
            Shown.seen.append(values.copy())
            return np.float32(0)

        watching = tf.numpy_function(note, [inputs], tf.float32)
        watching.set_shape(())
        return self.scale * inputs + watching


def everything(scope):
    result = {}
    for part in (exact, contractive, masks, noisy, without_communication):
        result |= part(scope)
    return result


def main(kind, path, *names):
    import tensorflow as tf

    if kind == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    result = {}
    for name in names or ("everything", "plain_keras"):
        result |= globals()[name](strategy.scope)
    np.savez(path, **result)


if __name__ == "__main__":
    main(*sys.argv[1:])
