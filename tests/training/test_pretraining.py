import itertools

import keras
import numpy as np
import pytest

from keras_sda.callbacks import NoiseSchedule
from keras_sda.layers import AdditiveGaussianNoise, MaskingNoise, TiedDense
from keras_sda.regularizers import CodeL1, KLSparsity
from keras_sda.training.level import PretrainingLevel
from keras_sda.training.pretraining import pretrain_layers


def stack(*sizes, **kwargs):
    """Returns built layers for a chain of sizes, with seeded kernels."""
    layers = []
    for level, (width, units) in enumerate(itertools.pairwise(sizes)):
        initializer = keras.initializers.GlorotUniform(seed=level)
        layers.append(TiedDense(units, kernel_initializer=initializer, **kwargs))
        layers[-1].build((None, width))
    return layers


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class FixedMask(keras.layers.Layer):
    """A noise that is known: one mask for every batch."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def call(self, inputs, training=False):
        return inputs * self.mask if training else inputs


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("loss", ["binary_crossentropy", "squared_error"])
def test_one_masked_step_agrees_with_numpy(loss, tied, rng):
    rows, width, units, rate = 20, 12, 7, 0.5
    x = rng.uniform(size=(rows, width)).astype("float32")
    mask = (rng.uniform(size=(rows, width)) < 0.7).astype("float32")
    decoder = "sigmoid" if loss == "binary_crossentropy" else "linear"
    layer = stack(width, units, tied=tied, visible_activation=decoder)[0]
    layer.bias.assign(rng.normal(size=units))
    layer.visible_bias.assign(rng.normal(size=width))
    w, b, c = (np.array(v, "float64") for v in (layer.kernel, layer.bias, layer.visible_bias))
    v = w.T if tied else np.array(layer.visible_kernel, "float64")

    corrupted = x * mask
    hidden = sigmoid(corrupted @ w + b)
    z = hidden @ v + c
    if loss == "binary_crossentropy":
        p = sigmoid(z)
        expected_loss = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1).mean()
        delta = (p - x) / rows  # the clean row is the target
    else:
        expected_loss = ((x - z) ** 2).sum(axis=1).mean()
        delta = 2 * (z - x) / rows
    back = (delta @ v.T) * hidden * (1 - hidden)
    to_kernel, to_visible = corrupted.T @ back, hidden.T @ delta
    if tied:
        to_kernel = to_kernel + to_visible.T

    [history] = pretrain_layers(
        [layer],
        x,
        noise=FixedMask(mask),
        reconstruction_loss=loss,
        epochs=1,
        batch_size=rows,
        optimizer="sgd",
        learning_rate=rate,
        shuffle=False,
        verbose=0,
    )
    assert history.history["loss"][0] == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(layer.kernel, w - rate * to_kernel, atol=1e-5)
    np.testing.assert_allclose(layer.bias, b - rate * back.sum(axis=0), atol=1e-5)
    np.testing.assert_allclose(layer.visible_bias, c - rate * delta.sum(axis=0), atol=1e-5)
    if not tied:
        np.testing.assert_allclose(layer.visible_kernel, v - rate * to_visible, atol=1e-5)


def test_each_level_changes_its_own_variables_only(digits):
    x, _ = digits
    layers = stack(64, 20, 10)
    snapshots = []

    class Snapshot(keras.callbacks.Callback):
        def on_level_begin(self, level, logs=None):
            snapshots.append([layer.get_weights() for layer in layers])

        def on_level_end(self, level, logs=None):
            snapshots.append([layer.get_weights() for layer in layers])

    pretrain_layers(layers, x, noise=MaskingNoise(0.3), epochs=1, callbacks=[Snapshot()], verbose=0)
    for level, (before, after) in enumerate(zip(snapshots[::2], snapshots[1::2], strict=True)):
        for index in range(2):
            same = [np.array_equal(a, b) for a, b in zip(before[index], after[index], strict=True)]
            # kernel, hidden bias, visible bias
            assert same == [index != level] * 3


def test_learns_and_codes_are_clean_and_computed_once(digits, monkeypatch):
    x, _ = digits
    layers = stack(64, 30, 10)
    noise = [MaskingNoise(0.5, seed=0), MaskingNoise(0.5, seed=1)]
    inputs_of_level = {}

    class Inputs(keras.callbacks.Callback):
        def on_level_begin(self, level, logs=None):
            original = self.model.fit

            def fit(data, **kwargs):
                inputs_of_level[level] = data
                return original(data, **kwargs)

            self.model.fit = fit

    encoded = []
    original_call = TiedDense.call

    def call(layer, inputs, reverse=False, **kwargs):
        # Outside of a training step, where JAX has arrays of another class.
        is_eager = hasattr(inputs, "numpy") or type(inputs).__name__ == "ArrayImpl"
        if is_eager and not reverse:
            encoded.append((layers.index(layer), len(inputs)))
        return original_call(layer, inputs, reverse=reverse, **kwargs)

    monkeypatch.setattr(TiedDense, "call", call)
    histories = pretrain_layers(
        layers, x, noise=noise, epochs=[20, 5], learning_rate=0.01, callbacks=[Inputs()], verbose=0
    )
    assert {level for level, _ in encoded} == {0}, "the last level's codes are not needed"
    assert sum(rows for _, rows in encoded) == len(x), "each row is encoded once"
    assert inputs_of_level[0] is x, "data that are given as an array are not copied"
    clean = sigmoid(x @ layers[0].kernel.numpy() + layers[0].bias.numpy())
    np.testing.assert_allclose(inputs_of_level[1], clean, atol=1e-5)
    assert [len(history.epoch) for history in histories] == [20, 5]
    loss = histories[0].history["loss"]
    mean_image = np.clip(x.mean(axis=0), 1e-6, 1 - 1e-6)
    baseline = -(x * np.log(mean_image) + (1 - x) * np.log(1 - mean_image)).sum(axis=1).mean()
    assert loss[-1] < 0.9 * baseline, "half of the pixels masked, yet better than the mean image"


def test_target_is_clean_and_validation_has_no_noise(digits):
    x, _ = digits
    layer = stack(64, 20)[0]
    [history] = pretrain_layers(
        [layer],
        x,
        noise=MaskingNoise(1.0),  # nothing but biases can be learnt
        epochs=1,
        optimizer="sgd",
        learning_rate=1e-9,
        validation_data=x[:100],
        verbose=0,
    )
    w, b, c = (np.asarray(v) for v in (layer.kernel, layer.bias, layer.visible_bias))

    def cross_entropy(rows, corrupted):
        z = sigmoid(corrupted @ w + b) @ w.T + c
        return (np.logaddexp(0, z) - rows * z).sum(axis=1).mean()

    assert history.history["loss"][0] == pytest.approx(cross_entropy(x, 0 * x), rel=1e-4)
    expected = cross_entropy(x[:100], x[:100])
    assert history.history["val_loss"][0] == pytest.approx(expected, rel=1e-4)


class Rows(keras.utils.PyDataset):
    def __init__(self, x, y, batch_size):
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index):
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.x[part], self.y[part]


def test_every_kind_of_data_gives_the_same_weights(digits):
    tf = pytest.importorskip("tensorflow")

    x, y = digits
    forms = {
        "array": x,
        "tuple": (x, y),
        "dataset": tf.data.Dataset.from_tensor_slices(x).batch(100),
        "labelled dataset": tf.data.Dataset.from_tensor_slices((x, y)).batch(100),
        "PyDataset": Rows(x, y, 100),
    }
    weights = {}
    for name, form in forms.items():
        layers = stack(64, 20, 10)
        pretrain_layers(
            layers,
            form,
            noise=[MaskingNoise(0.3, seed=1), MaskingNoise(0.3, seed=2)],
            epochs=2,
            batch_size=100,
            shuffle=False,
            validation_data=form,
            verbose=0,
        )
        weights[name] = np.concatenate([w.ravel() for layer in layers for w in layer.get_weights()])
    for name in forms:
        np.testing.assert_allclose(weights[name], weights["array"], atol=2e-6, err_msg=name)


def test_per_level_arguments_and_optimizers(digits):
    x, _ = digits
    layers = stack(64, 16, 8, 4)
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            model = self.model
            assert int(model.optimizer.iterations.numpy()) == 0, "each level starts afresh"
            seen.append(
                (
                    model.level,
                    model.units,
                    type(model.noise).__name__,
                    type(model.optimizer).__name__,
                    round(float(model.optimizer.learning_rate.numpy()), 6),
                    self.params["epochs"],
                    self.params["steps"],
                )
            )

    optimizer = keras.optimizers.Adam(0.002)
    histories = pretrain_layers(
        layers,
        x[:1000],
        noise=[None, MaskingNoise(0.1), AdditiveGaussianNoise(0.1)],
        epochs=[1, 2, 0],
        batch_size=[100, 250, 500],
        optimizer=["sgd", optimizer, lambda level: "rmsprop"],
        learning_rate=[0.1, 0.5, 0.25],
        callbacks=[Look()],
        verbose=0,
    )
    assert seen == [
        (0, 16, "NoneType", "SGD", 0.1, 1, 10),
        (1, 8, "MaskingNoise", "Adam", 0.002, 2, 4),
        (2, 4, "AdditiveGaussianNoise", "RMSprop", 0.25, 0, 2),
    ]
    assert [len(history.epoch) for history in histories] == [1, 2, 0]
    assert not optimizer.built, "the given instance is a pattern and stays untouched"


def test_callbacks_are_fresh_for_each_level(digits):
    x, _ = digits
    counters = []

    class Counter(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1

        def on_level_end(self, level, logs=None):
            counters.append((level, logs["units"], logs["num_levels"], logs["noise"], self.epochs))

    mine = Counter()
    noise = MaskingNoise(0.1)
    arguments = {"noise": noise, "epochs": 2, "verbose": 0}
    pretrain_layers(stack(64, 8, 4), x, callbacks=[mine], **arguments)
    assert counters == [(0, 8, 2, noise, 2), (1, 4, 2, noise, 2)]
    assert mine.epochs == 0

    made = []

    def make(level):
        made.append((level, Counter()))
        return [made[-1][1]]

    pretrain_layers(stack(64, 8, 4), x, callbacks=make, **arguments)
    assert [(level, counter.epochs) for level, counter in made] == [(0, 2), (1, 2)]

    stopping = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    histories = pretrain_layers(
        stack(64, 8, 4), x, noise=noise, epochs=9, callbacks=[stopping], verbose=0
    )
    assert [len(history.epoch) for history in histories] == [2, 2]


def test_noise_schedule(digits):
    x, _ = digits
    noise = MaskingNoise(0.9)
    [history, again] = pretrain_layers(
        stack(64, 8, 4), x, noise=noise, epochs=3, callbacks=[NoiseSchedule((0.5, 0.1))], verbose=0
    )
    np.testing.assert_allclose(history.history["noise_level"], [0.5, 0.3, 0.1], atol=1e-6)
    np.testing.assert_allclose(again.history["noise_level"], [0.5, 0.3, 0.1], atol=1e-6)
    assert float(noise.level.numpy()) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="`rate` of MaskingNoise must lie in"):
        pretrain_layers(
            stack(64, 8), x, noise=noise, callbacks=[NoiseSchedule(lambda epoch: 2.0)], verbose=0
        )
    with pytest.raises(ValueError, match="NoiseSchedule found no noise layer"):
        pretrain_layers(stack(64, 8), x, callbacks=[NoiseSchedule((0.5, 0.1))], verbose=0)


def test_a_loss_that_diverges_names_the_place_and_costs_one_level_only(digits):
    x, _ = digits
    layers = stack(64, 20, 10)
    layers[1].visible_activation = keras.activations.linear
    trained = {}

    class Keep(keras.callbacks.Callback):
        def on_level_end(self, level, logs=None):
            trained[level] = layers[level].get_weights()

    initial = layers[1].get_weights()
    with pytest.raises(
        FloatingPointError, match=r"loss became (nan|inf) in level 2, epoch \d+, step"
    ):
        pretrain_layers(
            layers,
            x,
            noise=MaskingNoise(0.1),
            reconstruction_loss=["binary_crossentropy", "squared_error"],
            epochs=[1, 50],
            optimizer="sgd",
            learning_rate=[0.1, 1e6],
            callbacks=[Keep()],
            verbose=0,
        )
    for kept, now in zip(trained[0], layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    for start, now in zip(initial, layers[1].get_weights(), strict=True):
        np.testing.assert_array_equal(start, now)


def test_progress_lines(digits, capsys):
    x, _ = digits
    pretrain_layers(stack(64, 8, 4), x, noise=MaskingNoise(0.25), epochs=1, verbose=2)
    out = capsys.readouterr().out
    assert "Level 1 of 2: 64 -> 8 units, MaskingNoise(0.25), binary_crossentropy" in out
    assert "Level 2 of 2: loss" in out
    pretrain_layers(stack(64, 8), x, epochs=1, verbose=0)
    assert capsys.readouterr().out == ""


def test_level_model_can_be_saved_by_a_callback(digits, tmp_path):
    x, _ = digits
    layer = stack(64, 8)[0]
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "level.keras")
    pretrain_layers(
        [layer], x, noise=MaskingNoise(0.1), epochs=1, callbacks=[checkpoint], verbose=0
    )
    loaded = keras.saving.load_model(tmp_path / "level.keras")
    assert isinstance(loaded, PretrainingLevel)
    np.testing.assert_array_equal(loaded.layer.kernel.numpy(), layer.kernel.numpy())


BAD = {
    "no layers": (dict(layers=[]), "must list built layers"),
    "width": (dict(x=np.zeros((5, 3))), r"`x` of shape \(rows, 64\). Received shape \(5, 3\)"),
    "empty": (dict(x=np.zeros((0, 64))), "at least one row"),
    "NaN": (dict(x=np.full((9, 64), np.nan)), "row 0 holds NaN or infinity"),
    "range": (
        dict(x=np.full((9, 64), 2.0)),
        r"cross-entropy or .*, which need `x` in \[0, 1\].*'auto'",
    ),
    "text": (dict(x=np.full((9, 64), "a")), "needs numbers in `x`"),
    "validation": (
        dict(validation_data=np.zeros((5, 3))),
        r"`validation_data` of shape \(rows, 64\)",
    ),
    "generator": (dict(x=iter([np.zeros((5, 64))])), "reads `x` several times"),
    "epochs": (dict(epochs=[1, 2]), "one entry per level, here 1. Received 2 entries"),
    "negative epochs": (dict(epochs=-1), "`epochs` of .* whole number of at least 0"),
    "batch": (dict(batch_size=0), "`batch_size` of .* at least 1"),
    "rate": (dict(learning_rate=0), "`learning_rate` of .* above 0"),
    "optimizer": (dict(optimizer=3), "`optimizer` of .* must be a name such as 'adam'"),
    "callbacks": (dict(callbacks=[3]), "`callbacks` of .* must be a list of Keras callbacks"),
    "code regularizers": (
        dict(code_regularizer=[CodeL1(), CodeL1()]),
        "`code_regularizer` of .* one entry per level, here 1. Received 2 entries",
    ),
    "cache": (dict(cache="nowhere"), "`cache` of .* must be one of 'auto', 'memory'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused_before_training(case, digits):
    arguments, message = BAD[case]
    layers = stack(64, 8)
    before = layers[0].get_weights()
    call = {"layers": layers, "x": digits[0], "verbose": 0, **arguments}
    with pytest.raises(ValueError, match=message):
        pretrain_layers(call.pop("layers"), call.pop("x"), **call)
    np.testing.assert_array_equal(before[0], layers[0].get_weights()[0])


def test_endless_and_empty_datasets_are_refused(digits):
    tf = pytest.importorskip("tensorflow")

    dataset = tf.data.Dataset.from_tensor_slices(digits[0]).batch(10)
    with pytest.raises(ValueError, match="needs a finite dataset in `x`.*leave repeat"):
        pretrain_layers(stack(64, 8), dataset.repeat(), verbose=0)
    with pytest.raises(ValueError, match="Received an empty dataset"):
        pretrain_layers(stack(64, 8), dataset.take(0), verbose=0)


@pytest.mark.parametrize("tied", [True, False])
def test_penalties_by_hand_in_training_and_validation(tied, rng):
    x = rng.uniform(size=(20, 12)).astype("float32")
    mask = (rng.uniform(size=(20, 12)) < 0.7).astype("float32")
    layer = stack(12, 7, tied=tied)[0]
    layer.bias.assign(rng.normal(size=7))
    w, b, c = (np.array(v, "float64") for v in (layer.kernel, layer.bias, layer.visible_bias))
    v = w.T if tied else np.array(layer.visible_kernel, "float64")

    def loss(corrupted):
        codes = sigmoid(corrupted @ w + b)
        z = codes @ v + c
        error = (np.logaddexp(0, z) - x * z).sum(axis=1).mean()
        mean = codes.mean(axis=0)  # of the batch, before the divergence
        divergence = 0.1 * np.log(0.1 / mean) + 0.9 * np.log(0.9 / (1 - mean))
        decay = (w**2).sum() + (0 if tied else (v**2).sum())
        return error + 3 * divergence.sum() + 0.2 * decay

    [history] = pretrain_layers(
        [layer],
        x,
        noise=FixedMask(mask),
        code_regularizer=KLSparsity(0.1, 3.0),
        kernel_regularizer=keras.regularizers.L2(0.2),
        epochs=1,
        batch_size=20,
        optimizer="sgd",
        learning_rate=1e-12,
        validation_data=x,
        verbose=0,
        shuffle=False,
    )
    assert history.history["loss"][0] == pytest.approx(loss(x * mask), rel=1e-5)
    assert history.history["val_loss"][0] == pytest.approx(loss(x), rel=1e-5)


@pytest.mark.full
def test_penalties_are_those_of_their_level(digits):
    x = digits[0]

    def codes_and_kernels(**penalties):
        layers = stack(64, 20, 10)
        pretrain_layers(layers, x, epochs=15, learning_rate=0.01, seed=0, verbose=0, **penalties)
        first = sigmoid(x @ layers[0].kernel.numpy() + layers[0].bias.numpy())
        second = sigmoid(first @ layers[1].kernel.numpy() + layers[1].bias.numpy())
        return first.mean(), second.mean(), [abs(layer.kernel.numpy()).sum() for layer in layers]

    plain, sparse = codes_and_kernels(), codes_and_kernels(code_regularizer=KLSparsity(0.1, 10.0))
    assert min(plain[:2]) > 0.3
    np.testing.assert_allclose(sparse[:2], 0.1, atol=0.04)
    upper = codes_and_kernels(
        code_regularizer=[None, CodeL1(3.0)],
        kernel_regularizer=[None, keras.regularizers.L1(0.05)],
    )
    assert upper[0] == pytest.approx(plain[0], abs=1e-6), "the level below is as without"
    assert upper[1] < 0.5 * plain[1]
    assert upper[2][1] < 0.7 * plain[2][1]


def test_kernel_penalty_moves_a_step_by_its_gradient(digits):
    x = digits[0][:50]
    ends = []
    for penalty in (None, keras.regularizers.L2(0.3)):
        layer = stack(64, 8)[0]
        start = layer.kernel.numpy()
        pretrain_layers(
            [layer],
            x,
            kernel_regularizer=penalty,
            epochs=1,
            batch_size=50,
            optimizer="sgd",
            learning_rate=0.1,
            shuffle=False,
            verbose=0,
        )
        ends.append(layer.kernel.numpy())
    np.testing.assert_allclose(ends[1], ends[0] - 0.1 * 0.3 * 2 * start, atol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "linear"])
def test_squared_error_looks_through_the_visible_activation(activation, rng):
    x = rng.uniform(size=(20, 12)).astype("float32")
    layer = stack(12, 7, visible_activation=activation)[0]
    w, b, c = (np.array(v, "float64") for v in (layer.kernel, layer.bias, layer.visible_bias))
    hidden = sigmoid(x @ w + b)
    function = {"tanh": np.tanh, "sigmoid": sigmoid, "linear": lambda z: z}[activation]
    rebuilt = function(hidden @ w.T + c)
    slope = {"tanh": 1 - rebuilt**2, "sigmoid": rebuilt * (1 - rebuilt), "linear": 1}[activation]
    delta = 2 * (rebuilt - x) * slope / 20
    [history] = pretrain_layers(
        [layer],
        x,
        reconstruction_loss="squared_error",
        epochs=1,
        batch_size=20,
        optimizer="sgd",
        learning_rate=0.5,
        verbose=0,
    )
    expected = ((x - rebuilt) ** 2).sum(axis=1).mean()
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(layer.visible_bias, c - 0.5 * delta.sum(axis=0), atol=1e-5)


def test_a_level_with_penalties_can_be_saved(digits, tmp_path):
    x = digits[0][:100]
    path = tmp_path / "level.keras"
    pretrain_layers(
        stack(64, 8),
        x,
        code_regularizer=KLSparsity(0.1, 3.0),
        kernel_regularizer="l2",
        epochs=1,
        callbacks=[keras.callbacks.ModelCheckpoint(path)],
        verbose=0,
    )
    loaded = keras.saving.load_model(path)
    assert loaded.code_regularizer.get_config() == {"target": 0.1, "weight": 3.0}
    assert isinstance(loaded.kernel_regularizer, keras.regularizers.L2)


def test_sparsity_of_codes_without_bounds_is_refused(digits):
    layers = [*stack(64, 20), *stack(20, 10, activation="relu")]
    before = layers[0].get_weights()
    with pytest.raises(
        ValueError,
        match=r"KLSparsity needs codes in \[0, 1\].*level 2 of pretrain.* is 'relu': use .*CodeL1",
    ):
        pretrain_layers(layers, digits[0], code_regularizer=KLSparsity(), verbose=0)
    np.testing.assert_array_equal(before[0], layers[0].get_weights()[0])
