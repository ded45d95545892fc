"""Every recipe learns in its quick form, and reports what was measured."""

import json
import math

import keras
import numpy as np
import pytest
from scipy.stats import t as student

import keras_sda as ks
from keras_sda import recipes
from keras_sda.datasets.random_batches import RandomBlocks, RandomRows
from keras_sda.experiments import Experiment, figures, fitting, rivals, running
from keras_sda.recipes import report
from keras_sda.recipes.small import DelayedMomentum

# The comparison trains two stacks that are tried already, with other sizes.
TRIED = [name for name in recipes.names() if not name.startswith("why-")]
# One of each kind by default, and some that take longer in `full`; the other recipes are `full`
# under TensorFlow, and elsewhere `slow`.
SHORT = ("softmax-mnist", "sda-digits", "contractive", "xor")
LONGER = ("vae-mlp-20", "conv-autoencoder")


def marked(name):
    """Returns a recipe's name as a parameter, of the default tier if it is among the short."""
    if name in SHORT:
        return name
    is_full = name in LONGER or keras.backend.backend() == "tensorflow"
    return pytest.param(name, marks=pytest.mark.full if is_full else pytest.mark.slow)


def without_learning(recipe):
    """Returns a recipe that trains for no epochs, and so must fail the comparison."""
    # A linear head would be solved for without any epoch.
    changes = {"training.epochs": 0, "training.head": None}
    if recipe.quick_table is not None:
        changes["training.head"] = "finetune"
    if recipe.experiment.pretraining is not None:
        changes["pretraining.epochs"] = 0
    return recipe.but(recipe.name, recipe.title, changes)


@pytest.mark.parametrize("name", map(marked, TRIED))
def test_learns_but_not_without_training(name):
    quick = recipes.get(name).quickened()
    trained = recipes.run(quick, verbose=0).metrics
    assert recipes.learns(quick, trained), trained["baseline"]
    assert math.isfinite(trained["figure"])
    untrained = recipes.run(without_learning(quick), verbose=0).metrics
    assert not recipes.learns(quick, untrained), untrained["baseline"]


def test_names():
    asked = (
        "softmax-mnist mlp-tutorial mlp-dropout-adagrad lenet5 da-masking agn-autoencoder "
        "masking-autoencoder stacked-sparse sda-tutorial sda sda-digits deep-autoencoder-3 "
        "deep-autoencoder-30 conv-autoencoder conv-denoiser conv-autoencoder-small vae-mlp-20 "
        "vae-conv-2 contractive gaussian-clouds xor"
    )
    assert set(asked.split()) <= set(recipes.names())
    with pytest.raises(ValueError, match=r"no recipe 'sdae'"):
        recipes.get("sdae")


@pytest.mark.parametrize("name", recipes.names())
def test_recipe_is_complete(name):
    recipe = recipes.get(name)
    assert recipe.name == name
    assert recipe.source
    assert recipe.figure in figures.FIGURES
    assert recipe.baseline in figures.BASELINES
    assert recipe.seeds >= 1
    settings = json.loads(json.dumps(recipe.settings()))
    assert Experiment.from_dict(settings) == recipe.experiment


@pytest.mark.full
def test_same_seed_same_figure():
    quick = recipes.get("sda-digits").quickened().but("x", "x", {"training.epochs": 2})
    one, other = (recipes.run(quick, 3, verbose=0).metrics for _ in range(2))
    assert one["figure"] == other["figure"]
    assert one["training"] == other["training"]


@pytest.mark.full
def test_noise_given_as_a_layer_starts_afresh_in_each_run():
    quick = recipes.get("conv-denoiser").quickened().but("x", "x", {"training.epochs": 1})
    one, other = (recipes.run(quick, 0, verbose=0).metrics for _ in range(2))
    assert one["training"] == other["training"]


def test_test_rows_do_not_affect_the_model(monkeypatch):
    """Other test rows give another figure and the same model."""
    quick = recipes.get("sda-digits").quickened().but("x", "x", {"training.epochs": 3})
    model = recipes.run(quick, 0, verbose=0).model
    load = running.load_data

    def with_other_test_rows(*arguments):
        loaded = load(*arguments)
        swapped = ks.datasets.Split(loaded.test.x[::-1], loaded.test.y)
        return type(loaded)(
            loaded.train, loaded.valid, swapped, loaded.name, loaded.scaling, loaded.image_shape
        )

    monkeypatch.setattr(running, "load_data", with_other_test_rows)
    again = recipes.run(quick, 0, verbose=0)
    assert again.metrics["figure"] > 50
    for ours, theirs in zip(model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_enlarged_digits():
    data = running.load_data(recipes.get("sda").quickened().experiment)
    assert data.train.x.shape == (1257, 784)
    images = data.train.x.reshape(-1, 28, 28)
    small = ks.datasets.load("digits").train.x.reshape(-1, 8, 8)
    np.testing.assert_array_equal(images[:, 3:26:3, 3:26:3], small)
    assert not images[:, :2].any()
    symmetric = running.load_data(recipes.get("conv-autoencoder-small").quickened().experiment)
    assert symmetric.train.x.shape == (1437, 28, 28, 1)  # no validation rows
    assert symmetric.train.x.min() == symmetric.train.x[:, 0].max() == -1


def test_figures_by_hand(digits):
    x, y = digits
    rows = ks.datasets.Split(x[:300], y[:300])
    model = ks.DenoisingAutoencoder(64, 8, noise=None, seed=0)
    reconstructed = model.predict(rows.x, verbose=0).astype("float64")
    distance = ((rows.x - reconstructed) ** 2).sum(axis=1)
    entropy = -(rows.x * np.log(reconstructed) + (1 - rows.x) * np.log(1 - reconstructed))
    assert figures.squared_error(model, rows) == pytest.approx(distance.mean(), rel=1e-5)
    assert figures.cross_entropy(model, rows) == pytest.approx(entropy.sum() / 300, rel=1e-5)
    per_pixel = figures.cross_entropy_per_pixel(model, rows)
    assert per_pixel == pytest.approx(entropy.mean(), rel=1e-5)
    everything = figures.half_squared_error_of_all(model, rows)
    assert everything == pytest.approx(distance.sum() / 2, rel=1e-5)
    cleaned = model.predict(figures.noisy(rows.x), verbose=0).astype("float64")
    denoising = -(rows.x * np.log(cleaned) + (1 - rows.x) * np.log(1 - cleaned)).mean()
    assert figures.denoising_cross_entropy_per_pixel(model, rows) == pytest.approx(denoising)
    classifier = ks.SoftmaxRegression(64, 10)
    classifier.start_from([np.zeros((64, 10)), np.eye(10)[3]])  # always a three
    assert figures.classification_error(classifier, rows) == 100 * np.mean(rows.y != 3)


def test_figures_of_tables_by_hand(digits):
    x, y = digits
    is_odd = (y % 2).astype("int64")
    rows = ks.datasets.Split(x[:300], is_odd[:300])
    classifier = ks.SoftmaxRegression(64, 2)
    rng = np.random.default_rng(0)
    classifier.start_from([rng.normal(size=(64, 2)), np.zeros(2)])
    odds = classifier.predict(rows.x, verbose=0)[:, 1].astype("float64")
    difference = odds[rows.y == 1][:, None] - odds[rows.y == 0][None]
    area = np.mean((difference > 0) + 0.5 * (difference == 0))
    assert figures.auc_shortfall(classifier, rows) == pytest.approx(100 * (1 - area), rel=1e-4)
    regressor = ks.MLP(64, (4,), head=keras.layers.Dense(1), seed=0)
    quantities = ks.datasets.Split(x[:300], x[:300].sum(axis=1))
    errors = quantities.y - regressor.predict(quantities.x, verbose=0)[:, 0].astype("float64")
    share = 100 * np.mean(errors**2) / np.var(quantities.y)
    assert figures.variance_not_explained(regressor, quantities) == pytest.approx(share, rel=1e-3)


@pytest.mark.full
def test_rivals_by_hand(digits, monkeypatch):
    from sklearn.ensemble import RandomForestClassifier

    monkeypatch.setattr(rivals, "_TREES", 200)  # as users have it
    x, y = digits
    split = ks.datasets.Split
    scaling = ks.datasets.Scaling()
    data = ks.datasets.Data(split(x[:400], y[:400]), None, split(x[1000:], y[1000:]), "", scaling)
    classifier = ks.SoftmaxRegression(64, 10)
    found = figures.BASELINES["logistic regression and forest by error"](classifier, data)
    assert found["name"] == "logistic regression"
    assert found["ours"] == pytest.approx(figures.classification_error(classifier, data.test))
    forest = RandomForestClassifier(200, random_state=0).fit(*data.train)
    errors = 100 * np.mean(forest.predict(x[1000:]) != y[1000:])
    assert found["others"]["random forest"] == pytest.approx(errors, abs=1.5)  # it chooses a leaf
    assert found["theirs"] < 12 < found["ours"]


def test_recipes_of_tables_name_no_folder_of_this_machine():
    for recipe in recipes.tables.TABLES:
        for each in (recipe, recipe.quickened()):
            data = each.settings()["data"]
            assert data["data_dir"] is None
            assert not data["name"].startswith("/")


def test_baselines_by_hand(digits):
    from sklearn.decomposition import PCA

    x, y = digits
    split = ks.datasets.Split
    data = ks.datasets.Data(
        split(x[:1000], y[:1000]), None, split(x[1000:], y[1000:]), "", ks.datasets.Scaling()
    )
    pca = PCA(8).fit(x[:1000])
    reconstructed = pca.inverse_transform(pca.transform(x[1000:]))
    expected = ((x[1000:] - reconstructed) ** 2).sum(axis=1).mean()
    model = ks.DenoisingAutoencoder(64, 8, noise="masking", noise_level=0.5, seed=0)
    compared = figures.compare_with_pca(model, data)
    assert compared["theirs"] == pytest.approx(expected, rel=1e-3)
    assert compared["ours"] == figures.squared_error(model, data.test)
    corrupted = figures.compare_denoising_with_pca(model, data)
    assert corrupted["theirs"] > 1.5 * compared["theirs"]
    classifier = ks.SoftmaxRegression(64, 10)
    linear = figures.compare_with_logistic_regression(classifier, data)
    assert linear["theirs"] < 12 < linear["ours"]
    chance = figures.compare_with_chance(classifier, data)
    assert chance["theirs"] == 100 * (1 - np.bincount(y[1000:]).max() / len(y[1000:]))


def content(figures_, **changes):
    runs = [
        {"seed": seed, "figure": figure, "epochs": 3, "minutes": {"fit": 1.5}}
        for seed, figure in enumerate(figures_)
    ]
    baseline = {"name": "PCA", "unit": "squared error", "theirs": 5.0, "ours": 1.0}
    for run in runs:
        run["baseline"] = baseline
    return {
        **report.new_report(recipes.get("lenet5"), 3),
        "runs": runs,
        **changes,
    }


def test_mean_and_interval():
    mean, half = report.summary(content([1.0, 2.0, 3.0]))
    assert mean == 2.0
    assert half == pytest.approx(student.ppf(0.975, 2) * 1.0 / math.sqrt(3))  # deviation 1
    assert report.summary(content([1.0])) == (1.0, None)


def test_describe_and_table():
    text = recipes.describe(content([0.9, 0.94]))
    assert "published  0.92 (Deep Learning Tutorials (Theano)" in text
    assert "measured   0.92 (± 0.25, 95 % interval over 2 seeds)" in text
    assert "at most    0.95: reached" in text
    missed = recipes.describe(content([1.2], published=None))
    assert "published  none" in missed
    assert "measured   1.20 (one seed)" in missed
    assert "0.95: missed" in missed
    table = recipes.table([content([0.9, 0.94]), content([1.2])])
    assert "| **0.92 ± 0.25** | 0 to 1 | 3 | 1.5 |" in table
    assert "| **1.20** (missed) | 0 | 3 | 1.5 |" in table


def test_reproduce_keeps_every_seed_and_resumes(tmp_path, monkeypatch):
    recipe = recipes.get("gaussian-clouds")
    first = recipes.reproduce(recipe, tmp_path, seeds=1, verbose=0)
    path = tmp_path / "gaussian-clouds.json"
    assert json.loads(path.read_text()) == {"format": 1} | json.loads(json.dumps(first))
    folder = tmp_path / "gaussian-clouds"
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "filters.png",
        "learning_curves.png",
        "seed0-history.json",
        "seed0.keras",
    ]
    loaded = keras.saving.load_model(folder / "seed0.keras")
    x, y = ks.datasets.gaussian_clouds(0)
    error = 100 * np.mean((loaded.predict(x, verbose=0)[:, 0] > 0.5) != y)
    assert error == pytest.approx(first["runs"][0]["figure"])

    trained = []
    real = recipes.reproducing.run

    def counted(recipe, seed, *arguments):
        trained.append(seed)
        if seed == 2:
            raise KeyboardInterrupt
        return real(recipe, seed, *arguments)

    monkeypatch.setattr(recipes.reproducing, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        recipes.reproduce(recipe, tmp_path, seeds=3, verbose=0)
    assert trained == [1, 2]
    assert [run["seed"] for run in json.loads(path.read_text())["runs"]] == [0, 1]
    assert recipes.reproduce(recipe, tmp_path, seeds=1, verbose=0)["command"].endswith("--seeds 2")
    assert [run["seed"] for run in json.loads(path.read_text())["runs"]] == [0, 1], "none is lost"
    other = recipe.but("gaussian-clouds", recipe.title, {"training.epochs": 19})
    earlier = path.read_text()
    with pytest.warns(UserWarning, match=r"another .*epochs \(20, here 19\).*-earlier-1.json"):
        assert len(recipes.reproduce(other, tmp_path, seeds=1, verbose=0)["runs"]) == 1
    assert trained == [1, 2, 0], "a changed recipe starts afresh"
    assert (tmp_path / "gaussian-clouds-earlier-1.json").read_text() == earlier
    assert (tmp_path / "gaussian-clouds-earlier-1" / "seed1.keras").exists()
    with pytest.warns(UserWarning, match="-earlier-2.json"):
        recipes.reproduce(recipe, tmp_path, seeds=1, verbose=0)
    assert len(json.loads((tmp_path / "gaussian-clouds-earlier-2.json").read_text())["runs"]) == 1


class PowerCut(fitting.StopOnNonFiniteLoss):
    """Ends training with an error at the start of the third epoch, once."""

    is_due = True

    def on_epoch_begin(self, epoch, logs=None):
        if PowerCut.is_due and epoch == 2:
            PowerCut.is_due = False
            raise RuntimeError("no more power")


BATCHES_BY_EPOCH = ("agn-autoencoder-protocol", "mlp-dropout-adagrad-protocol")


@pytest.mark.parametrize("name", map(marked, ["sda-digits", *BATCHES_BY_EPOCH]))
def test_resumes_within_a_seed(name, tmp_path, monkeypatch):
    recipe = recipes.get(name).quickened().but(name, "x", {"training.epochs": 4})
    undisturbed = recipes.run(recipe, verbose=0)
    monkeypatch.setattr(fitting, "StopOnNonFiniteLoss", PowerCut)
    monkeypatch.setattr(PowerCut, "is_due", True)
    with pytest.raises(RuntimeError, match="no more power"):
        recipes.reproduce(recipe, tmp_path, seeds=1, verbose=0)
    states = tmp_path / name / "seed0-states"
    assert states.is_dir()
    content = recipes.reproduce(recipe, tmp_path, seeds=1, verbose=0)
    assert content["runs"][0]["figure"] == undisturbed.metrics["figure"]
    history = json.loads((tmp_path / name / "seed0-history.json").read_text())
    assert history.pop("format") == 1
    assert history == {name: undisturbed.metrics[name] for name in history}
    loaded = keras.saving.load_model(tmp_path / name / "seed0.keras", compile=False)
    for ours, theirs in zip(loaded.get_weights(), undisturbed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not states.exists()


def test_reproduce_draws_filters_and_reconstructions(tmp_path):
    for name in ("da-masking", "lenet5"):
        quick = recipes.get(name).quickened()
        recipes.reproduce(without_learning(quick), tmp_path, seeds=1, verbose=0)
    assert (tmp_path / "da-masking-quick" / "filters.png").stat().st_size > 10_000
    assert (tmp_path / "da-masking-quick" / "reconstructions.png").stat().st_size > 10_000
    assert (tmp_path / "lenet5-quick" / "filters.png").exists()
    assert not (tmp_path / "lenet5-quick" / "reconstructions.png").exists()


def test_reproduce_refuses_a_folder_it_cannot_write(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ValueError, match="output folder .* cannot be written"):
        recipes.reproduce(recipes.get("xor"), file / "inside", verbose=0)


def test_batches():
    x = np.arange(1000)
    blocks = RandomBlocks(x, size=10, count=20, seed=0)
    assert len(blocks) == 20
    first = [blocks[index] for index in range(20)]
    for block in first:
        np.testing.assert_array_equal(block, np.arange(block[0], block[0] + 10))
    blocks.draw(epoch=3)
    assert any((blocks[index] != first[index]).any() for index in range(20))
    rows = RandomRows(x, size=10, count=20, seed=0, y=-x)
    drawn, labels = rows[3]
    np.testing.assert_array_equal(labels, -drawn)
    assert (np.diff(drawn) != 1).any()


def test_delayed_momentum_is_that_of_the_tutorial(rng):
    """Twenty steps of the tutorial's network, written out in NumPy."""
    x, y = ks.datasets.gaussian_clouds()
    kernel, bias, last, last_bias = ks.datasets.gaussian_clouds_weights()
    parameters = [kernel.copy(), bias.copy(), last.copy(), last_bias.copy()]
    velocities = [np.zeros_like(parameter) for parameter in parameters]
    costs = []
    for _ in range(20):
        hidden = 1 / (1 + np.exp(-(x @ parameters[0] + parameters[1])))
        output = 1 / (1 + np.exp(-(hidden @ parameters[2] + parameters[3])))[:, 0]
        costs.append(((output - y) ** 2).sum())
        delta = (2 * (output - y) * output * (1 - output))[:, None]
        back = delta @ parameters[2].T * hidden * (1 - hidden)
        gradients = [x.T @ back, back.sum(axis=0), hidden.T @ delta, delta.sum(axis=0)]
        for index, gradient in enumerate(gradients):
            parameters[index] -= 0.01 * velocities[index]
            velocities[index] = 0.9 * velocities[index] + 0.1 * gradient
    result = recipes.run(recipes.get("gaussian-clouds"), verbose=0)
    np.testing.assert_allclose(result.metrics["training"]["loss"], costs, rtol=1e-3)
    for ours, theirs in zip(result.model.get_weights(), parameters, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    again = DelayedMomentum.from_config(DelayedMomentum(0.2, momentum=0.5).get_config())
    assert again.momentum == 0.5
