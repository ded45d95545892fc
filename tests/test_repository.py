"""The repository keeps its word: scripts in workflows, the citation."""

import re
from pathlib import Path

import keras_sda

ROOT = Path(__file__).parent.parent


def test_workflows_call_every_script():
    called = set()
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        called |= set(re.findall(r"run: scripts/([\w-]+)", workflow.read_text(encoding="utf-8")))
    scripts = {path.name for path in (ROOT / "scripts").iterdir()}
    assert scripts <= called


def test_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", text, re.MULTILINE)[1] == keras_sda.__version__
