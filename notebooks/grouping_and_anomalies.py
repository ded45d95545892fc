# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Grouping rows and finding anomalies
#
# Two uses of an autoencoder that need no labels at all: group rows by their codes, and find
# anomalous rows by how badly they are reconstructed. Both have simple baselines, which are run for
# comparison: k-means on the pixels, and principal component analysis (PCA).

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score, roc_auc_score, roc_curve

import keras_sda as ks

data = ks.datasets.load("digits")
SEEDS = range(3)


def train(x, code, seed, noise_level=0.3):
    """Returns a deep denoising autoencoder with a code of so many units."""
    model = ks.DeepAutoencoder(
        input_dim=64,
        hidden_units=[128, code],
        activation="relu",
        noise="masking",
        noise_level=noise_level,
        reconstruction_loss="squared_error",
        seed=seed,
    )
    model.compile(keras.optimizers.Adam(0.002))
    model.fit(x, epochs=40, batch_size=32, verbose=0)
    return model


# %% [markdown]
# ## Grouping
#
# k-means makes ten groups: of the pixels, of the first eight principal components, and of codes of
# eight units. The normalised mutual information (NMI) measures how much the groups reveal about the
# digits' classes: 0 is nothing, 1 is everything. Labels are used for this evaluation only.


# %%
def agreement(rows, seed):
    groups = KMeans(10, n_init=10, random_state=seed).fit_predict(rows)
    return normalized_mutual_info_score(data.train.y, groups), groups


x = data.train.x
models = [train(x, code=8, seed=seed) for seed in SEEDS]
components = PCA(8).fit_transform(x)
scores = {
    "pixels (64 numbers)": [agreement(x, seed)[0] for seed in SEEDS],
    "PCA (8 numbers)": [agreement(components, seed)[0] for seed in SEEDS],
    "codes (8 numbers)": [agreement(m.encode(x), s)[0] for s, m in zip(SEEDS, models, strict=True)],
}
for name, values in scores.items():
    print(f"{name:20} NMI {np.mean(values):.3f}   seeds: {np.round(values, 3)}")

# %% [markdown]
# The codes group the digits about as well as eight times as many pixels do, but no better: k-means
# assumes round groups, and nothing in the training makes the groups of codes round. Codes are a
# small and denoised description; they do not provide classes for free.

# %%
means = {name: np.mean(values) for name, values in scores.items()}
assert min(means.values()) > 0.65
assert abs(means["codes (8 numbers)"] - means["pixels (64 numbers)"]) < 0.08

codes = models[0].encode(x)
_, groups = agreement(codes, 0)
pictures = []
for group in range(10):
    members = np.flatnonzero(groups == group)
    centre = codes[members].mean(axis=0)
    closest = members[np.argsort(((codes[members] - centre) ** 2).sum(axis=1))[:11]]
    pictures.append(models[0].decode(centre[None])[0])
    pictures.extend(x[closest])
tiles = ks.plots.tile_images(np.reshape(pictures, (-1, 8, 8)).clip(0, 1), columns=12)
figure, axes = plt.subplots(figsize=(7, 6), layout="constrained")
axes.imshow(tiles, cmap="gray")
axes.set_axis_off()
axes.set_title("Each line a group: its decoded centre, then its eleven most typical digits")
plt.show()

# %% [markdown]
# ## Anomalous rows
#
# One class is left out of the training rows and counts as anomalous; the model sees only the other
# nine. Then the validation and test digits are ranked by `reconstruction_error`. The area under the
# ROC curve (AUC) is the probability that an anomalous digit has a larger error than an ordinary
# one: 0.5 is chance.
#
# The baseline is the squared error of PCA. The best number of components cannot be known without
# labels, so PCA gets an unfair advantage: the best number for each class, found with the labels.

# %%
held_x = np.concatenate([data.valid.x, data.test.x])
held_y = np.concatenate([data.valid.y, data.test.y])
ours, rivals, curves = [], [], {}
for strange in range(10):
    rows = x[data.train.y != strange]
    is_strange = held_y == strange
    error = train(rows, code=8, seed=0).reconstruction_error(held_x)
    ours.append(roc_auc_score(is_strange, error))
    of_sizes = []
    for size in (2, 4, 8, 16, 32):
        pca = PCA(size).fit(rows)
        rebuilt = pca.inverse_transform(pca.transform(held_x))
        of_sizes.append(roc_auc_score(is_strange, ((held_x - rebuilt) ** 2).sum(axis=1)))
    rivals.append(max(of_sizes))
    curves[strange] = roc_curve(is_strange, error)[:2]
    print(f"digit {strange} left out: AUC {ours[-1]:.3f}, PCA at its best {rivals[-1]:.3f}")
print(f"mean {np.mean(ours):.3f}, PCA at its best {np.mean(rivals):.3f}")

# %%
better = sum(a > b for a, b in zip(ours, rivals, strict=True))
print(f"better than PCA at its best for {better} of 10 digits")
assert np.mean(ours) > np.mean(rivals) + 0.01
assert better >= 6

figure, (points, lines) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
points.vlines(range(10), ours, rivals, color="0.7", zorder=1)
points.plot(range(10), ours, "o", label="deep autoencoder, code of 8")
points.plot(range(10), rivals, "s", label="PCA, best of 5 sizes")
points.axhline(0.5, color="black", linewidth=1, linestyle=":", label="chance")
points.set(xlabel="digit left out", ylabel="AUC", xticks=range(10), ylim=(0.45, 1.02))
points.grid(alpha=0.3)
points.legend(loc="lower right", bbox_to_anchor=(1, 0.12), fontsize=8)
for strange, (false_alarms, found) in curves.items():
    lines.plot(false_alarms, found, label=str(strange), linewidth=1)
lines.set(xlabel="share of false alarms", ylabel="share of strange digits found")
lines.legend(title="left out", fontsize=7, ncols=2)
lines.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## Where to draw the line
#
# A threshold needs no labels: choose the share of ordinary rows that should pass. The 95 % quantile
# of the errors of rows that were *not* trained on marks about one in twenty ordinary rows as
# anomalous.

# %%
strange = 0
model = train(x[data.train.y != strange], code=8, seed=0)
ordinary = data.valid.x[data.valid.y != strange]
threshold = np.quantile(model.reconstruction_error(ordinary), 0.95)
error = model.reconstruction_error(data.test.x)
is_strange = data.test.y == strange
alarms, found = (error > threshold)[~is_strange].mean(), (error > threshold)[is_strange].mean()
print(f"threshold {threshold:.2f}: false alarms {100 * alarms:.1f} %, found {100 * found:.1f} %")
assert alarms < 0.12
assert found > 0.5
strangest = np.argsort(error)[::-1][:12]
ks.plots.plot_reconstructions(
    data.test.x[strangest],
    None,
    model.reconstruct(data.test.x[strangest]).clip(0, 1),
    image_shape=data.image_shape,
    title="The strangest test digits for a model that never saw a 0",
)
