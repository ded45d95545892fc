"""Folders for what is kept on disk while a process needs it, and removed afterwards."""

import contextlib
import errno
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = "in_use.lock"
_SECONDS_TO_LOCK = 2


class ScratchFolder:
    """A new folder among temporary files, removed by `close`, or else when nothing refers to it.

    What processes have left that were killed, the next one removes: the system has lifted their
    locks.

    Args:
        prefix: What its name begins with; folders of this prefix are looked through.
        parent: Where it is made; by default where temporary files go, which `TMPDIR` says.
    """

    def __init__(self, prefix: str, parent: Path | None = None):
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        remove_left_behind(prefix, parent)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = FileLock(self.path / _LOCK)
        with contextlib.suppress(NotImplementedError):  # a file system without locks
            lock.acquire(timeout=0)
        self._remove = weakref.finalize(self, _remove, self.path, lock)

    def close(self) -> None:
        """Removes the folder and all that is in it."""
        self._remove()


def _remove(path: Path, lock: FileLock) -> None:
    lock.release()
    shutil.rmtree(path, ignore_errors=True)


def remove_left_behind(prefix: str, parent: Path) -> None:
    """Removes the folders of processes that were killed."""
    for path in parent.glob(f"{prefix}*/{_LOCK}"):
        with contextlib.suppress(OSError, NotImplementedError, Timeout):
            # A process that has just begun may be about to take its lock.
            if time.time() - path.stat().st_mtime > _SECONDS_TO_LOCK:
                with FileLock(path).acquire(timeout=0):
                    shutil.rmtree(path.parent, ignore_errors=True)


@contextlib.contextmanager
def told_if_full(sentence: str) -> Iterator[None]:
    """Gives an `OSError` of a full disk, raised in the block, a sentence that says what to do."""
    try:
        yield
    except OSError as error:
        # NumPy reports a short write without a number.
        if error.errno not in (None, errno.ENOSPC):
            raise
        raise OSError(errno.ENOSPC, sentence) from error
