"""Rows without a label: who learns from them, and what is measured where labels are few."""

import json
import warnings

import keras
import numpy as np
import pytest

import keras_sda as ks
from keras_sda import datasets, experiments
from keras_sda.experiments import cross_validation, figures, run_folder, running, zoo
from keras_sda.experiments.pictures import RunPictures
from keras_sda.models import MLP

SMALL = zoo.default("sda").but(
    {"hidden_units": [12, 8], "pretraining.epochs": 1, "training.epochs": 2}
)
NETWORK = zoo.default("mlp").but({"hidden_units": [6], "training.epochs": 2})


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A file of 300 digits, of which a quarter have a label."""
    data = datasets.load("digits", scale=None)
    x, y = data.train
    path = tmp_path_factory.mktemp("data") / "rows.npz"
    np.savez(path, x=x[:300], y=np.where(np.arange(300) % 4 == 0, y[:300], -1))
    return str(path)


def parts_file(path, **parts):
    """Writes an `.npz` of parts, each a pair of rows and labels or `None`."""
    arrays = {}
    for part, (x, y) in parts.items():
        arrays |= {f"x_{part}": x} | ({} if y is None else {f"y_{part}": y})
    np.savez(path, **arrays)
    return str(path)


def same_weights(one, other):
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


def test_all_rows_pretrain_and_labelled_rows_fine_tune(rows):
    """The weights of the same steps written out by hand, to the bit."""
    run = experiments.run(SMALL.but({"data.name": rows}), verbose=0)
    train, valid = run.data.train, run.data.valid
    known, known_valid = train.y >= 0, valid.y >= 0
    assert 0 < known.sum() < 60 < len(known)
    model = ks.StackedDenoisingAutoencoder(
        input_dim=64,
        hidden_units=[12, 8],
        num_classes=10,
        noise="gaussian",
        noise_level=0.2,
        finetune_noise_level=0.2,
        seed=0,
    )
    model.pretrain(train.x, epochs=1, batch_size=32, verbose=0)
    steps = 2 * -(-int(known.sum()) // 32)
    rate = keras.optimizers.schedules.CosineDecay(0.002, decay_steps=steps)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(
        *(train.x[known], train.y[known]),
        epochs=2,
        batch_size=32,
        validation_data=(valid.x[known_valid], valid.y[known_valid]),
        verbose=0,
    )
    assert same_weights(run.model, model)
    test = run.data.test
    known = test.y >= 0
    wrong = model.predict(test.x, verbose=0).argmax(axis=1) != test.y
    assert run.metrics["test"]["errors"] == wrong[known].sum()
    assert run.metrics["test"]["rows"] == known.sum() < len(known)
    assert figures.classification_error(model, test) == pytest.approx(100 * wrong[known].mean())


@pytest.mark.parametrize("name", ["mlp", "softmax"])
def test_other_classifiers_do_not_see_unlabelled_rows(tmp_path, name, digits):
    x, y = digits[0][:200], digits[1][:200]
    hidden = np.where(np.arange(200) % 3 == 0, y, -1)
    known = hidden >= 0
    some = parts_file(tmp_path / "some.npz", train=(x, hidden), valid=(x, hidden), test=(x, y))
    few = (x[known], y[known])
    only = parts_file(tmp_path / "only.npz", train=few, valid=few, test=(x, y))
    experiment = zoo.default(name).but({"training.epochs": 2, "data.scale": None})
    one, other = (
        experiments.run(experiment.but({"data.name": path}), verbose=0) for path in (some, only)
    )
    assert same_weights(one.model, other.model)
    for metrics in (one.metrics, other.metrics):
        del metrics["minutes"], metrics["duplicates"]  # of rows, also those without a label
    assert one.metrics == other.metrics


def test_a_model_that_uses_unlabelled_rows_gets_them(rows, monkeypatch):
    seen = {}

    def fit(model, x, y, validation_data=None, **arguments):
        seen.update(train=y, valid=validation_data[1])
        history = keras.callbacks.History()
        history.on_train_begin()
        return history

    monkeypatch.setattr(MLP, "fit", fit)
    for uses in (False, True):
        monkeypatch.setattr(MLP, "uses_unlabelled", uses)
        run = experiments.run(
            NETWORK.but({"data.name": rows, "training.keep_best": False}), verbose=0
        )
        assert len(seen["train"]) == len(run.data.train.x if uses else run.data.train.labelled.x)
        assert (seen["train"].min() == -1) == uses
        assert seen["valid"].min() >= 0, "only what has a label validates"


def test_a_ladder_learns_from_rows_without_a_label(rows):
    experiment = zoo.default("ladder").but({"hidden_units": [8], "training.epochs": 2})
    run = experiments.run(experiment.but({"data.name": rows}), cross_validate=True, verbose=0)
    data = run.data
    assert run.metrics["cross_validation"]["rows"] == cross_validation.count_labels(data)
    assert run.metrics["test"]["rows"] == len(data.test.labelled.x)
    # An epoch passes over all rows, not over the labelled ones alone.
    steps = experiment.training.num_steps(len(data.train.x))
    assert int(run.model.optimizer.iterations) == steps
    assert steps > experiment.training.num_steps(len(data.train.labelled.x))


def test_parts_without_labels_have_no_figure(tmp_path, digits):
    x, y = digits[0][:90], digits[1][:90]
    for valid, test in ((None, np.full(90, -1)), (np.full(90, -1), None), (y, None)):
        path = parts_file(tmp_path / "parts.npz", train=(x, y), valid=(x, valid), test=(x, test))
        run = experiments.run(NETWORK.but({"data.name": path}), verbose=0)
        assert ("valid" in run.metrics, "test" in run.metrics) == (valid is y, False)
        assert run.metrics["best_epoch"] in (1, 2)
        with pytest.raises(ValueError, match="is evaluated on rows with labels. Received rows"):
            figures.measure(run.model, run.data.test)
    path = parts_file(tmp_path / "parts.npz", train=(x, np.full(90, -1)), test=(x, y))
    with pytest.raises(ValueError, match="mlp learns classes, and parts.npz has no labels"):
        experiments.run(NETWORK.but({"data.name": path}), verbose=0)
    alone = experiments.run(SMALL.but({"data.name": path}), verbose=0)
    assert alone.model.num_classes is None
    assert alone.metrics["test"]["rows"] == 90, "every row is reconstructed"


def test_labels_are_hidden_by_the_seed_of_the_experiment(tmp_path):
    experiment = NETWORK.but({"data.labels": 33, "seed": 2})
    run = experiments.run(experiment, tmp_path / "run", verbose=0)
    hidden = datasets.load("digits").keep_labels(33, seed=2).train.y
    np.testing.assert_array_equal(run.data.train.y, hidden)
    loaded = experiments.load_run(tmp_path / "run")
    assert loaded.experiment == experiment
    np.testing.assert_array_equal(loaded.data.train.y, hidden)
    np.testing.assert_array_equal(loaded.rows(part="train").y, hidden)
    assert loaded.rows("digits", part="train").y.min() == 0, "data that are named have all"
    assert run.metrics["test"]["rows"] == 360
    with pytest.raises(ValueError, match="must be from 10, one for each class, to 1257"):
        experiments.run(experiment.but({"data.labels": 9}), verbose=0)


def test_what_was_a_class_in_training_is_one_still(tmp_path, digits):
    """Versions that knew no unlabelled rows numbered -1 as a class of an `.npz`, too."""
    x, y = digits[0][:90], digits[1][:90] % 3 - 1
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    experiment = NETWORK.but({"data.name": str(tmp_path / "rows.npz"), "data.unlabelled": None})
    experiments.run(experiment, tmp_path / "run", verbose=0)
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    assert config["found"]["classes"] == [-1, 0, 1]
    del config["data"]["unlabelled"], config["data"]["labels"], config["found"]["cross_validate"]
    path.write_text(json.dumps(config))
    run = experiments.load_run(tmp_path / "run")
    assert run.experiment.data.unlabelled == "auto"
    figure = run.metrics["test"]
    assert figures.measure(run.model, run.rows())["errors"] == figure["errors"]
    assert set(run.rows(str(tmp_path / "rows.npz")).y) == {0, 1, 2}


# Cross-validation --------------------------------------------------------------------------------


def test_folds_hide_their_labels_and_nothing_else(rows):
    data = datasets.load(rows)
    folds = cross_validation.split(data, seed=0)
    count = cross_validation.count_labels(data)
    smallest = np.bincount(np.concatenate([data.train.labelled.y, data.valid.labelled.y])).min()
    assert len(folds) == min(5, smallest)
    assert sum(len(fold.held_out.x) for fold in folds) == count
    for fold in folds:
        assert cross_validation.count_labels(fold.data) == count - len(fold.held_out.x)
        assert fold.data.test is data.test
        for part, given in ((fold.data.train, data.train), (fold.data.valid, data.valid)):
            assert part.x is given.x
            changed = part.y != given.y
            assert (part.y[changed] == -1).all()
            hidden = set(map(bytes, given.x[changed]))
            assert hidden <= set(map(bytes, fold.held_out.x))
    again = cross_validation.split(data, seed=0)
    np.testing.assert_array_equal(folds[1].held_out.x, again[1].held_out.x)
    other = cross_validation.split(data, seed=1)
    assert not np.array_equal(folds[1].held_out.y, other[1].held_out.y) or not np.array_equal(
        folds[1].held_out.x, other[1].held_out.x
    )


@pytest.mark.parametrize(
    ("sizes", "expected"), [([9, 9], 5), ([3, 20], 3), ([2, 20], 2), ([1, 20], 0), ([20], 0)]
)
def test_a_rare_class_makes_fewer_folds(sizes, expected):
    y = np.repeat([*range(len(sizes)), -1], [*sizes, 5])
    x = np.arange(float(len(y)))[:, None]
    data = datasets.Data(datasets.Split(x, y), None, None, "rows", datasets.Scaling())
    folds = cross_validation.split(data, seed=0)
    assert len(folds) == expected
    for fold in folds:
        assert set(fold.held_out.y) == {0, 1}, "stratified"


@pytest.mark.full
def test_the_error_of_all_folds_together(rows, tmp_path):
    """Each fold by hand: the same experiment on a file in which the fold has no labels."""
    experiment = SMALL.but({"data.name": rows, "data.scale": None, "training.learning_rate": 0.3})
    data = running.load_data(experiment)
    wrong = count = 0
    for fold in cross_validation.split(data, seed=0):
        path = parts_file(
            tmp_path / "fold.npz", train=fold.data.train, valid=fold.data.valid, test=data.test
        )
        alone = experiments.run(experiment.but({"data.name": path}), verbose=0)
        wrong += (figures.predicted_classes(alone.model, fold.held_out.x) != fold.held_out.y).sum()
        count += len(fold.held_out.y)
    plain = experiments.run(experiment, verbose=0)
    assert "cross_validation" not in plain.metrics, "only where it is asked for"
    for folder in (None, tmp_path / "run"):
        run = experiments.run(experiment, folder, cross_validate=True, verbose=0)
        figure = run.metrics["cross_validation"]
        assert (figure["errors"], figure["rows"]) == (wrong, count)
        assert figure["interval"] == figures.error_interval(wrong, count)
        assert run.metrics["minutes"]["cross-validation"] > 0
        assert same_weights(run.model, plain.model), "it changes nothing else"
    experiments.report(tmp_path / "run", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    row = page.partition(">Cross-validation<")[2].partition("</tr>")[0]
    assert f"{100 * wrong / count:.2f} %" in row
    assert f">{count}<" in row
    stored = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert stored["cross_validation"]["errors"] == wrong
    assert run_folder.is_finished(tmp_path / "run")


@pytest.mark.full
def test_an_interrupted_cross_validation_resumes(rows, tmp_path, monkeypatch):
    experiment = SMALL.but({"data.name": rows})
    undisturbed = experiments.run(experiment, cross_validate=True, verbose=0)
    folder = tmp_path / "run"
    fit = running._fit

    def interrupted(model, experiment, data, saver, build):
        if saver.fold == 3:
            raise KeyboardInterrupt
        return fit(model, experiment, data, saver, build)

    monkeypatch.setattr(running, "_fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiments.run(experiment, folder, cross_validate=True, verbose=0)
    monkeypatch.setattr(running, "_fit", fit)
    assert not run_folder.is_finished(folder)
    assert experiments.load_run(folder).metrics["test"] == json.loads(
        json.dumps(undisturbed.metrics["test"])
    ), "what there was before is there"

    resumed = experiments.run(experiment, folder, cross_validate=True, verbose=0)
    for run in (resumed, undisturbed):
        del run.metrics["minutes"]
    assert resumed.metrics == undisturbed.metrics
    assert run_folder.is_finished(folder)


def test_where_it_is_not_cross_validated(rows, tmp_path, monkeypatch, capsys):
    def figures_of(experiment):
        return experiments.run(experiment, cross_validate=True, verbose=0).metrics

    own = NETWORK.but({"data.name": rows})
    assert "cross_validation" in figures_of(own)
    assert "cross_validation" not in figures_of(NETWORK.but({"data.labels": 20})), "a named set"
    assert "cross_validation" not in figures_of(own.but({"training": None}))
    data = datasets.load(rows)
    monkeypatch.setattr(cross_validation, "FEW_LABELS", cross_validation.count_labels(data))
    assert "cross_validation" not in figures_of(own), "labels enough"
    monkeypatch.undo()
    x = np.random.default_rng(0).random((40, 5))
    y = np.arange(40) % 2
    y[0] = 2
    np.savez(tmp_path / "rare.npz", x_train=x, y_train=y, x_valid=x, y_valid=y % 2)
    rare = NETWORK.but({"data.name": str(tmp_path / "rare.npz")})
    run = experiments.run(rare, cross_validate=True, verbose=1)
    assert "cross_validation" not in run.metrics
    assert "No cross-validation: a class has too few of the 80 labels" in capsys.readouterr().out


def test_an_old_run_is_resumed_as_it_was_begun(rows, tmp_path):
    experiment = NETWORK.but({"data.name": rows})
    folder = tmp_path / "run"
    experiments.run(experiment, folder, verbose=0)
    (folder / "metrics.json").unlink()
    (folder / "backup").mkdir()
    config = json.loads((folder / "config.json").read_text())
    del config["found"]["cross_validate"]
    (folder / "config.json").write_text(json.dumps(config))
    run = experiments.run(experiment, folder, cross_validate=True, verbose=0)
    assert "cross_validation" not in run.metrics


def test_pictures_and_baselines_leave_unlabelled_rows_out(rows):
    run = experiments.run(NETWORK.but({"data.name": rows}), verbose=0)
    test = run.data.test.labelled
    ours = 100 * figures.measure(run.model, test)["error"]
    for compare in (figures.compare_with_chance, figures.compare_with_logistic_regression):
        assert compare(run.model, run.data)["ours"] == pytest.approx(ours)
    pictures = RunPictures(run, lambda: run.data.test)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = dict(pictures.draw(["confusion", "codes"]))
    assert f"of {len(test.x)} rows" in drawn["confusion"].axes[0].get_title()
    axes = drawn["codes"].axes[0]
    assert len(axes.texts) == len(test.x), "a text for each label"
    (unlabelled,) = axes.collections
    assert len(unlabelled.get_offsets()) == len(run.data.test.x) - len(test.x)


def test_a_ladder_without_a_way_down_has_no_reconstructions(tmp_path):
    changes = {"hidden_units": [8], "denoising_weights": 0, "training.epochs": 2}
    run = experiments.run(zoo.default("ladder").but(changes), tmp_path / "run", verbose=0)
    assert (run.folder / "learning_curves.png").exists()
    assert not (run.folder / "reconstructions.png").exists()
    with pytest.raises(ValueError, match=r"^LadderNetwork does not reconstruct its rows"):
        experiments.load_run(run.folder).reconstruct(run.data.test.x)
