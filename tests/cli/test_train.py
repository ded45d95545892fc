import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from checks import RATE_NOISES
from commands import call, refused

from keras_sda import datasets
from keras_sda.experiments import default, load_run, rivals, zoo
from keras_sda_cli.parameters import PARAMETERS

QUICK = ["--units", "32,16", "--pretrain-epochs", "2", "--epochs", "3", "--quiet"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on the digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    result = call("train", *QUICK, "--output", folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def table(tmp_path, digits):
    """A labelled .npz file of 200 rows."""
    path = tmp_path / "rows.npz"
    np.savez(path, x=digits[0][:200], y=digits[1][:200])
    return path


def test_the_command_itself_trains_on_digits(tmp_path, monkeypatch):
    script = Path(sys.executable).parent / "keras-sda"
    command = [script, "train", *QUICK[:-1]]
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    out = result.stdout
    assert "digits: 1,257 train, 180 valid, 360 test; network 64-32-16-10" in out
    assert "Level 1 of 2: 64 -> 32 units, AdditiveGaussianNoise(0.2), binary_crossentropy" in out
    assert "Level 2 of 2: loss" in out
    assert out.count("epoch 2/2") == 2, "one line of the second epoch for each level"
    assert out.count("epoch 3/3") == 1, "and one of the last of fine-tuning"
    assert "Validation: error" in out
    assert "Test: error" in out
    assert "95 % interval" in out
    assert "Best epoch of fine-tuning:" in out
    assert "Minutes: pretraining" in out
    assert "Model, figures and pictures: runs/digits-seed0" in out
    assert result.stderr == "", "a clean terminal"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rivals, "_TREES", 200)  # as the command has it
    again = call("train", *QUICK)
    assert "Model, figures and pictures: runs/digits-seed0-2" in again.stdout, (
        "nothing is overwritten"
    )
    first, second = (
        json.loads((tmp_path / "runs" / name / "metrics.json").read_text())
        for name in ("digits-seed0", "digits-seed0-2")
    )
    del first["minutes"], second["minutes"]
    assert first == second, "the same seed gives the same figures"


def test_run_folder(run):
    names = {path.name for path in run.iterdir() if path.is_file()}
    pictures = {"learning_curves.png", "filters.png", "reconstructions.png"}
    assert names == {"model.keras", "config.json", "metrics.json"} | pictures
    for picture in pictures:
        assert (run / picture).read_bytes().startswith(b"\x89PNG")
    metrics = json.loads((run / "metrics.json").read_text())
    assert [len(level["loss"]) for level in metrics["pretraining"]] == [2, 2]
    assert len(metrics["training"]["val_accuracy"]) == 3
    assert 1 <= metrics["best_epoch"] <= 3
    assert metrics["test"]["rows"] == 360
    config = json.loads((run / "config.json").read_text())
    assert config["model"]["options"]["hidden_units"] == [32, 16]
    assert config["seed"] == 0
    assert config["found"]["versions"]["keras"] == keras.__version__
    # The figure is that of the saved model.
    model = keras.saving.load_model(run / "model.keras")
    x, y = datasets.load("digits").test
    errors = int((model.predict(x, verbose=0).argmax(axis=1) != y).sum())
    assert metrics["test"]["errors"] == errors
    low, high = metrics["test"]["interval"]
    assert low < errors / 360 < high


def test_evaluate(run, table):
    metrics = json.loads((run / "metrics.json").read_text())
    result = call("evaluate", run)
    assert result.exit_code == 0
    assert f"({100 * metrics['test']['interval'][0]:.2f}" not in result.output
    assert f"error {100 * metrics['test']['error']:.2f} %" in result.output
    assert f"{metrics['test']['errors']} of 360 rows" in result.output
    validation = call("evaluate", run, "--part", "valid").output
    assert f"{metrics['valid']['errors']} of 180 rows" in validation
    # A file with the raw values of the training data: 0 to 16.
    raw = dict(np.load(table))
    np.savez(table, x=16 * raw["x"], y=raw["y"])
    model = keras.saving.load_model(run / "model.keras")
    wrong = int((model.predict(raw["x"], verbose=0).argmax(axis=1) != raw["y"]).sum())
    output = call("evaluate", run, "--data", table).output
    assert f"{wrong} of 200 rows" in output
    train = {row.tobytes() for row in datasets.load("digits").train.x}
    shared = sum(row.tobytes() in train for row in raw["x"].astype("float32"))
    assert shared > 100
    assert f"{shared} of 200 rows are also training rows, input by input:" in output
    new = np.random.default_rng(0).uniform(0, 16, (20, 64))
    np.savez(table, x=new, y=np.arange(20) % 10)
    assert "also training rows" not in call("evaluate", run, "--data", table).output


def test_encode_and_reconstruct(run, tmp_path):
    model = keras.saving.load_model(run / "model.keras")
    x = datasets.load("digits").test.x
    result = call("encode", run, "digits", "--output", tmp_path / "codes.npy", "--level", 0)
    assert result.exit_code == 0, result.output
    assert "360 x 32 float32" in result.output
    np.testing.assert_allclose(np.load(tmp_path / "codes.npy"), model.encode(x, 0), atol=1e-6)
    np.save(tmp_path / "rows.npy", 16 * x[:10])
    result = call("reconstruct", run, tmp_path / "rows.npy", "--output", tmp_path / "out.npy")
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), model.reconstruct(x[:10]), atol=1e-6)
    assert f"{model.reconstruction_error(x[:10]).mean():.4f} a row" in result.output


@pytest.mark.tensorflow_only
def test_export(run):
    result = call("export", run)
    assert result.exit_code == 0, result.output
    assert (run / "saved_model" / "saved_model.pb").exists()
    import tensorflow as tf

    assert f"{run / 'saved_model'} (endpoints serve, encode, reconstruct, score), for raw rows" in (
        result.output
    )
    assert "on 1,000 training rows: serve " in result.output
    x = datasets.load("digits").test.x[:7]
    loaded = tf.saved_model.load(str(run / "saved_model"))
    model = keras.saving.load_model(run / "model.keras")
    np.testing.assert_allclose(loaded.serve(16 * x), model.predict(x, verbose=0), atol=1e-5)
    assert call("export", run, "--scaled").exit_code == 0
    loaded = tf.saved_model.load(str(run / "saved_model"))
    np.testing.assert_allclose(loaded.serve(x), model.predict(x, verbose=0), atol=1e-5)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(("format", "package"), [("onnx", "tf2onnx"), ("litert", "ai_edge_litert")])
def test_export_of_files(run, tmp_path, format, package):
    pytest.importorskip(package)
    name = {"onnx": "model.onnx", "litert": "model.tflite"}[format]
    result = call("export", run, "--format", format, "--contamination", 0.05)
    assert result.exit_code == 0, result.output
    assert (run / name).exists()
    assert "(outputs serve, encode, reconstruct, score, anomaly), for raw rows" in result.output
    threshold = float(result.output.split("score is above ")[1].split()[0])
    scores = load_run(run).model.reconstruction_error(datasets.load("digits").train.x)
    assert 0.04 < (scores > threshold).mean() < 0.06
    (run / name).unlink()
    path = tmp_path / "other" / name
    result = call("export", run, "--format", format, "--threshold", 20, "--output", path)
    assert "anomaly where score is above 20\n" in result.output
    assert path.exists()


@pytest.mark.tensorflow_only
def test_export_without_the_data(run, tmp_path):
    copied = shutil.copytree(run, tmp_path / "run")
    config = json.loads((copied / "config.json").read_text())
    config["data"]["name"] = "gone.npz"
    (copied / "config.json").write_text(json.dumps(config))
    result = call("export", copied)
    assert result.exit_code == 0, result.output
    assert "on 32 random rows, as the data cannot be read (" in result.output
    assert "which cannot be read (" in refused("export", copied, "--contamination", 0.05)
    assert "either --threshold or --contamination" in refused(
        *("export", copied, "--contamination", 0.05, "--threshold", 1)
    )


@pytest.mark.full
def test_every_option_of_training(tmp_path, table):
    result = call(
        *("train", "--data", table, "--split", "tutorial", "--scale", "standard"),
        *("--units", "16,8", "--noise", "gaussian", "--noise-level", "0.1,0.2"),
        *("--activation", "tanh", "--initializer", "he_normal", "--untied"),
        *("--pretrain-epochs", "1,2", "--pretrain-optimizer", "adam"),
        *("--pretrain-learning-rate", "0.01,0.001", "--epochs", "4", "--optimizer", "adamw"),
        *("--learning-rate", "0.01", "--schedule", "constant", "--patience", "2"),
        *("--batch-size", "32", "--dropout", "0.1", "--finetune-noise-level", "0.05"),
        *("--seed", "3", "--dtype", "mixed_bfloat16", "--output", tmp_path / "run", "--quiet"),
    )
    assert result.exit_code == 0, result.output
    loaded = load_run(tmp_path / "run")
    assert loaded.experiment.model.options["noise_level"] == [0.1, 0.2]
    assert loaded.model.get_config()["tied"] == [False, False]
    assert loaded.model.reconstruction_losses == ["squared_error", "squared_error"]
    assert loaded.model.dtype_policy.name == "mixed_bfloat16"
    assert type(loaded.model.optimizer).__name__ == "AdamW"
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert [len(level["loss"]) for level in metrics["pretraining"]] == [1, 2]
    assert call("evaluate", tmp_path / "run").exit_code == 0


@pytest.mark.full
def test_without_pretraining(tmp_path):
    result = call("train", *QUICK, "--no-pretrain", "--output", tmp_path / "run")
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["pretraining"] == []
    assert "training" in metrics["minutes"]
    assert "pretraining" not in metrics["minutes"]


def test_rows_without_labels(tmp_path, digits):
    np.save(tmp_path / "rows.npy", digits[0])
    result = call("train", *QUICK, "--data", tmp_path / "rows.npy", "--output", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "Test: reconstruction error" in result.output
    assert call("evaluate", tmp_path / "run").exit_code == 0
    result = call("encode", tmp_path / "run", tmp_path / "rows.npy", "--output", tmp_path / "c.npy")
    assert np.load(tmp_path / "c.npy").shape == (1797, 16)


@pytest.mark.full
def test_table_with_names_for_classes(tmp_path, digits):
    pandas = pytest.importorskip("pandas")
    x, y = digits
    frame = pandas.DataFrame(x[:300], columns=[f"p{i}" for i in range(64)])
    frame["kind"] = np.where(y[:300] < 5, "low", "high")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    arguments = ("--data", tmp_path / "rows.csv", "--target", "kind")
    result = call("train", *QUICK, *arguments, "--head", "finetune", "--output", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert load_run(tmp_path / "run").classes == ["high", "low"]
    result = call("evaluate", tmp_path / "run", *arguments)
    assert result.exit_code == 0, result.output
    assert "of 300 rows" in result.output
    frame["kind"] = "middling"
    frame.to_csv(tmp_path / "other.csv", index=False)
    message = refused(
        "evaluate", tmp_path / "run", "--data", tmp_path / "other.csv", "--target", "kind"
    )
    assert "labels must be among" in message
    assert "middling" in message


def test_defaults_in_the_help_are_those_of_the_sda():
    flat = {}
    for part, values in default("sda").to_dict().items():
        inner = values.get("options", values) if isinstance(values, dict) else {part: values}
        flat |= {key if key == part else f"{part}.{key}": value for key, value in inner.items()}
    options = zoo.options("sda")
    for parameter in PARAMETERS:
        for key in parameter.keys:
            value = options[key[6:]] if key.startswith("model.") else flat.get(key)
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            if parameter.sets is ... and value is not None:
                assert parameter.default == text, parameter.flag


def test_help_reads_well():
    result = call("--help")
    assert result.exit_code == 0
    for command in ("train", "evaluate", "encode", "reconstruct", "export", "datasets"):
        assert command in result.output
        page = call(command, "--help")
        assert page.exit_code == 0
        assert max(map(len, page.output.splitlines())) <= 100
    assert "[default: digits]" in call("train", "--help").output


def test_datasets_are_listed():
    assert set(datasets.names()) <= set(call("datasets").output.split())


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch pwned",)


def test_bad_input_of_training(tmp_path, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    x, y = digits[0][:50], digits[1][:50]

    def data(name, **arrays):
        np.savez(tmp_path / name, **arrays)
        return ("train", *QUICK, "--data", tmp_path / name)

    def train(*arguments):
        return refused("train", *QUICK, *arguments)

    assert "is not a whole number or a comma-separated list" in train("--units", "")
    assert "whole number of at least 1" in train("--units", "0")
    assert "one entry per level, here 2. Received 3" in train("--noise-level", "0.1,0.2,0.3")
    assert "must lie in [0, 1]. Received: rate=1.5" in train(
        "--noise", "masking", "--noise-level", "1.5"
    )
    for noise in RATE_NOISES:
        assert "`finetune_noise_level`" in train("--noise", noise, "--finetune-noise-level", "2")
    assert "`dropout`" in train("--dropout", "1")
    assert "must be known to Keras" in train("--optimizer", "magic")
    assert "must be known to Keras" in train("--pretrain-optimizer", "magic")
    assert "`training.learning_rate`" in train("--learning-rate", "-1")
    assert "`training.patience`" in train("--patience", "0")
    assert "activation" in train("--activation", "magic")
    assert "nitializer" in train("--initializer", "magic")
    assert "must be one of 'masking', " in train("--noise", "cauchy")
    assert "not in the range" in train("--seed", "-1")
    assert "No such option" in train("--magic")
    wide = data("wide.npz", x=x * 3, y=y)
    loss = ("--reconstruction-loss", "binary_crossentropy", "--activation", "sigmoid")
    assert "need `x` in [0, 1]" in refused(*wide, "--scale", "none", *loss)
    assert "at least one row" in refused(*data("empty.npz", x=x[:0], y=y[:0]))
    assert "NaN or infinity" in refused(*data("nan.npz", x=np.where(x > 0.9, np.nan, x), y=y))
    assert "NaN or infinity" in refused(*data("inf.npz", x=np.where(x > 0.9, np.inf, x), y=y))
    assert "(50, 10)" in refused(*data("hot.npz", x=x, y=np.eye(10)[y]))
    assert "label" in refused(*data("short.npz", x=x, y=y[:-1]))
    assert "missing.npz" in train("--data", "missing.npz")
    assert "mnist" in train("--data", "mnits"), "the known names are listed"
    whole = (tmp_path / "wide.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    assert "cut.npz" in train("--data", "cut.npz")
    with open(tmp_path / "mnist.pkl", "wb") as file:
        pickle.dump(((x, y), (x, y), Evil()), file, protocol=2)
    assert "mnist.pkl" in train("--data", "mnist.pkl")
    assert not (tmp_path / "pwned").exists()
    (tmp_path / "file").write_text("no folder")
    assert "cannot be written" in train("--output", "file/run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    assert "is not empty" in train("--output", "full")
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir()), (
        "what is refused leaves no folder"
    )


def test_bad_input_for_a_run(run, tmp_path, digits):
    x, y = digits[0][:20], digits[1][:20]
    np.savez(tmp_path / "narrow.npz", x=x[:, :9], y=y)
    np.savez(tmp_path / "classes.npz", x=x, y=y + 5)
    np.save(tmp_path / "unlabelled.npy", x)
    assert "is not a finished run" in refused("evaluate", tmp_path)
    assert "64" in refused("evaluate", run, "--data", tmp_path / "narrow.npz")
    assert "64" in refused("encode", run, tmp_path / "narrow.npz")
    message = refused("evaluate", run, "--data", tmp_path / "classes.npz")
    assert "class labels from 0 to 9. Received labels from 5 to" in message
    message = refused("evaluate", run, "--data", tmp_path / "unlabelled.npy")
    assert "rows with labels" in message
    assert "from 0 to 1" in refused("encode", run, "digits", "--level", "5")
    assert "ends in .npy" in refused("encode", run, "digits", "--output", tmp_path / "codes.txt")
    (tmp_path / "broken").mkdir()
    for name in ("config.json", "model.keras"):
        (tmp_path / "broken" / name).write_bytes((run / name).read_bytes()[:100])
    assert "config.json" in refused("evaluate", tmp_path / "broken")


def test_a_loss_that_diverges_is_one_sentence(tmp_path):
    result = call(
        *("train", *QUICK, "--scale", "none", "--pretrain-learning-rate", "1e9"),
        *("--output", tmp_path / "run"),
    )
    assert result.exit_code == 1
    assert "in level 1, epoch 1, step" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_recipes_are_listed():
    result = call("recipes")
    assert result.exit_code == 0
    assert "lenet5\n    LeNet-5, simplified (classification error; published 0.92)" in result.output
    assert "\nxor\n" in result.output


def test_reproduce_prints_published_and_measured(tmp_path):
    result = call("reproduce", "xor", "--seeds", 2, "--output", tmp_path, "--quiet")
    assert result.exit_code == 0, result.output
    assert "published  0.00" in result.output
    assert "measured   0.00 (± 0.00, 95 % interval over 2 seeds)" in result.output
    assert "at most    0.00: reached" in result.output
    assert "logistic regression: 50.0" in result.output
    assert len(json.loads((tmp_path / "xor.json").read_text())["runs"]) == 2


def test_reproduce_all_writes_the_table(tmp_path, monkeypatch):
    from keras_sda import recipes

    few = {name: recipes.RECIPES[name] for name in ("gaussian-clouds", "xor")}
    monkeypatch.setattr(recipes, "RECIPES", few)
    result = call("reproduce", "--all", "--seeds", 1, "--quick", "--output", tmp_path, "--quiet")
    assert result.exit_code == 0, result.output
    table = (tmp_path / "table-quick.md").read_text()
    assert "| `gaussian-clouds-quick`: Network 2-4-1" in table
    assert "| `xor-quick`: " in table


def test_reproduce_all_skips_recipes_without_their_data(tmp_path, monkeypatch):
    from keras_sda import recipes

    few = {name: recipes.RECIPES[name] for name in ("table-pbmc", "xor")}
    monkeypatch.setattr(recipes, "RECIPES", few)
    monkeypatch.setenv("KERAS_SDA_DATA", str(tmp_path))
    result = call("reproduce", "--all", "--seeds", 1, "--output", tmp_path / "out", "--quiet")
    assert result.exit_code == 0, result.output
    assert "table-pbmc is skipped. No such data file or folder: 'tables/pbmc.parq" in result.output
    assert "| `xor`: " in (tmp_path / "out" / "table.md").read_text()
    told = refused("reproduce", "table-pbmc", "--output", tmp_path / "out")
    assert "set KERAS_SDA_DATA to the folder that holds it" in told


def test_reproduce_refusals(tmp_path):
    assert "There is no recipe 'sdae'" in refused("reproduce", "sdae", "--output", tmp_path)
    assert "Name one recipe, or give --all" in refused("reproduce")
    assert "Name one recipe, or give --all" in refused("reproduce", "xor", "--all")
    assert "'--seeds'" in refused("reproduce", "xor", "--seeds", 0)
    file = tmp_path / "file"
    file.write_text("")
    assert "cannot be written" in refused("reproduce", "xor", "--output", file)
