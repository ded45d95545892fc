# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Noise: which kind, how much, and what it does
#
# A denoising autoencoder learns to reconstruct a clean row from a corrupted one. The noise keeps it
# from learning the identity: to fill in what is missing, it has to know how the features of a row
# depend on each other. `keras_sda` has four kinds:
#
# - **masking**: a share of the entries becomes 0; nothing is scaled up;
# - **salt and pepper**: a share of the entries becomes 0 or 1, half of them each;
# - **Gaussian**: normal noise of a given standard deviation is added to every entry;
# - **swap**: a share of the entries takes the same feature's value from another row, which suits
#   tables, because every value is still one that the feature can have.
#
# This notebook shows them, and then measures what a model learns from each of them.

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeClassifier

import keras_sda as ks

data = ks.datasets.load("digits")
x_train, y_train = data.train
x_test, y_test = data.test
LAYERS = {
    "masking": ks.layers.MaskingNoise,
    "salt_and_pepper": ks.layers.SaltAndPepperNoise,
    "gaussian": ks.layers.AdditiveGaussianNoise,
    "swap": ks.layers.SwapNoise,
}
# They move a digit about equally far, `swap` less; that of Gaussian noise is in units of pixels.
LEVELS = {"masking": 0.4, "salt_and_pepper": 0.2, "gaussian": 0.3, "swap": 0.4}
SEEDS = range(3)

# %% [markdown]
# ## The four noises
#
# The same six digits, clean at the top and then with each noise at three levels. The layers are
# active in training only, and draw new noise for every batch.


# %%
def corrupt(kind, level, rows, seed=0):
    """Returns rows with fresh noise."""
    return np.asarray(LAYERS[kind](level, seed=seed)(rows, training=True))


def show(axes, rows, title):
    tiles = ks.plots.tile_images(rows.reshape(-1, 8, 8), columns=6)
    axes.imshow(tiles, cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, loc="left", fontsize=10)


figure, all_axes = plt.subplots(5, 3, figsize=(11, 4.8), dpi=80, layout="constrained")
figure.get_layout_engine().set(w_pad=0.15)
show(all_axes[0, 0], x_train[:6], "clean")
for line, kind in zip(all_axes[1:], LAYERS, strict=True):
    for axes, factor in zip(line, (0.5, 1.0, 2.0), strict=True):
        level = factor * LEVELS[kind]
        noisy = corrupt(kind, level, x_train[:64])[:6]
        show(axes, noisy, f"{kind.replace('_', ' ')}, {level:.2g}")
for axes in all_axes.flat:
    axes.set_axis_off()
plt.show()

ones = np.ones((1000, 64), "float32")
print(f"masking 0.4 of ones leaves a mean of {corrupt('masking', 0.4, ones).mean():.3f}")
assert abs(corrupt("masking", 0.4, ones).mean() - 0.6) < 0.01
assert np.array_equal(LAYERS["masking"](0.4)(ones, training=False), ones)
swapped = corrupt("swap", 1.0, x_train)
for feature in range(64):
    assert set(swapped[:, feature]) <= set(x_train[:, feature])

# %% [markdown]
# ## What they do to the filters
#
# The pictures show the weights of hidden units as images, each weight multiplied by the standard
# deviation of its pixel: the weight of a pixel that hardly ever changes means nothing.
#
# Missing pixels can only be inferred from their surroundings. So with noise, a unit should look at
# patches and strokes rather than at single pixels, and the weights of neighbouring pixels should
# agree more. The number above each picture measures that: the correlation between a weight and its
# neighbour to the right or below, over all 100 units.


# %%
def train(kind, level, seed):
    """Returns a denoising autoencoder with more hidden units than pixels."""
    model = ks.DenoisingAutoencoder(
        input_dim=64,
        hidden_units=100,
        noise=kind,
        noise_level=level,
        # Small, so that the filters show what was learned, not the start.
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.05, seed=seed),
        seed=seed,
    )
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(x_train, epochs=25, batch_size=64, verbose=0)
    return model


def filters_of(model):
    """Returns the weights of each hidden unit as an image of what they do."""
    kernel = np.asarray(model.levels[0].kernel) * x_train.std(axis=0)[:, None]
    return kernel.T.reshape(-1, 8, 8)


def smoothness(filters):
    """Returns the correlation of neighbouring weights."""
    pairs = [(filters[:, 1:], filters[:, :-1]), (filters[:, :, 1:], filters[:, :, :-1])]
    one, other = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    return np.corrcoef(one, other)[0, 1]


models = {(None, seed): train(None, 0.0, seed) for seed in SEEDS}
for kind, level in LEVELS.items():
    for seed in SEEDS:
        models[kind, seed] = train(kind, level, seed)

figure, all_axes = plt.subplots(1, 5, figsize=(12, 2.7), dpi=80, layout="constrained")
figure.get_layout_engine().set(w_pad=0.1)
for axes, kind in zip(all_axes, (None, *LEVELS), strict=True):
    filters = filters_of(models[kind, 0])
    name = "no noise" if kind is None else kind.replace("_", " ")
    axes.set_title(f"{name}: {smoothness(filters):.2f}", fontsize=10)
    filters = filters[:25] / np.abs(filters[:25]).max(axis=(1, 2), keepdims=True)
    axes.imshow(ks.plots.tile_images(filters, background=1.0), cmap="gray", vmin=-1, vmax=1)
    axes.set_axis_off()
plt.show()

for seed in SEEDS:
    without = smoothness(filters_of(models[None, seed]))
    with_noise = [smoothness(filters_of(models[kind, seed])) for kind in LEVELS]
    print(f"seed {seed}: without noise {without:.2f}, with", np.round(with_noise, 2))
    assert min(with_noise) > without

# %% [markdown]
# ## Each model removes the noise it was trained on
#
# Each model reconstructs test digits with each noise; the numbers are squared distances to the
# clean digit. The model trained with the same noise should be the best: the smallest number of each
# column should be on the diagonal. Means over three seeds.

# %%
kinds = list(LEVELS)
table = np.zeros((len(SEEDS), 1 + len(kinds), len(kinds)))
for seed in SEEDS:
    for row, trained_on in enumerate((None, *kinds)):
        for column, kind in enumerate(kinds):
            noisy = corrupt(kind, LEVELS[kind], x_test, seed=100 + seed)
            rebuilt = models[trained_on, seed].reconstruct(noisy)
            table[seed, row, column] = ((rebuilt - x_test) ** 2).sum(axis=1).mean()
means = table.mean(axis=0)

names = ["masking", "salt and\npepper", "gaussian", "swap"]
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.imshow(means / means.min(axis=0), cmap="Oranges", vmin=1, vmax=4, aspect="auto")
for row in range(means.shape[0]):
    for column in range(means.shape[1]):
        weight = "bold" if row == column + 1 else "normal"
        axes.text(column, row, f"{means[row, column]:.2f}", ha="center", va="center", weight=weight)
axes.set_xticks(range(4), names)
axes.set_yticks(range(5), ["no noise", *names])
axes.set(xlabel="noise on the test digits", ylabel="trained with", title="Squared distance")
plt.show()

for column, kind in enumerate(kinds):
    best = table[:, :, column].argmin(axis=1)
    print(f"{kind}: best model for each seed", [("none", *kinds)[index] for index in best])
    assert means[:, column].argmin() == column + 1
    assert np.all(table[:, column + 1, column] < table[:, 0, column]), "better than without noise"

# %% [markdown]
# ## How much noise, and what for?
#
# Now the level of masking noise varies, and the codes are put to use: a linear classifier (by least
# squares) learns the classes from the codes of 50 labelled digits, and is tested on the codes of
# clean digits and of digits with 40 % of their pixels missing. Means over twenty draws of the 50
# labels and three seeds; the dotted lines show the same classifier on the pixels themselves.


# %%
def draw_labelled(seed, of_each_class=5):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.choice(np.flatnonzero(y_train == c), of_each_class, replace=False) for c in range(10)]
    )


def usefulness(train_codes, clean, missing):
    """Returns the mean accuracy on clean rows, and on rows with missing entries."""
    scores = []
    for draw in range(20):
        rows = draw_labelled(draw)
        classifier = RidgeClassifier().fit(train_codes[rows], y_train[rows])
        scores.append([classifier.score(clean, y_test), classifier.score(missing, y_test)])
    return np.mean(scores, axis=0)


missing = corrupt("masking", 0.4, x_test, seed=7)
levels = [0.0, 0.2, 0.4, 0.6, 0.8]
curves = np.zeros((len(SEEDS), len(levels), 2))
for seed in SEEDS:
    for place, level in enumerate(levels):
        known = {0.0: (None, seed), 0.4: ("masking", seed)}.get(level)
        model = models[known] if known else train("masking", level, seed)
        codes = [model.encode(rows) for rows in (x_train, x_test, missing)]
        curves[seed, place] = usefulness(*codes)
pixels = usefulness(x_train, x_test, missing)

figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for column, (name, colour) in enumerate((("clean digits", "C0"), ("40 % missing", "C1"))):
    for seed in SEEDS:
        axes.plot(levels, curves[seed, :, column], color=colour, linewidth=0.7, alpha=0.5)
    axes.plot(levels, curves[..., column].mean(axis=0), color=colour, marker="o", label=name)
    axes.axhline(pixels[column], color=colour, linestyle=":")
axes.set(xlabel="masking noise in training", ylabel="accuracy with 50 labels")
axes.grid(alpha=0.3)
axes.legend(loc=(0.68, 0.6))
plt.show()
for place, level in enumerate(levels):
    print(f"level {level}: clean, missing:", curves[:, place].mean(axis=0).round(3))
print("pixels           :", pixels.round(3))

# %% [markdown]
# Codes work better than pixels at every level, and codes learned with noise work better than those
# learned without. On clean digits a little noise is enough and the level hardly matters; where
# pixels are missing, it matters much more. The assertions check this for each seed:

# %%
for seed in SEEDS:
    clean, missing_some = curves[seed, :, 0], curves[seed, :, 1]
    assert clean.min() > pixels[0]
    assert missing_some.min() > pixels[1]
    assert clean[1:].mean() > clean[0]
    assert missing_some[1:].min() > missing_some[0] + 0.03
