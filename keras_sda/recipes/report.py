"""Results of recipes: one JSON file each, a comparison in words, and the table of all."""

import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_sda import backend
from keras_sda._validation import shown
from keras_sda.experiments import json_files, run_folder
from keras_sda.experiments.figures import FIGURES
from keras_sda.recipes.recipe import Recipe

_SHAPE = {
    "figure": str,
    "versions": {},
    "experiment": {},
    "runs": [
        {
            "seed": int,
            "epochs": int,
            "minutes": {"*": json_files.NUMBER},
            "figure": json_files.NUMBER,
            "baseline": {
                "name": str,
                "unit": str,
                "theirs": json_files.NUMBER,
                "ours": json_files.NUMBER,
                "others?": {"*": json_files.NUMBER},
            },
        }
    ],
}


def new_report(recipe: Recipe, seeds: int) -> dict[str, Any]:
    """Returns the content of a recipe's JSON file before the first of `seeds` runs."""
    return {
        "name": recipe.name,
        "title": recipe.title,
        "source": recipe.source,
        "note": recipe.note,
        "figure": recipe.figure,
        "unit": FIGURES[recipe.figure][1],
        "published": recipe.published,
        "at_most": recipe.at_most,
        "command": command(recipe, seeds),
        "hardware": hardware(),
        "versions": run_folder.versions(),
        "experiment": recipe.settings(),
        "runs": [],
    }


def command(recipe: Recipe, seeds: int) -> str:
    """Returns the shell command that runs a recipe with `seeds` seeds."""
    name = recipe.name.removesuffix("-quick")
    quick = " --quick" if recipe.is_quick else ""
    prefix = "" if backend.IS_DEFAULT else f"KERAS_BACKEND={keras.backend.backend()} "
    return f"{prefix}keras-sda reproduce {name} --seeds {seeds}{quick}"


def difference(old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> str:
    """Returns in a few words the first thing in which the entry `key` of two reports differs."""
    before, now = old.get(key), new[key]
    name = key
    while isinstance(before, Mapping) and isinstance(now, Mapping):
        key = next(each for each in {**before, **now} if before.get(each) != now.get(each))
        name, before, now = f"{name} {key}", before.get(key), now.get(key)
    return f"another {name} ({before!r}, here {now!r})"[:300]


def summary(report: Mapping[str, Any]) -> tuple[float, float | None]:
    """Returns the mean over seeds and half the width of its 95 % interval (Student's t).

    The interval is `None` for a single seed.
    """
    return mean_and_half_width([run["figure"] for run in report["runs"]])


def mean_and_half_width(figures: Sequence[float]) -> tuple[float, float | None]:
    """Returns the mean of figures and half the width of its interval; see `summary`."""
    mean = sum(figures) / len(figures)
    if len(figures) < 2:
        return mean, None
    from scipy.stats import t

    deviation = math.sqrt(sum((figure - mean) ** 2 for figure in figures) / (len(figures) - 1))
    return mean, float(t.ppf(0.975, len(figures) - 1)) * deviation / math.sqrt(len(figures))


def _check(report: Any, owner: str) -> None:
    """Refuses what is not the content of a recipe's JSON file, with a run at least."""
    runs = report.get("runs") if isinstance(report, Mapping) else None
    if not isinstance(runs, list) or not runs or "title" not in report:
        raise ValueError(
            f"{owner} takes what reproduce() returns, a dictionary of a recipe and its runs. "
            f"Received: {shown(report)}"
        )


def describe(report: Mapping[str, Any]) -> str:
    """Returns published and measured figure side by side, in a few lines.

    Args:
        report: What `reproduce` has returned.

    Raises:
        ValueError: If it is something else, or has no run.
    """
    _check(report, "describe()")
    mean, half = summary(report)
    seeds = len(report["runs"])
    interval = "one seed"
    if half is not None:
        interval = f"± {number(half, mean)}, 95 % interval over {seeds} seeds"
    published = "none" if report["published"] is None else number(report["published"])
    lines = [
        f"{report['title']}: {report['figure']}, {report['unit']}",
        f"  published  {published} ({report['source']})",
        f"  measured   {number(mean)} ({interval})",
    ]
    if report["at_most"] is not None:
        reached = "reached" if mean <= report["at_most"] else "missed"
        lines.append(f"  at most    {number(report['at_most'])}: {reached}")
    baseline = report["runs"][-1]["baseline"]
    lines.append(
        f"  {baseline['name']}: {number(baseline['theirs'])}, this model "
        f"{number(baseline['ours'])} ({baseline['unit']}, last seed)"
    )
    for name, figure in baseline.get("others", {}).items():
        lines.append(f"  {name}: {number(figure)}")
    return "\n".join(lines)


def number(value: float, like: float | None = None) -> str:
    """Returns a figure as text, with digits according to its size or to that of another figure."""
    size = abs(value if like is None else like)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 0.5 or size == 0 else 4
    return f"{value:,.{digits}f}"


def with_interval(mean: float, half: float | None) -> str:
    """Returns a mean with half the width of its interval, as text."""
    return number(mean) if half is None else f"{number(mean)} ± {number(half, mean)}"


def measured(report: Mapping[str, Any]) -> str:
    """Returns the measured figure of a report, in bold, and whether it missed the one to reach."""
    mean, half = summary(report)
    missed = report["at_most"] is not None and mean > report["at_most"]
    return f"**{with_interval(mean, half)}**{' (missed)' if missed else ''}"


def table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Returns the table of reports in Markdown.

    Args:
        reports: What `reproduce` has returned, of each recipe.

    Raises:
        ValueError: If one is something else, or has no run.
    """
    for report in reports if isinstance(reports, (list, tuple)) else [reports]:
        _check(report, "table()")
    lines = [
        "| recipe | figure on test data | published | at most | measured, mean and 95 % interval "
        "| seeds | epochs | minutes a run |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for report in reports:
        runs = report["runs"]
        # The median, as a run on a busy machine says nothing.
        minutes = statistics.median(sum(run["minutes"].values()) for run in runs)
        epochs = sorted({run["epochs"] for run in runs})
        lines.append(
            f"| `{report['name']}`: {report['title']} | {report['figure']}, {report['unit']} "
            f"| {_or_dash(report['published'])} | {_or_dash(report['at_most'])} "
            f"| {measured(report)} | {seed_range(report)} "
            f"| {'-'.join(map(str, {epochs[0]: 0, epochs[-1]: 0}))} | {minutes:.1f} |"
        )
    return "\n".join(lines)


def _or_dash(value: float | None) -> str:
    return "-" if value is None else number(value)


def seed_range(report: Mapping[str, Any]) -> str:
    """Returns the first and the last seed of a report's runs."""
    count = len(report["runs"])
    return "0" if count == 1 else f"0 to {count - 1}"


def read(path: Path) -> dict[str, Any]:
    """Returns the content of a recipe's JSON file.

    Raises:
        ValueError: If it is damaged, or of a newer version.
    """
    return json_files.read(path, _SHAPE, "remove it, or name another output folder")


def hardware() -> str:
    """Returns the processor's name and the number of cores that may be used."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0].split(":")[1].strip() if models else name
    return f"{name}, {os.cpu_count()} cores"
