"""Presets: found, checked by SHA-256, of the class asked for, and as good as their cards say."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from tiers import in_tiers

import keras_sda as ks
from keras_sda import presets, recipes
from keras_sda.experiments.figures import FIGURES
from keras_sda.experiments.running import load_data

ROOT = Path(__file__).parent.parent
DIGITS = presets.HERE / "sda_digits" / "model.keras"


@pytest.mark.parametrize("name", in_tiers(presets.names(), ["sda_digits"]))
def test_figure_is_the_one_on_the_card(name):
    entry = presets.catalog()[name]
    recipe = recipes.get(entry["recipe"])
    if "digits" not in name and not os.environ.get("TFDS_DATA_DIR"):
        pytest.skip("no MNIST: TFDS_DATA_DIR is not set")
    model = getattr(ks, entry["class"]).from_preset(name)
    assert not model.compiled
    if model.num_classes is None:
        model.compile()
    figure = FIGURES[entry["figure"]][0](model, load_data(recipe.experiment).test)
    # A variational autoencoder's bound is estimated from random draws, which differ by backend.
    is_drawn = entry["class"] == "VariationalAutoencoder"
    elsewhere = keras.backend.backend() != "tensorflow"
    assert figure == pytest.approx(entry["measured"], rel=5e-3 if is_drawn and elsewhere else 1e-4)
    card = (ROOT / "saved_models" / name / "README.md").read_text(encoding="utf-8")
    assert f"**{recipes.report.number(entry['measured'])} {entry['unit']}**" in card
    assert entry["sha256"] in card


def test_every_preset_is_seed_0_of_its_recipe_and_in_the_repository():
    folders = {path.parent.name for path in (ROOT / "saved_models").glob("*/README.md")}
    assert folders == set(presets.names())
    for name, entry in presets.catalog().items():
        results = recipes.report.read(ROOT / "benchmarks" / "results" / f"{entry['recipe']}.json")
        assert entry["measured"] == pytest.approx(results["runs"][0]["figure"], rel=2e-3)
        # The weights without optimizer slots, and a little for the rest.
        model = presets.load(name)
        assert presets.find(name).stat().st_size < 4 * model.count_params() + 200_000


def test_a_path_a_folder_and_a_url(tmp_path):
    x = ks.datasets.load("digits").test.x
    expected = ks.StackedDenoisingAutoencoder.from_preset("sda_digits").predict(x, verbose=0)
    for name in (DIGITS, DIGITS.parent, DIGITS.as_uri()):
        model = ks.StackedDenoisingAutoencoder.from_preset(str(name))
        np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


@pytest.fixture
def served(tmp_path):
    """A folder, and the URL at which it is served on the loopback interface."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_fetched_files_are_checked(served):
    folder, url = served
    shutil.copy(DIGITS, folder / "good.keras")
    (folder / "bad.keras").write_bytes(DIGITS.read_bytes()[:-100])
    sha256 = presets.catalog()["sda_digits"]["sha256"]
    model = ks.StackedDenoisingAutoencoder.from_preset(f"{url}/good.keras", sha256)
    assert model.num_classes == 10
    for name in ("bad.keras", "missing.keras"):
        with pytest.raises(ValueError, match="could not be fetched .*: check URL and SHA-256"):
            ks.StackedDenoisingAutoencoder.from_preset(f"{url}/{name}", sha256)


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match=r"A preset is one of .*sda_digits.* Received: 'nothing'"):
        ks.LeNet5.from_preset("nothing")
    with pytest.raises(ValueError, match="must be a LeNet5. Received a StackedDenoisingAuto"):
        ks.LeNet5.from_preset("sda_digits")
    with pytest.raises(ValueError, match="must have the SHA-256 0000. Received [0-9a-f]{64}: the"):
        ks.StackedDenoisingAutoencoder.from_preset(str(DIGITS), sha256="0000")
    broken = tmp_path / "broken.keras"
    broken.write_bytes(DIGITS.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"broken.keras is damaged or not a model"):
        ks.StackedDenoisingAutoencoder.from_preset(str(broken))


@pytest.mark.full
def test_a_wheel_contains_the_digits_and_says_where_the_others_are(tmp_path):
    """The wheel, unpacked elsewhere, without a network."""
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 2e6
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    assert (tmp_path / "installed" / "keras_sda" / "py.typed").exists(), "type checkers look for it"
    code = """
import socket
socket.socket.connect = None
import keras_sda as ks
print(ks.__file__)
model = ks.StackedDenoisingAutoencoder.from_preset("sda_digits")
test = ks.datasets.load("digits").test
print(100 * float((model.predict(test.x, verbose=0).argmax(axis=1) != test.y).mean()))
try:
    ks.LeNet5.from_preset("lenet5_mnist")
except ValueError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    environment.pop("KERAS_SDA_PRESETS", None)
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    file, error, sentence = done.stdout.splitlines()
    assert Path(file).is_relative_to(tmp_path)
    assert float(error) == pytest.approx(presets.catalog()["sda_digits"]["measured"])
    assert re.match(r"The preset 'lenet5_mnist' does not come with .*KERAS_SDA_PRESETS", sentence)
    environment["KERAS_SDA_PRESETS"] = str(ROOT / "saved_models")
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("name", ["sda_digits", "stacked_sparse_mnist"])
def test_saved_model_in_the_repository_is_the_same_model(name):
    tf = pytest.importorskip("tensorflow")
    model = presets.load(name)
    saved = tf.saved_model.load(ROOT / "saved_models" / name / "saved_model")
    x = np.random.default_rng(0).random((7, model.input_dim), dtype="float32")
    np.testing.assert_allclose(saved.serve(x), model.predict(x, verbose=0), atol=1e-6)
