"""The repository keeps its word: the citation is of this version."""

import re
from pathlib import Path

import keras_sda

ROOT = Path(__file__).parent.parent


def test_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", text, re.MULTILINE)[1] == keras_sda.__version__
