"""Makes the pages that come from the code itself, so that none of their content is typed twice.

`conf.py` calls `write_pages` as a build begins: the API reference of all public names, the gallery
of recipes with what was measured, the cards of trained models, pictures and notebooks. Nothing here
needs Sphinx.
"""

import ast
import base64
import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import io
import json
import re
import shutil
import sys
from pathlib import Path

import keras

import keras_sda
from keras_sda import recipes
from keras_sda.experiments import json_files
from keras_sda.recipes import report

DOCS = Path(__file__).parent
ROOT = DOCS.parent
RESULTS = ROOT / "benchmarks" / "results"

# Modules that may be missing from `keras_sda.__all__`, as they are imported by name.
OPTIONAL_MODULES = ("sklearn",)

# What Keras, a base class or this package calls; a user never does.
# fmt: off
HOOKS = frozenset((
    "after_failed_training", "after_training", "build", "call", "check_bounds", "check_data",
    "check_level", "check_rows", "check_target", "classify", "compile_from_config", "compute_loss",
    "compute_mask", "compute_metrics", "compute_output_shape", "compute_output_spec",
    "compute_reconstruction_error", "compute_reconstruction_loss", "corrupt", "example_batch",
    "find_bad_batch", "first_bad_step", "from_config", "get_compile_config", "get_config",
    "has_given_loss", "keep_arguments", "make_test_function", "make_train_function", "of_data",
    "outputs_to_export", "preactivation", "prepare_evaluate", "prepare_fit",
    "pretraining_arguments", "reset_metrics", "run", "settle_reconstruction_loss",
    "settled_arguments", "take_data", "target", "target_bounds", "test_function", "train_function",
    "trainable_variables", "trainable_weights",
))
# fmt: on

BENCHMARKS = (
    "pretraining_speed",
    "step_profile",
    "end_to_end",
    "scaling",
    "large_data",
    "inference",
    "small_data",
    "ladder_step",
    "imputation",
    "outliers",
    "tables",
    "distribution",
)

KINDS = {
    "Classifiers": ("classification error",),
    "Tables": ("ROC-AUC short of 100", "variance not explained"),
    "Autoencoders": (
        "squared error",
        "half squared error of all",
        "cross-entropy",
        "cross-entropy per pixel",
        "denoising cross-entropy",
        "variational bound",
    ),
    "Very small": ("training error",),
}


def write_pages(folder: Path) -> None:
    """Writes all generated pages into a folder, which nothing else may be in."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in all_pages(folder).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def all_pages(folder: Path) -> dict[str, str]:
    """Returns all generated pages by the names of their files.

    Args:
        folder: Where the pictures in the outputs of notebooks are written.
    """
    return {
        **api_pages(),
        **recipe_pages(),
        **card_pages(),
        **picture_pages(),
        **notebook_pages(folder / "notebooks"),
        **repository_pages(),
    }


# The API reference


def api_pages() -> dict[str, str]:
    """Returns the pages of the API reference: one per model, one per module, and their index."""
    models, modules = public_names()
    functions = [name for name in models if not inspect.isclass(getattr(keras_sda, name))]
    models = [name for name in models if name not in functions]
    pages = {f"api/{name}.md": _class_page(name) for name in models}
    pages |= {f"api/{name}.md": _function_page(name) for name in functions}
    pages |= {f"api/{name}.md": _module_page(name) for name in modules}
    lines = ["# API reference", "", "Everything public, by `import keras_sda as ks`.", ""]
    lines += ["## Models", "", "| class | what it is |", "| --- | --- |"]
    lines += [_index_row(name, getattr(keras_sda, name)) for name in models]
    lines += ["", "## Pretraining", "", "| function | what it does |", "| --- | --- |"]
    lines += [_index_row(name, getattr(keras_sda, name)) for name in functions]
    lines += ["", "## Modules", "", "| module | what is in it |", "| --- | --- |"]
    lines += [_index_row(name, _module(name)) for name in modules]
    lines += ["", "`keras_sda.__version__` is the version as text.", ""]
    lines += ["```{toctree}", ":hidden:", "", *models, *functions, *modules, "```", ""]
    return {**pages, "api/index.md": "\n".join(lines)}


def public_names() -> tuple[list[str], list[str]]:
    """Returns the public names of the package that are no modules, and those that are."""
    names = [name for name in keras_sda.__all__ if not name.startswith("_")]
    modules = [name for name in names if inspect.ismodule(getattr(keras_sda, name))]
    for name in OPTIONAL_MODULES:
        if importlib.util.find_spec(f"keras_sda.{name}") and name not in modules:
            modules.append(name)
    names = [name for name in names if name not in modules]
    first = "StackedDenoisingAutoencoder"  # what the package is about
    names = sorted(names, key=lambda name: (name != first, name.lower()))
    return names, sorted(modules)


def names_of_module(name: str) -> list[str]:
    """Returns the public names of one of the package's modules."""
    module = _module(name)
    if hasattr(module, "__all__"):
        return sorted(module.__all__, key=lambda entry: (entry[0].islower(), entry))
    return [
        entry
        for entry, thing in vars(module).items()
        if inspect.isfunction(thing)
        and thing.__module__ == module.__name__
        and not entry.startswith("_")
    ]


def _module(name):
    return importlib.import_module(f"keras_sda.{name}")


def _index_row(name, thing):
    summary = " ".join(inspect.getdoc(thing).split("\n\n")[0].split())
    return f"| [`{name}`]({name}.md) | {summary.replace('|', chr(92) + '|')} |"


def _class_page(name):
    thing = getattr(keras_sda, name)
    return _page(name, ".. currentmodule:: keras_sda", "", *_autoclass(name, thing))


def _autoclass(name, thing):
    lines = [f".. autoclass:: {name}"]
    members = members_of(thing)
    if members:
        lines.append(f"   :members: {', '.join(members)}")
    return lines


def members_of(cls: type) -> list[str]:
    """Returns the methods and properties of a class that this package tells of.

    Those that it inherits from Keras or scikit-learn are told of there.
    """
    members: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("keras_sda") or base.__name__ == "FastFit":
            continue
        for name, member in vars(base).items():
            function = getattr(member, "__func__", member)  # of a class method
            is_told = isinstance(function, property) or inspect.isfunction(function)
            if is_told and function.__doc__ and not name.startswith(("_", "on_")):
                members[name] = None
    return [name for name in members if name not in HOOKS]


def _function_page(name):
    return _page(name, ".. currentmodule:: keras_sda", "", f".. autofunction:: {name}")


def _module_page(name):
    full = f"keras_sda.{name}"
    lines = [f".. automodule:: {full}", "   :no-members:", "", f".. currentmodule:: {full}"]
    for entry in names_of_module(name):
        thing = getattr(_module(name), entry)
        if inspect.isclass(thing):
            lines += ["", *_autoclass(entry, thing)]
        elif callable(thing):
            lines += ["", f".. autofunction:: {entry}"]
        else:
            lines += ["", f".. py:data:: {entry}", f"   :type: {type(thing).__name__}"]
    return _page(full, *lines)


def _page(title, *lines):
    return "\n".join([f"# {title}", "", "```{eval-rst}", *lines, "```", ""])


# The gallery of recipes


def recipe_pages() -> dict[str, str]:
    """Returns the gallery: every recipe with its source, and what was published and measured."""
    measured = {}
    for name in recipes.names():
        path = RESULTS / f"{name}.json"
        measured[name] = report.read(path) if path.exists() else None
    compared = [name for name in recipes.names() if name.startswith("why-")]
    lines = ["# Recipes", "", *_paragraphs(recipes.__doc__.split("\n\n")[0])]
    lines += [
        "`keras-sda reproduce NAME` trains by a recipe and prints the published and the measured",
        "figure; `--quick` does it in seconds on small data. Options were chosen on validation",
        "data; every run read its test data once. Intervals are Student's 95 % intervals over the",
        "seeds, none of which is left out. All figures come from `benchmarks/results`.",
        "",
    ]
    sections: dict[str, list[str]] = {}
    for name, recipe in recipes.RECIPES.items():
        kind = next(kind for kind, figures in KINDS.items() if recipe.figure in figures)
        kind = "Tables" if recipe in recipes.tables.TABLES else kind
        sections.setdefault("Why these differ" if name in compared else kind, []).append(name)
    for title, names in sections.items():
        lines += [f"## {title}", ""]
        if names[0] in compared:
            module = inspect.getmodule(recipes.names)
            text = importlib.import_module(f"{module.__name__}.comparison").__doc__
            lines += _paragraphs(text)
        lines += ["| recipe | measured | published | unit |", "| --- | --- | --- | --- |"]
        lines += [_summary_row(recipes.get(name), measured[name]) for name in names]
        lines += [""]
        for name in names:
            lines += _recipe_section(recipes.get(name), measured[name])
    return {"recipes.md": "\n".join(lines)}


def _paragraphs(text):
    return [*text.strip().splitlines(), ""]


def _measured(content):
    """Returns the mean and its interval as text, as in the table of `figures.md`."""
    if content is None or not content["runs"]:
        return "not yet"
    return report.measured(content)


def _published(recipe):
    return "none" if recipe.published is None else report.number(recipe.published)


def _unit(recipe):
    unit = report.FIGURES[recipe.figure][1]
    return f"{recipe.figure}, {unit}"


def _summary_row(recipe, content):
    link = f"[`{recipe.name}`](#{recipe.name})"
    published = _published(recipe)
    return f"| {link} | {_measured(content)} | {published} | {_unit(recipe)} |"


def _recipe_section(recipe, content):
    rows = [
        ("name", f"`{recipe.name}`"),
        ("source", recipe.source),
        ("figure on test data", _unit(recipe)),
        ("published", _published(recipe)),
        ("to be reached", "-" if recipe.at_most is None else report.number(recipe.at_most)),
        ("measured", _measured(content)),
    ]
    settings = recipe.settings()
    if content is not None and content["runs"]:
        runs, settings = content["runs"], content["experiment"]
        seeds = "seed 0" if len(runs) == 1 else f"seeds 0 to {len(runs) - 1}"
        each = ", ".join(report.number(run["figure"]) for run in runs)
        minutes = sum(sum(run["minutes"].values()) for run in runs) / len(runs)
        baseline = runs[-1]["baseline"]
        others = baseline.get("others", {})
        versions = ", ".join(f"{name} {value}" for name, value in content["versions"].items())
        rows += [
            (seeds, each),
            (
                f"compared with {baseline['name']}",
                f"{report.number(baseline['theirs'])} for it, {report.number(baseline['ours'])} "
                f"here ({baseline['unit']}, last seed)",
            ),
            *((f"beside it, {name}", report.number(v)) for name, v in others.items()),
            ("minutes a run", f"{minutes:.1f} ({content['hardware']})"),
            ("versions", versions),
        ]
    if recipe.note:
        rows.append(("note", recipe.note))
    lines = [f"({recipe.name})=", f"### {recipe.title}", ""]
    lines += ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows), ""]
    lines += ["```bash", report.command(recipe, recipe.seeds), "```", ""]
    lines += ["<details><summary>Experiment</summary>", ""]
    lines += ["```json", json.dumps(settings, indent=2), "```", "", "</details>", ""]
    return lines


# Trained models, pictures, notebooks, speed


def card_pages() -> dict[str, str]:
    """Returns one page per trained model, which includes its card, and their index."""
    cards = sorted(path.parent.name for path in ROOT.glob("saved_models/*/README.md"))
    pages = {
        f"models/{name}.md": f"```{{include}} ../../../saved_models/{name}/README.md\n```\n"
        for name in cards
    }
    index = ["```{include} ../../../saved_models/README.md", "```", ""]
    index += ["```{toctree}", ":maxdepth: 1", "", *cards, "```", ""]
    return {**pages, "models/index.md": "\n".join(index)}


def picture_pages() -> dict[str, str]:
    """Returns the page of pictures, each with the call in `make_pictures.py` that draws it."""
    source = DOCS / "make_pictures.py"
    pictures = sorted(DOCS.glob("pictures/*.png"))
    lines = ["# Pictures", ""]
    if not source.exists() or not pictures:
        return {"pictures.md": "\n".join([*lines, "Made by `python docs/make_pictures.py`.", ""])}
    lines += [
        "What `keras_sda.plots` and `keras-sda plot` draw, made by `python docs/make_pictures.py`,",
        "which also trains the models. Each function returns a Matplotlib figure.",
        "",
    ]
    drawn = drawing_calls(source)
    left = {path.name: path for path in pictures}
    for section, calls in drawn.items():
        found = [
            (call, left.pop(name))
            for pattern, call in calls
            for name in sorted(left)
            if re.fullmatch(pattern, name)
        ]
        if not found:
            continue
        lines += [f"## {section}", ""]
        shown = None
        for call, path in found:
            title = _title(path)
            if call != shown:
                lines += ["```python", call, "```", ""]
                shown = call
            lines += [f"![{title}](../pictures/{path.name})", ""]
    if left:
        lines += ["## Others", ""]
        for name in left:
            lines += [f"![{_title(Path(name))}](../pictures/{name})", ""]
    return {"pictures.md": "\n".join(lines)}


def _title(path):
    """Returns what a screen reader says of a picture: `filters-level1` is "Filters level 1"."""
    spaced = re.sub(r"([a-z]{2,})0*(\d)", r"\1 \2", path.stem.replace("-", " "))
    return spaced.capitalize()


def drawing_calls(source: Path) -> dict[str, list[tuple[str, str]]]:
    """Returns, for each function of a script, the pictures it saves and the calls that draw them.

    Args:
        source: A script that calls `save(figure, folder, name)`, or has the callback
            `ReconstructionPictures` write its files.

    Returns:
        For each heading pairs of a pattern of file names and a call.
    """
    tree = ast.parse(source.read_text(encoding="utf-8"))
    sections = {}
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        calls, assigned = [], {}
        nodes = [node for node in ast.walk(function) if hasattr(node, "lineno")]
        for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                assigned[node.targets[0].id] = node.value
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name == "save" and len(node.args) == 3:
                figure = node.args[0]
                figure = assigned.get(figure.id, figure) if _is_name(figure) else figure
                calls.append((_pattern(node.args[2]), ast.unparse(figure)))
            elif name == "ReconstructionPictures":
                calls.append((r"callback.*\.png", ast.unparse(node)))
        if calls:
            heading = ast.get_docstring(function).split("\n")[0].removeprefix("Draws ").rstrip(".")
            sections[heading[0].upper() + heading[1:]] = calls
    return sections


def _is_name(node):
    return isinstance(node, ast.Name)


def _pattern(node):
    """Returns a pattern of file names for a text, or for one with values put in."""
    if isinstance(node, ast.JoinedStr):
        parts = [
            re.escape(part.value) if isinstance(part, ast.Constant) else ".+"
            for part in node.values
        ]
        return "".join(parts) + r"\.png"
    return re.escape(ast.literal_eval(node)) + r"\.png"


def notebook_pages(folder: Path) -> dict[str, str]:
    """Returns one page per notebook as it stands, with the outputs it holds, and their index.

    The index is `notebooks/README.md`, whose links lead to these pages; they follow its order.

    Args:
        folder: Where pictures in the outputs are written.
    """
    readme = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    names = re.findall(r"\]\((\w+)\.ipynb\)", readme)
    pages = {}
    for name in names:
        path = ROOT / "notebooks" / f"{name}.ipynb"
        content = json.loads(path.read_text(encoding="utf-8"))
        pages[f"notebooks/{name}.md"] = _notebook(path, content, folder)
    tree = ["```{toctree}", ":hidden:", "", *names, "```", ""]
    return {**pages, "notebooks/index.md": _link_notebooks(readme) + "\n" + "\n".join(tree)}


def _link_notebooks(text):
    return re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", text)


def _notebook(path, content, folder):
    lines = []
    for number, cell in enumerate(content["cells"]):
        text = "".join(cell["source"]).rstrip()
        if cell["cell_type"] == "markdown":
            # Of what they link to in the repository only the other notebooks are on this site.
            text = _link_notebooks(text)
            lines += [re.sub(r"(?<!!)\[([^\]]+)\]\((?!\w+:|#|\w+\.md\))[^)]+\)", r"\1", text), ""]
        elif cell["cell_type"] == "code" and text:
            lines += ["```python", text, "```", ""]
            for index, output in enumerate(cell.get("outputs", [])):
                lines += _output(output, folder, f"{path.stem}-{number}-{index}.png")
    if not lines or not lines[0].startswith("# "):
        lines = [f"# {path.stem.replace('_', ' ')}", "", *lines]
    return "\n".join([*lines, f"This is `notebooks/{path.name}`.", ""])


def _output(output, folder, name):
    data = output.get("data", {})
    if "image/png" in data:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(base64.b64decode("".join(data["image/png"])))
        return [f"![Output]({name})", ""]
    text = "".join(output.get("text", data.get("text/plain", []))).rstrip()
    # Escapes for colours mean nothing on a page.
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return ["```text", text, "```", ""] if text else []


# Docstrings


HEADERS = (
    "Args", "Attributes", "Call arguments", "Example", "Input shape", "Output shape", "Raises",
    "Reference", "Returns", "Yields",
)  # fmt: skip


def to_rst(lines: list[str]) -> list[str]:
    """Returns a docstring with what is Markdown in it, and what Napoleon misreads, put right.

    Fenced code becomes a directive. An `Example:` whose code is not indented becomes a section.
    `Returns:` becomes a field, as Napoleon would take what stands before a colon for a type.
    """
    out: list[str] = []
    inside = None
    fence = None
    for line in lines:
        stripped = line.strip()
        header = stripped[:-1] if stripped.endswith(":") and not line[:1].isspace() else None
        if fence is None and header in HEADERS:
            inside = header
            out.append("" if header == "Returns" else line)
            continue
        if fence is None and line and not line[0].isspace() and inside not in (None, "Example"):
            inside = None
        if inside == "Example" and line and not line[0].isspace():
            line = f"    {line}"
        if inside == "Returns" and stripped and out[-1] == "":
            is_first = not any(entry.startswith(":returns:") for entry in out)
            out.append(f":returns: {stripped}" if is_first else line)
            continue
        match = re.match(r"(\s*)```(\w*)$", line)
        if match and fence is None:
            fence = match[1]
            out += [f"{fence}.. code-block:: {match[2] or 'text'}", ""]
        elif match:
            fence = None
            out.append("")
        else:
            out.append(f"    {line}" if fence is not None and line else line)
    return out


def signature(thing) -> str | None:
    """Returns the arguments of a class where Sphinx cannot tell them, else `None`.

    Keras' metaclass hides those of a layer, and a dataclass has `<factory>` for a default that is
    made anew each time.
    """
    if not inspect.isclass(thing):
        return None
    if dataclasses.is_dataclass(thing):
        fields = [field for field in dataclasses.fields(thing) if not field.name.startswith("_")]
        return f"({', '.join(map(_field, fields))})"
    if issubclass(thing, keras.layers.Layer):
        arguments = list(inspect.signature(thing.__init__).parameters.values())[1:]
        return str(inspect.Signature(arguments))
    return None


def _field(field):
    if field.default is not dataclasses.MISSING:
        return f"{field.name}={field.default!r}"
    if field.default_factory is not dataclasses.MISSING:
        made = "{}" if field.default_factory is dict else f"{field.default_factory.__name__}()"
        return f"{field.name}={made}"
    return field.name


# Benchmarks and changelog


def repository_pages() -> dict[str, str]:
    """Returns the pages of benchmarks and of errors, and the changelog."""
    return {
        "benchmarks.md": benchmarks_page(),
        "errors.md": _script("docs", "errors_page").errors_page(),
        "changelog.md": "```{include} ../../CHANGELOG.md\n```\n",
    }


def benchmarks_page() -> str:
    """Returns the table of every benchmark as it prints it, with its picture and its command."""
    lines = [
        "# Benchmarks",
        "",
        "The output of each benchmark, with the command that runs it again. The comparison with",
        "other libraries in pretraining is in [Speed](../speed.md).",
        "",
    ]
    for name in BENCHMARKS:
        path = RESULTS / "speed" / f"{name}.json"
        if path.exists():
            lines += _benchmark_section(_script("benchmarks", name), _read_benchmark(path), path)
    return "\n".join(lines)


def _read_benchmark(path):
    """Returns what a benchmark's JSON file holds."""
    return json_files.read(path, {}, "remove it, and measure again")


def _script(folder, name):
    """Returns a script of the repository as a module."""
    place = str(ROOT / folder)
    sys.path.insert(0, place)  # where scripts find what they share
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(place)


def _benchmark_section(benchmark, content, path):
    title, _, rest = inspect.getdoc(benchmark).partition("\n")
    _, how = rest.strip().split("\n\n", 1)  # after the commands
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        benchmark.print_tables(content)
    return [
        f"## {title.rstrip('.')}",
        "",
        f"```bash\n{content['command']}\n```",
        "",
        how,
        "",
        f"Measured on: {content['hardware']}.",
        "",
        f"![{title}](../../benchmarks/results/speed/{path.stem}.png)",
        "",
        printed.getvalue(),
    ]
