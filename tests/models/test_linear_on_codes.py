"""The linear model on inputs and codes: what it solves, and that its stack stays as it is."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict

from keras_sda.models import LinearOnCodes, StackedDenoisingAutoencoder, linear_solver
from keras_sda.models.linear_on_codes import better_head


def standardised(x):
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")


def pretrained(x, **options):
    options = {"hidden_units": [16, 8], "activation": "sigmoid", "seed": 0} | options
    stack = StackedDenoisingAutoencoder(x.shape[1], **options)
    stack.pretrain(x, epochs=3, verbose=0)
    return stack


@pytest.fixture(scope="module")
def cancer():
    x, y = load_breast_cancer(return_X_y=True)
    x = standardised(x)
    return x, y, pretrained(x)


def blocks_of(stack, x):
    """Returns inputs and codes of each level: each block centred, its mean square norm 9."""
    blocks = [x, stack.encode(x, level=0), stack.encode(x, level=1)]
    return [standard_block(block.astype("float64")) for block in blocks]


def standard_block(block):
    centred = block - block.mean(axis=0)
    return 3 * centred / np.sqrt((centred**2).sum(axis=1).mean())


def by_hand(model, stack, x):
    """Returns the features of the six models."""
    inputs, *codes = blocks_of(stack, x)
    plain = np.hstack([x, stack.encode(x, level=0), stack.encode(x, level=1)])
    waves = np.cos(plain.astype("float64") @ np.array(model.waves.kernel) + model.waves.bias)
    slow, fast = (standard_block(half) for half in np.split(waves, 2, axis=1))
    standard = standardised(x) * 3 / np.sqrt(x.shape[1])
    return [
        inputs,
        *(np.hstack([inputs, *each]) for each in (codes, [slow], [fast])),
        standard,
        np.hstack([standard, *codes]),
    ]


def test_waves_make_a_gaussian_kernel(cancer):
    x, y, stack = cancer
    model = LinearOnCodes(stack, num_classes=2, seed=3)
    model.solve(x[:50], y[:50], all_rows=x)
    inputs, *codes = blocks_of(stack, x)
    rows = np.hstack([inputs, *(block / 2 for block in codes)])[:40]
    squares = ((rows[:, None] - rows) ** 2).sum(axis=2)
    features = keras.ops.convert_to_numpy(model.features(x[:40]))[:, -512:].astype("float64")
    for waves, scale in zip(np.split(features, 2, axis=1), (6, 3), strict=True):
        kernel = np.exp(-squares / (2 * scale**2))
        difference = waves @ waves.T / 128 - kernel
        # Means of 256 products, whose deviation is at most 0.07.
        assert np.abs(difference).mean() < 0.08
        assert np.abs(difference).max() < 0.4


def shares_by_likelihood(losses):
    """Returns how probable each model is in the mean over 4,000 samples drawn from the rows."""
    rng, shares = np.random.default_rng(5), 0
    for _ in range(4000):
        weights = rng.standard_exponential(len(losses[0]))
        found = [-0.5 * len(own) * np.average(own, weights=weights) for own in losses]
        likelihoods = np.exp(np.array(found) - max(found))
        shares += likelihoods / likelihoods.sum() / 4000
    return shares


@pytest.mark.parametrize("every", [2, 17], ids=["more rows than features", "fewer"])
def test_a_classifier_is_the_mean_of_logistic_regressions(every, cancer, monkeypatch):
    monkeypatch.setattr(linear_solver, "_LOGISTIC_PENALTIES", np.logspace(-3, 3, 7))
    x, y, stack = cancer
    model = LinearOnCodes(stack, num_classes=2, seed=0)
    members = model.solve(x[::every], y[::every], all_rows=x)
    shares, losses_of_rows, logits = [], [], []
    for features, (penalty, share) in zip(by_hand(model, stack, x), members, strict=True):
        # As in the solver, whose basis may be another one: weak penalties are settled in neither.
        search = GridSearchCV(
            LogisticRegression(max_iter=300),
            {"C": np.logspace(-3, 3, 7)},
            scoring="neg_log_loss",
            cv=StratifiedKFold(5, shuffle=True, random_state=0),
        ).fit(features[::every], y[::every])
        losses = -search.cv_results_["mean_test_score"]
        chosen = losses[round(3 - np.log10(penalty))]
        assert chosen == pytest.approx(losses.min(), abs=0.01)
        alike = LogisticRegression(C=1 / penalty, max_iter=5000, tol=1e-7)
        logits.append(alike.fit(features[::every], y[::every]).decision_function(features))
        logs = cross_val_predict(
            LogisticRegression(C=1 / penalty, max_iter=300),
            features[::every],
            y[::every],
            cv=StratifiedKFold(5, shuffle=True, random_state=0),
            method="predict_log_proba",
        )
        losses_of_rows.append(-logs[np.arange(len(logs)), y[::every]])
        shares.append(share)
    # Of 1,000 draws, whose standard deviation is at most 0.5.
    np.testing.assert_allclose(shares, shares_by_likelihood(losses_of_rows), atol=0.05)
    expected = 1 / (1 + np.exp(-np.average(logits, axis=0, weights=shares)))
    np.testing.assert_allclose(model.predict(x, verbose=0)[:, 1], expected, atol=0.01)
    again = LinearOnCodes(stack, num_classes=2, seed=0)
    assert again.solve(x[::every], y[::every], all_rows=x, members=members) == members
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_regressor_is_the_mean_of_ridge_regressions():
    x, y = load_diabetes(return_X_y=True)
    x = standardised(x)
    stack = pretrained(x)
    model = LinearOnCodes(stack, head=keras.layers.Dense(2))
    targets = np.column_stack([y, -2 * y])
    members = model.solve(x[:80], targets[:80], all_rows=x)
    predicted, errors = [], []
    for features in by_hand(model, stack, x):
        ridge = RidgeCV(alphas=np.logspace(-1, 3, 9)).fit(features[:80], targets[:80])
        alone = cross_val_predict(Ridge(ridge.alpha_), features[:80], targets[:80], cv=80)
        errors.append(((alone - targets[:80]) ** 2).mean(axis=1))
        predicted.append((ridge.alpha_, ridge.predict(features)))
    best = min(errors, key=np.mean)
    kept = []
    for (penalty, share), (alpha, outputs), own in zip(members, predicted, errors, strict=True):
        assert penalty == pytest.approx(alpha)
        difference = own - best
        is_kept = difference.mean() <= 2 * difference.std() / np.sqrt(80)
        assert (share > 0) == is_kept
        if is_kept:
            kept.append(outputs)
    expected = np.mean(kept, axis=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-3)


def test_models_that_are_clearly_worse_are_left_out():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 2)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype(int)  # exclusive or
    model = LinearOnCodes(StackedDenoisingAutoencoder(2, [2, 2], seed=0), num_classes=2, seed=0)
    members = model.solve(x[:150], y[:150], all_rows=x)
    shares = [share for _, share in members]
    assert sum(shares) == pytest.approx(1)
    assert shares[0] == shares[4] == 0, "inputs alone know nothing, standardised or not"
    assert shares[3] > 0.5, "fast waves do"
    assert (model.predict(x[150:], verbose=0).argmax(axis=1) == y[150:]).mean() > 0.9
    kernel = np.array(model.head.kernel)
    again = LinearOnCodes(model.stack, num_classes=2, seed=0)
    assert again.solve(x[:150], y[:150], all_rows=x, members=members) == members
    np.testing.assert_array_equal(np.array(again.head.kernel), kernel)


def test_the_network_is_taken_only_where_it_is_clearly_better():
    errors = np.repeat([1.0, 0.0], [8, 8])
    # Of 16 rows 3 better: a mean gain of 0.188, whose standard error is 0.098. Of 4: 0.25, 0.108.
    for better, expected in ((3, "linear"), (4, "finetune")):
        fewer = errors.copy()
        fewer[:better] = 0.0
        assert better_head(errors, fewer) == expected
        assert better_head(fewer, errors) == "linear"
    assert better_head(errors, errors) == "linear"


def test_classes_without_a_label_are_never_predicted():
    x, y = load_wine(return_X_y=True)
    x = standardised(x)
    model = LinearOnCodes(pretrained(x), num_classes=5)
    model.solve(x, 1 + y)
    probabilities = model.predict(x, verbose=0)
    assert not probabilities[:, [0, 4]].any()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (probabilities.argmax(axis=1) == 1 + y).mean() > 0.95
    single = np.flatnonzero(np.arange(len(y)) % 20 == 0)[:2]
    assert set(y[single]) == {0}
    lonely = np.append(single, len(y) - 1)  # a class of one row is in no cross-validation
    assert model.solve(x[lonely], y[lonely]) == 6 * ((1.0, 1 / 6),)


def test_weights_are_those_of_scikit_learn(cancer):
    x, y, stack = cancer
    weight = np.where(y[:60] == 0, 3.0, 0.2)
    once, weighted = (LinearOnCodes(stack, num_classes=2) for _ in range(2))
    once.solve(x[:60], y[:60], all_rows=x)
    weighted.solve(x[:60], y[:60], sample_weight=weight, all_rows=x)
    first = once.predict(x, verbose=0)[:, 0].mean()
    assert weighted.predict(x, verbose=0)[:, 0].mean() > first + 0.02


def test_the_stack_stays_as_it_is(cancer):
    x, y, stack = cancer
    model = LinearOnCodes(stack, num_classes=2)
    model.solve(x[:50], y[:50], all_rows=x)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    kernel = np.array(model.head.kernel)
    model.fit(x[:50], y[:50], epochs=1, verbose=0)
    assert np.abs(np.array(model.head.kernel) - kernel).max() > 0
    for level in (0, 1):
        np.testing.assert_array_equal(model.encode(x, level), stack.encode(x, level))
    np.testing.assert_array_equal(model.reconstruct(x), stack.reconstruct(x))
    np.testing.assert_array_equal(model.reconstruction_error(x), stack.reconstruction_error(x))
    np.testing.assert_array_equal(model.decode(model.encode(x)), stack.reconstruct(x))
    assert model.reconstructs


def test_the_denoiser_of_a_fine_tuned_stack_is_taken():
    x, y = load_wine(return_X_y=True)
    x = standardised(x)
    unsupervised = pretrained(x)
    stack = pretrained(x, num_classes=3)
    stack.compile("adam", "sparse_categorical_crossentropy")
    stack.fit(x, y, epochs=2, verbose=0)
    model = LinearOnCodes(stack, num_classes=3)
    np.testing.assert_allclose(model.encode(x), unsupervised.encode(x), atol=1e-6)
    lost = StackedDenoisingAutoencoder(13, [4], num_classes=3, keep_denoiser=False, seed=0)
    lost.compile("adam", "sparse_categorical_crossentropy")
    lost.fit(x, y, epochs=1, verbose=0)
    with pytest.raises(ValueError, match="was trained on labels without a pretrained denoiser"):
        LinearOnCodes(lost, num_classes=3)


def test_files_and_exports_hold_all_of_it(cancer, tmp_path):
    x, y, stack = cancer
    model = LinearOnCodes(stack, num_classes=2)
    model.solve(x[:50], y[:50], all_rows=x)
    model.compile("adam", "sparse_categorical_crossentropy")
    # Of an optimizer that never took a step, Keras would refuse the file.
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


@pytest.mark.tensorflow_only
def test_export_has_four_outputs(cancer, tmp_path):
    x, y, stack = cancer
    model = LinearOnCodes(stack, num_classes=2)
    model.solve(x[:50], y[:50], all_rows=x)
    differences = model.export(tmp_path / "model", rows=x[:20])
    assert set(differences) == {"serve", "encode", "reconstruct", "score"}
    assert max(differences.values()) < 1e-5


def test_what_does_not_fit_is_refused(cancer):
    x, y, stack = cancer
    with pytest.raises(ValueError, match="must be a StackedDenoisingAutoencoder. Received: Seq"):
        LinearOnCodes(keras.Sequential(), num_classes=2)
    with pytest.raises(ValueError, match="either `num_classes` or `head`"):
        LinearOnCodes(stack)
    with pytest.raises(ValueError, match=r"must be a keras\.layers\.Dense"):
        LinearOnCodes(stack, head=keras.layers.Flatten())
    with pytest.raises(ValueError, match=r"LinearOnCodes\.solve\(\)"):
        LinearOnCodes(stack, num_classes=2).solve(x[:, :3], y)


@pytest.mark.parametrize(("weight", "best"), [(None, 1.0), (np.array([9.0, 9.0, 1.0]), 2.0)])
def test_weights_of_rows_count_where_a_penalty_is_chosen(weight, best):
    losses = {1.0: np.array([2.0, 2.0, 0.0]), 2.0: np.array([1.0, 1.0, 4.0])}
    folds = [(np.array([1]), np.array([0, 2])), (np.array([0, 2]), np.array([1]))]
    found = linear_solver._best_by_folds(
        list(losses), lambda penalty, _, held_out: losses[penalty][held_out], folds, weight
    )
    assert found[0] == best
    expected = losses[best] if weight is None else losses[best] * weight
    np.testing.assert_array_equal(found[1], expected)
