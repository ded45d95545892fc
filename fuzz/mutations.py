"""Damage: of bytes alone, of the content of archives and gzip files, and of values of JSON."""

import gzip
import io
import json
import random
import struct
import zipfile
import zlib
from typing import Any

_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_VALUES = (
    *(None, True, 0, -1, 1, 2**31, 2**70, 1e308, float("nan"), "", "x", "é" * 300, [], [0], {}),
    *([[1, "a"]], {"class": "Lambda"}, {"class": "L2", "l2": "x"}, {"": None}),
)


def mutate(draw: random.Random, corpus: list[bytes]) -> bytes:
    """Returns one of the files, damaged in one to four ways."""
    content = draw.choice(corpus)
    for _ in range(draw.choice((1, 1, 2, 4))):
        for unwrap in (_in_gzip, _in_zip, _in_json):
            changed = unwrap(draw, content) if draw.random() < 0.6 else None
            if changed is not None:
                content = changed
                break
        else:
            content = _bytes(draw, content, corpus)
    return content


def _bytes(draw: random.Random, content: bytes, corpus: list[bytes]) -> bytes:
    """Damages bytes without regard to what they mean."""
    data = bytearray(content)
    at = draw.randrange(len(data) + 1)
    kind = draw.randrange(7)
    if kind == 0 and data:
        data[at % len(data)] ^= 1 << draw.randrange(8)
    elif kind == 1 and data:
        data[at % len(data)] = draw.randrange(256)
    elif kind == 2:
        number = struct.pack(draw.choice("<>") + "Q", draw.choice(_NUMBERS))
        number = number[: draw.choice((2, 4, 8))]
        data[at : at + len(number)] = number
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        del data[at : at + draw.randrange(1, 64)]
    elif kind == 5:
        data[at:at] = data[at : at + draw.randrange(1, 64)] * draw.randrange(1, 50)
    else:
        other = draw.choice(corpus)
        data[at:] = other[draw.randrange(len(other) + 1) :]
    return bytes(data)


def _in_gzip(draw: random.Random, content: bytes) -> bytes | None:
    """Damages what a gzip file holds; its checksum is right."""
    if content[:2] != b"\x1f\x8b":
        return None
    try:
        return gzip.compress(_bytes(draw, gzip.decompress(content), [content]), 1)
    except (OSError, EOFError, zlib.error):
        return None


def _in_zip(draw: random.Random, content: bytes) -> bytes | None:
    """Damages a member of an archive, leaves it out, or doubles it; checksums are right."""
    if content[:2] != b"PK":
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()]
    # Of a damaged archive the bytes are damaged further.
    except Exception:
        return None
    if not members:
        return None
    at = draw.randrange(len(members))
    info, data = members[at]
    kind = draw.randrange(6)
    if kind == 0:
        del members[at]
    elif kind == 1:
        members.append((draw.choice(members)[0], data))
    else:
        changed = _in_json(draw, data) if draw.random() < 0.7 else None
        members[at] = info, _bytes(draw, data, [data]) if changed is None else changed
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", strict_timestamps=False) as archive:
        for info, data in members:
            archive.writestr(info.filename, data, compress_type=zipfile.ZIP_STORED)
    return buffer.getvalue()


def _in_json(draw: random.Random, content: bytes) -> bytes | None:
    """Puts another value in some place of a JSON text."""
    if content[:1] not in (b"{", b"["):
        return None
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return None
    places: list[tuple[Any, Any]] = []
    _collect(tree, places)
    if not places:
        return None
    parent, key = draw.choice(places)
    kind = draw.randrange(4)
    if kind == 0:
        del parent[key]
    elif kind == 1:
        other, name = draw.choice(places)
        parent[key] = json.loads(json.dumps(other[name]))
    else:
        parent[key] = draw.choice(_VALUES)
    return json.dumps(tree).encode()


def _collect(tree: Any, places: list[tuple[Any, Any]]) -> None:
    keys: Any = tree.keys() if isinstance(tree, dict) else range(len(tree))
    for key in keys:
        places.append((tree, key))
        if isinstance(tree[key], (dict, list)):
            _collect(tree[key], places)
