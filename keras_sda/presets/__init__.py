"""Trained models by name: `Model.from_preset("sda_digits")`.

`catalog.json` holds the class, the SHA-256 of the file and the measured figure of each name.
`sda_digits` comes with the package; the others are in the repository's `saved_models/`, each with
its model card. All were made by `saved_models/make.py` from models trained by recipes.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import keras

from keras_sda._validation import check_path, check_text
from keras_sda.presets.model_file import read_model

__all__ = ["catalog", "find", "load", "names"]

HERE = Path(__file__).parent
CATALOG = HERE / "catalog.json"
MODEL = "model.keras"


def names() -> list[str]:
    """Returns the names that `from_preset` knows."""
    return sorted(catalog())


def catalog() -> dict[str, dict[str, Any]]:
    """Returns the catalog: class, recipe, SHA-256 and measured figure of each preset."""
    return json.loads(CATALOG.read_text(encoding="utf-8"))


def find(name: str, sha256: str | None = None) -> Path:
    """Returns the file of a trained model, after checking its SHA-256 if that is known.

    A name is looked up inside the package, in the folder that the variable `KERAS_SDA_PRESETS`
    names, and in `saved_models/` of the source repository.

    Args:
        name: One of `names()`; a `.keras` file, or a folder that holds `model.keras`; or the URL
            of a `.keras` file, which Keras keeps in its cache.
        sha256: Expected SHA-256 of the file. For a name the catalog has it.

    Raises:
        ValueError: If there is no such model here, or its SHA-256 is not the expected one.
    """
    name = str(check_path("name", name, "presets.load()"))
    if sha256 is not None:
        check_text("sha256", sha256, "presets.load()")
    if urlsplit(name).scheme in ("http", "https", "file"):
        return _download(name, sha256)
    if name in catalog():
        path = _local_path(name)
        sha256 = catalog()[name]["sha256"] if sha256 is None else sha256
    else:
        path = Path(name) / MODEL if Path(name).is_dir() else Path(name)
        if not path.is_file():
            raise ValueError(
                f"A preset is one of {', '.join(names())}, or the path or URL of a .keras file. "
                f"Received: {name!r}, which is none of them."
            )
    if sha256 is not None:
        _check(path, sha256)
    return path


def load(name: str, sha256: str | None = None) -> keras.Model:
    """Returns a trained model, of any class.

    Args:
        name: A preset, path or URL, as in `find`.
        sha256: Expected SHA-256 of the file, as in `find`.

    Raises:
        ValueError: As in `find`, or if the file is damaged.
    """
    path = find(name, sha256)
    return read_model(path, "get it again")


def _local_path(name: str) -> Path:
    folders = [HERE, HERE.parent.parent / "saved_models"]
    if os.environ.get("KERAS_SDA_PRESETS"):
        folders.insert(1, Path(os.environ["KERAS_SDA_PRESETS"]))
    candidates = [folder / name / MODEL for folder in folders]
    for path in candidates:
        if path.is_file():
            return path
    raise ValueError(
        f"The preset {name!r} does not come with the installed package: copy saved_models/{name} "
        "of the source repository into a folder, and name that folder in KERAS_SDA_PRESETS or give "
        "the path or URL of its model.keras."
    )


def _download(url: str, sha256: str | None) -> Path:
    # Two URLs may end in the same file name, so the cached file is named after the URL's digest.
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    try:
        path = keras.utils.get_file(
            f"{digest}.keras",
            url,
            file_hash=sha256,
            hash_algorithm="sha256",
            cache_subdir="keras_sda",
        )
    except Exception as error:  # Keras raises a bare one
        raise ValueError(f"{url} could not be fetched ({error}): check URL and SHA-256.") from error
    if sha256 is not None:
        _check(Path(path), sha256)
    return Path(path)


def _check(path: Path, sha256: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256.lower():
        raise ValueError(
            f"{path} must have the SHA-256 {sha256}. Received {found}: the file is damaged or "
            "another one, get it again."
        )
