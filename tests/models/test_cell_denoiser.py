"""The network of the imputer: its loss by hand, what it removes, what it keeps in files."""

import keras
import numpy as np
import pytest

from keras_sda.models.cell_denoiser import CellDenoiser

COLUMNS = [("numeric", 1), ("binary", 1), ("categorical", 3), ("numeric", 2)]


def rows_and_flags(count, rng):
    numbers, binary = rng.normal(size=(count, 3)), rng.integers(0, 2, (count, 1))
    categories = np.eye(3)[rng.integers(0, 3, count)]
    values = np.concatenate([numbers[:, :1], binary, categories, numbers[:, 1:]], axis=1)
    there = rng.random((count, 4)) < 0.8
    column = np.repeat([0, 1, 2, 3], [1, 1, 3, 2])
    return np.concatenate([values * there[:, column], there], axis=1).astype("float32")


def losses_by_hand(values, outputs):
    """The loss of each cell, in float64: squared error of variance 1, and cross-entropies."""
    number = 0.5 * (outputs[:, 0] - values[:, 0]) ** 2
    probability = 1 / (1 + np.exp(-outputs[:, 1]))
    binary = -np.log(np.where(values[:, 1] == 1, probability, 1 - probability))
    softmax = np.exp(outputs[:, 2:5]) / np.exp(outputs[:, 2:5]).sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):  # of rows that lack the category, which do not count
        category = -np.log((softmax * values[:, 2:5]).sum(axis=1))
    date = 0.5 * ((outputs[:, 5:7] - values[:, 5:7]) ** 2).mean(axis=1)
    return np.stack([number, binary, category, date], axis=1)


def test_loss_by_hand():
    rng = np.random.default_rng(0)
    x = rows_and_flags(50, rng)
    x[:, 2:5] = np.eye(3)[rng.integers(0, 3, 50)] * x[:, [9]]
    model = CellDenoiser(COLUMNS, [5], passes=1, seed=0)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    model.compile("adam")
    outputs = model.predict(x, verbose=0).astype("float64")
    there = x[:, 7:] == 1
    expected = losses_by_hand(x.astype("float64"), outputs)[there].mean()
    assert model.evaluate(x, verbose=0, batch_size=50) == pytest.approx(expected, rel=1e-5)


def test_training_counts_removed_cells_alone():
    rng = np.random.default_rng(1)
    x = rows_and_flags(2000, rng)
    model = CellDenoiser(COLUMNS, [4], removal_rate=(0.3, 0.3), dropout=0.0, seed=1)
    for weight in model.trainable_variables:
        weight.assign(0.1 * rng.normal(size=weight.shape))
    outputs = model(x, training=True)
    removed = keras.ops.convert_to_numpy(model.kept.removed)
    assert set(np.unique(removed)) == {0.0, 1.0}
    assert (removed <= x[:, 7:]).all()
    assert removed.sum() / x[:, 7:].sum() == pytest.approx(0.3, abs=0.03)
    # What was removed cannot be seen: the outputs are those of rows that lack it.
    seen = x.copy()
    seen[:, 7:] -= removed
    seen[:, :7] *= seen[:, 7:][:, [0, 1, 2, 2, 2, 3, 3]]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(outputs), keras.ops.convert_to_numpy(model(seen)), atol=1e-5
    )
    loss = model.compute_loss(x=x, y_pred=outputs, training=True)
    by_hand = [
        losses_by_hand(x.astype("float64"), keras.ops.convert_to_numpy(y).astype("float64"))
        for y in model.kept.every
    ]
    assert len(by_hand) == 2
    loss = float(keras.ops.convert_to_numpy(loss))
    assert loss == pytest.approx(np.mean(by_hand, axis=0)[removed == 1].mean(), rel=1e-4)


def test_the_second_pass_sees_what_the_first_has_filled():
    rng = np.random.default_rng(4)
    x = rows_and_flags(20, rng)
    once, twice = (CellDenoiser(COLUMNS, [5], passes=passes, seed=0) for passes in (1, 2))
    for one, two in zip(once.trainable_variables, twice.trainable_variables, strict=True):
        one.assign(rng.normal(size=one.shape))
        two.assign(one)
    first = keras.ops.convert_to_numpy(once(x)).astype("float64")
    softmax = np.exp(first[:, 2:5]) / np.exp(first[:, 2:5]).sum(axis=1, keepdims=True)
    expected = np.c_[first[:, :1], 1 / (1 + np.exp(-first[:, 1])), softmax, first[:, 5:]]
    is_seen = x[:, 7:][:, [0, 1, 2, 2, 2, 3, 3]] == 1
    filled = np.c_[np.where(is_seen, x[:, :7], expected), x[:, 7:]].astype("float32")
    # The flags stay, so that what stands where a cell is missing is taken for what it is.
    codes = filled
    for layer in once.hidden:
        codes = layer(codes)
    second = once.from_hidden(codes) + once.from_inputs(filled)
    twice, second = map(keras.ops.convert_to_numpy, (twice(x), second))
    np.testing.assert_allclose(twice, second, rtol=1e-3, atol=1e-4)


def test_it_starts_at_the_mean_and_learns_what_columns_have_in_common():
    rng = np.random.default_rng(2)
    first = rng.normal(size=(512, 1))
    x = np.concatenate([first, -first, np.ones((512, 2))], axis=1).astype("float32")
    model = CellDenoiser([("numeric", 1), ("numeric", 1)], [16], seed=0)
    assert not model.predict(x, verbose=0).any()
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(x, batch_size=64, epochs=20, verbose=0)
    hidden = x * [0, 1, 0, 1]
    filled = model.predict(hidden.astype("float32"), verbose=0)[:, 0]
    assert np.abs(filled - first[:, 0]).max() < 0.3


def test_a_file_gives_it_back(tmp_path):
    x = rows_and_flags(10, np.random.default_rng(3))
    model = CellDenoiser(COLUMNS, [5, 4], activation="relu", seed=0)
    model.compile("adam")
    model.fit(x, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.columns == COLUMNS


def test_refused_arguments():
    with pytest.raises(ValueError, match="`columns` of CellDenoiser must be one of 'numeric'"):
        CellDenoiser([("count", 1)])
    with pytest.raises(ValueError, match=r"`removal_rate` of CellDenoiser must lie in \[0, 1\]"):
        CellDenoiser(COLUMNS, removal_rate=(0.1, 1.5))
