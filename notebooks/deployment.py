# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Deployment
#
# A trained model often has to run where there is neither Keras nor this package: in a TensorFlow
# server, in a program with ONNX Runtime, on a phone with LiteRT. `export` writes files for all
# three, runs each in its runtime, and fails if the outputs differ. The exported model takes *raw*
# rows: scaling and the threshold for anomalies are part of it.
#
# ONNX and LiteRT need extras: `pip install "keras-sda[onnx,litert]"`.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from sklearn.datasets import load_digits

import keras_sda as ks

tf.get_logger().setLevel("ERROR")  # without it, each export tells its folder

# %% [markdown]
# ## A model that scores rows
#
# The raw digits are whole numbers from 0 to 16. `data.scaling` is the map to [0, 1] that was fitted
# on the training rows. The threshold lets 95 % of the validation rows pass.

# %%
data = ks.datasets.load("digits")
model = ks.DeepAutoencoder(
    input_dim=64, hidden_units=[128, 16], activation="relu", noise="masking", seed=0
)
model.compile(keras.optimizers.Adam(0.002))
model.fit(data.train.x, epochs=30, batch_size=32, verbose=0)
threshold = float(np.quantile(model.reconstruction_error(data.valid.x), 0.95))

raw = load_digits().data.astype("float32")[:200]
turned = np.rot90(raw.reshape(-1, 8, 8), axes=(1, 2)).reshape(-1, 64)
errors = model.reconstruction_error(data.scaling(raw))
strange = model.reconstruction_error(data.scaling(turned))
print(f"above the threshold: digits {100 * (errors > threshold).mean():.1f} %,", end=" ")
print(f"turned by 90 degrees {100 * (strange > threshold).mean():.1f} %")
assert (strange > threshold).mean() > (errors > threshold).mean() + 0.1

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
bins = np.geomspace(min(errors), max(strange), 40)
axes.hist(errors, bins, alpha=0.6, label="digits")
axes.hist(strange, bins, alpha=0.6, label="turned by 90 degrees")
axes.axvline(threshold, color="black", linestyle="--", label="threshold")
axes.set_xscale("log")
axes.set_xticks([10, 20, 50, 100], [10, 20, 50, 100])
axes.minorticks_off()
axes.set(xlabel="reconstruction error in nats", ylabel="rows")
axes.legend(loc=(0.36, 0.68))
plt.show()

# %% [markdown]
# ## Export to three formats
#
# `export` returns the largest difference between the exported model, run by its own runtime, and
# the Keras model.

# %%
folder = tempfile.TemporaryDirectory()
paths = {
    "tf_saved_model": Path(folder.name) / "saved_model",
    "onnx": Path(folder.name) / "model.onnx",
    "litert": Path(folder.name) / "model.tflite",
}
differences = {}
for name, path in paths.items():
    differences[name] = model.export(
        path, format=name, scaling=data.scaling, threshold=threshold, rows=raw
    )
for name, of_outputs in differences.items():
    assert set(of_outputs) == {"serve", "encode", "reconstruct", "score", "anomaly"}
    assert max(of_outputs.values()) <= 1e-5
    print(f"{name:14} largest difference {max(of_outputs.values()):.0e}", end="  ")
    print("outputs", ", ".join(of_outputs))

# %% [markdown]
# ## Run it without Keras
#
# TensorFlow alone: each output is an endpoint. TensorFlow Serving loads the same folder;
# `examples/serving` in the repository has its configuration and a request.

# %%
loaded = tf.saved_model.load(str(paths["tf_saved_model"]))
scores = {"SavedModel": loaded.score(raw).numpy()}
assert np.array_equal(loaded.anomaly(raw).numpy(), scores["SavedModel"] > np.float32(threshold))

# %% [markdown]
# ONNX Runtime: one graph with the input `inputs` and named outputs.

# %%
session = onnxruntime.InferenceSession(paths["onnx"], providers=["CPUExecutionProvider"])
print([output.name for output in session.get_outputs()])
scores["ONNX"], codes = session.run(["score", "encode"], {"inputs": raw})
assert np.allclose(codes, model.encode(data.scaling(raw)), atol=1e-4)

# %% [markdown]
# LiteRT:

# %%
interpreter = Interpreter(str(paths["litert"]))
scores["LiteRT"] = interpreter.get_signature_runner()(inputs=raw)["score"]

# %% [markdown]
# The three agree with the model, and with each other, on any number of rows:

# %%
figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
for (name, values), marker in zip(scores.items(), "osx", strict=True):
    assert np.allclose(values, errors, rtol=1e-4, atol=1e-4)
    axes.plot(errors, values, marker, markersize=4, alpha=0.5, label=name)
one = session.run(["score"], {"inputs": raw[:1]})[0]
assert np.allclose(one, errors[:1], rtol=1e-4)
axes.set(xlabel="score in Keras", ylabel="score in the runtime")
axes.legend()
plt.show()
print("the scores agree in", ", ".join(scores))

# %% [markdown]
# ## A classifier
#
# The `serve` output of a stack with a head is the class probabilities. This stack is a trained
# model that is loaded by name.

# %%
assert "sda_digits" in ks.presets.names()
stack = ks.StackedDenoisingAutoencoder.from_preset("sda_digits")
path = Path(folder.name) / "classifier.onnx"
stack.export(path, format="onnx", scaling=data.scaling)
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
probabilities = session.run(["serve"], {"inputs": raw})[0]
in_keras = stack.predict(data.scaling(raw), verbose=0)
assert np.allclose(probabilities, in_keras, atol=1e-5)
assert np.array_equal(probabilities.argmax(axis=1), in_keras.argmax(axis=1))
print("the classes agree on", len(raw), "raw rows")
folder.cleanup()
