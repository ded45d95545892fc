"""What a recipe is: one row of the table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import keras

MNIST = {"name_or_path": "mnist"}
MNIST_60000 = {"name_or_path": "mnist", "split": "full"}


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything that leads to one figure, and the figure that was published.

    Attributes:
        name: What `keras-sda reproduce` calls it.
        title: What it is, in a few words.
        source: Where the figure, or the model, was published.
        model: Class of the model, or a function that returns one.
        arguments: Arguments of the model but its seed.
        figure: What is measured on the test data: a key of `figures.FIGURES`.
        data: Arguments of `datasets.load`, or a function of the seed that returns `Data`.
        start: Called with model and seed before training, for initial values of its own.
        pretrain: `optimizer`, `learning_rate` and further arguments of the model's `pretrain`, or
            `None`.
        fit: `optimizer` (a name or a Keras optimizer's class), `learning_rate`, `schedule`
            (`"constant"`, or `"cosine"` down to zero), `options` of the optimizer, `loss` of a
            classifier, `patience` in epochs, `best_epoch` (whether validation data choose the
            epoch that stays; they do by default), `batches` (a function that makes a `PyDataset` of
            rows), and `epochs`, `batch_size` and `shuffle` of Keras' `fit`.
        published: The published figure, or `None`.
        at_most: What is to be reached, or `None` where the figure is only reported.
        seeds: How many seeds, from 0.
        baseline: What it has to beat, trained on the same rows: a key of `figures.BASELINES`.
        slack: Factor on the baseline's figure, 1 for plainly better.
        quick: Fields to replace for a run of seconds on small data; mappings are merged.
        note: How this differs from the source, if it does.
        small_data: Whether the digits of scikit-learn stand for MNIST; see `quickened`.
    """

    name: str
    title: str
    source: str
    model: Callable[..., keras.Model]
    arguments: Mapping[str, Any]
    figure: str
    data: Mapping[str, Any] | Callable[[int], Any] = field(default_factory=lambda: dict(MNIST))
    start: Callable[[keras.Model, int], None] | None = None
    pretrain: Mapping[str, Any] | None = None
    fit: Mapping[str, Any] = field(default_factory=dict)
    published: float | None = None
    at_most: float | None = None
    seeds: int = 3
    baseline: str = "pca"
    slack: float = 1.0
    quick: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    small_data: bool = False

    def but(self, name: str, title: str, **changes: Any) -> "Recipe":
        """Returns a recipe with another name and title; mappings among `changes` are merged.

        An entry of `fit` that becomes `None` is left out.
        """
        return self._with({"name": name, "title": title, **changes})

    def _with(self, changes: Mapping[str, Any]) -> "Recipe":
        merged: dict[str, Any] = {}
        for key, value in changes.items():
            old = getattr(self, key)
            both = isinstance(value, Mapping) and isinstance(old, Mapping)
            merged[key] = {**old, **value} if both else value
        if "fit" in merged:
            merged["fit"] = {name: each for name, each in merged["fit"].items() if each is not None}
        return replace(self, **merged)

    def quickened(self) -> "Recipe":
        """Returns the form of this recipe that runs in seconds on small data.

        It has to beat its baseline on these; there is no published figure.
        """
        changes = {"name": f"{self.name}-quick", "published": None, "at_most": None}
        return self._with({**self.quick, **changes, "small_data": True})

    def without_learning(self) -> "Recipe":
        """Returns this recipe with step sizes of zero: what must fail the comparison."""
        changes: dict[str, Any] = {"fit": {"learning_rate": 0.0, "epochs": 1}}
        if self.pretrain is not None:
            changes["pretrain"] = {"learning_rate": 0.0, "epochs": 1}
        return self._with(changes)

    def options(self) -> dict[str, Any]:
        """Returns what a run depends on, as plain values for JSON."""
        return {
            "model": self.model.__name__,
            "arguments": _plain(self.arguments),
            "data": _plain(self.data),
            "pretrain": _plain(self.pretrain),
            "fit": _plain(self.fit),
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, partial):
        return {value.func.__name__: _plain(value.keywords)}
    if isinstance(value, type) or (callable(value) and hasattr(value, "__name__")):
        return value.__name__
    config = {
        key: entry
        for key, entry in value.get_config().items()
        if entry is not None and key not in ("name", "trainable", "dtype")
    }
    return {type(value).__name__: _plain(config)}
