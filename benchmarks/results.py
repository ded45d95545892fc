"""Makes the README's tables of `results/*.json`, which recipes and benchmarks have written.

keras-sda reproduce NAME --output benchmarks/results
python benchmarks/few_labels.py
python benchmarks/pretraining_speed.py --output benchmarks/results/speed
python benchmarks/results.py      # puts the tables into the README
"""

from pathlib import Path

from keras_sda import recipes
from keras_sda.recipes import report

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- {}, made by: python benchmarks/results.py -->\n", "\n<!-- end -->"


def tables() -> str:
    """Returns the tables of recipes, of PCA beside them, and of the two stacks, in Markdown."""
    paths = {name: RESULTS / f"{name}.json" for name in recipes.names()}
    reports = {name: report.read(path) for name, path in paths.items() if path.exists()}
    compared = [name for name in reports if name.startswith("why-")]
    main = [reports[name] for name in reports if name not in compared]
    return "\n".join(
        [
            recipes.table(main),
            "",
            "Notes: " + " ".join(_notes(main)),
            "",
            "Squared error of a test image, beside PCA with a code of the same size:",
            "",
            "| recipe | beside it | its error | the recipe's, mean and 95 % interval |",
            "| --- | --- | --- | --- |",
            *(_row_beside_pca(content) for content in main if _is_beside_pca(content)),
            "",
            "Why do the SdA's 1.30 % and the sparse stack's 2.26 % differ? One change at a time:",
            "",
            "| stack | test error in %, mean and 95 % interval | seeds |",
            "| --- | --- | --- |",
            *(_comparison_row(reports[name]) for name in compared),
        ]
    )


def _notes(reports):
    return [f"`{report['name']}`: {report['note']}" for report in reports if report["note"]]


def _is_beside_pca(content):
    """Whether a recipe's rival is PCA; with as many components as pixels it would be the rows."""
    rival = content["runs"][0]["baseline"]["name"]
    return rival.startswith("PCA") and rival != "PCA with 784 components"


def _row_beside_pca(content):
    baselines = [run["baseline"] for run in content["runs"]]
    theirs = sum(baseline["theirs"] for baseline in baselines) / len(baselines)
    corrupted = baselines[0]["unit"].removeprefix("squared error").replace("rows", "images")
    ours = report.mean_and_half_width([baseline["ours"] for baseline in baselines])
    return (
        f"| `{content['name']}`{corrupted} | {baselines[0]['name']} "
        f"| {report.number(theirs)} | {report.with_interval(*ours)} |"
    )


def _comparison_row(content):
    figure = report.with_interval(*report.summary(content))
    return f"| {content['title']} | {figure} | {report.seed_range(content)} |"


def speed() -> str:
    """Returns the table of samples a second in pretraining, in Markdown: SGD on the first level."""
    content = report.read(RESULTS / "speed" / "pretraining_speed.json")
    first = {"level": "784-1000", "optimizer": "sgd"}
    cells = [cell for cell in content["cells"] if first.items() <= cell.items()]
    names = list(cells[0]["samples_a_second"])
    columns = [
        f"{cell['level']}, batches of {cell['batch_size']}, {cell['optimizer'].upper()}"
        for cell in cells
    ]
    lines = [f"| samples a second | {' | '.join(columns)} |", "| --- |" + " --- |" * len(cells)]
    for name in names:
        figures = [cell["samples_a_second"][name]["median"] for cell in cells]
        lines.append(f"| {name} | " + " | ".join(f"{figure:,.0f}" for figure in figures) + " |")
    limits = [cell["limits"]["best of each product"]["median"] for cell in cells]
    lines.append(
        "| the matrix products alone | " + " | ".join(f"{limit:,.0f}" for limit in limits) + " |"
    )
    for ours in ("ours, TensorFlow", "ours, JAX"):
        for rival in ("plain Keras", "PyTorch", "limit"):
            ratios = [cell["ratios"][ours][rival] for cell in cells]
            shown = [f"{r['median']:.2f} ({r['lowest']:.2f} to {r['highest']:.2f})" for r in ratios]
            lines.append(f"| **{ours} / {rival}** | " + " | ".join(shown) + " |")
    lines += ["", "Whole pretraining of 784-1000-1000-1000:", ""]
    for three in content["three_levels"]:
        seconds = [f"{name} {figure['median']:.1f} s" for name, figure in three["seconds"].items()]
        rows = f"{three['rows']:,} rows, {three['epochs']} epochs a level"
        lines.append(f"- batches of {three['batch_size']}, {rows}: {', '.join(seconds)}")
    return "\n".join(lines)


def few_labels() -> str:
    """Returns the table of what pretraining is worth with few labels, in Markdown."""
    content = report.read(RESULTS / "few_labels.json")
    lines = ["| classifier | test accuracy in %, mean and 95 % interval |", "| --- | --- |"]
    for name, figure in content["summary"].items():
        lines.append(f"| {name} | {_percent(figure)} |")
    for name, figure in content["gain_of_pretraining"].items():
        lines.append(f"| gain of pretraining, {name}, in points | {_percent(figure, '+')} |")
    return "\n".join(lines)


def _percent(figure, sign=""):
    mean, low, high = (100 * value for value in (figure["mean"], *figure["interval"]))
    return f"{mean:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def with_block(text: str, name: str, block: str) -> str:
    """Returns a page with what stands between two marks replaced."""
    before, rest = text.split(START.format(name))
    return before + START.format(name) + block + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    page = README.read_text(encoding="utf-8")
    page = with_block(page, "figures", tables())
    page = with_block(page, "few labels", few_labels())
    page = with_block(page, "speed", speed())
    README.write_text(page, encoding="utf-8")
