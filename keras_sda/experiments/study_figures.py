"""What the errors of a study say: means, paired gains, further labels, and which method to take."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_sda.experiments.contestants import Contestant, contestants
from keras_sda.experiments.figures import mean_interval

# With fewer draws an interval is too wide to call a simpler method as good.
FEWEST_SEEDS = 3


def summarise(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the file of a finished study says, as plain values.

    Args:
        content: What `study.json` holds.

    Returns:
        `errors`: by contestant and number of labels, the mean over the seeds and its 95 % interval
        (Student's t), and the values themselves. `figures`: the same of balanced accuracy and
        ROC-AUC, or R2. `gains`: by how much the error of one that uses unlabelled rows is below
        that of one that does not, paired by seed. `worth`: how many
        further labels the unlabelled rows are worth to each contestant, beside its nearest kin
        that does without them; `worth_of_best`: the same of the best with them, beside the best
        without. `verdicts`: which contestant is best with each number of labels, and which to
        take.
    """
    settings = content["settings"]
    counts = settings["labels"]
    entries = entries_of(content)
    errors = {each.name: _means(content, each.name) for each in entries}
    return {
        "errors": errors,
        "figures": _figures(content, entries),
        "gains": _gains(entries, errors, counts),
        "worth": _worth(entries, errors, counts, content["data"]["rows"]),
        "worth_of_best": _worth_of_best(entries, errors, counts, content["data"]["rows"]),
        "verdicts": [_verdict(entries, errors, count) for count in counts],
    }


def entries_of(content: Mapping[str, Any]) -> list[Contestant]:
    """Returns the contestants of a study, in their order."""
    names = content["settings"]["contestants"]
    known = contestants(content["data"]["is_classification"])
    return [each for each in known if each.name in names]


def _figures(content: Mapping[str, Any], entries: Sequence[Contestant]) -> dict[str, Any]:
    """Returns the other figures by name, contestant and number of labels."""
    names = dict.fromkeys(
        figure for each in content["results"] for figure in each.get("figures", ())
    )
    return {
        figure: {each.name: _means(content, each.name, figure) for each in entries}
        for figure in names
    }


def _means(
    content: Mapping[str, Any], name: str, figure: str | None = None
) -> dict[str, dict[str, Any]]:
    """Returns a contestant's errors, or another figure, by number of labels, seed by seed."""
    measured: dict[str, dict[str, Any]] = {}
    for count in content["settings"]["labels"]:
        done = [
            each
            for each in content["results"]
            if each["contestant"] == name and each["labels"] == count and "error" in each
        ]
        of_seed = {
            each["seed"]: each["error"] if figure is None else each["figures"][figure]
            for each in done
            if figure is None or figure in each.get("figures", ())
        }
        if of_seed:
            measured[str(count)] = mean_and_interval([of_seed[seed] for seed in sorted(of_seed)])
    return measured


def mean_and_interval(values: Sequence[float]) -> dict[str, Any]:
    """Returns the values, their mean, and its 95 % interval, `None` for a single value."""
    array = np.asarray(values, dtype="float64")
    interval = list(mean_interval(array)) if len(array) > 1 else None
    return {"mean": float(array.mean()), "interval": interval, "values": array.tolist()}


def gain(rival: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Returns by how much our errors are below a rival's on the same draws: above 0 is better."""
    differences = np.subtract(rival["values"], ours["values"])
    return mean_and_interval(differences)


def _gains(
    entries: Sequence[Contestant], errors: Mapping[str, Any], counts: Sequence[int]
) -> list[dict[str, Any]]:
    return [
        {"labels": count, "ours": ours.name, "rival": rival.name}
        | gain(errors[rival.name][str(count)], errors[ours.name][str(count)])
        for count in counts
        for ours in entries
        if ours.uses_unlabelled and str(count) in errors[ours.name]
        for rival in entries
        if not rival.uses_unlabelled and str(count) in errors[rival.name]
    ]


def _worth(
    entries: Sequence[Contestant],
    errors: Mapping[str, Any],
    counts: Sequence[int],
    rows: int,
) -> list[dict[str, Any]]:
    worth = []
    for ours in entries:
        theirs = errors.get(ours.without or "", {})
        means = {count: theirs[str(count)]["mean"] for count in counts if str(count) in theirs}
        for count in means:
            if count < rows and str(count) in errors[ours.name]:  # some have no label
                entry = {"labels": count, "ours": ours.name, "without": ours.without}
                error = errors[ours.name][str(count)]
                worth.append(entry | _compared(means, count, error, theirs[str(count)]))
    return worth


def _worth_of_best(
    entries: Sequence[Contestant],
    errors: Mapping[str, Any],
    counts: Sequence[int],
    rows: int,
) -> list[dict[str, Any]]:
    def best(count: int, uses_unlabelled: bool) -> str | None:
        names = [each.name for each in entries if each.uses_unlabelled == uses_unlabelled]
        present = [name for name in names if str(count) in errors[name]]
        return min(present, key=lambda name: errors[name][str(count)]["mean"], default=None)

    rivals = {count: name for count in counts if (name := best(count, False)) is not None}
    means = {count: errors[name][str(count)]["mean"] for count, name in rivals.items()}
    worth = []
    for count, rival in rivals.items():
        ours = best(count, True)
        if ours is not None and count < rows:
            error, theirs = errors[ours][str(count)], errors[rival][str(count)]
            entry = {"labels": count, "ours": ours, "without": rival}
            worth.append(entry | _compared(means, count, error, theirs))
    return worth


def _compared(
    means: Mapping[int, float], count: int, ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what our error is worth in labels, on the curve of the others' means."""
    further, is_bound = further_labels(list(means), list(means.values()), count, ours["mean"])
    return {"further_labels": further, "more_than": is_bound, "gain": gain(theirs, ours)}


def further_labels(
    counts: Sequence[int], errors: Sequence[float], labels: int, error: float
) -> tuple[float | None, bool]:
    """Returns how many labels more a method needs to come down to an error.

    Between two numbers of labels its error is taken to lie on a line over their logarithm.

    Args:
        counts: Numbers of labels, ascending.
        errors: Its errors with them.
        labels: One of `counts`, from which labels are added.
        error: The error to reach.

    Returns:
        The number, 0 if the error is reached with `labels` already, and whether it is a lower
        bound, as the error is not reached with any of `counts`; `None` if there is none above
        `labels` to look at.

    Example:

    >>> further_labels([10, 100, 1000], [0.3, 0.2, 0.1], 10, 0.25)
    (21.6..., False)
    >>> further_labels([10, 100, 1000], [0.3, 0.2, 0.1], 100, 0.05)
    (900.0, True)
    """
    start = list(counts).index(labels)
    if errors[start] <= error:
        return 0.0, False
    for number in range(start + 1, len(counts)):
        low, high = math.log(counts[number - 1]), math.log(counts[number])
        above, below = errors[number - 1], errors[number]
        if below <= error:
            share = (above - error) / (above - below)
            return math.exp(low + share * (high - low)) - labels, False
    if start == len(counts) - 1:
        return None, True
    return float(counts[-1] - labels), True


def _verdict(
    entries: Sequence[Contestant], errors: Mapping[str, Any], count: int
) -> dict[str, Any]:
    """Returns the best contestant with some labels, and the best simpler one if it is as good."""
    own = {each: errors[each.name].get(str(count)) for each in entries}
    present = {each: figure for each, figure in own.items() if figure is not None}

    def lowest(among: Sequence[Contestant]) -> Contestant:
        return min(among, key=lambda each: present[each]["mean"])

    best = lowest(list(present))
    efforts = sorted({each.effort for each in present if each.effort < best.effort})
    verdict: dict[str, Any] = {"labels": count, "best": best.name, "take": best.name}
    verdict |= {"is_simple": not efforts, "difference": None}
    if len(present[best]["values"]) < FEWEST_SEEDS:
        return verdict
    for effort in efforts:
        simpler = lowest([each for each in present if each.effort == effort])
        difference = gain(present[simpler], present[best])
        if difference["interval"][0] <= 0:
            return verdict | {"take": simpler.name, "difference": difference}
    return verdict
