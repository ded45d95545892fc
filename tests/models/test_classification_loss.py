"""The cross-entropy of classes has a gradient however sure the network is, under every backend."""

import keras
import numpy as np
import pytest

from keras_sda import MLP, SoftmaxRegression, StackedDenoisingAutoencoder

LOSSES = [
    "sparse_categorical_crossentropy",
    keras.losses.SparseCategoricalCrossentropy(),
    "categorical_crossentropy",
    keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
]


def targets_of(loss, labels):
    name = loss if isinstance(loss, str) else loss.name
    return labels if name.startswith("sparse") else np.eye(3, dtype="float32")[labels]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_from_a_class_that_is_wrong_for_sure(loss):
    model = SoftmaxRegression(2, 3, seed=0)
    kernel = np.array([[40.0, 0.0, 0.0], [0.0, 0.0, 0.0]], "float32")
    model.start_from([kernel, np.zeros(3, "float32")])
    model.compile(keras.optimizers.SGD(1.0), loss)
    x, labels = np.array([[1.0, 0.0]], "float32"), np.array([2])
    measured = model.evaluate(x, targets_of(loss, labels), verbose=0)
    model.fit(x, targets_of(loss, labels), verbose=0)
    # Probability 1 minus 1e-17 for class 0: the gradient on the logits is p minus the target.
    smoothing = getattr(loss, "label_smoothing", 0.0)
    target = (1 - smoothing) * np.eye(3)[2] + smoothing / 3
    assert measured == pytest.approx(40 * (target[1] + target[2]), rel=1e-5)
    expected = kernel - np.outer([1.0, 0.0], np.array([1.0, 0.0, 0.0]) - target)
    found = keras.ops.convert_to_numpy(model.head.kernel)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", [MLP, StackedDenoisingAutoencoder])
def test_a_saved_model_says_the_loss_that_was_given(kind, loss, tmp_path):
    model = kind(4, [3], num_classes=3, seed=0)
    model.compile("sgd", loss)
    x, labels = np.random.default_rng(0).random((6, 4), "float32"), np.arange(6) % 3
    model.fit(x, targets_of(loss, labels), verbose=0)
    model.save(tmp_path / "model.keras")
    written = model.get_compile_config()["loss"]
    given = loss if isinstance(loss, str) else loss.get_config()
    assert (written if isinstance(loss, str) else written["config"]) == given
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    ours, theirs = (
        each.evaluate(x, targets_of(loss, labels), verbose=0) for each in (loaded, model)
    )
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_other_heads_and_losses_are_left_to_keras():
    head = keras.layers.Dense(1, activation="sigmoid")
    model = MLP(4, [3], head=head, seed=0)
    model.compile("sgd", "binary_crossentropy")
    x = np.random.default_rng(0).random((6, 4), "float32")
    y = (np.arange(6) % 2).astype("float32")
    p = model.predict(x, verbose=0)[:, 0].astype("float64")
    expected = -np.mean(np.where(y == 1, np.log(p), np.log(1 - p)))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-4)
