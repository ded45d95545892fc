import keras
import numpy as np
import pytest
from checks import array, check_model
from scipy.stats import multivariate_normal

from keras_sda.callbacks import KLWarmup
from keras_sda.losses import gaussian_kl
from keras_sda.models.variational import VariationalAutoencoder

IMAGES = dict(input_shape=(8, 8, 1), filters=(8, 16), hidden_units=(16,), latent_dim=2)


@pytest.fixture(scope="module")
def images(digits):
    return digits[0].reshape(-1, 8, 8, 1)


@pytest.fixture(scope="module")
def trained(digits):
    model = VariationalAutoencoder(64, (64,), 6, seed=0)
    model.compile(keras.optimizers.Adam(0.005))
    history = model.fit(digits[0][:1500], epochs=12, validation_data=digits[0][1500:], verbose=0)
    return model, history.history


def set_weights(model, **values):
    """Sets kernel and bias of the layers of these names; of the last one if called `output`."""
    layers = {
        layer.name: layer for part in (model.posterior, model.generator) for layer in part.layers
    }
    layers["output"] = model.generator.layers[-1]
    for name, (kernel, bias) in values.items():
        layers[name].set_weights([np.asarray(kernel, "float32"), np.asarray(bias, "float32")])


def log_normal(x, mean, variance):
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance).sum(axis=-1)


@pytest.fixture
def linear(rng):
    """A linear Gaussian model, whose marginal is known; posterior near, but not at, the exact one.

    x = z W + b + stddev * noise with orthogonal rows of W, for which the exact posterior has a
    diagonal covariance, 1 / (1 + |w|^2 / stddev^2), as the encoder assumes.
    """
    stddev = 0.5
    directions = np.linalg.qr(rng.normal(size=(4, 2)))[0].T * [[1.2], [0.7]]
    bias = np.array([0.5, -1.0, 0.0, 2.0])
    variance = 1 / (1 + (directions**2).sum(axis=1) / stddev**2)
    to_mean = directions.T * variance / stddev**2
    model = VariationalAutoencoder(
        4, (), 2, likelihood="gaussian", likelihood_stddev=stddev, seed=0
    )
    exact = dict(
        output=(directions, bias),
        mean=(to_mean, -bias @ to_mean),
        log_var=(np.zeros((4, 2)), np.log(variance)),
    )
    x = rng.normal(size=(40, 2)) @ directions + bias + stddev * rng.normal(size=(40, 4))
    covariance = directions.T @ directions + stddev**2 * np.eye(4)
    marginal = multivariate_normal(bias, covariance).logpdf(x)
    return model, exact, x.astype("float32"), marginal


def test_kl_worked_by_hand():
    # N(1, e): (1 + e - 1 - 1) / 2. N(0, 1): none. N(0, e^-20): (e^-20 - 1 + 20) / 2.
    mean = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]], "float32")
    log_var = np.array([[1.0, 0.0], [0.0, 0.0], [-20.0, 0.0]], "float32")
    expected = [(np.e - 1) / 2, 0, (np.exp(-20) + 19) / 2 + 2]
    np.testing.assert_allclose(array(gaussian_kl(mean, log_var)), expected, rtol=1e-6)
    tiny = np.float32(1e-4)  # v^2 / 4 to the first order, where exp(v) - 1 - v keeps no digit
    np.testing.assert_allclose(array(gaussian_kl([[0.0]], [[tiny]])), [tiny**2 / 4], rtol=0.05)


def test_kl_against_draws(rng):
    mean, log_var = rng.normal(size=(2, 1, 5))
    draws = mean + np.exp(log_var / 2) * rng.normal(size=(200_000, 5))
    difference = log_normal(draws, mean, np.exp(log_var)) - log_normal(draws, 0.0, 1.0)
    error = difference.std() / len(draws) ** 0.5
    assert abs(float(gaussian_kl(mean, log_var)[0]) - difference.mean()) < 4 * error


@pytest.mark.parametrize(
    ("arguments", "likelihood"),
    [
        (dict(input_dim=64, hidden_units=(24, 12)), "gaussian"),
        pytest.param(IMAGES, "bernoulli", marks=pytest.mark.full),
    ],
)
def test_standard(arguments, likelihood, digits, tmp_path):
    model = VariationalAutoencoder(
        **{"latent_dim": 3, **arguments}, likelihood=likelihood, seed=0, beta=0.5
    )
    x = digits[0].reshape(-1, *model.row_shape)[:300]
    model.compile("adam")
    model.fit(x, epochs=1, verbose=0)
    loaded = check_model(model, x[:50], tmp_path)
    assert loaded.likelihood == likelihood
    history = loaded.fit(x, epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0], "a loaded model goes on training"
    np.testing.assert_array_equal(loaded.encode_distribution(x)[0], loaded.encode(x))


def test_published_nets():
    dense = VariationalAutoencoder(784)
    # 784*400+400, 400*20+20 twice, 20*400+400, 400*784+784, and beta
    assert dense.count_params() == 314_000 + 2 * 8_020 + 8_400 + 314_384 + 1
    model = VariationalAutoencoder(
        input_shape=(28, 28, 1), filters=(32, 64), hidden_units=(16,), latent_dim=2
    )
    shapes = [layer.output.shape[1:] for layer in model.posterior.layers[1:]]
    assert shapes == [(14, 14, 32), (7, 7, 64), (3136,), (16,), (2,), (2,)]
    shapes = [layer.output.shape[1:] for layer in model.generator.layers[1:]]
    assert shapes == [(3136,), (7, 7, 64), (14, 14, 64), (28, 28, 32), (28, 28, 1)]
    assert (model.posterior.count_params(), model.generator.count_params()) == (69076, 65089)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_loss_worked_by_hand(likelihood):
    model = VariationalAutoencoder(2, (), 1, likelihood=likelihood, likelihood_stddev=0.5, beta=3.0)
    # A standard deviation of exp(-30): the draw is the mean, to float32.
    set_weights(
        model,
        mean=([[1.0], [2.0]], [0.5]),
        log_var=([[0.0], [0.0]], [-60.0]),
        output=([[1.0, -1.0]], [0.0, 0.25]),
    )
    model.compile("sgd")
    x = np.array([[0.2, 0.4], [1.0, 0.0]])
    codes = x @ [1.0, 2.0] + 0.5
    outputs = np.stack([codes, 0.25 - codes], axis=1)
    if likelihood == "bernoulli":
        p = 1 / (1 + np.exp(-outputs))
        nll = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)
    else:
        nll = ((x - outputs) ** 2).sum(axis=1) / 0.5 + 2 * np.log(0.5 * np.sqrt(2 * np.pi))
        np.testing.assert_allclose(nll, -log_normal(x, outputs, 0.25))
    kl = (codes**2 + np.exp(-60) - 1 + 60) / 2
    for weight in (None, np.array([0.5, 2.0])):
        scale = np.ones(2) if weight is None else weight
        expected = [(scale * part).mean() for part in (nll + 3 * kl, nll, kl)]
        measured = model.evaluate(x.astype("float32"), sample_weight=weight, verbose=0)
        np.testing.assert_allclose(measured, expected, rtol=1e-5)
    named = model.evaluate(x.astype("float32"), verbose=0, return_dict=True)
    assert set(named) == {"loss", "nll", "kl"}
    trained = model.fit(x.astype("float32"), sample_weight=np.array([0.5, 2.0]), verbose=0).history
    assert trained["loss"][0] == pytest.approx(expected[0], rel=1e-5)


def test_saturated_cross_entropy_stays_exact():
    model = VariationalAutoencoder(1, (), 1, beta=0.0)
    set_weights(model, output=([[0.0]], [40.0]))
    model.compile("sgd")
    assert model.evaluate(np.zeros((1, 1), "float32"), verbose=0)[0] == pytest.approx(40)


def test_evaluate_is_the_bound_and_not_the_loss_at_the_mean(linear):
    model, exact, x, _ = linear
    variance = np.array([0.3, 0.6])
    set_weights(model, **{**exact, "log_var": (np.zeros((4, 2)), np.log(variance))})
    model.compile("sgd")
    directions, bias = exact["output"]
    mean = x @ exact["mean"][0] + exact["mean"][1]
    at_mean = -log_normal(x, mean @ directions + bias, 0.25)
    # E |x - zW - b|^2 = |x - mean W - b|^2 + sum var |w|^2
    nll = at_mean + (variance * (directions**2).sum(axis=1)).sum() / (2 * 0.25)
    kl = 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(axis=1)
    loss, measured_nll, measured_kl = model.evaluate(
        np.tile(x, (500, 1)), batch_size=1000, verbose=0
    )
    assert measured_kl == pytest.approx(kl.mean(), rel=1e-4)
    assert measured_nll == pytest.approx(nll.mean(), abs=0.06)
    assert nll.mean() - at_mean.mean() > 1
    assert loss == pytest.approx(measured_nll + measured_kl, rel=1e-5)
    np.testing.assert_allclose(
        model.reconstruction_error(x), ((x - mean @ directions - bias) ** 2).sum(axis=1), rtol=1e-3
    )


def test_bernoulli_bound_against_numpy(trained, digits, rng):
    model, _ = trained
    x = digits[0][:20]
    mean, stddev = model.encode_distribution(x)
    codes = mean + stddev * rng.normal(size=(2000, *mean.shape))
    p = model.decode(codes.reshape(-1, 6).astype("float32")).reshape(2000, *x.shape)
    p = np.clip(p.astype("float64"), 1e-12, 1 - 1e-12)
    nll = -(x * np.log(p) + (1 - x) * np.log1p(-p)).sum(axis=-1)
    kl = 0.5 * (mean**2 + stddev**2 - 1 - 2 * np.log(stddev)).sum(axis=-1)
    loss, measured_nll, measured_kl = model.evaluate(
        np.tile(x, (2000, 1)), batch_size=2000, verbose=0
    )
    error = 4 * np.sqrt(2) * nll.mean(axis=1).std() / 2000**0.5
    assert measured_nll == pytest.approx(nll.mean(), abs=error)
    assert measured_kl == pytest.approx(kl.mean(), rel=1e-4)
    assert loss == pytest.approx(measured_nll + measured_kl, rel=1e-5)


def test_learns(trained, digits):
    _, history = trained
    x = digits[0]
    assert set(history) == {"loss", "nll", "kl", "val_loss", "val_nll", "val_kl"}
    mean_image = np.clip(x[:1500].mean(axis=0), 1e-3, 1 - 1e-3)
    held_out = x[1500:]
    baseline = -(held_out * np.log(mean_image) + (1 - held_out) * np.log(1 - mean_image)).sum(1)
    assert history["val_loss"][-1] < baseline.mean() - 1
    np.testing.assert_allclose(np.array(history["nll"]) + history["kl"], history["loss"], rtol=1e-4)
    assert history["kl"][-1] > 0.5, "the code is used"


@pytest.mark.full
def test_convolutional_learns_with_two_latent_units(images):
    model = VariationalAutoencoder(**{**IMAGES, "filters": (16, 32), "hidden_units": (32,)}, seed=0)
    model.compile(keras.optimizers.Adam(0.005))
    fit = dict(batch_size=32, epochs=15, callbacks=[KLWarmup(4)], verbose=0)
    loss = model.fit(images, **fit).history["loss"]
    mean_image = np.clip(images.mean(axis=0), 1e-3, 1 - 1e-3)
    baseline = -(images * np.log(mean_image) + (1 - images) * np.log(1 - mean_image))
    assert loss[-1] < baseline.sum(axis=(1, 2, 3)).mean() - 1


def test_likelihood_is_exact_with_the_exact_posterior(linear):
    model, exact, x, marginal = linear
    set_weights(model, **exact)
    # Each importance weight is p(x) itself, so that one draw is enough, and the bound is tight.
    np.testing.assert_allclose(model.log_likelihood(x, num_samples=1), marginal, atol=1e-3)
    np.testing.assert_allclose(model.log_likelihood(x, num_samples=7), marginal, atol=1e-3)
    model.compile("sgd")
    loss = model.evaluate(np.tile(x, (500, 1)), batch_size=1000, verbose=0)[0]
    assert loss == pytest.approx(-marginal.mean(), abs=0.05)


def test_likelihood_closes_in_from_below(linear):
    model, exact, x, marginal = linear
    wider = exact["log_var"][1] + np.log([2.0, 3.0])
    set_weights(model, **{**exact, "log_var": (np.zeros((4, 2)), wider)})
    estimates = [model.log_likelihood(x, k, seed=0).mean() for k in (1, 5, 50, 5000)]
    assert estimates == sorted(estimates)
    assert estimates[0] < marginal.mean() - 0.1
    np.testing.assert_allclose(model.log_likelihood(x, 5000, seed=1), marginal, atol=0.15)
    assert estimates[-1] == pytest.approx(marginal.mean(), abs=0.01)


def test_likelihood_of_trained_models(trained, digits, images):
    model, _ = trained
    x = digits[0][1500:]
    bound = -model.evaluate(np.tile(x, (5, 1)), verbose=0)[0]
    few, many = (model.log_likelihood(x, k, seed=0) for k in (5, 50))
    assert few.shape == (len(x),)
    assert few.dtype == np.float32
    assert bound < few.mean() < many.mean()
    np.testing.assert_array_equal(few, model.log_likelihood(x, 5, seed=0))
    assert not np.array_equal(few, model.log_likelihood(x, 5, seed=1))
    # More rows than are decoded together, and one row with several parts of draws.
    assert model.log_likelihood(np.tile(x, (5, 1)), 2).shape == (5 * len(x),)
    single = model.log_likelihood(x[:1], 3000, seed=0)
    assert single == pytest.approx(many[:1], abs=0.5)
    convolutional = VariationalAutoencoder(**IMAGES)
    assert np.isfinite(convolutional.log_likelihood(images[:9], 3)).all()


def test_training_draws_and_inference_does_not(trained, digits):
    model, _ = trained
    x = digits[0][:10]
    first, second = (array(model(x, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_array_equal(model.reconstruct(x), model.reconstruct(x))
    np.testing.assert_allclose(model.decode(model.encode(x)), model.reconstruct(x), atol=1e-6)
    assert model.evaluate(x, verbose=0) != model.evaluate(x, verbose=0)
    p = model.reconstruct(x).astype("float64")
    by_hand = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)
    np.testing.assert_allclose(model.reconstruction_error(x), by_hand, rtol=1e-4)


def test_sample(trained):
    model, _ = trained
    rows = model.sample(7, seed=3)
    assert rows.shape == (7, 64)
    assert rows.min() >= 0
    assert rows.max() <= 1
    np.testing.assert_array_equal(rows, model.sample(7, seed=3))
    assert not np.array_equal(rows, model.sample(7, seed=4))
    assert not np.array_equal(model.sample(7), model.sample(7))
    assert VariationalAutoencoder(**IMAGES).sample(5).shape == (5, 8, 8, 1)
    # What is decoded are draws from the prior.
    flat = VariationalAutoencoder(3, (), 3, likelihood="gaussian")
    set_weights(flat, output=(np.eye(3), np.zeros(3)))
    draws = flat.sample(20_000, seed=0)
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose(np.cov(draws.T), np.eye(3), atol=0.05)


def test_traverse(trained, digits, images):
    model, _ = trained
    row = digits[0][3]
    code = model.encode(row[None])[0]
    values = [-2.0, 0.0, float(code[4]), 2.0]
    path = model.traverse(row, 4, values)
    assert path.shape == (4, 64)
    np.testing.assert_array_equal(path, model.traverse(code, 4, values))
    expected = np.tile(code, (4, 1))
    expected[:, 4] = values
    np.testing.assert_allclose(path, model.decode(expected), atol=1e-6)
    np.testing.assert_allclose(path[2], model.reconstruct(row[None])[0], atol=1e-6)
    assert np.abs(path[0] - path[3]).max() > 0.01
    np.testing.assert_array_equal(code, model.encode(row[None])[0])
    convolutional = VariationalAutoencoder(**IMAGES)
    assert convolutional.traverse(images[0], 1, np.linspace(-3, 3, 5)).shape == (5, 8, 8, 1)


def test_beta_is_a_variable_that_is_saved(digits, tmp_path):
    model = VariationalAutoencoder(64, (8,), 2, beta=4.0, seed=0)
    model.compile("adam")
    assert float(model.beta) == 4
    model.fit(digits[0][:100], verbose=0)
    model.beta.assign(0.25)
    loss, nll, kl = model.evaluate(digits[0][:100], verbose=0)
    assert loss == pytest.approx(nll + 0.25 * kl, rel=1e-5)
    assert not any(model.beta is variable for variable in model.trainable_variables)
    loaded = check_model(model, digits[0][:20], tmp_path)
    assert float(loaded.beta) == 0.25
    assert loaded.final_beta == 4


def test_warmup(digits):
    model = VariationalAutoencoder(64, (8,), 2, beta=2.0, seed=0)
    model.compile("adam")
    history = model.fit(digits[0][:200], epochs=6, callbacks=[KLWarmup(4)], verbose=0).history
    assert history["beta"] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    weighted = np.array(history["nll"]) + np.array(history["beta"]) * history["kl"]
    np.testing.assert_allclose(history["loss"], weighted, rtol=1e-4)


def test_same_seed_same_training(digits):
    def run(seed):
        model = VariationalAutoencoder(64, (8, 8), 8, seed=seed)
        model.compile("adam")
        model.fit(digits[0][:300], epochs=2, verbose=0)
        return model.get_weights()

    first = run(3)
    for one, two in zip(first, run(3), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[1], run(4)[1])
    kernels = VariationalAutoencoder(8, (8, 8), 8, seed=0).get_weights()
    kernels = [kernel.tobytes() for kernel in kernels if kernel.shape == (8, 8)]
    assert len(set(kernels)) == len(kernels) == 7


@pytest.mark.float64
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_precision(dtype, digits, tmp_path):
    x = digits[0]
    model = VariationalAutoencoder(64, (32,), 4, seed=0, dtype=dtype)
    model.compile(keras.optimizers.Adam(0.01))
    loss = model.fit(x, epochs=3, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    assert {w.dtype for w in model.trainable_weights} == {model.variable_dtype}
    assert np.isfinite(model.log_likelihood(x[:20], 3)).all()
    assert model.sample(2).shape == (2, 64)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.encode(x[:20]), model.encode(x[:20]))


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("arguments", [dict(input_dim=64, hidden_units=(8,)), IMAGES])
def test_export(arguments, digits, tmp_path):
    tf = pytest.importorskip("tensorflow")
    model = VariationalAutoencoder(**arguments)
    x = digits[0].reshape(-1, *model.row_shape)[:1000]
    model.export(tmp_path / "exported")
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    for count in (1, 7, 1000):
        rows = tf.constant(x[:count])
        np.testing.assert_allclose(loaded.encode(rows), model.encode(x[:count]), atol=1e-5)
        for endpoint in (loaded.serve, loaded.reconstruct):
            np.testing.assert_allclose(endpoint(rows), model.reconstruct(x[:count]), atol=1e-5)


def test_datasets(digits):
    tf = pytest.importorskip("tensorflow")
    x = digits[0][:100]
    batches = tf.data.Dataset.from_tensor_slices(x).batch(32)
    model = VariationalAutoencoder(64, (8,), 2, seed=0)
    model.compile("adam")
    model.fit(batches, validation_data=batches, verbose=0)
    np.testing.assert_allclose(model.encode(batches), model.encode(x), atol=1e-5)
    assert model.log_likelihood(batches, 3).shape == (100,)
    with pytest.raises(ValueError, match=r"fit\(\) has a Bernoulli likelihood, which needs `x` in"):
        model.fit(batches.map(lambda rows: 2 * rows), verbose=0)


REFUSALS = {
    "neither": (dict(input_dim=None), "is either dense, with `input_dim`, or convolutional, with"),
    "both": (IMAGES | dict(input_dim=64), "is either dense, with `input_dim`, or convolutional"),
    "half": (dict(input_dim=None, input_shape=(8, 8, 1)), "with `input_shape` and `filters`"),
    "units": (dict(hidden_units=(8, 0)), "`hidden_units` of .* must be a whole number of at least"),
    "latent": (dict(latent_dim=0), "`latent_dim` of .* must be a whole number of at least 1"),
    "likelihood": (dict(likelihood="poisson"), "`likelihood` of .* one of 'bernoulli', 'gaussian'"),
    "stddev": (dict(likelihood_stddev=0), "`likelihood_stddev` of .* a finite number above 0"),
    "beta": (dict(beta=-1), "`beta` of .* must be a finite number of at least 0"),
    "sides": (
        IMAGES | dict(input_dim=None, input_shape=(30, 28, 1)),
        "gives 32 x 28 for images of 30 x 28: sides must be multiples of 4, so pad the images to",
    ),
    "kernels": (
        IMAGES | dict(input_dim=None, kernel_size=[3, 3, 3]),
        "`kernel_size` of .* one entry per level, here 2",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    arguments, message = REFUSALS[case]
    with pytest.raises(ValueError, match=message):
        VariationalAutoencoder(**{"input_dim": 64, **arguments})


def test_refuses_other_losses_and_data(digits, images):
    x, _ = digits
    model = VariationalAutoencoder(64, (8,), 2)
    model.compile("adam", loss="mse")
    with pytest.raises(ValueError, match=r"has its loss built in.*call compile\(optimizer\) with"):
        model.fit(x)
    model.compile("adam")
    with pytest.raises(ValueError, match=r"fit\(\) has a Bernoulli likelihood.*reach from 0 to 2:"):
        model.fit(2 * x)
    with pytest.raises(ValueError, match=r"log_likelihood\(\) has a Bernoulli likelihood"):
        model.log_likelihood(2 * x)
    with pytest.raises(ValueError, match=r"expects `x` of shape \(rows, 64\)"):
        model.encode_distribution(images)
    with pytest.raises(ValueError, match="`num_samples` of .*sample.* must be a whole number"):
        model.sample(0)
    with pytest.raises(ValueError, match="counts the 2 latent units from 0. Received: unit=2"):
        model.traverse(x[0], 2, [0.0])
    with pytest.raises(ValueError, match=r"a row of shape \(64,\) or a code of shape \(2,\). Rec"):
        model.traverse(x[:2], 0, [0.0])
    with pytest.raises(ValueError, match="needs `values` as a list of numbers"):
        model.traverse(x[0], 0, 1.0)
    with pytest.raises(ValueError, match=r"shape \(rows, 8, 8, 1\).*load images with flatten=Fal"):
        VariationalAutoencoder(**IMAGES).encode(x)
    wide = VariationalAutoencoder(64, (8,), 2, likelihood="gaussian")
    wide.compile("adam", loss="mse")
    with pytest.raises(ValueError, match="has its loss built in"):
        wide.evaluate(x)
    wide.compile("adam")
    wide.fit(6 * x - 3, verbose=0)
    _, nll, _ = wide.evaluate(6 * x - 3, verbose=0)
    assert nll > 32 * np.log(2 * np.pi)
