"""Writes the tables of `results/*.json` into the documentation and six figures into the README.

keras-sda reproduce NAME --output benchmarks/results
python benchmarks/few_labels.py
python benchmarks/imputation.py
python benchmarks/outliers.py
python benchmarks/tables.py
python benchmarks/end_to_end.py
python benchmarks/large_data.py
python benchmarks/pretraining_speed.py
python benchmarks/results.py      # rewrites every block that its marks enclose
"""

import statistics
from pathlib import Path

import _measuring

from keras_sda import recipes
from keras_sda.recipes import report

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
START, END = "<!-- {}, made by: python benchmarks/results.py -->\n", "\n<!-- end -->"

# The recipes whose figures are on the front page.
FRONT_PAGE = ("sda", "lenet5", "conv-autoencoder", "vae-mlp-20")


def reports() -> list[dict]:
    """Returns the recipes' results in the recipes' order, without those of the comparison."""
    return [content for name, content in _measured() if not name.startswith("why-")]


def _measured():
    """Yields the name and the results of every recipe that has some."""
    for name in recipes.names():
        path = RESULTS / f"{name}.json"
        if path.exists():
            yield name, report.read(path)


def figures() -> str:
    """Returns the table of published and measured figures, in Markdown."""
    return recipes.table(reports())


def notes() -> str:
    """Returns a list of what is special about each recipe, in Markdown."""
    return "\n".join(
        f"- `{content['name']}`: {content['note']}" for content in reports() if content["note"]
    )


def beside_pca() -> str:
    """Returns the table of squared errors beside those of PCA, in Markdown."""
    return "\n".join(
        [
            "| recipe | compared with | its error | the recipe's, mean and 95 % interval |",
            "| --- | --- | --- | --- |",
            *(_row_beside_pca(content) for content in reports() if _is_beside_pca(content)),
        ]
    )


def comparison() -> str:
    """Returns the table of stacks that differ from each other in one thing, in Markdown."""
    return "\n".join(
        [
            "| stack | test error in %, mean and 95 % interval | seeds |",
            "| --- | --- | --- |",
            *(_comparison_row(content) for name, content in _measured() if name.startswith("why-")),
        ]
    )


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
    content = _measuring.read(RESULTS / "speed" / "pretraining_speed.json")
    cells = _first_level(content)
    names = list(cells[0]["samples_a_second"])
    columns = [
        f"{cell['level']}, batches of {cell['batch_size']}, {cell['optimizer'].upper()}"
        for cell in cells
    ]
    lines = [f"| samples per second | {' | '.join(columns)} |", "| --- |" + " --- |" * len(cells)]
    for name in names:
        medians = [cell["samples_a_second"][name]["median"] for cell in cells]
        lines.append(f"| {name} | " + " | ".join(f"{median:,.0f}" for median in medians) + " |")
    limits = [cell["limits"]["best of each product"]["median"] for cell in cells]
    lines.append(
        "| the matrix products alone | " + " | ".join(f"{limit:,.0f}" for limit in limits) + " |"
    )
    for ours in ("ours, TensorFlow", "ours, JAX"):
        for rival in ("plain Keras", "PyTorch", "limit"):
            ratios = [cell["ratios"][ours][rival] for cell in cells]
            lines.append(f"| **{ours} / {rival}** | " + " | ".join(map(_ratio, ratios)) + " |")
    lines += ["", "Whole pretraining of 784-1000-1000-1000:", ""]
    for three in content["three_levels"]:
        seconds = [f"{name} {figure['median']:.1f} s" for name, figure in three["seconds"].items()]
        rows = f"{three['rows']:,} rows, {three['epochs']} epochs a level"
        lines.append(f"- batches of {three['batch_size']}, {rows}: {', '.join(seconds)}")
    return "\n".join(lines)


def _first_level(content):
    """Returns the cells of the benchmark that its table shows: SGD on the first level."""
    first = {"level": "784-1000", "optimizer": "sgd"}
    return [cell for cell in content["cells"] if first.items() <= cell.items()]


def _ratio(ratio):
    return _spread(ratio, 2)


def _spread(figure, digits):
    low, high = figure["lowest"], figure["highest"]
    return f"{figure['median']:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def end_to_end() -> str:
    """Returns the tables of the time from a cold start to a validation error, in Markdown."""
    content = _measuring.read(RESULTS / "speed" / "end_to_end.json")
    blocks = []
    for name, task in content["tasks"].items():
        lines = [
            f"{name[0].upper()}{name[1:]}, to {100 * task['mark']:g} % validation error: "
            f"[`{task['recipe']}`](generated/recipes.md#{task['recipe']})",
            "",
            "| | s to the error | s of these after start-up | lowest error on validation rows, % "
            "| error on test rows, % | seeds |",
            "| --- |" + " --- |" * 5,
        ]
        for way, found in task["summary"].items():
            count = len(found["seeds"])
            missing = (
                f"by {found['reached_by']} of {count}" if found["reached_by"] else "not reached"
            )
            times = [
                missing if found[key] is None else _spread_or_one(found[key])
                for key in ("reached", "reached_after_ready")
            ]
            errors = [f"{100 * found[key]['median']:.2f}" for key in ("valid_error", "test_error")]
            lines.append(f"| {way} | {' | '.join([*times, *errors, str(count)])} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def end_to_end_ablation() -> str:
    """Returns the table of what each change has gained in time to an error, in Markdown."""
    content = _measuring.read(RESULTS / "speed" / "end_to_end.json")
    lines = [
        "| task | what is trained | s to the error | epochs of training | s of pretraining |",
        "| --- |" + " --- |" * 4,
    ]
    for name, task in content["tasks"].items():
        for title, runs in task["ablation"].items():
            for run in runs:
                reached, before = run["reached"], run["pretrained"] - run["ready"]
                seconds = "not reached" if reached is None else f"{reached:.1f}"
                cells = [name, title, seconds, str(len(run["epochs"])), f"{before:.1f}"]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread_or_one(figure):
    return _spread(figure, 1) if len(figure["values"]) > 1 else f"{figure['median']:.1f}"


def small_data() -> str:
    """Returns the table of what a few hundred rows take, in Markdown."""
    content = _measuring.read(RESULTS / "speed" / "small_data.json")
    names = list(content["tasks"]["first fit"])
    lines = [f"| | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for title, task, digits in (
        ("the first fit of a process, s", "first fit", 2),
        ("a later fit, s", "later fit", 3),
        ("a grid search, 30 fits, s", "grid search", 1),
        ("`keras-sda train`, digits, s", "first run", 1),
        ("`predict` of one row, ms", "one row", 2),
    ):
        found = content["tasks"][task]
        texts = [_spread(found[name], digits) if name in found else "" for name in names]
        lines.append(f"| {title} | {' | '.join(texts)} |")
    return "\n".join(lines)


def large_data() -> str:
    """Returns the table of what training on large tables takes, in Markdown."""
    content = _measuring.read(RESULTS / "speed" / "large_data.json")
    heads = [
        *("rows", "kept", "s until they are there", "s to train", "rows a second in training"),
        "memory beyond the start, GiB",
    ]
    lines = [f"| {' | '.join(heads)} |", "| --- | --- |" + " --- |" * (len(heads) - 2)]
    measured = {name: runs for name, runs in content["rows"].items() if isinstance(runs, list)}
    for name, runs in sorted(measured.items(), key=lambda entry: int(entry[0].split()[0])):
        rows, storage = name.split()
        found = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        cells = [f"{int(rows):,}", "in files" if storage == "disk" else "in memory"]
        cells += [f"{found[key]:.1f}" for key in ("ready", "trained")]
        cells += [f"{found['rows a second']:,.0f}", f"{found['memory'] / 1024:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    growth = ", ".join(
        f"{value:.2f} {'from files' if storage == 'disk' else 'from memory'}"
        for storage, value in content["rows"]["exponents"].items()
    )
    lines += ["", f"Exponent of the growth of time in rows: {growth}."]
    return "\n".join(lines)


def mixed_tables() -> str:
    """Returns the table of what training on a large table of mixed columns takes, in Markdown."""
    content = _measuring.read(RESULTS / "speed" / "large_data.json")["mixed"]
    heads = [
        *("file", "s until the rows are there", "s to train", "s with all figures and rivals"),
        "memory beyond the start, GiB",
    ]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " --- |" * (len(heads) - 1)]
    for name, runs in content.items():
        if isinstance(runs, list):
            found = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            cells = [f"`{name}`", *(f"{found[key]:.0f}" for key in ("ready", "trained", "whole"))]
            lines.append(f"| {' | '.join(cells)} | {found['memory'] / 1024:.1f} |")
    return "\n".join(lines)


def few_labels() -> str:
    """Returns the table of what unlabelled rows are worth with few labels, in Markdown."""
    content = _measuring.read(RESULTS / "few_labels.json")
    lines = ["| classifier | test accuracy in %, mean and 95 % interval |", "| --- | --- |"]
    for name, figure in content["summary"].items():
        lines.append(f"| {name} | {_percent(figure)} |")
    for name, figure in content["gain_of_pretraining"].items():
        lines.append(f"| gain of pretraining, {name}, in points | {_percent(figure, '+')} |")
    for name, figure in content["gain_of_unlabelled_rows"].items():
        lines.append(f"| gain of {name}, in points | {_percent(figure, '+')} |")
    return "\n".join(lines)


def outliers() -> str:
    """Returns the table of detectors of outliers on PyOD's data sets, in Markdown."""
    content = _measuring.read(RESULTS / "outliers.json")
    found = content["summary"]
    sets = {
        part: sum(_is_of(part, place) for place in content["places"].values()) for part in found
    }
    heads = [
        *("detector", f"ROC-AUC, all {sets['all']} sets", f"the {sets['even']} at even places"),
        *("average precision, all", "rank", "lowest ROC-AUC", "seconds to fit", "p"),
    ]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " --- |" * (len(heads) - 1)]
    for name, figure in found["all"].items():
        rank, p = (
            "" if figure[key] is None else f"{figure[key]:.{digits}f}"
            for key, digits in (("rank", 2), ("wilcoxon_p", 3))
        )
        even = found["even"][name]["auc"]
        lines.append(
            f"| {name} | {figure['auc']:.3f} | {even:.3f} | {figure['average_precision']:.3f} "
            f"| {rank} | {figure['lowest_auc']:.2f} | {figure['seconds']:.2f} | {p} |"
        )
    return "\n".join(lines)


def imputation() -> str:
    """Returns the table of imputers on removed cells, in Markdown."""
    heads = ["table", "imputer", "RMSE, squashed", "RMSE", "categories right, %", "seconds"]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " --- |" * (len(heads) - 1)]
    for table, methods in _measuring.read(RESULTS / "imputation.json")["summary"].items():
        for method, figure in methods.items():
            errors = [_plus_minus(figure[key], 3) for key in ("rmse_squashed", "rmse")]
            right = figure["accuracy"]
            percent = "" if right is None else _plus_minus([100 * value for value in right], 1)
            seconds = f"{figure['seconds'][0]:.1f}"
            lines.append(f"| {' | '.join([table, method, *errors, percent, seconds])} |")
    return "\n".join(lines)


def _plus_minus(figure, digits):
    return f"{figure[0]:.{digits}f} ± {figure[1]:.{digits}f}"


def _is_of(part, place):
    return part == "all" or (part == "even") == bool(place % 2)


def tables() -> str:
    """Returns the table of networks beside simple models on tables with few labels, in Markdown."""
    found = _measuring.read(RESULTS / "tables.json")["summary"]
    kinds = ("network", "linear model", "random forest")
    heads = ["table, labels", "figure", *kinds, *(f"gain over {kind}" for kind in kinds[1:])]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " --- |" * (len(heads) - 1)]
    for name, each in found.items():
        means = [f"{100 * each[kind]['mean']:.1f}" for kind in kinds]
        gains = [_percent(each[f"gain over {kind}"], "+") for kind in kinds[1:]]
        lines.append(f"| {' | '.join([name, each['figure'], *means, *gains])} |")
    return "\n".join(lines)


def denoising_tables() -> str:
    """Returns the table of what the reconstruction errors of tables tell, in Markdown."""
    lines = [
        "| table | ROC-AUC, rows against shuffled ones | of trees that learn to tell them apart | "
        "error, of what nothing learnt has | largest column's share | worst hundredth's share |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, by_seed in _measuring.read(RESULTS / "tables.json")["denoiser"].items():
        runs = list(by_seed.values())
        auc, trees, column, worst = (
            sum(run[key] for run in runs) / len(runs)
            for key in ("auc", "trees", "largest column", "worst hundredth")
        )
        share = sum(run["error"] / run["marginal"] for run in runs) / len(runs)
        lines.append(
            f"| {name} | {auc:.3f} | {trees:.3f} | {share:.2f} | {column:.2f} | {worst:.2f} |"
        )
    return "\n".join(lines)


def recipes_of_tables() -> str:
    """Returns the table of the recipes for tables beside a linear model and a forest."""
    lines = [
        "| recipe | what | network | logistic or ridge regression | random forest | seeds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for content in reports():
        baselines = [run["baseline"] for run in content["runs"]]
        if "others" in baselines[0]:
            given = [[each[key] for each in baselines] for key in ("ours", "theirs")]
            given.append([each["others"]["random forest"] for each in baselines])
            texts = (report.with_interval(*report.mean_and_half_width(each)) for each in given)
            lines.append(
                f"| `{content['name']}` | {content['figure']}, {content['unit']} "
                f"| {' | '.join(texts)} | {report.seed_range(content)} |"
            )
    return "\n".join(lines)


def six_figures() -> str:
    """Returns the front page's figures, each with the command that measures it, in Markdown."""
    lines = ["| figure | compared with | measured | by |", "| --- | --- | --- | --- |"]
    for name in FRONT_PAGE:
        content = report.read(RESULTS / f"{name}.json")
        lines.append(
            f"| {content['title']}: {content['figure']}, {content['unit']} "
            f"| published: {report.number(content['published'])} | {report.measured(content)} "
            f"| [`{content['command']}`](docs/figures.md) |"
        )
    content = _measuring.read(RESULTS / "few_labels.json")
    ours, rival = "ladder network", "SVM on pixels"
    lines.append(
        f"| Digits, {content['labels']} of them labelled, ladder network: test accuracy, % "
        f"| {rival}: {_percent(content['summary'][rival])} "
        f"| **{_percent(content['summary'][ours])}** "
        f"| [`{content['command']}`](docs/few_labels.md) |"
    )
    content = _measuring.read(RESULTS / "speed" / "pretraining_speed.json")
    cell = next(cell for cell in _first_level(content) if cell["batch_size"] == 20)
    lines.append(
        f"| Speed of pretraining {cell['level']} in batches of {cell['batch_size']}, TensorFlow "
        f"| plain Keras: 1 | **{_ratio(cell['ratios']['ours, TensorFlow']['plain Keras'])}** "
        f"| [`{content['command']}`](docs/speed.md) |"
    )
    return "\n".join(lines)


def _percent(figure, sign=""):
    mean, low, high = (100 * value for value in (figure["mean"], *figure["interval"]))
    return f"{mean:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


# Page -> what stands between the marks of each name.
BLOCKS = {
    "README.md": {"six figures": six_figures},
    "docs/figures.md": {
        "figures": figures,
        "notes": notes,
        "PCA": beside_pca,
        "comparison": comparison,
    },
    "docs/few_labels.md": {
        "few labels": few_labels,
        "tables": tables,
        "denoising tables": denoising_tables,
    },
    "docs/imputation.md": {"imputation": imputation},
    "docs/large_data.md": {"large data": large_data, "mixed tables": mixed_tables},
    "docs/tables.md": {"recipes of tables": recipes_of_tables},
    "docs/strange_rows.md": {"outliers": outliers},
    "docs/speed.md": {
        "end to end": end_to_end,
        "ablation": end_to_end_ablation,
        "speed": speed,
        "small data": small_data,
    },
}


def pages() -> dict[Path, str]:
    """Returns the pages as they ought to be, each block made anew."""
    texts = {}
    for name, blocks in BLOCKS.items():
        texts[ROOT / name] = (ROOT / name).read_text(encoding="utf-8")
        for title, make in blocks.items():
            texts[ROOT / name] = with_block(texts[ROOT / name], title, make())
    return texts


def with_block(text: str, name: str, block: str) -> str:
    """Returns a page with what stands between two marks replaced."""
    before, rest = text.split(START.format(name))
    return before + START.format(name) + block + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
