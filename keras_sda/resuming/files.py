"""Files that are whole or not there: written beside their place, flushed, then renamed."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# What a file is called while it is written; its ending stays, by which libraries choose a format.
PARTIAL = "partial-"

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lets a block write a file that takes the place of `path` once it lies on the disk.

    After an error, or a crash of the machine, the older file is still there, whole.

    Args:
        path: The file to write.

    Yields:
        The path to write to, in the same folder.
    """
    partial = path.with_name(f"{PARTIAL}{path.name}")
    try:
        yield partial
        _flush(partial)
        os.replace(partial, path)
        _flush(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _flush(path: Path) -> None:
    """Waits until a file, or the names in a folder, lie on the disk itself."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders, and needs none of this
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folder(folder: Path) -> None:
    """Removes a folder with all that is in it; half of it is never left under its name."""
    if folder.exists():
        partial = folder.with_name(f"{PARTIAL}{folder.name}")
        shutil.rmtree(partial, ignore_errors=True)
        os.replace(folder, partial)
        shutil.rmtree(partial)


def remove_partial(folder: Path) -> None:
    """Removes what a crash has left half written in a folder."""
    for path in folder.glob(f"{PARTIAL}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def lacks_room(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that there is no room for a file."""
    while error is not None:
        # HDF5 gives the number in its text alone.
        texts = (f"errno = {number}" in str(error) for number in _FULL)
        if getattr(error, "errno", None) in _FULL or any(texts):
            return True
        error = error.__cause__ or error.__context__
    return False
