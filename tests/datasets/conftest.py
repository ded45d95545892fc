"""Writers of the IDX format, written from its description, not from our reader."""

import gzip
import struct

import numpy as np
import pytest

_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def _idx_bytes(array):
    header = bytes([0, 0, _CODES[array.dtype.str[1:]], array.ndim])
    header += struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def _write_idx_folder(folder, *, dot=False, zipped=False, num_train=12, num_test=6):
    rng = np.random.default_rng(0)
    written = {}
    for prefix, count in (("train", num_train), ("t10k", num_test)):
        images = rng.integers(0, 256, (count, 4, 5), dtype="uint8")
        labels = np.arange(count, dtype="uint8") % 3
        for kind, array in (("images", images), ("labels", labels)):
            name = f"{prefix}-{kind}{'.' if dot else '-'}idx{array.ndim}-ubyte"
            payload = _idx_bytes(array)
            path = folder / (name + ".gz" if zipped else name)
            path.write_bytes(gzip.compress(payload) if zipped else payload)
        written[prefix] = (images, labels)
    return written


@pytest.fixture(scope="session")
def idx_bytes():
    """Function from an array to the content of an IDX file."""
    return _idx_bytes


@pytest.fixture(scope="session")
def write_idx_folder():
    """Function that writes four small IDX files; returns the arrays by the start of their name."""
    return _write_idx_folder
