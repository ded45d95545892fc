"""Unpacking of gzip, up to a size that data can have."""

import gzip
import io
import zlib
from pathlib import Path

# What `unpack` raises on a damaged file, beside the `ValueError` on one that is too large.
GZIP_ERRORS = (OSError, EOFError, zlib.error)

# MNIST's pixels shrink to a fourteenth; zeros alone, as in a file made to fill the memory, to a
# thousandth.
_MOST_TIMES = 100
_ALWAYS_ALLOWED_BYTES = 2**28
_CHUNK_BYTES = 2**20


def unpack(payload: bytes, path: Path) -> bytes:
    """Returns the content of a file, unpacked if it is packed by gzip.

    The content decides: some browsers unpack a download and keep its `.gz`.

    Args:
        payload: The bytes of the file.
        path: Its name, for the error message.

    Raises:
        ValueError: If it unpacks to more than 256 MiB and to more than 100 times its own size.
    """
    if payload[:2] != b"\x1f\x8b":
        return payload
    limit = max(_ALWAYS_ALLOWED_BYTES, _MOST_TIMES * len(payload))
    unpacked = io.BytesIO()
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as file:
        while chunk := file.read(_CHUNK_BYTES):
            if unpacked.tell() + len(chunk) > limit:
                raise ValueError(
                    f"{path} was not loaded, because its {len(payload)} bytes unpack to more than "
                    f"{limit}, which would fill the memory: unpack it yourself if you trust it."
                )
            unpacked.write(chunk)
    return unpacked.getvalue()
