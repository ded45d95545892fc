"""What the documentation shows runs, and what it links to exists."""

import doctest
import importlib.util
import inspect
import json
import re
import shlex
import sys
import types
from pathlib import Path

import pytest

import keras_sda
from keras_sda_cli.program import program

ROOT = Path(__file__).parent.parent
PACKAGE = Path(keras_sda.__file__).parent
PAGES = sorted(
    path
    for pattern in ("*.md", "*/README.md", "docs/*.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)


@pytest.fixture(scope="module")
def generated():
    path = ROOT / "docs" / "generating.py"
    spec = importlib.util.spec_from_file_location("generating", path)
    generating = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generating)
    return generating


@pytest.fixture(scope="module")
def generated_pages(generated, tmp_path_factory):
    return generated.all_pages(tmp_path_factory.mktemp("generated"))


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(("keras_sda", *path.relative_to(PACKAGE).with_suffix("").parts))
        if not name.endswith("__main__"):
            yield name.removesuffix(".__init__")


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name):
    if name == "keras_sda.backend.jax":
        pytest.importorskip("jax")
    module = importlib.import_module(name)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, optionflags=flags)
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page, generated_pages):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if target.startswith("generated/"):
            assert target.removeprefix("generated/") in generated_pages
        elif not re.match(r"\w+:", target):
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
    assert results.few_labels() in page
    assert results.speed() in page


GUIDES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_code_on_a_page_runs(page, tmp_path, monkeypatch):
    """Blocks of a page run in order in one namespace; `pycon` blocks print what they show."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    # A module of its own, as Keras looks up where a class was defined.
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    namespace = vars(module)
    runner = doctest.DocTestRunner(
        verbose=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    for match in re.finditer(r"```(python|pycon)\n(.*?)```", text, re.DOTALL):
        language, code = match.groups()
        line = text[: match.start()].count("\n") + 1
        if language == "python":
            exec(compile("\n" * line + code, page.name, "exec"), namespace)  # noqa: S102 (ours)
            continue
        examples = doctest.DocTestParser().get_doctest(code, namespace, page.name, page.name, line)
        runner.run(examples, clear_globs=False)
        namespace.update(examples.globs)
    assert runner.failures == 0


def commands(page):
    """Yields what follows `keras-sda` in the shell blocks of a page."""
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.splitlines():
            for part in line.split("#")[0].split("&&"):
                name, *arguments = shlex.split(part) or [""]
                if Path(name).name == "keras-sda":
                    yield arguments


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_a_page_have_these_options(page):
    for name, *arguments in commands(page):
        # Reads the options, and runs nothing.
        program.commands[name].make_context(name, arguments)


def test_reference_holds_every_public_name(generated_pages):
    pages = generated_pages
    for name in keras_sda.__all__:
        if inspect.ismodule(getattr(keras_sda, name)):
            page = pages[f"api/{name}.md"]
            for entry in getattr(getattr(keras_sda, name), "__all__", ["names"]):
                assert f":: {entry}\n" in page
        elif not name.startswith("_"):
            assert f":: {name}\n" in pages[f"api/{name}.md"]
            assert f"[`{name}`]({name}.md)" in pages["api/index.md"]


def test_gallery_holds_every_recipe_and_every_measured_figure(generated_pages):
    page = generated_pages["recipes.md"]
    for name, recipe in keras_sda.recipes.RECIPES.items():
        assert f"({name})=" in page
        assert recipe.source in page
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `") and "**" in line:  # the README's own table of recipes
            assert re.search(r"\*\*[\d., ±]+", line)[0] in page


def test_page_of_speed_holds_every_benchmark(generated_pages):
    page = generated_pages["speed.md"]
    results = sorted((ROOT / "benchmarks" / "results" / "speed").glob("*.json"))
    assert results
    for path in results:
        assert f"/{path.stem}.png)" in page
        assert path.with_suffix(".png").exists()
        assert json.loads(path.read_text(encoding="utf-8"))["command"] in page


def test_pictures_come_with_the_call_that_draws_them(generated, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        'def draw(folder):\n    """Draws all."""\n    for units in (2, 3):\n'
        "        figure = plots.plot_codes(codes, labels)\n"
        '        save(figure, folder, f"codes-{units}d")\n'
    )
    [(pattern, call)] = generated.drawing_calls(script)["All"]
    assert re.fullmatch(pattern, "codes-3d.png")
    assert call == "plots.plot_codes(codes, labels)"


def test_notebooks_are_shown_as_they_stand(generated, tmp_path, monkeypatch):
    output = {"data": {"text/plain": ["1"]}}
    picture = {"data": {"image/png": "AAAA", "text/plain": ["<Figure>"]}}
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "See [a](../docs/a.md), [b](b.ipynb)."]},
        {"cell_type": "code", "source": ["f()"], "outputs": [output, picture]},
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "first.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "notebooks" / "README.md").write_text("# All\n\n- [Title](first.ipynb)\n")
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    pages = generated.notebook_pages(tmp_path / "site")
    assert pages["notebooks/index.md"].startswith("# All\n\n- [Title](first.md)\n")
    assert "\nfirst\n" in pages["notebooks/index.md"]
    code = "```python\nf()\n```\n\n```text\n1\n```\n\n![Output](first-1-1.png)"
    assert pages["notebooks/first.md"].startswith(f"# Title\nSee a, [b](b.md).\n\n{code}\n")
    assert (tmp_path / "site" / "first-1-1.png").exists()


def test_docstrings_become_what_sphinx_reads(generated):
    given = ["Returns:", "    `a`: the first: one.", "    More.", "", "Example:", "", ">>> 1", "1"]
    assert generated.to_rst(given) == [
        *("", ":returns: `a`: the first: one.", "    More.", "", "Example:", ""),
        *("    >>> 1", "    1"),
    ]
    given = ["Example:", "", "```python", "f()", "```"]
    assert generated.to_rst(given) == [
        *("Example:", "", "    .. code-block:: python", "", "        f()", ""),
    ]
