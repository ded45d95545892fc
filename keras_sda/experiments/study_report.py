"""The report of a study: a table, a plot, and one HTML page that says what they mean."""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras_sda
from keras_sda.experiments import study_words as words
from keras_sda.experiments.html import (
    Html,
    code,
    drawn,
    element,
    facts,
    folded,
    join,
    page,
    paragraph,
    section,
    table,
    tiles,
)
from keras_sda.experiments.study_figures import FEWEST_SEEDS, entries_of
from keras_sda.experiments.study_file import TABLE_OPTIONS
from keras_sda.resuming.files import replacing

PAGE, PLOT, TABLE = "report.html", "errors.png", "table.md"
figure = words.figure


def describe(content: Mapping[str, Any]) -> str:
    """Returns what a study says, in lines of text: the table, then which method to take."""
    parts = [
        f"{content['data']['name']}: {words.unit(content)}, {_spread(content)}",
        words.text_table(words.header(content), words.lines(content)),
        words.FOOTNOTE,
        "",
        *(_further_tables(content) if words.rare_class(content) is not None else ()),
        *words.verdicts(content),
        *words.balance(content),
        "",
        *words.worth(content),
    ]
    return "\n".join(parts)


def _further_tables(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields the lines of the tables of other figures than the error."""
    for name in words.figures(content):
        yield f"{content['data']['name']}: {words.figure_title(name)}, {_spread(content)}"
        yield words.text_table(words.header(content), words.lines_of(name, content))
        yield ""


def _has_bands(content: Mapping[str, Any]) -> bool:
    return content["settings"]["seeds"] >= FEWEST_SEEDS


def _spread(content: Mapping[str, Any]) -> str:
    seeds = content["settings"]["seeds"]
    if seeds == 1:
        return "one seed"
    return f"mean over {seeds} seeds ± half the 95 % interval"


def write(content: Mapping[str, Any], folder: Path) -> None:
    """Writes the table, the plot and the page of a study into its folder.

    Args:
        content: What `study.json` holds, `summary` among it.
        folder: Folder of the study.
    """
    plot = draw(content)
    with replacing(folder / TABLE) as partial:
        rows = words.markdown_table(words.header(content), words.lines(content))
        title = f"{content['data']['name']}: {words.unit(content)}, {_spread(content)}"
        parts = [title, rows]
        for name in words.figures(content):
            own = words.markdown_table(words.header(content), words.lines_of(name, content))
            parts += [f"{words.figure_title(name)[0].upper()}{words.figure_title(name)[1:]}", own]
        partial.write_text("\n\n".join([*parts, _star()]) + "\n", encoding="utf-8")
    with replacing(folder / PLOT) as partial:
        plot.savefig(partial, format="png", dpi=120, metadata={"Software": None})
    with replacing(folder / PAGE) as partial:
        partial.write_text(_page(content, plot), encoding="utf-8")


def _star() -> str:
    return words.FOOTNOTE.replace("*", r"\*", 1)


def draw(content: Mapping[str, Any]) -> Any:
    """Returns the plot of a study: its errors over the number of labels."""
    from keras_sda import plots

    factor = 100 if content["data"]["is_classification"] else 1
    titles = {True: "learn from all rows", False: "learn from labelled rows only"}
    panels: dict[str, dict[str, Any]] = {title: {} for title in titles.values()}
    for each in entries_of(content):
        curve = {}
        for count, measured in content["summary"]["errors"][each.name].items():
            # Of two values the interval is so wide that bands would cover the whole plot.
            is_bounded = len(measured["values"]) >= FEWEST_SEEDS
            low, high = measured["interval"] if is_bounded else (None, None)
            bounds = [None if bound is None else factor * bound for bound in (low, high)]
            curve[int(count)] = (factor * measured["mean"], *bounds)
        if curve:
            panels[titles[each.uses_unlabelled]][each.name] = curve
    return plots.plot_label_curves(panels, words.unit(content), columns=2)


def command(content: Mapping[str, Any]) -> str:
    """Returns the command that makes a study."""
    settings = content["settings"]
    options: dict[str, Any] = {"--data": settings["data"], "--target": settings["target"]}
    mark = settings["unlabelled"]
    options["--unlabelled"] = {"auto": None, None: "none"}.get(mark, mark)
    for name in TABLE_OPTIONS:
        value = settings.get(name)
        flag = "--id" if name == "ids" else f"--{name.replace('_', '-')}"
        options[flag] = ",".join(value) if isinstance(value, list) else value
    options["--labels"] = ",".join(map(str, settings["labels"]))
    options["--seeds"] = settings["seeds"]
    given = [part for name, value in options.items() if value is not None for part in (name, value)]
    return shlex.join(["keras-sda", "study", *map(str, given)])


def _page(content: Mapping[str, Any], plot: Any) -> str:
    name = content["data"]["name"]
    lead = [
        paragraph(
            "Which method does best with how many labels, and what the rows without a label are "
            "worth."
        ),
        tiles(_tiles(content)),
        paragraph("This page shows no row of the data, only counts and errors.", kind="small"),
    ]
    bands = "Bands are 95 % intervals; t" if _has_bands(content) else "T"
    caption = (
        f"The {words.unit(content)} on the test rows over the number of labels, mean over the "
        f"seeds. {bands}he methods of the other panel are grey."
    )
    sections = [
        section("In short", *_in_short(content)),
        section(
            "Errors",
            drawn(plot, "Error over the number of labels.", caption, 120),
            *_errors(content),
        ),
        section("What unlabelled rows are worth", *_worth(content)),
        section("Gains", *_gains(content)),
        section("How it was measured", *_protocol(content)),
        section("Versions", facts({each: code(v) for each, v in content["versions"].items()})),
    ]
    footer = join(["Written by ", code("keras-sda study"), f", version {keras_sda.__version__}."])
    return page(f"How many labels does {name} need?", join(lead), sections, footer)


def _tiles(content: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yields the method to take for the fewest and for the most labels."""
    verdicts = content["summary"]["verdicts"]
    ends = [verdicts[0], verdicts[-1]] if len(verdicts) > 1 else verdicts
    for each in ends:
        error = content["summary"]["errors"][each["take"]][str(each["labels"])]["mean"]
        remark = f"error {figure(error, content)} on test rows"
        title = "Take" if _has_bands(content) else "Lowest error"
        yield f"{title} with {each['labels']:,} labels", each["take"], remark


def _list(sentences: Iterator[str]) -> Html:
    return element("ul", *(element("li", sentence) for sentence in sentences))


def _in_short(content: Mapping[str, Any]) -> Iterator[Html]:
    first, *best = [*words.balance(content), ""]
    if first:
        yield paragraph(first, kind="note")
        yield _list(line for line in best if line)
    yield _list(words.verdicts(content))
    sentences = list(words.worth(content))
    if sentences:
        yield _list(iter(sentences))
    if not _has_bands(content):
        yield paragraph(
            f"A study of fewer than {FEWEST_SEEDS} seeds shows what comes out, and no more: its "
            "intervals are too wide to choose by.",
            kind="note",
        )


def _errors(content: Mapping[str, Any]) -> Iterator[Html]:
    best = {each["labels"]: each["best"] for each in content["summary"]["verdicts"]}
    counts = content["settings"]["labels"]
    lines = []
    for each, (name, *cells) in zip(entries_of(content), words.lines(content), strict=True):
        marked: list[Any] = [
            element("strong", cell) if best[count] == each.name else cell
            for count, cell in zip(counts, cells, strict=True)
        ]
        lines.append([name, *marked])
    title = f"{words.unit(content).capitalize()}, {_spread(content)}"
    yield table(words.header(content), lines, title)
    yield paragraph(f"{words.FOOTNOTE}. The lowest error of a column is bold.", kind="small")
    for name in words.figures(content):
        title = words.figure_title(name)
        own = table(
            words.header(content), words.lines_of(name, content), f"{title[0].upper()}{title[1:]}"
        )
        yield (
            own
            if words.rare_class(content) is not None
            else folded(name[0].upper() + name[1:], own)
        )


def _worth(content: Mapping[str, Any]) -> Iterator[Html]:
    entries = content["summary"]["worth"]
    for name in words.networks(content):
        yield paragraph(f"To the {name}, alone:")
        yield _list(words.worth_to(name, content))
    counts = content["settings"]["labels"]
    lines = []
    for each in entries_of(content):
        own = {entry["labels"]: entry for entry in entries if entry["ours"] == each.name}
        if own:
            cells = [words.further(own[count]) if count in own else "-" for count in counts]
            lines.append([each.name, each.without, *cells])
    yield table(
        ["method", "compared with", *words.header(content)[1:]],
        lines,
        "So many further labels would do as much as the unlabelled rows",
    )
    yield paragraph(
        "Of a method that learns from all rows, and its nearest kin that learns from labelled rows "
        "only: how many labels more the latter needs to come down to the error of the former. "
        "Between two numbers of labels its mean error is taken to lie on a line over their "
        "logarithm. 0 means that it is as low already. Where the gain is smaller than draws vary, "
        "so is what this number says. At the top of the page, the best method that learns from all "
        "rows is compared in the same way with the best that learns from labelled rows only, both "
        "picked by these errors.",
        kind="small",
    )


def _gains(content: Mapping[str, Any]) -> Iterator[Html]:
    gains = content["summary"]["gains"]
    is_share = content["data"]["is_classification"]
    yield paragraph(
        "By how much the error of a method that learns from all rows is below that of one that "
        "learns from labelled rows only, on the same draws of labels, with the 95 % interval of "
        f"the mean{', in points' if is_share else ''}. Above 0, the method of the row is better. "
        "The largest of many gains is a little too good, as it is picked among them."
    )
    rivals = [each.name for each in entries_of(content) if not each.uses_unlabelled]
    for count in content["settings"]["labels"]:
        own = {(g["ours"], g["rival"]): g for g in gains if g["labels"] == count}
        ours = list(dict.fromkeys(name for name, _ in own))
        present = [rival for rival in rivals if any(key[1] == rival for key in own)]
        lines = [
            [name, *(words.difference(own[name, rival], content) for rival in present)]
            for name in ours
        ]
        yield folded(f"With {count:,} labels", table(["gain of", *present], lines))


def _protocol(content: Mapping[str, Any]) -> Iterator[Html]:
    data, settings = content["data"], content["settings"]
    entries: dict[str, Any] = {"Data set": code(settings["data"])}
    if settings["target"] is not None:
        entries["Label column"] = code(settings["target"])
    entries["Rows to learn from"] = f"{data['rows']:,}, of which {data['labelled']:,} have a label"
    entries["Test rows"] = f"{data['test_rows']:,}"
    entries["Features of a row"] = f"{data['features']:,}"
    if data["classes"] is not None:
        entries["Classes"] = data["classes"]
    entries["Scaling"] = {
        "standard": "mean 0, standard deviation 1",
        "squash": "columns of a table as datasets.Columns has them, numbers squashed",
    }.get(data["scale"], "to [0, 1]")
    if settings.get("groups") is not None:
        entries["Groups"] = join(["column ", code(settings["groups"]), ", none in two parts"])
    entries["Seeds"] = settings["seeds"]
    fits = len(content["results"]) + sum(len(each["held_out"]) for each in content["results"])
    seconds = sum(each["seconds"] for each in content["results"] + content["codes"])
    entries["Fits, and minutes they took"] = f"{fits:,}, {seconds / 60:.1f}"
    yield facts(entries)
    measured = "share of test rows put into a wrong class"
    if data["classes"] is None:
        measured = "root of the mean squared error on test rows, in the unit of the labels"
    yield paragraph(
        "Each seed draws which training rows keep their label"
        f"{', of each class as many as of any other' if data['classes'] else ''}; with fewer "
        "labels they are some of those with more. All others count as rows without a label. Each "
        "method has at most three settings; a quarter of the labels, held out, chooses one, and "
        "the method is fitted again on all of them. Where most classes have a single label, the "
        f"first setting is taken. The error is the {measured}, which each method predicts once "
        "for each number of labels and seed. All methods see the same rows, scaled alike."
    )
    yield paragraph(
        "Intervals are those of Student's t for the mean over the seeds. They tell how draws and "
        "starts vary, and not how other test rows would: with few test rows, small differences "
        "mean little."
    )
    yield from _left_out(content)
    yield _settings(content)
    yield paragraph("The command that made it:")
    yield element("pre", element("code", command(content)), tabindex="0")


def _left_out(content: Mapping[str, Any]) -> Iterator[Html]:
    reasons: dict[str, str] = {}
    for each in content["left_out"]:
        reasons[each["contestant"]] = each["reason"]
    for name, reason in reasons.items():
        yield paragraph(f"{name} is left out with {reason}.", kind="note")


def _settings(content: Mapping[str, Any]) -> Html:
    """Returns the settings of each method, and how often each was chosen."""
    lines = []
    for name, settings in content["settings"]["contestants"].items():
        for number, setting in enumerate(settings):
            times = sum(
                each["contestant"] == name and each.get("setting") == number
                for each in content["results"]
            )
            text = ", ".join(f"{key}={json.dumps(value)}" for key, value in setting.items())
            lines.append([name, code(text), times])
    return folded(
        "Settings, and how often each was chosen", table(["method", "setting", "times"], lines)
    )
