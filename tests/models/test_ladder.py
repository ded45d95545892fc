import keras
import numpy as np
import pytest
from checks import check_saving
from tiers import in_tiers

import keras_sda as ks
from keras_sda.layers import LadderEncoder
from keras_sda.layers.ladder import denoising_cost

EPSILON = 1e-10


@keras.saving.register_keras_serializable(package="tests")
class Fixed(keras.layers.Layer):
    """Adds the same values to every batch in training."""

    def __init__(self, values, **kwargs):
        super().__init__(**kwargs)
        self.values = np.asarray(values)

    def call(self, inputs, training=False):
        return inputs + self.values.astype("float64") if training else inputs


def normalized(z):
    mean, variance = z.mean(axis=0), z.var(axis=0)
    return (z - mean) / np.sqrt(variance + EPSILON), mean, variance


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def combine(noisy, u, a):
    mu = a[0] * sigmoid(a[1] * u + a[2]) + a[3] * u + a[4]
    v = a[5] * sigmoid(a[6] * u + a[7]) + a[8] * u + a[9]
    return (noisy - mu) * v + mu


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def up(x, noises, weights):
    """Returns the values of all levels, their means and variances, and the output."""
    w1, shift1, w2, shift2, scale2 = weights[:5]
    values, moments = [x + noises[0]], []
    z, *pair = normalized(values[0] @ w1)
    values.append(z + noises[1])
    moments.append(pair)
    z, *pair = normalized(np.maximum(values[1] + shift1, 0) @ w2)
    values.append(z + noises[2])
    moments.append(pair)
    return values, moments, softmax(scale2 * (values[2] + shift2))


def loss_by_hand(weights, x, labelled, y, noises, costs):
    """The loss of a ladder network of two levels, by loops that share nothing with the model."""
    first, second = ([noise[half] for noise in noises] for half in (0, 1))
    *_, output = up(labelled, first, weights)
    supervised = -np.log(output[np.arange(len(y)), y]).mean()
    noisy, _, above = up(x, second, weights)
    clean, moments, _ = up(x, [0, 0, 0], weights)
    top, v1, a1, v0, a0 = weights[5:]
    estimates = [None, None, combine(noisy[2], above, top)]
    estimates[1] = combine(noisy[1], normalized(estimates[2] @ v1)[0], a1)
    estimates[0] = combine(noisy[0], normalized(estimates[1] @ v0)[0], a0)
    parts = [((estimates[0] - clean[0]) ** 2).mean()]
    for level in (1, 2):
        mean, variance = moments[level - 1]
        scaled = (estimates[level] - mean) / np.sqrt(variance + EPSILON)
        parts.append(((scaled - clean[level]) ** 2).mean())
    total = supervised + sum(weight * part for weight, part in zip(costs, parts, strict=True))
    return total, parts


@pytest.mark.float64(exact=True)
def test_loss_and_gradients_by_hand(rng):
    rows, inputs, units, classes = 6, 5, 4, 3
    widths = (inputs, units, classes)
    noises = [0.3 * rng.normal(size=(2, rows, width)) for width in widths]
    x = rng.normal(size=(rows, inputs)).astype("float32")  # as `fit` takes rows
    y = np.array([-1, 2, 0, -1, 1, -1])
    costs = [10.0, 1.0, 0.5]
    model = ks.LadderNetwork(
        inputs,
        [units],
        classes,
        noise=Fixed(noises[0].reshape(-1, inputs), dtype="float64"),
        denoising_weights=costs,
        seed=0,
        dtype="float64",
    )
    for level in (1, 2):
        model.noises[level] = Fixed(noises[level], dtype="float64")
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    encoder = [*model.levels[0].trainable_variables, *model.head.trainable_variables]
    variables = encoder + [v for layer in model.decoders for v in layer.trainable_variables]
    start = [np.array(variable) for variable in variables]
    assert len(start) == len(model.trainable_variables) == 10
    # Without shuffling the three labelled rows stand beside the six rows twice.
    beside = np.array([1, 2, 4, 1, 2, 4])

    def loss(weights):
        return loss_by_hand(weights, x, x[beside], y[beside], noises, costs)[0]

    rate = 1e-3
    model.compile(keras.optimizers.SGD(rate))
    history = model.fit(x, y, batch_size=rows, shuffle=False, verbose=0).history
    expected, parts = loss_by_hand(start, x, x[beside], y[beside], noises, costs)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    for level, part in enumerate(parts):
        assert history[f"denoising_{level}"][0] == pytest.approx(part, rel=1e-5)
    step = 1e-6
    for index, (before, variable) in enumerate(zip(start, variables, strict=True)):
        gradient = (before - np.array(variable)) / rate
        for position in np.ndindex(before.shape):
            sides = []
            for sign in (1, -1):
                moved = [array.copy() for array in start]
                moved[index][position] += sign * step
                sides.append(loss(moved))
            difference = (sides[0] - sides[1]) / (2 * step)
            assert gradient[position] == pytest.approx(difference, rel=1e-4, abs=1e-5)


@pytest.fixture
def few(digits):
    """600 digits, of which 50 keep their label."""
    x, y = (table[:600] for table in digits)
    return x, labelled(y, 5), y


def labelled(truth, count):
    """Returns labels with all but so many of each class hidden."""
    y = np.full(len(truth), -1)
    for label in range(10):
        rows = np.flatnonzero(truth == label)
        y[rows[np.linspace(0, len(rows) - 1, count).astype(int)]] = label
    return y


def make(**options):
    return ks.LadderNetwork(64, [64], 10, seed=0, **{"noise_level": 0.2} | options)


def fit(model, x, y, epochs=25, **options):
    model.compile(keras.optimizers.Adam(0.005), metrics=["accuracy"])
    return model.fit(x, y, epochs=epochs, batch_size=50, verbose=0, **options).history


def test_unlabelled_rows_pay(digits):
    x, truth = (table[:1000] for table in digits)
    test = tuple(table[1000:] for table in digits)
    y = labelled(truth, 3)
    ladder = make()
    history = fit(ladder, x, y, epochs=40)
    assert history["denoising_0"][-1] < 0.3 * history["denoising_0"][0]
    rows = y >= 0
    alone = make(denoising_weights=0)
    fit(alone, x[rows], y[rows], epochs=600)
    errors = [1 - model.evaluate(*test, verbose=0)[1] for model in (ladder, alone)]
    assert errors[0] < 0.9 * errors[1], errors
    assert errors[0] < 0.2


def test_standard(few, tmp_path):
    x, y, _ = few
    model = make()
    fit(model, x, y, epochs=8)
    loaded = check_saving(model, x[:50], tmp_path)
    assert loaded.denoising_weights == model.denoising_weights != "auto"
    np.testing.assert_array_equal(loaded.reconstruct(x[:50]), model.reconstruct(x[:50]))
    assert model.encode(x[:50]).shape == (50, 64)
    again = make()
    fit(again, x, y, epochs=8)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    error = ((model.reconstruct(x) - x) ** 2).sum(axis=1)
    np.testing.assert_allclose(model.reconstruction_error(x), error, rtol=1e-4)
    assert error.mean() < ((x - x.mean(axis=0)) ** 2).sum(axis=1).mean()


@pytest.mark.full
@pytest.mark.tensorflow_only
@pytest.mark.parametrize("format", ["tf_saved_model", "onnx", "litert"])
def test_export(format, few, tmp_path):
    x, y, _ = few
    model = make()
    fit(model, x, y, epochs=3)
    path = tmp_path / {"tf_saved_model": "folder", "onnx": "m.onnx", "litert": "m.tflite"}[format]
    differences = model.export(path, format=format, rows=x)
    assert sorted(differences) == ["encode", "reconstruct", "score", "serve"]
    assert max(differences.values()) <= 1e-5


def test_only_what_a_cost_needs_is_built():
    def built(weights):
        return [decoder.name for decoder in make(denoising_weights=weights).decoders]

    assert built("auto") == built([2000, 0]) == ["decoder_2", "decoder_1", "decoder_0"]
    assert built([0, 1, 0]) == ["decoder_2", "decoder_1"]
    assert built([0, 0, 0.5]) == ["decoder_2"]
    assert built(0) == []


@pytest.mark.parametrize("weights", in_tiers([[0, 0, 0.5], [1000, 0], 0], [[0, 0, 0.5], 0]))
def test_variants(weights, few):
    x, y, truth = few
    model = make(denoising_weights=weights)
    history = fit(model, x, y)
    costs = [name for name in history if name.startswith("denoising")]
    assert costs == [f"denoising_{level}" for level in np.flatnonzero(weights)]
    assert (model.predict(x, verbose=0).argmax(axis=1) == truth).mean() > 0.7
    if weights != [1000, 0]:
        with pytest.raises(ValueError, match="needs a denoising cost of the input"):
            model.reconstruct(x)


def test_auto_follows_the_variance(few):
    x, y, _ = few
    weights = []
    for factor in (1, 10):
        model = make()
        fit(model, factor * x, y, epochs=1)
        weights.append(model.denoising_weights)
    expected = 1000 * 0.07 / x.astype("float64").var(axis=0).mean()
    assert weights[0] == pytest.approx([expected, 10, 0.1])
    assert weights[1] == pytest.approx([expected / 100, 10, 0.1])


def test_statistics_are_those_of_the_rows(few):
    x, y, _ = few
    model = make()
    fit(model, x, y, epochs=2)
    product = x.astype("float64") @ np.asarray(model.levels[0].kernel, "float64")
    np.testing.assert_allclose(model.levels[0].mean, product.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(model.levels[0].variance, product.var(axis=0), rtol=1e-4)


def test_metrics_leave_out_rows_without_a_label(few, digits):
    x, y, _ = few
    model = make()
    held_out = (digits[0][600:800], digits[1][600:800])
    mixed = (held_out[0], np.where(np.arange(200) % 2, held_out[1], -1))
    history = fit(model, x, y, epochs=2, validation_data=mixed)
    assert "val_accuracy" in history
    assert "val_denoising_0" not in history
    labelled = tuple(table[1::2] for table in held_out)
    assert model.evaluate(*mixed, verbose=0) == pytest.approx(model.evaluate(*labelled, verbose=0))
    with pytest.raises(ValueError, match="measures on labelled rows. Received none"):
        model.evaluate(x, np.full(len(x), -1))


class Batches(keras.utils.PyDataset):
    """Batches of 60 rows, the last one of 40."""

    def __init__(self, *tables):
        super().__init__()
        self.tables = tables

    def __len__(self):
        return -(-len(self.tables[0]) // 60)

    def __getitem__(self, index):
        return tuple(table[60 * index : 60 * (index + 1)] for table in self.tables)


@pytest.mark.full
def test_datasets(few, digits):
    x, y, truth = few
    model = make()
    model.compile(keras.optimizers.Adam(0.005), metrics=["accuracy"])
    held_out = Batches(x, np.where(np.arange(len(x)) % 3, -1, truth))
    history = model.fit(Batches(x, y), validation_data=held_out, epochs=10, verbose=0).history
    assert history["val_accuracy"][-1] > 0.7
    rows = np.arange(len(x)) % 3 == 0
    assert model.evaluate(held_out, verbose=0) == pytest.approx(
        model.evaluate(x[rows], truth[rows], verbose=0), rel=1e-4
    )
    again = make()
    again.compile(keras.optimizers.Adam(0.005), metrics=["accuracy"])
    again.fit(Batches(x, y), validation_data=held_out, epochs=10, verbose=0)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.tensorflow_only
def test_tf_data(few):
    import tensorflow as tf

    x, y, truth = few
    model = make()
    model.compile(keras.optimizers.Adam(0.005), metrics=["accuracy"])
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(400, seed=0).batch(64)
    model.fit(dataset, epochs=10, verbose=0)
    assert (model.predict(x, verbose=0).argmax(axis=1) == truth).mean() > 0.75


@pytest.mark.full
@pytest.mark.parametrize("noise", ["masking", "salt_and_pepper", "swap", None])
def test_any_noise_on_the_input(noise, few):
    x, y, _ = few
    history = fit(make(noise=noise, noise_level=0.2), x, y, epochs=4)
    assert history["denoising_0"][-1] < history["denoising_0"][0]


@pytest.mark.full
def test_keras_own_way_trains_alike(few):
    x, y, truth = few
    model = make()
    history = fit(model, x, y, class_weight=dict.fromkeys(range(10), 1.0))
    assert model.steps_per_call is None
    assert history["denoising_0"][-1] < 0.5 * history["denoising_0"][0]
    assert (model.predict(x, verbose=0).argmax(axis=1) == truth).mean() > 0.75


@pytest.mark.full
def test_validation_split_and_weights(few, rng):
    x, y, _ = few
    model = make()
    weight = np.ones(len(x), "float32")
    mixed = rng.permutation(len(x))
    history = fit(model, x[mixed], y[mixed], epochs=1, validation_split=0.25, sample_weight=weight)
    assert "val_accuracy" in history
    heavy, light = make(), make()
    fit(heavy, x, y, epochs=3, sample_weight=np.where(y == 3, 1, 0).astype("float32"))
    fit(light, x, y, epochs=3, sample_weight=np.where(y == 3, 0, 1).astype("float32"))
    threes = [(model.predict(x, verbose=0).argmax(axis=1) == 3).mean() for model in (heavy, light)]
    assert threes[0] > 3 * threes[1]


def test_labels_that_cannot_be_learnt_from(few):
    x, y, _ = few
    model = make()
    model.compile()
    for labels, found in ((np.full(len(x), -1), "no label"), (np.where(y == 3, 3, -1), "class 3")):
        with pytest.raises(ValueError, match=f"at least two classes.*{found}"):
            model.fit(x, labels)
    with pytest.raises(ValueError, match="from 0 to 9"):
        model.fit(x, np.where(y == 3, 10, y))
    with pytest.raises(ValueError, match="at least 2. Received: batch_size=1"):
        model.fit(x, y, batch_size=1)


@pytest.mark.full
def test_one_labelled_row_a_class_and_more_labelled_than_not(few):
    x, _, truth = few
    accuracies = []
    for count in (1, 55):
        model = make()
        fit(model, x, labelled(truth, count))
        accuracies.append((model.predict(x, verbose=0).argmax(axis=1) == truth).mean())
    with_one, with_many = accuracies
    assert with_one > 0.4
    assert with_many > 0.97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"denoising_weights": [1, 2, 3, 4]}, "from 1 to 3 weights"),
        ({"denoising_weights": -1}, "denoising_weights"),
        ({"denoising_weights": "all"}, "'auto'"),
        ({"noise_level": [0.1, 0.2]}, "noise_level"),
        ({"noise": "snow"}, "snow"),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_cost_of_a_perfect_estimate_is_nothing(rng):
    z = rng.normal(3, 2, size=(50, 4)).astype("float32")
    mean, variance = z.mean(axis=0), z.var(axis=0)
    clean = (z - mean) / np.sqrt(variance)

    def cost(estimate):
        tensors = map(keras.ops.convert_to_tensor, (estimate, clean, mean, variance))
        return float(denoising_cost(*tensors))

    assert cost(z) < 1e-10
    off = cost(z + np.sqrt(variance))
    assert off == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_shift_and_scale_keep_their_digits_under_mixed_precision(activation):
    """One step of bfloat16 about 1 is 0.0078: a rounded variable would give 1 instead of 1.001."""

    class Shifted(LadderEncoder):
        def call(self, inputs):
            return self.shifted(keras.ops.cast(inputs, "float32"))

    layer = Shifted(2, activation, dtype="mixed_bfloat16")
    layer.build((None, 3))
    layer.shift.assign([0.001, 0.002])
    expected = np.array([1.001, 1.002])
    if layer.scale is not None:
        layer.scale.assign([1.001, 1.002])
        expected *= [1.001, 1.002]
    found = keras.ops.convert_to_numpy(layer(np.ones((1, 2), "float32")))
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
