"""What the benchmarks share: worker processes, figures and their spread, tables and files."""

import argparse
import importlib.util
import itertools
import json
import math
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

# Nothing that imports Keras up here: a worker for PyTorch or NumPy must not load TensorFlow too.

HERE = Path(__file__).parent
PACKAGES = ["keras-sda", "keras", "tensorflow", "jax", "torch", "scikit-learn", "pyod", "numpy"]


def parser(description: str, repeats: int = 5) -> argparse.ArgumentParser:
    """Returns a parser with the options that every benchmark has."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--repeats", type=int, default=repeats, help="default: %(default)s")
    options.add_argument("--quick", action="store_true", help="tiny sizes; figures mean nothing")
    options.add_argument(
        "--output", type=Path, default=HERE / "results" / "speed", help="folder of JSON and picture"
    )
    return options


class WorkerError(RuntimeError):
    """What went wrong inside a worker process."""


class Worker:
    """A process that runs functions of a script, one at a time, for as long as it is wanted.

    Libraries that cannot live in one process each have their own, and still take turns: a worker
    that nothing is asked of waits for its standard input.

    Args:
        script: File to run, which ends in `serve`.
        *arguments: Its arguments.
        python: The Python that runs it; by default this one.
        **environment: Environment variables to add.
    """

    def __init__(
        self,
        script: str | Path,
        *arguments: str,
        python: str = sys.executable,
        **environment: str,
    ):
        self._process = subprocess.Popen(  # noqa: S603  (this repository's own scripts)
            [python, str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def call(self, function: str, **arguments: Any) -> Any:
        """Runs a function in the process and returns what it returns, as JSON carries it.

        Raises:
            WorkerError: If the function failed, or the process ended.
        """
        try:
            print(json.dumps([function, arguments]), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"the worker ended with code {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def serve(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Answers the calls of a `Worker` until it closes: what a worker's script ends in."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": functions[name](**arguments)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def main_or_serve(main: Callable[[], Any], **functions: Callable[..., Any]) -> None:
    """Runs a script's `main`, or, where a `Worker` has started it with `--serve`, its functions."""
    if "--serve" in sys.argv:
        serve(functions)
    else:
        main()


class PeakMemory:
    """The largest anonymous memory of this process inside a `with` block, looked at every 5 ms.

    Anonymous memory is what has no file behind it and so cannot be given back under pressure; the
    pages of a memory-mapped file do not count. Linux only; elsewhere `peak` stays `None`.

    Attributes:
        start: Bytes on entry.
        peak: Most bytes until the end.
    """

    def __enter__(self):
        self.start = self.peak = anonymous_memory()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if self.start is not None:
            self._thread.start()
        return self

    def _watch(self):
        while not self._done.wait(0.005):
            self.peak = max(self.peak, anonymous_memory())

    def __exit__(self, *exception):
        self._done.set()
        if self.start is not None:
            self._thread.join()
            self.peak = max(self.peak, anonymous_memory())


def anonymous_memory() -> int | None:
    """Returns the anonymous memory of this process in bytes, or `None` where it is not told."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    for line in status.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return None


def epoch_timer():
    """Returns a Keras callback that notes, in its list `ends`, when each epoch ends.

    The time between two ends is one whole epoch, with all that Keras does between epochs. The first
    epoch, which holds the compilation, has no end before it, and so drops out.
    """
    import keras  # a worker chooses the backend before

    class EpochTimer(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.ends = []

        def on_epoch_end(self, epoch, logs=None):
            self.ends.append(time.perf_counter())

        @property
        def seconds(self):
            return [after - before for before, after in itertools.pairwise(self.ends)]

    return EpochTimer()


def is_installed(*packages: str) -> bool:
    """Whether all of these can be imported."""
    return all(importlib.util.find_spec(package) is not None for package in packages)


def python_with(package: str) -> str | None:
    """Returns a Python that has a package: this one, else that of KERAS_SDA_OTHER_PYTHON."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{package}') is None)"
    for python in (sys.executable, os.environ.get("KERAS_SDA_OTHER_PYTHON")):
        if python and subprocess.run([python, "-c", code]).returncode == 0:  # noqa: S603
            return python
    return None


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Returns median and spread of the repeats, and all of them."""
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
        "values": list(values),
    }


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Returns the summary of ours / theirs, taken within each repeat.

    Both were measured within seconds of each other there, so that what slows the machine for a
    while leaves the ratio alone.
    """
    return summary([one / other for one, other in zip(ours, theirs, strict=True)])


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Returns `p` of `cost = c * size ** p`, by least squares on the logarithms."""
    x = [math.log(size) for size in sizes]
    y = [math.log(cost) for cost in costs]
    return statistics.linear_regression(x, y).slope


def spread(figures: Mapping[str, Any], digits: int = 0) -> str:
    """Returns a summary as text: the median, and the range of the repeats."""
    low, high = figures["lowest"], figures["highest"]
    return f"{figures['median']:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Returns a table in Markdown whose columns are aligned."""
    lines = [[str(entry) for entry in line] for line in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(entry.ljust(w) for entry, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def new_report(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what stands beside the figures in every JSON file."""
    return {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "hardware": hardware(),
        "load_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "threads": num_threads(),
        "versions": versions(),
        "repeats": options.repeats,
        "quick": options.quick,
    }


def resume_option(options: argparse.ArgumentParser) -> None:
    """Adds the option that `older` heeds."""
    options.add_argument("--resume", action="store_true", help="keep what else the file holds")


def older(
    options: argparse.Namespace, report: Mapping[str, Any], name: str, settings: Sequence[str]
) -> dict[str, Any]:
    """Returns what the file of a benchmark holds, if it is to be resumed, or nothing.

    Ends the program if that was measured on other hardware or by other settings: what is measured
    now may not be mixed with it, and would replace it.

    Args:
        options: Of the command line.
        report: What is to be measured now.
        name: Name of the benchmark, whose file may not exist.
        settings: Names of what has to be the same beside hardware, threads and repeats.
    """
    path = options.output / f"{name}.json"
    if not options.resume or not path.exists():
        return {}
    found = read(path)
    different = _differences(found, report, ("threads", *settings))
    if different:
        raise SystemExit(
            f"--resume keeps what {path} holds, which differs in {', '.join(different)}: leave out "
            "--resume to measure all anew, or name another --output."
        )
    return found


def earlier(
    options: argparse.Namespace,
    report: Mapping[str, Any],
    name: str,
    settings: Sequence[str] = (),
) -> dict[str, Any]:
    """Returns what the file of a benchmark holds, if the same was measured, or nothing.

    Args:
        options: Of the command line.
        report: What is to be measured now.
        name: Name of the benchmark, whose file may not exist.
        settings: Names of what has to be the same beside hardware and repeats.
    """
    path = options.output / f"{name}.json"
    found = read(path) if path.exists() else {}
    return {} if _differences(found, report, settings) else found


def _differences(found, report, settings):
    """Returns the names of what was another when the content of a file was measured."""
    same = ("hardware", "repeats", "quick", *settings)
    return [name for name in same if found.get(name) != report[name]]


def read(path: Path) -> dict[str, Any]:
    """Returns what a benchmark's JSON file holds."""
    from keras_sda.experiments import json_files

    return json_files.read(path, {}, "remove it, and measure again")


def source(report: Mapping[str, Any]) -> dict[str, Any]:
    """Returns by which command, where, and with which versions a part of a report is measured."""
    return {name: report[name] for name in ("command", "hardware", "versions")}


def hardware() -> str:
    """Returns the names of the processor and of the graphics processors, if there are any."""
    from keras_sda.recipes import report

    text = report.hardware()
    tool = shutil.which("nvidia-smi")
    if tool:
        command = [tool, "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
        text = ", ".join([text, *found.stdout.splitlines()])
    return text


def num_threads() -> int:
    """Returns the number of cores that this process may use, which all contestants get."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def versions() -> dict[str, str]:
    """Returns the versions of the packages that are compared."""
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def save(content: Mapping[str, Any], folder: Path, name: str, figure: Any = None) -> None:
    """Writes `name.json`, and beside it the picture once there is one: a Matplotlib `Figure`."""
    from keras_sda.experiments import run_folder

    run_folder.writable_folder(folder)
    run_folder.save_json(content, folder / f"{name}.json")
    if figure is not None:
        figure.savefig(folder / f"{name}.png", dpi=120)
        print(f"\n{folder / name}.json and .png written", flush=True)
