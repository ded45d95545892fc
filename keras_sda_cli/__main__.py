"""Starts the command line quietly, and without TensorFlow where it does not compute.

TensorFlow prints remarks for its developers when it is imported, which importing `keras_sda` does;
only a module outside the package can hold them back. A lower log level that the user has set wins.
"""

import contextlib
import gc
import importlib
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


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keeps Python from looking for garbage among what is imported, now and later.

    Keras and TensorFlow make a million objects, all of which stay to the end: looking through them
    takes 0.6 s while they are imported, and 1 s when the program ends.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def _open_closed_streams() -> None:
    """Lets what is written to a closed output vanish, and not enter a file that is opened next."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w", closefd=False))


def _keep_what_jax_compiles() -> None:
    """Has JAX keep compiled programs for the next command, unless the user has chosen otherwise.

    A command on little data compiles for longer than it computes. TensorFlow has no such cache.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(caches, "keras_sda", "jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


def main() -> None:
    """Runs `keras-sda`."""
    _open_closed_streams()
    arguments = sys.argv[1:]
    only_explains = not arguments or "--help" in arguments or arguments == ["--version"]
    quiet: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    # It only starts others, which keep themselves quiet.
    is_launch = arguments[:1] == ["launch"]
    if not is_launch and os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3":
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        quiet = _standard_error_held_back()
    if not only_explains and not is_launch:
        _keep_what_jax_compiles()
        with quiet, _without_garbage_collection():
            importlib.import_module("keras_sda")
    from keras_sda_cli.program import program

    program(prog_name="keras-sda")


if __name__ == "__main__":
    main()
