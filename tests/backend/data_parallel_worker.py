"""Trains the same models on one JAX device and on two, and prints what differs, as JSON.

Run with `KERAS_BACKEND=jax XLA_FLAGS=--xla_force_host_platform_device_count=2`.
"""

import json

import jax
import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_sda as ks
from keras_sda.backend import shard_rows

X, Y = load_digits(return_X_y=True)
X, Y = (X[:301] / 16).astype("float32"), Y[:301]  # 301 rows: batches of 50 leave one over
HELD_OUT = X[:33]
CUTS = []


class Recording(ks.layers.MaskingNoise):
    """Notes how its input is spread over the devices."""

    def call(self, inputs, training=False):
        if training and isinstance(inputs, jax.core.Tracer):
            jax.debug.inspect_array_sharding(
                inputs, callback=lambda sharding: CUTS.append(sharding.num_devices)
            )
        return super().call(inputs, training=training)


class Rows(keras.utils.PyDataset):
    """Batches of 45, 45, ... rows, whose number nobody knows beforehand."""

    def __len__(self):
        return -(-len(X) // 45)

    def __getitem__(self, index):
        return X[45 * index : 45 * (index + 1)]


def results(noise, shuffle, penalty=None):
    """Returns weights, histories and outputs of a stack, by name."""
    model = ks.StackedDenoisingAutoencoder(
        64,
        [24, 12],
        num_classes=10,
        noise=noise,
        activation="sigmoid",
        kernel_initializer="glorot_uniform",
        batch_normalization=False,
        code_regularizer=penalty,
        seed=0,
    )
    histories = model.pretrain(
        X, epochs=2, batch_size=50, shuffle=shuffle, validation_data=HELD_OUT, verbose=0
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    weights = np.linspace(0.5, 1.5, len(X)).astype("float32")
    history = model.fit(
        *(X, Y), epochs=2, batch_size=50, shuffle=shuffle, sample_weight=weights, verbose=0,
        validation_data=(HELD_OUT, Y[:33]),
    )  # fmt: skip
    found = {f"weight {index}": value for index, value in enumerate(model.get_weights())}
    for level, one in enumerate((*histories, history)):
        found |= {f"{name} {level}": values for name, values in one.history.items()}
    found["evaluate"] = model.evaluate(X[:77], Y[:77], batch_size=10, verbose=0)
    found["predict"] = model.predict(X[:77], batch_size=10, verbose=0)
    found["encode"] = model.encode(X[:77])
    found["error"] = model.reconstruction_error(X[:77]) / 10
    headless = ks.VariationalAutoencoder(64, (16,), 2, seed=0)
    headless.compile("adam")
    found["variational"] = headless.fit(Rows(), epochs=2, shuffle=False, verbose=0).history["loss"]
    return {name: np.asarray(value, "float64") for name, value in found.items()}


def difference(one, other):
    """Returns the largest difference, relative where values are beyond 1, and whose it is."""
    assert one.keys() == other.keys()
    return max(
        (float((abs(one[name] - other[name]) / np.maximum(1, abs(one[name]))).max()), name)
        for name in one
    )


def main():
    cases = {
        # A mean over the batch, before the divergence: of the whole batch, not of each share.
        "no noise": (None, False, ks.regularizers.KLSparsity(0.1, 3.0)),
        "noise": ("masking", True),
    }
    one = {name: results(*arguments) for name, arguments in cases.items()}
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    two = {name: results(*arguments) for name, arguments in cases.items()}
    report = {name: difference(one[name], two[name]) for name in cases}
    report["noise again"] = difference(two["noise"], results("masking", True))

    model = ks.DenoisingAutoencoder(64, 8, noise=Recording(0.3), seed=0)
    report["devices of a kernel"] = len(model.levels[0].kernel.value.sharding.device_set)
    model.compile("adam")
    model.fit(X, batch_size=50, verbose=0)
    report["devices of a batch"] = sorted(set(CUTS))
    shares = shard_rows(X[:10]).addressable_shards
    report["shares of 10 rows"] = [share.data.shape[0] for share in shares]
    path = "parallel.keras"
    model.save(path)
    keras.distribution.set_distribution(None)
    loaded = keras.saving.load_model(path, custom_objects={"Recording": Recording})
    report["file"] = float(abs(loaded.predict(X, verbose=0) - model.predict(X, verbose=0)).max())
    print(json.dumps(report))


if __name__ == "__main__":
    main()
