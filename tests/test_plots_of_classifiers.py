import keras
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import keras_sda as ks
from keras_sda import plots
from keras_sda.plots.images import class_colour


def test_confusion_counted_by_hand():
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 2]
    predicted = [0, 0, 1, 1, 1, 0, 2, 2, 1]
    [axes] = plots.plot_confusion(labels, predicted, title="Test").axes
    drawn = {text.get_position(): int(text.get_text()) for text in axes.texts}
    # Columns are predicted classes, rows are true classes; counts of 0 are not drawn.
    assert drawn == {(0, 0): 2, (1, 0): 1, (1, 1): 2, (0, 2): 1, (1, 2): 1, (2, 2): 2}
    assert axes.get_title() == "Test: 33.33 % wrong, 3 of 9 rows"
    tint = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(tint[1, 1], to_rgb("#0072B2"), err_msg="all of class 1 are right")
    np.testing.assert_array_equal(tint[1, 0], 1)
    assert tint[0, 1, 0] > tint[0, 1, 2], "wrong ones are orange"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "class")


def test_confusion_with_names():
    [axes] = plots.plot_confusion([0, 1], [1, 1], classes=["low", "middle", "high"]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["low", "middle", "high"]
    assert axes.get_title() == "Confusion: 50.00 % wrong, 1 of 2 rows"


def test_names_are_no_formulas_and_titles_are_whole(tmp_path, rng):
    names = ["a rather long name of a class", "$\\frac{$ to $5"]
    figure = plots.plot_confusion([0, 1, 1], [1, 1, 0], classes=names)
    figure.savefig(tmp_path / "confusion.png")  # a formula that is none would be refused here
    title = figure.axes[0].title.get_window_extent()
    assert title.x0 >= 0
    assert title.x1 <= figure.bbox.width
    x, y = rng.uniform(size=(20, 2)), np.arange(20) % 2
    model = ks.MLP(2, [3], num_classes=2, seed=0)
    surface = plots.plot_decision_surface(model, x, y, names, feature_names=names)
    codes = plots.plot_codes(x, y, classes=names)
    short = plots.plot_codes(x, y, classes=["$_$", "b"])
    for number, figure in enumerate((surface, codes, short)):
        figure.savefig(tmp_path / f"{number}.png")


def test_confusion_refusals():
    with pytest.raises(ValueError, match="one label per row"):
        plots.plot_confusion([0, 1], [1])
    with pytest.raises(
        ValueError, match=r"`predicted` of plot_confusion\(\) must be class numbers"
    ):
        plots.plot_confusion([0, 1], [0.2, 0.8])


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_decision_surface_shows_the_predictions_of_the_model(rng, outputs):
    layer = keras.layers.Dense(outputs, activation="sigmoid" if outputs == 1 else "softmax")
    model = ks.MLP(2, [4], head=layer, activation="tanh", seed=3)
    x = rng.uniform(-1, 1, size=(30, 2)).astype("float32")
    y = rng.integers(0, max(2, outputs), 30)
    [axes] = plots.plot_decision_surface(model, x, y, points=20).axes
    background = np.asarray(axes.images[0].get_array())
    left, right, bottom, top = axes.images[0].get_extent()
    assert axes.images[0].origin == "lower", "the first row of the image lies at the bottom"
    width, height = (right - left) / 20, (top - bottom) / 20
    for row, column in ((0, 0), (3, 17), (19, 5)):
        point = [[left + (column + 0.5) * width, bottom + (row + 0.5) * height]]
        probabilities = model.predict(np.array(point, "float32"), verbose=0)[0]
        if outputs == 1:
            probabilities = np.array([1 - probabilities[0], probabilities[0]])
        colours = [np.array(to_rgb(class_colour(number))) for number in range(len(probabilities))]
        mixed = sum(p * (1 - 0.55 * (1 - c)) for p, c in zip(probabilities, colours, strict=True))
        np.testing.assert_allclose(background[row, column], mixed, atol=1e-4)
    predicted = model.predict(x, verbose=0)
    classes = predicted.argmax(axis=1) if outputs > 1 else predicted[:, 0] > 0.5
    wrong = int((classes != y).sum())
    assert axes.get_title() == f"Class probabilities; {wrong} of 30 rows on the wrong side"
    points = [found for found in axes.collections if len(found.get_offsets()) > 1]
    for number, found in zip(np.unique(y), points, strict=True):
        np.testing.assert_allclose(found.get_offsets(), x[y == number])


def test_decision_surface_has_the_boundary_where_it_belongs():
    # Class 1 to the right of 0.25.
    model = ks.SoftmaxRegression(2, num_classes=2)
    model.head.kernel.assign([[0, 8], [0, 0]])
    model.head.bias.assign([0, -2])
    x = np.array([[-1, -1], [1, 1]], "float32")
    [axes] = plots.plot_decision_surface(model, x, points=101).axes
    lines = [path.vertices for found in axes.collections for path in found.get_paths()]
    vertices = np.concatenate([line for line in lines if len(line) > 50])
    np.testing.assert_allclose(vertices[:, 0], 0.25, atol=0.03)


def test_decision_surface_refuses_more_features():
    model = ks.MLP(3, [4], num_classes=2)
    with pytest.raises(
        ValueError, match=r"rows of two features. Received an array of shape \(5, 3"
    ):
        plots.plot_decision_surface(model, np.zeros((5, 3)))
