import keras
import numpy as np
import pytest

import keras_sda as ks


@pytest.mark.float64
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16", "mixed_float16"])
def test_penalties_train_in_every_precision(dtype, digits):
    model = ks.MLP(64, [8], num_classes=10, l1=1e-4, l2=1e-3, dtype=dtype, seed=0)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    loss = model.fit(*digits, epochs=2, verbose=0).history["loss"]
    assert loss[1] < loss[0]


@pytest.mark.float64(exact=True)
def test_gradient_by_differences(rng):
    model = ks.MLP(6, [5, 4], num_classes=3, activation="tanh", l2=0.01, dtype="float64", seed=0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    x, y = rng.normal(size=(20, 6)), rng.integers(0, 3, 20)
    start = model.get_weights()

    def loss(w1, b1, w2, b2, w3, b3):
        scores = np.tanh(np.tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3
        entropy = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(20), y]
        return entropy.mean() + 0.01 * sum((kernel**2).sum() for kernel in (w1, w2, w3))

    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)
    for number, after in enumerate(model.get_weights()):
        for place in np.ndindex(after.shape):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [array.copy() for array in start]
                moved[number][place] += step
                sides.append(loss(*moved))
            slope = (sides[0] - sides[1]) / 2e-6
            assert start[number][place] - after[place] == pytest.approx(slope, abs=2e-5)


def test_a_head_that_does_not_fit_stays_behind():
    sda = ks.StackedDenoisingAutoencoder(64, [16, 8], num_classes=7, seed=0)
    model = ks.MLP(64, [16, 8], num_classes=10, seed=1)
    model.start_from(sda)
    np.testing.assert_allclose(
        np.array(model.levels[1].kernel), np.array(sda.levels[1].kernel), rtol=1e-4
    )
    assert not np.array(model.head.kernel).any()


def test_a_head_never_becomes_a_hidden_layer():
    sda = ks.StackedDenoisingAutoencoder(64, [16], num_classes=8, seed=0)
    sda.head.bias.assign(np.full(8, 9.0))
    model = ks.MLP(64, [16, 8], num_classes=10, seed=1)
    model.start_from(sda)
    assert not np.array(model.levels[1].bias).any()


def test_start_under_a_head_of_several_layers():
    model = ks.MLP(64, [16], head=keras.Sequential([keras.layers.Dense(3)]), seed=0)
    model.start_from([np.ones((64, 16)), np.arange(16)])
    np.testing.assert_array_equal(np.array(model.levels[0].bias), np.arange(16))


@pytest.mark.parametrize("source", [None, 3, [], [[[1, 2], [3]], [1]], "abc"])
def test_start_from_refuses_what_is_no_list_of_arrays(source):
    with pytest.raises(ValueError, match=r"start_from\(\) expects a list of arrays of numbers or"):
        ks.MLP(64, [16], num_classes=10).start_from(source)


@pytest.mark.parametrize("arguments", [{"input_shape": 28}, {"kernels": 20}])
def test_lenet_refuses_single_numbers(arguments):
    with pytest.raises(ValueError, match=r"`input_shape` as \(height, width, channels\)"):
        ks.LeNet5(**arguments)


def test_biases_and_numpy_scalars(tmp_path):
    model = ks.MLP(4, [3], num_classes=2, bias_initializer="ones", l2=np.float32(0.1))
    for layer in (*model.levels, model.head):
        np.testing.assert_array_equal(np.array(layer.bias), 1)
    model.save(tmp_path / "model.keras")
    keras.saving.load_model(tmp_path / "model.keras")


def test_training_without_labels_is_refused_in_one_sentence(digits):
    x = digits[0][:20]
    stack = ks.StackedDenoisingAutoencoder(64, [4], num_classes=10)
    stack.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(
        ValueError, match=r"fit\(\) needs the labels `y` .* none: use pretrain\(x\)"
    ):
        stack.fit(x)
    model = ks.SoftmaxRegression(64, 10)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"evaluate\(\) needs the labels `y` .* Received none\.$"):
        model.evaluate(x)
