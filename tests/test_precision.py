"""Mixed precision keeps losses in float32; float64 is float64 from the data to the weights."""

import keras
import numpy as np
import pytest
from tiers import in_tiers

import keras_sda as ks
from keras_sda.layers import TiedDense
from keras_sda.training.code_cache import CodeCache
from keras_sda.training.pretraining import pretrain_layers

MIXED = ["mixed_bfloat16", "mixed_float16"]

# Compiled, a product and the bias added to it are rounded once instead of twice. Were a loss of 46
# rounded to bfloat16 itself, it would be off by up to 0.125, 0.3 %.
COMPILED = 2e-4


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def tied(units, width, **arguments):
    layer = TiedDense(units, kernel_initializer=keras.initializers.GlorotUniform(1), **arguments)
    layer.build((None, width))
    return layer


@pytest.fixture
def floatx64():
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


def cross_entropy(model, x):
    """The rows' loss in NumPy, from the very logits of the model."""
    z = keras.ops.convert_to_numpy(keras.ops.cast(model.preactivation(x), "float32"))
    z = z.astype("float64")
    return (np.logaddexp(0, z) - x.astype("float64") * z).sum(axis=1)


def test_no_half_precision_in_a_loss(digits):
    # In bfloat16 the loss of a row, about 40 nats, comes in steps of a quarter.
    x = digits[0][:100]
    for dtype in MIXED:
        model = ks.DenoisingAutoencoder(64, 20, seed=0, dtype=dtype)
        model.compile("sgd")
        expected = cross_entropy(model, x)
        np.testing.assert_allclose(model.reconstruction_error(x), expected, rtol=2e-6)
        loss = model.evaluate(x, batch_size=100, verbose=0)
        assert loss == pytest.approx(expected.mean(), rel=COMPILED)


@pytest.mark.parametrize("dtype", MIXED)
def test_no_half_precision_in_penalties(dtype, digits):
    x = digits[0][:100]
    sparse = ks.SparseAutoencoder(64, 20, kernel_l2=0.01, code_l1=0.1, seed=0, dtype=dtype)
    sparse.compile("sgd")
    codes = sparse.encode(x).astype("float64")
    mean = codes.mean(axis=0)
    layer = sparse.levels[0]
    kernels = (np.asarray(layer.kernel, "float64"), np.asarray(layer.visible_kernel, "float64"))
    expected = cross_entropy(sparse, x).mean()
    expected += (0.05 * np.log(0.05 / mean) + 0.95 * np.log(0.95 / (1 - mean))).sum()
    expected += 0.1 * codes.sum(axis=1).mean() + 0.01 * sum((w**2).sum() for w in kernels)
    loss = sparse.evaluate(x, batch_size=100, verbose=0)
    assert loss == pytest.approx(expected, rel=COMPILED)

    contractive = ks.ContractiveAutoencoder(64, 20, contraction_weight=1.0, seed=0, dtype=dtype)
    codes = contractive.encode(x).astype("float64")
    lengths = (np.asarray(contractive.levels[0].kernel, "float64") ** 2).sum(axis=0)
    norms = (codes * (1 - codes)) ** 2 @ lengths
    np.testing.assert_allclose(contractive.contraction(x), norms, rtol=1e-5)
    contractive.compile("sgd")
    loss = contractive.evaluate(x, batch_size=100, verbose=0)
    assert loss == pytest.approx(cross_entropy(contractive, x).mean() + norms.mean(), rel=COMPILED)

    variational = ks.VariationalAutoencoder(64, (16,), 2, seed=0, dtype=dtype)
    variational.compile("sgd")
    mean, deviation = (part.astype("float64") for part in variational.encode_distribution(x))
    kl = 0.5 * (mean**2 + deviation**2 - 1 - 2 * np.log(deviation)).sum(axis=1).mean()
    logs = variational.evaluate(x, batch_size=100, verbose=0, return_dict=True)
    assert logs["kl"] == pytest.approx(kl, rel=1e-3)


# Each with a fit of one epoch, so that the training step is looked at as well.
MODELS = {
    "stack": (ks.StackedDenoisingAutoencoder, dict(hidden_units=[16, 8], num_classes=10)),
    "headless": (ks.StackedDenoisingAutoencoder, dict(hidden_units=[16, 8])),
    "denoising": (ks.DenoisingAutoencoder, dict(hidden_units=16)),
    "sparse": (ks.SparseAutoencoder, dict(hidden_units=16, kernel_l1=1e-4)),
    "contractive": (ks.ContractiveAutoencoder, dict(hidden_units=16)),
    "autodiff": (ks.ContractiveAutoencoder, dict(hidden_units=16, jacobian="autodiff")),
    "deep": (ks.DeepAutoencoder, dict(hidden_units=[16, 2])),
    "variational": (ks.VariationalAutoencoder, dict(hidden_units=(16,), latent_dim=2)),
    "softmax": (ks.SoftmaxRegression, dict(num_classes=10)),
    "mlp": (ks.MLP, dict(hidden_units=[16], num_classes=10, l2=1e-3)),
    "convolutional": (ks.ConvolutionalAutoencoder, dict(filters=(4, 3))),
}


@pytest.mark.float64
@pytest.mark.parametrize("dtype", in_tiers([*MIXED, "float64"], ["mixed_bfloat16"]))
@pytest.mark.parametrize("name", MODELS)
def test_dtypes_of_loss_and_weights(name, dtype, digits):
    kind, arguments = MODELS[name]
    x, y = digits[0][:64], digits[1][:64]
    is_torch = keras.backend.backend() == "torch"
    if kind is ks.ConvolutionalAutoencoder:
        if is_torch and dtype != "mixed_bfloat16":
            pytest.skip("PyTorch cannot train these convolutions on a processor but in float32")
        x, arguments = x.reshape(-1, 8, 8, 1), {**arguments, "input_shape": (8, 8, 1)}
    else:
        arguments = {**arguments, "input_dim": 64}
    model = kind(**arguments, dtype=dtype)
    classifies = model.num_classes is not None
    loss = ["sparse_categorical_crossentropy"] if classifies else []
    model.compile(keras.optimizers.Adam(1e-3), *loss)
    seen = []
    compute_loss = model.compute_loss

    def looked_at(*args, **kwargs):
        value = compute_loss(*args, **kwargs)
        seen.append(keras.backend.standardize_dtype(value.dtype))
        return value

    model.compute_loss = looked_at
    data = (x, y) if classifies else (x,)
    history = model.fit(*data, epochs=1, validation_data=data if classifies else x, verbose=0)
    assert np.isfinite([*history.history["loss"], *history.history["val_loss"]]).all()
    # Keras' own losses go by `floatx`; ours by the model, but for the mean under PyTorch.
    # There a variational autoencoder's, which is a sum, keeps float64.
    is_variational = kind is ks.VariationalAutoencoder
    is_double = dtype == "float64" and not classifies and (not is_torch or is_variational)
    expected = "float64" if is_double else "float32"
    assert set(seen) == {expected}
    kept = "float64" if dtype == "float64" else "float32"
    assert {weight.dtype for weight in model.trainable_weights} == {kept}
    slots = [value.dtype for value in model.optimizer.variables if value.shape == (64, 16)]
    assert set(slots) <= {kept}
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (dtype == "mixed_float16")


def test_loss_scaling_in_pretraining():
    """The gradient, about 1e-8, is below what float16 can hold; scaled by 32,768 it is not."""
    x = np.random.default_rng(0).normal(scale=1e-4, size=(100, 8)).astype("float32")
    optimizers = []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            optimizers.append(self.model.optimizer)

    steps = {}
    for dtype in ("float32", "mixed_float16"):
        layer = tied(4, 8, activation="linear", visible_activation="linear", dtype=dtype)
        start = np.array(layer.kernel)
        pretrain_layers(
            [layer],
            x,
            reconstruction_loss="squared_error",
            optimizer=keras.optimizers.SGD(1e5),
            epochs=1,
            batch_size=100,
            callbacks=lambda level: [Look()],
            verbose=0,
        )
        steps[dtype] = np.array(layer.kernel) - start
    assert isinstance(optimizers[1], keras.optimizers.LossScaleOptimizer)
    assert 1e-9 < abs(steps["float32"]).max() / 1e5 < 6e-8, "half of float16's smallest number"
    size = abs(steps["float32"]).max()
    np.testing.assert_allclose(steps["mixed_float16"], steps["float32"], atol=0.02 * size)


@pytest.mark.float64
@pytest.mark.parametrize("kind", ["memory", "disk", "recompute"])
def test_codes_are_kept_in_float32_or_float64(kind, digits, tmp_path):
    x = digits[0][:50]
    for dtype, expected in [*((name, "float32") for name in MIXED), ("float64", "float64")]:
        layers = [tied(6, 64, dtype=dtype), tied(3, 6, dtype=dtype)]
        with CodeCache(kind, tmp_path, layers, (x, None)) as cache:
            codes = cache.encode(0, x, "codes")
            assert codes.dtype == expected
            assert np.asarray(codes[:7]).dtype == expected


def step_by_hand(x, kernel, rate):
    """Returns kernel and hidden bias after one step of a tied sigmoid level from zero biases."""
    h = sigmoid(x @ kernel)
    upstream = (sigmoid(h @ kernel.T) - x) / len(x)
    on_codes = (upstream @ kernel) * h * (1 - h)
    gradient = x.T @ on_codes + upstream.T @ h
    return kernel - rate * gradient, -rate * on_codes.sum(axis=0)


@pytest.mark.float64(exact=True)
def test_pretraining_in_float64_by_hand(floatx64):
    x = np.random.default_rng(0).uniform(size=(60, 9))  # more digits than float32 has
    assert abs(x - x.astype("float32")).max() > 1e-9
    model = ks.StackedDenoisingAutoencoder(
        9, [6, 4], noise=None, activation="sigmoid", seed=0, dtype="float64"
    )
    inputs, expected = x, []
    for layer in model.levels:
        kernel, bias = step_by_hand(inputs, np.array(layer.kernel), 0.5)
        expected += [kernel, bias]
        inputs = sigmoid(inputs @ kernel + bias)
    model.pretrain(x, optimizer="sgd", learning_rate=0.5, epochs=1, batch_size=60, verbose=0)
    found = [value for layer in model.levels for value in (layer.kernel, layer.bias)]
    for variable, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.array(variable), value, atol=1e-13)
    codes = model.encode(x)
    assert codes.dtype == np.float64
    np.testing.assert_allclose(codes, inputs, atol=1e-13)


@pytest.mark.float64(exact=True)
def test_a_model_in_float64_by_its_own_dtype(digits):
    x = digits[0][:60]
    model = ks.DenoisingAutoencoder(64, 8, noise=None, seed=0, dtype="float64")
    layer = model.levels[0]
    kernel, bias = step_by_hand(x.astype("float64"), np.array(layer.kernel), 0.5)
    model.compile(keras.optimizers.SGD(0.5))
    model.fit(x, epochs=1, batch_size=60, verbose=0)
    np.testing.assert_allclose(np.array(layer.kernel), kernel, atol=1e-13)
    np.testing.assert_allclose(np.array(layer.bias), bias, atol=1e-13)
    errors = model.reconstruction_error(x)
    assert errors.dtype == np.float64
    np.testing.assert_allclose(errors, cross_entropy_in_float64(model, x), rtol=1e-13)


def cross_entropy_in_float64(model, x):
    layer = model.levels[0]
    kernel, bias, visible_bias = (np.array(value) for value in layer.trainable_weights)
    z = sigmoid(x.astype("float64") @ kernel + bias) @ kernel.T + visible_bias
    return (np.logaddexp(0, z) - x * z).sum(axis=1)
