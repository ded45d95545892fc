# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # The family of autoencoders
#
# Dense, sparse, contractive, denoising, deep, convolutional: all of them compress a row into a code
# and reconstruct it. Here they share everything except what makes them different: the same digits,
# codes of eight numbers, the squared error as the loss, a linear decoder at the end. For comparison
# there is principal component analysis (PCA) with eight components, which is the best that any
# *linear* encoder and decoder can do.
#
# There are two figures for each: the squared error of reconstructed test digits, and how well a
# linear classifier recognises the classes from the codes. Three seeds.

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_sda as ks

data = ks.datasets.load("digits")
x_train, x_test = data.train.x, data.test.x
CODE = 8
SEEDS = range(3)
COMMON = {"reconstruction_loss": "squared_error"}
DENSE = {"input_dim": 64, "hidden_units": CODE, **COMMON}

FAMILY = {
    "dense": lambda seed: ks.DenoisingAutoencoder(**DENSE, noise=None, tied=False, seed=seed),
    "sparse": lambda seed: ks.SparseAutoencoder(
        **DENSE, sparsity_target=0.2, sparsity_weight=0.1, seed=seed
    ),
    "contractive": lambda seed: ks.ContractiveAutoencoder(
        **DENSE, contraction_weight=0.1, seed=seed
    ),
    "denoising": lambda seed: ks.DenoisingAutoencoder(
        **DENSE, noise="masking", noise_level=0.2, tied=False, seed=seed
    ),
    "deep": lambda seed: ks.DeepAutoencoder(
        64, [128, 64, CODE], activation="relu", seed=seed, **COMMON
    ),
    "deep denoising": lambda seed: ks.DeepAutoencoder(
        64,
        [128, 64, CODE],
        activation="relu",
        noise="masking",
        noise_level=0.2,
        seed=seed,
        **COMMON,
    ),
    # Three levels of convolution and pooling: 8 x 8, 4 x 4, 2 x 2, and a code of 1 x 1 x 8.
    "convolutional": lambda seed: ks.ConvolutionalAutoencoder(
        (8, 8, 1), filters=(16, 16, CODE), seed=seed, **COMMON
    ),
}

# %%
errors, training_errors, accuracies, codes, rebuilt = {}, {}, {}, {}, {}


def measure(name, encode, reconstruct):
    """Keeps the squared error and the accuracy of a linear classifier of the codes."""
    flat = {part: encode(rows).reshape(len(rows), -1) for part, rows in PARTS.items()}
    assert flat["test"].shape[1] == CODE
    back = {part: reconstruct(rows).reshape(len(rows), 64) for part, rows in PARTS.items()}
    for part, kept in (("test", errors), ("train", training_errors)):
        distance = ((back[part] - PARTS[part].reshape(-1, 64)) ** 2).sum(axis=1).mean()
        kept.setdefault(name, []).append(distance)
    classifier = make_pipeline(StandardScaler(), RidgeClassifier())
    classifier.fit(flat["train"], data.train.y)
    accuracies.setdefault(name, []).append(classifier.score(flat["test"], data.test.y))
    codes.setdefault(name, flat["test"])
    rebuilt.setdefault(name, back["test"])


PARTS = {"train": x_train, "test": x_test}
pca = PCA(CODE).fit(x_train)
measure("PCA", pca.transform, lambda rows: pca.inverse_transform(pca.transform(rows)))
for name, make in FAMILY.items():
    is_image = name == "convolutional"
    PARTS = {
        part: rows.reshape(-1, 8, 8, 1) if is_image else rows
        for part, rows in (("train", x_train), ("test", x_test))
    }
    for seed in SEEDS:
        model = make(seed)
        model.compile(keras.optimizers.Adam(0.005))
        model.fit(PARTS["train"], epochs=40, batch_size=64, verbose=0)
        measure(name, model.encode, model.reconstruct)

for name in errors:
    print(
        f"{name:15} squared error {np.mean(errors[name]):5.2f} "
        f"({min(errors[name]):.2f} to {max(errors[name]):.2f})   "
        f"accuracy {np.mean(accuracies[name]):.3f} "
        f"({min(accuracies[name]):.3f} to {max(accuracies[name]):.3f})"
    )

# %% [markdown]
# ## What the results show
#
# A model with one encoder layer and one *linear* decoder layer can only reconstruct points of one
# eight-dimensional plane, whatever its encoder does. No such model can have a smaller squared error
# on its training rows than PCA: that is a theorem, and the assertion below checks it. Sparsity,
# contraction and noise aim at something other than a small error, and make it larger.
#
# Only depth helps here: a decoder of several layers can bend the plane. The deep autoencoder beats
# PCA on test digits with every seed. The convolutional one is deep too, but has few weights: on
# images as small as these it does about as well as PCA, better with one seed and worse with
# another.
#
# For the classes there is no such order: with three seeds and 360 test digits the codes of most of
# these models cannot be distinguished from those of PCA. A small error and useful codes are two
# different things.

# %%
for name in ("dense", "sparse", "contractive", "denoising"):
    assert min(training_errors[name]) > training_errors["PCA"][0]
for name in ("deep", "deep denoising"):
    assert max(errors[name]) < errors["PCA"][0]
assert np.mean(errors["dense"]) < np.mean(errors["denoising"]), "noise costs some of the error"

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
places = np.arange(len(errors))[::-1]
for axes, kept, title in (
    (left, errors, "squared error of rebuilt test digits"),
    (right, accuracies, "accuracy of a linear classifier of the codes"),
):
    for place, (name, values) in zip(places, kept.items(), strict=True):
        colour = "0.4" if name == "PCA" else "C0"
        axes.plot(values, [place] * len(values), "o", color=colour, alpha=0.5)
        axes.plot(np.mean(values), place, "|", color=colour, markersize=14, markeredgewidth=2)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
left.set_yticks(places, list(errors))
plt.show()

# %% [markdown]
# ## Pictures
#
# The same ten test digits, reconstructed from eight numbers by each model (first seed).

# %%
chosen = [int(np.flatnonzero(data.test.y == digit)[0]) for digit in range(10)]
lines = {"test digits": x_test, **rebuilt}
figure, all_axes = plt.subplots(
    len(lines), 1, figsize=(7, 0.72 * len(lines)), dpi=80, layout="constrained"
)
for axes, (name, rows) in zip(all_axes, lines.items(), strict=True):
    tiles = ks.plots.tile_images(rows[chosen].clip(0, 1).reshape(-1, 8, 8), columns=10)
    axes.imshow(tiles, cmap="gray", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
plt.show()

# %% [markdown]
# The codes of the deep denoising autoencoder, projected onto their first two principal components:

# %%
figure = ks.plots.plot_codes(codes["deep denoising"], data.test.y, title="Deep denoising")
figure.set_dpi(80)
figure
