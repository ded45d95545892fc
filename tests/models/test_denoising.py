import keras
import numpy as np
import pytest
from checks import check_model
from tiers import in_tiers

import keras_sda as ks


@pytest.fixture(scope="module")
def trained(digits):
    x, _ = digits
    model = ks.DenoisingAutoencoder(64, 30, noise_level=0.2, seed=0)
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(x, epochs=10, validation_data=x[:200], verbose=0)
    return model, history


@pytest.mark.parametrize("noise", in_tiers([*ks.layers.noise_names(), None], ["masking", None]))
@pytest.mark.parametrize("tied", in_tiers([True, False], [True]))
def test_standard(noise, tied, digits, tmp_path):
    model = ks.DenoisingAutoencoder(64, 12, noise=noise, noise_level=0.1, tied=tied, seed=0)
    model.compile("adam")
    model.fit(digits[0], epochs=1, verbose=0)
    loaded = check_model(model, digits[0][:50], tmp_path)
    history = loaded.fit(digits[0], epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0], "a loaded model continues training"


def test_learns_without_a_target(trained, digits):
    model, history = trained
    x, _ = digits
    loss = history.history["loss"]
    assert loss[-1] < 0.75 * loss[0]
    mean_row = ((x - x.mean(axis=0)) ** 2).sum(axis=1).mean()
    rebuilt = ((x - model.reconstruct(x)) ** 2).sum(axis=1).mean()
    assert rebuilt < 0.3 * mean_row


def test_error_is_the_loss_of_each_row(trained, digits):
    model, _ = trained
    x = digits[0][:200]
    probability = model.predict(x, verbose=0).astype("float64")
    by_hand = -(x * np.log(probability) + (1 - x) * np.log(1 - probability)).sum(axis=1)
    errors = model.reconstruction_error(x)
    np.testing.assert_allclose(errors, by_hand, rtol=1e-4)
    assert model.evaluate(x, verbose=0) == pytest.approx(errors.mean(), rel=1e-5)
    strange = np.random.default_rng(0).permuted(x, axis=1)  # the same pixels, elsewhere
    assert model.reconstruction_error(strange).mean() > 1.5 * errors.mean()


def test_loss_of_a_case_worked_by_hand():
    model = ks.DenoisingAutoencoder(2, 1, noise=None, kernel_initializer="zeros", seed=0)
    model.levels[0].visible_bias.assign([0.0, np.log(3.0)])  # sigmoid: 1/2 and 3/4
    model.compile("sgd")
    x = np.array([[1.0, 0.0], [0.5, 1.0]], "float32")
    # Row 1: log 2 + log 4. Row 2: log 2 - log(3/4).
    rows = [np.log(2) + np.log(4), np.log(2) - np.log(0.75)]
    np.testing.assert_allclose(model.reconstruction_error(x), rows, rtol=1e-6)
    assert model.evaluate(x, verbose=0) == pytest.approx(np.mean(rows), rel=1e-6)
    weighted = model.evaluate(x, sample_weight=np.array([0.0, 2.0]), verbose=0)
    assert weighted == pytest.approx(2 * rows[1] / 2, rel=1e-6)

    squared = ks.DenoisingAutoencoder(
        2, 1, noise=None, kernel_initializer="zeros", reconstruction_loss="squared_error"
    )
    squared.levels[0].visible_bias.assign([1.0, -3.0])
    # (1 - 1)^2 + (0 + 3)^2 and (0.5 - 1)^2 + (1 + 3)^2: summed, no factor 1/2
    np.testing.assert_allclose(squared.reconstruction_error(x), [9, 16.25])


def test_saturated_cross_entropy_stays_exact():
    model = ks.DenoisingAutoencoder(1, 1, noise=None, kernel_initializer="zeros")
    model.levels[0].visible_bias.assign([40.0])
    # sigmoid(40) rounds to 1 in float32, where log(1 - p) would be infinite; -log(1 - p) = 40.
    np.testing.assert_allclose(model.reconstruction_error(np.zeros((1, 1), "float32")), [40.0])


def test_auto_loss_follows_the_data(digits):
    x, _ = digits
    unit = ks.DenoisingAutoencoder(64, 8)
    unit.compile("adam")
    unit.fit(x, epochs=1, verbose=0)
    assert unit.reconstruction_loss == "binary_crossentropy"
    assert unit.predict(x, verbose=0).max() <= 1

    wide = ks.DenoisingAutoencoder(64, 8, seed=0)
    wide.predict(6 * x - 3, verbose=0)  # traced with a sigmoid, which must not stay
    wide.compile(keras.optimizers.Adam(0.01))
    history = wide.fit(6 * x - 3, epochs=20, verbose=0).history["loss"]
    assert wide.reconstruction_loss == "squared_error"
    assert history[-1] < 0.8 * history[0]
    assert wide.predict(6 * x - 3, verbose=0).min() < -1
    assert wide.decode(wide.encode(6 * x - 3)).min() < -1


def test_other_losses_and_targets(digits):
    x, _ = digits
    model = ks.DenoisingAutoencoder(64, 8, noise=None, seed=0)
    model.compile("sgd", "mse", metrics=["mae"])
    loss, mae = model.evaluate(x, verbose=0)
    rebuilt = model.predict(x, verbose=0)
    assert loss == pytest.approx(((x - rebuilt) ** 2).mean(), rel=1e-4)
    assert mae == pytest.approx(np.abs(x - rebuilt).mean(), rel=1e-4)
    loss, _ = model.evaluate(x, 1 - x, verbose=0)
    assert loss == pytest.approx((((1 - x) - rebuilt) ** 2).mean(), rel=1e-4)


def test_same_seed_same_weights(digits):
    def weights(seed):
        model = ks.DenoisingAutoencoder(64, 8, seed=seed)
        model.compile("adam")
        model.fit(digits[0], epochs=2, verbose=0)
        return model.get_weights()

    for one, two in zip(weights(3), weights(3), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(weights(3)[1], weights(4)[1])


@pytest.mark.float64
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_precision(dtype, digits, tmp_path):
    x = digits[0]
    model = ks.DenoisingAutoencoder(64, 16, seed=0, dtype=dtype)
    model.compile(keras.optimizers.Adam(0.01))
    loss = model.fit(x, epochs=3, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    kernel = model.levels[0].kernel
    assert kernel.dtype == ("float64" if dtype == "float64" else "float32")
    errors = model.reconstruction_error(x[:20])
    assert errors.dtype == kernel.dtype
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy == model.dtype_policy
    np.testing.assert_array_equal(loaded.reconstruction_error(x[:20]), errors)


def test_refusals(digits):
    x, _ = digits
    with pytest.raises(ValueError, match="`hidden_units` of DenoisingAutoencoder must be a whole"):
        ks.DenoisingAutoencoder(64, 0)
    with pytest.raises(ValueError, match="`noise` of .* must be one of 'masking'"):
        ks.DenoisingAutoencoder(64, 8, noise="dropout")
    with pytest.raises(ValueError, match=r"`rate` of MaskingNoise must lie in \[0, 1\]"):
        ks.DenoisingAutoencoder(64, 8, noise_level=1.5)
    with pytest.raises(ValueError, match="`reconstruction_loss` of .* must be one of 'auto'"):
        ks.DenoisingAutoencoder(64, 8, reconstruction_loss="mse")
    model = ks.DenoisingAutoencoder(64, 8, reconstruction_loss="binary_crossentropy")
    model.compile("adam")
    with pytest.raises(ValueError, match=r"fit\(\) uses cross-entropy or a sigmoid output, which"):
        model.fit(2 * x, verbose=0)
    with pytest.raises(ValueError, match=r"fit\(\) expects `x` of shape \(rows, 64\)"):
        model.fit(x[:, :5], verbose=0)
    with pytest.raises(ValueError, match=r"encode\(\) expects `x` of shape \(rows, 64\)"):
        model.encode(x[:, :5])
    with pytest.raises(ValueError, match=r"decode\(\) expects `x` of shape \(rows, 8\)"):
        model.decode(x)
    with pytest.raises(ValueError, match="`level` of .* from 0 to 0"):
        model.encode(x, level=1)


def test_compiling_again_without_a_loss_goes_back_to_the_own(digits):
    model = ks.DenoisingAutoencoder(64, 8, seed=0)
    model.compile("sgd")
    own = model.evaluate(digits[0], verbose=0)
    model.compile("sgd", "mse")
    assert model.evaluate(digits[0], verbose=0) < 0.1 * own
    model.compile("sgd")
    assert model.evaluate(digits[0], verbose=0) == pytest.approx(own)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "squared_error"])
def test_fit_differentiates_by_hand_where_it_can(loss, digits, monkeypatch):
    x, _ = digits

    def trained():
        model = ks.DenoisingAutoencoder(64, 12, reconstruction_loss=loss, seed=0)
        model.compile("adam")
        gradient = model.gradient
        history = model.fit(x, sample_weight=np.linspace(0, 2, len(x)), epochs=2, verbose=0)
        return gradient, model.get_weights(), history.history["loss"]

    gradient, weights, losses = trained()
    assert gradient == "written out"
    monkeypatch.setattr("keras_sda.training.tied_gradient.is_written_out", lambda layer: False)
    gradient, expected, expected_losses = trained()
    assert gradient == "automatic"
    assert losses[1] < losses[0]
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    for found, wanted in zip(weights, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5)
    untied = ks.DenoisingAutoencoder(64, 12, tied=False)
    assert untied.gradient == "automatic"
