#!/usr/bin/env python
"""Fuzzes the readers of files: python fuzz/run.py [--seconds 10] [--seed 0] [READER...]

Each reader has a process of its own; two run at a time. Ends with status 1 after a finding.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from readers import READERS, inputs, problem  # noqa: E402

_FINDINGS = HERE / "findings"
_MOST_BYTES = 2**29
# The address space of a process; TensorFlow alone takes some gigabytes of it.
_MOST_ADDRESSES = 2**34
_MOST_SECONDS = 5
_MOST_FINDINGS = 5


class _TooSlow(BaseException):
    """An input takes too long."""


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _stop(*_: object) -> None:
    raise _TooSlow


def fuzz(name: str, seconds: float, seed: int) -> int:
    """Feeds one reader until the time is over; returns the number of findings."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESSES, _MOST_ADDRESSES))
    signal.signal(signal.SIGALRM, _stop)
    warnings.simplefilter("ignore")
    found: set[str] = set()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        whole, read = READERS[name](folder)
        for content in whole:
            read(content)
        start, before, count, refused = time.monotonic(), _peak(), 0, 0
        for content in inputs(whole, seed):
            if time.monotonic() - start > seconds or len(found) == _MOST_FINDINGS:
                break
            count += 1
            # What kills the process is there for the next one to look at.
            (HERE / f"last-{name}").write_bytes(content)
            error: BaseException | None = None
            signal.alarm(_MOST_SECONDS)
            try:
                read(content)
            except _TooSlow as slow:
                error = slow
            except Exception as answer:
                error, refused = answer, refused + 1
            signal.alarm(0)
            wrong = problem(error, folder)
            if _peak() - before > _MOST_BYTES:
                wrong, before = f"{(_peak() - before) >> 20} MiB of memory", _peak()
            if wrong is not None and wrong not in found:
                found.add(wrong)
                _keep(name, len(found), content, wrong, error)
        (HERE / f"last-{name}").unlink(missing_ok=True)
    seconds = time.monotonic() - start
    print(
        f"{name}: {count} inputs, {refused} refused, in {seconds:.0f} s, at most "
        f"{(_peak() - before) >> 20} MiB more; {len(found)} findings",
        flush=True,
    )
    return len(found)


def _keep(name, number, content, wrong, error):
    _FINDINGS.mkdir(exist_ok=True)
    path = _FINDINGS / f"{name}-{number}"
    path.write_bytes(content)
    print(f"{name}: {wrong}; the input is {path}", flush=True)
    if error is not None:
        traceback.print_exception(error, limit=-4, chain=False)


def main() -> int:
    """Runs the readers that were named, or all; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--seconds", type=float, default=10.0, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", action="store_true", help="in this process, one reader")
    given = parser.parse_args()
    names = given.readers or list(READERS)
    if unknown := [name for name in names if name not in READERS]:
        parser.error(f"no reader {unknown[0]}: expected {', '.join(READERS)}")
    if given.here:
        return int(fuzz(names[0], given.seconds, given.seed) > 0)
    waiting, running, failed = list(names), {}, []
    while waiting or running:
        while waiting and len(running) < min(2, os.cpu_count() or 1):
            name = waiting.pop(0)
            options = ["--seconds", str(given.seconds), "--seed", str(given.seed), "--here"]
            command = [sys.executable, __file__, name, *options]
            running[name] = subprocess.Popen(command)  # noqa: S603  (this very script)
        for name, process in list(running.items()):
            if process.poll() is not None:
                del running[name]
                if process.returncode:
                    failed.append(f"{name} ({process.returncode})")
        time.sleep(0.1)
    if failed:
        print(f"Findings or crashes: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
