import random
import subprocess
import sys

import keras
import numpy as np
import pytest
from checks import RATE_NOISES, array, check_model, check_saving
from tiers import in_tiers

import keras_sda as ks
from keras_sda.layers import AdditiveGaussianNoise, MaskingNoise, SwapNoise, noise_names
from keras_sda.regularizers import KLSparsity

# As the tutorials have it.
PUBLISHED = {
    "activation": "sigmoid",
    "kernel_initializer": "glorot_uniform",
    "batch_normalization": False,
}


def make(**arguments):
    given = {"input_dim": 64, "hidden_units": [24, 12], "num_classes": 10, "seed": 0, **arguments}
    return ks.StackedDenoisingAutoencoder(**given)


def compiled(model, optimizer="adam"):
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def trained(digits):
    x, y = digits
    model = make(**PUBLISHED)
    model.pretrain(x, epochs=5, learning_rate=0.01, verbose=0)
    compiled(model, keras.optimizers.Adam(0.01)).fit(x, y, epochs=8, verbose=0)
    return model


def test_standard(digits, tmp_path):
    x, y = digits
    model = make(**PUBLISHED, dropout=0.2, finetune_noise_level=0.1, noise="swap")
    model.pretrain(x, epochs=1, verbose=0)
    compiled(model).fit(x, y, epochs=1, verbose=0)
    loaded = check_model(model, x[:60], tmp_path)
    np.testing.assert_array_equal(loaded.encode(x[:60], level=0), model.encode(x[:60], level=0))


def test_learns_the_digits(digits):
    x, y = digits
    train, held_out = slice(0, 1400), slice(1400, None)
    model = make(hidden_units=[100, 50])
    model.pretrain(x[train], epochs=15, learning_rate=0.01, verbose=0)
    compiled(model, keras.optimizers.Adam(0.01))
    model.fit(x[train], y[train], epochs=20, verbose=0)
    _, accuracy = model.evaluate(x[held_out], y[held_out], verbose=0)
    assert accuracy > 0.9


@pytest.mark.full
def test_pretraining_helps_when_labels_are_few(digits):
    x, y = digits
    accuracies = {True: [], False: []}
    for pretrained in accuracies:
        for seed in range(3):
            model = make(**PUBLISHED, hidden_units=[100, 50], seed=seed)
            if pretrained:
                model.pretrain(x, epochs=15, learning_rate=0.01, verbose=0)
            compiled(model, keras.optimizers.SGD(0.5))
            model.fit(x[:100], y[:100], batch_size=10, epochs=20, verbose=0)
            accuracies[pretrained].append(model.evaluate(x[100:], y[100:], verbose=0)[1])
    assert np.mean(accuracies[True]) > np.mean(accuracies[False]) + 0.1


def test_one_variable_in_classifier_autoencoder_and_after_loading(trained, tmp_path):
    loaded = check_saving(trained, np.zeros((1, 64), "float32"), tmp_path)
    clone = keras.models.clone_model(trained)
    for model in (trained, loaded, clone):
        first = model.levels[0]
        assert model.autoencoder.levels[0] is first
        for view in (model.encoder, model.decoder, model.autoencoder):
            assert any(weight is first.kernel for weight in view.trainable_weights)
        assert model.trainable_weights[0] is first.kernel
        kernels = [w for w in model.weights if w.name == "kernel"]
        assert len(kernels) == 3, "two levels and the head: no second copy for the decoders"
        x = np.ones((1, 64), "float32")
        rebuilt, prediction = model.autoencoder.reconstruct(x), model.predict(x, verbose=0)
        kernel = first.kernel.numpy()
        first.kernel.assign(kernel * 0.5)
        assert not np.allclose(model.autoencoder.reconstruct(x), rebuilt)
        assert model is clone or not np.allclose(model.predict(x, verbose=0), prediction)
        first.kernel.assign(kernel)
    assert clone.levels[0].kernel is not trained.levels[0].kernel


def names(weights):
    """Returns layer and name of each, without any scope in which Keras has put the model."""
    return ["/".join(weight.path.split("/")[-2:]) for weight in weights]


def test_pretraining_leaves_the_head_and_other_levels_alone(digits):
    model = make()
    before = {w.path: w.numpy() for w in model.weights}
    model.pretrain(digits[0], epochs=[1, 0], verbose=0)
    changed = [w for w in model.weights if not np.array_equal(w.numpy(), before[w.path])]
    assert names(changed) == ["level_1/kernel", "level_1/bias", "level_1/visible_bias"]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_supervised_fit_ignores_the_decoders(tied, optimizer, digits, recwarn):
    x, y = digits
    model = make(**PUBLISHED, tied=tied)
    before = [w.numpy() for layer in model.levels for w in layer.visible_weights]
    compiled(model, optimizer).fit(x, y, epochs=1, verbose=0)
    # Keras' own remarks on NumPy under PyTorch aside.
    assert not [each for each in recwarn.list if each.category is not DeprecationWarning]
    assert names(model.trainable_weights) == [
        "level_1/kernel",
        "level_1/bias",
        "level_2/kernel",
        "level_2/bias",
        "head/kernel",
        "head/bias",
    ]
    assert model.trainable_variables == model.trainable_weights
    slots = [v for v in model.optimizer.variables if "visible" in v.path]
    assert not slots
    # iteration, learning rate, and for Adam two moments of each of six variables
    assert len(model.optimizer.variables) == 2 + (12 if optimizer == "adam" else 0)
    after = [w.numpy() for layer in model.levels for w in layer.visible_weights]
    for one, two in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, two)
    # The unrolled autoencoder, over the same layers, does train them.
    model.autoencoder.compile("adam")
    model.autoencoder.fit(x, epochs=1, verbose=0)
    for layer, start in zip(model.levels, before[:: 1 if tied else 2], strict=True):
        assert not np.array_equal(layer.visible_bias.numpy(), start)


def test_codes_and_decoders_worked_by_hand(trained, digits):
    x = digits[0][:30]
    (w1, b1, c1), (w2, b2, c2) = (layer.get_weights() for layer in trained.levels)

    def sigmoid(z):
        return 1 / (1 + np.exp(-z.astype("float64")))

    h1 = sigmoid(x @ w1 + b1)
    h2 = sigmoid(h1 @ w2 + b2)
    down = sigmoid(sigmoid(h2 @ w2.T + c2) @ w1.T + c1)
    np.testing.assert_allclose(trained.encode(x, level=0), h1, atol=1e-5)
    np.testing.assert_allclose(trained.encode(x), h2, atol=1e-5)
    np.testing.assert_allclose(trained.encode(x, level=-2), h1, atol=1e-5)
    np.testing.assert_allclose(trained.autoencoder.reconstruct(x), down, atol=1e-5)
    np.testing.assert_allclose(trained.decode(h2.astype("float32")), down, atol=1e-5)
    shallow = sigmoid(h1 @ w1.T + c1)
    np.testing.assert_allclose(trained.decode(h1.astype("float32"), level=0), shallow, atol=1e-5)
    logits = h2 @ trained.head.kernel.numpy() + trained.head.bias.numpy()
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(trained.predict(x, verbose=0), softmax, atol=1e-5)
    errors = -(x * np.log(down) + (1 - x) * np.log(1 - down)).sum(axis=1)
    np.testing.assert_allclose(trained.autoencoder.reconstruction_error(x), errors, rtol=1e-4)


def test_views_survive_on_their_own(trained, digits, tmp_path):
    x = digits[0][:20]
    for name in ("encoder", "decoder", "autoencoder"):
        view = getattr(trained, name)
        view.save(tmp_path / f"{name}.keras")
        loaded = keras.saving.load_model(tmp_path / f"{name}.keras")
        rows = trained.encode(x) if name == "decoder" else x
        np.testing.assert_array_equal(
            loaded.predict(rows, verbose=0), view.predict(rows, verbose=0)
        )
    assert len([w for w in loaded.weights if w.name == "kernel"]) == 2, "still tied"


def test_unrolled_fine_tuning(digits):
    x, _ = digits
    model = make()
    model.pretrain(x, epochs=3, learning_rate=0.01, verbose=0)
    before = model.reconstruction_error(x).mean()
    head = model.head.kernel.numpy()
    model.autoencoder.compile(keras.optimizers.Adam(0.01))
    history = model.autoencoder.fit(x, epochs=5, validation_data=x[:100], verbose=0)
    assert model.reconstruction_error(x).mean() < 0.9 * before
    assert "val_loss" in history.history
    np.testing.assert_array_equal(model.head.kernel.numpy(), head)


def test_untie(digits):
    x, _ = digits
    model = make(num_classes=None)
    before = model.reconstruct(x[:5])
    model.untie()
    np.testing.assert_allclose(model.reconstruct(x[:5]), before, atol=1e-6)
    assert model.get_config()["tied"] == [False, False]
    model.compile("adam")
    model.fit(x, epochs=1, verbose=0)
    for layer in model.levels:
        assert not np.array_equal(layer.visible_kernel.numpy(), layer.kernel.numpy().T)


def test_without_a_head_it_reconstructs(digits, tmp_path):
    x, _ = digits
    model = make(num_classes=None)
    model.pretrain(x, epochs=2, learning_rate=0.01, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), model.reconstruct(x), atol=1e-6)
    model.compile(keras.optimizers.Adam(0.01), metrics=["mae"])
    loss = model.fit(x, epochs=4, validation_data=x[:50], verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    loss, mae = model.evaluate(x, verbose=0)
    assert loss == pytest.approx(model.reconstruction_error(x).mean(), rel=1e-4)
    assert mae == pytest.approx(np.abs(model.reconstruct(x) - x).mean(), rel=1e-4)
    half = np.repeat([1.0, 0.0], [900, 897]).astype("float32")
    weighted = model.evaluate(x, sample_weight=half, verbose=0)[0]
    by_hand = (half * model.reconstruction_error(x)).mean()
    assert weighted == pytest.approx(by_hand, rel=2e-2)  # Keras averages batch by batch
    check_model(model, x[:40], tmp_path)


def test_any_head(digits, tmp_path):
    x, y = digits
    seeded = keras.initializers.GlorotUniform(0)  # others may take longer to learn
    model = make(num_classes=None, head=keras.layers.Dense(1, kernel_initializer=seeded))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    loss = model.fit(x, y.astype("float32"), epochs=10, verbose=0).history["loss"]
    assert loss[-1] < 0.8 * y.var(), "better than the mean label"
    assert model.predict(x, verbose=0).shape == (len(x), 1)
    check_saving(model, x, tmp_path)


def test_noise_arguments():
    layer = SwapNoise(0.25, seed=5)
    model = make(noise=layer)
    assert [float(noise.level.numpy()) for noise in model.noise_layers] == [0.25, 0.25]
    assert model.noise_layers[0] is layer
    assert model.noise_layers[1].seed != 5
    mixed = make(noise=["masking", AdditiveGaussianNoise(2.0)], noise_level=[0.1, 9.0])
    assert [type(noise) for noise in mixed.noise_layers] == [MaskingNoise, AdditiveGaussianNoise]
    assert [float(noise.level.numpy()) for noise in mixed.noise_layers] == pytest.approx([0.1, 2.0])
    assert make(noise=None).noise_layers == [None, None]
    foreign = make(noise=keras.layers.Dropout(0.1))
    again = ks.StackedDenoisingAutoencoder.from_config(foreign.get_config())
    assert [type(noise) for noise in again.noise_layers] == [keras.layers.Dropout] * 2


def test_finetune_noise_and_dropout_act_in_training_only(digits):
    x = digits[0][:100]
    model = make(dropout=0.5, finetune_noise_level=0.4, kernel_initializer="he_normal")
    model.head.kernel.assign(np.random.default_rng(0).normal(size=(12, 10)))
    assert float(model.noise.level.numpy()) == pytest.approx(0.4)
    clean = model.predict(x, verbose=0)
    np.testing.assert_allclose(clean, array(model(x, training=False)), atol=1e-6)
    one, two = array(model(x, training=True)), array(model(x, training=True))
    assert not np.allclose(one, clean)
    assert not np.allclose(one, two)
    assert make().noise is None, "no noise in fine-tuning unless asked for"
    wide = make(noise="gaussian", finetune_noise_level=2)
    assert float(wide.noise.level) == 2, "a standard deviation is not a rate"


def test_auto_losses():
    assert make(**PUBLISHED).reconstruction_losses == ["auto", "binary_crossentropy"]
    assert make(activation="relu").reconstruction_losses == ["auto", "squared_error"]
    assert make(activation="tanh").reconstruction_losses == ["auto", "squared_error"]
    decoders = [layer.visible_activation.__name__ for layer in make(activation="relu").levels]
    assert decoders == ["sigmoid", "linear"]
    mixed = make(activation=["sigmoid", "relu"], hidden_units=[8, 4])
    assert mixed.reconstruction_losses[1] == "binary_crossentropy"


def test_auto_loss_follows_the_data_and_is_saved(digits, tmp_path):
    x, _ = digits
    model = make(noise="gaussian", noise_level=0.1, batch_normalization=False)
    histories = model.pretrain(6 * x - 3, epochs=4, verbose=0)
    assert model.reconstruction_losses == ["squared_error", "squared_error"]
    for history in histories:
        assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.reconstruct(6 * x - 3).min() < -0.5
    loaded = check_model(model, (6 * x - 3)[:30], tmp_path)
    assert loaded.reconstruction_losses == model.reconstruction_losses


@pytest.mark.float64
@pytest.mark.parametrize(
    "dtype",
    in_tiers(["float64", "mixed_bfloat16", "mixed_float16"], ["mixed_bfloat16"]),
)
def test_precision(dtype, digits, tmp_path):
    x, y = digits
    model = make(dtype=dtype, dropout=0.1, finetune_noise_level=0.1)
    histories = model.pretrain(x, epochs=3, learning_rate=0.01, verbose=0)
    for history in histories:
        assert history.history["loss"][-1] < history.history["loss"][0]
    compiled(model, keras.optimizers.Adam(0.01))
    loss = model.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    variable = "float64" if dtype == "float64" else "float32"
    assert {w.dtype for w in model.trainable_weights} == {variable}
    assert model.predict(x[:5], verbose=0).dtype == variable
    check_saving(model, x[:20], tmp_path)


def test_same_seed_same_weights(digits):
    x, y = digits

    def weights(seed):
        model = make(seed=seed, dropout=0.1, finetune_noise_level=0.1)
        model.pretrain(x, epochs=1, verbose=0)
        compiled(model).fit(x, y, epochs=2, verbose=0)
        return model.get_weights()

    np.random.seed(1)
    first = weights(0)
    np.random.seed(2)
    for one, two in zip(first, weights(0), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[1], weights(1)[1])


@pytest.mark.full
def test_same_seed_same_order_of_batches(digits):
    """Keras shuffles the batches of a `PyDataset` by Python's generator."""
    x, y = digits

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 20

        def __getitem__(self, index):
            return x[index::20], y[index::20]

    def weights(seed):
        model = compiled(make(seed=seed))
        model.pretrain(Batches(), epochs=1, verbose=0)
        model.fit(Batches(), epochs=1, verbose=0)
        return model.get_weights()

    random.seed(1)
    first = weights(0)
    random.seed(2)
    for one, two in zip(first, weights(0), strict=True):
        np.testing.assert_array_equal(one, two)


def test_seeding_leaves_other_generators_alone(digits):
    model = make()
    np.random.seed(7)
    random.seed(7)
    expected, before = np.random.random(3), random.getstate()
    np.random.seed(7)
    model.pretrain(digits[0], epochs=1, verbose=0)
    np.testing.assert_array_equal(np.random.random(3), expected)
    assert random.getstate() == before


@pytest.mark.parametrize(
    "initializer",
    [
        "glorot_uniform",
        ks.initializers.SigmoidGlorotUniform(),
        keras.initializers.GlorotUniform(seed=3),
    ],
    ids=["name", "no seed of its own", "own seed"],
)
def test_initial_kernels_follow_the_seed_and_differ_between_levels(initializer):
    one, two, other = (
        make(hidden_units=[64, 64], kernel_initializer=initializer, seed=seed) for seed in (0, 0, 1)
    )
    for level in range(2):
        np.testing.assert_array_equal(
            one.levels[level].kernel.numpy(), two.levels[level].kernel.numpy()
        )
    assert not np.array_equal(one.levels[0].kernel.numpy(), one.levels[1].kernel.numpy())
    has_own_seed = getattr(initializer, "get_config", dict)().get("seed") is not None
    same = np.array_equal(one.levels[0].kernel.numpy(), other.levels[0].kernel.numpy())
    assert same == has_own_seed


def test_summary_lists_what_there_is(capsys):
    lines = []
    make(dropout=0.1).summary(print_fn=lines.append)
    text = "\n".join(lines)
    for name in ("noise_1", "level_1", "noise_2", "level_2", "dropout_1", "head"):
        assert name in text
    assert "?" not in text


def test_reloads_bit_equal_in_a_new_process(trained, digits, tmp_path):
    x = digits[0]
    trained.save(tmp_path / "sda.keras")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "expected.npy", trained.predict(x, verbose=0))
    code = (
        "import keras, numpy as np, keras_sda\n"
        f"m = keras.saving.load_model({str(tmp_path / 'sda.keras')!r})\n"
        f"x = np.load({str(tmp_path / 'x.npy')!r})\n"
        f"e = np.load({str(tmp_path / 'expected.npy')!r})\n"
        "assert (m.predict(x, verbose=0) == e).all()\n"
        "assert m.autoencoder.levels[0].kernel is m.levels[0].kernel\n"
        "print('equal')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "equal", result.stderr


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("headless", in_tiers([False, True], [True]))
def test_saved_model_without_the_package(headless, trained, digits, tmp_path):
    x, _ = digits
    model = trained
    if headless:
        model = make(num_classes=None)
        model.pretrain(x, epochs=1, verbose=0)
    model.export(tmp_path / "exported")
    model.export(tmp_path / "exported")  # replaces its like
    rows = np.tile(x, (1, 1))[:1000]
    np.savez(
        tmp_path / "expected.npz",
        x=rows,
        serve=model.predict(rows, verbose=0),
        encode=model.encode(rows),
        reconstruct=model.reconstruct(rows),
    )
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        f"expected = np.load({str(tmp_path / 'expected.npz')!r})\n"
        f"loaded = tf.saved_model.load({str(tmp_path / 'exported')!r})\n"
        "for count in (1, 7, 1000):\n"
        "    for name in ('serve', 'encode', 'reconstruct'):\n"
        "        got = getattr(loaded, name)(tf.constant(expected['x'][:count])).numpy()\n"
        "        assert got.shape == expected[name][:count].shape\n"
        "        assert np.abs(got - expected[name][:count]).max() < 1e-5, (name, count)\n"
        "assert set(loaded.signatures) >= {'serve', 'encode', 'reconstruct'}\n"
        "assert not [name for name in sys.modules if name.startswith('keras_sda')]\n"
        "print('agrees')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "agrees", result.stderr


@pytest.mark.tensorflow_only  # the others refuse before they look
def test_export_does_not_replace_anything_but_a_saved_model(trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="exists and is not a SavedModel"):
        trained.export(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    with pytest.raises(
        ValueError, match=r"thesis.txt cannot be written \(.*\): export to another folder"
    ):
        trained.export(tmp_path / "thesis.txt" / "model")


BAD_ARGUMENTS = {
    "no hidden units": (dict(hidden_units=[]), "must list the units of each level, at least one"),
    "a number": (dict(hidden_units=100), "must list the units of each level"),
    "zero units": (dict(hidden_units=[10, 0]), "`hidden_units` of .* whole number of at least 1"),
    "no input": (dict(input_dim=0), "`input_dim` of .* whole number of at least 1"),
    "three levels for two": (
        dict(noise_level=[0.1, 0.2, 0.3]),
        r"`noise_level` of .* one entry per level, here 2\. Received 3 entries",
    ),
    "a rate of 1.5": (dict(noise_level=1.5), r"`rate` of MaskingNoise must lie in \[0, 1\]"),
    "one class": (dict(num_classes=1), r"at least 2.*use head=keras.layers.Dense\(1"),
    "two heads": (dict(head=keras.layers.Dense(1)), "either `num_classes` or `head`"),
    "no layer": (dict(num_classes=None, head="dense"), "`head` of .* must be a Keras layer"),
    "noise": (dict(noise="cauchy"), "`noise` of .* must be one of 'masking'"),
    "dropout": (dict(dropout=1.0), r"`dropout` of .* must lie in \[0, 1\)"),
    "fine-tune noise": (
        dict(noise=None, finetune_noise_level=0.1),
        "needs a noise of this package",
    ),
    **{
        f"fine-tune {noise}": (
            dict(noise=noise, finetune_noise_level=2),
            r"`finetune_noise_level` of Stacked\w+ with \w+Noise must lie in \[0, 1\]\. "
            "Received: finetune_noise_level=2",
        )
        for noise in RATE_NOISES
    },
    "loss": (dict(reconstruction_loss="mae"), "`reconstruction_loss` of .* must be one of 'auto'"),
    "cross-entropy of relu": (
        dict(activation="relu", reconstruction_loss="binary_crossentropy"),
        "cannot rebuild the codes of level 1 by cross-entropy.*'relu'.*'auto' or 'squared_error'",
    ),
    "sparsity of relu": (
        dict(activation=["sigmoid", "relu"], code_regularizer=KLSparsity()),
        r"KLSparsity needs codes in \[0, 1\].*level 2 of Stacked.* is 'relu': use .*CodeL1",
    ),
    "one regularizer for two": (
        dict(kernel_regularizer=["l2"]),
        "`kernel_regularizer` of .* one entry per level, here 2. Received 1 entries",
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case):
    arguments, message = BAD_ARGUMENTS[case]
    with pytest.raises(ValueError, match=message):
        make(**arguments)


X = np.random.default_rng(0).uniform(size=(20, 64)).astype("float32")
Y = np.arange(20) % 10
BAD_DATA = {
    "width": (X[:, :9], Y, r"expects `x` of shape \(rows, 64\). Received shape \(20, 9\)"),
    "empty": (X[:0], Y[:0], "at least one row"),
    "NaN": (np.where(X > 0.9, np.nan, X), Y, "row 0 holds NaN or infinity"),
    "infinity": (np.where(X > 0.999, np.inf, X), Y, "holds NaN or infinity"),
    "floats": (
        X,
        Y.astype("float64"),
        "integer class labels from 0 to 9. Received labels of float",
    ),
    "out of range": (X, Y + 1, "class labels from 0 to 9. Received labels from 1 to 10"),
    "negative": (X, Y - 1, "Received labels from -1 to 8"),
    "one-hot": (X, np.eye(10)[Y], r"integer class labels of shape \(rows,\).*one-hot.*argmax"),
    "length": (X, Y[:-1], "one label per row. Received 20 rows in `x` and 19 labels"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_are_refused_before_training(case):
    x, y, message = BAD_DATA[case]
    model = compiled(make())
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, validation_data=(x, y), verbose=0)
    with pytest.raises(ValueError, match=message):
        model.evaluate(x, y, verbose=0)
    if case in ("width", "empty", "NaN", "infinity"):
        for method in (model.pretrain, model.predict, model.encode, model.reconstruct):
            with pytest.raises(ValueError, match=message):
                method(x)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_cross_entropy_outside_the_unit_interval_is_refused():
    model = make(activation="sigmoid", reconstruction_loss="binary_crossentropy")
    with pytest.raises(ValueError, match=r"need `x` in \[0, 1\].*scale the data.*'squared_error'"):
        model.pretrain(3 * X, verbose=0)


def test_datasets_in_fit(digits):
    tf = pytest.importorskip("tensorflow")

    x, y = digits
    endless = tf.data.Dataset.from_tensor_slices((x, y)).batch(64).repeat()
    model = compiled(make())
    history = model.fit(endless, steps_per_epoch=5, epochs=2, validation_data=(x, y), verbose=0)
    assert len(history.history["val_loss"]) == 2
    rows = tf.data.Dataset.from_tensor_slices(6 * x - 3).batch(64)
    headless = make(num_classes=None)
    headless.compile("adam")
    headless.fit(rows, verbose=0)
    assert headless.reconstruction_losses[0] == "squared_error"
    losses = ["binary_crossentropy", "squared_error"]
    strict = make(num_classes=None, reconstruction_loss=losses)
    strict.compile("adam")
    with pytest.raises(ValueError, match=r"cross-entropy or .*, which need `x` in \[0, 1\]"):
        strict.fit(rows, verbose=0)


@pytest.mark.parametrize("noise", in_tiers([*noise_names(), None], ["masking", None]))
def test_integers_are_data_too(noise, digits):
    pixels = (16 * digits[0]).astype("uint8")
    model = make(noise=noise, noise_level=0.1)
    histories = model.pretrain(pixels, epochs=2, verbose=0)
    assert model.reconstruction_losses == ["squared_error", "squared_error"]
    assert np.isfinite(histories[-1].history["loss"]).all()
    np.testing.assert_allclose(
        model.reconstruct(pixels), model.reconstruct(pixels.astype("float32")), atol=1e-5
    )


def test_one_hot_labels_are_fine_where_they_are_due():
    model = make()
    model.compile("adam", "categorical_crossentropy")
    model.fit(X, np.eye(10)[Y], epochs=1, verbose=0)


# Batch normalisation, which the supervised network has by default.


def test_normalised_network_worked_by_hand(digits):
    x, y = digits
    model = make(dropout=0.2, finetune_noise_level=0.1)
    model.pretrain(x, epochs=1, verbose=0)
    compiled(model, keras.optimizers.Adam(0.01)).fit(x, y, epochs=2, verbose=0)
    codes = x.astype("float64")
    for level, (layer, normalization) in enumerate(
        zip(model.levels, model.normalization_layers, strict=True)
    ):
        gamma, beta, mean, variance = normalization.get_weights()
        sums = codes @ array(layer.kernel) + array(layer.bias)
        codes = np.maximum(gamma * (sums - mean) / np.sqrt(variance + 1e-5) + beta, 0)
        np.testing.assert_allclose(model.encode(x, level=level), codes, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(model.encoder.predict(x, verbose=0), codes, rtol=1e-3, atol=1e-4)
    logits = codes @ array(model.head.kernel) + array(model.head.bias)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(x, verbose=0), softmax, atol=1e-4)


def test_normalisation_changes_nothing_before_training(digits):
    x = digits[0][:50]
    model = make()
    model.pretrain(digits[0], epochs=1, verbose=0)
    np.testing.assert_allclose(model.encode(x), model.autoencoder.encode(x), rtol=1e-4, atol=1e-5)


def test_moving_averages_reach_those_of_the_rows(digits):
    x, y = digits
    model = make()
    compiled(model, keras.optimizers.SGD(1e-9)).fit(x, y, epochs=2, verbose=0)
    sums = x @ array(model.levels[0].kernel)
    _, _, mean, variance = model.normalization_layers[0].get_weights()
    np.testing.assert_allclose(mean, sums.mean(axis=0), atol=0.3 * sums.std())
    np.testing.assert_allclose(variance, sums.var(axis=0), rtol=0.5)


@pytest.mark.full
def test_it_makes_the_plainest_code_learn_better(digits):
    x, y = digits
    accuracies = []
    for normalized in (True, False):
        model = make(hidden_units=[64, 64], batch_normalization=normalized)
        compiled(model).fit(x[:1400], y[:1400], epochs=15, verbose=0)
        accuracies.append(model.evaluate(x[1400:], y[1400:], verbose=0)[1])
    assert accuracies[0] > accuracies[1] + 0.005


def test_files_from_before_it_have_none():
    config = make(batch_normalization=False).get_config()
    del config["batch_normalization"]
    assert ks.StackedDenoisingAutoencoder.from_config(config).normalization_layers == []
    assert make(num_classes=None).normalization_layers == [], "nothing supervised to normalise"


@pytest.mark.parametrize(("inputs", "units"), [(9, 256), (64, 256), (256, 64)])
def test_a_new_tied_level_rebuilds_what_it_is_given_about_as_large(inputs, units):
    model = ks.StackedDenoisingAutoencoder(inputs, [units], seed=0)
    x = np.random.default_rng(0).normal(size=(200, inputs)).astype("float32")
    model.autoencoder.settle_reconstruction_loss(x)
    rebuilt = model.reconstruct(x)
    assert 0.2 < rebuilt.std() / x.std() < 2
