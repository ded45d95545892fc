"""`keras-sda train --model NAME`: every model of the zoo is trained and used by one command."""

import json
import subprocess
import sys
import tomllib

import numpy as np
import pages
import pytest
from commands import call, refused
from tiers import in_tiers

from keras_sda import experiments
from keras_sda.experiments import zoo
from keras_sda.layers import noise_names
from keras_sda_cli.parameters import parse_setting

# LeNet-5 needs larger images than the 8 x 8 digits.
SMALL = {
    "sda": ["hidden_units=12,6", "pretraining.epochs=1"],
    "da": ["hidden_units=6", "noise=swap"],
    "sparse": ["hidden_units=6"],
    "contractive": ["hidden_units=6"],
    "deep": ["hidden_units=12,3"],
    "conv": ["filters=4,2"],
    "vae": ["hidden_units=12", "latent_dim=2"],
    "softmax": [],
    "mlp": ["hidden_units=12,6"],
    "ladder": ["hidden_units=12,6"],
    "lenet5": ["kernels=2,3", "hidden_units=8", "data.name=digits28"],
    "detector": ["hidden_units=6", "epochs=2"],
}
CODES = {
    "sda": (6,),
    "da": (6,),
    "sparse": (6,),
    "contractive": (6,),
    "deep": (3,),
    "conv": (2, 2, 2),
    "vae": (2,),
    "softmax": "SoftmaxRegression has no codes, as it has no hidden layer.",
    "mlp": (6,),
    "ladder": (6,),
    "lenet5": (8,),
    "detector": (6,),
}
CLASSIFIERS = ("sda", "softmax", "mlp", "ladder", "lenet5")
# A stack, a head alone, a variational model, and what has a training loop of its own.
BRIEF = ["sda", "softmax", "vae", "ladder", "detector"]
WITHOUT_DECODER = ("softmax", "mlp", "lenet5")


@pytest.fixture(scope="module", params=in_tiers(zoo.names(), BRIEF))
def trained(request, tmp_path_factory):
    """Name and run folder of each model, trained for two epochs."""
    name = request.param
    folder = tmp_path_factory.mktemp(name) / "run"
    epochs = [] if name == "detector" else ["training.epochs=2"]
    settings = [f"--set={setting}" for setting in [*SMALL[name], *epochs]]
    result = call("train", "--model", name, *settings, "--quiet", "--output", folder)
    assert result.exit_code == 0, result.output
    assert f"Model, figures and pictures: {folder}" in result.output
    return name, folder


def test_every_model_is_tried():
    assert list(SMALL) == list(CODES) == zoo.names()


def test_run_folder(trained):
    name, folder = trained
    config = json.loads((folder / "config.json").read_text())
    assert config["model"]["name"] == name
    metrics = json.loads((folder / "metrics.json").read_text())
    assert len(metrics["training"]["loss"]) == 2
    pictures = {path.name for path in folder.glob("*.png")}
    expected = {"learning_curves.png", "filters.png"}
    assert pictures == expected | (set() if name in WITHOUT_DECODER else {"reconstructions.png"})


def test_evaluate(trained):
    name, folder = trained
    result = call("evaluate", folder)
    assert result.exit_code == 0, result.output
    metrics = json.loads((folder / "metrics.json").read_text())["test"]
    if name in CLASSIFIERS:
        assert f"{metrics['errors']} of 360 rows" in result.output
    elif name == "detector":
        assert f"{metrics['rows_flagged']} of 360 rows" in result.output
    elif name != "vae":  # whose code is a draw
        assert f"reconstruction error {metrics['reconstruction_error']:.4f} a row" in result.output


def test_encode(trained, tmp_path):
    name, folder = trained
    arguments = ("encode", folder, "digits28" if name == "lenet5" else "digits")
    if name == "softmax":
        assert refused(*arguments) == CODES[name]
        return
    result = call(*arguments, "--output", tmp_path / "codes.npy")
    assert result.exit_code == 0, result.output
    codes = np.load(tmp_path / "codes.npy")
    assert codes.shape == (360, *CODES[name])
    assert codes.std() > 0
    assert "level" in refused(*arguments, "--level", 7)


def test_reconstruct(trained, tmp_path):
    name, folder = trained
    arguments = ("reconstruct", folder, "digits28" if name == "lenet5" else "digits")
    if name in WITHOUT_DECODER:
        message = refused(*arguments)
        assert "does not reconstruct its rows: it has no decoder" in message
        return
    result = call(*arguments, "--output", tmp_path / "rows.npy")
    assert result.exit_code == 0, result.output
    rows = np.load(tmp_path / "rows.npy")
    assert rows.shape == (360, *experiments.load_run(folder).model.row_shape)


def test_plot(trained, tmp_path):
    name, folder = trained
    result = call("plot", folder, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    drawn = {path.name.split("-")[0].split(".")[0] for path in tmp_path.iterdir()}
    expected = {"curves"}
    expected |= set() if name == "softmax" else {"filters", "codes", "activations"}
    expected |= {"confusion"} if name in CLASSIFIERS else set()
    expected |= set() if name in WITHOUT_DECODER else {"reconstructions"}
    expected |= {"manifold", "traversals"} if name == "vae" else set()
    expected |= {"scores"} if name == "detector" else set()
    assert drawn == expected


@pytest.mark.full
def test_report(trained, tmp_path):
    name, folder = trained
    metrics = json.loads((folder / "metrics.json").read_text())["test"]
    for options in ((), ("--no-rows",)):
        result = call("report", folder, "--output", tmp_path / "page.html", *options)
        assert result.exit_code == 0, result.output
        page = pages.read((tmp_path / "page.html").read_text(encoding="utf-8"))
        figure = metrics.get("reconstruction_error")
        share = metrics.get("error", metrics.get("flagged"))
        text = f"{100 * share:.2f} %" if figure is None else f"{figure:.4f}"
        assert text in page.cells
        drawn = {words.split(":")[0].split(" of ")[0] for words in page.alternatives}
        expected = {"Learning curves"}
        expected |= set() if name == "softmax" else {"Filters", "Activations"}
        expected |= {"Confusion"} if name in CLASSIFIERS else set()
        expected |= {"Scores"} if name == "detector" else set()
        if not options:
            expected |= set() if name == "softmax" else {"Codes"}
            expected |= set() if name in WITHOUT_DECODER else {"Reconstructions"}
            expected |= {"Manifold", "Traversals"} if name == "vae" else set()
        assert drawn == expected
    python = page.code[0]
    exec(compile(python, "page", "exec"), {})  # noqa: S102 (what we have written)
    shape = CODES[name]
    if name != "softmax":
        assert f"codes, (n, {', '.join(map(str, shape))})" in python


@pytest.mark.tensorflow_only
def test_export(trained):
    name, folder = trained
    result = call("export", folder)
    assert result.exit_code == 0, result.output
    assert (folder / "saved_model" / "saved_model.pb").exists()
    assert "raw rows" in result.output
    largest = result.output.splitlines()[-1]
    assert largest.startswith("Largest difference from Keras, on 1,000 training rows: serve ")
    if name in WITHOUT_DECODER:
        assert "threshold" in refused("export", folder, "--threshold", 1)
        message = refused("export", folder, "--contamination", 0.1)
        assert message.endswith("has no score that a threshold could stand for.")


@pytest.mark.full
def test_interrupted_and_resumed(tmp_path, monkeypatch):
    """A model other than a stack ends with the weights of a run that was never interrupted."""
    settings = ["--model", "mlp", "--set", "hidden_units=8", "--epochs", "4", "--quiet"]
    assert call("train", *settings, "--output", tmp_path / "whole").exit_code == 0

    from keras_sda.experiments import fitting

    # Of the same name: states know the callbacks by name.
    class StopOnNonFiniteLoss(fitting.StopOnNonFiniteLoss):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "StopOnNonFiniteLoss", StopOnNonFiniteLoss)
    result = call("train", *settings, "--output", tmp_path / "run")
    assert result.exit_code == 130
    command = f"keras-sda train --resume {tmp_path / 'run'}"
    assert result.stderr.strip() == f"Interrupted; to resume: {command}."
    monkeypatch.undo()
    result = call("train", "--resume", tmp_path / "run", "--quiet")
    assert result.exit_code == 0, result.output
    whole, resumed = (experiments.load_run(tmp_path / name) for name in ("whole", "run"))
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert resumed.metrics["training"] == whole.metrics["training"]


def test_models_are_listed():
    result = call("models")
    assert result.exit_code == 0
    for name in zoo.names():
        assert f"\n{name}: {zoo.get(name).kind.__name__}\n" in f"\n{result.output}"
        for option in zoo.options(name):
            assert f"{option}=" in result.output
    assert max(map(len, result.output.splitlines())) <= 100
    one = call("models", "sda").output
    assert f"noise is one of {', '.join(noise_names())}, none" in one
    assert "did you mean lenet5?" in refused("models", "lenet")


def test_printed_configuration_is_read_back(tmp_path):
    path = tmp_path / "experiment.toml"
    printed = call("train", "--model", "vae", "--set", "latent_dim=3", "--print-config").output
    values = tomllib.loads(printed)
    assert values["model"]["options"]["latent_dim"] == 3
    assert values["model"]["options"]["beta"] == 1.0, "every option is there to start from"
    assert values["data"]["target"] == "none"
    path.write_text(printed)
    again = call("train", "--config", path, "--print-config").output
    assert again == printed
    changed = call("train", "--config", path, "--epochs", 3, "--scale", "none", "--print-config")
    assert tomllib.loads(changed.output)["training"]["epochs"] == 3
    assert tomllib.loads(changed.output)["data"]["scale"] == "none"
    path.write_text('seed = 2\n[model]\nname = "mlp"\n')
    short = tomllib.loads(call("train", "--config", path, "--print-config").output)
    assert short["seed"] == 2
    assert short["training"]["optimizer"] == "adam", "what is left out is that of the model"


def test_like_another_run(trained, tmp_path):
    name, folder = trained
    if name != "softmax":
        return
    result = call(
        *("train", "--like", folder, "--seed", 1, "--epochs", 1, "--quiet"),
        *("--output", tmp_path / "run"),
    )
    assert result.exit_code == 0, result.output
    before, after = (experiments.load_run(each).experiment for each in (folder, tmp_path / "run"))
    assert after == before.but({"seed": 1, "training.epochs": 1})


def test_shortcuts_and_settings_are_the_same_thing():
    def experiment(*arguments):
        result = call("train", *arguments, "--print-config")
        assert result.exit_code == 0, result.output
        return tomllib.loads(result.output)

    by_name = experiment("--units", "8,4", "--noise", "none", "--untied", "--batch-size", "5")
    by_key = experiment(
        *("--set", "hidden_units=8,4", "--set", "noise=none", "--set", "tied=false"),
        *("--set", "training.batch_size=5", "--set", "pretraining.batch_size=5"),
    )
    assert by_name == by_key
    assert experiment("--no-pretrain", "--pretrain-epochs", "3")["pretraining"] == "none"
    assert experiment("--model", "da", "--units", "8")["model"]["options"]["hidden_units"] == 8
    assert experiment("--model", "deep", "--units", "8")["model"]["options"]["hidden_units"] == [8]


def test_values_of_settings():
    assert parse_setting("l2=1e-4") == ("l2", 1e-4)
    assert parse_setting("noise=masking,swap") == ("noise", ["masking", "swap"])
    assert parse_setting("tied = TRUE") == ("tied", True)
    assert parse_setting('kernel_regularizer={class = "L2", l2 = 0.5}') == (
        "kernel_regularizer",
        {"class": "L2", "l2": 0.5},
    )
    assert parse_setting('filters=[4, "none"]') == ("filters", [4, None])


def test_refusals(tmp_path, trained):
    _, folder = trained
    assert "has no option 'latent'" in refused("train", "--model", "vae", "--set", "latent=2")
    assert "did you mean pretraining.epochs or training.epochs?" in refused(
        "train", "--set", "epochs=2"
    )
    assert "expects KEY=VALUE" in refused("train", "--set", "epochs")
    assert "as TOML writes them" in refused("train", "--set", "noise={")
    assert "images of at least 16 x 16" in refused("train", "--model", "lenet5", "--data", "digits")
    settings = ("--set", "training.batch_size=5", "--set", "pretraining.batch_size=5")
    assert "da has no levels to pretrain" in refused("train", "--model", "da", *settings)
    assert "vae has no option 'noise'" in refused("train", "--model", "vae", "--noise", "masking")
    assert "Give one of --config, --like" in refused(
        "train", "--config", tmp_path / "a.toml", "--like", folder
    )
    assert "a.toml" in refused("train", "--config", tmp_path / "a.toml")
    (tmp_path / "b.toml").write_text("seed = ")
    assert "b.toml cannot be read as TOML" in refused("train", "--config", tmp_path / "b.toml")
    (tmp_path / "c.toml").write_text('[model]\nname = "vae"\n')
    assert "holds the model vae. Received: --model mlp" in refused(
        "train", "--config", tmp_path / "c.toml", "--model", "mlp"
    )
    assert "does not hold a run" in refused("train", "--like", tmp_path)


@pytest.mark.parametrize("closed", ["2>&-", ">&-"])
def test_a_closed_output_is_no_hindrance(closed):
    command = f'"{sys.executable}" -m keras_sda_cli models {closed}'
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert ("StackedDenoisingAutoencoder" in result.stdout) == (closed == "2>&-")
