"""One column of a table: its kind, its inputs of a network, and the way there and back."""

from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from keras_sda._validation import shown
from keras_sda.datasets.column_kinds import KINDS, Kind
from keras_sda.datasets.dates import date_text
from keras_sda.datasets.frames import Values, has_day_first, to_days, to_numbers, to_text
from keras_sda.datasets.number_maps import NumberMap, fit_number_map

OTHER = "(other)"
MISSING = "(missing)"

# Where a missing or unknown one of two values goes: halfway.
HALFWAY = 0.5

_HELD = ("number", "boolean", "date", "text")
_YEAR, _WEEK = 365.2425, 7.0
# Squares and ranges of larger numbers overflow, and all others of their column would become 0.
_LARGEST = 1e150


class InputGroup(NamedTuple):
    """The inputs of one column: `x[:, start:stop]`.

    Attributes:
        name: Name of the column.
        kind: `"numeric"` (dates, too), `"binary"` or `"categorical"` (one-hot).
        start: First input.
        stop: The one after the last input.
        has_flag: Whether the last input is 1 where the value is missing, and 0 elsewhere.
    """

    name: str
    kind: str
    start: int
    stop: int
    has_flag: bool


@dataclass(frozen=True)
class Column:
    """A column of a table as `Columns` takes it.

    Args:
        name: Its name.
        kind: `"numeric"`, `"binary"`, `"categorical"`, `"date"` or `"ignored"`.
        held: What its values are: `"number"`, `"boolean"`, `"date"` or `"text"`.
        missing: Share of the training rows without a value.
        number: Map of the numbers; of a date's days since 1970.
        categories: Values that have an input of their own; of two values, those that are 0 and 1.
        parts: For a date: `"year"`, `"week"`, `"day"`, the cycles whose sine and cosine are inputs.
        low: Smallest training value of a number or date.
        high: Largest training value.
        note: Why a column is ignored, or what else is to be told of it.
        has_other: Whether a category has an input for all values that were rare in training, which
            those never seen there take, too. Without it, their inputs are all 0.
        day_first: Whether its dates are written like 31/1/2026 (`True`) or 1/31/2026 (`False`).
    """

    name: str
    kind: str
    held: str = "number"
    missing: float = 0.0
    number: NumberMap | None = None
    categories: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    note: str = ""
    has_other: bool = True
    day_first: bool | None = None

    def __post_init__(self) -> None:
        texts = (self.name, self.note, *self.categories, *self.parts)
        is_date = self.kind == "date"
        if (
            self.kind not in KINDS
            or self.held not in _HELD
            or not all(isinstance(text, str) for text in texts)
            or (self.kind in ("numeric", "date")) != isinstance(self.number, NumberMap)
            or (self.kind == "binary" and len(self.categories) != 2)
            or not set(self.parts) <= set(CYCLES)
            or (bool(self.parts) and not is_date)
            or not _is_share(self.missing)
            or not isinstance(self.has_other, bool)
            or self.day_first not in (None, False, True)
        ):
            raise ValueError(
                f"The column {shown(self.name)} is not as `Columns.to_dict` describes one."
            )

    @property
    def group_kind(self) -> str:
        """The kind of its group of inputs."""
        return "numeric" if self.kind == "date" else self.kind

    @property
    def has_flag(self) -> bool:
        """Whether an input of its own says that the value is missing."""
        return self.missing > 0 and self.kind in ("numeric", "binary", "date")

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of its inputs."""
        names = [self.name]
        if self.kind == "ignored":
            return ()
        if self.kind == "categorical":
            return tuple(f"{self.name} = {end}" for end in self._ends)
        if self.kind == "binary" and self.held == "text":
            names = [f"{self.name} = {self.categories[1]}"]
        for part in self.parts:
            names += [f"{self.name}, {part} (sine)", f"{self.name}, {part} (cosine)"]
        return tuple(names + ([f"{self.name} is missing"] if self.has_flag else []))

    @property
    def _ends(self) -> list[str]:
        """What the inputs of a category stand for."""
        others = [OTHER] if self.has_other else []
        return [*self.categories, *others, *([MISSING] if self.missing > 0 else [])]

    def __call__(self, read: Values) -> np.ndarray:
        """Returns the inputs of values, float64 of shape `(rows, inputs)`.

        Raises:
            ValueError: If the values are not of the column's kind.
        """
        if self.kind in ("binary", "categorical"):
            return self._of_text(self.text(read))
        numbers = self.numbers(read)
        missing = np.isnan(numbers)
        assert self.number is not None  # noqa: S101  (for the type checker)
        inputs = [self.number(numbers)]
        for part in self.parts:
            angle = 2 * np.pi * numbers / CYCLES[part]
            inputs += [self._turn(np.sin(angle), missing), self._turn(np.cos(angle), missing)]
        return np.stack(inputs + ([missing] if self.has_flag else []), axis=1).astype("float64")

    def numbers(self, read: Values) -> np.ndarray:
        """Returns the values of a numeric column, or days since 1970: float64, NaN where missing.

        Raises:
            ValueError: If the values are not of the column's kind.
        """
        numbers = self._as_numbers(read)
        if numbers is None:
            alone = ((value, Values("text", np.array([value], object))) for value in read.values)
            text = next((str(value) for value, one in alone if self._as_numbers(one) is None), "")
            expected = "dates" if self.kind == "date" else "numbers"
            raise ValueError(
                f"Column {shown(self.name)} must hold {expected}. Received: {shown(text)}"
            )
        return numbers

    def _as_numbers(self, read: Values) -> np.ndarray | None:
        return to_days(read, self.day_first) if self.kind == "date" else to_numbers(read)

    def text(self, read: Values) -> np.ndarray:
        """Returns the values as names of categories, `None` where one is missing."""
        return to_text(self._as_in_training(read))

    def excess(self, read: Values) -> np.ndarray:
        """Returns how far values lie beyond the bounds of their map, in its units; `(rows,)`."""
        if self.number is None:
            return np.zeros(len(read.values))
        numbers = self.numbers(read)
        return self.number.free(numbers) - self.number(numbers)

    def _turn(self, wave: np.ndarray, missing: np.ndarray) -> np.ndarray:
        wave = np.where(missing, 0.0, wave)
        is_unit = self.number is not None and self.number.scale == "unit"
        return (wave + 1) / 2 if is_unit else wave

    def _as_in_training(self, read: Values) -> Values:
        """Returns text as the numbers or booleans it stands for, if training had these."""
        if read.held == "text" and self.held == "number" and to_numbers(read) is not None:
            return Values("number", to_numbers(read))  # type: ignore[arg-type]
        if read.held == "text" and self.held == "boolean":  # beside other text, or in lower case
            words = {"true": "True", "false": "False"}
            known = [None if v is None else words.get(v.lower(), v) for v in read.values]
            return Values("text", np.array(known, object))
        if read.held == "number" and self.held == "boolean":
            return Values("boolean", np.where(np.isin(read.values, [0, 1]), read.values, np.nan))
        if read.held == "boolean" and self.held == "number":
            return Values("number", read.values)
        return read

    def _of_text(self, text: np.ndarray) -> np.ndarray:
        count = len(self.categories)
        place: dict[Any, int] = {
            category: number for number, category in enumerate(self.categories)
        }
        place[None] = count
        codes = np.array([place.get(value, count + 1) for value in text], int)
        return self.inputs_of_categories()[codes]

    def inputs_of_categories(self) -> np.ndarray:
        """Returns the inputs of each category, of a missing one, and of one that is not known.

        float64 of shape `(categories + 2, inputs)`.
        """
        count, width = len(self.categories), len(self.input_names)
        if self.kind == "binary":
            inputs = np.array([[0.0, 0], [1, 0], [HALFWAY, 1], [HALFWAY, 0]])
            return inputs[:, :width]
        inputs = np.zeros((count + 2, width))
        inputs[range(count), range(count)] = 1
        if self.has_other:
            inputs[count + 1, count] = 1
        # What was never missing in training is not known.
        inputs[count] = np.eye(width)[-1] if self.missing > 0 else inputs[count + 1]
        return inputs

    def inverse(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the values of inputs, `None` or NaN where the largest one says missing."""
        if self.kind == "categorical":
            names = np.array([None if end is MISSING else end for end in self._ends], object)
            return np.where(inputs.any(axis=1), names[inputs.argmax(axis=1)], OTHER)
        missing = inputs[:, -1] > HALFWAY if self.has_flag else np.zeros(len(inputs), bool)
        if self.kind == "binary":
            second = inputs[:, 0] > HALFWAY
            values = np.array(self.categories, object)[second.astype(int)]
            if self.held == "number":
                return np.where(missing, np.nan, [float(value) for value in values])
            if self.held == "boolean":
                values = second.astype(object)
            return np.array(
                [None if gone else v for gone, v in zip(missing, values, strict=True)], object
            )
        assert self.number is not None  # noqa: S101  (for the type checker)
        return np.where(missing, np.nan, self.number.inverse(inputs[:, 0]))

    @property
    def values(self) -> str:
        """What it holds in training, in a few words."""
        if self.kind in ("binary", "categorical"):
            shown = ", ".join(self.categories[:4])
            return shown + (f", ... ({len(self.categories)})" if len(self.categories) > 4 else "")
        if self.low is None or self.high is None:
            return ""
        write = date_text if self.held == "date" or self.kind == "date" else "{:.6g}".format
        return f"{write(self.low)} to {write(self.high)}"

    @property
    def treatment(self) -> str:
        """What is done with it, in a few words."""
        if self.kind == "ignored":
            return self.note
        if self.kind == "categorical":
            done = f"{len(self.input_names)} inputs, one for each value"
        elif self.kind == "binary":
            done = f"1 where {self.categories[1]}"
        else:
            done = (self.number.scale if self.number else None) or "as it is"
            done += "".join(f", {part}" for part in self.parts)
        return (
            done
            + (", flag of the missing" if self.has_flag else "")
            + (f"; {self.note}" if self.note else "")
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the column as plain values."""
        plain = asdict(self)
        plain["number"] = None if self.number is None else self.number.to_dict()
        return plain | {"categories": list(self.categories), "parts": list(self.parts)}

    @classmethod
    def from_dict(cls, config: Any) -> "Column":
        """Returns the column that `to_dict` described."""
        names = [each.name for each in fields(cls)]
        if isinstance(config, dict):
            config = {"has_other": True, "day_first": None} | config  # of before they were known
        if not isinstance(config, dict) or sorted(config) != sorted(names):
            raise ValueError(
                f"A column has the entries {', '.join(names)}. Received: {shown(config, 200)}"
            )
        number = config["number"]
        if not all(isinstance(config[name], (list, tuple)) for name in ("categories", "parts")):
            raise ValueError("The categories and parts of a column must be lists.")
        changed = {
            "number": None if number is None else NumberMap.from_dict(number),
            "categories": tuple(config["categories"]),
            "parts": tuple(config["parts"]),
        }
        return cls(**config | changed)


# The cycles of a date, in days.
CYCLES = {"year": _YEAR, "week": _WEEK, "day": 1.0}


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1


def fit_column(
    name: str,
    read: Values,
    kind: Kind,
    scale: str | None,
    min_frequency: float,
    *,
    is_unit: bool = False,
) -> Column:
    """Returns a column as its training values have it."""
    share = float(read.missing.mean()) if len(read.values) else 0.0
    column = {"name": name, "kind": kind.name, "held": read.held, "missing": share}
    if kind.name == "ignored":
        return Column(**column, note=kind.note)  # type: ignore[arg-type]
    if kind.name in ("numeric", "date"):
        day_first = has_day_first(read) if kind.name == "date" else None
        numbers = to_days(read, day_first) if kind.name == "date" else to_numbers(read)
        assert numbers is not None  # noqa: S101  (checked with the kind)
        known = numbers[~np.isnan(numbers)]
        if len(known) and np.abs(known).max() > _LARGEST:
            raise ValueError(
                f"Column {shown(name)} must hold numbers up to {_LARGEST:g}, of which a scale can "
                f"be computed. Received one of {np.abs(known).max():g}: correct it, or give the "
                "logarithms."
            )
        return Column(
            **column,  # type: ignore[arg-type]
            number=fit_number_map(numbers, scale, is_unit=is_unit),
            parts=_cycles(known) if kind.name == "date" else (),
            day_first=day_first,
            low=float(known.min()),
            high=float(known.max()),
        )
    text = to_text(read)
    counts: dict[str, int] = {}
    for value in text:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    least = min_frequency if min_frequency >= 1 else min_frequency * len(text)
    ordered = sorted(counts, key=_order(read.held))
    kept = [each for each in ordered if kind.name == "binary" or counts[each] >= least]
    rare = len(counts) - len(kept)
    if not kept:
        return Column(**column | {"kind": "ignored"}, note="no value is frequent")  # type: ignore[arg-type]
    note = f"{rare} rare {'value' if rare == 1 else 'values'} grouped" if rare else ""
    return Column(**column, categories=tuple(kept), note=note, has_other=rare > 0)  # type: ignore[arg-type]


def _order(held: str) -> Any:
    return (lambda text: float(text)) if held == "number" else (lambda text: text)


def _cycles(days: np.ndarray) -> tuple[str, ...]:
    """Returns the cycles that training dates go through."""
    spans = np.ptp(days)
    has_times = bool((days != np.floor(days)).any())
    asked = (("year", spans > _YEAR / 2), ("week", spans > _WEEK), ("day", has_times))
    return tuple(name for name, is_asked in asked if is_asked)


def is_within_unit(read: Values) -> bool:
    """Whether all numbers lie in [0, 1]."""
    numbers = to_numbers(read)
    if numbers is None:
        return False
    known = numbers[~np.isnan(numbers)]
    return bool(len(known) and known.min() >= 0 and known.max() <= 1)
