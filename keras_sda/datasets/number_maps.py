"""Maps of one numeric column to the range that a network learns from, and back."""

from dataclasses import asdict, dataclass, fields, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from keras_sda._validation import check_choice
from keras_sda.datasets.robust import robust_map

# To a range that all numbers of a table may lie in already.
UNIT_SCALES = ("unit", "symmetric")
COLUMN_SCALES = ("squash", "quantile", "standard", "robust", "unit", "symmetric", None)

# Squashed values lie between -3 and 3; skrub's SquashingScaler has the same bound.
BOUND = 3.0
# From here on, squashed values are the bound in float32.
FLAT = 2e4

# As many as an exported model can interpolate between without becoming slow.
_MOST_KNOTS = 64

_SPREAD = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class NumberMap:
    """The map of one column's numbers: `(x - offset) * factor`, and then what `scale` asks for.

    Args:
        scale: `"squash"`: `z / sqrt(1 + (z / 3)^2)`, between -3 and 3, where z is the distance
            from the median in quartile ranges; `"quantile"`: normal scores, linear between knots;
            `"standard"`, `"robust"`, `"unit"`, `"symmetric"` and `None` as `Scaling`.
        offset: What is subtracted.
        factor: What the difference is multiplied by.
        centre: Where a missing value goes: the middle of the map.
        low: Smallest output value, or `None` for no bound.
        high: Largest output value, or `None` for no bound.
        knots: For `"quantile"`, increasing values.
        scores: For `"quantile"`, what the knots are mapped to.
    """

    scale: str | None = None
    offset: float = 0.0
    factor: float = 1.0
    centre: float = 0.0
    low: float | None = None
    high: float | None = None
    knots: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_choice("scale", self.scale, COLUMN_SCALES, "NumberMap")
        for each in fields(self)[1:6]:
            _check_number(each.name, getattr(self, each.name), optional=each.name in _BOUNDS)
        for name in ("knots", "scores"):
            for value in getattr(self, name):
                _check_number(name, value, optional=False)
        increases = np.all(np.diff(self.knots) > 0) and np.all(np.diff(self.scores) > 0)
        if self.factor == 0 or len(self.knots) != len(self.scores) or not increases:
            raise ValueError(
                "NumberMap needs a factor other than 0, and as many knots as scores, both "
                f"increasing. Received: factor={self.factor}, {len(self.knots)} knots and "
                f"{len(self.scores)} scores."
            )

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Maps numbers, float64 with NaN where one is missing; NaN goes to `centre`."""
        z = (numbers - self.offset) * self.factor
        if self.scale == "squash":
            # Rounding would break order and bound on the flat part, and large values overflow.
            z = np.clip(z, -FLAT, FLAT)
            z = BOUND * (z / np.hypot(BOUND, z))
        elif self.knots:
            z = np.interp(numbers, self.knots, self.scores)
        if self.has_bounds:
            z = np.clip(z, self.low, self.high)
        return np.where(np.isnan(numbers), self.centre, z)

    @property
    def has_bounds(self) -> bool:
        """Whether values beyond are cut off."""
        return self.low is not None or self.high is not None

    def free(self, numbers: np.ndarray) -> np.ndarray:
        """Maps numbers as if there were no bounds."""
        return replace(self, low=None, high=None)(numbers)

    def inverse(self, scaled: np.ndarray) -> np.ndarray:
        """Maps back; what no number is mapped to counts as the nearest one that is."""
        z = np.asarray(scaled, "float64")
        if self.has_bounds:
            z = np.clip(z, self.low, self.high)
        if self.scale == "squash":
            z = np.clip(z / BOUND, -0.99999, 0.99999)
            z = BOUND * z / np.sqrt(1 - z**2)
        elif self.knots:
            return np.interp(z, self.scores, self.knots)
        return z / self.factor + self.offset

    def to_dict(self) -> dict[str, Any]:
        """Returns the map as plain values."""
        plain = asdict(self)
        return plain | {name: list(plain[name]) for name in ("knots", "scores")}

    @classmethod
    def from_dict(cls, config: Any) -> "NumberMap":
        """Returns the map that `to_dict` described."""
        names = [each.name for each in fields(cls)]
        if not isinstance(config, dict) or sorted(config) != sorted(names):
            raise ValueError(f"A map of numbers has the entries {', '.join(names)}.")
        lists = [config[name] for name in ("knots", "scores")]
        if not all(isinstance(each, (list, tuple)) for each in lists):
            raise ValueError("The knots and scores of a map of numbers must be lists.")
        return cls(**config | {"knots": tuple(lists[0]), "scores": tuple(lists[1])})


_BOUNDS = ("low", "high")


def _check_number(name: str, value: Any, *, optional: bool) -> None:
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise ValueError(f"`{name}` of NumberMap must be a finite number. Received: {value!r}")


def fit_number_map(numbers: np.ndarray, scale: str | None, *, is_unit: bool = False) -> NumberMap:
    """Chooses the map of a column.

    Args:
        numbers: Training values, float64, NaN where one is missing.
        scale: See `NumberMap`.
        is_unit: Whether the table lies in [0, 1] already, which "unit" then leaves alone.
    """
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        known = np.zeros(1)
    if scale == "squash":
        return _squash(known)
    if scale == "quantile":
        return _quantile(known)
    if scale == "standard":
        low, high = known.min(), known.max()
        spread = known.std() if high > low else 1.0
        return NumberMap("standard", float(known.mean()), _inverse_of(spread))
    if scale is None:
        return NumberMap(None, centre=float(np.median(known)))
    if scale == "robust":
        offset, factor, low, high = robust_map(known)
        return _centred(NumberMap("robust", offset, factor, low=low, high=high), known)
    low, high = (0.0, 1.0) if is_unit else (known.min(), known.max())
    factor = _inverse_of(high - low)
    if scale == "symmetric":
        made = NumberMap("symmetric", float(low + 0.5 / factor), 2 * factor, low=-1.0, high=1.0)
    else:
        made = NumberMap("unit", float(low), factor, low=0.0, high=1.0)
    return _centred(made, known)


def _centred(made: NumberMap, known: np.ndarray) -> NumberMap:
    """Returns a map that puts missing values where the median goes."""
    return replace(made, centre=float(made(np.array([np.median(known)]))[0]))


def _inverse_of(spread: Any) -> float:
    return 1.0 / float(spread) if spread > _SPREAD else 1.0


def _squash(known: np.ndarray) -> NumberMap:
    median = float(np.median(known))
    lower, upper = np.quantile(known, [0.25, 0.75])
    spread = upper - lower
    if not spread > _SPREAD:
        # Half the range, as skrub: a column that is mostly one value keeps its other values apart.
        spread = (known.max() - known.min()) / 2
    return NumberMap("squash", median, _inverse_of(spread))


def _quantile(known: np.ndarray) -> NumberMap:
    ordered = np.sort(known)
    knots = np.unique(ordered)
    if len(knots) > _MOST_KNOTS:
        places = np.linspace(0, len(ordered) - 1, _MOST_KNOTS).round().astype(int)
        knots = np.unique(ordered[places])
    # Mid-ranks: values that are equal share the middle of the ranks that they take.
    left, right = (np.searchsorted(ordered, knots, side) for side in ("left", "right"))
    shares = (left + right) / (2 * len(ordered))
    scores = [NormalDist().inv_cdf(float(share)) for share in shares]
    return NumberMap("quantile", knots=tuple(knots.tolist()), scores=tuple(scores))
