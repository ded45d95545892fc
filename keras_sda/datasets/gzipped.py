"""Unpacking of gzip files, up to a size that is plausible for data."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from keras_sda.datasets.memory import check_is_file, check_memory, check_unpacked, most_unpacked
from keras_sda.datasets.memory import too_packed as _too_packed

# What reading raises on a damaged file; on one that is too large a `ValueError` is raised.
GZIP_ERRORS = (OSError, EOFError, zlib.error)

_CHUNK_BYTES = 2**20


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file to be read, unpacked on the way if it is a gzip file.

    The content decides, not the name: some browsers unpack a download but keep its `.gz`.

    Raises:
        ValueError: If it is not a file.
    """
    check_is_file(path)
    with path.open("rb") as file:
        is_packed = file.peek(2)[:2] == b"\x1f\x8b"
        if not is_packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked  # type: ignore[misc]


def read_all(path: Path) -> bytearray:
    """Returns the content of a file, unpacked if it is a gzip file.

    Raises:
        ValueError: If it is not a file, or unpacks to more than 256 MiB and to more than 100 times
            its own size, or to more than fits into the memory.
    """
    with opened(path) as file:
        check_memory(path, path.stat().st_size)
        content = bytearray()
        while chunk := file.read(_CHUNK_BYTES):
            if len(content) + len(chunk) > most_unpacked(path):
                raise _too_packed(path)
            content += chunk
    return content


def read_exactly(file: IO[bytes], path: Path, count: int) -> bytearray:
    """Returns the next bytes of an opened file; fewer if it ends before.

    Args:
        file: What `opened` has returned.
        path: Its path.
        count: How many bytes the file has said that there are.

    Raises:
        ValueError: If so many cannot be held in memory, or would be too many for such a file.
    """
    check_unpacked(path, count)
    content = bytearray()
    while chunk := file.read(min(_CHUNK_BYTES, count - len(content))):
        content += chunk
    return content
