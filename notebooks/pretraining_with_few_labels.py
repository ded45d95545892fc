# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Pretraining with few labels
#
# Rows are often cheap and labels expensive. Here 1,257 digits are available, but only 50 of them
# have a label, five of each class. A network that starts from random weights sees only the 50. A
# pretrained one has learned from all of them what digits look like.
#
# The claim to test: **with the same 50 labels, the same deep network and the same training,
# pretraining increases the test accuracy.** There are five seeds, each with different labels and
# different initial weights. To see what the gain is worth, two simple baselines are run as well:
# logistic regression, and a network of one wide layer.

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression

import keras_sda as ks

data = ks.datasets.load("digits")
x_all, y_all = data.train
SEEDS = range(5)


def draw_labelled(seed, of_each_class=5):
    """Returns the row numbers of the few digits that have a label."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.choice(np.flatnonzero(y_all == c), of_each_class, replace=False) for c in range(10)]
    )


labelled = x_all[draw_labelled(seed=0)].reshape(10, 5, 8, 8).transpose(1, 0, 2, 3)
figure, axes = plt.subplots(figsize=(6, 3), dpi=80, layout="constrained")
axes.imshow(ks.plots.tile_images(labelled.reshape(50, 8, 8), columns=10), cmap="gray")
axes.set_axis_off()
axes.set_title("All that has a label (first seed)", fontsize=10)
plt.show()

# %% [markdown]
# ## One network, with and without
#
# Three hidden layers lead to a narrow code of 16 units. Gaussian noise corrupts the input of each
# level in pretraining; then all levels are trained together on reconstruction
# (`stack.autoencoder`). Fine-tuning, with 50 labelled digits and 60 epochs, is the same for both
# networks. With the same seed they start from the same weights.
#
# The options were chosen on the validation digits.


# %%
def make_stack(seed):
    return ks.StackedDenoisingAutoencoder(
        input_dim=64,
        hidden_units=[256, 128, 16],
        num_classes=10,
        activation=["relu", "relu", "linear"],
        noise="gaussian",
        noise_level=[0.5, 0.2, 0.2],
        seed=seed,
    )


def pretrain(stack):
    stack.pretrain(x_all, epochs=15, batch_size=64, verbose=0)
    stack.autoencoder.compile(keras.optimizers.Adam(0.003))
    stack.autoencoder.fit(x_all, epochs=50, batch_size=64, verbose=0)


def finetune(model, rows):
    """Trains on the labelled rows, and returns the test accuracy."""
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_all[rows], y_all[rows], epochs=60, batch_size=10, verbose=0)
    return model.evaluate(*data.test, verbose=0)[1]


def regress(features, test_features, rows):
    """Returns the test accuracy of logistic regression on features of the labelled rows."""
    model = LogisticRegression(solver="newton-cg").fit(features[rows], y_all[rows])
    return model.score(test_features, data.test.y)


names = [
    "deep network, not pretrained",
    "deep network, pretrained",
    "one layer of 256, not pretrained",
    "logistic regression on pixels",
    "logistic regression on codes",
]
results = {name: [] for name in names}
all_codes = []
for seed in SEEDS:
    rows = draw_labelled(seed)
    pretrained = make_stack(seed)
    pretrain(pretrained)
    all_codes.append((pretrained.encode(x_all), pretrained.encode(data.test.x)))
    wide = ks.MLP(64, [256], num_classes=10, seed=seed)
    figures = (
        finetune(make_stack(seed), rows),
        finetune(pretrained, rows),
        finetune(wide, rows),
        regress(x_all, data.test.x, rows),
        regress(*all_codes[-1], rows),
    )
    for name, figure in zip(names, figures, strict=True):
        results[name].append(figure)

for name, values in results.items():
    print(f"{name:33} {np.mean(values):.3f}   seeds:", " ".join(f"{v:.3f}" for v in values))

# %% [markdown]
# The comparison is paired: each seed has both networks. Its 95 % interval is Student's t over the
# seeds.

# %%
gains = np.subtract(results[names[1]], results[names[0]])
half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
print(f"gain by pretraining: {100 * gains.mean():.1f} points, 95 % interval +- {100 * half:.1f}")
assert np.all(gains > 0)
assert gains.mean() - half > 0

figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
for place, (name, values) in enumerate(reversed(results.items())):
    colour = "C1" if name == names[1] else "C0"
    axes.plot(values, [place] * len(values), "o", color=colour, alpha=0.5)
    axes.plot(np.mean(values), place, "|", color=colour, markersize=18, markeredgewidth=2)
axes.set_yticks(range(len(names)), names[::-1])
axes.set(xlabel="test accuracy with 50 labels", ylim=(-0.6, len(names) - 0.4))
axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## What that is worth
#
# Pretraining makes it possible to train a deep and narrow network from 50 labels. But fine-tuning
# does not win: these digits are easy, and logistic regression on the pixels, or a single wide layer
# from random weights, does about as well. So always run the simple baselines on your own data.
#
# There is a better use of so few labels: leave the pretrained layers as they are, and train
# logistic regression on their 16 numbers. This beats the pixels with every seed.

# %%
for rival in names[2:4]:
    assert abs(np.mean(results[rival]) - np.mean(results[names[1]])) < 0.04
gains = np.subtract(results[names[4]], results[names[3]])
half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
print(f"gain of codes over pixels: {100 * gains.mean():.1f} points, 95 % +- {100 * half:.1f}")
assert np.all(gains > 0)
assert gains.mean() - half > 0

# %% [markdown]
# ## How many labels?
#
# The fewer the labels, the more the codes help; with hundreds of labels, the pixels hold more
# information than 16 numbers can. Means over the five pretrained networks and five draws of labels
# each; the bands range from the worst to the best network.

# %%
sizes = [1, 2, 5, 10, 20, 50]
curves = np.zeros((2, len(SEEDS), len(sizes)))
for seed in SEEDS:
    # One scale for all codes, as the penalty of logistic regression knows no units.
    codes, test_codes = (part / all_codes[seed][0].std() for part in all_codes[seed])
    for place, size in enumerate(sizes):
        for draw in range(5):
            rows = draw_labelled(100 * seed + draw, size)
            curves[0, seed, place] += regress(codes, test_codes, rows) / 5
            curves[1, seed, place] += regress(x_all, data.test.x, rows) / 5
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for (name, colour), values in zip((("codes", "C1"), ("pixels", "C0")), curves, strict=True):
    axes.semilogx(np.multiply(10, sizes), values.mean(axis=0), "o-", color=colour, label=name)
    axes.fill_between(
        np.multiply(10, sizes), values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2
    )
axes.set_xticks(np.multiply(10, sizes), np.multiply(10, sizes))
axes.minorticks_off()
axes.set(xlabel="labels", ylabel="test accuracy", title="Logistic regression")
axes.grid(alpha=0.3)
axes.legend()
plt.show()
for size, codes_mean, pixels_mean in zip(sizes, *curves.mean(axis=1), strict=True):
    print(f"{10 * size:4d} labels: codes {codes_mean:.3f}, pixels {pixels_mean:.3f}")
for place in range(3):  # 10, 20 and 50 labels
    assert np.all(curves[0, :, place] > curves[1, :, place])
