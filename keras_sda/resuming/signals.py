"""Ctrl-C and SIGTERM, held back until training reaches a point that it can be resumed from."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class HeldSignals:
    """A context manager that notes Ctrl-C and SIGTERM instead of obeying at once.

    A second signal is obeyed as ever. Outside the main thread, where Python allows no handlers,
    nothing is held back.

    Attributes:
        received: The signal that came, or `None`.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "HeldSignals":
        self.received = None
        if threading.current_thread() is threading.main_thread():
            # A handler that was not set from Python cannot be put back.
            found = {number: signal.getsignal(number) for number in SIGNALS}
            self._before = {
                number: handler
                for number, handler in found.items()
                if handler not in (None, signal.SIG_IGN)
            }
            for number in self._before:
                signal.signal(number, self._note)
        return self

    def _note(self, number, frame):
        self.received = number
        self._put_back()

    def _put_back(self):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __exit__(self, *error: object) -> None:
        self._put_back()


def interruption(number: int, message: str) -> BaseException:
    """Returns what a signal is answered with: `KeyboardInterrupt`, or an exit with status 143."""
    if number == signal.SIGINT:
        return KeyboardInterrupt(message)
    return Terminated(message)


def exit_status(interruption: BaseException) -> int:
    """Returns the status that a program ends with: 143 after SIGTERM, 130 after Ctrl-C."""
    return 143 if isinstance(interruption, Terminated) else 130


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Lets SIGTERM end the block by `Terminated`, so that it cleans up behind it."""

    def end(number, frame):
        raise Terminated

    before = signal.getsignal(signal.SIGTERM)
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if is_main and before is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, before)


class Terminated(SystemExit):
    """The end of a process that was asked to end by SIGTERM.

    Args:
        message: What was saved.
    """

    def __init__(self, message: str = ""):
        super().__init__(128 + signal.SIGTERM)
        self.message = message

    def __str__(self) -> str:
        return self.message
