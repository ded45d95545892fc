import keras
import numpy as np
import pytest
from checks import check_saving
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import keras_sda as ks


def test_agrees_with_scikit_learn(digits, tmp_path):
    x, y = digits
    rows, weight = slice(0, 500), 1e-3
    # scikit-learn: sum of losses + |W|^2 / (2 C); here: mean of losses + l2 * |W|^2.
    theirs = LogisticRegression(C=1 / (2 * weight * 500), max_iter=1000, tol=1e-8)
    theirs.fit(x[rows], y[rows])
    ours = ks.SoftmaxRegression(64, 10, l2=weight, seed=0)
    # Full batches, forty of them to a call, as each call costs more than the step.
    loss = "sparse_categorical_crossentropy"
    steps = 1 if keras.backend.backend() == "torch" else 40  # PyTorch takes one at a time
    ours.compile(keras.optimizers.Adam(0.05), loss, steps_per_execution=steps)
    many = np.tile(x[rows], (40, 1)), np.tile(y[rows], 40)
    ours.fit(*many, batch_size=500, epochs=20, shuffle=False, verbose=0)
    penalty = weight * (theirs.coef_**2).sum()
    least = log_loss(y[rows], theirs.predict_proba(x[rows])) + penalty
    assert ours.evaluate(x[rows], y[rows], verbose=0) == pytest.approx(least, rel=1e-3)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict_proba(x), atol=0.02)
    check_saving(ours, x[:20], tmp_path)


def test_starts_at_even_odds_and_from_given_arrays(digits):
    x, _ = digits
    model = ks.SoftmaxRegression(64, 10)
    np.testing.assert_allclose(model.predict(x[:3], verbose=0), 0.1, rtol=1e-6)
    kernel, bias = np.eye(64)[:, :10], np.arange(10)
    model.start_from([kernel, bias])
    scores = np.exp(x[:3] @ kernel + bias)
    expected = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(x[:3], verbose=0), expected, rtol=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match="`num_classes` of SoftmaxRegression must be at least 2"):
        ks.SoftmaxRegression(64, 1)
    with pytest.raises(ValueError, match="must name one of 0 hidden"):
        ks.SoftmaxRegression(64, 10).encode(np.zeros((1, 64), "float32"))
