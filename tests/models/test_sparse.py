import keras
import numpy as np
import pytest
from checks import check_model
from tiers import in_tiers

from keras_sda.models.sparse import SparseAutoencoder


@pytest.fixture
def double():
    """A loss in float64, for finite differences; the model says so itself."""
    keras.config.set_floatx("float64")
    yield "float64"
    keras.config.set_floatx("float32")


def make(**arguments):
    return SparseAutoencoder(**{"input_dim": 64, "hidden_units": 20, "seed": 0, **arguments})


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def loss_by_hand(model, x, target, weight, code_l1=0.0, kernel_l1=0.0, kernel_l2=0.0):
    """The whole loss of a model with sigmoid codes and cross-entropy, in NumPy."""
    layer = model.levels[0]
    w, b, c = (np.asarray(v, "float64") for v in (layer.kernel, layer.bias, layer.visible_bias))
    v = w.T if layer.tied else np.asarray(layer.visible_kernel, "float64")
    codes = sigmoid(x @ w + b)
    z = codes @ v + c
    error = (np.logaddexp(0, z) - x * z).sum(axis=1).mean()
    mean = codes.mean(axis=0)
    divergence = target * np.log(target / mean) + (1 - target) * np.log((1 - target) / (1 - mean))
    kernels = [w] if layer.tied else [w, v]
    return (
        error
        + weight * divergence.sum()
        + code_l1 * codes.sum(axis=1).mean()
        + sum(kernel_l1 * abs(k).sum() + kernel_l2 * (k**2).sum() for k in kernels)
    )


@pytest.mark.parametrize("tied", in_tiers([True, False], [True]))
def test_standard(tied, digits, tmp_path):
    model = make(tied=tied, code_l1=0.01, kernel_l1=1e-4, kernel_l2=1e-4)
    model.compile("adam")
    model.fit(digits[0], epochs=1, verbose=0)
    loaded = check_model(model, digits[0][:50], tmp_path)
    assert loaded.evaluate(digits[0], verbose=0) == pytest.approx(
        model.evaluate(digits[0], verbose=0)
    )
    history = loaded.fit(digits[0], epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]


PIECES = {
    "divergence": dict(weight=2.0),
    "code L1": dict(weight=0.0, code_l1=0.3),
    "kernel L1": dict(weight=0.0, kernel_l1=0.2),
    "kernel L2": dict(weight=0.0, kernel_l2=0.1),
    "all": dict(weight=0.5, code_l1=0.3, kernel_l1=0.2, kernel_l2=0.1),
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", PIECES)
def test_loss_by_hand_in_fit_and_evaluate(name, tied, digits):
    x = digits[0][:100]
    pieces = PIECES[name]
    weight = pieces["weight"]
    others = {key: value for key, value in pieces.items() if key != "weight"}
    model = make(sparsity_target=0.1, sparsity_weight=weight, tied=tied, **others)
    expected = loss_by_hand(model, x, 0.1, **pieces)
    model.compile(keras.optimizers.SGD(1e-12))
    assert model.evaluate(x, batch_size=100, verbose=0) == pytest.approx(expected, rel=1e-5)
    loss = model.fit(x, batch_size=100, verbose=0).history["loss"][0]
    assert loss == pytest.approx(expected, rel=1e-5)
    errors = model.reconstruction_error(x)
    assert errors.mean() == pytest.approx(loss_by_hand(model, x, 0.1, 0.0), rel=1e-5)


@pytest.mark.float64(exact=True)
@pytest.mark.parametrize("tied", [True, False])
def test_gradient_of_the_whole_loss_agrees_with_finite_differences(tied, double, rng):
    x = rng.uniform(size=(12, 5))
    pieces = dict(code_l1=0.3, kernel_l1=0.2, kernel_l2=0.1)
    model = make(
        input_dim=5, hidden_units=4, sparsity_weight=2.0, tied=tied, dtype=double, **pieces
    )
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(rng.normal(size=variable.shape))
    before = [np.array(variable) for variable in variables]
    numeric = []
    step = 1e-5
    for variable in variables:
        values = np.array(variable)
        gradient = np.zeros_like(values)
        for index in np.ndindex(values.shape):
            ends = []
            for sign in (1, -1):
                moved = values.copy()
                moved[index] += sign * step
                variable.assign(moved)
                ends.append(loss_by_hand(model, x, 0.05, 2.0, **pieces))
            gradient[index] = (ends[0] - ends[1]) / (2 * step)
        variable.assign(values)
        numeric.append(gradient)
    model.compile(keras.optimizers.SGD(1.0))  # so that the step is the gradient
    model.fit(x, batch_size=12, epochs=1, verbose=0)
    for start, variable, expected in zip(before, variables, numeric, strict=True):
        np.testing.assert_allclose(start - np.array(variable), expected, rtol=1e-6, atol=1e-7)


def test_other_losses_are_penalised_too(digits):
    x = digits[0][:100]
    model = make(sparsity_weight=2.0)
    model.compile("sgd", "mse")
    whole = model.evaluate(x, batch_size=100, verbose=0)
    rebuilt = model.predict(x, verbose=0)
    penalty = loss_by_hand(model, x, 0.05, 2.0) - loss_by_hand(model, x, 0.05, 0.0)
    assert whole == pytest.approx(((x - rebuilt) ** 2).mean() + penalty, rel=1e-5)


def test_the_target_is_reached(digits):
    x = digits[0]
    means = {}
    for weight in (0.0, 10.0):
        model = make(sparsity_target=0.1, sparsity_weight=weight)
        model.compile(keras.optimizers.Adam(0.02))
        model.fit(x, epochs=25, batch_size=100, verbose=0)
        means[weight] = model.encode(x).mean(axis=0)
        mean_row = ((x - x.mean(axis=0)) ** 2).sum(axis=1).mean()
        rebuilt = ((x - model.reconstruct(x)) ** 2).sum(axis=1).mean()
        assert rebuilt < 0.7 * mean_row
    np.testing.assert_allclose(means[10.0], 0.1, atol=0.05)  # every unit, not the average of all
    assert means[0.0].mean() > 0.3


def test_code_l1_suits_relu(digits):
    x = digits[0]
    sums = []
    for code_l1 in (0.0, 0.5):
        model = make(activation="relu", sparsity_weight=0, code_l1=code_l1)
        model.compile(keras.optimizers.Adam(0.01))
        model.fit(x, epochs=5, verbose=0)
        sums.append(model.encode(x).sum(axis=1).mean())
    assert sums[1] < 0.6 * sums[0]


def test_same_seed_same_weights(digits):
    def weights(seed):
        model = make(seed=seed)
        model.compile("adam")
        model.fit(digits[0], epochs=1, verbose=0)
        return model.get_weights()

    for one, two in zip(weights(3), weights(3), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(weights(3)[0], weights(4)[0])


@pytest.mark.float64
@pytest.mark.parametrize("dtype", ["float64", "mixed_float16"])
def test_precision(dtype, digits):
    model = make(dtype=dtype, sparsity_weight=1.0, kernel_l2=1e-4)
    model.compile(keras.optimizers.Adam(0.01))
    loss = model.fit(digits[0], epochs=3, verbose=0).history["loss"]
    assert loss[-1] < loss[0]


def test_refusals():
    with pytest.raises(
        ValueError,
        match=r"KLSparsity needs codes in \[0, 1\].*SparseAutoencoder is 'relu': use .*CodeL1",
    ):
        make(activation="relu")
    with pytest.raises(ValueError, match="`sparsity_target` of SparseAutoencoder must"):
        make(sparsity_target=0)
    for name in ("sparsity_weight", "code_l1", "kernel_l1", "kernel_l2"):
        with pytest.raises(ValueError, match=f"`{name}` of SparseAutoencoder must be a finite"):
            make(**{name: -0.1})
    with pytest.raises(ValueError, match="`hidden_units` of SparseAutoencoder must be a whole"):
        make(hidden_units=0)
    with pytest.raises(ValueError, match="`reconstruction_loss` of SparseAutoencoder must be one"):
        make(reconstruction_loss="mse")
