from itertools import pairwise

import keras
import numpy as np
import pytest
from checks import check_model
from sklearn.decomposition import PCA
from tiers import in_tiers

from keras_sda.models.deep import DeepAutoencoder


@pytest.mark.parametrize("tied", in_tiers([True, False], [True]))
@pytest.mark.parametrize("noise", in_tiers([None, "masking"], ["masking"]))
def test_standard(tied, noise, digits, tmp_path):
    model = DeepAutoencoder(64, [24, 12, 3], tied=tied, noise=noise, noise_level=0.1, seed=0)
    model.compile("adam")
    model.fit(digits[0], epochs=1, verbose=0)
    loaded = check_model(model, digits[0][:50], tmp_path)
    history = loaded.fit(digits[0], epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]


def test_the_published_nets_have_their_layers():
    notes = DeepAutoencoder(784, [128, 64, 12, 3], seed=0)
    # In PyTorch: Linear(784, 128), Linear(128, 64), Linear(64, 12), Linear(12, 3) and back.
    sizes = [784, 128, 64, 12, 3]
    up = sum(a * b + b for a, b in pairwise(sizes))
    down = sum(a * b + b for a, b in pairwise(sizes[::-1]))
    assert notes.count_params() == up + down
    assert (up, down) == (109_555, 110_336)
    hinton = DeepAutoencoder(784, [1000, 500, 250, 30], activation="sigmoid", tied=True, seed=0)
    kernels = 784 * 1000 + 1000 * 500 + 500 * 250 + 250 * 30
    assert hinton.count_params() == kernels + (1000 + 500 + 250 + 30) + (784 + 1000 + 500 + 250)
    assert [layer.activation.__name__ for layer in hinton.levels] == ["sigmoid"] * 3 + ["linear"]


def test_forward_pass_by_hand(rng):
    model = DeepAutoencoder(
        5, [4, 2], reconstruction_loss="squared_error", output_activation="sigmoid", seed=0
    )
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    x = rng.uniform(size=(3, 5)).astype("float32")
    first, second = model.levels
    up = np.tanh(x @ np.asarray(first.kernel) + np.asarray(first.bias))
    code = up @ np.asarray(second.kernel) + np.asarray(second.bias)  # the code is linear
    down = np.tanh(code @ np.asarray(second.visible_kernel) + np.asarray(second.visible_bias))
    logits = down @ np.asarray(first.visible_kernel) + np.asarray(first.visible_bias)
    rebuilt = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(model.encode(x), code, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.decode(code), rebuilt, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), rebuilt, rtol=1e-4, atol=1e-5)
    model.compile("sgd")
    squared = ((x - rebuilt) ** 2).sum(axis=1)
    np.testing.assert_allclose(model.reconstruction_error(x), squared, rtol=1e-4)
    assert model.evaluate(x, verbose=0) == pytest.approx(squared.mean(), rel=1e-4)


@pytest.mark.full
def test_beats_pca_with_the_same_code(digits):
    x = digits[0]
    train, test = x[:1400], x[1400:]
    model = DeepAutoencoder(64, [64, 32, 3], reconstruction_loss="squared_error", seed=0)
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(train, epochs=60, verbose=0)
    pca = PCA(3).fit(train)
    linear = ((test - pca.inverse_transform(pca.transform(test))) ** 2).sum(axis=1).mean()
    assert model.reconstruction_error(test).mean() < 0.8 * linear


@pytest.mark.full
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_pretraining_helps_saturating_layers(activation, digits):
    x = digits[0]
    losses = {}
    for pretrained in (False, True):
        model = DeepAutoencoder(
            64, [48, 24, 12, 3], activation=activation, tied=True, noise="masking", seed=0
        )
        if pretrained:
            before = [np.array(layer.kernel) for layer in model.levels]
            histories = model.pretrain(x, epochs=15, batch_size=32, learning_rate=5e-3, verbose=0)
            assert [len(history.epoch) for history in histories] == [15] * 4
            for history in histories:
                assert history.history["loss"][-1] < history.history["loss"][0]
            for layer, kernel in zip(model.levels, before, strict=True):
                assert np.abs(np.asarray(layer.kernel) - kernel).max() > 1e-3
        model.compile(keras.optimizers.Adam(1e-3))
        model.fit(x, epochs=8, verbose=0)
        losses[pretrained] = model.evaluate(x, verbose=0)
    assert losses[True] < losses[False]


def test_untied_after_tied_pretraining(digits):
    model = DeepAutoencoder(64, [16, 4], tied=True, seed=0)
    model.pretrain(digits[0], epochs=1, verbose=0)
    before = model.reconstruct(digits[0][:20])
    model.untie()
    np.testing.assert_allclose(model.reconstruct(digits[0][:20]), before, rtol=1e-5, atol=1e-6)
    model.compile("adam")
    model.fit(digits[0], epochs=1, verbose=0)
    kernel = np.asarray(model.levels[0].kernel)
    assert np.abs(kernel.T - np.asarray(model.levels[0].visible_kernel)).max() > 1e-4
    assert model.get_config()["tied"] is False


def test_same_seed_same_weights(digits):
    def train():
        model = DeepAutoencoder(64, [16, 4], noise="masking", seed=3)
        model.pretrain(digits[0], epochs=1, verbose=0)
        model.compile("adam")
        model.fit(digits[0], epochs=1, verbose=0)
        return model.get_weights()

    for one, other in zip(train(), train(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_refusals(digits):
    with pytest.raises(ValueError, match="`hidden_units` of DeepAutoencoder must list"):
        DeepAutoencoder(64, 8)
    with pytest.raises(ValueError, match="`hidden_units` of DeepAutoencoder must be a whole"):
        DeepAutoencoder(64, [8, 0])
    with pytest.raises(ValueError, match="cross-entropy, which needs a sigmoid at the end"):
        DeepAutoencoder(
            64, [8], reconstruction_loss="binary_crossentropy", output_activation="tanh"
        )
    model = DeepAutoencoder(64, [8], output_activation="tanh", seed=0)
    model.compile("adam")
    with pytest.raises(ValueError, match=r"values lie in \[-1, 1\], but from row 0 on it ranges"):
        model.fit(2 * digits[0], verbose=0)
    with pytest.raises(ValueError, match=r"pretrain\(\).*\[-1, 1\]"):
        model.pretrain(2 * digits[0], verbose=0)
    model.fit(2 * digits[0] - 1, epochs=1, verbose=0)
