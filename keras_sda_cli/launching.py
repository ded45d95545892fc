"""A local cluster: several processes of the command line on one machine, each a worker.

Each process gets the list of all workers and its own number in `TF_CONFIG`, as TensorFlow's
multi-worker strategy reads it. On several machines Slurm, Kubernetes or another scheduler does what
is done here.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

# Where `keras-sda train` finds its strategy if it is not told.
STRATEGY_VARIABLE = "KERAS_SDA_STRATEGY"

# Seconds in which workers may end by themselves: after another one failed, so that they can tell
# what they saw of it; and after a signal.
GRACE = 30.0


def free_addresses(count: int) -> list[str]:
    """Returns addresses of this machine, `127.0.0.1:PORT`, at which nothing listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


def worker_environment(addresses: Sequence[str], number: int) -> dict[str, str]:
    """Returns the variables that make a process one of the workers at these addresses.

    Example:

    >>> worker_environment(["127.0.0.1:4000", "127.0.0.1:4001"], 1)["KERAS_SDA_STRATEGY"]
    'multi_worker'
    """
    cluster = {"worker": list(addresses)}
    config = {"cluster": cluster, "task": {"type": "worker", "index": number}}
    return {"TF_CONFIG": json.dumps(config), STRATEGY_VARIABLE: "multi_worker"}


def launch(
    arguments: Sequence[str], workers: int, environment: Mapping[str, str] | None = None
) -> int:
    """Runs `keras-sda` with these arguments in several processes that train together.

    What they print is passed on, line by line, with `[NUMBER]` in front. When one fails, the others
    get some seconds to notice and are then ended; so they are by Ctrl-C and SIGTERM, which are
    passed on.

    Args:
        arguments: Those of one worker, such as `["train", "--data", "mnist"]`.
        workers: How many processes to start.
        environment: Variables of the workers; those of this process by default.

    Returns:
        The exit status: 0 if all workers succeeded, else that of the one which failed first, 128
        plus the number of the signal if one ended it.
    """
    environment = os.environ if environment is None else environment
    addresses = free_addresses(workers)
    command = [sys.executable, "-m", "keras_sda_cli", *arguments]
    processes: list[subprocess.Popen[str]] = []
    readers = []
    with _signals_passed_on(processes) as received:
        try:
            for number in range(workers):
                process = subprocess.Popen(  # noqa: S603  (this very command)
                    command,
                    env={**environment, **worker_environment(addresses, number)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    # The terminal's Ctrl-C reaches this process alone, which passes it on once.
                    start_new_session=True,
                )
                processes.append(process)
                for source, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
                    readers.append(threading.Thread(target=_pass_on, args=(source, target, number)))
                    readers[-1].start()
            return _first_failure(processes, received)
        finally:
            _end(processes)
            for reader in readers:
                reader.join()


@contextlib.contextmanager
def _signals_passed_on(processes):
    """Passes SIGINT and SIGTERM on to all processes; yields the list of those received."""
    received: list[int] = []

    def pass_on(number, frame):
        received.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {one: signal.signal(one, pass_on) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _pass_on(source, target, number):
    for line in source:
        target.write(f"[{number}] {line}")
        target.flush()


def _first_failure(processes, received):
    """Waits until all have ended, or one has failed and the grace is over; returns the status."""
    status, deadline = 0, float("inf")
    running = list(processes)
    while running and time.monotonic() < deadline:
        time.sleep(0.1)
        for process in [one for one in running if one.poll() is not None]:
            running.remove(process)
            if process.returncode != 0 and status == 0:
                code = process.returncode
                status = 128 - code if code < 0 else code
                deadline = time.monotonic() + GRACE
                if running:
                    number = processes.index(process)
                    sys.stderr.write(
                        f"Worker {number} ended with status {status}: the others end, too.\n"
                    )
        if received and deadline == float("inf"):
            deadline = time.monotonic() + GRACE
    if status == 0 and received:
        return 128 + received[0]
    return status


def _end(processes):
    """Ends what still runs: by SIGTERM, and what has not ended soon by SIGKILL."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + GRACE / 4
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        if process.poll() is None:
            process.kill()
            process.wait()
