"""What the documentation shows runs, and what it links to exists."""

import doctest
import importlib.util
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


def numbers_and_text(line):
    """Splits a line into its decimal fractions and what stands around them."""
    pattern = r"\d+\.\d+"
    return [float(number) for number in re.findall(pattern, line)], re.sub(pattern, "#", line)


def test_readme_example_prints_what_it_says(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    printed = re.search(r"```text\n(.*?)```", text, re.DOTALL).group(1)
    assert len(code.splitlines()) <= 16, "about fifteen lines"
    lines = []
    monkeypatch.chdir(tmp_path)
    namespace = {"print": lambda *values: lines.append(" ".join(map(str, values)))}
    exec(compile(code, "README.md", "exec"), namespace)  # noqa: S102 (our own README)
    for line, expected in zip(lines, printed.strip().splitlines(), strict=True):
        numbers, rest = numbers_and_text(line)
        expected_numbers, expected_rest = numbers_and_text(expected)
        assert rest == expected_rest
        # Another processor rounds otherwise: a few of 360 rows may fall elsewhere.
        assert numbers == pytest.approx(expected_numbers, abs=0.015)


def test_readme_shows_the_measured_results():
    path = ROOT / "benchmarks" / "results.py"
    spec = importlib.util.spec_from_file_location("results", path)
    results = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(results)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert results.tables() in page
    assert results.speed() in page


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_code_on_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    namespace = {}
    for block in blocks:
        exec(compile(block, page.name, "exec"), namespace)  # noqa: S102 (our own page)
