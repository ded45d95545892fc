"""The regressor: by hand, and targets that are missing."""

import numpy as np
import pytest
from estimators import QUICK, codes_by_hand

from keras_sda.sklearn import SDARegressor


def test_regressor_by_hand(rows):
    x, _ = rows
    y = np.stack([1000 + x[:, 0], np.full(len(x), 4.0)], axis=1)  # the second is constant
    regressor = SDARegressor(**QUICK, epochs=5).fit(x, y)
    head = regressor.model_.head
    outputs = codes_by_hand(regressor, x) @ np.asarray(head.kernel) + np.asarray(head.bias)
    expected = outputs * [y[:, 0].std(), 1.0] + y.mean(axis=0)
    np.testing.assert_allclose(regressor.predict(x), expected, rtol=1e-6)
    one = SDARegressor(**QUICK, epochs=5).fit(x, y[:, 0])
    assert one.predict(x).shape == (len(x),)


def test_missing_targets_of_every_kind(rows):
    pandas = pytest.importorskip("pandas")
    x, y = rows
    targets = pandas.Series(y + 0.5).where(np.arange(150) % 4 == 0)
    expected = SDARegressor(**QUICK, epochs=2).fit(x, targets.to_numpy()).predict(x)
    nothing = targets.isna()
    objects = targets.astype(object)
    for other in (targets.astype("Float64"), objects.where(~nothing, None).tolist()):
        np.testing.assert_array_equal(
            SDARegressor(**QUICK, epochs=2).fit(x, other).predict(x), expected
        )
