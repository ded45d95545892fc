"""What the documentation shows runs, and what it links to exists."""

import doctest
import importlib.util
import inspect
import json
import re
import shlex
import statistics
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from tiers import in_tiers

import keras_sda
from keras_sda_cli.program import program

ROOT = Path(__file__).parent.parent
PACKAGE = Path(keras_sda.__file__).parent
PAGES = sorted(
    path
    for pattern in ("*.md", "*/README.md", "docs/*.md", "keras_sda/*/README.md")
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


MODULES = list(modules())


@pytest.mark.parametrize(
    "name", in_tiers(MODULES, [name for name in MODULES if "ladder" not in name])
)
def test_docstring_examples(name):
    for backend in ("jax", "tensorflow", "torch"):
        if name.startswith(f"keras_sda.backend.{backend}"):
            pytest.importorskip(backend)
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
    assert len(list(filter(None, code.splitlines()))) <= 10, "ten lines"
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


def test_readme_is_a_front_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    # Without the marks of generated blocks, the fences of code and what links lead to.
    text = re.sub(r"<!--.*?-->|```\w*|\]\([^)]*\)", " ", text, flags=re.DOTALL)
    assert 700 <= len(re.findall(r"\S*\w\S*", text)) <= 1000


def test_pages_show_the_measured_results(monkeypatch):
    path = ROOT / "benchmarks" / "results.py"
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location("results", path)
    results = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(results)
    for page, text in results.pages().items():
        assert page.read_text(encoding="utf-8") == text, "run: python benchmarks/results.py"


def results_of(command):
    """Returns the results that a command of the front page has written."""
    results = ROOT / "benchmarks" / "results"
    recipe = re.match(r"keras-sda reproduce (\S+)", command)
    name = recipe[1] if recipe else Path(command.split()[1]).stem
    (path,) = (path for path in results.rglob(f"{name}.json") if path.parent.name != name)
    return json.loads(path.read_text(encoding="utf-8"))


def test_six_figures_are_those_of_the_results():
    """Reads the table that `results.py` writes, and computes its figures another way."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| ([^|]+) \| \*\*([^|]+)\*\* \| \[`(.+?)`\]\((.+?)\) \|\n", text)
    assert len(rows) == 6
    for beside, measured, command, page in rows:
        content = results_of(command)
        assert content["command"] == command
        figure, *interval = (float(number) for number in re.findall(r"\d+\.\d+", measured))
        if "runs" in content:
            expected = np.mean([run["figure"] for run in content["runs"]])
            assert float(beside.split()[-1]) == content["published"]
            # The whole table has the same.
            assert f" **{measured}** " in (ROOT / page).read_text(encoding="utf-8")
        elif "test_accuracy" in content:
            accuracy = {name: np.mean(v) for name, v in content["test_accuracy"].items()}
            rival = accuracy["SVM on pixels"]
            assert float(re.search(r"\d+\.\d+", beside)[0]) == pytest.approx(100 * rival, abs=0.06)
            expected = 100 * accuracy["ladder network"]
            # "both are far ahead of an SVM, which the pretrained network is not"
            assert interval[0] > 100 * rival + 5
            spreading, pretrained = (
                accuracy[name] for name in ("label spreading, ours", "network, pretrained")
            )
            assert spreading > rival + 0.05
            assert pretrained < rival + 0.05
        else:
            expected = statistics.median(ratios_at_batches_of_20(content))
        assert figure == pytest.approx(expected, rel=0.005)


def ratios_at_batches_of_20(content):
    """Returns how many times as fast as plain Keras ours was in each repeat."""
    sought = {"level": "784-1000", "batch_size": 20, "optimizer": "sgd"}
    (cell,) = (cell for cell in content["cells"] if sought.items() <= cell.items())
    speeds = cell["samples_a_second"]
    ours, theirs = (speeds[name]["values"] for name in ("ours, TensorFlow", "plain Keras"))
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


GUIDES = sorted((ROOT / "docs").glob("*.md"))
# Their models train for seconds, or half a minute.
LONG = {
    *("backends.md", "choosing.md", "coming_from_matlab.md", "coming_from_pt_sdae.md"),
    *("coming_from_scikit_learn.md", "experiments.md", "how_many_labels.md", "imputation.md"),
    *("large_data.md", "several_devices.md", "troubleshooting.md", "watching.md"),
}


@pytest.mark.parametrize(
    "page",
    in_tiers(GUIDES, [page for page in GUIDES if page.name not in LONG]),
    ids=lambda page: page.name,
)
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
                name, *arguments = shlex.split(part.split(" > ")[0]) or [""]
                if Path(name).name == "keras-sda":
                    yield arguments


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_a_page_have_these_options(page):
    for name, *arguments in commands(page):
        # Reads the options, and runs nothing.
        program.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_on_a_page_are_those_of_the_model(page, tmp_path):
    train = program.commands["train"].main
    text = page.read_text(encoding="utf-8")
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)):
        path = tmp_path / f"{number}.toml"
        path.write_text(block, encoding="utf-8")
        train(["--config", str(path), "--print-config"], standalone_mode=False)
    elsewhere = {"--config", "--like", "--resume"}  # experiments in files that the page lacks
    for name, *arguments in commands(page):
        if name == "train" and elsewhere.isdisjoint(arguments):
            train([*arguments, "--print-config"], standalone_mode=False)


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
    table = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    figures = re.findall(r"^\| `.*(\*\*[\d., ±]+)", table, re.MULTILINE)
    assert len(figures) >= 30
    for figure in figures:
        assert figure in page


def test_page_of_benchmarks_holds_every_benchmark(generated_pages):
    page = generated_pages["benchmarks.md"]
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


def test_signatures_show_what_a_caller_may_pass(generated):
    experiments = keras_sda.experiments
    assert generated.signature(experiments.Model) == "(name='sda', options={})"
    assert "pretraining=Pretraining()" in generated.signature(experiments.Experiment)
    assert "_loaded" not in generated.signature(experiments.Run)
    assert "hidden_units" in generated.signature(keras_sda.MLP)
    assert generated.signature(experiments.run) is None
