import keras
import numpy as np
import pytest
from checks import check_model

from keras_sda.models.contractive import ContractiveAutoencoder


@pytest.fixture
def double():
    """A loss in float64, for finite differences; the model says so itself."""
    keras.config.set_floatx("float64")
    yield "float64"
    keras.config.set_floatx("float32")


def make(**arguments):
    given = {"input_dim": 64, "hidden_units": 20, "seed": 0, **arguments}
    return ContractiveAutoencoder(**given)


def softmax(z):
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


FUNCTIONS = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "softplus": lambda z: np.logaddexp(0, z),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softmax": softmax,
}


def norms_by_differences(function, x, w, b):
    """The squared Frobenius norms, by central differences in NumPy."""
    step = 1e-6
    norms = np.zeros(len(x))
    for column in range(x.shape[1]):
        move = step * np.eye(x.shape[1])[column]
        change = function((x + move) @ w + b) - function((x - move) @ w + b)
        norms += ((change / (2 * step)) ** 2).sum(axis=1)
    return norms


@pytest.mark.float64(exact=True)
@pytest.mark.parametrize("activation", FUNCTIONS)
def test_contraction_agrees_with_finite_differences(activation, double, rng):
    x = rng.normal(size=(9, 5))
    w, b = rng.normal(size=(5, 4)), rng.normal(size=4)
    expected = norms_by_differences(FUNCTIONS[activation], x, w, b)
    has_closed_form = activation not in ("silu", "softmax")
    for jacobian in ("auto", "autodiff", *(["closed_form"] if has_closed_form else [])):
        model = make(
            input_dim=5, hidden_units=4, activation=activation, jacobian=jacobian, dtype=double
        )
        model.levels[0].kernel.assign(w)
        model.levels[0].bias.assign(b)
        norms = model.contraction(x)
        assert norms.shape == (9,)
        np.testing.assert_allclose(norms, expected, rtol=1e-6, err_msg=jacobian)


@pytest.mark.parametrize(
    ("activation", "tied"),
    [
        ("sigmoid", True),
        ("tanh", True),
        # Not ReLU: where rounding decides on which side of zero a unit is, its slope jumps.
        ("linear", False),
        pytest.param("elu", True, marks=pytest.mark.full),
        pytest.param("softplus", False, marks=pytest.mark.full),
    ],
)
def test_one_step_is_the_same_either_way(activation, tied, digits):
    x = digits[0][:60]
    ends = []
    for jacobian in ("closed_form", "autodiff"):
        model = make(activation=activation, tied=tied, jacobian=jacobian, contraction_weight=5.0)
        model.compile(keras.optimizers.SGD(0.5))
        start = model.get_weights()
        loss = model.fit(x, batch_size=60, verbose=0).history["loss"][0]
        ends.append((loss, *model.get_weights()))
    for one, two in zip(*ends, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
    plain = make(activation=activation, tied=tied, contraction_weight=0)
    plain.compile(keras.optimizers.SGD(0.5))
    plain.fit(x, batch_size=60, verbose=0)
    np.testing.assert_array_equal(start[0], make(activation=activation).levels[0].kernel)
    assert abs(plain.get_weights()[0] - ends[0][1]).max() > 1e-3, "the penalty moves the kernel"


@pytest.mark.float64(exact=True)
def test_gradient_through_automatic_differentiation(double, rng):
    """A step for softplus against differences in NumPy."""
    x = rng.uniform(size=(8, 4))
    model = make(
        input_dim=4,
        hidden_units=3,
        activation="softplus",
        contraction_weight=2.0,
        jacobian="autodiff",
        dtype=double,
    )
    layer = model.levels[0]
    layer.kernel.assign(rng.normal(size=(4, 3)))

    def loss(w):
        z = x @ w
        decoded = np.logaddexp(0, z) @ w.T
        norms = (FUNCTIONS["sigmoid"](z) ** 2) @ (w**2).sum(axis=0)
        return (np.logaddexp(0, decoded) - x * decoded).sum(axis=1).mean() + 2 * norms.mean()

    start = np.array(layer.kernel)
    expected = np.zeros_like(start)
    for index in np.ndindex(start.shape):
        move = np.zeros_like(start)
        move[index] = 1e-5
        expected[index] = (loss(start + move) - loss(start - move)) / 2e-5
    model.compile(keras.optimizers.SGD(1.0))
    assert model.evaluate(x, verbose=0) == pytest.approx(loss(start), rel=1e-6)
    model.fit(x, batch_size=8, verbose=0)
    np.testing.assert_allclose(start - np.array(layer.kernel), expected, rtol=1e-6, atol=1e-8)


def test_penalty_is_in_fit_and_evaluate_and_weighted(digits):
    x = digits[0][:100]
    model = make(contraction_weight=0.7)
    errors, norms = model.reconstruction_error(x), model.contraction(x)
    model.compile(keras.optimizers.SGD(1e-12))
    expected = (errors + 0.7 * norms).mean()
    assert 0.7 * norms.mean() > 1e-2
    assert model.evaluate(x, batch_size=100, verbose=0) == pytest.approx(expected, rel=1e-5)
    loss = model.fit(x, batch_size=100, verbose=0).history["loss"][0]
    assert loss == pytest.approx(expected, rel=1e-5)
    weights = np.linspace(0, 2, 100).astype("float32")
    weighted = model.evaluate(x, sample_weight=weights, batch_size=100, verbose=0)
    assert weighted == pytest.approx((weights * (errors + 0.7 * norms)).mean(), rel=1e-5)
    np.testing.assert_allclose(model.reconstruction_error(x), errors, rtol=1e-5)


def test_training_contracts(digits):
    x = digits[0]
    contraction = {}
    for weight in (0.0, 1.0):
        model = make(contraction_weight=weight)
        model.compile(keras.optimizers.Adam(0.01))
        model.fit(x, epochs=8, verbose=0)
        contraction[weight] = model.contraction(x).mean()
    assert contraction[1.0] < 0.5 * contraction[0.0]


@pytest.mark.parametrize(
    ("activation", "tied"),
    [
        ("sigmoid", False),
        pytest.param("elu", True, marks=pytest.mark.full),
        pytest.param("silu", True, marks=pytest.mark.full),
    ],
)
def test_standard(activation, tied, digits, tmp_path):
    model = make(activation=activation, tied=tied)
    model.compile("adam")
    model.fit(digits[0], epochs=1, verbose=0)
    loaded = check_model(model, digits[0][:50], tmp_path)
    np.testing.assert_array_equal(
        loaded.contraction(digits[0][:50]), model.contraction(digits[0][:50])
    )
    history = loaded.fit(digits[0], epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]


@pytest.mark.parametrize("jacobian", ["closed_form", "autodiff"])
def test_whole_numbers_and_mixed_precision(jacobian, digits):
    pixels = (16 * digits[0]).astype("uint8")
    model = make(jacobian=jacobian)
    model.compile(keras.optimizers.Adam(0.01))
    loss = model.fit(pixels, epochs=2, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    mixed = make(jacobian=jacobian, dtype="mixed_bfloat16")
    mixed.compile(keras.optimizers.Adam(0.01))
    loss = mixed.fit(digits[0], epochs=2, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    expected = make().contraction(digits[0][:20])
    np.testing.assert_allclose(
        make(dtype="mixed_bfloat16").contraction(digits[0][:20]), expected, rtol=0.05
    )


def test_contraction_in_parts(digits, monkeypatch):
    x = digits[0][:50]
    whole = make(jacobian="autodiff").contraction(x)
    monkeypatch.setattr("keras_sda.models.contractive._ENTRIES", 64 * 20 * 7)
    np.testing.assert_allclose(make(jacobian="autodiff").contraction(x), whole, rtol=1e-6)


def test_same_seed_same_weights(digits):
    def weights(seed):
        model = make(seed=seed)
        model.compile("adam")
        model.fit(digits[0], epochs=1, verbose=0)
        return model.get_weights()

    for one, two in zip(weights(3), weights(3), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(weights(3)[0], weights(4)[0])


def test_refusals(digits):
    with pytest.raises(
        ValueError, match="for sigmoid, tanh, relu, elu, softplus, linear codes.*'silu'; use jac"
    ):
        make(activation="silu", jacobian="closed_form")
    with pytest.raises(ValueError, match="`jacobian` of ContractiveAutoencoder must be one of"):
        make(jacobian="numeric")
    with pytest.raises(ValueError, match="`contraction_weight` of .* must be a finite number of"):
        make(contraction_weight=-1)
    with pytest.raises(
        ValueError, match="`hidden_units` of ContractiveAutoencoder must be a whole"
    ):
        make(hidden_units=0)
    with pytest.raises(ValueError, match=r"contraction\(\) expects `x` of shape \(rows, 64\)"):
        make().contraction(digits[0][:, :5])
