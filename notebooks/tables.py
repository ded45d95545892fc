# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A table from CSV to deployment
#
# Tables come with text, gaps, dates and numbers of all sizes, and with few labels. This notebook
# leads one from a CSV file to a model that takes its rows as they are, in ONNX Runtime, and shows
# what an autoencoder is good for on the way: filling gaps, naming strange values, and a classifier
# that is always shown beside logistic regression and a forest.
#
# Reading tables and ONNX need extras: `pip install "keras-sda[tables,onnx]"`. The same is done from
# the command line in the [guide on tables](../docs/tables.md).

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import pandas as pd

import keras_sda as ks

# %% [markdown]
# ## The table
#
# 2,000 pumps, made up: a name, where each stands and what it pumps, when it was last serviced, and
# four measurements that depend on all this. A tenth of two measurements is missing. Whether a pump
# will fail is known of 150 only; the label of the others is blank.

# %%
rng = np.random.default_rng(0)
count = 2000
age = rng.gamma(2.0, 3.0, count)
fluid = rng.choice(["water", "brine", "oil"], count, p=[0.6, 0.25, 0.15])
site = rng.choice(["north", "south", "harbour"], count)
load = rng.normal(0, 1, count)
wear = 0.25 * age + 1.2 * (fluid == "brine") + 0.5 * load + 0.3 * rng.normal(size=count)
table = pd.DataFrame(
    {
        "pump": [f"P{number:04d}" for number in range(count)],
        "site": site,
        "fluid": fluid,
        "serviced": pd.Timestamp("2024-01-01") - pd.to_timedelta((60 * age).astype(int), unit="D"),
        "power": 40 + 6 * load + 4 * (fluid == "oil") + 0.5 * rng.normal(size=count),
        "temperature": 50 + 3 * load + 2 * wear + rng.normal(size=count),
        "vibration": np.exp(0.5 * wear + 0.3 * rng.normal(size=count)),
        "flow": 100 - 5 * wear + 8 * load + rng.normal(size=count),
    }
)
for name in ("temperature", "vibration"):
    table.loc[rng.random(count) < 0.1, name] = np.nan
chance = 1 / (1 + np.exp(-2.5 * (wear - 3)))
fails = pd.Series(np.where(rng.random(count) < chance, "yes", "no"))
known, test = np.arange(count) < 1500, np.arange(count) >= 1500
table["fails"] = fails.mask(known & (np.arange(count) >= 150), "")
table["part"] = np.where(test, "test", "train")

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
table.to_csv(folder / "pumps.csv", index=False)
table.head()

# %% [markdown]
# ## What is in it
#
# `Columns` finds out what each column is: categories, dates, numbers, and names of rows, which are
# not inputs. Numbers are squashed, so that a few large ones do not make the whole loss; a gap has a
# flag. `kinds=` overrides what was inferred.

# %%
columns = ks.datasets.Columns.fit(table, target="fails", ids=["pump"], kinds={"part": "ignore"})
print(columns.table())
assert {column.name for column in columns.used} == set(table) - {"pump", "fails", "part"}

# %% [markdown]
# ## Train
#
# The network is pretrained on all rows of the training part, without labels: in each row a fifth of
# the columns is swapped for values of other rows, and it learns to restore them. Then a linear
# model on its inputs and codes learns from the 150 labels. (Without `training.head`,
# cross-validation chooses between it and fine-tuning the whole network.) The 500 test rows are used
# for nothing but the figures below.

# %%
experiment = ks.experiments.default("sda").but(
    {
        "data.name": str(folder / "pumps.csv"),
        "data.target": "fails",
        "data.ids": ["pump"],
        "data.split_column": "part",
        "pretraining.epochs": 10,
        "training.head": "linear",
    }
)
run = ks.experiments.run(experiment, folder / "run", compare=True, verbose=0)
figures = pd.DataFrame(
    {
        name: {figure: value for figure, (value, _, _) in entries.items()}
        for name, entries in run.metrics["comparison"]["figures"].items()
    }
)
assert figures.loc["ROC-AUC"].min() > 0.8
figures.round(3)

# %% [markdown]
# Intervals tell more than a single figure: where they overlap as much as here, take the simplest.

# %%
figure, axis = plt.subplots(figsize=(5, 2.2), layout="constrained")
for place, entries in enumerate(run.metrics["comparison"]["figures"].values()):
    value, low, high = entries["ROC-AUC"]
    axis.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="o", capsize=4)
axis.set_yticks(range(figures.shape[1]), figures.columns)
axis.set_ylim(-0.5, figures.shape[1] - 0.5)
axis.set(xlabel="ROC-AUC on test rows, with 95 % intervals")
plt.show()

# %% [markdown]
# ## Fill gaps
#
# `SDAImputer` is trained for gaps alone: it removes cells and learns to put them back. Here it is
# asked for measurements that are known and were hidden from it. The median of the column is the
# least that it has to beat.

# %%
measured = table.drop(columns=["pump", "fails", "part"])
is_hidden = measured["flow"].notna() & (rng.random(count) < 0.2)
gapped = measured.assign(flow=measured["flow"].mask(is_hidden))
filled = ks.sklearn.SDAImputer(random_state=0).fit_transform(gapped)
truth = measured.loc[is_hidden, "flow"]
error = np.sqrt(np.mean((filled.loc[is_hidden, "flow"] - truth) ** 2))
of_median = np.sqrt(np.mean((gapped["flow"].median() - truth) ** 2))
print(f"error of flow: {error:.2f} as filled in, {of_median:.2f} by the median")
assert error < 0.6 * of_median
assert filled.isna().sum().sum() == 0

# %% [markdown]
# ## Name strange values
#
# One pump gets a flow that others have, but none like it. The run's denoiser rebuilds each column
# from the others: what is found stands beside what is expected.

# %%
strange = table[test].head(100).copy()
row = strange["flow"].idxmin()
strange.loc[row, "flow"] = 115.0
told = run.explain(strange, top=1, columns=2)
assert told.loc[0, "row"] == list(strange.index).index(row)
assert told.loc[0, "column"] == "flow"
told

# %% [markdown]
# ## Codes
#
# The codes of the last level, in the plane: wear, which no column holds, runs through them.

# %%
codes = run.encode(run.scaled(table))
centred = codes - codes.mean(axis=0)
plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
explained = np.linalg.lstsq(np.c_[codes, np.ones(count)], wear, rcond=None)[0]
fitted = np.c_[codes, np.ones(count)] @ explained
r2 = 1 - np.mean((wear - fitted) ** 2) / np.var(wear)
assert r2 > 0.8

figure, axis = plt.subplots(figsize=(5, 3.6), layout="constrained")
points = axis.scatter(*plane.T, c=wear, s=6, cmap="viridis")
figure.colorbar(points, label="wear")
axis.set(xlabel="first principal component", ylabel="second", title=f"wear from codes: R2 {r2:.2f}")
plt.show()

# %% [markdown]
# ## Deploy
#
# The exported model holds the preprocessing: text, gaps and values that training never saw go in as
# they are. `arrays` puts a frame into the two arrays that it takes, by the names of its columns.

# %%
path = folder / "pumps.onnx"
differences = run.model.export(path, format="onnx", columns=run.columns)
assert max(differences.values()) <= 1e-5
new = table[test].head(5).drop(columns=["fails", "part"])
new.loc[new.index[0], ["site", "vibration"]] = ["moon", np.nan]
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
probabilities, scores = session.run(["serve", "score"], run.columns.arrays(new))
in_keras = run.model.predict(run.scaled(new), verbose=0)
assert np.allclose(probabilities, in_keras, atol=1e-5)
yes = run.classes.index("yes")
new.assign(fails=probabilities[:, yes].round(3), strangeness=scores.round(2))

# %% [markdown]
# Column names decide, not places: a table in another order is the same, and one that lacks a column
# is refused.

# %%
assert np.array_equal(run.scaled(new[new.columns[::-1]]), run.scaled(new))
try:
    run.scaled(new.drop(columns="power"))
except ValueError as refusal:
    print(refusal)
temporary.cleanup()
