# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Baselines: softmax regression, multilayer perceptron, LeNet-5
#
# These models are what a pretrained stack has to be compared with. This notebook also takes up two
# questions that its history turns on: which activation, and how large the initial weights should
# be. The size of gradients answers both: a layer that gets no gradient does not learn.

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import keras_sda as ks

data = ks.datasets.load("digits")
images = ks.datasets.load("digits", flatten=False)
SEEDS = range(3)

# %% [markdown]
# ## Three classifiers
#
# LeNet-5 needs images larger than 8 x 8, so the digits are enlarged to 16 x 16. Each model is
# trained for ten epochs with Adam, with three seeds.


# %%
def enlarge(rows):
    return np.asarray(keras.ops.image.resize(rows, (16, 16)))


def train(model, x, y, epochs=10):
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
    return model


large_train, large_test = enlarge(images.train.x), enlarge(images.test.x)
accuracies = {"softmax regression": [], "MLP 64-128-10": [], "LeNet-5": []}
for seed in SEEDS:
    softmax = train(ks.SoftmaxRegression(64, 10, seed=seed), *data.train)
    mlp = train(ks.MLP(64, [128], num_classes=10, seed=seed), *data.train)
    lenet = ks.LeNet5((16, 16, 1), 10, kernels=(8, 16), hidden_units=64, kernel_size=3, seed=seed)
    train(lenet, large_train, images.train.y)
    for name, model, x in (
        ("softmax regression", softmax, data.test.x),
        ("MLP 64-128-10", mlp, data.test.x),
        ("LeNet-5", lenet, large_test),
    ):
        accuracies[name].append(model.evaluate(x, data.test.y, verbose=0)[1])
for name, values in accuracies.items():
    print(f"{name:19} {np.mean(values):.3f}   seeds:", " ".join(f"{v:.3f}" for v in values))
for seed in SEEDS:
    of_softmax = accuracies["softmax regression"][seed]
    assert accuracies["MLP 64-128-10"][seed] > of_softmax
    assert accuracies["LeNet-5"][seed] > of_softmax

# %% [markdown]
# A hidden layer helps with every seed. That convolutions help more than a hidden layer shows on
# larger images (see the recipes `mlp-tutorial` and `lenet5`, on MNIST), but not on these. Which
# digits LeNet-5 confuses:

# %%
predicted = lenet.predict(large_test, verbose=0).argmax(axis=1)
figure = ks.plots.plot_confusion(data.test.y, predicted, title="LeNet-5")
figure.set_size_inches(5, 5)
figure

# %%
wrong = np.flatnonzero(predicted != data.test.y)[:12]
assert len(wrong)
figure, all_axes = plt.subplots(
    1, len(wrong), figsize=(0.8 * len(wrong), 1.2), squeeze=False, layout="constrained"
)
for axes, row in zip(all_axes[0], wrong, strict=True):
    axes.imshow(large_test[row, :, :, 0], cmap="gray")
    axes.set_title(f"{data.test.y[row]} as {predicted[row]}", fontsize=9)
    axes.set_axis_off()
plt.show()

# %% [markdown]
# ## The size of gradients by depth
#
# Take six hidden layers, untrained, with a softmax layer of random weights on top. The plot shows
# the root mean square of the gradient of the loss with respect to each kernel, on the training
# digits.
#
# The slope of the logistic sigmoid is at most 1/4. With Glorot's usual bound its gradients shrink
# by about the same factor from layer to layer on the way down, a straight line on this scale; a
# bound four times as wide compensates for the slope. tanh and ReLU do not need that.

# %%
DEPTH = 6
CASES = {
    "sigmoid": ("sigmoid", "glorot_uniform"),
    "sigmoid, 4 x Glorot": ("sigmoid", ks.initializers.SigmoidGlorotUniform()),
    "tanh": ("tanh", "glorot_uniform"),
    "ReLU": ("relu", "glorot_uniform"),
}


def make_deep(activation, initializer, seed):
    return ks.MLP(
        64,
        [100] * DEPTH,
        num_classes=10,
        activation=activation,
        kernel_initializer=initializer,
        head_initializer="glorot_uniform",
        seed=seed,
    )


def gradient_sizes(model):
    loss = keras.losses.SparseCategoricalCrossentropy()
    kernels = [level.kernel.value for level in model.levels]
    with tf.GradientTape() as tape:
        value = loss(data.train.y, model(data.train.x))
    return [float(tf.sqrt(tf.reduce_mean(g**2))) for g in tape.gradient(value, kernels)]


sizes = {
    name: np.array([gradient_sizes(make_deep(*case, seed)) for seed in SEEDS])
    for name, case in CASES.items()
}
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for number, (name, values) in enumerate(sizes.items()):
    depths = np.arange(1, DEPTH + 1)
    for one in values:
        axes.semilogy(depths, one, color=f"C{number}", alpha=0.3)
    axes.semilogy(depths, np.exp(np.log(values).mean(axis=0)), "o-", color=f"C{number}", label=name)
    ratio = values[:, -1] / values[:, 0]
    print(f"{name:20} gradient at the top / at the bottom: {np.exp(np.log(ratio).mean()):.3g}")
axes.set(xlabel="hidden layer", ylabel="gradient, root mean square", title="Before training")
axes.grid(alpha=0.3)
axes.legend()
plt.show()
for seed in SEEDS:
    shrinks = {name: values[seed, -1] / values[seed, 0] for name, values in sizes.items()}
    assert shrinks["sigmoid"] > 300
    assert shrinks["sigmoid, 4 x Glorot"] < 30
    assert shrinks["tanh"] < 10
    assert shrinks["ReLU"] < 10

# %% [markdown]
# ## What that does to training
#
# The same four networks are trained for eight epochs. The sigmoid network with the usual weights
# lags far behind with every seed: until its lower layers get a gradient, its output is the same for
# every digit. Greedy pretraining was invented to solve this problem; wider weights or another
# activation solve it as well.

# %%
curves = {}
for name, case in CASES.items():
    for seed in SEEDS:
        model = make_deep(*case, seed)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(
            *data.train, epochs=8, batch_size=32, validation_data=tuple(data.valid), verbose=0
        )
        curves.setdefault(name, []).append(history.history["val_accuracy"])
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for number, (name, values) in enumerate(curves.items()):
    for one in values:
        axes.plot(range(1, 9), one, color=f"C{number}", alpha=0.3)
    axes.plot(range(1, 9), np.mean(values, axis=0), color=f"C{number}", label=name)
    print(f"{name:20} validation accuracy {np.mean([one[-1] for one in values]):.3f}")
axes.set(xlabel="epoch", ylabel="validation accuracy", title=f"{DEPTH} hidden layers")
axes.grid(alpha=0.3)
axes.legend()
plt.show()
for seed in SEEDS:
    for name in ("sigmoid, 4 x Glorot", "tanh", "ReLU"):
        assert curves[name][seed][-1] > curves["sigmoid"][seed][-1] + 0.3

# %% [markdown]
# And now pretraining itself: the sigmoid network with the usual weights, where each layer is first
# trained to denoise, and then the same eight epochs.

# %%
rescued = []
for seed in SEEDS:
    sda = ks.StackedDenoisingAutoencoder(
        64,
        [100] * DEPTH,
        num_classes=10,
        noise_level=0.1,
        activation="sigmoid",
        kernel_initializer="glorot_uniform",
        batch_normalization=False,
        seed=seed,
    )
    sda.pretrain(data.train.x, epochs=6, batch_size=32, learning_rate=0.003, verbose=0)
    sda.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = sda.fit(
        *data.train, epochs=8, batch_size=32, validation_data=tuple(data.valid), verbose=0
    )
    rescued.append(history.history["val_accuracy"][-1])
print("sigmoid, pretrained: validation accuracy of each seed", np.round(rescued, 3))
for seed in SEEDS:
    assert rescued[seed] > curves["sigmoid"][seed][-1] + 0.2
