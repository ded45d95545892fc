"""Kills `keras-sda train` at random moments, resumed until it is done: are the weights the same?

One run is never disturbed. Each of the others gets a signal at a moment drawn evenly from the time
that the undisturbed run took from its first line of output on, goes on by `--resume`, gets the next
signal, and so on; the last attempt ends by itself. Then the run must have the weights and the
history of the undisturbed one, bit for bit, the same files, and none of them broken.

Two levels on scikit-learn's digits, with noise, dropout and shuffled rows, Adam, and the patience
rule that stops fine-tuning and puts the best weights back.

    python benchmarks/kill_test.py --runs 30      # SIGKILL; about half an hour on two busy cores
    python benchmarks/kill_test.py --runs 6 --signal INT TERM
"""

import argparse
import importlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _measuring
import h5py
import numpy as np

OPTIONS = [
    *("--units", "64,32", "--noise", "masking", "--noise-level", "0.3", "--batch-size", "10"),
    *("--pretrain-epochs", "10", "--pretrain-optimizer", "adam"),
    *("--pretrain-learning-rate", "0.001", "--epochs", "20", "--optimizer", "adam"),
    *("--learning-rate", "0.003", "--schedule", "constant", "--patience", "5"),
]
QUICK = ["--pretrain-epochs", "3", "--epochs", "4"]
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
    parser.add_argument("--seed", type=int, default=0, help="of the moments; default: 0")
    parser.add_argument("--quick", action="store_true", help="a few epochs only")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "resuming"
    )
    arguments = parser.parse_args()
    # What an attempt needs, before the first is forked.
    for name in ("cli", "experiments", "plots", "datasets"):
        importlib.import_module(f"keras_sda.{name}")
    for name in ("matplotlib.pyplot", "scipy.stats", "sklearn.datasets"):
        importlib.import_module(name)
    folder = Path(tempfile.mkdtemp(prefix="kill_test_"))
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "-".join(["kill_test", *map(str.lower, arguments.signal)])
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
    options = [*OPTIONS, *(QUICK if arguments.quick else [])]
    draw = random.Random(arguments.seed)  # noqa: S311  # no secret
    whole = folder / "undisturbed"
    attempt = Attempt([*options, "--output", str(whole)])
    status, lines = attempt.end()
    if status != 0:
        raise RuntimeError(f"The undisturbed run ended with {status}: {attempt.errors}")
    seconds = attempt.seconds
    runs = []
    for number in range(arguments.runs):
        run = folder / f"run{number}"
        name = arguments.signal[number % len(arguments.signal)]
        moments: list[dict[str, Any]] = []
        problems: list[str] = []
        for _ in range(MOST_ATTEMPTS):
            has_begun = (run / "config.json").exists()
            where = ["--resume", str(run)] if has_begun else [*options, "--output", str(run)]
            attempt = Attempt(where)
            if len(moments) < arguments.kills:
                status, lines = attempt.end(draw.uniform(0, seconds), name)
            else:
                status, lines = attempt.end()
            if status == 0:
                break
            if status != STATUSES[name]:
                problems.append(f"status {status}: {attempt.errors[-500:]}")
                break
            moments.append({"seconds": round(attempt.seconds, 3), "after": lines[-1:]})
            told = attempt.errors.strip().splitlines()
            is_done = (run / "metrics.json").exists() and not (run / "backup").exists()
            if name != "KILL" and not is_done and (len(told) != 1 or "--resume" not in told[0]):
                problems.append(f"not one line that says how to go on: {attempt.errors[-500:]}")
        runs.append(
            {"signal": name, "moments": moments, "problems": problems, **compare(whole, run)}
        )
        print(f"run {number + 1} of {arguments.runs}: {runs[-1]}", flush=True)
        shutil.rmtree(run, ignore_errors=True)
        yield _report(arguments, options, whole, seconds, runs)


def _report(arguments, options, whole, seconds, runs):
    report = {
        "command": " ".join(["python", "benchmarks/kill_test.py", *sys.argv[1:]]),
        "hardware": _measuring.hardware(),
        "versions": json.loads((whole / "config.json").read_text())["versions"],
        "options": options,
        "signals": arguments.signal,
        "undisturbed_seconds": round(seconds, 1),
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
    """One process of `keras-sda train`; its clock starts with its first line of output.

    Forked from this process, which has imported everything and computed nothing, so that an attempt
    does not take longer to start than to train.
    """

    def __init__(self, options: list[str]):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # lives as long as this
        output, entry = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            os.dup2(entry, 1)
            os.dup2(self._errors.fileno(), 2)
            _train(options)
        os.close(entry)
        self.lines: list[str] = []
        self.seconds = 0.0
        self._begun = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(output,))
        self._reader.start()

    def _read(self, output):
        with os.fdopen(output) as lines:
            for line in lines:
                self._begun.set()
                self.lines.append(line.rstrip())
        self._begun.set()

    def end(self, after: float | None = None, name: str = "KILL") -> tuple[int, list[str]]:
        """Waits for the end, or sends a signal after some seconds; returns status and output."""
        self._begun.wait()
        start = time.perf_counter()
        if after is not None:
            self._reader.join(after)  # which ends with the process
            if self._reader.is_alive():
                os.kill(self.process, getattr(signal, f"SIG{name}"))
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        self.seconds = time.perf_counter() - start
        self._reader.join()
        return status, self.lines

    @property
    def errors(self) -> str:
        """What was written to standard error."""
        self._errors.seek(0)
        return self._errors.read()


def _train(options):
    """Runs the command in a forked process, and ends that as Python itself would."""
    from keras_sda import cli

    status = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main(["train", *options], prog_name="keras-sda")
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
