"""The callback that draws what a model makes of fixed rows while it trains."""

import importlib.util
import sys
import types

import keras
import numpy as np
import pytest
from tiers import in_tiers

from keras_sda import plots
from keras_sda.callbacks import ReconstructionPictures
from keras_sda.models import (
    MLP,
    DenoisingAutoencoder,
    StackedDenoisingAutoencoder,
    VariationalAutoencoder,
)
from keras_sda.training.hooks import wants_every_batch


@pytest.fixture
def x(digits):
    return digits[0][:300]


@pytest.fixture
def drawn(monkeypatch):
    """The arguments of all pictures drawn."""
    calls = []
    original = plots.plot_reconstructions

    def record(inputs, corrupted, reconstructed, image_shape=None, title=None, names=None):
        calls.append((title, inputs, corrupted, reconstructed, image_shape))
        return original(inputs, corrupted, reconstructed, image_shape, title, names)

    for module in (plots, sys.modules["keras_sda.plots.reconstructions"]):
        monkeypatch.setattr(module, "plot_reconstructions", record)
    return calls


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def make_stack():
    return StackedDenoisingAutoencoder(
        64, [12, 8], num_classes=10, dropout=0.2, finetune_noise_level=0.1, seed=0
    )


def train_stack(model, x, y, pictures):
    histories = model.pretrain(x, epochs=2, callbacks=pictures, verbose=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    histories.append(model.fit(x, y, epochs=2, callbacks=pictures, verbose=0))
    return [history.history for history in histories]


def train_autoencoder(model, x, y, pictures):
    model.compile("adam")
    return [model.fit(x, epochs=2, callbacks=pictures, verbose=0).history]


@pytest.mark.parametrize(
    "when",
    in_tiers([{"every_epochs": 1}, {"every_steps": 9}], [{"every_steps": 9}]),
    ids=["epochs", "steps"],
)
@pytest.mark.parametrize(
    ("make", "train"),
    [
        pytest.param(make_stack, train_stack, marks=pytest.mark.full),
        (lambda: DenoisingAutoencoder(64, 12, seed=0), train_autoencoder),
        (lambda: VariationalAutoencoder(64, (16,), 2, seed=0), train_autoencoder),
    ],
    ids=["stack", "denoising", "variational"],
)
def test_same_weights_with_and_without(make, train, when, x, digits, tmp_path):
    weights, histories = [], []
    for pictures in ([], [ReconstructionPictures(x[:3], (8, 8, 1), tmp_path, **when)]):
        keras.utils.set_random_seed(1)
        model = make()
        histories.append(train(model, x, digits[1][:300], pictures))
        # Variables include the states of all random streams.
        weights.append([np.asarray(variable) for variable in model.variables])
    assert histories[0] == histories[1]
    for without, with_pictures in zip(*weights, strict=True):
        np.testing.assert_array_equal(without, with_pictures)
    assert names_in(tmp_path)


def test_files_are_numbered_by_level_and_epoch(x, tmp_path):
    pictures = ReconstructionPictures(x[:3], (8, 8, 1), tmp_path / "new" / "folder", every_epochs=2)
    make_stack().pretrain(x, epochs=[5, 2], callbacks=[pictures], verbose=0)
    names = names_in(tmp_path / "new" / "folder")
    first = [f"reconstructions-level1-epoch000{epoch}.png" for epoch in (0, 2, 4)]
    assert names == [*first, *(f"reconstructions-level2-epoch000{epoch}.png" for epoch in (0, 2))]
    for name in names:
        assert (tmp_path / "new" / "folder" / name).read_bytes().startswith(b"\x89PNG")


def test_steps_are_counted_across_epochs(x, tmp_path):
    model = DenoisingAutoencoder(64, 4, seed=0)
    model.compile("adam")
    pictures = ReconstructionPictures(x[:3], folder=tmp_path, every_steps=4)
    model.fit(x, epochs=3, batch_size=100, callbacks=[pictures], verbose=0)  # 3 steps an epoch
    steps = [0, 4, 8]
    assert names_in(tmp_path) == [f"reconstructions-step{step:07}.png" for step in steps]
    if keras.backend.backend() == "torch":  # Keras takes one step at a time there
        return
    # If Keras takes two steps at once and reports the second, no picture is left out.
    dense = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])
    dense.reconstruct = lambda rows: dense.predict(rows, verbose=0)
    dense.compile("sgd", "mse", steps_per_execution=2)
    for path in tmp_path.iterdir():
        path.unlink()
    pictures = ReconstructionPictures(x[:3], folder=tmp_path, every_steps=3)
    dense.fit(x, x, epochs=1, batch_size=30, callbacks=[pictures], verbose=0)
    assert names_in(tmp_path) == [f"reconstructions-step{step:07}.png" for step in (0, 4, 6, 10)]


def test_every_epochs_allows_many_steps_per_call(x, tmp_path):
    by_epochs = ReconstructionPictures(x[:3], folder=tmp_path)
    by_steps = ReconstructionPictures(x[:3], folder=tmp_path, every_steps=1)
    assert not wants_every_batch(by_epochs)
    assert wants_every_batch(by_steps)
    model = DenoisingAutoencoder(64, 4)
    model.compile("adam")
    model.fit(x, batch_size=10, callbacks=[by_epochs], verbose=0)
    if keras.backend.backend() == "tensorflow":
        assert model.steps_per_call > 1


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_each_level_shows_the_rows_of_the_input(x, tmp_path, drawn):
    model = StackedDenoisingAutoencoder(64, [12, 8], noise_level=0.5, activation="sigmoid", seed=0)
    pictures = ReconstructionPictures(x[:6], (8, 8, 1), tmp_path, every_epochs=3)
    model.pretrain(x, epochs=3, callbacks=[pictures], verbose=0)
    titles = [call[0] for call in drawn]
    decoded = ": corrupted and reconstructed codes, decoded to the input"
    expected = ["level 1, epoch 0", "level 1, epoch 3"]
    assert titles == [*expected, *(f"level 2, epoch {epoch}{decoded}" for epoch in (0, 3))]

    one, two = model.levels
    kernel, bias, visible = (np.asarray(v) for v in (one.kernel, one.bias, one.visible_bias))
    _, inputs, corrupted, rebuilt, shape = drawn[1]
    np.testing.assert_array_equal(inputs, x[:6])
    np.testing.assert_array_equal(corrupted, drawn[0][2], err_msg="the same corruption each time")
    assert ((corrupted == x[:6]) | (corrupted == 0)).all()
    assert 0.3 < (corrupted == 0)[x[:6] > 0].mean() < 0.7
    by_hand = sigmoid(sigmoid(corrupted @ kernel + bias) @ kernel.T + visible)
    np.testing.assert_allclose(rebuilt, by_hand, atol=1e-5)
    assert shape == (8, 8, 1)

    _, inputs, corrupted, rebuilt, _ = drawn[3]
    np.testing.assert_array_equal(inputs, x[:6])
    codes = plots.corrupt_rows(model.noise_layers[1], sigmoid(x[:6] @ kernel + bias))
    np.testing.assert_allclose(corrupted, sigmoid(codes @ kernel.T + visible), atol=1e-5)
    upper, upper_bias, upper_visible = (
        np.asarray(v) for v in (two.kernel, two.bias, two.visible_bias)
    )
    codes = sigmoid(sigmoid(codes @ upper + upper_bias) @ upper.T + upper_visible)
    np.testing.assert_allclose(rebuilt, sigmoid(codes @ kernel.T + visible), atol=1e-5)
    assert np.abs(drawn[2][3] - rebuilt).max() > 1e-3, "it has learnt in between"


def test_fit_shows_reconstructions_by_the_whole_model(x, tmp_path, drawn):
    model = StackedDenoisingAutoencoder(64, [12, 8], seed=0)
    model.compile("adam")
    pictures = ReconstructionPictures(x[:6], (8, 8, 1), tmp_path, seed=7)
    model.fit(x, epochs=1, callbacks=[pictures], verbose=0)
    assert [call[0] for call in drawn] == ["epoch 0", "epoch 1"]
    corrupted = plots.corrupt_rows(model.noise_layers[0], x[:6], seed=7)
    np.testing.assert_array_equal(drawn[1][2], corrupted)
    np.testing.assert_allclose(drawn[1][3], model.reconstruct(corrupted), rtol=1e-6)


def test_a_function_of_the_level_may_return_it(x, tmp_path, drawn):
    def of_level(level):
        return [ReconstructionPictures(x[:3], None, tmp_path)] if level == 1 else []

    make_stack().pretrain(x, epochs=1, callbacks=of_level, verbose=0)
    assert [call[3].shape for call in drawn] == [(3, 64), (3, 64)]


def test_a_notebook_shows_one_picture_and_updates_it(x, monkeypatch):
    shown = []

    class Handle:
        def update(self, image):
            shown.append(("update", image.data[:4]))

    def display(image, display_id):
        assert display_id is True
        shown.append(("display", image.data[:4]))
        return Handle()

    module = types.ModuleType("IPython")
    module.display = types.SimpleNamespace(
        display=display, Image=lambda data: types.SimpleNamespace(data=data)
    )
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: module)
    model = DenoisingAutoencoder(64, 4)
    model.compile("adam")
    for _ in range(2):  # a second fit has a picture of its own
        shown.clear()
        pictures = ReconstructionPictures(x[:3], (8, 8, 1))
        model.fit(x, epochs=2, callbacks=[pictures], verbose=0)
        assert shown == [(how, b"\x89PNG") for how in ("display", "update", "update")]


def test_refusals(x, tmp_path, monkeypatch):
    def refused(*arguments, **options):
        with pytest.raises(ValueError) as error:
            ReconstructionPictures(*arguments, **{"folder": tmp_path, **options})
        return str(error.value)

    assert "`rows` of ReconstructionPictures must be an array of a few rows" in refused(x[0])
    assert "as many pixels as a row has values, 64. Received" in refused(x[:3], (28, 28, 1))
    both = refused(x[:3], every_epochs=1, every_steps=1)
    assert "takes `every_epochs` or `every_steps`. Received both" in both
    for name in ("every_epochs", "every_steps"):
        message = refused(x[:3], **{name: 0})
        assert f"`{name}` of ReconstructionPictures must be a whole number of at least 1" in message
    assert "`seed`" in refused(x[:3], seed=-1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="without `folder` draws into a notebook, which needs"):
        ReconstructionPictures(x[:3])


def test_refusals_before_training(x, digits, tmp_path):
    mlp = MLP(64, [4], num_classes=10)
    mlp.compile("adam", "sparse_categorical_crossentropy")
    before = mlp.get_weights()
    with pytest.raises(
        ValueError, match="needs a model that reconstructs, .* Received a MLP: leave"
    ):
        mlp.fit(
            x,
            digits[1][:300],
            callbacks=[ReconstructionPictures(x[:3], folder=tmp_path)],
            verbose=0,
        )
    for old, new in zip(before, mlp.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    narrow = ReconstructionPictures(x[:3, :9], folder=tmp_path)
    with pytest.raises(ValueError, match="64"):
        make_stack().pretrain(x, callbacks=[narrow], verbose=0)
