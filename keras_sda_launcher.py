"""Starts the command line quietly.

TensorFlow prints remarks for its developers when it is imported, which importing `keras_sda` does;
only a module beside the package can hold them back. A log level that the user has set wins.
"""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def _standard_error_held_back() -> Iterator[None]:
    """Holds back what libraries write to standard error, and shows it if an import fails.

    TensorFlow's first remarks come before it reads its log level, straight from C++.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(terminal, held_back.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def main() -> None:
    """Runs `keras-sda`."""
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        quiet: contextlib.AbstractContextManager[None] = _standard_error_held_back()
    else:
        quiet = contextlib.nullcontext()
    with quiet:
        from keras_sda.cli import main as command_line
    command_line(prog_name="keras-sda")


if __name__ == "__main__":
    main()
