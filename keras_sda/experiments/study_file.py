"""The file of a study: its settings, every error as it is measured, and when it may be resumed."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_sda.experiments import json_files, run_folder
from keras_sda.experiments.contestants import CODES, Contestant
from keras_sda.experiments.objects import first_other_key
from keras_sda.resuming.files import remove_partial

NAME = "study.json"
_SHAPE = {
    "settings": {},
    "versions": {"*": str},
    "data": {},
    "codes": list,
    "results": [
        {
            "seed": int,
            "labels": int,
            "contestant": str,
            "held_out": list,
            "error?": json_files.NUMBER,
        }
    ],
}

# What a study of a table can be told besides, as in `experiments.Data`.
KINDS = ("categorical", "numeric", "ignore")
TABLE_OPTIONS = ("task", "ids", *KINDS, "test", "split_column", "groups")


def versions() -> dict[str, str]:
    """Returns the versions that a study may depend on."""
    import sklearn

    return {**run_folder.versions(), "scikit-learn": sklearn.__version__}


def settings_of(
    entries: Iterable[Contestant],
    **settings: Any,
) -> dict[str, Any]:
    """Returns everything that decides the errors of a study, as plain values of JSON.

    Args:
        entries: The contestants.
        **settings: What the caller has chosen.
    """
    chosen = {each.name: [dict(setting) for setting in each.settings] for each in entries}
    return json.loads(json.dumps({**settings, "codes": CODES, "contestants": chosen}))


class StudyFile:
    """The content of `study.json`, which is on the disk, whole, after every fit.

    Args:
        folder: Folder of the study.
        content: What it holds.
    """

    def __init__(self, folder: Path, content: dict[str, Any]):
        self.folder = folder
        self.content = content
        keys = ("seed", "labels", "contestant")
        self._results = {tuple(each[key] for key in keys): each for each in content["results"]}

    @classmethod
    def open(
        cls,
        folder: Path,
        settings: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> "StudyFile":
        """Returns the file in a folder: a new one, or that of the same study, to be resumed.

        Args:
            folder: Folder of the study.
            settings: What `settings_of` has returned.
            facts: What the data turned out to be, `fingerprint` among it.

        Raises:
            ValueError: If the folder holds a study of other settings, versions or rows, or
                something else.
        """
        remove_partial(run_folder.writable_folder(folder))
        new = {
            "settings": dict(settings),
            "versions": versions(),
            "data": dict(facts),
            "codes": [],
            "results": [],
        }
        if (folder / NAME).is_file():
            old = _read(folder / NAME)
            _check_same(folder, old, new)
            return cls(folder, {**old, "settings": new["settings"]})
        run_folder.check_empty(folder)
        return cls(folder, new)

    def result(self, seed: int, labels: int, contestant: str) -> dict[str, Any]:
        """Returns the entry of a contestant, count and seed, a new one if there is none yet."""
        key = (seed, labels, contestant)
        if key not in self._results:
            entry = {"seed": seed, "labels": labels, "contestant": contestant, "held_out": []}
            self._results[key] = entry
            self.content["results"].append(entry)
        return self._results[key]

    def is_done(self, seed: int, labels: int, contestant: str) -> bool:
        """Whether the test error of a contestant, count and seed is known."""
        return "error" in self._results.get((seed, labels, contestant), {})

    def save(self) -> None:
        """Writes everything."""
        run_folder.save_json(self.content, self.folder / NAME)


def _read(path: Path) -> dict[str, Any]:
    """Returns the content of the file of a study, which must not be damaged."""
    return json_files.read(path, _SHAPE, "name another folder")


def _check_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuses to mix results that were measured in different ways."""
    difference = _first_difference(old["settings"], new["settings"])
    if difference is not None:
        name, before, now = difference
        raise ValueError(
            f"The study in {folder} is resumed with its own settings, where {name} is {before!r}. "
            f"Received {name}={now!r}: give the setting as it was, or name another output folder."
        )
    difference = _first_difference(old["versions"], new["versions"])
    if difference is not None:
        name, before, now = difference
        raise ValueError(
            f"The study in {folder} was begun with {name} {before}, and results of two versions "
            f"are not mixed. Received {name} {now}: install the version that it was, or name "
            "another output folder."
        )
    if old["data"].get("fingerprint") != new["data"]["fingerprint"]:
        raise ValueError(
            f"The rows or labels of {new['settings']['data']} are no longer those that the study "
            f"in {folder} was begun with: bring them back, or name another output folder."
        )


def _first_difference(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> tuple[str, Any, Any] | None:
    """Returns the key in which two tables differ first, and both values, or `None`."""
    key = first_other_key(old, new)
    if key is None:
        return None
    before, now = old.get(key), new.get(key)
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return _first_difference(before, now, f"{prefix}{key}.")
    return f"{prefix}{key}", before, now
