"""Calls of the command line in this process."""

import contextlib
import threading
import time

from click.testing import CliRunner

from keras_sda_cli.program import program


def call(*arguments):
    """Returns the result of `keras-sda` with these arguments."""
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


def printed_by(*arguments) -> str:
    """Returns what a call that succeeds has printed."""
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments):
    """Returns the one sentence that a call is refused with, after "Error: "."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    assert "Traceback" not in result.output
    return lines[0].removeprefix("Error: ")


@contextlib.contextmanager
def as_soon_as(path, action):
    """Does something in another thread once a file is there."""
    over = threading.Event()

    def wait():
        while not path.exists() and not over.is_set():
            time.sleep(0.001)
        if not over.is_set():
            action()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
