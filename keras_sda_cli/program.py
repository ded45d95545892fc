"""The program `keras-sda`: its commands, and how errors are told."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import click

from keras_sda_cli import listing, reproduce, study, tables, train, use

# Characters of a sentence, which may quote what a file holds.
_MOST = 500


class _OneSentence(click.Group):
    """Turns what a user can mend into one sentence and status 2; a bug keeps its traceback."""

    def main(self, args=None, prog_name=None, **extra):  # type: ignore[override]
        status: Any = 2
        message = None
        extra["standalone_mode"] = False
        try:
            with _warnings_in_one_line():
                status = click.Group.main(self, args, prog_name, **extra) or 0
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
        except click.ClickException as error:
            message = error.format_message()
        except click.Abort:
            status, message = 130, "interrupted."
        except FloatingPointError as error:
            status, message = 1, str(error)
        except Exception as error:
            if _lacks_room(error):
                message = (
                    "the disk is full, or files may not be so large, and what was to be written is "
                    "not there: make room, or write elsewhere."
                )
            elif isinstance(error, (ValueError, OSError, ImportError)):
                message = str(error)
            elif _lacks_memory(error):
                message = "the memory is full: take fewer units, fewer rows, or smaller batches."
            else:
                raise
        if message is not None:
            # Keras explains at length after an empty line, and TensorFlow quotes code before one.
            parts = message.strip().split("\n\n")
            sentence = " ".join(parts[-1 if parts[0] == "in user code:" else 0].split())
            click.echo(f"Error: {sentence}"[:_MOST], err=True)
        sys.exit(status)


def _lacks_room(error: BaseException) -> bool:
    """Whether an error of the system, which no one has put into words, says that a disk is full."""
    if not isinstance(error, OSError) or not str(error).startswith("[Errno"):
        return False
    from keras_sda.resuming.files import lacks_room

    return lacks_room(error)


def _lacks_memory(error: BaseException) -> bool:
    """Whether an error of Python or of a backend says that the memory is full."""
    words = ("resource_exhausted", "out of memory", "oom when", "can't allocate memory")
    return (
        isinstance(error, MemoryError)
        or "ResourceExhausted" in type(error).__name__
        or any(word in str(error).lower() for word in words)
    )


@contextlib.contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Shows a warning as a sentence, without the line of code that it comes from."""
    formatted = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"Warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = formatted


@click.group(
    cls=_OneSentence,
    epilog="Run any command with --help for its options.",
    context_settings={"max_content_width": 100},
)
@click.version_option(package_name="keras-sda")
def program() -> None:
    """Train, use and export stacked denoising autoencoders and their family."""


for command in (
    *(train.train, train.launch),
    *(use.evaluate, use.encode, use.reconstruct, use.plot, use.report, use.export),
    *(tables.impute, tables.explain),
    study.study,
    *(reproduce.reproduce, reproduce.recipes),
    *(listing.models, listing.datasets),
):
    program.add_command(command)
