"""The head of a run: fine-tuned, linear on frozen codes, or the better of both."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_wine

from keras_sda import experiments
from keras_sda.datasets import Data, Split
from keras_sda.experiments import figures, heads
from keras_sda.models import LinearOnCodes, StackedDenoisingAutoencoder

SMALL = experiments.default("sda").but(
    {"hidden_units": [16, 8], "pretraining.epochs": 2, "training.epochs": 3}
)


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    path = tmp_path_factory.mktemp("wine") / "wine.csv"
    load_wine(as_frame=True).frame.to_csv(path, index=False)
    return SMALL.but({"data.name": str(path), "data.target": "target"})


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory):
    path = tmp_path_factory.mktemp("diabetes") / "diabetes.csv"
    frame = load_diabetes(as_frame=True).frame
    frame["target"] += 0.5
    frame.to_csv(path, index=False)
    return SMALL.but({"data.name": str(path), "data.target": "target"})


def test_a_linear_run_can_all_that_a_run_can(wine, tmp_path, capsys):
    run = experiments.run(wine.but({"training.head": "linear"}), tmp_path / "run")
    assert isinstance(run.model, LinearOnCodes)
    assert run.metrics["head"] == {"chosen": "linear"}
    assert "Head: linear, on inputs, frozen codes and Fourier features" in capsys.readouterr().out
    assert run.metrics["test"]["error"] < 0.1
    assert run.metrics["training"] == {}
    again = experiments.load_run(tmp_path / "run")
    x = again.rows().x
    np.testing.assert_array_equal(
        again.model.predict(x, verbose=0), run.model.predict(x, verbose=0)
    )
    np.testing.assert_array_equal(again.reconstruct(x), run.model.reconstruct(x))
    assert again.encode(x, level=0).shape == (36, 16)
    assert (tmp_path / "run" / "filters.png").exists()
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["head"]
    text = experiments.report(again).read_text()
    assert "Head: linear, on inputs, frozen codes and Fourier features." in text
    assert "keras_sda.LinearOnCodes" in text


@pytest.mark.full
def test_a_linear_regression_predicts_in_the_units_of_the_target(diabetes, tmp_path):
    run = experiments.run(
        diabetes.but({"training.head": "linear"}), tmp_path / "run", compare=True, verbose=0
    )
    assert run.metrics["test"]["r2"] > 0.3
    assert 30 < run.metrics["test"]["mae"] < 60
    again = experiments.load_run(tmp_path / "run")
    rows = again.rows()
    figure = figures.measure(again.model, rows)
    assert figure == pytest.approx(run.metrics["test"], rel=1e-5)


def test_auto_is_the_default_of_tables_and_says_why(wine, capsys):
    run = experiments.run(wine)
    found = run.metrics["head"]
    errors = found["errors"]
    assert found["chosen"] == "linear" or errors["finetune"] < errors["linear"]
    assert found["by"] == "5 folds of 124 labelled rows"
    assert f"on {found['by']}" in capsys.readouterr().out
    tuned = experiments.run(wine.but({"training.head": "finetune"}), verbose=0)
    assert "head" not in tuned.metrics
    assert isinstance(tuned.model, StackedDenoisingAutoencoder)
    digits = experiments.default("sda")
    model = StackedDenoisingAutoencoder(64, [4], num_classes=10)
    data = Data(Split(np.zeros((2, 64), "float32"), np.array([0, 1])), None, None, "digits", None)
    assert heads.wanted_head(digits, model, data) == "finetune"


@pytest.mark.full
def test_what_auto_takes_is_what_it_would_be_alone(wine, diabetes):
    for experiment in (wine, diabetes):
        auto = experiments.run(experiment.but({"training.head": "auto"}), verbose=0)
        head = auto.metrics["head"]["chosen"]
        alone = experiments.run(experiment.but({"training.head": head}), verbose=0)
        x = auto.data.test.x
        np.testing.assert_array_equal(
            auto.model.predict(x, verbose=0), alone.model.predict(x, verbose=0)
        )


def learned(labels, valid, errors_of, head="auto"):
    """Returns what is chosen where fine-tuned networks predict class 1 for `errors_of` rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(labels), 3)).astype("float32")
    stack = StackedDenoisingAutoencoder(3, [2], num_classes=2, seed=0)
    calls = []

    def finetune(model, data):
        calls.append(data)
        kernel, _ = model.head.get_weights()
        model.head.set_weights([0 * kernel, np.array([0.0, errors_of], "float32")])

    data = Data(Split(x, labels), valid, None, "toy", None)
    model, found = heads.learn(
        stack, data, head, finetune, lambda: StackedDenoisingAutoencoder(3, [2], num_classes=2)
    )
    return stack, model, found, calls


def test_many_rows_are_compared_on_validation_rows_without_further_training():
    rng = np.random.default_rng(1)
    labels = np.r_[np.zeros(900, int), np.ones(300, int)]  # nothing tells them apart
    valid = Split(rng.normal(size=(500, 3)).astype("float32"), np.ones(500, int))
    stack, model, found, calls = learned(labels, valid, 1.0)
    assert model is stack, "it predicts class 1, as all validation rows are"
    assert found["by"] == "500 validation rows"
    assert found["errors"] == {"linear": 1.0, "finetune": 0.0}
    assert len(calls) == 1
    _, model, found, _ = learned(labels, Split(valid.x, 1 - valid.y), 1.0)
    assert isinstance(model, LinearOnCodes)
    assert found["errors"] == {"linear": 0.0, "finetune": 1.0}


def test_without_enough_validation_rows_a_fifth_is_held_out():
    labels = np.r_[np.zeros(900, int), np.ones(300, int)]
    _, _, found, calls = learned(labels, None, 1.0)
    assert found["by"] == "a fifth of 1,200 labelled rows"
    assert found["errors"] == {"linear": 0.25, "finetune": 0.75}
    assert len(calls) == 1
    assert (calls[0].train.y == -1).sum() == 240, "the held-out labels are hidden"


def test_from_too_few_rows_the_linear_head_is_taken():
    labels = np.array([0, 1] + 30 * [-1])
    _, model, found, calls = learned(labels, None, 1.0)
    assert isinstance(model, LinearOnCodes)
    assert found["by"] == "2 labelled rows, too few to hold some out"
    assert not calls
    assert heads.describe(found).endswith("(2 labelled rows, too few to hold some out)")


def test_rare_classes_weigh_as_others_do_if_asked(tmp_path):
    rng = np.random.default_rng(0)
    y = (np.arange(400) % 10 == 0).astype(int)
    frame = pd.DataFrame(rng.normal(size=(400, 3)) + y[:, None], columns=list("abc"))
    frame.assign(rare=np.where(y, "yes", "no")).to_csv(tmp_path / "rare.csv", index=False)
    experiment = SMALL.but(
        {
            "data.name": str(tmp_path / "rare.csv"),
            "data.target": "rare",
            "training.head": "linear",
        }
    )
    plain = experiments.run(experiment, verbose=0)
    balanced = experiments.run(experiment.but({"training.class_weight": "balanced"}), verbose=0)
    share = [
        (run.model.predict(run.data.test.x, verbose=0).argmax(axis=1) == 1).mean()
        for run in (plain, balanced)
    ]
    assert share[1] > share[0] + 0.05


def test_what_has_no_codes_has_no_linear_head(wine):
    mlp = experiments.default("mlp").but(
        {"data.name": wine.data.name, "data.target": "target", "training.head": "linear"}
    )
    with pytest.raises(ValueError, match="needs a stacked denoising autoencoder, labels"):
        experiments.run(mlp, verbose=0)
    with pytest.raises(ValueError, match=r"`training\.head` of Experiment must be"):
        wine.but({"training.head": "tuned"})
