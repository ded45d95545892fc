# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # The variational autoencoder
#
# An autoencoder gives each row one code. A variational autoencoder (VAE) gives it a *distribution*
# of codes, and keeps these distributions close to one that is the same for all rows, the prior.
# Codes drawn from the prior can then be decoded: the model generates new rows.
#
# It is trained by maximising a lower bound of the log-likelihood (the evidence lower bound, ELBO).
# For a row `x` and a code `z` drawn from its distribution `q(z | x)`, with the prior `p(z)`:
#
# ```text
# log p(x)  >=  E[log p(x | z)]  -  KL(q(z | x), p(z))
# ```
#
# The loss is the negative of the bound, in nats. Its two parts are reported as `nll`, the negative
# log-likelihood of the row given its code, and `kl`, the divergence of its codes from the prior.

# %%
# %matplotlib inline
import keras
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

import keras_sda as ks

data = ks.datasets.load("digits")

# %% [markdown]
# ## The bound
#
# Two latent units can be drawn in a plane; eight hold more information. Pixels are grey, so the
# likelihood is Gaussian; its standard deviation sets how small a difference in a pixel need not be
# reconstructed. A density may be larger than 1, so its logarithm, and the bound, may have either
# sign. Three seeds each.


# %%
def train(latent_dim, seed, epochs=60):
    vae = ks.VariationalAutoencoder(
        input_dim=64,
        hidden_units=(128,),
        latent_dim=latent_dim,
        likelihood="gaussian",
        likelihood_stddev=0.15,
        seed=seed,
    )
    vae.compile(keras.optimizers.Adam(0.003))
    history = vae.fit(
        data.train.x, epochs=epochs, batch_size=64, validation_data=data.valid.x, verbose=0
    )
    return vae, history.history


models = {(units, seed): train(units, seed) for units in (2, 8) for seed in range(3)}
bounds = {}
for (units, seed), (vae, _) in models.items():
    keras.utils.set_random_seed(0)
    measured = vae.evaluate(data.test.x, verbose=0, return_dict=True)
    bounds[units, seed] = measured["loss"]
    print(
        f"{units} latent units, seed {seed}: loss {measured['loss']:.2f} nats "
        f"= {measured['nll']:.2f} (nll) + {measured['kl']:.2f} (kl)"
    )
    assert np.isclose(measured["loss"], measured["nll"] + measured["kl"], atol=1e-3)

# %% [markdown]
# With every seed, eight units give the lower loss, that is the better bound.

# %%
for seed in range(3):
    assert bounds[8, seed] < bounds[2, seed]

figure, all_axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for axes, (name, title) in zip(
    all_axes, {"loss": "negative bound", "nll": "nll", "kl": "kl"}.items(), strict=True
):
    for units, colour in ((2, "C0"), (8, "C1")):
        curve = models[units, 0][1]
        axes.plot(curve[name], color=colour, label=f"{units} units, training")
        axes.plot(
            curve[f"val_{name}"], color=colour, linestyle=":", label=f"{units} units, validation"
        )
    axes.set(title=title, xlabel="epoch", ylabel="nats")
    axes.grid(alpha=0.3)
all_axes[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Closer to the log-likelihood
#
# The bound uses one draw per row. The importance-weighted estimate averages
# `p(x | z) p(z) / q(z | x)` over many draws before it takes the logarithm. With one draw it is the
# bound; in expectation it increases with each further draw, towards `log p(x)`.

# %%
vae = models[8, 0][0]
draws = [1, 3, 10, 30, 100]
estimates = [vae.log_likelihood(data.test.x, num_samples=n, seed=0).mean() for n in draws]
for n, estimate in zip(draws, estimates, strict=True):
    print(f"{n:4d} draws: log p(x) about {estimate:.2f} nats")
assert np.all(np.diff(estimates) > -0.1)  # it rises in expectation; these are averages of draws
assert estimates[-1] > estimates[0]
assert estimates[-1] > -bounds[8, 0]
assert np.isclose(estimates[0], -bounds[8, 0], atol=0.5)

figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
axes.set_ylim(min(estimates[0], -bounds[8, 0]) - 0.3, estimates[-1] + 1.2)
axes.semilogx(draws, estimates, marker="o", label="importance-weighted estimate")
axes.axhline(-bounds[8, 0], color="C1", linestyle="--", label="evidence lower bound")
axes.set(xlabel="draws for each row", ylabel="nats", title="Test rows, 8 latent units")
axes.set_xticks(draws, draws)
axes.minorticks_off()
axes.grid(alpha=0.3)
axes.legend(loc="upper left")
plt.show()

# %% [markdown]
# ## Codes in the plane
#
# The means of the codes of the test digits, each drawn as its label. Training used no labels.

# %%
plane = models[2, 0][0]
figure = ks.plots.plot_codes(plane.encode(data.test.x), data.test.y, title="Two latent units")
figure.set_dpi(80)
figure

# %% [markdown]
# ## The manifold
#
# Decoding a grid of codes shows which digits lie where. The grid consists of quantiles of the
# prior, so that every tile stands for the same share of random draws. (For images of usual sizes
# `ks.plots.plot_manifold` draws this in one line.)

# %%
quantiles = stats.norm.ppf(np.linspace(0.05, 0.95, 12))
second, first = np.meshgrid(quantiles[::-1], quantiles, indexing="ij")
grid = np.stack([first.ravel(), second.ravel()], axis=1).astype("float32")
figure, axes = plt.subplots(figsize=(6, 6), dpi=80, layout="constrained")
tiles = ks.plots.tile_images(plane.decode(grid).reshape(-1, 8, 8), columns=12)
axes.imshow(tiles, cmap="gray", vmin=0, vmax=1)
axes.set(xticks=[], yticks=[], xlabel="latent unit 0", ylabel="latent unit 1")
plt.show()

# %% [markdown]
# ## New digits
#
# Codes drawn from the prior, decoded; below each, the training digit nearest to it: the samples are
# not copies.

# %%
samples = vae.sample(12, seed=1)
distances = ((samples[:, None] - data.train.x[None]) ** 2).sum(axis=-1)
nearest = data.train.x[distances.argmin(axis=1)]
assert distances.min() > 0.05
figure, all_axes = plt.subplots(2, 1, figsize=(9, 2.4), layout="constrained")
for axes, (title, rows) in zip(
    all_axes, {"samples": samples, "nearest training digits": nearest}.items(), strict=True
):
    tiles = ks.plots.tile_images(rows.reshape(-1, 8, 8), columns=12)
    axes.imshow(tiles, cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_axis_off()
plt.show()

# %% [markdown]
# ## One unit at a time
#
# Each line starts from the code of one test digit, shown in the middle, and moves one latent unit
# through the quantiles of the prior while the others stay fixed.

# %%
figure = ks.plots.plot_traversals(vae, start=data.test.x[0], image_shape=data.image_shape)
figure.axes[0].images[0].set_clim(0, 1)
figure
