"""Unpacking of gzip files, up to a size that is plausible for data."""

import gzip
import io
import zlib
from pathlib import Path

# What `unpack` raises on a damaged file; on one that is too large it raises a `ValueError`.
GZIP_ERRORS = (OSError, EOFError, zlib.error)

# MNIST's pixels are compressed to a fourteenth; zeros alone, as in a file made to fill the memory,
# to a thousandth.
_MAX_RATIO = 100
_ALWAYS_ALLOWED_BYTES = 2**28
_CHUNK_BYTES = 2**20


def unpack(payload: bytes, path: Path) -> bytes:
    """Returns the content of a file, unpacked if it is a gzip file.

    The content decides, not the name: some browsers unpack a download but keep its `.gz`.

    Args:
        payload: The bytes of the file.
        path: The file's path in the error message.

    Raises:
        ValueError: If it unpacks to more than 256 MiB and to more than 100 times its own size.
    """
    if payload[:2] != b"\x1f\x8b":
        return payload
    limit = max(_ALWAYS_ALLOWED_BYTES, _MAX_RATIO * len(payload))
    unpacked = io.BytesIO()
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as file:
        while chunk := file.read(_CHUNK_BYTES):
            if unpacked.tell() + len(chunk) > limit:
                raise ValueError(
                    f"{path} was not loaded, because its {len(payload)} bytes unpack to more than "
                    f"{limit}, which could fill the memory: unpack it yourself if you trust it."
                )
            unpacked.write(chunk)
    return unpacked.getvalue()
