"""Pictures of codes: points and texts, the latent space, and how units respond."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

import keras_sda as ks
from keras_sda import plots


@pytest.fixture
def labels(rng):
    return rng.integers(0, 10, 40)


def texts_of(figure):
    return figure.axes[0].texts


def test_codes_of_two_units_are_drawn_where_they_are(rng, labels):
    codes = rng.normal(size=(40, 2))
    texts = texts_of(plots.plot_codes(codes, labels))
    np.testing.assert_allclose([text.get_position() for text in texts], codes)
    assert [text.get_text() for text in texts] == [str(label) for label in labels]
    colours = {label: set() for label in labels.tolist()}
    for text, label in zip(texts, labels.tolist(), strict=True):
        colours[label].add(text.get_color())
    assert all(len(of_class) == 1 for of_class in colours.values()), "one colour for each class"
    assert len(set.union(*colours.values())) == len(colours), "and each class another"
    axes = plots.plot_codes(codes, labels).axes[0]
    for low, high, values in zip(
        *zip(axes.get_xlim(), axes.get_ylim(), strict=True), codes.T, strict=True
    ):
        assert low < values.min() < values.max() < high, "every text lies inside"
    assert axes.get_xlabel() == "unit 0"


def test_codes_of_three_units_are_drawn_in_space(rng, labels):
    codes = rng.normal(size=(40, 3))
    figure = plots.plot_codes(codes, labels)
    np.testing.assert_allclose([text.get_position_3d() for text in texts_of(figure)], codes)
    assert figure.axes[0].name == "3d"
    assert plots.plot_codes(codes, labels, dimensions=2).axes[0].name == "rectilinear"


@pytest.mark.parametrize("dimensions", [2, 3])
def test_codes_by_pca(rng, labels, dimensions):
    codes = rng.normal(size=(40, 8))
    expected = PCA(dimensions, random_state=0)
    points = expected.fit_transform(codes)
    np.testing.assert_allclose(plots.project_codes(codes, dimensions=dimensions), points)
    figure = plots.plot_codes(codes, labels, dimensions=dimensions)
    positions = [
        text.get_position() if dimensions == 2 else text.get_position_3d()
        for text in texts_of(figure)
    ]
    np.testing.assert_allclose(positions, points)
    kept = 100 * expected.explained_variance_ratio_.sum()
    title = f"Codes, PCA of 8 units ({kept:.0f} % of the variance)"
    assert figure.axes[0].get_title() == title


def test_codes_by_tsne(rng, labels):
    codes = rng.normal(size=(40, 8))
    expected = TSNE(2, perplexity=13, init="pca", random_state=3).fit_transform(codes)
    figure = plots.plot_codes(codes, labels, "tsne", seed=3)
    np.testing.assert_allclose([text.get_position() for text in texts_of(figure)], expected)
    assert figure.axes[0].get_title() == "Codes, t-SNE of 8 units"
    assert not figure.axes[0].get_xticks().size


def test_many_codes_are_thinned_out_by_seed(rng):
    codes, labels = rng.normal(size=(300, 2)), rng.integers(0, 10, 300)
    drawn = [
        {
            (*text.get_position(), text.get_text())
            for text in texts_of(plots.plot_codes(codes, labels, count=50, seed=seed))
        }
        for seed in (0, 0, 1)
    ]
    assert len(drawn[0]) == 50
    assert drawn[0] == drawn[1] != drawn[2]
    pairs = {(*code, str(label)) for code, label in zip(codes.tolist(), labels, strict=True)}
    assert drawn[0] <= pairs, "each with its own label"


def test_codes_with_names_or_without_labels(rng):
    codes, labels = rng.normal(size=(30, 2)), np.arange(30) % 2
    figure = plots.plot_codes(codes, labels, classes=["healthy", "ill"])
    [axes] = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["healthy", "ill"]
    for number, points in enumerate(axes.collections):
        np.testing.assert_allclose(points.get_offsets(), codes[labels == number])
    [points] = plots.plot_codes(codes).axes[0].collections
    np.testing.assert_allclose(points.get_offsets(), codes)
    short = plots.plot_codes(codes, labels, classes=["A", "B"])
    assert {text.get_text() for text in texts_of(short)} == {"A", "B"}


def test_codes_refusals(rng):
    codes = rng.normal(size=(10, 4))
    with pytest.raises(ValueError, match="`method` of plot_codes.. must be one of 'pca', 'tsne'"):
        plots.plot_codes(codes, method="umap")
    with pytest.raises(ValueError, match="`dimensions` of plot_codes.. must be one of 2, 3"):
        plots.plot_codes(codes, dimensions=4)
    with pytest.raises(ValueError, match="Received 10 rows of 1 units"):
        plots.plot_codes(codes[:, :1])
    with pytest.raises(ValueError, match="one label per row"):
        plots.plot_codes(codes, labels=[1, 2])


def make_vae(units=2):
    return ks.VariationalAutoencoder(12, hidden_units=(8,), latent_dim=units, seed=0)


def test_manifold_tiles_are_decoded_quantiles():
    vae = make_vae()
    axes = plots.plot_manifold(vae, (3, 4, 1), count=5, coverage=0.9).axes[0]
    drawn = np.asarray(axes.images[0].get_array())
    assert drawn.shape == (15, 20)
    values = norm.ppf([0.05, 0.275, 0.5, 0.725, 0.95])
    for row in range(5):
        for column in range(5):
            code = np.array([[values[column], values[4 - row]]], "float32")
            tile = drawn[3 * row : 3 * row + 3, 4 * column : 4 * column + 4]
            np.testing.assert_allclose(tile, vae.decode(code).reshape(3, 4), rtol=1e-5)
    up = [label.get_text() for label in axes.get_yticklabels()]
    assert up == ["1.64", "0.60", "0.00", "-0.60", "-1.64"]
    assert [label.get_text() for label in axes.get_xticklabels()] == up[::-1]
    np.testing.assert_allclose(axes.get_xticks(), [1.5, 5.5, 9.5, 13.5, 17.5])


def test_manifold_of_a_convolutional_model():
    vae = ks.VariationalAutoencoder(
        input_shape=(8, 8, 1), filters=(4,), hidden_units=(8,), latent_dim=2, seed=0
    )
    drawn = np.asarray(plots.plot_manifold(vae, count=3).axes[0].images[0].get_array())
    middle = vae.decode(np.zeros((1, 2), "float32"))[0, :, :, 0]
    np.testing.assert_allclose(drawn[8:16, 8:16], middle, rtol=1e-5)


def test_traversals_are_decoded_by_the_model(rng):
    vae = make_vae(units=4)
    row = rng.uniform(size=12).astype("float32")
    axes = plots.plot_traversals(vae, row, [2, 0], [-1.0, 0.0, 2.0], (3, 4, 1)).axes[0]
    drawn = np.asarray(axes.images[0].get_array())
    for line, unit in enumerate([2, 0]):
        for column, image in enumerate(vae.traverse(row, unit, [-1.0, 0.0, 2.0])):
            tile = drawn[4 * line : 4 * line + 3, 5 * column : 5 * column + 4]
            np.testing.assert_allclose(tile, image.reshape(3, 4), rtol=1e-5)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["2", "0"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["-1", "0", "2"]
    np.testing.assert_allclose(axes.get_yticks(), [1, 5], atol=0.5)


def test_traversals_choose_the_units_that_change_most():
    vae = make_vae(units=4)
    kernel = np.asarray(vae.generator.layers[1].kernel).copy()
    kernel[[1, 3]] = 0  # units without influence
    vae.generator.layers[1].kernel.assign(kernel)
    axes = plots.plot_traversals(vae, image_shape=(3, 4, 1), count=2).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "2"]
    assert "2 of 4" in axes.get_title()
    drawn = np.asarray(axes.images[0].get_array())
    start = vae.traverse(np.zeros(4), 0, [-3.0])[0].reshape(3, 4)
    np.testing.assert_allclose(drawn[:3, :4], start, rtol=1e-5)


def test_latent_refusals():
    with pytest.raises(
        ValueError, match="2 latent units. Received a VariationalAutoencoder with 4"
    ):
        plots.plot_manifold(make_vae(4), (3, 4, 1))
    with pytest.raises(ValueError, match="2 latent units. Received a DenoisingAutoencoder: draw"):
        plots.plot_manifold(ks.DenoisingAutoencoder(12, 2), (3, 4, 1))
    with pytest.raises(ValueError, match=r"rows of shape \(12,\): pass image_shape"):
        plots.plot_manifold(make_vae())
    with pytest.raises(ValueError, match="`count` of plot_manifold.. must be at least 2"):
        plots.plot_manifold(make_vae(), (3, 4, 1), count=1)
    with pytest.raises(ValueError, match="expects a VariationalAutoencoder. Received a MLP"):
        plots.plot_traversals(ks.MLP(12, [2], num_classes=2))
    with pytest.raises(ValueError, match="counts the 2 latent units from 0. Received: unit=2"):
        plots.plot_traversals(make_vae(), units=[2], image_shape=(3, 4, 1))


def test_units_counted_by_hand():
    codes = np.full((20, 5), 0.5)
    codes[:, 1] = np.linspace(0, 1, 20)  # neither
    codes[:, 2] = np.arange(20) % 2  # saturated: always 0 or 1
    codes[:, 3] = 1.0  # dead and saturated: always 1
    codes[:17, 4] = 0.0  # 85 % at a bound are not enough
    assert plots.count_units(codes, "sigmoid") == {"units": 5, "dead": 2, "saturated": 2}
    assert plots.count_units(codes, "sigmoid", share=0.8)["saturated"] == 3
    assert plots.count_units(codes, "linear") == {"units": 5, "dead": 2, "saturated": None}
    # From -1 to 1, a value of 0.5 is far from a bound.
    assert plots.count_units(codes, "tanh")["saturated"] == 1
    maps = np.zeros((2, 3, 3, 2))
    maps[0, 1, 1, 1] = 1.0
    assert plots.count_units(maps, "relu") == {"units": 2, "dead": 1, "saturated": None}
    with pytest.raises(ValueError, match=r"`margin` of count_units\(\) must lie in \[0, 1\]"):
        plots.count_units(codes, margin=2)


def test_activations_of_a_layer_made_by_hand(rng):
    model = ks.MLP(3, [4, 2], num_classes=2, activation=["relu", "sigmoid"], seed=0)
    first, second = model.levels
    first.kernel.assign(np.eye(3, 4))
    first.bias.assign([0, 0, -5, 0])  # unit 2 never rises above 0; unit 3 has no weights
    second.kernel.assign([[100, 0], [0, 1], [0, 0], [0, 0]])
    second.bias.assign([-50, 0])  # unit 0 switches between 0 and 1
    x = rng.uniform(size=(200, 3)).astype("float32")
    figure = plots.plot_activations(model, x)
    assert [axes.get_title() for axes in figure.axes] == [
        "level 1: 4 units\n2 dead (50 %)",
        "level 2: 2 units\n0 dead (0 %), 1 saturated (50 %)",
    ]
    heights = [patch.get_height() for patch in figure.axes[1].patches]
    codes = model.encode(x)
    expected, _ = np.histogram(codes, bins=50, range=(0, 1))
    np.testing.assert_allclose(heights, 100 * expected / codes.size)
    only = plots.plot_activations(model, x, level=-1)
    assert [axes.get_title() for axes in only.axes] == [figure.axes[1].get_title()]


def test_activations_of_models_without_levels(rng):
    with pytest.raises(ValueError, match="Received a SoftmaxRegression, which has none: pass"):
        plots.plot_activations(ks.SoftmaxRegression(4, num_classes=2), np.zeros((2, 4), "float32"))
    vae = make_vae(units=4)
    figure = plots.plot_activations(vae, rng.uniform(size=(50, 12)).astype("float32"))
    assert figure.axes[0].get_title().startswith("codes: 4 units\n")
    with pytest.raises(ValueError, match="must be 0 for a VariationalAutoencoder, .* level=1"):
        plots.plot_activations(vae, np.zeros((2, 12), "float32"), level=1)
