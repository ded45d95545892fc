"""Columns left out one at a time, by hand with a linear reconstruction."""

import keras
import numpy as np
import pytest

from keras_sda.models import leaving_out
from keras_sda.models.leaving_out import leave_out_columns

# Columns of one, two and one input; the rebuilt first input is half the last, and so on.
MAP = np.array([[0, 0, 0, 0.5], [0.5, 0, 0, 0], [0, 0.1, 0, 1], [1, 0, 0, 0.2]], "float32")
GROUPS = [(0, 1), (1, 3), (3, 4)]


def reconstruct(rows):
    return keras.ops.matmul(rows, MAP.T)


def error(rows):
    rows = keras.ops.convert_to_tensor(rows)
    return keras.ops.sum(keras.ops.square(rows - reconstruct(rows)), axis=1)


@pytest.mark.parametrize("at_once", [1, 10**6])
@pytest.mark.parametrize("settle", [None, np.round])
@pytest.mark.parametrize("rounds", [1, 3])
def test_by_hand(rounds, settle, at_once, monkeypatch):
    monkeypatch.setattr(leaving_out, "_INPUTS_AT_ONCE", at_once)
    x = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
    neutral = np.array([1.0, 2.0, 3.0, 4.0], "float32")
    expected, costs = leave_out_columns(reconstruct, error, x, GROUPS, neutral, rounds, settle)
    for row in range(7):
        for column, (start, stop) in enumerate(GROUPS):
            mended = x[row].astype("float64")
            mended[start:stop] = neutral[start:stop]
            for _ in range(rounds):
                mended[start:stop] = (MAP @ mended)[start:stop]
            if settle:
                mended[start:stop] = settle(mended[start:stop])
            np.testing.assert_allclose(expected[row, start:stop], mended[start:stop], rtol=1e-5)
            fall = sum(
                sign * ((values - MAP @ values) ** 2).sum()
                for sign, values in ((1, x[row].astype("float64")), (-1, mended))
            )
            assert costs[row, column] == pytest.approx(fall, rel=1e-4, abs=1e-5)
