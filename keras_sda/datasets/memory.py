"""How much memory is there, and how much of it the content of a file may take."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

# MNIST's pixels are compressed to a fourteenth; zeros alone, as in a file made to fill the memory,
# to a thousandth.
_MAX_RATIO = 100
_ALWAYS_ALLOWED_BYTES = 2**28


class TooLargeError(ValueError):
    """Says that a file may be whole, but its content is too large."""


def available_memory() -> float:
    """Returns how many bytes this process may still take, as far as the system tells.

    The least of what the machine has available, what its control group (a container's limit) leaves
    it, and what its limit on address space (`ulimit -v`) does.
    """
    return max(0, min(_of_the_machine(), _of_the_control_groups(), _of_the_address_space()))


def _of_the_machine() -> float:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return 1024 * sizes["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf
        return pages * os.sysconf("SC_PAGE_SIZE") / 2 if pages != math.inf else math.inf


def _of_the_control_groups() -> float:
    """Returns what is left in this process' control groups and those that they lie in."""
    left = math.inf
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, name = line.split(":", 2)
            root, limit, used, files = Path("/sys/fs/cgroup"), "memory.max", "current", ""
            if "memory" in controllers.split(","):  # of version 1
                root, limit = root / "memory", "memory.limit_in_bytes"
                used, files = "usage_in_bytes", "total_"
            elif controllers:
                continue
            inner = root / name.lstrip("/")
            for folder in (inner, *inner.parents):
                if folder == root.parent:
                    break
                with contextlib.suppress(OSError, ValueError):  # "max" means without limit
                    most = int((folder / limit).read_text(encoding="ascii"))
                    taken = int((folder / f"memory.{used}").read_text(encoding="ascii"))
                    stat = (folder / "memory.stat").read_text(encoding="ascii").split()
                    sizes = dict(zip(stat[::2], stat[1::2], strict=True))
                    # Files kept in memory give way to what a process asks for.
                    left = min(left, most - taken + int(sizes.get(f"{files}inactive_file", 0)))
    return left


def _of_the_address_space() -> float:
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return math.inf
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return limit - pages * resource.getpagesize()
    except (ImportError, OSError, ValueError, IndexError):
        return math.inf


def check_is_file(path: Path) -> None:
    """Raises a `ValueError` for what is not a file: a device or a pipe could be read without end.

    A folder is none either. What does not exist is left to whoever opens it.
    """
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device, a pipe or a socket"
        raise ValueError(f"{path} must be a file. Received {kind}: name a file, or write one.")


def most_unpacked(path: Path) -> int:
    """Returns how many bytes a compressed file may unpack to: 100 times its own, or 256 MiB."""
    return max(_ALWAYS_ALLOWED_BYTES, _MAX_RATIO * path.stat().st_size)


def too_packed(path: Path) -> TooLargeError:
    """Returns the error for a file that unpacks to more than `most_unpacked`."""
    return TooLargeError(
        f"{path} was not loaded, because its {path.stat().st_size} bytes unpack to more than "
        f"{most_unpacked(path)}, which could fill the memory: write it without compression if you "
        "trust it."
    )


def check_unpacked(path: Path, needed: int) -> None:
    """Raises a `TooLargeError` if a compressed file has too many bytes of content."""
    if needed > most_unpacked(path):
        raise too_packed(path)
    check_memory(path, needed)


def check_memory(path: Path, needed: int) -> None:
    """Raises a `TooLargeError` if so many bytes of a file do not fit into the memory."""
    available = available_memory()
    if needed > available:
        raise TooLargeError(
            f"{path} was not loaded, because it needs at least {gibibytes(needed)} of memory, and "
            f"{gibibytes(available)} are available: give fewer rows, or free some memory."
        )


@contextlib.contextmanager
def running_out_told(path: Path) -> Iterator[None]:
    """Turns running out of memory while a file is read into one sentence."""
    try:
        yield
    except MemoryError as error:
        raise TooLargeError(
            f"{path} was not loaded, because its content does not fit into the memory that is "
            "available: give fewer rows, or free some memory."
        ) from error


def damaged(path: Path, kind: str, error: Exception) -> ValueError:
    """Returns the error for a file that a library could not read, with the library's reason."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ValueError(
        f"{path} is not a readable {kind} file, truncated or corrupt ({reason[:200]}): make or "
        "download it again."
    )


def gibibytes(count: float) -> str:
    """Returns a number of bytes as text.

    >>> gibibytes(3 * 2**29)
    '1.50 GiB'
    """
    return f"{count / 2**30:.2f} GiB"
