"""Damaged, tampered and newer files of a run: a sentence that names the file, never a traceback."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from commands import call, refused
from tiers import in_tiers

from keras_sda import experiments, recipes
from keras_sda.experiments import json_files, run_folder

SAVED = Path(__file__).parents[1] / "saved" / "run_0_2_0"
DEEP = b"[" * 100_000
LONG = b'{"seed": ' + b"9" * 5000 + b"}"
NO_JSON = (b"", b"{", b"[]", b"5", b"null", b'"x"', b"\xff\xfe", DEEP, LONG)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run folder as this version writes it, of a model that 0.2.0 trained."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copy(SAVED / "model.keras", folder)
    run_folder.save_json(run_folder.read_config(SAVED), folder / "config.json")
    run_folder.save_json(run_folder.read_metrics(SAVED), folder / "metrics.json")
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def change(path, keys, value):
    """Sets one entry of a JSON file."""
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def says(message, path):
    assert str(path) in message
    assert len(message) <= 500 + len(str(path))
    return message


@pytest.mark.parametrize("content", NO_JSON)
@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
def test_no_json(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged \(.+\): train the run again\.$") as caught:
        experiments.load_run(folder)
    says(str(caught.value), folder / name)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("found",), 5),
        (("found", "image_shape"), 5),
        (("found", "image_shape"), ["x"]),
        (("found", "scaling"), "x"),
        (("found", "scaling", "offset"), "x"),
        (("found", "scaling"), {}),
        (("found", "classes"), 5),
        (("found", "columns"), {"columns": [5], "target": None, "ids": []}),
        (("found", "num_classes"), "x"),
        (("found", "num_classes"), True),
        (("found", "versions"), 5),
        (("found", "backup_steps"), "x"),
        (("model",), 5),
        (("model", "name"), [1]),
        (("model", "options"), 5),
        (("model", "options", "activation"), {"class": "Lambda"}),
        (("model", "options", "activation"), {"class": 5}),
        (("data", "name"), 5),
        (("data", "split"), 5),
        (("data", "data_dir"), 5),
        (("training", "optimizer"), 5),
        (("training", "shuffle"), "x"),
        (("training", "optimizer_options"), 5),
        (("training", "nonsense"), 5),
        (("pretraining", "learning_rate"), [1, "a"]),
        (("dtype",), "x"),
        (("seed",), -1),
        (("nonsense",), 1),
    ],
)
def test_tampered_config(folder, keys, value):
    change(folder / "config.json", keys, value)
    with pytest.raises(ValueError, match=r"config\.json is damaged \(.+\): train the") as caught:
        experiments.load_run(folder)
    says(str(caught.value), folder / "config.json")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("training",), 5),
        (("training", "loss"), "x"),
        (("training", "loss"), ["x"]),
        (("pretraining",), [5]),
        (("minutes",), "x"),
        (("minutes", "training"), None),
        (("best_epoch",), "x"),
        (("comparison",), 5),
    ],
)
def test_tampered_metrics(folder, keys, value):
    change(folder / "metrics.json", keys, value)
    with pytest.raises(ValueError, match=r"metrics\.json is damaged \(.+ must be .+\): train"):
        experiments.load_run(folder)


@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
def test_newer_files_are_refused(folder, name):
    content = json.loads((folder / name).read_text())
    assert content["format"] == json_files.FORMAT
    change(folder / name, ("format",), json_files.FORMAT + 1)
    with pytest.raises(ValueError, match=f"{name} is of format 2, which a later .* update keras-"):
        experiments.load_run(folder)


def rewrite(path, changes):
    """Changes members of a `.keras` file; `None` leaves one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members |= changes(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)


def configured(change):
    """A change of the configuration in a `.keras` file."""

    def changes(members):
        content = json.loads(members["config.json"])
        return {"config.json": json.dumps(change(content) or content)}

    return changes


def with_lambda(content):
    code = {"class_name": "__lambda__", "config": {"code": "4wEA", "defaults": None}}
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": code}}
    content["config"]["head"] = {**layer, "registered_name": None}


@pytest.mark.parametrize(
    "changes",
    [
        lambda members: {"config.json": None},
        lambda members: {"config.json": b"{"},
        lambda members: {"config.json": b"[1]"},
        lambda members: {"model.weights.h5": None},
        lambda members: {"model.weights.h5": b""},
        lambda members: {"model.weights.h5": members["model.weights.h5"][:2000]},
        configured(lambda c: c.update(class_name="Nope", registered_name="Nope", module=None)),
        configured(lambda c: c.update(module="os", class_name="system", registered_name=None)),
        configured(lambda c: c.pop("config") and None),
        configured(lambda c: c.update(config=5)),
        configured(lambda c: c["config"].update(hidden_units="x")),
        configured(lambda c: c["config"].update(hidden_units=[10**12, 8])),
        configured(lambda c: c["config"].update(nonsense=1)),
        configured(with_lambda),
    ],
)
def test_tampered_models(folder, changes):
    rewrite(folder / "model.keras", changes)
    with pytest.raises(ValueError, match=r"\): train the run again\.$") as caught:
        experiments.load_run(folder)
    says(str(caught.value), folder / "model.keras")


def test_model_of_another_kind(folder):
    dense = {"module": "keras.layers", "class_name": "Dense", "registered_name": "Dense"}
    rewrite(folder / "model.keras", configured(lambda c: {**dense, "config": {"units": 5}}))
    with pytest.raises(ValueError, match="holds a Dense, which is not a model"):
        experiments.load_run(folder)


@pytest.mark.parametrize("content", NO_JSON)
def test_results_of_a_recipe_that_are_no_json(tmp_path, content):
    (tmp_path / "xor-quick.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"xor-quick\.json is damaged \(.+\): remove it, or name"):
        recipes.reproduce(recipes.get("xor"), tmp_path, seeds=1, quick=True, verbose=0)


@pytest.mark.parametrize(
    ("keys", "value"),
    [(("runs",), 5), (("runs", 0), 5), (("runs", 0, "figure"), "x"), (("runs", 0, "minutes"), 5)],
)
def test_tampered_results_of_a_recipe(tmp_path, keys, value):
    recipes.reproduce(recipes.get("xor"), tmp_path, seeds=1, quick=True, verbose=0)
    change(tmp_path / "xor-quick.json", keys, value)
    message = refused("reproduce", "xor", "--quick", "--seeds", "1", "--output", tmp_path)
    says(message, tmp_path / "xor-quick.json")


@pytest.mark.parametrize(
    ("option", "value"),
    [("hidden_units", "x"), ("noise_level", "x"), ("kernel_initializer", 5), ("head", {"a": 1})],
)
def test_tampered_options_when_resuming(folder, option, value):
    (folder / "metrics.json").unlink()
    (folder / "backup").mkdir()
    change(folder / "config.json", ("model", "options", option), value)
    assert len(refused("train", "--resume", folder, "--quiet")) <= 500


# TensorFlow waits ten seconds for memory before it gives up.
MANY = ["999999999999", "8,999999999999", "9" * 30]


@pytest.mark.parametrize("units", in_tiers(MANY, MANY[1:]))
def test_more_units_than_fit_into_memory(tmp_path, units):
    result = call("train", "--units", units, "--quiet", "--output", tmp_path / "run")
    assert result.exit_code in (1, 2)
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert isinstance(result.exception, SystemExit)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "content",
    [b"[model]\noptions = 5", b"x = " + DEEP, b"\x00", b"\xff", b"[training]\nepochs = 9999999999"],
)
def test_settings_that_cannot_be_read(tmp_path, content):
    (tmp_path / "settings.toml").write_bytes(content)
    assert len(refused("train", "--config", tmp_path / "settings.toml")) < 300


def test_settings_without_end():
    assert "must be a file" in refused("train", "--config", "/dev/zero")


@pytest.mark.parametrize("option", ["--batch-size", "--epochs"])
def test_numbers_beyond_32_bits(tmp_path, option):
    message = refused("train", option, "9" * 20, "--output", tmp_path / "run")
    assert "must be at most 2147483647" in message
