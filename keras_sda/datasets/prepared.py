"""Data sets from `tensorflow-datasets`, MNIST and its relatives in their published order."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda._validation import check_rows
from keras_sda.datasets.files import Source, Split, read_source
from keras_sda.datasets.idx import is_idx_folder

# Name -> folders of four IDX files, relative to KERAS_SDA_DATA. The files of all these sets have
# the same names, so only MNIST's may be in the folder itself.
IMAGE_SETS = {
    "mnist": (".", "mnist", "mnist-idx"),
    "fashion_mnist": ("fashion_mnist", "fashion_mnist-idx", "fashion-mnist"),
}


def load_image_set(name: str, data_dir: str | os.PathLike[str] | None) -> Source:
    """Reads one of `IMAGE_SETS`, from IDX files or tensorflow-datasets, in its published order."""
    if data_dir is not None:
        root = _existing(data_dir)
        # A folder that is named is meant: here the files may be in it directly.
        lookups = [_tfds_in(root, name), _idx_in(root, name, (".", *IMAGE_SETS[name]))]
    else:
        lookups = [
            _tfds_in(os.environ.get("TFDS_DATA_DIR"), name),
            _idx_in(os.environ.get("KERAS_SDA_DATA"), name, IMAGE_SETS[name]),
        ]
    for lookup in lookups:
        if lookup is not None:
            return lookup()
    return _read_tfds(name, data_dir or os.environ.get("TFDS_DATA_DIR"), reorder=True)


def load_tfds(name: str, data_dir: str | os.PathLike[str] | None) -> Source:
    """Reads any supervised set of tensorflow-datasets, downloading it if it is not prepared."""
    if name in IMAGE_SETS:
        return load_image_set(name, data_dir)
    root = _existing(data_dir) if data_dir is not None else os.environ.get("TFDS_DATA_DIR")
    return _read_tfds(name, root)._replace(name=f"tfds:{name}")


def _existing(data_dir: str | os.PathLike[str]) -> Path:
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"Argument `data_dir` must be an existing folder. Received: data_dir={str(root)!r}"
        )
    return root


def _tfds_in(root: str | os.PathLike[str] | None, name: str) -> Callable[[], Source] | None:
    # Looked up by hand: tensorflow-datasets is slow to import and may not be needed at all.
    if not root or not any(Path(root).expanduser().glob(f"{name}/*/dataset_info.json")):
        return None
    if _missing():  # there may be IDX files
        return None
    return lambda: _read_tfds(name, root, reorder=True)


def _idx_in(
    root: str | os.PathLike[str] | None, name: str, folders: tuple[str, ...]
) -> Callable[[], Source] | None:
    for folder in folders if root else ():
        path = Path(root or "").expanduser() / folder
        if is_idx_folder(path):
            return lambda: read_source(path)._replace(name=name)
    return None


def _read_tfds(name: str, data_dir: str | os.PathLike[str] | None, reorder: bool = False) -> Source:
    builder = _prepare(name, data_dir)
    if builder.info.supervised_keys is None or "train" not in builder.info.splits:
        raise ValueError(
            f"tfds:{name} has no pairs of inputs and labels in a split 'train'. Its splits are "
            f"{', '.join(builder.info.splits)}: choose a supervised set, or save your own .npz."
        )
    key = builder.info.supervised_keys[0]
    shape = builder.info.features[key].shape if isinstance(key, str) else None
    if not isinstance(shape, tuple) or len(shape) not in (1, 2, 3) or None in shape:
        # If they were read anyway, images of different sizes would be padded with black.
        raise ValueError(
            f"tfds:{name} has inputs of shape {shape}, but images or vectors of one shape are "
            "needed: choose another set, or save your own .npz."
        )
    parts = {}
    for part, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        if split in builder.info.splits:
            x, y = _read_tfds_split(builder, name, split)
            if reorder:
                order = _original_order(split, len(x))
                x, y = x[order], y[order]
            parts[part] = Split(x, y)
    return Source(parts, name, ordered=True)


def _missing() -> list[str]:
    """Returns the packages needed to read tensorflow-datasets that are not installed."""
    packages = {"tensorflow": "tensorflow", "tensorflow_datasets": "tensorflow-datasets"}
    return [packages[name] for name in packages if importlib.util.find_spec(name) is None]


def _prepare(name: str, data_dir: str | os.PathLike[str] | None) -> Any:
    if missing := _missing():
        idx = ", or point KERAS_SDA_DATA at a folder of its IDX files" if name in IMAGE_SETS else ""
        raise ImportError(
            f"{name} comes from tensorflow-datasets, which reads with TensorFlow, and "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            f"pip install {' '.join(missing)}{idx}."
        )
    import tensorflow_datasets as tfds

    root = None if data_dir is None else os.path.expanduser(data_dir)
    try:
        builder = tfds.builder(name, data_dir=root)
    except ValueError as error:  # DatasetNotFoundError is one, and so is a malformed name
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"tensorflow-datasets does not offer {name!r} ({reason}): its sets are listed at "
            "https://www.tensorflow.org/datasets/catalog."
        ) from error
    if not builder.is_prepared():
        try:
            # It would look in the cloud for prepared copies first, slowly without a network.
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(try_download_gcs=False)
            )
        except Exception as error:
            idx = " or KERAS_SDA_DATA at a folder of IDX files" if name in IMAGE_SETS else ""
            raise FileNotFoundError(
                f"{name} is not prepared in {builder.data_dir} and could not be downloaded "
                f"({type(error).__name__}): point --data-dir (data_dir=) or TFDS_DATA_DIR at "
                f"prepared data{idx}, or try again with a network."
            ) from error
    return builder


def _read_tfds_split(builder: Any, name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow_datasets as tfds

    try:
        # One shard after another, so that the order is that of the files.
        dataset = builder.as_dataset(
            split=split,
            as_supervised=True,
            batch_size=-1,
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        )
        x, y = tfds.as_numpy(dataset)
    except Exception as error:
        raise ValueError(
            f"The split {split!r} of tfds:{name} in {builder.data_dir} could not be read, "
            f"truncated or corrupt ({type(error).__name__}): delete that folder and prepare "
            "the set again."
        ) from error
    owner = f"The split {split!r} of tfds:{name}"
    check_rows(x, owner)
    if not isinstance(y, np.ndarray) or y.ndim != 1 or y.dtype.kind not in "biuf":
        raise ValueError(
            f"{owner} must hold one number per row as its label. "
            f"Received {getattr(y, 'shape', type(y).__name__)}."
        )
    return x, y


def _original_order(split: str, count: int) -> np.ndarray:
    """Returns the position of each original row among the rows as tensorflow-datasets stores them.

    They are sorted by a hash of their index, salted with the name of the split.
    """
    from tensorflow_datasets.core import hashing

    hasher = hashing.Hasher(split)
    stored = np.argsort([hasher.hash_key(index) for index in range(count)])
    return np.argsort(stored)
