import keras
import numpy as np
import pytest
from checks import check_saving
from tiers import in_tiers

import keras_sda as ks


def train(model, x, y, epochs=15, rate=5e-3):
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
    return model


@pytest.mark.parametrize("dropout", in_tiers([0.0, 0.3, [0.1, 0.0]], [0.3]))
def test_standard(dropout, digits, tmp_path):
    x, y = digits
    model = ks.MLP(64, [24, 12], num_classes=10, dropout=dropout, l2=1e-5, seed=0)
    train(model, x, y)
    assert model.evaluate(x, y, verbose=0)[1] > 0.85
    loaded = check_saving(model, x[:50], tmp_path)
    np.testing.assert_array_equal(loaded.encode(x[:50]), model.encode(x[:50]))
    loaded.fit(x, y, epochs=1, verbose=0)
    clone = keras.models.clone_model(model)
    assert [w.shape for w in clone.weights] == [w.shape for w in model.weights]


def test_forward_pass_by_hand(rng):
    model = ks.MLP(5, [4, 3], num_classes=2, activation=["tanh", "relu"], seed=0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    x = rng.normal(size=(6, 5)).astype("float32")
    w1, b1, w2, b2, w3, b3 = (np.asarray(variable) for variable in model.trainable_variables)
    first = np.tanh(x @ w1 + b1)
    second = np.maximum(first @ w2 + b2, 0)
    scores = np.exp(second @ w3 + b3)
    expected = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4)
    np.testing.assert_allclose(model.encode(x, level=0), first, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.encode(x), second, rtol=1e-4, atol=1e-6)


def test_penalties_by_hand():
    model = ks.MLP(2, [2], num_classes=2, activation="tanh", l1=0.1, l2=0.01, seed=0)
    model.levels[0].kernel.assign([[1.0, -2.0], [0.0, 3.0]])
    model.head.kernel.assign([[0.5, -0.5], [0.0, 0.0]])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.zeros((4, 2), "float32"), np.array([0, 1, 0, 1])
    # At x = 0 both classes are even: log 2. |W|: 6 + 1, W^2: 14 + 0.5.
    expected = np.log(2) + 0.1 * 7 + 0.01 * 14.5
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_hidden_layers_solve_what_a_linear_model_cannot():
    x, y = ks.datasets.xor(rows=200, noise=0.1)
    mlp = train(ks.MLP(2, [8], num_classes=2, activation="tanh", seed=0), x, y, 60, 0.03)
    assert mlp.evaluate(x, y, verbose=0)[1] > 0.97
    softmax = train(ks.SoftmaxRegression(2, 2, seed=0), x, y, 60, 0.03)
    assert softmax.evaluate(x, y, verbose=0)[1] < 0.8


def test_starts_as_the_tutorial_says():
    model = ks.MLP(784, [500], num_classes=10, activation="tanh", seed=0)
    kernel = np.asarray(model.levels[0].kernel)
    bound = np.sqrt(6 / (784 + 500))
    assert np.abs(kernel).max() <= bound
    assert np.abs(kernel).max() > 0.99 * bound
    assert not np.asarray(model.head.kernel).any()
    assert not np.asarray(model.levels[0].bias).any()


@pytest.mark.float64
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_dtypes(dtype, digits):
    model = ks.MLP(64, [8], num_classes=10, dropout=0.1, dtype=dtype, seed=0)
    train(model, *digits, epochs=1)
    assert {w.dtype for w in model.trainable_weights} == {model.variable_dtype}
    assert keras.backend.standardize_dtype(model(digits[0][:2]).dtype) == model.variable_dtype


def test_same_seed_same_weights(digits):
    one, other = (train(ks.MLP(64, [8], 10, dropout=0.2, seed=1), *digits, epochs=1) for _ in "ab")
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_head_of_ones_own(digits, tmp_path):
    head = keras.layers.Dense(1, activation="sigmoid")
    model = ks.MLP(64, [8], head=head, seed=0)
    model.compile("adam", "mse")
    model.fit(digits[0], (digits[1] > 4).astype("float32"), epochs=1, verbose=0)
    check_saving(model, digits[0][:20], tmp_path)


def test_start_from_arrays_and_models(digits):
    x, _ = digits
    sda = ks.StackedDenoisingAutoencoder(64, [16, 8], 10, activation="sigmoid", seed=0)
    train(sda, *digits, epochs=1)  # its normalisation is folded into what the network starts from
    sda.head.kernel.assign(np.random.default_rng(0).normal(size=(8, 10)))
    plain = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(16, "sigmoid"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(8, "sigmoid"),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    for source in (sda, plain):
        model = ks.MLP(64, [16, 8], num_classes=10, activation="sigmoid", seed=1)
        model.start_from(source)
        np.testing.assert_allclose(
            model.predict(x, verbose=0), source.predict(x, verbose=0), rtol=1e-4, atol=1e-6
        )
    again = ks.MLP(64, [16, 8], num_classes=10, activation="sigmoid", seed=2)
    again.start_from(model)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))

    single = ks.DenoisingAutoencoder(64, 16, seed=3)
    partly = ks.MLP(64, [16, 8], num_classes=10, activation="sigmoid", seed=2)
    untouched = np.array(partly.levels[1].kernel)
    partly.start_from(single)
    np.testing.assert_allclose(partly.encode(x, level=0), single.encode(x), rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(partly.levels[1].kernel), untouched)

    arrays = [np.full((64, 16), 0.5), np.arange(16)]
    partly.start_from(arrays)
    np.testing.assert_array_equal(np.asarray(partly.levels[0].bias), np.arange(16))


def test_start_from_refuses_what_does_not_fit():
    model = ks.MLP(64, [16, 8], num_classes=10, seed=0)
    before = model.get_weights()
    sources = {
        r"a kernel of shape \(16, 8\) for layer 2. Received shape \(16, 9\)": [
            np.ones((64, 16)),
            np.ones(16),
            np.ones((16, 9)),
        ],
        r"a bias of shape \(16,\) for layer 1": [np.ones((64, 16)), np.ones(15)],
        "at most 6 arrays": [np.ones(1)] * 7,
        "layers have kernels and biases": keras.Sequential(
            [keras.Input((64,)), keras.layers.Dense(16, use_bias=False)]
        ),
    }
    for message, source in sources.items():
        with pytest.raises(ValueError, match=message):
            model.start_from(source)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.tensorflow_only
def test_export_takes_any_number_of_rows(digits, tmp_path):
    import tensorflow as tf

    model = ks.MLP(64, [8], num_classes=10, seed=0)
    model.head.kernel.assign(np.random.default_rng(0).normal(size=(8, 10)))
    model.export(tmp_path / "mlp")
    loaded = tf.saved_model.load(tmp_path / "mlp")
    for rows in (1, 7):
        x = digits[0][:rows]
        np.testing.assert_allclose(loaded.serve(x), model.predict(x, verbose=0), rtol=1e-5)
        np.testing.assert_allclose(loaded.encode(x), model.encode(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_units": []}, "`hidden_units` of MLP must list"),
        ({"hidden_units": 8}, "`hidden_units` of MLP must list"),
        ({"hidden_units": [8, 0]}, "`hidden_units` of MLP must be a whole number"),
        ({"input_dim": 0}, "`input_dim` of MLP must be a whole number"),
        ({"num_classes": None}, "either `num_classes` or `head`"),
        ({"head": keras.layers.Dense(1)}, "either `num_classes` or `head`"),
        ({"num_classes": None, "head": "softmax"}, "`head` of MLP must be a Keras layer"),
        ({"num_classes": 1}, "`num_classes` of MLP must be at least 2"),
        ({"dropout": 1.0}, r"`dropout` of MLP must lie in \[0, 1\)"),
        ({"dropout": [0.1, 0.1]}, "`dropout` of MLP must be one value or a list with one entry"),
        ({"l1": -1.0}, "`l1` of MLP must be a finite number of at least 0"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        ks.MLP(**{"input_dim": 64, "hidden_units": [8], "num_classes": 10, **arguments})


def test_data_that_do_not_fit_are_refused(digits):
    model = ks.MLP(64, [8], num_classes=10)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"MLP.fit\(\) expects `x` of shape \(rows, 64\)"):
        model.fit(digits[0][:, :60], digits[1])
    with pytest.raises(ValueError, match="class labels from 0 to 9"):
        model.fit(digits[0], digits[1] + 1)
    with pytest.raises(ValueError, match="`level` of MLP must name one of 1 hidden"):
        model.encode(digits[0], level=1)
