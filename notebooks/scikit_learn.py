# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # With scikit-learn
#
# `keras_sda.sklearn` has four estimators that work wherever scikit-learn's own do: pipelines, grid
# searches, cross-validation, pickles. They take raw features and scale them themselves.
#
# - `SDAClassifier` and `SDARegressor` pretrain on all rows and fine-tune on those with a label.
# - `SDATransformer` turns features into codes.
# - `SDAOutlierDetector` finds rows that are badly reconstructed, and says which features cause it.

# %%
# %matplotlib inline
import pickle

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_sda as ks

SEEDS = range(3)

# %% [markdown]
# ## Rows without a label
#
# As in scikit-learn's `semi_supervised`, the label -1 means unlabelled. Here 100 digits keep their
# label; the other training rows take part in pretraining only.

# %%
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)
few = np.full_like(y_train, -1)
kept, _ = train_test_split(
    np.arange(len(y_train)), train_size=100, stratify=y_train, random_state=0
)
few[kept] = y_train[kept]
classifier = ks.sklearn.SDAClassifier(hidden_units=(256,), scale="unit", random_state=0)
classifier.fit(X_train, few)
accuracy = classifier.score(X_test, y_test)
print(f"{(few != -1).sum()} labels, {len(few)} rows: test accuracy {accuracy:.3f}")
assert accuracy > 0.85
assert list(classifier.classes_) == list(range(10))
ks.plots.plot_learning_curves(classifier.histories_, classifier.history_)

# %% [markdown]
# The estimator can be pickled, model and scaling together:

# %%
again = pickle.loads(pickle.dumps(classifier))
assert np.array_equal(again.predict_proba(X_test), classifier.predict_proba(X_test))

# %% [markdown]
# ## Codes as features
#
# The transformer needs no labels at all. It is trained on all rows; with few labels, logistic
# regression does better on its codes of 16 numbers than on the 64 pixels. There are three seeds,
# each with its own transformer and its own 50 labels.

# %%
results = []
for seed in SEEDS:
    transformer = ks.sklearn.SDATransformer(
        hidden_units=(256, 128, 16),
        activation=("relu", "relu", "linear"),
        noise="gaussian",
        noise_level=(0.5, 0.2, 0.2),
        scale="unit",
        pretrain_epochs=15,
        epochs=50,
        learning_rate=0.003,
        batch_size=64,
        random_state=seed,
    )
    codes, test_codes = transformer.fit_transform(X_train), transformer.transform(X_test)
    spread = codes.std()
    rows, _ = train_test_split(
        np.arange(len(y_train)), train_size=50, stratify=y_train, random_state=seed
    )
    of_codes = LogisticRegression(max_iter=2000).fit(codes[rows] / spread, y_train[rows])
    of_pixels = LogisticRegression(max_iter=2000).fit(X_train[rows] / 16, y_train[rows])
    results.append(
        (of_codes.score(test_codes / spread, y_test), of_pixels.score(X_test / 16, y_test))
    )
    print(f"seed {seed}: codes {results[-1][0]:.3f}, pixels {results[-1][1]:.3f}")
assert np.mean(results, axis=0)[0] > np.mean(results, axis=0)[1]
assert transformer.get_feature_names_out()[0] == "sdatransformer0"
ks.plots.plot_reconstructions(
    X_test[:12] / 16,
    None,
    transformer.inverse_transform(test_codes[:12]).clip(0, 16) / 16,
    image_shape=(8, 8, 1),
    title="Decoded from 16 numbers by inverse_transform",
)

# %% [markdown]
# ## Choosing options by cross-validation
#
# Now a table: 30 measurements of 569 tumours. Every parameter can be searched, also inside a
# pipeline. The estimator scales the features, fitted on the training folds only.

# %%
X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
pipeline = make_pipeline(
    ks.sklearn.SDATransformer(hidden_units=(16,), pretrain_epochs=20, random_state=0),
    StandardScaler(),
    LogisticRegression(),
)
search = GridSearchCV(
    pipeline,
    {
        "sdatransformer__noise": ["masking", "swap"],
        "sdatransformer__noise_level": [0.1, 0.3],
    },
    cv=3,
)
search.fit(X_train, y_train)
plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y_train)
print("chosen:", {name.split("__")[1]: value for name, value in search.best_params_.items()})
print(f"test accuracy {search.score(X_test, y_test):.3f}; logistic regression alone", end=" ")
print(f"{plain.score(X_test, y_test):.3f}")
assert search.score(X_test, y_test) > 0.9
assert search.score(X_test, y_test) > plain.score(X_test, y_test) - 0.04

# %% [markdown]
# With a label for every row of such a table, pretraining has nothing to add, and logistic
# regression is enough. Codes of half as many numbers keep the relevant information.
#
# ## Regression

# %%
X, y = load_diabetes(return_X_y=True)
rivals = {
    "SDARegressor": ks.sklearn.SDARegressor(
        hidden_units=(16,), noise_level=0.1, pretrain_epochs=20, epochs=60, random_state=0
    ),
    "ridge regression": make_pipeline(StandardScaler(), Ridge(10.0)),
}
for name, model in rivals.items():
    scores = cross_val_score(model, X, y, cv=3, scoring="r2")
    print(f"{name:16} R2 {scores.mean():.3f}   folds: {scores.round(3)}")
    assert scores.mean() > 0.3

# %% [markdown]
# ## What makes a row an outlier
#
# The detector is trained on benign tumours and applied to all the others. `feature_errors` divides
# the error of a row among its features: the reason why it counts as an outlier.

# %%
table = load_breast_cancer()
benign, malignant = table.data[table.target == 1], table.data[table.target == 0]
known, held_out = train_test_split(benign, test_size=0.4, random_state=0)
rows = np.concatenate([held_out, malignant])
is_malignant = np.repeat([0, 1], [len(held_out), len(malignant)])
detectors = [
    ks.sklearn.SDAOutlierDetector(
        hidden_units=(8,), activation="tanh", contamination=0.05, random_state=seed
    ).fit(known)
    for seed in SEEDS
]
aucs = [roc_auc_score(is_malignant, -detector.score_samples(rows)) for detector in detectors]
alarms = [(detector.predict(held_out) == -1).mean() for detector in detectors]
found = [(detector.predict(malignant) == -1).mean() for detector in detectors]
print("AUC of each seed", np.round(aucs, 3))
print("false alarms    ", np.round(alarms, 3))
print("malignant found ", np.round(found, 3))
assert min(aucs) > 0.85
assert max(alarms) < 0.15

detector = detectors[0]
strangest = malignant[detector.score_samples(malignant).argsort()[:1]]
shares = detector.feature_errors(strangest)[0]
assert np.isclose(shares.sum(), -detector.score_samples(strangest)[0], rtol=1e-4)
top = np.argsort(shares)[::-1][:8]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
error = -detector.score_samples(rows)
bins = np.geomspace(error.min(), error.max(), 40)
for label, name in ((0, "benign, not seen in training"), (1, "malignant")):
    left.hist(error[is_malignant == label], bins, alpha=0.6, label=name)
left.axvline(detector.threshold_, color="black", linestyle="--", label="threshold")
left.set_xscale("log")
left.set(xlabel="reconstruction error", ylabel="tumours", ylim=(0, 30))
left.legend(fontsize=8, loc="upper right")
right.barh(range(len(top)), shares[top][::-1])
right.set_yticks(range(len(top)), table.feature_names[top][::-1])
right.set(xlabel="part of the error", title="The strangest tumour")
plt.show()
