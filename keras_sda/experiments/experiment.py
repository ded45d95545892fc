"""An experiment: everything that decides which weights come out of a training run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from keras_sda._validation import (
    check_choice,
    check_non_negative_int,
    did_you_mean,
    listed,
    shown,
    wrong_argument,
)
from keras_sda.experiments.objects import first_other_key, from_plain, to_plain
from keras_sda.experiments.parts import Data, Model, Pretraining, Training

_OWNER = "Experiment"
_DTYPES = ("float32", "float64", "mixed_bfloat16", "mixed_float16")
_PARTS: dict[str, Any] = {
    "model": Model,
    "data": Data,
    "pretraining": Pretraining,
    "training": Training,
}
_OPTIONAL = ("pretraining", "training")


@dataclass(frozen=True)
class Experiment:
    """A model, its data and its training: two equal experiments end with the same weights.

    It holds settings only, so that it can be compared, written to a file and changed;
    `keras_sda.experiments.run` carries it out. Start from the defaults of a model in the zoo by
    `keras_sda.experiments.default`.

    Args:
        model: The `Model`.
        data: The `Data`.
        pretraining: The `Pretraining`, or `None` to start from random weights.
        training: The `Training`, or `None` to end after pretraining.
        seed: Makes the run repeatable, 0 or more.
        dtype: Precision: `"float32"`, `"float64"`, `"mixed_bfloat16"` or `"mixed_float16"`.

    Raises:
        ValueError: If a value lies outside its range.

    Example:

    >>> experiment = Experiment(Model("mlp", {"hidden_units": [128]}), training=Training(epochs=5))
    >>> experiment.but({"hidden_units": [64], "training.epochs": 3, "seed": 1}).training.epochs
    3
    >>> Experiment.from_dict(experiment.to_dict()) == experiment
    True
    """

    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    pretraining: Pretraining | None = field(default_factory=Pretraining)
    training: Training | None = field(default_factory=Training)
    seed: int = 0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if check_non_negative_int("seed", self.seed, _OWNER) >= 2**32:  # NumPy's own bound
            raise wrong_argument("seed", _OWNER, "be below 2**32", self.seed)
        check_choice("dtype", self.dtype, _DTYPES, _OWNER)
        for name, kind in _PARTS.items():
            part = getattr(self, name)
            if not isinstance(part, kind) and not (part is None and name in _OPTIONAL):
                raise wrong_argument(name, _OWNER, f"be a {kind.__name__}", part)

    def but(self, changes: Mapping[str, Any]) -> "Experiment":
        """Returns this experiment with some values changed.

        Args:
            changes: New values by key: `seed`, `dtype`, the name of a model option, or a part and
                one of its fields with a dot between, such as `data.scale` or `training.epochs`.
                Keras objects may be given as `to_dict` writes them, `{"class": "L2", "l2": 0.1}`.
                `model`, `data`, `pretraining` and `training` stand for a whole part.

        Raises:
            ValueError: If there is no such key, or a value lies outside its range.
        """
        if not isinstance(changes, Mapping):
            expected = "be a dictionary of new values by key"
            raise wrong_argument("changes", f"{_OWNER}.but()", expected, changes)
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        for key, plain in changes.items():
            value = from_plain(plain)
            part, _, name = key.partition(".")
            if key in values:
                values[key] = value
            elif not name or part == "model":
                values["model"] = _changed_model(values["model"], key, value)
            elif part in _PARTS:
                values[part] = _changed(part, values[part], name, value)
            else:
                raise ValueError(_unknown(key, known_keys()))
        return Experiment(**values)

    def to_dict(self) -> dict[str, Any]:
        """Returns the experiment as plain values: what `config.json` and TOML files hold."""
        return {
            each.name: _part_to_dict(getattr(self, each.name))
            if each.name in _PARTS
            else getattr(self, each.name)
            for each in fields(self)
        }

    @classmethod
    def from_dict(
        cls, values: Mapping[str, Any], defaults: "Experiment | None" = None
    ) -> "Experiment":
        """Returns the experiment that `to_dict` described.

        Args:
            values: What `to_dict` has returned, or some of its entries.
            defaults: Where entries that are missing come from; by default `Experiment()`.

        Raises:
            ValueError: If an entry is unknown, or a value lies outside its range.
        """
        experiment = cls() if defaults is None else defaults
        known = [each.name for each in fields(cls)]
        changes: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                raise ValueError(_unknown(key, known))
            if key in _OPTIONAL and value is None:
                changes[key] = None
            elif key in _PARTS:
                changes |= _part_from_dict(key, value)
            else:
                changes[key] = value
        return experiment.but(changes)

    def __eq__(self, other: object) -> bool:
        # Keras objects among the options compare by what they were made with.
        return isinstance(other, Experiment) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.model.name, self.data, self.seed, self.dtype))


def known_keys() -> list[str]:
    """Returns the keys that `Experiment.but` takes besides model options."""
    keys = [
        f"{part}.{each.name}"
        for part, kind in _PARTS.items()
        if part != "model"
        for each in fields(kind)
    ]
    return ["model.name", *keys, "seed", "dtype"]


def first_difference(old: Experiment, new: Experiment) -> tuple[str, Any, Any] | None:
    """Returns the key in which two experiments differ first, and both values, or `None`."""
    before, after = _flat(old.to_dict()), _flat(new.to_dict())
    key = first_other_key(before, after)
    if key is None:
        return None
    return key.replace("model.options.", ""), before.get(key), after.get(key)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        inner = isinstance(value, Mapping) and path in (*_PARTS, "model.options")
        flat |= _flat(value, f"{path}.") if inner else {path: value}
    return flat


def _changed_model(model: Model, key: str, value: Any) -> Model:
    if key == "model.name":
        return replace(model, name=value)
    return replace(model, options={**model.options, key.removeprefix("model."): value})


def _changed(part: str, old: Any, name: str, value: Any) -> Any:
    kind = _PARTS[part]
    known = [each.name for each in fields(kind)]
    if name not in known:
        raise ValueError(_unknown(f"{part}.{name}", [f"{part}.{each}" for each in known]))
    return replace(kind() if old is None else old, **{name: value})


def _part_to_dict(part: Any) -> Any:
    if part is None:
        return None
    return {each.name: to_plain(getattr(part, each.name)) for each in fields(part)}


def _part_from_dict(part: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ValueError(
            f"The part `{part}` of an experiment must be a table of "
            f"{', '.join(each.name for each in fields(_PARTS[part]))}. Received: {values!r}"
        )
    changes = {f"{part}.{name}": value for name, value in values.items()}
    if part != "model":
        return changes
    options = changes.pop("model.options", {})
    if not isinstance(options, Mapping):
        raise ValueError(f"The options of a model must be a table. Received: {shown(options)}")
    for key in changes:
        if key != "model.name":
            raise ValueError(_unknown(key, ["model.name", "model.options"]))
    return changes | {f"model.{name}": value for name, value in options.items()}


def _unknown(key: str, known: Sequence[str]) -> str:
    hint = did_you_mean(key, known)
    return f"An experiment has no key {shown(key)}: {hint}Expected one of {listed(known, 12)}."
