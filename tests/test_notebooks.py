"""Every notebook runs from top to bottom, and is kept as its script would make it."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiers import in_tiers

FOLDER = Path(__file__).parent.parent / "notebooks"
SCRIPTS = sorted(
    path for path in FOLDER.glob("*.py") if path.read_text("utf-8").startswith("# ---")
)
LARGEST = 400_000
NEEDED = {
    "deployment": ("onnx", "onnxruntime", "tf2onnx", "ai_edge_litert"),
    "tables": ("pandas", "narwhals", "onnx", "onnxruntime", "tf2onnx"),
}

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell["outputs"]]


def test_each_notebook_is_listed_once():
    assert len(SCRIPTS) >= 13
    listed = re.findall(r"\]\((\w+)\.ipynb\)", (FOLDER / "README.md").read_text("utf-8"))
    assert sorted(listed) == [script.stem for script in SCRIPTS]


@each_script
def test_kept_notebook_is_that_of_its_script(script):
    jupytext = pytest.importorskip("jupytext")
    expected = [(cell.cell_type, cell.source.strip()) for cell in jupytext.read(script)["cells"]]
    path = script.with_suffix(".ipynb")
    notebook = read(path)
    kept = [(cell["cell_type"], source(cell).strip()) for cell in notebook["cells"]]
    assert kept == expected, f"run: python notebooks/build.py {script.stem}"
    assert path.stat().st_size < LARGEST
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), "run from top to bottom"
    check_outputs(notebook)


def check_outputs(notebook):
    kinds = {output["output_type"] for output in outputs(notebook)}
    assert "error" not in kinds
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))


@each_script
def test_claims_are_asserted_and_names_are_public(script):
    tree = ast.parse(script.read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] != "keras_sda"
        if isinstance(node, ast.Attribute):
            is_dunder = node.attr.startswith("__")
            assert not node.attr.startswith("_") or is_dunder, f"{node.attr} is private"


@pytest.mark.parametrize("name", in_tiers([path.stem for path in SCRIPTS], ["quickstart"]))
@pytest.mark.tensorflow_only
def test_runs_from_top_to_bottom(name, tmp_path):
    for package in ("ipykernel", "jupytext", "nbclient", *NEEDED.get(name, ())):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    command = [sys.executable, str(FOLDER / "build.py"), "--output", str(tmp_path), name]
    # A picture is drawn by the kernel's own backend of matplotlib, whatever the tests use.
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-4000:]
    check_outputs(read(tmp_path / f"{name}.ipynb"))
