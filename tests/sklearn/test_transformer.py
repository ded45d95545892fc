"""The transformer, by hand."""

import numpy as np
from estimators import QUICK, codes_by_hand, kernel

from keras_sda.sklearn import SDATransformer


def test_transformer_by_hand(rows):
    x, _ = rows
    transformer = SDATransformer(**QUICK).fit(x)
    codes = transformer.transform(x)
    np.testing.assert_allclose(codes, codes_by_hand(transformer, x), atol=1e-6)
    layer = transformer.model_.levels[0]
    visible = codes @ kernel(transformer).T + np.asarray(layer.visible_bias)
    expected = visible * x.std(axis=0) + x.mean(axis=0)
    np.testing.assert_allclose(transformer.inverse_transform(codes), expected, rtol=1e-4, atol=1e-4)


def test_transformer_gives_all_levels(rows):
    x, _ = rows
    deep = QUICK | {"hidden_units": (6, 4)}
    every = SDATransformer(**deep, level="all").fit(x)
    codes = every.transform(x)
    assert codes.shape == (150, 10)
    np.testing.assert_allclose(codes[:, :6], every.encode(x, level=0), atol=1e-6)
    np.testing.assert_allclose(codes[:, 6:], every.encode(x), atol=1e-6)
    last = SDATransformer(**deep, level=1).fit(x)
    np.testing.assert_array_equal(
        every.inverse_transform(codes), last.inverse_transform(codes[:, 6:])
    )
    names = every.get_feature_names_out()
    assert names.tolist() == [f"sdatransformer{number}" for number in range(10)]
