"""Kills `keras-sda train` at random moments, resumed until it is done: are the weights the same?

One run is never disturbed. Each of the others gets a signal at a random moment: some time after a
line of output drawn from all that the undisturbed run has printed, one per epoch. It resumes by
`--resume`, may get the next signal, and so on; the last attempt ends by itself. (A run that ends
before its first signal begins anew, with another moment.) Then the run must have the weights and
the history of the undisturbed one, bit for bit, the same files, and none of them broken.

Two levels on scikit-learn's digits, with noise, dropout and shuffled rows, Adam, and the patience
rule that stops fine-tuning and puts the best weights back. Other ways to train are those of
`_killed_ways.py`: other noise and precision, states between epochs, a ladder network, a table, and
from Python a memory map, codes on disk, and batches of a dataset.

    python benchmarks/kill_test.py --runs 30      # SIGKILL; about half an hour on two busy cores
    python benchmarks/kill_test.py --runs 6 --signal INT TERM
    python benchmarks/kill_test.py --runs 12 --ways all
"""

import argparse
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _killed_ways
import _measuring
import h5py
import numpy as np

STATUSES = {"KILL": -signal.SIGKILL, "INT": 130, "TERM": 143}
MOST_ATTEMPTS = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--kills", type=int, default=2, help="at most, per run; default: 2")
    parser.add_argument(
        "--signal",
        choices=STATUSES,
        nargs="+",
        default=["KILL"],
        help="one for all runs, or several in turns; default: KILL",
    )
    parser.add_argument(
        "--ways",
        choices=[*_killed_ways.WAYS, "all"],
        nargs="+",
        default=["usual"],
        help="one for all runs, or several in turns; all: all but the usual; default: usual",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments; default: 0")
    parser.add_argument("--quick", action="store_true", help="a few epochs only")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "resuming"
    )
    arguments = parser.parse_args()
    if "all" in arguments.ways:
        arguments.ways = [way for way in _killed_ways.WAYS if way != "usual"]
    folder = Path(tempfile.mkdtemp(prefix="kill_test_"))
    arguments.output.mkdir(parents=True, exist_ok=True)
    parts = ["kill_test", *map(str.lower, arguments.signal)]
    parts += [] if arguments.ways == ["usual"] else ["ways"]
    path = arguments.output / "-".join(parts)
    path = path.with_suffix(".json")
    try:
        for report in kill_test(arguments, folder):
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{report['bit_equal']} of {report['runs']} runs bit-equal, {report['whole_histories']} "
        f"histories whole, {report['broken_files']} broken files, {report['kills']} signals: {path}"
    )
    sys.exit(0 if report["passed"] else 1)


def kill_test(arguments: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Yields, after each run, what became of all so far."""
    draw = random.Random(arguments.seed)  # noqa: S311  # no secret
    undisturbed = {}
    for way in arguments.ways[: arguments.runs]:
        whole = folder / f"undisturbed {way}"
        attempt = Attempt(way, folder, whole, arguments.quick)
        status = attempt.end()
        if status != 0:
            raise RuntimeError(f"The undisturbed run ended with {status}: {attempt.errors}")
        undisturbed[way] = (whole, attempt.seconds, len(attempt.lines))
    runs = []
    for number in range(arguments.runs):
        run = folder / f"run{number}"
        name = arguments.signal[number % len(arguments.signal)]
        way = arguments.ways[number % len(arguments.ways)]
        whole, seconds, lines = undisturbed[way]
        moments: list[dict[str, Any]] = []
        problems: list[str] = []
        for _ in range(MOST_ATTEMPTS):
            attempt = Attempt(way, folder, run, arguments.quick)
            if len(moments) < arguments.kills:
                delay = draw.uniform(0, 2 * seconds / lines)
                status = attempt.end(draw.randint(1, lines), delay, name)
            else:
                status = attempt.end()
            if status == 0 and moments:
                break
            if status == 0:
                shutil.rmtree(run)  # it ended before its signal: another moment is drawn
                continue
            is_done = (run / "metrics.json").exists() and not (run / "backup").exists()
            # A signal that comes once all is written meets a process that no longer minds it.
            came_late = is_done and status == -getattr(signal, f"SIG{name}")
            if status != STATUSES[name] and not came_late:
                problems.append(f"status {status}: {attempt.errors[-500:]}")
                break
            latest = [line.replace(f"{folder}/", "") for line in attempt.lines[-1:]]
            moments.append({"seconds": round(attempt.seconds, 3), "after": latest})
            lines_told = attempt.errors.strip().splitlines()
            told = [line for line in lines_told if not line.startswith("Resuming after ")]
            is_command = name != "KILL" and way in _killed_ways.COMMANDS
            if is_command and not is_done and (len(told) != 1 or "--resume" not in told[0]):
                problems.append(f"not one line that says how to go on: {attempt.errors[-500:]}")
        result = {"way": way, "signal": name, "moments": moments, "problems": problems}
        runs.append({**result, **compare(whole, run)})
        print(f"run {number + 1} of {arguments.runs}: {runs[-1]}", flush=True)
        shutil.rmtree(run, ignore_errors=True)
        yield _report(arguments, undisturbed, runs)


def _report(arguments, undisturbed, runs):
    commands = {way: _killed_ways.COMMANDS.get(way) for way in arguments.ways}
    report = {
        "command": " ".join(["python", "benchmarks/kill_test.py", *sys.argv[1:]]),
        "hardware": _measuring.hardware(),
        "versions": _measuring.versions(),
        "options": commands,
        "signals": arguments.signal,
        "undisturbed_seconds": {way: round(s, 1) for way, (_, s, _) in undisturbed.items()},
        "runs": len(runs),
        "kills": sum(len(run["moments"]) for run in runs),
        "bit_equal": sum(run["bit_equal"] for run in runs),
        "whole_histories": sum(run["whole_history"] for run in runs),
        "broken_files": sum(len(run["broken_files"]) for run in runs),
        "each": runs,
    }
    passed = all(run["bit_equal"] and run["whole_history"] for run in runs)
    clean = not any(run["broken_files"] or run["problems"] for run in runs)
    return {**report, "passed": passed and clean}


class Attempt:
    """One process that trains or resumes; its clock starts with its first line of output."""

    def __init__(self, way: str, folder: Path, run: Path, quick: bool):
        if way in _killed_ways.IN_PYTHON:
            program = [_killed_ways.__file__, way, str(run), *(["--quick"] if quick else [])]
        elif (run / "config.json").exists():
            program = ["-m", "keras_sda_cli", "train", "--resume", str(run)]
        else:
            options = _killed_ways.options(way, folder, quick)
            program = ["-m", "keras_sda_cli", "train", *options, "--output", str(run)]
        program = [sys.executable, "-u", *program]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # lives as long as this
        # Where this script runs in the background, Ctrl-C would be ignored.
        self.process = subprocess.Popen(  # noqa: S603  # our own program
            program,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            # Without it the command holds back what TensorFlow writes for its developers.
            env={key: os.environ[key] for key in os.environ if key != "TF_CPP_MIN_LOG_LEVEL"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.lines: list[str] = []

    def end(self, after: int | None = None, delay: float = 0, name: str = "KILL") -> int:
        """Waits for the end, or sends a signal some time after a line of output; returns status."""
        start = None
        for line in self.process.stdout or ():
            start = start or time.perf_counter()
            self.lines.append(line.rstrip())
            if len(self.lines) == after:
                time.sleep(delay)
                self.process.send_signal(getattr(signal, f"SIG{name}"))
        status = self.process.wait()
        self.seconds = time.perf_counter() - (start or time.perf_counter())
        return status

    @property
    def errors(self) -> str:
        """What was written to standard error."""
        self._errors.seek(0)
        return self._errors.read()


def compare(whole: Path, run: Path) -> dict[str, Any]:
    """Returns whether a run has the weights, the history and the files of the undisturbed one."""
    files = [{str(path.relative_to(top)) for path in top.rglob("*")} for top in (whole, run)]
    broken = sorted(files[0] ^ files[1])
    pictures = [path for path in run.glob("*.png") if b"IEND" not in path.read_bytes()[-12:]]
    broken += [path.name for path in pictures]
    equal = same_history = False
    try:
        one, other = (_arrays(top / "model.keras") for top in (whole, run))
        equal = one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)
        figures = [json.loads((top / "metrics.json").read_text()) for top in (whole, run)]
        for figure in figures:
            del figure["minutes"]
        same_history = figures[0] == figures[1]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        broken.append(str(error))
    return {"bit_equal": equal, "whole_history": same_history, "broken_files": broken}


def _arrays(path):
    """Returns the arrays in a model's file, optimizer included; Keras would start TensorFlow."""
    arrays = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
        if bad is not None:
            raise zipfile.BadZipFile(f"{bad} in {path} is damaged")
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            file.visititems(take)
    return arrays


if __name__ == "__main__":
    main()
