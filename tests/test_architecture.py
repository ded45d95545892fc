"""The layout keeps its promises: where TensorFlow is, and which way imports go."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import keras_sda

PACKAGE = Path(keras_sda.__file__).parent

# What may import what: a file sees the files of lower numbers only.
LEVELS = {
    "_validation": 0,
    "backend": 0,
    "columnwise_loss": 0,
    "initializers": 1,
    "regularizers": 1,
    "layers": 1,
    "losses": 1,
    "datasets": 1,
    "plots": 1,
    "presets": 2,
    "resuming": 2,
    "callbacks": 3,
    "exporting": 3,
    "training": 4,
    "models": 5,
    "sklearn": 6,
    "experiments": 7,
    "recipes": 8,
    "__main__": 9,
}


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def imports(path):
    """Yields the full names that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(name):
    return {
        str(path.relative_to(PACKAGE))
        for path in sources()
        if any(module.split(".")[0] == name for module in imports(path))
    }


@pytest.mark.parametrize("name", ["tensorflow", "jax", "torch"])
def test_a_backend_is_imported_in_its_own_folder_alone(name):
    assert {str(Path(file).parent) for file in importers(name)} == {f"backend/{name}"}


def test_matplotlib_has_one_home():
    assert {Path(name).parts[0] for name in importers("matplotlib")} == {"plots"}


def test_no_private_keras():
    private = [
        (path.name, module)
        for path in sources()
        for module in imports(path)
        if module.startswith(("keras.src", "keras._"))
    ]
    assert not private


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts == ("__init__",):
        return
    own = parts[0]
    for module in imports(path):
        if not module.startswith("keras_sda."):
            continue
        other = module.split(".")[1]
        if other in LEVELS and other != own:
            assert LEVELS[other] < LEVELS[own], f"{own} must not import {other}"


def test_every_file_has_a_level_and_can_be_read_in_one_sitting():
    for path in sources():
        own = path.relative_to(PACKAGE).with_suffix("").parts[0]
        assert own in (*LEVELS, "__init__"), f"give {own} a level"
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 450, f"{path.name} is too long"


def public_objects():
    for module in (
        keras_sda,
        keras_sda.layers,
        keras_sda.callbacks,
        keras_sda.initializers,
        keras_sda.losses,
        keras_sda.datasets,
        keras_sda.presets,
        importlib.import_module("keras_sda.plots"),
        importlib.import_module("keras_sda.sklearn"),
    ):
        for name in getattr(module, "__all__", dir(module)):
            thing = getattr(module, name)
            is_own = getattr(thing, "__module__", "").startswith("keras_sda")
            if is_own and not name.startswith("_"):
                yield f"{module.__name__}.{name}", thing


@pytest.mark.parametrize(("name", "thing"), public_objects())
def test_public_names_are_documented(name, thing):
    documentation = inspect.getdoc(thing)
    assert documentation
    first = documentation.splitlines()[0]
    assert len(first) > 20
    parameters = set(inspect.signature(thing).parameters) - {"self", "args", "kwargs"}
    parameters -= {name for name in ("name", "dtype") if f"`{name}`" in documentation}
    missing = [parameter for parameter in parameters if f"{parameter}:" not in documentation]
    assert not missing, f"{name} does not document {missing}"


def test_the_contract_is_there():
    for name in ("StackedDenoisingAutoencoder", "DenoisingAutoencoder"):
        assert inspect.isclass(getattr(keras_sda, name))
    assert keras_sda.__version__


def test_plots_come_with_the_package():
    assert keras_sda.plots.tile_images
    with pytest.raises(AttributeError, match="no attribute 'plot'"):
        _ = keras_sda.plot


def test_importing_is_light():
    heavy = ("matplotlib", "sklearn", "pandas", "tensorflow_datasets", "scipy.stats")
    code = (
        "import keras, sys; before = set(sys.modules); import keras_sda\n"
        f"print([name for name in {heavy} if name in set(sys.modules) - before])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_help_does_not_wait_for_tensorflow():
    code = (
        "import sys, keras_sda_cli.__main__; sys.argv = ['keras-sda', 'train', '--help']\n"
        "try:\n    keras_sda_cli.__main__.main()\n"
        "finally:\n    print({'keras', 'numpy', 'tensorflow', 'keras_sda'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "--noise-level" in result.stdout, result.stderr
    assert result.stdout.splitlines()[-1] == "set()"
