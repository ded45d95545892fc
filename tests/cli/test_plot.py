"""`keras-sda plot`: the pictures of a run folder."""

import json

import keras
import matplotlib.image
import numpy as np
import pytest
from commands import call, refused

import keras_sda as ks
from keras_sda import datasets, plots
from keras_sda.experiments import pictures, run_folder
from keras_sda_cli import use


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on the digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    options = ("--units", "20,10", "--pretrain-epochs", "1", "--epochs", "2", "--batch-size", "50")
    result = call("train", *options, "--output", folder, "--quiet")
    assert result.exit_code == 0, result.output
    return folder


def make_run(folder, model, data="digits", image_shape=(8, 8, 1), classes=None, history=None):
    """Writes a run folder for a model of any kind."""
    folder.mkdir()
    run_folder.save_model(model, folder)
    found = {
        "scaling": datasets.Scaling(0.0, 1 / 16).to_dict(),
        "image_shape": image_shape,
        "classes": classes,
    }
    config = {**ks.experiments.Experiment(data=ks.experiments.Data(data)).to_dict(), "found": found}
    run_folder.save_json(config, folder / run_folder.CONFIG)
    if history is not None:
        run_folder.save_json(history, folder / run_folder.METRICS)
    return folder


def test_every_picture_of_a_stack(run, tmp_path):
    result = call("plot", run, "--output", tmp_path / "new")
    assert result.exit_code == 0, result.output
    names = ["activations", "codes", "confusion", "curves"]
    names += ["filters-level1", "filters-level2", "reconstructions"]
    assert names_in(tmp_path / "new") == [f"{name}.png" for name in names]
    assert sorted(result.output.split()) == [
        str(tmp_path / "new" / f"{name}.png") for name in names
    ]
    for path in (tmp_path / "new").iterdir():
        assert matplotlib.image.imread(path).std() > 0.05, "something is drawn"


def test_what_is_drawn_is_the_runs(run, tmp_path, monkeypatch):
    seen = {}
    for name in (
        "plot_codes",
        "plot_confusion",
        "plot_level_filters",
        "plot_model_reconstructions",
    ):
        original = getattr(plots, name)

        def record(*arguments, name=name, original=original, **options):
            seen[name] = arguments
            return original(*arguments, **options)

        monkeypatch.setattr(plots, name, record)
    kinds = ("codes", "confusion", "filters", "reconstructions")
    options = ("--level", 0, "--method", "tsne", "--dimensions", 3, "--seed", 5, "--part", "valid")
    result = call("plot", run, *kinds, *options, "--format", "svg")
    assert result.exit_code == 0, result.output
    files = ["codes.svg", "confusion.svg", "filters-level1.svg", "reconstructions.svg"]
    assert names_in(run / "pictures") == files
    model = keras.saving.load_model(run / "model.keras")
    x, y = datasets.load("digits").valid
    codes, labels, *rest = seen["plot_codes"]
    np.testing.assert_allclose(codes, model.encode(x, 0), atol=1e-6)
    np.testing.assert_array_equal(labels, y)
    assert rest == ["tsne", 3, 5, None]
    predicted = model.predict(x, verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(seen["plot_confusion"][1], predicted)
    assert seen["plot_level_filters"][1:] == (0, (8, 8, 1))
    np.testing.assert_array_equal(seen["plot_model_reconstructions"][1], x[:12])
    assert seen["plot_model_reconstructions"][2:] == ((8, 8, 1), 5)


def test_rows_of_a_file(run, tmp_path, digits, monkeypatch):
    seen = []
    monkeypatch.setattr(pictures.plots, "plot_codes", lambda *a, **o: seen.append(a) or FIGURE)
    np.save(tmp_path / "rows.npy", 16 * digits[0][:30])
    result = call("plot", run, "codes", "--data", tmp_path / "rows.npy", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert seen[0][0].shape == (30, 10)
    assert seen[0][1] is None, "no labels"
    # Without labels, what needs them is left out.
    result = call("plot", run, "--data", tmp_path / "rows.npy", "--output", tmp_path / "all")
    assert result.exit_code == 0, result.output
    assert "confusion.png" not in names_in(tmp_path / "all")


FIGURE = plots.plot_filters(np.ones((4, 1)))


@pytest.mark.full
def test_a_variational_autoencoder(tmp_path):
    vae = ks.VariationalAutoencoder(64, hidden_units=(16,), latent_dim=2, seed=0)
    history = {"training": {"loss": [3.0, 2.0]}, "pretraining": []}
    folder = make_run(tmp_path / "vae", vae, history=history)
    result = call("plot", folder, "--format", "pdf")
    assert result.exit_code == 0, result.output
    names = ["activations", "codes", "curves", "filters-level1", "filters-level2", "manifold"]
    names += ["reconstructions", "traversals"]
    assert names_in(folder / "pictures") == [f"{name}.pdf" for name in names]


def test_a_convolutional_model_gets_images(tmp_path):
    model = ks.ConvolutionalAutoencoder((8, 8, 1), filters=(3, 2), noise="masking", seed=0)
    folder = make_run(tmp_path / "conv", model)
    result = call("plot", folder)
    assert result.exit_code == 0, result.output
    names = ["activations.png", "codes.png", "filters-level1.png", "reconstructions.png"]
    assert names_in(folder / "pictures") == names


def test_a_classifier_of_two_features(tmp_path, rng):
    x = rng.uniform(size=(40, 2))
    np.savez(tmp_path / "rows.npz", x=16 * x, y=(x[:, 0] > 0.5).astype(int))
    model = ks.MLP(2, [4, 3], num_classes=2, seed=0)
    folder = make_run(tmp_path / "mlp", model, data=str(tmp_path / "rows.npz"), image_shape=None)
    result = call("plot", folder, "surface", "confusion", "codes", "--data", tmp_path / "rows.npz")
    assert result.exit_code == 0, result.output
    names = ["codes.png", "confusion.png", "surface.png"]
    assert names_in(folder / "pictures") == names


def test_what_does_not_suit_is_refused(run, tmp_path, digits):
    message = refused("plot", run, "filters", "manifold", "--output", tmp_path / "new")
    assert "No picture `manifold` of this StackedDenoisingAutoencoder: a manifold needs" in message
    suiting = "filters, reconstructions, curves, codes, activations, confusion."
    assert message.endswith(f"What suits it: {suiting}")
    assert not (tmp_path / "new").exists(), "nothing is drawn before"
    assert "needs a variational autoencoder" in refused("plot", run, "traversals")
    assert "a classifier of two features" in refused("plot", run, "surface")
    assert "its levels are 0 to 1, and 2 was asked for" in refused("plot", run, "--level", 2)
    assert "its levels are 0 to 1" in refused("plot", run, "codes", "--level", -3)
    np.save(tmp_path / "rows.npy", 16 * digits[0][:30])
    message = refused("plot", run, "confusion", "--data", tmp_path / "rows.npy")
    assert "the rows have no labels" in message
    assert "'foto' is not one of 'filters'" in refused("plot", run, "foto")
    assert "is not a finished run" in refused("plot", tmp_path)
    np.save(tmp_path / "narrow.npy", digits[0][:30, :9])
    assert "64" in refused("plot", run, "codes", "--data", tmp_path / "narrow.npy")

    softmax = make_run(tmp_path / "softmax", ks.SoftmaxRegression(64, num_classes=10))
    assert "it has no codes" in refused("plot", softmax, "codes")
    assert "it does not reconstruct" in refused("plot", softmax, "reconstructions")
    assert "metrics.json does not hold" in refused("plot", softmax, "curves")
    vae = make_run(tmp_path / "vae", ks.VariationalAutoencoder(64, latent_dim=3), image_shape=None)
    assert "with 2 latent units" in refused("plot", vae, "manifold")
    assert "drawn of images only" in refused("plot", vae, "traversals")
    assert "it does not classify" in refused("plot", vae, "confusion")
    message = refused("plot", vae, "codes", "--level", 1)
    assert "it has one level of them, number 0, and 1 was asked for" in message


def test_curves_are_those_of_the_history(run, tmp_path, monkeypatch):
    seen = []
    original = plots.plot_learning_curves
    monkeypatch.setattr(
        plots, "plot_learning_curves", lambda *a: seen.append((a, original(*a))) or seen[-1][1]
    )
    assert call("plot", run, "curves", "--output", tmp_path).exit_code == 0
    [(_, figure)] = seen
    metrics = json.loads((run / "metrics.json").read_text())
    assert [axes.get_title() for axes in figure.axes] == ["level 1", "level 2", "fine-tuning"]
    lines = figure.axes[2].get_lines()
    errors = 100 * (1 - np.array(metrics["training"]["accuracy"]))
    np.testing.assert_allclose(lines[0].get_ydata(), errors)


def test_the_command_knows_the_kinds():
    assert use._PICTURES == pictures.KINDS
    page = call("plot", "--help")
    assert page.exit_code == 0
    assert max(map(len, page.output.splitlines())) <= 100
    for kind in pictures.KINDS:
        assert kind in page.output


def test_rows_are_shown_only_where_the_picture_says_so(run, tmp_path):
    result = call("plot", run, "--no-rows", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    names = ["activations", "confusion", "curves", "filters-level1", "filters-level2"]
    assert names_in(tmp_path) == [f"{name}.png" for name in names]
    message = refused("plot", run, "codes", "--no-rows", "--output", tmp_path)
    assert "No picture `codes`" in message
    assert "rows are to be left out" in message
    drawer = pictures.RunPictures(ks.experiments.load_run(run), lambda: None)
    drawer._rows = ks.experiments.load_run(run).rows()
    for name, figure in drawer.draw():
        texts = [text.get_text() for text in figure.texts]
        assert ("shows rows of the data" in texts) is (name in pictures.SHOWING_ROWS)


@pytest.mark.full
def test_a_run_without_rows_stays_without(run, tmp_path):
    folder = tmp_path / "run"
    options = ("--units", "5", "--pretrain-epochs", "1", "--epochs", "0", "--quiet")
    assert call("train", *options, "--no-rows", "--output", folder).exit_code == 0
    assert (run / "reconstructions.png").exists()
    assert (folder / "filters.png").exists()
    assert not (folder / "reconstructions.png").exists()
    # As if killed before its end, and resumed without the option.
    (folder / "backup").mkdir()
    assert call("train", "--resume", folder, "--quiet").exit_code == 0
    assert not (folder / "backup").exists()
    assert not (folder / "reconstructions.png").exists()
