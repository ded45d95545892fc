# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # What the levels learn
#
# This notebook takes a stack of three levels apart: what its units look for, how they respond,
# where the codes of the classes lie, and how well a linear classifier distinguishes the classes at
# each level. It does so twice: after pretraining, which uses no labels, and after fine-tuning,
# which does.
#
# The units are sigmoid units, without batch normalisation, as in the papers: their values lie
# between 0 and 1, so that one can see whether a unit is off, on or in between. The defaults, ReLU
# and batch normalisation, classify better.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeClassifier

import keras_sda as ks

data = ks.datasets.load("digits")
LEVELS = 3
SEEDS = range(3)


def make(seed):
    return ks.StackedDenoisingAutoencoder(
        input_dim=64,
        hidden_units=[128] * LEVELS,
        num_classes=10,
        noise="masking",
        noise_level=[0.3, 0.2, 0.1],
        activation="sigmoid",
        kernel_initializer="glorot_uniform",
        batch_normalization=False,
        seed=seed,
    )


def separability(model):
    """Returns the test accuracy of a linear classifier on the pixels and on each level's codes."""
    accuracies = []
    for level in range(-1, LEVELS):
        train, test = (
            rows if level < 0 else model.encode(rows, level=level)
            for rows in (data.train.x, data.test.x)
        )
        scale = train.std() * np.sqrt(train.shape[1])
        classifier = RidgeClassifier(alpha=0.1).fit(train / scale, data.train.y)
        accuracies.append(classifier.score(test / scale, data.test.y))
    return accuracies


# %%
random, pretrained, finetuned = [], [], []
for seed in SEEDS:
    sda = make(seed)
    random.append(separability(sda))
    sda.pretrain(data.train.x, epochs=15, batch_size=32, learning_rate=0.003, verbose=0)
    pretrained.append(separability(sda))
    if seed == 0:
        before = [sda.encode(data.test.x, level=level) for level in range(LEVELS)]
        kernels = ks.plots.level_kernels(sda)
        responses = ks.plots.plot_activations(sda, data.test.x)
    sda.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    sda.fit(*data.train, epochs=40, verbose=0)
    finetuned.append(separability(sda))
    if seed == 0:
        after = [sda.encode(data.test.x, level=level) for level in range(LEVELS)]

# %% [markdown]
# ## Filters
#
# The weights of the first level are images. A unit of a higher level is drawn as the product of the
# kernels down to the input (`chain_kernels`): what it would look for if the units below it were
# linear. Each weight is multiplied by the standard deviation of its pixel, because the weight of a
# pixel that hardly ever changes means nothing. (`ks.plots.plot_level_filters` draws the plain
# weights.)

# %%
figure, all_axes = plt.subplots(1, LEVELS, figsize=(11, 3.9), dpi=80, layout="constrained")
figure.get_layout_engine().set(w_pad=0.2)
for level, axes in enumerate(all_axes):
    chained = ks.plots.chain_kernels(kernels[: level + 1]) * data.train.x.std(axis=0)[:, None]
    filters = chained[:, :49].T.reshape(-1, 8, 8)
    filters /= np.abs(filters).max(axis=(1, 2), keepdims=True)
    axes.imshow(ks.plots.tile_images(filters), cmap="gray", vmin=-1, vmax=1)
    axes.set_title(f"level {level + 1}: 49 of {chained.shape[1]} units")
    axes.set_axis_off()
plt.show()

# %% [markdown]
# ## Activations
#
# The picture shows how often the units of each level take each value. A *dead* unit has the same
# value for every digit; a *saturated* one is nearly always close to 0 or 1, where its gradient
# almost vanishes.

# %%
for level, codes in enumerate(before):
    counts = ks.plots.count_units(codes, "sigmoid")
    print(f"level {level + 1}:", counts)
    assert counts["dead"] < counts["units"] / 10
responses

# %% [markdown]
# ## Codes in the plane
#
# The codes of test digits at the top level, projected onto their first two principal components:
# after pretraining, and after fine-tuning, which pulls the classes apart.

# %%
figure = ks.plots.plot_codes(before[-1], data.test.y, title="Level 3, pretrained")
figure.set_dpi(80)
figure

# %%
figure = ks.plots.plot_codes(after[-1], data.test.y, title="Level 3, fine-tuned")
figure.set_dpi(80)
figure


# %%
def spread(codes):
    """Returns the share of the codes' variance that lies between the classes."""
    centres = np.array([codes[data.test.y == c].mean(axis=0) for c in range(10)])
    between = ((centres[data.test.y] - codes.mean(axis=0)) ** 2).sum()
    return between / ((codes - codes.mean(axis=0)) ** 2).sum()


shares = [[spread(codes) for codes in stage] for stage in (before, after)]
print("variance between classes, pretrained:", np.round(shares[0], 2))
print("variance between classes, fine-tuned:", np.round(shares[1], 2))
assert shares[1][-1] > shares[0][-1] + 0.1
assert shares[1][-1] > shares[1][0]

# %% [markdown]
# ## Linear separability
#
# A linear classifier (by least squares) is trained on each level's codes of the training digits and
# evaluated on the test digits, with three seeds; the plot shows each seed and their mean.

# %%
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
stages = {"random weights": random, "pretrained": pretrained, "fine-tuned": finetuned}
for number, (name, accuracies) in enumerate(stages.items()):
    for values in accuracies:
        axes.plot(values, color=f"C{number}", alpha=0.3, linewidth=1)
    axes.plot(np.mean(accuracies, axis=0), color=f"C{number}", marker="o", label=name)
    print(f"{name:14} pixels and levels 1 to 3:", np.mean(accuracies, axis=0).round(3))
axes.set_xticks(range(LEVELS + 1), ["pixels", "level 1", "level 2", "level 3"])
axes.set(ylabel="test accuracy of a linear classifier")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
# Pretraining, which does not know the classes, makes them easier to separate than random weights do
# at every level, and at the first level easier than the pixels. Each further level, which only sees
# the codes below it, loses a little. Fine-tuning stops this loss, because it trains the upper
# levels to separate the classes. The assertions check this for every seed:

# %%
for seed in SEEDS:
    untrained, alone, tuned = (np.array(stage[seed]) for stage in (random, pretrained, finetuned))
    assert np.all(alone[1:] > untrained[1:])
    assert alone[1] > alone[0]
    assert tuned[3] > alone[3]
