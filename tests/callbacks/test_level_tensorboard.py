"""TensorBoard by level."""

import importlib.util

import keras
import numpy as np
import pytest

import keras_sda as ks
from keras_sda.callbacks.level_tensorboard import mosaic

pytestmark = pytest.mark.tensorflow_only


def events(folder):
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = module.EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def scalars(folder, tag):
    tensors = events(folder).Tensors(tag)
    return [
        float(np.frombuffer(each.tensor_proto.tensor_content, "float32")[0]) for each in tensors
    ]


def test_each_level_has_its_curves_histograms_and_filters(digits, tmp_path):
    pytest.importorskip("tensorboard")
    x, y = digits[0][:300], digits[1][:300]
    stack = ks.StackedDenoisingAutoencoder(64, [16, 8], num_classes=10, seed=0)
    board = ks.callbacks.LevelTensorBoard(tmp_path, image_shape=(8, 8, 1))
    histories = stack.pretrain(x, epochs=3, batch_size=10, callbacks=[board], verbose=0)
    stack.compile("sgd", "sparse_categorical_crossentropy")
    stack.fit(x, y, epochs=2, batch_size=10, callbacks=[board], verbose=0)
    assert stack.steps_per_call == 30
    assert {path.name for path in tmp_path.iterdir()} == {"level1", "level2", "fit"}
    for level, history in enumerate(histories):
        train = tmp_path / f"level{level + 1}" / "train"
        tags = events(train).Tags()["tensors"]
        assert f"level_{level + 1}/kernel/histogram" in tags
        np.testing.assert_allclose(scalars(train, "epoch_loss"), history.history["loss"], rtol=1e-6)
    drawn = events(tmp_path / "level1" / "filters").Tensors("filters")
    assert [event.step for event in drawn] == [0, 1, 2]
    # Two of the three strings are width and height.
    assert drawn[0].tensor_proto.string_val[:2] == [b"90", b"18"]
    # The second level has 16 inputs, which are not an image.
    assert not (tmp_path / "level2" / "filters").exists()


def test_mosaic():
    kernel = np.zeros((4, 12))
    kernel[:, 3] = [0, 1, 2, 4]
    picture = mosaic(kernel, (2, 2, 1))
    assert picture.shape == (6, 30)
    np.testing.assert_array_equal(picture[:2, 9:11], [[0, 0.25], [0.5, 1]])
    assert (picture[2] == 1).all()
    assert (picture[3:, 6:] == 1).all()


def test_without_tensorboard_the_error_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name)
    )
    with pytest.raises(
        ImportError, match=r'not installed: `pip install "keras-sda\[tensorboard\]"'
    ):
        ks.callbacks.LevelTensorBoard()


def test_weights_are_the_same_as_without(digits, tmp_path):
    pytest.importorskip("tensorboard")
    weights = []
    for callbacks in ([], [ks.callbacks.LevelTensorBoard(tmp_path, (8, 8))]):
        model = ks.DenoisingAutoencoder(64, 4, seed=0)
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(digits[0][:100], epochs=2, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
