import keras
import numpy as np
import pytest
from checks import check_saving

import keras_sda as ks


@pytest.fixture(scope="module")
def images(digits):
    x, y = digits
    return np.pad(x.reshape(-1, 8, 8, 1), ((0, 0), (4, 4), (4, 4), (0, 0))), y  # 16 x 16


def test_learns(images, tmp_path):
    x, y = images
    model = ks.LeNet5((16, 16, 1), 10, kernels=(6, 12), hidden_units=32, dropout=0.1, seed=0)
    model.compile(
        keras.optimizers.SGD(0.03, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x[:1400], y[:1400], epochs=20, batch_size=20, verbose=0)
    assert model.evaluate(x[1400:], y[1400:], verbose=0)[1] > 0.88
    loaded = check_saving(model, x[:20], tmp_path)
    assert loaded.encode(x[:20]).shape == (20, 32)
    assert loaded.encode(x[:20], level=0).shape == (20, 6, 6, 6)
    loaded.fit(x[:200], y[:200], epochs=1, verbose=0)


def convolve(images, kernel):
    """A valid convolution, written out."""
    side = kernel.shape[0]
    height, width = (size - side + 1 for size in images.shape[1:3])
    outputs = np.zeros((len(images), height, width, kernel.shape[3]))
    for row in range(height):
        for column in range(width):
            patch = images[:, row : row + side, column : column + side]
            outputs[:, row, column] = np.tensordot(patch, kernel, axes=3)
    return outputs


def pool(maps):
    rows = maps[:, : maps.shape[1] // 2 * 2, : maps.shape[2] // 2 * 2]
    shape = (len(maps), rows.shape[1] // 2, 2, rows.shape[2] // 2, 2, maps.shape[3])
    return rows.reshape(shape).max(axis=(2, 4))


def test_forward_pass_by_hand(images, rng):
    model = ks.LeNet5((16, 16, 1), 3, kernels=(2, 3), hidden_units=4, seed=0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) / 3)
    k1, b1, k2, b2, w3, b3, w4, b4 = (np.asarray(v) for v in model.trainable_variables)
    x = images[0][:4]
    # Bias and tanh after pooling, as the tutorial writes it.
    first = np.tanh(pool(convolve(x, k1)) + b1)
    second = np.tanh(pool(convolve(first, k2)) + b2)
    dense = np.tanh(second.reshape(4, -1) @ w3 + b3)
    scores = np.exp(dense @ w4 + b4)
    expected = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.encode(x, level=1), second, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-3)


def test_size_and_start_are_the_tutorials():
    model = ks.LeNet5(seed=0)
    assert model.count_params() == (25 * 20 + 20) + (20 * 25 * 50 + 50) + (800 * 500 + 500) + 5010
    bounds = [(6 / (25 + 20 * 25 / 4)) ** 0.5, (6 / (20 * 25 + 50 * 25 / 4)) ** 0.5]
    for layer, bound in zip(model.levels, bounds, strict=False):
        kernel = np.abs(np.asarray(layer.kernel))
        assert 0.95 * bound < kernel.max() <= bound
    assert not np.asarray(model.head.kernel).any()


def test_start_from_another():
    one, other = ks.LeNet5(seed=0), ks.LeNet5(seed=1)
    other.start_from(one)
    for ours, theirs in zip(one.levels, other.levels, strict=True):
        np.testing.assert_array_equal(np.asarray(ours.kernel), np.asarray(theirs.kernel))
    with pytest.raises(ValueError, match=r"a kernel of shape \(5, 5, 1, 20\) for layer 1"):
        one.start_from([np.ones((3, 3, 1, 20))])


@pytest.mark.tensorflow_only
def test_export_takes_any_number_of_images(images, tmp_path):
    import tensorflow as tf

    model = ks.LeNet5((16, 16, 1), 3, kernels=(2, 3), hidden_units=4, seed=0)
    model.export(tmp_path / "lenet")
    loaded = tf.saved_model.load(tmp_path / "lenet")
    for rows in (1, 5):
        x = images[0][:rows]
        np.testing.assert_allclose(loaded.serve(x), model.predict(x, verbose=0), rtol=1e-5)
        np.testing.assert_allclose(loaded.encode(x), model.encode(x), rtol=1e-4, atol=1e-6)


def test_refusals(images):
    with pytest.raises(
        ValueError, match="needs images of at least 16 x 16. Received: input_shape="
    ):
        ks.LeNet5((15, 28, 1))
    with pytest.raises(ValueError, match=r"`input_shape` as \(height, width, channels\)"):
        ks.LeNet5((28, 28))
    with pytest.raises(ValueError, match="`kernels` of LeNet5 must be a whole number"):
        ks.LeNet5(kernels=(20, 0))
    with pytest.raises(ValueError, match="`num_classes` of LeNet5 must be at least 2"):
        ks.LeNet5(num_classes=1)
    model = ks.LeNet5((16, 16, 1))
    model.compile("sgd", "sparse_categorical_crossentropy")
    message = r"expects `x` of shape \(rows, 16, 16, 1\). Received shape \(1797, 256\): load images"
    with pytest.raises(ValueError, match=message):
        model.fit(images[0].reshape(-1, 256), images[1])
