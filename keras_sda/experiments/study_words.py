"""What a study says, in plain words: its figures, the method to take, and what labels are worth."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_sda.experiments.contestants import LADDER, PRETRAINED
from keras_sda.experiments.study_figures import FEWEST_SEEDS, entries_of

# Figures that are shares.
PERCENT = ("balanced accuracy",)

# To which of the methods a page says what unlabelled rows are worth, sentence by sentence.
_NETWORKS = (LADDER, PRETRAINED)


def figure(error: float, content: Mapping[str, Any]) -> str:
    """Returns an error in its unit: a percentage of rows, or the unit of the labels."""
    if content["data"]["is_classification"]:
        return f"{100 * error:.1f} %"
    return f"{error:.4g}"


def cell(measured: Mapping[str, Any] | None, content: Mapping[str, Any]) -> str:
    """Returns a mean with half the width of its interval, for tables; without unit."""
    if measured is None:
        return "-"
    mean, interval = measured["mean"], measured["interval"]
    is_share = content["data"]["is_classification"]
    text = f"{100 * mean:.1f}" if is_share else f"{mean:.4g}"
    if interval is None:
        return text
    half = (interval[1] - interval[0]) / 2
    half = half if half > 1e-12 * abs(mean) else 0.0  # of equal figures, what rounding leaves
    return f"{text} ± {100 * half:.1f}" if is_share else f"{text} ± {half:.2g}"


def difference(measured: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """Returns the mean of differences with its interval, such as `+1.2 (+0.3 to +2.1)`."""
    factor, form = (100, "+.1f") if content["data"]["is_classification"] else (1, "+.3g")
    text = f"{factor * measured['mean']:{form}}"
    if measured["interval"] is None:
        return text
    low, high = (f"{factor * bound:{form}}" for bound in measured["interval"])
    return f"{text} ({low} to {high})"


def unit(content: Mapping[str, Any]) -> str:
    """Returns what errors in tables are measured in."""
    return "error in %" if content["data"]["is_classification"] else "root mean squared error"


def header(content: Mapping[str, Any]) -> list[str]:
    """Returns the headings of the table of errors."""
    counts = content["settings"]["labels"]
    return ["method", *(f"{count:,} labels" for count in counts)]


def lines(content: Mapping[str, Any]) -> list[list[str]]:
    """Returns the table of errors: a line for each contestant."""
    errors, counts = content["summary"]["errors"], content["settings"]["labels"]
    return [
        [
            each.name + (" *" if each.uses_unlabelled else ""),
            *(cell(errors[each.name].get(str(count)), content) for count in counts),
        ]
        for each in entries_of(content)
    ]


def figures(content: Mapping[str, Any]) -> list[str]:
    """Returns the names of what was measured beside the error."""
    return list(content["summary"].get("figures", ()))


def figure_title(name: str) -> str:
    """Returns a figure with its unit, and which way is better."""
    return f"{name}{' in %' if name in PERCENT else ''}, the higher, the better"


def lines_of(name: str, content: Mapping[str, Any]) -> list[list[str]]:
    """Returns the table of another figure than the error: a line for each contestant."""
    measured, counts = content["summary"]["figures"][name], content["settings"]["labels"]
    return [
        [
            each.name + (" *" if each.uses_unlabelled else ""),
            *(_figure_cell(name, measured[each.name].get(str(count))) for count in counts),
        ]
        for each in entries_of(content)
    ]


def _figure_cell(name: str, measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        return "-"
    factor, form = (100, ".1f") if name in PERCENT else (1, ".3f")
    text = f"{factor * measured['mean']:{form}}"
    if measured["interval"] is None:
        return text
    low, high = measured["interval"]
    return f"{text} ± {factor * (high - low) / 2:{form}}"


def rare_class(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns which class is rare, or `None` if none is."""
    return (content["data"].get("balance") or {}).get("rare")


def balance(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields what to judge by where a class is rare, and who is best by that."""
    rare = rare_class(content)
    if rare is None:
        return
    error = content["data"]["balance"]["majority_error"]
    yield (
        f"The classes are unbalanced: {100 * rare['share']:.1f} % of the labelled rows are of "
        f"class {rare['class']}, and always guessing the commonest class has an error of "
        f"{100 * error:.1f} %. The draws have as many labels of each class, so judge by ROC-AUC "
        "and balanced accuracy, not by the error."
    )
    for count in content["settings"]["labels"]:
        best = []
        for name, measured in content["summary"].get("figures", {}).items():
            means = {
                who: own[str(count)]["mean"] for who, own in measured.items() if str(count) in own
            }
            if means:
                first = max(means, key=lambda who: means[who])
                best.append(f"the best {name} has {first}, {_figure_value(name, means[first])}")
        if best:
            yield f"With {count:,} labels: {', and '.join(best)}."


def _figure_value(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if name in PERCENT else f"{value:.3f}"


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in columns of plain text, the first to the left."""
    widths = [max(len(line[number]) for line in (head, *rows)) for number in range(len(head))]
    return "\n".join(
        "  ".join(
            part.ljust(width) if number == 0 else part.rjust(width)
            for number, (part, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *rows)
    )


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table as Markdown has it."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rows))


FOOTNOTE = "* learns from the rows without a label, too"


def verdicts(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields for each number of labels which method is best, and which to take."""
    errors = content["summary"]["errors"]
    for each in content["summary"]["verdicts"]:
        count, best, take = str(each["labels"]), each["best"], each["take"]
        start = f"With {each['labels']:,} labels: {best} has the lowest error, "
        start += figure(errors[best][count]["mean"], content)
        seeds = len(errors[best][count]["values"])
        if seeds < FEWEST_SEEDS:
            yield f"{start}, which {_draws(seeds)} cannot settle."
        elif each["is_simple"]:
            yield f"{start}, and nothing here is simpler. Take {take}."
        elif take == best:
            yield f"{start}, and no simpler method is as good within the interval. Take {take}."
        else:
            more = difference(each["difference"], content)
            points = " points" if content["data"]["is_classification"] else ""
            other = figure(errors[take][count]["mean"], content)
            yield (
                f"{start}, but {take} is as good within the interval: {other}, a difference of "
                f"{more}{points}. Take {take}, which is simpler."
            )


def worth(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields what the unlabelled rows are worth, with each number of labels.

    The best method that learns from them is compared with the best that does not.
    """
    for each in content["summary"]["worth_of_best"]:
        yield _worth_of(each, content, ", the best method without them,")


def worth_to(name: str, content: Mapping[str, Any]) -> Iterator[str]:
    """Yields what the unlabelled rows are worth to one method, with each number of labels.

    Args:
        name: The method, which is compared with its nearest kin that does without them.
        content: What `study.json` holds.
    """
    for each in content["summary"]["worth"]:
        if each["ours"] == name:
            yield _worth_of(each, content)


def networks(content: Mapping[str, Any]) -> list[str]:
    """Returns the networks that learn from all rows, of those that take part."""
    compared = {each["ours"] for each in content["summary"]["worth"]}
    return [name for name in _NETWORKS if name in compared]


def _worth_of(each: Mapping[str, Any], content: Mapping[str, Any], which: str = "") -> str:
    errors, count = content["summary"]["errors"], str(each["labels"])
    error = figure(errors[each["ours"]][count]["mean"], content)
    theirs = figure(errors[each["without"]][count]["mean"], content)
    gained = each["gain"]
    interval, draws = gained["interval"], _draws(len(gained["values"]))
    start = f"With {each['labels']:,} labels the unlabelled rows"
    pair = f"{each['ours']} has an error of {error}, {each['without']}{which} of {theirs}"
    what = "no label" if gained["mean"] <= 0 else further(each, " further labels")
    if len(gained["values"]) < FEWEST_SEEDS:
        return f"{start} seem worth {what}, which {draws} cannot settle: {pair}."
    if interval[0] <= 0 <= interval[1]:
        span = f"the gain is {difference(gained, content)}"
        return f"{start} are worth nothing that {draws} can show: {pair}; {span}."
    if gained["mean"] < 0:
        what = "less than nothing"
    return f"{start} are worth {what}: {pair}."


def further(each: Mapping[str, Any], what: str = "") -> str:
    """Returns how many further labels the unlabelled rows are worth, in two digits."""
    number = each["further_labels"]
    if number is None:
        return "more labels than were tried" if what else "-"
    if each["more_than"]:
        return f"more than {number:,.0f}{what}"
    if number == 0:
        return f"0{what}"
    return f"as much as {_rounded(number):,}{what}" if what else f"{_rounded(number):,}"


def _rounded(number: float) -> int:
    """Returns a number in two digits, as no more of it can be known."""
    return max(1, int(float(f"{number:.2g}")))


def _draws(seeds: int) -> str:
    return "one draw" if seeds == 1 else f"{seeds} draws"
