"""Makes the README's tables of `results/*.json`, which `keras-sda reproduce` has written.

keras-sda reproduce NAME --output benchmarks/results
python benchmarks/results.py      # puts the tables into the README
"""

from pathlib import Path

from keras_sda import recipes
from keras_sda.recipes import report

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- made by: python benchmarks/results.py -->\n", "\n<!-- end -->"


def tables() -> str:
    """Returns the table of recipes, and the one that compares the two stacks, in Markdown."""
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
            "| stack | test error in %, mean and 95 % interval | seeds |",
            "| --- | --- | --- |",
            *(_comparison_row(reports[name]) for name in compared),
        ]
    )


def _notes(reports):
    return [f"`{report['name']}`: {report['note']}" for report in reports if report["note"]]


def _comparison_row(content):
    mean, half = report.summary(content)
    figure = report.number(mean) + ("" if half is None else f" ± {report.number(half, mean)}")
    count = len(content["runs"])
    return f"| {content['title']} | {figure} | {'0' if count == 1 else f'0 to {count - 1}'} |"


if __name__ == "__main__":
    before, rest = README.read_text(encoding="utf-8").split(START)
    README.write_text(before + START + tables() + END + rest.split(END)[1], encoding="utf-8")
