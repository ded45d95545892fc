"""The affine map: examples worked by hand, and properties for any table."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from keras_sda.datasets import Scaling
from keras_sda.datasets.scaling import SCALES, fit_scaling

TABLES = arrays(
    "float64",
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1e6, 1e6, allow_subnormal=False),
)


def test_map_is_offset_then_factor_then_bounds():
    scaling = Scaling(offset=(1.0, 0.0), factor=(2.0, 10.0), low=-1.0, high=5.0)
    scaled = scaling(np.array([[2, 0.1], [0, 0.9]]))
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, np.float32([[2, 1], [-1, 5]]))


def test_identity_changes_only_the_dtype_and_copies():
    x = np.float32([[0.1, -7.0]])
    scaled = Scaling()(x)
    np.testing.assert_array_equal(scaled, x)
    assert not np.shares_memory(scaled, x)


def test_pixels_reach_exactly_zero_and_one():
    pixels = np.arange(256, dtype="uint8").reshape(-1, 1)
    scaled = fit_scaling(pixels, "unit")(pixels)
    np.testing.assert_array_equal(scaled, np.float32(np.arange(256).reshape(-1, 1) / 255))
    symmetric = fit_scaling(pixels, "symmetric")(pixels)
    assert (symmetric.min(), symmetric.max()) == (-1, 1)


def test_bytes_that_are_already_zero_or_one_are_unchanged():
    bits = np.array([[0, 1], [1, 1]], dtype="uint8")
    np.testing.assert_array_equal(fit_scaling(bits, "unit")(bits), bits)


def test_unit_of_a_table_is_by_column_and_clips_new_rows():
    train = np.array([[0.0, 10.0], [4.0, 30.0]])
    scaling = fit_scaling(train, "unit")
    new = np.array([[1.0, 20.0], [-1.0, 99.0]])
    np.testing.assert_array_equal(scaling(new), np.float32([[0.25, 0.5], [0, 1]]))


def test_unit_leaves_training_values_in_the_unit_interval_alone():
    train = np.float32([[0.2, 0.3], [0.4, 0.1]])
    scaling = fit_scaling(train, "unit")
    np.testing.assert_array_equal(scaling(train), train)
    np.testing.assert_array_equal(scaling(np.array([[2.0, -1.0]])), [[1, 0]])


def test_images_share_one_range():
    images = np.array([[[0.0, 50.0]], [[100.0, 50.0]]])
    scaled = fit_scaling(images, "unit")(images)
    np.testing.assert_array_equal(scaled, [[[0, 0.5]], [[1, 0.5]]])


def test_fixed_range_wins_over_the_values():
    train = np.array([[2.0], [8.0]])
    np.testing.assert_array_equal(fit_scaling(train, "unit", (0.0, 16.0))(train), [[0.125], [0.5]])


@pytest.mark.parametrize("scale", ["unit", "symmetric", "standard"])
def test_constant_columns_are_not_blown_up(scale):
    # A thousand values of 0.1 have a deviation of about 1e-17, from rounding alone.
    train = np.column_stack([np.full(1000, 0.1), np.full(1000, 5.0), np.arange(1000.0)])
    scaling = fit_scaling(train, scale)
    factors = np.asarray(scaling.factor)[:2]
    np.testing.assert_array_equal(factors, 2.0 if scale == "symmetric" else 1.0)
    assert np.abs(scaling(train)[:, :2]).max() <= 1


@pytest.mark.parametrize("rows", [2, 4097])
def test_standard_has_mean_zero_and_deviation_one(rows):
    train = np.random.default_rng(0).normal([1e4, -3.0], [0.5, 20.0], size=(rows, 2))
    scaled = fit_scaling(train, "standard")(train)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-5)


@given(TABLES)
@settings(deadline=None)
def test_unit_and_symmetric_stay_in_their_range_and_agree(train):
    unit, symmetric = (fit_scaling(train, scale)(train) for scale in ("unit", "symmetric"))
    assert unit.min() >= 0
    assert unit.max() <= 1
    np.testing.assert_allclose(symmetric, 2 * unit - 1, atol=1e-5)


@given(TABLES, st.sampled_from(SCALES))
@settings(deadline=None)
def test_json_round_trip_gives_the_same_map(train, scale):
    scaling = fit_scaling(train, scale)
    again = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    assert again == scaling
    np.testing.assert_array_equal(again(train), scaling(train))


@given(TABLES, st.sampled_from(SCALES))
@settings(deadline=None)
def test_a_row_is_scaled_alike_alone_and_with_others_and_not_changed(train, scale):
    before = train.copy()
    scaling = fit_scaling(train, scale)
    together = scaling(train)
    np.testing.assert_array_equal(np.concatenate([scaling(row[None]) for row in train]), together)
    np.testing.assert_array_equal(train, before)


def test_images_keep_their_shape_when_scaled_by_column():
    images = np.arange(24.0).reshape(2, 3, 4, 1)
    scaled = fit_scaling(images, "standard")(images)
    assert scaled.shape == images.shape
    np.testing.assert_array_equal(scaled[0], -np.ones((3, 4, 1)))


def test_many_rows_are_scaled_in_pieces():
    x = np.arange(10_000.0).reshape(-1, 1)
    np.testing.assert_array_equal(Scaling(1.0, 2.0)(x), np.float32(2 * (x - 1)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Scaling((1.0, 2.0))(np.ones((3, 4))), r"expects `x` of shape \(rows, 2\)"),
        (lambda: Scaling(factor=(1.0, 2.0))(np.ones((3, 1))), r"Received shape \(3, 1\)"),
        (lambda: Scaling()(np.array([[1.0], [np.nan]])), "row 1 holds NaN or infinity"),
        (lambda: Scaling(low=0.0, high=1.0)(np.array([[np.inf]])), "row 0 holds NaN or infinity"),
        (lambda: Scaling()(np.array([[1e39]])), "up to 3.4e.38, which float32 can hold"),
        (lambda: Scaling()(np.array([["a"]])), "Scaling needs numbers"),
        (lambda: Scaling(offset=np.nan), "Argument `offset` of Scaling must be a finite number"),
        (lambda: Scaling(factor="2"), "Argument `factor` of Scaling must be a finite number"),
        (lambda: Scaling.from_dict({"offset": 1.0}), "expects the entries factor, high, low, off"),
        (lambda: fit_scaling(np.ones((1, 1)), "minmax"), "'standard', 'robust', None. Received"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_clipped_is_told_as_excess():
    scaling = Scaling(offset=(0.0, 10.0), factor=(1.0, 0.5), low=0.0, high=1.0)
    raw = np.array([[0.5, 11.0], [0.5, 16.0], [-2.0, 16.0]])
    assert scaling.excess(raw).tolist() == [0.0, 4.0, 8.0], "(3 - 1)^2, and (0 - 2)^2 more"
    assert Scaling(offset=3.0).excess(raw).tolist() == [0.0, 0.0, 0.0], "nothing is clipped"
