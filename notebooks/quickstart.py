# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Quick start
#
# A stacked denoising autoencoder (SdA) learns in two steps. First, without labels, each hidden
# layer learns to reconstruct its clean input from a corrupted one: *pretraining*. Then the whole
# network is trained on the labels: *fine-tuning*. This notebook goes through every step: load,
# pretrain, fit, evaluate, reconstruct, save, load.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_sda as ks

# %% [markdown]
# ## Load
#
# scikit-learn includes these digits, so nothing is downloaded: images of 8 x 8 pixels with values
# in [0, 1]. `ks.datasets.load("mnist")` would return the large ones in the same form, and a path to
# a `.csv`, `.npz` or `.parquet` file would load your own rows.

# %%
data = ks.datasets.load("digits")
data

# %% [markdown]
# ## Pretrain
#
# There are two hidden layers. In pretraining, three out of ten pixels of every image are set to
# zero, different ones in every batch, and the layer has to reconstruct the whole image. The second
# layer does the same with the codes of the first. No label is used, so all the rows you have can
# take part.
#
# Pixels lie in [0, 1], so the loss of the first level is the cross-entropy, summed over the pixels
# of a row, in nats. It cannot reach 0: a grey pixel contributes to it even if it is reconstructed
# exactly. The second level has to reconstruct 256 codes, which can be any positive number (the
# units are ReLU). Its loss is the squared error, so the two losses are not comparable.

# %%
sda = ks.StackedDenoisingAutoencoder(64, [256, 256], num_classes=10, seed=0)
pretraining = sda.pretrain(data.train.x, verbose=0)
for level, history in enumerate(pretraining, start=1):
    losses = history.history["loss"]
    print(f"level {level}: reconstruction loss {losses[0]:.2f} -> {losses[-1]:.2f}")
    assert losses[-1] < losses[0]

# %% [markdown]
# ## Fit
#
# The stack is a Keras model, so `compile` and `fit` are Keras' own. The hidden layers are the
# pretrained ones: nothing is copied. The validation data are only there for the picture; leave them
# out, and the weights are the same.

# %%
sda.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
finetuning = sda.fit(*data.train, epochs=30, validation_data=tuple(data.valid), verbose=0)
ks.plots.plot_learning_curves([one.history for one in pretraining], finetuning.history)

# %% [markdown]
# ## Evaluate
#
# Test data are read once, at the end. The picture shows which digits were mistaken for which.

# %%
loss, accuracy = sda.evaluate(*data.test, verbose=0)
print(f"test accuracy {accuracy:.3f}")
assert accuracy > 0.955
probabilities = sda.predict(data.test.x, verbose=0)
assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
figure = ks.plots.plot_confusion(data.test.y, probabilities.argmax(axis=1), title="Test")
figure.set_size_inches(5, 5)
figure

# %% [markdown]
# ## Reconstruct
#
# The same layers also run backwards. But fine-tuning adapts them to the labels, and reconstruction
# suffers. So here is a second stack, without classes: `pretrain` as before, and then `fit` trains
# all levels together on reconstruction.

# %%
stack = ks.StackedDenoisingAutoencoder(64, [128, 32], seed=0)
stack.pretrain(data.train.x, epochs=15, batch_size=32, verbose=0)
stack.compile(keras.optimizers.Adam(0.003))
stack.fit(data.train.x, epochs=60, verbose=0)
errors = stack.reconstruction_error(data.test.x)
print(f"codes {stack.encode(data.test.x).shape}, mean error {errors.mean():.2f} nats")
mean_image = np.clip(np.tile(data.train.x.mean(axis=0), (len(data.test.x), 1)), 1e-6, 1 - 1e-6)
of_mean = keras.losses.binary_crossentropy(data.test.x, mean_image).numpy().mean() * 64
print(f"the mean image would cost {of_mean:.2f} nats")
assert errors.mean() < of_mean
ks.plots.plot_model_reconstructions(stack, data.test.x[:12], image_shape=data.image_shape)

# %% [markdown]
# A large error marks a row that is unusual for the model. These are the most unusual test digits.

# %%
strangest = np.argsort(errors)[::-1][:12]
ks.plots.plot_reconstructions(
    data.test.x[strangest],
    None,
    stack.reconstruct(data.test.x[strangest]),
    image_shape=data.image_shape,
    title="Largest reconstruction errors",
)

# %% [markdown]
# ## Save and load
#
# One `.keras` file holds the model with its optimizer; after loading it computes the same outputs.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "sda.keras"
    sda.save(path)
    loaded = keras.saving.load_model(path)
assert np.array_equal(loaded.predict(data.test.x, verbose=0), probabilities)
assert np.array_equal(loaded.encode(data.test.x), sda.encode(data.test.x))
print("the loaded model gives the same probabilities and codes")
