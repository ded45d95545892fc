import numpy as np
import pytest

from keras_sda import datasets


def test_gaussian_clouds_are_the_tutorials():
    x, y = datasets.gaussian_clouds()
    generator = np.random.RandomState(0)
    labels = generator.randint(0, 2, 1000)
    spread = generator.random_sample((2, 2)) + 1
    first = [generator.randn(1000) * spread[0, labels] + np.where(labels, 1, -1)]
    second = [generator.randn(1000) * spread[1, labels] + np.where(labels, 1, -1)]
    np.testing.assert_array_equal(y, labels)
    np.testing.assert_allclose(x, np.concatenate([first, second]).T, rtol=1e-6)
    hidden = generator.randn(4, 2)
    weights = datasets.gaussian_clouds_weights()
    assert [array.shape for array in weights] == [(2, 4), (4,), (4, 1), (1,)]
    np.testing.assert_array_equal(weights[0], hidden.T)
    np.testing.assert_array_equal(weights[1], np.ones(4))


def test_xor():
    x, y = datasets.xor(rows=400, noise=0.1, seed=1)
    assert x.shape == (400, 2)
    corners = x.round().astype(int)
    np.testing.assert_array_equal(y, corners[:, 0] ^ corners[:, 1])
    assert 0.05 < np.std(x - corners) < 0.15
    with pytest.raises(ValueError, match="`rows` of xor must be a whole number"):
        datasets.xor(rows=0)
    with pytest.raises(ValueError, match="`noise` of xor must be a finite number of at least 0"):
        datasets.xor(noise=-1)
