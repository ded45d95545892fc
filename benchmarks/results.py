"""Collects finished runs into `results/*.json`, and makes the README's table of these files.

    python benchmarks/results.py collect NAME "TITLE" RUN [RUN ...]
    python benchmarks/results.py table      # puts it into the README

Runs are folders that `keras-sda train` has written, one per seed.
"""

import json
import os
import platform
import shlex
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"


def collect(name, title, folders):
    """Writes `results/NAME.json`: the options that the runs share, and each seed's figures."""
    runs = []
    shared = None
    for folder in map(Path, folders):
        config = json.loads((folder / "config.json").read_text())
        metrics = json.loads((folder / "metrics.json").read_text())
        seed = config.pop("seed")
        options = {key: config[key] for key in config if key not in ("data_dir", "scaling")}
        if shared not in (None, options):
            raise SystemExit(f"{folder} was made with other options than the runs before it.")
        shared = options
        keep = ("valid", "test", "best_epoch", "minutes")
        runs.append({"seed": seed, **{key: metrics[key] for key in keep}})
    runs.sort(key=lambda run: run["seed"])
    if [run["seed"] for run in runs] != list(range(len(runs))):
        raise SystemExit("The seeds must be 0, 1, 2, ... with none left out.")
    content = {"title": title, "hardware": hardware(), "options": shared, "runs": runs}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    print(path)


def hardware():
    """Returns the processor's name and the number of cores."""
    cpuinfo = Path("/proc/cpuinfo")
    name = platform.processor() or platform.machine()
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0].split(":")[1].strip() if models else name
    return f"{name}, {os.cpu_count()} cores"


def command(options):
    """Returns the command line that makes such a run, but for the seed."""
    from keras_sda.cli import main

    given = main.commands["train"].make_context("train", []).params
    words = ["keras-sda", "train"]
    for name, default in given.items():
        if name in ("untied", "no_pretrain"):
            if options["tied" if name == "untied" else "pretrain"] == default:
                words.append("--" + name.replace("_", "-"))
            continue
        value = options.get(name, default)
        plain = default[0] if isinstance(default, list) and len(default) == 1 else default
        if value != plain and value is not None:
            text = (
                ",".join(map(str, value))
                if isinstance(value, list)
                else f"{value:g}"
                if (isinstance(value, float))
                else str(value)
            )
            words += ["--" + name.replace("_", "-"), text]
    return shlex.join(words)


def table():
    """Returns the table of all results, in Markdown."""
    lines = [
        "| run | seeds | validation error | test error, each seed | mean | minutes a run |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    notes = []
    for path in sorted(RESULTS.glob("*.json")):
        content = json.loads(path.read_text())
        runs = content["runs"]
        test = [100 * run["test"]["error"] for run in runs]
        valid = [100 * run["valid"]["error"] for run in runs]
        minutes = [sum(run["minutes"].values()) for run in runs]
        seeds = f"0 to {len(runs) - 1}" if len(runs) > 1 else "0"
        lines.append(
            f"| {content['title']} | {seeds} | {sum(valid) / len(valid):.2f} % | "
            f"{' / '.join(f'{error:.2f}' for error in test)} | "
            f"**{sum(test) / len(test):.2f} %** | {sum(minutes) / len(minutes):.1f} |"
        )
        notes.append(f"- {content['title']}: `{command(content['options'])} --seed N`")
    return "\n".join([*lines, "", *notes])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["collect", name, title, *folders] if folders:
            collect(name, title, folders)
        case ["table"]:
            text = README.read_text()
            start, end = "results.py table -->\n", "\n<!-- end -->"
            before, rest = text.split(start)
            README.write_text(before + start + table() + end + rest.split(end)[1])
        case _:
            raise SystemExit(__doc__)
