import numpy as np
import pytest

import keras_sda as ks
from keras_sda import plots


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
def test_model(noise, digits):
    rows = digits[0][:5]
    models = [
        ks.DenoisingAutoencoder(64, 8, noise=noise, seed=0),
        ks.StackedDenoisingAutoencoder(64, [8], num_classes=10, noise=noise, seed=0),
    ]
    for model in models:
        figure = plots.plot_model(model, rows, (8, 8, 1))
        drawn = [np.asarray(axes.images[0].get_array())[:, :8] for axes in figure.axes]
        np.testing.assert_allclose(drawn[0].ravel(), rows[0])
        if noise is None:
            np.testing.assert_allclose(drawn[1].ravel(), model.reconstruct(rows)[0], rtol=1e-5)
        else:
            assert len(drawn) == 3
            np.testing.assert_array_equal(drawn[1].ravel()[rows[0] == 0], 0)
            assert (drawn[1].ravel() == 0).sum() > (rows[0] == 0).sum()


def test_learning_curves():
    levels = [{"loss": [3.0, 2.0], "val_loss": [3.5, 2.5]}, {"loss": [1.0]}]
    figure = plots.plot_learning_curves(levels, {"accuracy": [0.5], "val_accuracy": [0.75]})
    assert [axes.get_title() for axes in figure.axes] == ["level 1", "level 2", "fine-tuning"]
    lines = figure.axes[0].get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), [3, 2])
    np.testing.assert_array_equal(lines[1].get_ydata(), [3.5, 2.5])
    errors = [line.get_ydata()[0] for line in figure.axes[2].get_lines()]
    assert errors == [50, 25]
