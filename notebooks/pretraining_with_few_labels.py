# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Learn from all your rows, label only a few
#
# Rows are often cheap, and labels are expensive. Here are 1,257 handwritten digits, of which only
# 50 have a label, five of each class. What can the other 1,207 teach us?
#
# This notebook begins with what you would do without them, and then tries three ways to use them:
#
# 1. **Pretraining**: a network first learns from all rows to remove noise, then from the 50 labels.
# 2. **Label spreading**: every row hands its label on to the rows that look like it.
# 3. **The ladder network**: learns the labels and the removal of noise in the same steps.
#
# Three draws of the 50 labels show how much luck is involved. The test digits are only used to
# measure errors. At the end comes a table on which none of this helps: such data exist, too.

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import keras_sda as ks

data = ks.datasets.load("digits")
SEEDS = range(3)
draws = [data.keep_labels(50, seed) for seed in SEEDS]
errors = {}


def note(name, accuracy):
    """Keeps the test error, in percent, under the name of the method."""
    errors.setdefault(name, []).append(100 * (1 - accuracy))


def show(*names):
    for name in names:
        values = errors[name]
        print(f"{name:26} {np.mean(values):4.1f} %   draws:", *(f"{v:.1f}" for v in values))


x, y = draws[0].train
print(f"{len(x):,} rows: {np.sum(y >= 0)} with a label, the others with {y.min()} instead")
order = np.argsort(draws[0].train.labelled.y, kind="stable")
labelled = draws[0].train.labelled.x[order].reshape(10, 5, 8, 8).transpose(1, 0, 2, 3)
figure, axes = plt.subplots(figsize=(6, 3), dpi=80, layout="constrained")
axes.imshow(ks.plots.tile_images(labelled.reshape(50, 8, 8), columns=10), cmap="gray")
axes.set_axis_off()
axes.set_title("All that has a label (first draw)", fontsize=10)
plt.show()

# %% [markdown]
# `keep_labels` hides the other labels: they become -1, the mark of a row without a label.
# `train.labelled` has only those rows that still have one.
#
# ## Without the other rows
#
# Always begin with a good simple classifier. On 50 rows a support vector machine with a Gaussian
# kernel is hard to beat. Cross-validation among the 50 chooses its two settings.

# %%
GRID = {"C": [1, 10, 100], "gamma": ["scale", 0.01, 0.03, 0.1]}
for few in draws:
    search = GridSearchCV(SVC(), GRID, cv=5).fit(*few.train.labelled)
    note("SVM on the 50", search.score(*data.test))
show("SVM on the 50")

# %% [markdown]
# ## Pretraining
#
# The same network twice: from random weights, and after `pretrain` on all rows. Both are then
# trained on the 50 in the same way. `encode` between the two steps gives the codes that the network
# has found without any label; they are used further down.

# %%
codes = []
for seed, few in zip(SEEDS, draws, strict=True):
    for name in ("network on the 50", "network, pretrained"):
        sda = ks.StackedDenoisingAutoencoder(64, [256, 256], num_classes=10, seed=seed)
        if name == "network, pretrained":
            sda.pretrain(few.train.x, epochs=30, batch_size=32, verbose=0)
            codes.append((sda.encode(few.train.x), sda.encode(data.test.x)))
        sda.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        sda.fit(*few.train.labelled, epochs=30, batch_size=10, verbose=0)
        note(name, sda.evaluate(*data.test, verbose=0)[1])
show("network on the 50", "network, pretrained")
gains = np.subtract(errors["network on the 50"], errors["network, pretrained"])
assert gains.mean() > 1
assert np.mean(errors["network, pretrained"]) > 8

# %% [markdown]
# The same network with the same labels errs less once it has been pretrained. But the gain is a few
# points, and in the draws where the SVM does well, it does as well as the pretrained network. So
# pretraining helps the network, and still leaves most of what the other rows can tell unused.
#
# ## Label spreading
#
# Two digits that look alike are mostly of the same class. `CodeSpreading` links each row to its
# nearest neighbours and lets the labels travel along these links, also through rows without a
# label. There are no weights to train, so it takes about a second.
#
# Instead of pixels it can compare codes: here those of the pretrained networks.

# %%
for few, (codes_train, codes_test) in zip(draws, codes, strict=True):
    spreading = ks.sklearn.CodeSpreading().fit(*few.train)
    note("label spreading", spreading.score(*data.test))
    on_codes = ks.sklearn.CodeSpreading().fit(codes_train, few.train.y)
    note("label spreading on codes", on_codes.score(codes_test, data.test.y))
show("label spreading", "label spreading on codes")
for alone, spread in zip(errors["SVM on the 50"], errors["label spreading"], strict=True):
    assert spread < alone - 3
assert np.mean(errors["label spreading on codes"]) < np.mean(errors["SVM on the 50"]) - 3
assert np.mean(errors["label spreading on codes"]) > np.mean(errors["label spreading"])

# %% [markdown]
# The error falls to less than half of that of the SVM, with the same 50 labels. On codes it is
# higher than on pixels: images of 8 x 8 pixels are already good to compare, and the codes add
# nothing to that. With other data it may be the other way round; try both, as it costs next to
# nothing.
#
# ## The ladder network
#
# A ladder learns everything at once. Its `fit` takes all rows, with -1 where there is no label. In
# every step it predicts the labels of some labelled rows under noise, and for rows of any kind it
# removes the noise from the input and from every level. How badly it does so, the *denoising cost*
# of each level, is part of the loss.
#
# The learning rate falls to zero towards the end, so that the weights settle.

# %%
EPOCHS = 100
steps = EPOCHS * int(np.ceil(len(x) / 100))
histories = []
for seed, few in zip(SEEDS, draws, strict=True):
    ladder = ks.LadderNetwork(64, [256, 256], num_classes=10, seed=seed)
    rate = keras.optimizers.schedules.CosineDecay(0.002, steps)
    ladder.compile(keras.optimizers.Adam(rate), metrics=["accuracy"])
    history = ladder.fit(*few.train, epochs=EPOCHS, batch_size=100, verbose=0)
    histories.append(history.history)
    note("ladder network", ladder.evaluate(*data.test, verbose=0)[1])
show("ladder network")
for alone, of_ladder in zip(errors["SVM on the 50"], errors["ladder network"], strict=True):
    assert of_ladder < alone - 2

# %% [markdown]
# It is about as good as label spreading. And it is a network: it can be saved and exported, and it
# trains on more rows than a graph of neighbours can hold.
#
# What has it learned? The history has the denoising cost of each level: `denoising_0` is that of
# the input, `denoising_1` and `denoising_2` those of the hidden levels, and `denoising_3` that of
# the output. Those of the input and of the first hidden level fall to a small part of what they
# were: this is where the other rows teach the network what digits look like. The input also has by
# far the largest weight in the loss. Further up, little of the noise can be removed.

# %%
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for level in range(4):
    costs = np.array([one[f"denoising_{level}"] for one in histories])
    axes.semilogy(range(1, EPOCHS + 1), costs.T, color=f"C{level}", alpha=0.4)
    axes.semilogy(
        range(1, EPOCHS + 1), costs.mean(axis=0), color=f"C{level}", label=f"denoising_{level}"
    )
    print(f"denoising_{level}: {costs[:, 0].mean():.3f} -> {costs[:, -1].mean():.3f}")
    assert np.all(costs[:, -1] < costs[:, 0])
axes.set(xlabel="epoch", ylabel="denoising cost", title="Ladder networks of three draws")
axes.grid(alpha=0.3)
axes.legend()
plt.show()
falls = [
    np.mean([one[f"denoising_{level}"][-1] / one[f"denoising_{level}"][0] for one in histories])
    for level in range(4)
]
assert max(falls[:2]) < 0.2
assert min(falls[2:]) > 0.5

# %% [markdown]
# ## Side by side

# %%
names = [
    "network on the 50",
    "SVM on the 50",
    "network, pretrained",
    "label spreading on codes",
    "ladder network",
    "label spreading",
]
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for place, name in enumerate(reversed(names)):
    colour = "C0" if name.endswith("the 50") else "C1"
    axes.plot(errors[name], [place] * len(SEEDS), "o", color=colour, alpha=0.5)
    axes.plot(np.mean(errors[name]), place, "|", color=colour, markersize=18, markeredgewidth=2)
axes.set_yticks(range(len(names)), names[::-1])
axes.set(xlabel="test error in %", xlim=(0, None), ylim=(-0.6, len(names) - 0.4))
axes.set_title("50 labels: without (blue) and with (orange) the other 1,207 rows", fontsize=10)
axes.grid(alpha=0.3)
plt.show()
show(*names)

# %% [markdown]
# Three draws and 360 test digits cannot tell label spreading from the ladder. But they can tell
# both from the SVM that only sees the 50: in every draw they make fewer than two thirds of its
# errors.

# %%
for name in ("ladder network", "label spreading"):
    ratios = np.divide(errors[name], errors["SVM on the 50"])
    print(f"{name}: {ratios.min():.2f} to {ratios.max():.2f} of the errors of the SVM")
    assert ratios.max() < 2 / 3

# %% [markdown]
# ## When the other rows do not pay
#
# Unlabelled rows help where they lie in groups, and each group is of one class. Digits are like
# that. In other tables the groups are not the classes, or 50 labels are enough to find a good
# boundary. An example is scikit-learn's breast cancer data, 30 measurements of each tumour. There
# are ten draws here, as most of this takes no time, and three for the ladder.

# %%
x, y = load_breast_cancer(return_X_y=True)


def draw(seed, labels):
    """Returns rows with few labels, as many of each class, and test rows; standardised."""
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=0.5, stratify=y, random_state=seed
    )
    scaler = StandardScaler().fit(x_train)
    rng = np.random.default_rng(seed)
    few = np.full(len(y_train), -1)
    for c in (0, 1):
        few[rng.choice(np.flatnonzero(y_train == c), labels // 2, replace=False)] = c
    return scaler.transform(x_train), few, scaler.transform(x_test), y_test


table = {"logistic regression": [], "label spreading": [], "ladder network": []}
for seed in range(10):
    x_train, few, x_test, y_test = draw(seed, 50)
    regression = LogisticRegression().fit(x_train[few >= 0], few[few >= 0])
    table["logistic regression"].append(1 - regression.score(x_test, y_test))
    spreading = ks.sklearn.CodeSpreading().fit(x_train, few)
    table["label spreading"].append(1 - spreading.score(x_test, y_test))
    if seed < len(SEEDS):
        ladder = ks.LadderNetwork(30, [64, 64], num_classes=2, seed=seed)
        ladder.compile(keras.optimizers.Adam(0.002), metrics=["accuracy"])
        ladder.fit(x_train, few, epochs=100, batch_size=100, verbose=0)
        table["ladder network"].append(1 - ladder.evaluate(x_test, y_test, verbose=0)[1])
for name, values in table.items():
    low, high = 100 * min(values), 100 * max(values)
    print(f"{name:20} {100 * np.mean(values):.1f} % ({low:.1f} to {high:.1f})")
for name in ("label spreading", "ladder network"):
    assert np.mean(table[name]) > np.mean(table["logistic regression"][: len(table[name])]) + 0.005

# %% [markdown]
# Logistic regression on the 50 labels alone has the lowest mean error of the three, and it is the
# simplest. Here the other rows do not pay.
#
# So which should you take? It depends on your rows, and measuring takes one command, with labels
# that you have:
#
# ```bash
# keras-sda study --data rows.csv --target diagnosis
# ```
#
# It hides labels, compares these methods and more, and says how many further labels the unlabelled
# rows are worth. A rule of thumb: try label spreading first, as it trains nothing; the ladder where
# there are too many rows for that or you need a network; pretraining where you want a network of
# your own design. And always compare with a simple classifier on the labelled rows.
