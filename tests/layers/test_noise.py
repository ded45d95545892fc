import keras
import numpy as np
import pytest
from checks import RATE_NOISES, array, check_layer
from hypothesis import given
from hypothesis import strategies as st

import keras_sda as ks
from keras_sda.layers import (
    AdditiveGaussianNoise,
    ColumnSwapNoise,
    MaskingNoise,
    SaltAndPepperNoise,
    SwapNoise,
)
from keras_sda.layers.noise import NOISES, copy_noise, get_noise

every_noise = pytest.mark.parametrize("kind", NOISES.values(), ids=NOISES)
MILLION = (1000, 1000)
# Standard deviation of a share of 10^6 draws is at most 0.0005: five of them.
TOLERANCE = 0.0025


def noisy(layer, x):
    return array(layer(x, training=True))


@pytest.mark.float64
@every_noise
def test_standard(kind, rng):
    x = rng.uniform(size=(8, 5)).astype("float32")
    check_layer(lambda **kwargs: kind(0.3, seed=1, **kwargs), x, non_trainable=1, seed_generators=1)


@every_noise
def test_inactive_at_inference(kind, rng):
    x = rng.uniform(size=(50, 20)).astype("float32")
    layer = kind(0.5, seed=0)
    np.testing.assert_array_equal(array(layer(x)), x)
    np.testing.assert_array_equal(np.asarray(layer(x, training=False)), x)
    model = keras.Sequential([keras.Input((20,)), layer])
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)
    assert not np.array_equal(noisy(layer, x), x)


@every_noise
def test_drawn_anew_for_every_batch_and_seeded(kind, rng):
    x = rng.uniform(size=(50, 20)).astype("float32")
    layer, twin, other = kind(0.5, seed=0), kind(0.5, seed=0), kind(0.5, seed=1)
    first, second = noisy(layer, x), noisy(layer, x)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, noisy(twin, x))
    np.testing.assert_array_equal(second, noisy(twin, x))
    assert not np.array_equal(first, noisy(other, x))


@every_noise
def test_level_0_changes_nothing(kind, rng):
    x = rng.uniform(-1, 1, size=(40, 10)).astype("float32")
    np.testing.assert_array_equal(noisy(kind(0.0, seed=0), x), x)


@every_noise
@pytest.mark.parametrize("level", [-0.1, float("inf"), float("nan"), "0.3", None, True])
def test_refuses_levels(kind, level):
    with pytest.raises(
        ValueError, match=f"`{kind.level_name}` of {kind.__name__} must .* Received"
    ):
        kind(level)


@pytest.mark.parametrize("name", NOISES)
def test_made_by_name_and_copied(name, rng):
    layer = get_noise(name, 0.25, owner="X", seed=3, name="made")
    assert type(layer) is NOISES[name]
    assert (layer.name, layer.seed) == ("made", 3)
    copied = copy_noise(layer, level=0.5, seed=4, name="copied")
    assert type(copied) is NOISES[name]
    assert (copied.name, copied.seed) == ("copied", 4)
    assert [float(array(each.level)) for each in (layer, copied)] == [0.25, 0.5]
    x = rng.uniform(size=(50, 20)).astype("float32")
    np.testing.assert_array_equal(noisy(copied, x), noisy(NOISES[name](0.5, seed=4), x))


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.75])
def test_masking_rate_on_a_million_draws(rate):
    ones = np.ones(MILLION, "float32")
    out = noisy(MaskingNoise(rate, seed=0), ones)
    assert set(np.unique(out)) == {0.0, 1.0}, "nothing is rescaled"
    assert (out == 0).mean() == pytest.approx(rate, abs=TOLERANCE)
    # Entries are independent: columns and rows vary as binomials do.
    deviation = np.sqrt(rate * (1 - rate) / 1000)
    assert (out == 0).mean(axis=0).std() == pytest.approx(deviation, rel=0.15)
    assert (out == 0).mean(axis=1).std() == pytest.approx(deviation, rel=0.15)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_salt_and_pepper_rate_on_a_million_draws(rate):
    halves = np.full(MILLION, 0.5, "float32")
    out = noisy(SaltAndPepperNoise(rate, seed=0), halves)
    assert (out != 0.5).mean() == pytest.approx(rate, abs=TOLERANCE)
    assert (out == 0).mean() == pytest.approx(rate / 2, abs=TOLERANCE)
    assert (out == 1).mean() == pytest.approx(rate / 2, abs=TOLERANCE)


def test_salt_and_pepper_takes_other_values():
    out = noisy(SaltAndPepperNoise(1.0, low=-3, high=7, seed=0), np.zeros((100, 10), "float32"))
    assert set(np.unique(out)) == {-3.0, 7.0}


@pytest.mark.parametrize("stddev", [0.1, 1.0, 25.0])
def test_gaussian_moments_on_a_million_draws(stddev):
    x = np.full(MILLION, 2.0, "float32")
    added = (noisy(AdditiveGaussianNoise(stddev, seed=0), x) - x) / stddev
    assert added.mean() == pytest.approx(0, abs=0.005)
    assert added.std() == pytest.approx(1, abs=0.005)
    assert (added**4).mean() == pytest.approx(3, abs=0.05)  # a normal's kurtosis
    assert np.unique(added[:10], axis=0).shape[0] == 10, "one draw per entry, not per batch"


def test_swap_takes_the_same_column_of_another_row():
    # Entry (i, j) is 1000 i + j, so that each value tells where it comes from.
    x = (1000.0 * np.arange(1000)[:, None] + np.arange(1000)).astype("float32")
    out = noisy(SwapNoise(0.2, seed=0), x)
    np.testing.assert_array_equal(out % 1000, x % 1000)
    changed = out != x
    assert changed.mean() == pytest.approx(0.2, abs=TOLERANCE), "never the row itself"
    sources = (out[changed] // 1000).astype(int)
    counts = np.bincount(sources, minlength=1000)
    assert counts.min() > 0.6 * counts.mean(), "every row is a source"


def test_swap_in_a_batch_of_one_or_two():
    layer = SwapNoise(1.0, seed=0)
    row = np.array([[1.0, 2.0, 3.0]], "float32")
    np.testing.assert_array_equal(noisy(layer, row), row)
    pair = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    np.testing.assert_array_equal(noisy(layer, pair), pair[::-1])


def test_swap_keeps_pixels_in_place():
    images = np.arange(2 * 3 * 4, dtype="float32").reshape(2, 3, 4)
    np.testing.assert_array_equal(noisy(SwapNoise(1.0, seed=0), images), images[::-1])


def table_of_categories(rows=2000):
    """Returns a number, four categories as inputs of their own, and a number with a flag."""
    rng = np.random.default_rng(0)
    categories = np.eye(4, dtype="float32")[rng.choice(4, rows, p=[0.7, 0.2, 0.05, 0.05])]
    missing = rng.random(rows) < 0.3
    number = np.where(missing, 0, rng.normal(size=rows) + 5)
    return np.column_stack([np.arange(rows), categories, number, missing]).astype("float32")


GROUPS = [(0, 1), (1, 5), (5, 7)]


def test_column_swap_replaces_whole_columns():
    x = table_of_categories()
    out = noisy(ColumnSwapNoise(0.3, groups=GROUPS, seed=0), x)
    np.testing.assert_array_equal(out[:, 1:5].sum(1), 1)  # one category, always
    np.testing.assert_array_equal(out[:, 5] == 0, out[:, 6] == 1)  # a value and its flag agree
    assert set(out[:, 0]) <= set(x[:, 0])
    # Entry by entry, rows get none or several categories.
    assert (noisy(SwapNoise(0.3, seed=0), x)[:, 1:5].sum(1) != 1).mean() > 0.1


def test_column_swap_changes_its_effective_rate():
    x = table_of_categories()
    layer = ColumnSwapNoise(0.3, groups=GROUPS, seed=1)
    changed = [
        np.mean([(noisy(layer, x)[:, a:b] != x[:, a:b]).any(1).mean() for _ in range(20)])
        for a, b in GROUPS
    ]
    np.testing.assert_allclose(layer.effective_rate(x), changed, atol=0.01)
    # By hand: two rows differ unless both have the same one of the four categories.
    counts = x[:, 1:5].sum(0)
    same = (counts * (counts - 1)).sum() / (2000 * 1999)
    assert layer.effective_rate(x)[1] == pytest.approx(0.3 * (1 - same))


@pytest.mark.parametrize("kind", [SwapNoise, ColumnSwapNoise])
def test_a_swap_takes_every_other_row_equally_often(kind):
    """Rows are told by their values, columns are many draws of the same."""
    x = np.repeat(np.arange(4, dtype="float32")[:, None], 3000, axis=1)
    out = noisy(kind(1.0, seed=0), x)
    shares = np.array([[(out[row] == other).mean() for other in range(4)] for row in range(4)])
    np.testing.assert_allclose(shares, (1 - np.eye(4)) / 3, atol=0.04)


def test_without_groups_each_input_is_a_column():
    x = np.array([[0, 1], [0, 1], [0, 2]], "float32")
    # Of the second input's 6 ordered pairs of different rows, 4 differ.
    np.testing.assert_allclose(ColumnSwapNoise(0.3).effective_rate(x), [0, 0.3 * 4 / 6], rtol=1e-6)


def test_column_swap_takes_a_rate_for_each_column():
    x = np.arange(3000, dtype="float32").reshape(1000, 3)
    layer = ColumnSwapNoise([0.0, 0.2, 0.4], seed=0)
    changed = (noisy(layer, x) != x).mean(axis=0)
    assert changed == pytest.approx([0, 0.2, 0.4], abs=0.05)
    layer.level.assign(0.2)  # the rates keep their proportions
    changed = (noisy(layer, x) != x).mean(axis=0)
    assert changed == pytest.approx([0, 0.1, 0.2], abs=0.05)
    copied = type(layer).from_config(layer.get_config())
    assert copied.rates == [0.0, 0.2, 0.4]


@pytest.mark.parametrize("groups", [[(0, 1), (2, 3)], [(1, 2)], [(0, 0)], []])
def test_column_swap_wants_groups_that_cover_the_inputs(groups):
    with pytest.raises(ValueError, match="`groups` of ColumnSwapNoise must list"):
        ColumnSwapNoise(0.1, groups=groups)


def test_column_swap_refuses_rows_of_other_widths_and_rates():
    with pytest.raises(ValueError, match=r"have 7 inputs\. Received rows of 6"):
        noisy(ColumnSwapNoise(0.1, groups=GROUPS), np.zeros((2, 6), "float32"))
    with pytest.raises(ValueError, match="each of the 3 columns. Received: 2 rates"):
        ColumnSwapNoise([0.1, 0.2], groups=GROUPS)


def test_column_swap_on_the_codes_of_a_stack_takes_each_for_a_column():
    noise = ColumnSwapNoise(0.25, groups=GROUPS)
    first, second = ks.StackedDenoisingAutoencoder(7, [5, 3], noise=noise, seed=0).noise_layers
    assert first.groups == GROUPS
    assert second.groups is None
    assert float(second.level) == 0.25


@given(level=st.floats(0, 1), seed=st.integers(0, 1000))
def test_masking_gives_zero_or_the_input(level, seed):
    x = np.linspace(1, 2, 30, dtype="float32").reshape(5, 6)
    out = noisy(MaskingNoise(level, seed=seed), x)
    assert ((out == 0) | (out == x)).all()


@pytest.mark.parametrize("kind", [MaskingNoise, SaltAndPepperNoise, SwapNoise])
def test_rate_1_changes_everything(kind, rng):
    x = rng.uniform(0.1, 0.9, size=(40, 10)).astype("float32")
    assert (noisy(kind(1.0, seed=0), x) != x).all()


def test_level_changes_without_a_rebuild_and_is_saved(tmp_path):
    traces = []

    class Counting(MaskingNoise):
        def corrupt(self, inputs):
            traces.append(1)
            return super().corrupt(inputs)

    layer = Counting(0.0, seed=0)
    model = keras.Sequential([keras.Input((100,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    ones = np.ones((100, 100), "float32")
    model.fit(ones, ones[:, :1], verbose=0)
    before = len(traces)
    layer.level.assign(1.0)
    assert (noisy(layer, ones) == 0).all()
    traces.clear()
    model.fit(ones, ones[:, :1], verbose=0)
    assert before > 0
    if keras.backend.backend() != "torch":  # which traces nothing
        assert not traces, "a new level must not retrace the training step"

    plain = keras.Sequential([keras.Input((10,)), MaskingNoise(0.3)])
    plain.layers[0].level.assign(0.75)
    plain.save(tmp_path / "noise.keras")
    loaded = keras.saving.load_model(tmp_path / "noise.keras")
    assert float(loaded.layers[0].level.numpy()) == 0.75


def test_bfloat16_does_not_change_the_rate():
    out = noisy(MaskingNoise(0.001, seed=0, dtype="mixed_bfloat16"), np.ones(MILLION, "float32"))
    assert (out.astype("float32") == 0).mean() == pytest.approx(0.001, rel=0.2)


@pytest.mark.parametrize("name", RATE_NOISES)
def test_refuses_rates_above_1(name):
    kind = NOISES[name]
    with pytest.raises(ValueError, match=rf"`rate` of {kind.__name__} must lie in \[0, 1\]. Recei"):
        kind(1.5)


def test_get_noise_refuses_unknown_names():
    with pytest.raises(
        ValueError, match=r"must be one of 'masking', .*None\. Received: noise='pep"
    ):
        get_noise("pepper", 0.3, owner="X")
