import importlib

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

import keras_sda as ks
from keras_sda import plots
from keras_sda.layers import MaskingNoise


def drawn_image(axes):
    return np.asarray(axes.images[0].get_array())


def test_pictures_leave_pyplot_alone():
    names = [name for name in plots.__all__ if name.startswith("plot_")]
    for name in names:
        module = importlib.import_module(getattr(plots, name).__module__)
        assert not hasattr(module, "plt")
        assert "pyplot" not in vars(module)
    figure = plots.plot_filters(np.ones((4, 2)))
    assert isinstance(figure, Figure)
    assert not hasattr(figure.canvas.manager, "show"), "it has no window"


def test_tile_images():
    images = np.arange(3)[:, None, None] * np.ones((3, 2, 2))
    tiled = plots.tile_images(images, columns=2, gap=1, background=9)
    expected = [
        [0, 0, 9, 1, 1],
        [0, 0, 9, 1, 1],
        [9, 9, 9, 9, 9],
        [2, 2, 9, 9, 9],
        [2, 2, 9, 9, 9],
    ]
    np.testing.assert_array_equal(tiled, expected)


def test_filters_are_the_strongest_units(tmp_path):
    kernel = np.zeros((4, 3))
    kernel[:, 0] = [1, 2, 3, 5]
    kernel[:, 2] = [-1, 1, 0, 0]
    figure = plots.plot_filters(kernel, image_shape=(2, 2, 1), count=2)
    [axes] = figure.axes
    drawn = axes.images[0].get_array()
    np.testing.assert_allclose(drawn[:2, :2], [[0, 0.25], [0.5, 1]])
    np.testing.assert_allclose(drawn[:2, 3:], [[0, 1], [0.5, 0.5]])
    assert "2 of 3 units" in axes.get_title()
    table = plots.plot_filters(kernel, count=2).axes[0].images[0].get_array()
    np.testing.assert_array_equal(table, kernel[:, [0, 2]])


@pytest.fixture
def stack():
    return ks.StackedDenoisingAutoencoder(64, [9, 6, 4], num_classes=10, seed=0)


@pytest.mark.parametrize("level", [0, 1, 2, -1, -2])
def test_deeper_filters_are_products_of_kernels(stack, level):
    kernels = [np.asarray(layer.kernel) for layer in stack.levels]
    chained = [kernels[0], kernels[0] @ kernels[1], kernels[0] @ kernels[1] @ kernels[2]][level]
    axes = plots.plot_level_filters(stack, level).axes[0]
    np.testing.assert_allclose(drawn_image(axes), chained, rtol=1e-5, atol=1e-6)
    number = level % 3 + 1
    chain = "" if number == 1 else ", chained linearly down to the input"
    units = stack.hidden_units[level]
    assert axes.get_title() == f"Filters of level {number}{chain}: {units} of {units} units"
    images = drawn_image(plots.plot_level_filters(stack, level, (8, 8, 1)).axes[0])
    first = chained[:, 0].reshape(8, 8)
    scaled = (first - first.min()) / np.ptp(first)
    np.testing.assert_allclose(images[:8, :8], scaled, atol=1e-5)


def test_filters_of_other_models():
    mlp = ks.MLP(6, [5, 3], num_classes=2, seed=0)
    one, two = (np.asarray(layer.kernel) for layer in mlp.levels)
    drawn = drawn_image(plots.plot_level_filters(mlp).axes[0])
    np.testing.assert_allclose(drawn, one @ two, rtol=1e-5, atol=1e-6)
    vae = ks.VariationalAutoencoder(6, hidden_units=(5,), latent_dim=2, seed=0)
    names = [kernel.shape for kernel in plots.level_kernels(vae)]
    assert names == [(6, 5), (5, 2)], "hidden layer and mean, without the log-variance"
    convolutional = ks.ConvolutionalAutoencoder((8, 8, 1), filters=(4, 2), seed=0)
    kernel = plots.level_kernels(convolutional)[0]
    drawn = drawn_image(plots.plot_level_filters(convolutional, level=0).axes[0])
    first = kernel[:, :, 0, 0]
    np.testing.assert_allclose(
        drawn[:3, :3], (first - first.min()) / np.ptp(first), rtol=1e-5, atol=1e-6
    )


def test_filters_refusals(stack):
    with pytest.raises(ValueError, match="from 0 to 2, or from -3 to -1 .* Received: level=3"):
        plots.plot_level_filters(stack, level=3)
    with pytest.raises(ValueError, match=r"as many pixels as a row has values, 64\. Received"):
        plots.plot_level_filters(stack, image_shape=(28, 28, 1))
    convolutional = ks.ConvolutionalAutoencoder((8, 8, 1), filters=(4, 2))
    with pytest.raises(ValueError, match="convolutions below level 2, .*: draw those of the first"):
        plots.plot_level_filters(convolutional)
    with pytest.raises(ValueError, match="Received a SoftmaxRegression, which has none: pass"):
        plots.plot_level_filters(ks.SoftmaxRegression(4, num_classes=2))


def test_features_of_tables_have_names():
    names = [f"cost in $, {number}" for number in range(70)]
    kernel = np.full((70, 3), 0.1)
    kernel[5:65] = 1.0
    axes = plots.plot_filters(kernel, feature_names=names).axes[0]
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == names[5:65], "the largest weights"
    assert not labels[0].get_parse_math()
    assert axes.get_title().endswith("3 of 3 units, 60 of 70 features")
    assert drawn_image(axes).tolist() == kernel[5:65].tolist()
    with pytest.raises(ValueError, match="must have 70 names.*Received 2"):
        plots.plot_filters(kernel, feature_names=["a", "b"])
    figure = plots.plot_reconstructions(kernel.T, None, kernel.T, feature_names=names)
    assert figure.axes[-1].get_xlabel() == "70 features"
    few = kernel.T[:, :2]
    figure = plots.plot_reconstructions(few, few, few, feature_names=["age", "a" * 40])
    assert [label.get_text() for label in figure.axes[2].get_xticklabels()] == [
        *("age", "a" * 28 + "…")
    ]


@pytest.mark.parametrize("image_shape", [(2, 2, 1), None])
def test_reconstructions(image_shape, rng, tmp_path):
    tables = [rng.uniform(size=(3, 4)) for _ in range(3)]
    figure = plots.plot_reconstructions(*tables, image_shape=image_shape)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["inputs", "corrupted", "reconstructed"]
    for axes, table in zip(figure.axes, tables, strict=True):
        drawn = np.asarray(axes.images[0].get_array())
        expected = table if image_shape is None else table[0].reshape(2, 2)
        np.testing.assert_allclose(drawn[: len(expected), : expected.shape[1]], expected)
    figure.savefig(tmp_path / "strip.png")
    without = plots.plot_reconstructions(tables[0], None, tables[2], image_shape=image_shape)
    assert [axes.get_title(loc="left") for axes in without.axes] == ["inputs", "reconstructed"]


@pytest.mark.parametrize("noise", ["masking", None])
def test_model_reconstructions(noise, digits):
    rows = digits[0][:5]
    models = [
        ks.DenoisingAutoencoder(64, 8, noise=noise, seed=0),
        ks.StackedDenoisingAutoencoder(64, [8], num_classes=10, noise=noise, seed=0),
    ]
    for model in models:
        figure = plots.plot_model_reconstructions(model, rows, (8, 8, 1))
        drawn = [np.asarray(axes.images[0].get_array())[:, :8] for axes in figure.axes]
        np.testing.assert_allclose(drawn[0].ravel(), rows[0])
        if noise is None:
            np.testing.assert_allclose(drawn[1].ravel(), model.reconstruct(rows)[0], rtol=1e-5)
        else:
            assert len(drawn) == 3
            np.testing.assert_array_equal(drawn[1].ravel()[rows[0] == 0], 0)
            assert (drawn[1].ravel() == 0).sum() > (rows[0] == 0).sum()
            again = plots.plot_model_reconstructions(model, rows, (8, 8, 1)).axes[1]
            np.testing.assert_array_equal(drawn_image(again)[:, :8], drawn[1])


def test_image_models_need_no_image_shape(rng):
    rows = rng.uniform(size=(3, 8, 8, 1)).astype("float32")
    model = ks.ConvolutionalAutoencoder((8, 8, 1), filters=(2,), noise="gaussian", seed=0)
    figure = plots.plot_model_reconstructions(model, rows)
    np.testing.assert_allclose(drawn_image(figure.axes[0])[:, :8], rows[0, :, :, 0])


def test_corrupting_leaves_the_random_stream_alone():
    rows = np.ones((50, 20), "float32")
    noise, other = MaskingNoise(0.3, seed=1), MaskingNoise(0.3, seed=1)
    first = plots.corrupt_rows(noise, rows, seed=5)
    np.testing.assert_array_equal(plots.corrupt_rows(noise, rows, seed=5), first)
    assert (plots.corrupt_rows(noise, rows, seed=6) != first).any()
    assert 0.6 < first.mean() < 0.8
    np.testing.assert_array_equal(noise(rows, training=True), other(rows, training=True))
    noise.level.assign(0.9)
    more = plots.corrupt_rows(noise, rows, seed=5)
    assert more.mean() < 0.2, "the level is the current one"
    assert (more <= first).all(), "the draw is the same"
    np.testing.assert_allclose(noise.level, 0.9)


def test_learning_curves():
    levels = [{"loss": [3.0, 2.0], "val_loss": [3.5, 2.5]}, {"loss": [1.0]}]
    figure = plots.plot_learning_curves(levels, {"accuracy": [0.5], "val_accuracy": [0.75]})
    assert [axes.get_title() for axes in figure.axes] == ["level 1", "level 2", "fine-tuning"]
    lines = figure.axes[0].get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), [3, 2])
    np.testing.assert_array_equal(lines[1].get_ydata(), [3.5, 2.5])
    errors = [line.get_ydata()[0] for line in figure.axes[2].get_lines()]
    assert errors == [50, 25]


def test_learning_curves_of_one_phase():
    pretraining = plots.plot_learning_curves([{"loss": [3.0, 2.0]}], {})
    assert [axes.get_title() for axes in pretraining.axes] == ["level 1"], "no empty panel"
    fit = plots.plot_learning_curves([], {"loss": [3.0, 2.0]})
    assert [axes.get_title() for axes in fit.axes] == ["training"]
    np.testing.assert_array_equal(fit.axes[0].get_lines()[0].get_ydata(), [3, 2])


def test_learning_curves_of_histories():
    history = keras.callbacks.History()
    history.history = {"loss": [3.0, 2.0]}
    figure = plots.plot_learning_curves([history])
    assert [axes.get_title() for axes in figure.axes] == ["level 1"]
    np.testing.assert_array_equal(figure.axes[0].get_lines()[0].get_ydata(), [3, 2])
    assert len(plots.plot_learning_curves([history], history).axes) == 2


def test_scores_counted_by_hand():
    scores = [1.0, 1.1, 1.2, 2.0, 4.0, 16.0]
    [axes] = plots.plot_scores(scores, 3.0, bins=4).axes  # bars from 1 to 2, 4, 8 and 16
    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_array_equal(heights, [3, 1, 1, 1])
    assert axes.get_title() == "Scores: 33.33 % flagged, 2 of 6 rows"
    assert axes.lines[0].get_xdata()[0] == 3.0
    assert axes.get_xscale() == "log"
    figure = plots.plot_scores([-1.0, 0.0, 1.0], None, [0, 1, 1], bins=2)
    [axes] = figure.axes
    assert axes.get_xscale() == "linear"
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert sorted(names) == ["1 other rows", "2 outliers"]
    assert sum(bar.get_height() for bar in axes.patches) == 3
    figure.draw_without_rendering()
    plots.plot_scores([2.0, 2.0], 2.0).draw_without_rendering()
    assert plots.plot_scores(np.r_[np.full(60, 1.0), 5.0]).axes[0].get_yscale() == "symlog"
    with pytest.raises(ValueError, match="array of finite numbers"):
        plots.plot_scores([1.0, np.nan])
    with pytest.raises(ValueError, match="0 or 1 for each score"):
        plots.plot_scores([1.0, 2.0], labels=[1, 2])


def test_label_curves():
    ours = {"ladder": {10: (20.0, 15.0, 25.0), 100: (5.0, 4.0, 6.0)}}
    theirs = {
        "k-NN": {10: (30.0, None, None), 11: (29.0, None, None)},
        "SVM": {100: (8.0, 7.0, 9.0)},
    }
    figure = plots.plot_label_curves({"all rows": ours, "labelled rows": theirs}, "error")
    left, right = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["all rows", "labelled rows"]
    # Its own methods have a legend, the others are grey behind them.
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["ladder"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["k-NN", "SVM"]
    assert len(left.lines) == len(right.lines) == 3
    curve = left.lines[-1].get_xydata()
    np.testing.assert_array_equal(curve, [[10, 20], [100, 5]])
    # A band where there is an interval; numbers too close to be told apart have one label.
    assert len(left.collections) == 1
    assert len(right.collections) == 1
    assert left.get_xscale() == "log"
    figure.draw_without_rendering()
    assert [text.get_text() for text in left.get_xticklabels()] == ["10", "100"]
    assert left.get_ylim()[0] == 0
    high = plots.plot_label_curves({"one": {"a": {10: (50.0, None, None), 20: (48.0, None, None)}}})
    assert high.axes[0].get_ylim()[0] > 40
