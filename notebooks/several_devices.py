# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Several devices
#
# A stack created inside the scope of one of TensorFlow's strategies trains on all devices of that
# strategy. Every device holds the whole model and takes its part of each batch; the gradients are
# summed after every step. Here two logical devices stand for two GPUs: the CPU of this machine is
# split in two, which makes nothing faster, but shows what stays the same and what does not.

# %%
# %matplotlib inline
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import keras_sda as ks

tf.get_logger().setLevel("ERROR")  # its remarks on every reduction
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
data = ks.datasets.load("digits")
print(f"{strategy.num_replicas_in_sync} replicas")

# %% [markdown]
# ## The same weights
#
# Without noise, two devices compute the same as one: the batch size is that of both together, and
# every row counts the same, also in the last batch. With 1,257 rows in batches of 64, the last
# batch has 41 rows, which do not split evenly.
#
# The stack has sigmoid units and no batch normalisation, the form of the tutorials. Batch
# normalisation takes its means and variances from the rows of both devices.


# %%
def trained(scope, noise_level=0.0):
    """Pretrains and fine-tunes a stack, made inside a scope; from then on it enters it itself."""
    noise = "masking" if noise_level else None
    with scope:
        sda = ks.StackedDenoisingAutoencoder(
            64,
            [64, 32],
            num_classes=10,
            noise=noise,
            noise_level=noise_level,
            activation="sigmoid",
            kernel_initializer="glorot_uniform",
            batch_normalization=False,
            seed=0,
        )
    pretraining = sda.pretrain(
        data.train.x, epochs=5, batch_size=64, optimizer="sgd", learning_rate=0.05, verbose=0
    )
    sda.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    sda.optimizer.learning_rate = 0.5
    finetuning = sda.fit(
        *data.train,
        epochs=20,
        batch_size=64,
        validation_data=tuple(data.valid),
        verbose=0,
    )
    return sda, pretraining, finetuning


one, _, one_history = trained(nullcontext())
two, _, two_history = trained(strategy.scope())
difference = max(
    np.abs(a - b).max() for a, b in zip(one.get_weights(), two.get_weights(), strict=True)
)
print("largest difference of a weight below 1e-4:", bool(difference < 1e-4))
assert difference < 1e-4

# %% [markdown]
# ## Different noise on each device
#
# With noise, each replica has to draw its own, or the rows of a batch would share their masks. So
# results differ from those of one device, as they do from one seed to another, and are as good.

# %%
noisy_one, _, noisy_one_history = trained(nullcontext(), noise_level=0.2)
noisy_two, _, noisy_two_history = trained(strategy.scope(), noise_level=0.2)
kernels = [model.levels[0].kernel.numpy() for model in (noisy_one, noisy_two)]
assert np.abs(kernels[0] - kernels[1]).max() > 1e-3
errors = {}
for name, model in (("one device", noisy_one), ("two devices", noisy_two)):
    wrong = model.predict(data.test.x, verbose=0).argmax(axis=1) != data.test.y
    errors[name] = wrong.mean()
    print(f"{name}: {100 * wrong.mean():.1f} % of {len(wrong)} test digits wrong")
# Two standard deviations of the difference of two such shares.
share = np.mean(list(errors.values()))
bound = 2 * np.sqrt(2 * share * (1 - share) / len(data.test.x))
assert abs(errors["one device"] - errors["two devices"]) < bound

# %%
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
apart = {}
for title, pair in (
    ("without noise: rounding", (one_history, two_history)),
    ("with noise: other draws", (noisy_one_history, noisy_two_history)),
):
    losses = [np.array(history.history["val_loss"]) for history in pair]
    apart[title] = np.abs(losses[0] - losses[1])
    axes.semilogy(range(1, 21), apart[title] + 1e-8, "o-", label=title)
axes.set(xlabel="epoch of fine-tuning", ylabel="difference of the validation losses")
axes.legend()
assert apart["without noise: rounding"].max() < 1e-4 < apart["with noise: other draws"].max()

# %% [markdown]
# ## Several processes
#
# With several machines, each runs the same command, and `TF_CONFIG` lists all of them.
# `keras-sda launch` sets this up for processes on one machine. Only the chief prints and writes.

# %%
with tempfile.TemporaryDirectory() as folder:
    run = Path(folder) / "run"
    command = [sys.executable, "-m", "keras_sda_cli", "launch", "--workers", "2", "--"]
    command += ["train", "--units", "32,16", "--pretrain-epochs", "2", "--epochs", "3"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command += ["--output", str(run)]
    done = subprocess.run(  # noqa: S603  (this package's own command)
        command, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(line.startswith("[0] ") for line in lines)
    print("\n".join(line for line in lines if "Strategy" in line or "network" in line))
    print(sorted(path.name for path in run.iterdir()))
    assert (run / "model.keras").exists()
