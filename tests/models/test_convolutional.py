import keras
import numpy as np
import pytest
from checks import array, check_saving
from sklearn.decomposition import PCA
from tiers import in_tiers

from keras_sda.models.convolutional import ConvolutionalAutoencoder

NOISES = ["swap", "gaussian", None]


@pytest.fixture(scope="module")
def images(digits):
    return digits[0].reshape(-1, 8, 8, 1)


def make(**arguments):
    return ConvolutionalAutoencoder(**{"input_shape": (8, 8, 1), "filters": (4, 3), **arguments})


def shapes(network):
    """Shapes of what comes out of each layer of a network."""
    return [tuple(layer.output.shape[1:]) for layer in network.layers[1:]]


def tutorial_net(**arguments):
    return ConvolutionalAutoencoder(
        (28, 28, 1),
        filters=(16, 8),
        kernel_size=3,
        strides=(3, 2),
        padding=1,
        pool_size=2,
        pool_strides=(2, 1),
        decoder_filters=(16, 8, 1),
        decoder_kernel_size=(3, 5, 2),
        decoder_strides=(2, 3, 2),
        decoder_padding=(0, 1, 1),
        output_kernel_size=None,
        output_activation="tanh",
        reconstruction_loss="squared_error",
        **arguments,
    )


def test_keras_example():
    model = ConvolutionalAutoencoder((28, 28, 1))
    sides = [(28, 32), (14, 32), (14, 32), (7, 32)]
    assert shapes(model.encoder) == [(side, side, maps) for side, maps in sides]
    assert shapes(model.expansion) == [(14, 14, 32), (28, 28, 32), (28, 28, 1)]
    # 1*9*32+32, 32*9*32+32 three times, 32*9*1+1
    assert model.count_params() == 320 + 3 * 9248 + 289 == 28353
    kinds = [type(layer).__name__ for layer in (model.encoder.layers + model.expansion.layers)]
    assert kinds == [
        "InputLayer",
        *("Conv2D", "MaxPooling2D") * 2,
        "InputLayer",
        *("Conv2DTranspose",) * 2,
        "Conv2D",
    ]
    assert model.decoder.output.shape == (None, 28, 28, 1)


def test_tutorial_net():
    model = tutorial_net()
    assert shapes(model.encoder) == [
        (30, 30, 1),  # one zero pixel on each side
        (10, 10, 16),
        (5, 5, 16),
        (7, 7, 16),
        (3, 3, 8),
        (2, 2, 8),
    ]
    assert shapes(model.expansion) == [
        (5, 5, 16),
        (17, 17, 8),
        (15, 15, 8),  # one pixel cut off on each side
        (30, 30, 1),
        (28, 28, 1),
    ]
    # 9*16+16, 16*9*8+8, 8*9*16+16, 16*25*8+8, 8*4*1+1
    assert model.count_params() == 160 + 1160 + 1168 + 3208 + 33
    x = np.random.default_rng(0).uniform(-1, 1, (4, 28, 28, 1)).astype("float32")
    model.compile("adam")
    model.fit(x, verbose=0)
    assert model.encode(x).shape == (4, 2, 2, 8)
    rebuilt = model.reconstruct(x)
    assert np.abs(rebuilt).max() <= 1
    errors = ((x - rebuilt) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(model.reconstruction_error(x), errors, rtol=1e-4)


def test_pixels_are_padded_and_cut_as_in_pytorch(rng):
    """Against the definitions, written out as loops."""
    x = rng.normal(size=(1, 7, 7, 1)).astype("float32")
    model = ConvolutionalAutoencoder(
        (7, 7, 1),
        filters=[1],
        strides=3,
        padding=2,
        pool_size=1,
        decoder_kernel_size=5,
        decoder_padding=2,
        output_kernel_size=None,
        activation="linear",
        reconstruction_loss="squared_error",
    )
    kernel, _, up, _ = (np.array(weight) for weight in model.weights)
    padded = np.pad(x[0, :, :, 0], 2)
    code = np.zeros((3, 3))
    for row, column in np.ndindex(3, 3):
        window = padded[3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
        code[row, column] = (window * kernel[:, :, 0, 0]).sum()
    np.testing.assert_allclose(model.encode(x)[0, :, :, 0], code, rtol=1e-5, atol=1e-6)
    spread = np.zeros((11, 11))  # (3 - 1) * 3 + 5
    for row, column in np.ndindex(3, 3):
        patch = code[row, column] * up[:, :, 0, 0]
        spread[3 * row : 3 * row + 5, 3 * column : 3 * column + 5] += patch
    np.testing.assert_allclose(model.predict(x, verbose=0)[0, :, :, 0], spread[2:9, 2:9], atol=1e-5)


def test_kernels_smaller_than_the_stride_leave_no_rest():
    arguments = dict(filters=[2], strides=3, kernel_size=2, padding="valid", pool_size=1)
    model = ConvolutionalAutoencoder((8, 8, 1), decoder_padding="valid", **arguments)
    assert model.code_shape == (3, 3, 2)
    assert model.expansion.output.shape == (None, 8, 8, 1)  # (3 - 1) * 3 + 2


@pytest.mark.parametrize("noise", in_tiers(NOISES, [None]))
def test_standard(noise, images, tmp_path):
    model = make(noise=noise, noise_level=0.1, seed=0)
    model.compile("adam")
    model.fit(images[:300], epochs=1, verbose=0)
    x = images[:50]
    codes, rebuilt = model.encode(x), model.reconstruct(x)
    assert codes.shape == (50, *model.code_shape) == (50, 2, 2, 3)
    np.testing.assert_allclose(codes, model.encoder.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert rebuilt.shape == x.shape
    np.testing.assert_allclose(model.decode(codes), rebuilt, rtol=1e-4, atol=1e-5)
    assert model.reconstruction_error(x).shape == (50,)
    clone = keras.models.clone_model(model)
    assert [w.shape for w in clone.weights] == [w.shape for w in model.weights]
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    loaded = check_saving(model, x, tmp_path)
    np.testing.assert_array_equal(loaded.encode(x), codes)
    np.testing.assert_array_equal(loaded.reconstruct(x), rebuilt)
    loss = loaded.fit(images, epochs=2, verbose=0).history["loss"]
    assert loss[1] < loss[0], "a loaded model goes on training"


@pytest.mark.full
def test_beats_pca_with_a_code_of_the_same_size(images):
    train, test = images[:1400], images[1400:]
    model = make(
        filters=(16, 32, 3),
        strides=2,
        pool_size=1,
        decoder_filters=(64, 32, 16),
        activation="elu",
        reconstruction_loss="squared_error",
        seed=0,
    )
    assert model.code_shape == (1, 1, 3)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(train, epochs=20, batch_size=64, verbose=0)
    pca = PCA(3).fit(train.reshape(-1, 64))
    flat = test.reshape(-1, 64)
    linear = ((flat - pca.inverse_transform(pca.transform(flat))) ** 2).sum(axis=1).mean()
    assert model.reconstruction_error(test).mean() < 0.95 * linear


def test_noise_falls_on_the_input_in_training_only(images):
    model = make(noise="masking", noise_level=1.0, seed=0)
    x = images[:20]
    blank = array(model(np.zeros_like(x)))
    np.testing.assert_allclose(array(model(x, training=True)), blank, atol=1e-6)
    assert np.abs(array(model(x)) - blank).max() > 0.01
    model.noise.level.assign(0.0)
    np.testing.assert_array_equal(array(model(x, training=True)), array(model(x)))


def test_the_target_is_clean(images):
    model = make(noise="masking", noise_level=1.0, reconstruction_loss="squared_error", seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    x = images[:32]
    blank = array(model(np.zeros_like(x)))
    by_hand = ((x - blank) ** 2).sum(axis=(1, 2, 3)).mean()
    assert model.fit(x, verbose=0).history["loss"][0] == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("noise", ["masking", "salt_and_pepper", "swap"])
def test_noise_treats_every_pixel_of_every_channel_alone(noise):
    model = ConvolutionalAutoencoder((16, 16, 3), filters=[2], noise=noise, seed=0)
    x = np.random.default_rng(1).uniform(0.2, 0.8, (64, 16, 16, 3)).astype("float32")
    noisy = array(model.noise(x, training=True))
    changed = noisy != x
    assert changed.mean() == pytest.approx(0.3, abs=0.01)
    assert (changed.sum(axis=-1) == 1).mean() > 0.1, "channels are changed apart"
    if noise == "swap":
        for place in np.ndindex(4, 4, 3):
            here = (slice(None), *place)
            assert set(noisy[here]) <= set(x[here]), "values of the same pixel of another image"


def test_colour_images():
    x = np.random.default_rng(0).uniform(size=(6, 32, 32, 3)).astype("float32")
    model = ConvolutionalAutoencoder((32, 32, 3), filters=(8, 4), seed=0)
    model.compile("adam")
    model.fit(x, verbose=0)
    assert model.encode(x).shape == (6, 8, 8, 4)
    assert model.predict(x, verbose=0).shape == x.shape
    wide = ConvolutionalAutoencoder((32, 16, 3), filters=4, seed=0)
    assert wide.code_shape == (16, 8, 4)


def test_auto_loss_follows_the_data(images, tmp_path):
    model = make(seed=0)
    model.predict(6 * images - 3, verbose=0)  # traced with a sigmoid, which must not stay
    model.compile("adam")
    model.fit(6 * images - 3, epochs=1, verbose=0)
    assert model.reconstruction_loss == "squared_error"
    codes = model.encode(6 * images - 3)
    assert model.decode(codes).min() < 0
    loaded = check_saving(model, images, tmp_path)
    np.testing.assert_array_equal(loaded.decode(codes), model.decode(codes))


def test_error_is_the_loss_of_each_image(images):
    model = make(seed=0, reconstruction_loss="binary_crossentropy")
    model.compile("adam")
    x = images[:100]
    p = model.predict(x, verbose=0).astype("float64")
    by_hand = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(model.reconstruction_error(x), by_hand, rtol=1e-4)
    assert model.evaluate(x, verbose=0) == pytest.approx(by_hand.mean(), rel=1e-4)


def test_what_each_level_takes():
    model = make(
        filters=(2, 3),
        kernel_size=(5, 3),
        strides=(2, 1),
        pool_size=(1, 3),
        pool_strides=(None, 2),
        decoder_kernel_size=(2, 4),
    )
    kernels = [w.shape for w in model.weights if len(w.shape) == 4]
    # A transposed kernel's last axis is its input.
    assert kernels == [(5, 5, 1, 2), (3, 3, 2, 3), (2, 2, 3, 3), (4, 4, 2, 3), (3, 3, 2, 1)]
    assert shapes(model.encoder) == [(4, 4, 2), (4, 4, 3), (2, 2, 3)]
    assert shapes(model.expansion) == [(4, 4, 3), (8, 8, 2), (8, 8, 1)]
    mirrored = make(filters=(2, 3), kernel_size=(5, 3), strides=(2, 1), pool_size=(1, 2))
    assert mirrored.weights[4].shape == (3, 3, 3, 3)
    assert mirrored.weights[6].shape == (5, 5, 2, 3)


def test_same_seed_same_weights_and_no_two_layers_alike(images):
    def weights(seed):
        model = make(filters=(4, 4), noise="masking", seed=seed)
        model.compile("adam")
        model.fit(images[:300], epochs=1, verbose=0)
        return model.get_weights()

    first = weights(3)
    for one, two in zip(first, weights(3), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[-1], weights(4)[-1])
    model = make(filters=(4, 4), input_shape=(8, 8, 4), seed=0)
    kernels = [w for w in model.get_weights() if w.ndim == 4]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels) == 5
    assert {kernel.shape for kernel in kernels} == {(3, 3, 4, 4)}


@pytest.mark.float64
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_precision(dtype, images, tmp_path):
    model = make(noise="masking", seed=0, dtype=dtype)
    model.compile(keras.optimizers.Adam(0.01))
    if keras.backend.backend() == "torch" and dtype == "float64":
        pytest.skip("PyTorch cannot train these convolutions on a processor but in float32")
    loss = model.fit(images, epochs=2, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    assert {w.dtype for w in model.trainable_weights} == {model.variable_dtype}
    check_saving(model, images[:20], tmp_path)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("tutorial", [False, True])
def test_export(tutorial, images, tmp_path):
    tf = pytest.importorskip("tensorflow")
    model = tutorial_net() if tutorial else make(noise="masking")
    x = np.zeros((1000, 28, 28, 1), "float32") if tutorial else images[:1000]
    model.export(tmp_path / "exported")
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    for count in (1, 7, 1000):
        rows = tf.constant(x[:count])
        np.testing.assert_allclose(loaded.encode(rows), model.encode(x[:count]), atol=1e-5)
        for endpoint in (loaded.serve, loaded.reconstruct):
            np.testing.assert_allclose(endpoint(rows), model.reconstruct(x[:count]), atol=1e-5)


REFUSALS = {
    "two sides": (dict(input_shape=(28, 28)), r"`input_shape` of .* must be \(height, width, cha"),
    "no filters": (dict(filters=()), r"needs at least one level. Received: filters=\(\)"),
    "no maps": (dict(filters=(4, 0)), "`filters` of .* must be a whole number of at least 1"),
    "kernels": (dict(kernel_size=(3, 3, 3)), "one entry per level, here 2. Received 3 entries"),
    "padding": (dict(padding="full"), "`padding` of .* must be 'same', 'valid' or a number of pi"),
    "negative": (dict(decoder_padding=-1), "`decoder_padding` of .* whole number of at least 0"),
    "channels": (dict(output_kernel_size=None), r"end with the number of channels, 1. Received: d"),
    "last": (dict(output_kernel_size=0), "`output_kernel_size` of .* must be a whole number"),
    "noise": (dict(noise="rain"), "`noise` of .* must be one of 'masking'"),
    "loss": (dict(reconstruction_loss="mse"), "`reconstruction_loss` of .* must be one of 'auto'"),
    "activation": (
        dict(reconstruction_loss="binary_crossentropy", output_activation="tanh"),
        "needs a sigmoid at the end",
    ),
    "odd sides": (
        dict(input_shape=(30, 30, 1)),
        r"gives 32 x 32 for images of 30 x 30 \(sides 30-15-8-16-32\): sides must be multiples of "
        "4, so pad the images to 32 x 32 or crop them",
    ),
    "one odd side": (
        dict(input_shape=(32, 30, 1)),
        r"gives 32 x 32 for images of 32 x 30 \(sides 32-16-8-16-32 and 30-15-8-16-32\)",
    ),
    "valid": (
        dict(input_shape=(28, 28, 1), padding="valid"),
        "gives 20 x 20 for images of 28 x 28 .*choose decoder_kernel_size, decoder_strides and",
    ),
    "longer decoder": (
        dict(decoder_filters=(4, 4, 4)),
        "gives 16 x 16 for images of 8 x 8 .*choose decoder_kernel_size",
    ),
    "too small": (
        dict(padding="valid", input_shape=(5, 5, 1)),
        "too many or too large levels for images of 5 x 5: their sides become 5-1-",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    arguments, message = REFUSALS[case]
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_refuses_other_data(images):
    model = make(reconstruction_loss="binary_crossentropy")
    model.compile("adam")
    with pytest.raises(ValueError, match=r"shape \(rows, 8, 8, 1\).*load images with flatten=Fal"):
        model.fit(images.reshape(-1, 64))
    with pytest.raises(ValueError, match=r"fit\(\) uses cross-entropy or a sigmoid output, which"):
        model.fit(2 * images)
    with pytest.raises(ValueError, match=r"decode\(\) expects `x` of shape \(rows, 2, 2, 3\)"):
        model.decode(images)
