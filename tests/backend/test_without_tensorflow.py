"""The package where TensorFlow is not installed, or as if it were not."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from keras_sda import datasets

ROOT = Path(__file__).parent.parent.parent

# An entry of None is what Python takes for a module that cannot be imported.
HIDDEN = "import sys; sys.modules['tensorflow'] = None\n"


@pytest.fixture(scope="module")
def other_backend():
    for name in ("jax", "torch"):
        if importlib.util.find_spec(name):
            return name
    return pytest.skip("needs JAX or PyTorch")


def run(code, backend, **variables):
    environment = {**os.environ, "KERAS_BACKEND": backend, **variables}
    command = [sys.executable, "-c", HIDDEN + code]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_from_data_to_predictions(other_backend, tmp_path):
    path = str(tmp_path / "model.keras")
    code = (
        "import keras, keras_sda as ks, numpy as np\n"
        "data = ks.datasets.load('digits')\n"
        "model = ks.StackedDenoisingAutoencoder(64, [16, 8], num_classes=10, seed=0)\n"
        "model.pretrain(data.train.x, epochs=1, verbose=0)\n"
        "adam = keras.optimizers.Adam(0.02)\n"
        "model.compile(adam, 'sparse_categorical_crossentropy', metrics=['accuracy'])\n"
        "model.fit(*data.train, epochs=10, verbose=0)\n"
        f"model.save({path!r})\n"
        f"again = keras.saving.load_model({path!r})\n"
        "assert (again.encode(data.test.x) == model.encode(data.test.x)).all()\n"
        "for refused in (lambda: ks.datasets.load('mnist'),\n"
        "                lambda: model.export('exported'),\n"
        "                lambda: ks.callbacks.LevelTensorBoard()):\n"
        "    try:\n"
        "        refused()\n"
        "    except (ImportError, ValueError) as error:\n"
        "        print(type(error).__name__, error)\n"
        "print(model.evaluate(*data.test, verbose=0)[1])\n"
        "assert sys.modules['tensorflow'] is None\n"
    )
    # As if there were no data either.
    result = run(code, other_backend, TFDS_DATA_DIR=str(tmp_path), KERAS_SDA_DATA=str(tmp_path))
    assert result.returncode == 0, result.stderr
    mnist, export, board, accuracy = result.stdout.splitlines()
    assert mnist.startswith("ImportError mnist comes from tensorflow-datasets, which reads with")
    assert mnist.endswith("point KERAS_SDA_DATA at a folder of its IDX files.")
    if other_backend == "jax":
        assert export.startswith("ImportError SavedModel is written with TensorFlow, which is not")
    assert board.startswith("ImportError LevelTensorBoard needs Tensor")
    assert float(accuracy) > 0.5, "chance is 0.1"


def test_plain_files_do_for_mnist(monkeypatch, tmp_path):
    """Prepared sets are passed over, and the IDX files of the other folder are read."""
    plain = os.environ.get("KERAS_SDA_DATA")
    if plain is None or not os.path.isdir(os.path.join(plain, "mnist-idx")):
        pytest.skip("needs MNIST as IDX files; see CONTRIBUTING.md")
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    (tmp_path / "mnist" / "3.0.1" / "dataset_info.json").write_text("{}")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    data = datasets.load("mnist")
    assert data.train.y[:5].tolist() == [5, 0, 4, 1, 9]


def test_the_command_line(other_backend, tmp_path):
    code = (
        "import keras_sda_cli.__main__\n"
        "sys.argv = ['keras-sda', 'train', '--data', 'digits', '--units', '16', '--epochs', '1',\n"
        f"            '--pretrain-epochs', '1', '--output', {str(tmp_path / 'run')!r}]\n"
        "keras_sda_cli.__main__.main()\n"
    )
    chosen = {"XDG_CACHE_HOME": str(tmp_path), "JAX_COMPILATION_CACHE_DIR": ""}
    code = "import os\nos.environ.pop('JAX_COMPILATION_CACHE_DIR')\n" + code
    result = run(code, other_backend, **chosen)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "model.keras").exists()
    kept = list((tmp_path / "keras_sda").rglob("*"))
    assert bool(kept) == (other_backend == "jax")


def test_the_page_names_what_the_package_needs():
    """Who leaves TensorFlow out installs the dependencies by hand."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    [line] = re.findall(r'^pip install ("click.*)$', page, re.MULTILINE)
    needed = [name for name in project["dependencies"] if not name.startswith("tensorflow")]
    assert shlex.split(line) == needed
