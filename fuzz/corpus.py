"""Whole files of every kind, small and made by code: what damaged ones are made of."""

import gzip
import io
import json
import pickle
import struct
from pathlib import Path

import numpy as np

ROWS = np.arange(36, dtype="float32").reshape(12, 3) / 36
LABELS = np.arange(12) % 3


def idx() -> list[bytes]:
    """Images and labels, gzipped and not."""
    images = bytes([0, 0, 8, 3]) + struct.pack(">3I", 6, 2, 2) + bytes(range(24))
    floats = bytes([0, 0, 0x0D, 1]) + struct.pack(">I", 3) + np.ones(3, ">f4").tobytes()
    return [images, floats, gzip.compress(images)]


def _saved(write, *args, **kwargs) -> bytes:
    buffer = io.BytesIO()
    write(buffer, *args, **kwargs)
    return buffer.getvalue()


def npy() -> list[bytes]:
    """Arrays of several types and orders."""
    arrays = (ROWS, ROWS.astype(">i2"), np.asfortranarray(ROWS), ROWS.astype("float16"))
    return [_saved(np.save, array) for array in arrays]


def npz() -> list[bytes]:
    """Archives of rows and of parts, compressed and not."""
    parts = {"x_train": ROWS, "y_train": LABELS, "x_test": ROWS[:2], "y_test": LABELS[:2]}
    return [
        _saved(np.savez, x=ROWS, y=LABELS),
        _saved(np.savez_compressed, x=ROWS, y=LABELS),
        _saved(np.savez, **parts),
    ]


def csv() -> list[bytes]:
    """Numbers, text, gaps, dates, quotes."""
    return [
        b"a,b,y\n" + b"".join(b"%d,%d.5,%d\n" % (n, n, n % 2) for n in range(12)),
        b'a,b,y\n1,"x, ""y""",2026-01-31\n,,\n-1e9,\xc3\xa9,1999-12-31T23:59:59Z\ntrue,NaN,inf\n',
    ]


def parquet() -> list[bytes]:
    """Frames of numbers, text, dates and gaps, under three compressions."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "a": np.arange(12),
            "b": ["x", None, "y"] * 4,
            "c": pd.date_range("2026-01-01", periods=12),
            "y": LABELS,
        }
    )
    return [_saved(frame.to_parquet, compression=kind) for kind in (None, "snappy", "zstd")]


def pkl() -> list[bytes]:
    """The tutorials' three pairs, in every protocol."""
    part = (ROWS, LABELS)
    content = (part, part, ([ROWS[:2], LABELS[:2]]))
    whole = [pickle.dumps(content, protocol=protocol) for protocol in range(6)]
    return [*whole, gzip.compress(whole[2])]


def configuration() -> list[bytes]:
    """The configuration of a run on a table, and of one by version 0.2.0."""
    import pandas as pd

    from keras_sda import datasets, experiments

    frame = pd.DataFrame({"a": np.arange(12.0), "b": ["x", "y", None] * 4, "c": LABELS})
    found = {
        "num_classes": 3,
        "classes": ["u", "v", "w"],
        "image_shape": None,
        "scaling": {"offset": 0.0, "factor": 1.0, "low": None, "high": None},
        "columns": datasets.Columns.fit(frame).to_dict(),
        "versions": {"keras_sda": "0.2.0"},
    }
    new = {"format": 1, **experiments.default("sda").to_dict(), "found": found}
    old = Path(__file__).parents[1] / "tests" / "saved" / "run_0_2_0" / "config.json"
    return [json.dumps(new).encode(), old.read_bytes()]


def state(folder: Path) -> list[bytes]:
    """States of training, at the end of an epoch and within one."""
    import keras

    import keras_sda as ks
    from keras_sda.callbacks import Backup

    class Stop(keras.callbacks.Callback):
        accepts_step_groups = True
        is_stateless = True

        def on_epoch_end(self, epoch, logs=None):
            raise InterruptedError

    model = ks.DenoisingAutoencoder(3, 2, seed=0)
    model.compile("adam")
    stopping = keras.callbacks.EarlyStopping("loss")
    try:
        backup = Backup(folder, every=1, verbose=0)
        model.fit(ROWS, batch_size=4, epochs=2, callbacks=[stopping, backup, Stop()], verbose=0)
    except InterruptedError:
        pass
    return [path.read_bytes() for path in sorted((folder / "fit").glob("*.npz"))]


def keras_file() -> list[bytes]:
    """A small model of this package."""
    import tempfile

    import keras_sda as ks

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        ks.StackedDenoisingAutoencoder(4, [3], num_classes=2, seed=0).save(path)
        return [path.read_bytes()]
