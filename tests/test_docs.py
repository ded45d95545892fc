"""What the documentation shows runs, and what it links to exists."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import keras_sda

ROOT = Path(__file__).parent.parent
PACKAGE = Path(keras_sda.__file__).parent
PAGES = sorted(
    path
    for pattern in ("*.md", "*/README.md", "docs/*.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(("keras_sda", *path.relative_to(PACKAGE).with_suffix("").parts))
        if not name.endswith("__main__"):
            yield name.removesuffix(".__init__")


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name):
    module = importlib.import_module(name)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, optionflags=flags)
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not re.match(r"\w+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readme_example_prints_what_it_says():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [(code, printed)] = re.findall(
        r"```python\n(.*?)```\n+.*?\n*```text\n(.*?)```", text, re.DOTALL
    )
    lines = []
    exec(  # noqa: S102 (our own README)
        compile(code, "README.md", "exec"),
        {"print": lambda *values: lines.append(" ".join(map(str, values)))},
    )
    assert lines == printed.strip().splitlines()
