"""The one loop: what it returns, writes, resumes and refuses."""

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import keras_sda as ks
from keras_sda import datasets, experiments
from keras_sda.experiments import (
    Experiment,
    Pretraining,
    Training,
    figures,
    run_folder,
    running,
    zoo,
)

SAVED = Path(__file__).parents[1] / "saved" / "run_0_2_0"
SMALL = zoo.default("sda").but(
    {"hidden_units": [16, 8], "pretraining.epochs": 1, "training.epochs": 2}
)


def test_the_loop_is_pretrain_compile_and_fit():
    """The weights of the same steps written out by hand, to the bit."""
    run = experiments.run(SMALL, verbose=0)
    data = datasets.load("digits")
    model = ks.StackedDenoisingAutoencoder(
        input_dim=64,
        hidden_units=[16, 8],
        num_classes=10,
        noise="gaussian",
        noise_level=0.2,
        finetune_noise_level=0.2,
        seed=0,
    )
    model.pretrain(data.train.x, epochs=1, batch_size=32, verbose=0)
    rate = keras.optimizers.schedules.CosineDecay(0.002, decay_steps=2 * 40)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    valid = tuple(data.valid)
    model.fit(*data.train, epochs=2, batch_size=32, validation_data=valid, verbose=0)
    for ours, theirs in zip(run.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    errors = int((model.predict(data.test.x, verbose=0).argmax(axis=1) != data.test.y).sum())
    assert run.metrics["test"]["errors"] == errors
    assert run.folder is None
    assert run.data.test.x.shape == (360, 64)


def test_a_folder_is_read_back_and_not_trained_twice(tmp_path):
    folder = tmp_path / "run"
    run = experiments.run(SMALL, folder, verbose=0)
    loaded = experiments.load_run(folder)
    assert loaded.experiment == SMALL
    assert loaded.metrics == json.loads(json.dumps(dict(run.metrics), default=float))
    x = run.rows().x
    np.testing.assert_array_equal(x, run.data.test.x)
    np.testing.assert_array_equal(loaded.encode(x), run.encode(x))
    before = (folder / "model.keras").stat().st_mtime_ns
    again = experiments.run(SMALL, folder, verbose=0)
    assert (folder / "model.keras").stat().st_mtime_ns == before
    assert again.metrics == loaded.metrics
    with pytest.raises(ValueError, match=r"where noise_level is 0.2. Received noise_level=0.5"):
        experiments.run(SMALL.but({"noise_level": 0.5}), folder, verbose=0)


def test_what_is_refused_leaves_no_folder(tmp_path):
    for changes in ({"data.name": "nowhere.npz"}, {"dropout": 2.0}):
        with pytest.raises((ValueError, FileNotFoundError)):
            experiments.run(SMALL.but(changes), tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


def test_models_and_data_that_do_not_go_together(tmp_path, digits):
    np.save(tmp_path / "rows.npy", digits[0][:50])
    for name, message in (
        (
            "mlp",
            "mlp learns classes, and rows.npy has no labels: name the label column by `target`",
        ),
        ("conv", "conv takes images, and rows.npy holds rows of numbers: choose data with images"),
    ):
        experiment = zoo.default(name).but({"data.name": str(tmp_path / "rows.npy")})
        with pytest.raises(ValueError, match=message):
            experiments.run(experiment, verbose=0)
    with pytest.raises(ValueError, match="LeNet5 with kernels of 5 .* at least 16 x 16"):
        experiments.run(zoo.default("lenet5").but({"data.name": "digits"}), verbose=0)
    np.savez(tmp_path / "prices.npz", x=digits[0][:50], y=digits[1][:50] + 0.5)
    prices = zoo.default("softmax").but({"data.name": str(tmp_path / "prices.npz")})
    with pytest.raises(ValueError, match="must be class numbers or names. Received numbers with"):
        experiments.run(prices, verbose=0)


def test_validation_chooses_the_epoch_and_test_rows_do_not(monkeypatch):
    experiment = zoo.default("softmax").but({"training.epochs": 4, "training.keep_best": True})
    run = experiments.run(experiment, verbose=0)
    accuracies = run.metrics["training"]["val_accuracy"]
    best = run.metrics["best_epoch"] - 1
    assert accuracies[best] == max(accuracies)
    assert run.metrics["valid"]["error"] == pytest.approx(1 - accuracies[best], abs=1e-6)
    load = running.load_data

    def with_other_test_rows(*arguments):
        loaded = load(*arguments)
        swapped = datasets.Split(loaded.test.x[::-1], loaded.test.y)
        return datasets.Data(
            loaded.train, loaded.valid, swapped, loaded.name, loaded.scaling, loaded.image_shape
        )

    monkeypatch.setattr(running, "load_data", with_other_test_rows)
    other = experiments.run(experiment, verbose=0)
    assert other.metrics["test"]["error"] > 0.5
    for ours, theirs in zip(run.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("settings", "keeps_best"),
    [
        ({"schedule": "cosine"}, False),
        ({"schedule": "cooldown"}, False),
        ({"schedule": "cosine", "patience": 5}, True),
        ({"schedule": "constant"}, True),
        ({"schedule": "cosine", "keep_best": True}, True),
        ({"schedule": "constant", "keep_best": False}, False),
    ],
)
def test_the_last_epoch_remains_where_the_learning_rate_falls_to_zero(settings, keeps_best):
    training = Training("adam", 0.03, epochs=3, **settings)
    assert training.keeps_best == keeps_best
    run = experiments.run(zoo.default("softmax").but({"training": training}), verbose=0)
    accuracies = run.metrics["training"]["val_accuracy"]
    kept = max(accuracies) if keeps_best else accuracies[-1]
    assert run.metrics["valid"]["error"] == pytest.approx(1 - kept, abs=1e-6)
    assert keeps_best or run.metrics["best_epoch"] == 3


def test_a_loss_and_a_head_of_ones_own():
    experiment = zoo.default("mlp").but(
        {
            "hidden_units": [8],
            "head": keras.layers.Dense(1),
            "training.loss": "mse",
            "training.epochs": 1,
        }
    )
    run = experiments.run(experiment, verbose=0)
    assert run.metrics["test"]["loss"] > 0
    assert Experiment.from_dict(run.experiment.to_dict()) == experiment


def test_a_run_of_version_0_2_0():
    """Its `config.json` goes through one converter; the figures are those of its model."""
    run = experiments.load_run(SAVED)
    assert run.experiment == zoo.default("sda").but(
        {
            "data.scale": "unit",
            "hidden_units": [8, 8],
            "activation": "sigmoid",
            "kernel_initializer": "auto",
            "noise": "gaussian",
            "batch_normalization": False,
            "reconstruction_loss": "auto",
            "tied": True,
            "dropout": 0.2,
            "pretraining": Pretraining("sgd", 0.1, epochs=1, batch_size=20),
            "training": Training("sgd", 1.0, epochs=2, batch_size=20, keep_best=True),
        }
    )
    stored = json.loads((SAVED / "metrics.json").read_text())
    errors = figures.measure(run.model, run.rows())["errors"]
    # Other processors round otherwise, which may move a row that lies between two classes.
    assert abs(errors - stored["test"]["errors"]) <= 1
    assert run.metrics["training"] == stored["finetuning"]
    config = json.loads((SAVED / "config.json").read_text())
    assert run.scaling.to_dict() == config["scaling"]
    assert run_folder.is_finished(SAVED)


def test_a_damaged_run_is_one_sentence(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"")
    for text in ("{", "[]", '{"found": 3}', '{"data": "digits"}', '{"found": {}, "model": 3}'):
        (folder / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config.json is damaged|must be a table"):
            experiments.load_run(folder)


@pytest.mark.full
def test_a_table_is_corrupted_and_rebuilt_by_columns(tmp_path):
    rng = np.random.default_rng(0)
    city = rng.choice(["Oslo", "Rome", "Cairo"], 120)
    table = {"age": rng.normal(40, 9, 120), "city": city, "rich": rng.choice(["no", "yes"], 120)}
    pd.DataFrame(table).to_csv(tmp_path / "people.csv", index=False)
    short = experiments.default("sda").but(
        {
            "data.name": str(tmp_path / "people.csv"),
            "data.target": "rich",
            "hidden_units": [16, 8],
            "pretraining.epochs": 30,
            "training.epochs": 1,
            "training.head": "finetune",
        }
    )
    model = experiments.run(short, verbose=0).model
    noise, loss = model.noise_layers[0], model.reconstruction_losses[0]
    assert noise.groups == [(0, 1), (1, 4)]
    assert [group.kind for group in loss.groups] == ["numeric", "categorical"]
    assert model.reconstruction_losses[1] == "squared_error"
    assert type(model.noise).__name__ == "ColumnSwapNoise"
    rebuilt = model.reconstruct(running.load_data(short).train.x)
    assert rebuilt[:, 1:].sum(axis=1) == pytest.approx(1, abs=1e-5)
    # Scaled by a straight line, a table is as other data.
    pd.DataFrame(table).drop(columns="city").to_csv(tmp_path / "ages.csv", index=False)
    changes = {"data.name": str(tmp_path / "ages.csv"), "data.scale": "unit"}
    plain = experiments.run(short.but(changes), verbose=0)
    assert type(plain.model.noise_layers[0]).__name__ == "AdditiveGaussianNoise"
    assert plain.model.reconstruction_losses[0] == "binary_crossentropy"
