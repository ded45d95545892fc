"""The loss of a table's columns: by hand, against other implementations, in models and files."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, xlogy
from tiers import in_tiers

import keras_sda as ks
from keras_sda.layers import ColumnSwapNoise
from keras_sda.losses import ColumnwiseLoss

# A number that may be missing, one of two values, three categories, a number of little variance.
GROUPS = [
    ("numeric", 0, 2, True),
    ("binary", 2, 3, False),
    ("categorical", 3, 6, False),
    ("numeric", 6, 7, False),
]


def rows(count, seed=0):
    rng = np.random.default_rng(seed)
    x = np.zeros((count, 7), "float32")
    x[:, 1] = rng.random(count) < 0.25
    x[:, 0] = np.where(x[:, 1] > 0, 0.0, rng.normal(1.0, 2.0, count))
    x[:, 2] = rng.random(count) < 0.5
    x[:, 3:6] = np.eye(3)[rng.integers(0, 3, count)]
    x[:, 6] = rng.normal(0.0, 0.1, count)
    return x


def nats(z, target):
    """Returns the cross-entropy of a logit, from its probability."""
    p = 1 / (1 + np.exp(-z))
    return -xlogy(target, p) - xlogy(1 - target, 1 - p)


def numpy(values):
    return keras.ops.convert_to_numpy(values)


def test_by_hand():
    loss = ColumnwiseLoss(GROUPS, [4, 1, 1, 1, 1, 1, 0.25], [2, 3, 5, 7], [1, 1, 1, 1])
    x = np.array([[3, 0, 1, 0, 1, 0, 0.5], [0, 1, 0, 1, 0, 0, 0]], "float64")
    z = np.array([[1, -1, 2, 0, 1, 2, 0], [9, 3, 0, 0, 0, 0, 1]], "float64")
    known = 0.5 * (3 - 1) ** 2 / 4 + nats(-1, 0)
    missing = nats(3, 1)  # of the number itself nothing counts
    softmax = -log_softmax([0, 1, 2])[1]
    expected = [
        [2 * known, 3 * nats(2, 1), 5 * softmax, 7 * 0.5 * 0.25 / 0.25],
        [2 * missing, 3 * np.log(2), 5 * np.log(3), 7 * 0.5 / 0.25],
    ]
    assert numpy(loss.by_column(x, z)) == pytest.approx(np.array(expected), rel=1e-5)
    assert numpy(loss.call(x, z)) == pytest.approx(np.sum(expected, axis=1), rel=1e-5)
    assert float(loss(x, z)) == pytest.approx(np.sum(expected) / 2, rel=1e-5)


def test_a_value_that_training_never_had_is_the_strangest():
    loss = ColumnwiseLoss([("categorical", 0, 3, False)], [1, 1, 1], [2], [1])
    x = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1]], "float32")
    z = np.array([[2.0, 0.0, 1.0]] * 3, "float32")
    costs = -2 * log_softmax(z[0])
    expected = [max(costs), costs[0], costs[2]]
    np.testing.assert_allclose(numpy(loss.call(x, z)), expected, rtol=1e-5)
    np.testing.assert_allclose(numpy(loss.by_column(x, z))[:, 0], expected, rtol=1e-5)


def test_who_always_says_the_mean_and_the_frequencies_loses_the_marginals():
    x = rows(4000)
    loss = ColumnwiseLoss.fit(GROUPS, x)
    mean = x.mean(axis=0)
    z = np.log(mean / (1 - mean)).clip(-30, 30)
    z[0] = x[x[:, 1] == 0, 0].mean()
    z[3:6] = np.log(mean[3:6])
    z[6] = mean[6]
    by_column = numpy(loss.by_column(x, np.broadcast_to(z, x.shape).copy())).mean(axis=0)
    assert by_column == pytest.approx(loss.marginals, rel=1e-3)
    assert loss.marginals[:3] == pytest.approx([1, 1, 1])
    # The median of both variances is halfway: the last one counts as much as its share of that.
    spread = x[x[:, 1] == 0, 0].var(dtype="float64"), x[:, 6].var(dtype="float64")
    assert loss.marginals[3] == pytest.approx(spread[1] / np.mean(spread), rel=1e-4)


def test_a_rare_flag_does_not_dominate():
    x = np.zeros((1000, 1), "float32")
    x[0] = 1
    loss = ColumnwiseLoss.fit([("binary", 0, 1, False)], x)
    entropy = -0.001 * np.log(0.001) - 0.999 * np.log(0.999)
    assert loss.weights == [pytest.approx(10.0)]
    assert loss.marginals == [pytest.approx(10 * entropy)]


def test_a_constant_and_an_empty_column_have_finite_losses():
    x = np.zeros((5, 3), "float32")
    x[:, 1] = 1  # all missing
    loss = ColumnwiseLoss.fit([("numeric", 0, 2, True), ("numeric", 2, 3, False)], x)
    assert np.isfinite(numpy(loss.call(x, np.ones_like(x)))).all()
    assert loss.marginals == [0.0, 0.0]


@given(st.integers(0, 1000))
def test_the_activation_gives_what_minimizes_the_loss(seed):
    rng = np.random.default_rng(seed)
    loss = ColumnwiseLoss.fit(GROUPS, rows(50, seed))
    z = rng.normal(size=(3, 7)).astype("float32")
    outputs = numpy(loss.activation(z))
    assert outputs[:, [0, 6]] == pytest.approx(z[:, [0, 6]])
    assert outputs[:, [1, 2]] == pytest.approx(1 / (1 + np.exp(-z[:, [1, 2]])), rel=1e-5)
    assert outputs[:, 3:6] == pytest.approx(np.exp(log_softmax(z[:, 3:6], axis=1)), rel=1e-5)
    # Rows equal to their own reconstruction: no other pre-activation has a lower expected loss.
    other = z + rng.normal(size=z.shape).astype("float32")
    outputs[:, 1] = 0  # known
    best, worse = z.copy(), other.copy()
    best[:, 1] = worse[:, 1] = -20
    assert (numpy(loss.call(outputs, best)) <= numpy(loss.call(outputs, worse)) + 1e-5).all()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([("numeric", 0, 2, True), ("binary", 3, 4, False)], "cover all inputs in order"),
        ([("dates", 0, 1, False)], "of the kinds numeric, binary, categorical"),
        ([("numeric", 0, 1, True)], "cover all inputs"),  # a flag and nothing that it is for
        ([], "must list a column"),
    ],
)
def test_groups_that_leave_out_inputs_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        ColumnwiseLoss(groups, [1], [1], [1])


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="`variances` of ColumnwiseLoss must be 7 finite"):
        ColumnwiseLoss(GROUPS, [1], [1] * 4, [1] * 4)
    with pytest.raises(ValueError, match="`weights` of ColumnwiseLoss must be 4 finite"):
        ColumnwiseLoss(GROUPS, [1] * 7, [1, 1, 1, np.nan], [1] * 4)


def trained(x, **options):
    model = ks.StackedDenoisingAutoencoder(
        7,
        [16, 8],
        num_classes=2,
        noise=ColumnSwapNoise(0.2, groups=[group[1:3] for group in GROUPS], seed=0),
        reconstruction_loss=[ColumnwiseLoss.fit(GROUPS, x), "auto"],
        seed=0,
        **options,
    )
    return model, model.pretrain(x, epochs=60, batch_size=20, verbose=0)


def test_a_stack_learns_by_it_and_keeps_it_in_its_file(tmp_path):
    x = rows(200)
    model, histories = trained(x)
    losses = histories[0].history["loss"]
    assert losses[-1] < 0.75 * losses[0]  # of corrupted rows
    errors, rebuilt = model.reconstruction_error(x), model.reconstruct(x)
    assert errors.mean() < 0.75 * sum(model.reconstruction_losses[0].marginals)
    assert rebuilt[:, 3:6].sum(axis=1) == pytest.approx(1, abs=1e-5)
    # Kept through fine-tuning, and in the file.
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, x[:, 2].astype("int32"), epochs=2, verbose=0)
    assert np.array_equal(model.reconstruct(x), rebuilt)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded.reconstruct(x), rebuilt)
    assert loaded.reconstruction_error(x) == pytest.approx(errors, rel=1e-6)


@pytest.mark.parametrize("tied", in_tiers([True, False], [True]))
def test_both_ways_of_differentiating_agree(tied):
    """A tied level has its gradient written out; a penalty of 0 has it differentiated."""
    x = rows(100)
    plain, _ = trained(x, tied=tied)
    penalised, _ = trained(x, tied=tied, code_regularizer=keras.regularizers.L2(0.0))
    assert plain.reconstruct(x) == pytest.approx(penalised.reconstruct(x), abs=2e-4)


def test_a_single_autoencoder_takes_it():
    x = rows(100)
    loss = ColumnwiseLoss.fit(GROUPS, x)
    model = ks.DenoisingAutoencoder(7, 8, reconstruction_loss=loss, seed=0)
    model.compile("adam")
    model.fit(x, epochs=1, verbose=0)
    assert model.reconstruction_error(x).shape == (100,)
    assert model.evaluate(x, verbose=0) == pytest.approx(
        model.reconstruction_error(x).mean(), rel=1e-4
    )


def test_levels_above_the_first_have_no_columns():
    loss = ColumnwiseLoss.fit(GROUPS, rows(10))
    with pytest.raises(ValueError, match="at the first level alone"):
        ks.StackedDenoisingAutoencoder(7, [8, 7], reconstruction_loss=["auto", loss])
