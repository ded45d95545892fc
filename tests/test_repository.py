"""The repository keeps its word: READMEs of folders, scripts in workflows, the citation."""

import re
from pathlib import Path

import pytest

import keras_sda

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("folder", ["backend", "resuming", "training"])
def test_readme_of_a_folder_names_its_files(folder):
    path = ROOT / "keras_sda" / folder
    text = (path / "README.md").read_text(encoding="utf-8")
    # The list in reading order: a number, then the file or the folder.
    listed = re.findall(r"^\d+\. `([\w.]+)/?`", text, re.MULTILINE)
    there = {entry.name for entry in path.iterdir() if entry.suffix in (".py", "")}
    assert len(listed) == len(set(listed))
    assert set(listed) | {"__init__.py"} == (there | {"__init__.py"}) - {"__pycache__"}


def test_workflows_call_every_script():
    called = set()
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        called |= set(re.findall(r"run: scripts/([\w-]+)", workflow.read_text(encoding="utf-8")))
    scripts = {path.name for path in (ROOT / "scripts").iterdir()}
    assert scripts <= called


def test_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", text, re.MULTILINE)[1] == keras_sda.__version__
