"""The affine map from raw values to what a model is trained on, kept to be applied again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_sda._validation import check_choice, check_rows, lies_within_unit, wrong_argument
from keras_sda.datasets.robust import robust_map

SCALES = ("unit", "symmetric", "standard", "robust", None)

# Rows scaled at a time: the arithmetic is in float64, and a float64 copy of all would be large.
_CHUNK_ROWS = 4096

# A narrower range than this cannot be told from a constant once values are float32.
_NARROWEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Scaling:
    """The map `(x - offset) * factor`, clipped to `low` and `high`, that was applied to the data.

    It is fitted on training rows by `keras_sda.datasets.load`; keep it with a trained model and
    call it on the raw values of new rows. `Scaling()` changes nothing but the dtype.

    Args:
        offset: What is subtracted: one number, or one per column.
        factor: What the difference is multiplied by: one number, or one per column.
        low: Smallest output value, one number or one per column, or `None` for no bound.
        high: Largest output value, likewise.

    Example:

    >>> import numpy as np
    >>> from keras_sda.datasets import Scaling
    >>> scaling = Scaling(offset=(0.0, 10.0), factor=(1.0, 0.5), low=0.0, high=1.0)
    >>> scaling(np.array([[0.25, 11.0], [0.5, 99.0]])).tolist()
    [[0.25, 0.5], [0.5, 1.0]]
    >>> Scaling.from_dict(scaling.to_dict()) == scaling
    True
    """

    # Tuples, not arrays: they can be compared, not changed, and written as JSON.
    offset: float | tuple[float, ...] = 0.0
    factor: float | tuple[float, ...] = 1.0
    low: float | tuple[float, ...] | None = None
    high: float | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("offset", "factor", "low", "high"):
            if getattr(self, name) is None and name in ("low", "high"):
                continue
            try:
                values = np.asarray(getattr(self, name))
            except ValueError:  # of rows of different lengths
                values = np.asarray(None)
            if values.dtype.kind not in "iuf" or values.ndim > 1 or not np.isfinite(values).all():
                expected = "be a finite number, or one per column"
                raise wrong_argument(name, "Scaling", expected, getattr(self, name))
            # `tolist` returns plain Python floats, whatever was passed.
            plain = values.astype("float64").tolist()
            object.__setattr__(self, name, tuple(plain) if values.ndim else plain)

    def __call__(self, x_raw: Any) -> np.ndarray:
        """Scales raw rows.

        Args:
            x_raw: Numbers of shape `(rows, columns)`, or `(rows, ...)` such as images, whose
                values after the first axis are then the columns in row-major order.

        Returns:
            A new float32 array of the same shape.

        Raises:
            ValueError: If the number of columns is not that of the rows the map was fitted on, or a
                value is NaN, infinite, or too large for float32.
        """
        x = np.asarray(x_raw)
        check_rows(x, "Scaling")
        rows = x.reshape(len(x), -1)
        given = (self.offset, self.factor, self.low, self.high)
        widths = [len(v) for v in given if isinstance(v, tuple)]
        check_rows(rows, "Scaling", shape=tuple(widths[:1]) or None)
        offset, factor = np.asarray(self.offset), np.asarray(self.factor)
        scaled = np.empty(rows.shape, dtype="float32")
        for start in range(0, len(rows), _CHUNK_ROWS):
            # In float64, so that 255 / 255 is exactly 1 and columns far from 0 keep their digits.
            chunk = (rows[start : start + _CHUNK_ROWS].astype("float64") - offset) * factor
            if self._has_bounds:
                chunk = np.clip(chunk, self.low, self.high)
            if np.abs(chunk).max() > np.finfo(np.float32).max:
                raise ValueError(
                    "Scaling returns float32, whose maximum is about 3.4e38. Received larger "
                    f"values from row {start} on: rescale the data, or use scale='unit'."
                )
            scaled[start : start + _CHUNK_ROWS] = chunk
        return scaled.reshape(x.shape)

    def excess(self, x_raw: Any) -> np.ndarray:
        """Returns how far rows lie beyond the bounds, which calling the map clips away.

        Added to a reconstruction error of the clipped row, it makes an outlier count.

        Args:
            x_raw: Raw rows, as for calling the map.

        Returns:
            Array of shape `(rows,)`: the squared distance between the row as it would be without
            bounds and the clipped one, in scaled units; 0 within the bounds.
        """
        free = replace(self, low=None, high=None)(x_raw).astype("float64")
        beyond = free - np.clip(free, self.low, self.high) if self._has_bounds else 0 * free
        return (beyond.reshape(len(free), -1) ** 2).sum(axis=1)

    @property
    def _has_bounds(self) -> bool:
        return self.low is not None or self.high is not None

    def to_dict(self) -> dict[str, Any]:
        """Returns the map as plain numbers and lists, ready for JSON."""

        def plain(value: float | tuple[float, ...] | None) -> float | list[float] | None:
            return list(value) if isinstance(value, tuple) else value

        return {
            "offset": plain(self.offset),
            "factor": plain(self.factor),
            "low": plain(self.low),
            "high": plain(self.high),
        }

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> "Scaling":
        """Rebuilds the map that `to_dict` described.

        Raises:
            ValueError: If `config` does not have exactly the entries of `to_dict`.
        """
        expected = {"offset", "factor", "low", "high"}
        if set(config) != expected:
            raise ValueError(
                f"Scaling.from_dict expects the entries {', '.join(sorted(expected))}. "
                f"Received: {', '.join(sorted(map(str, config))) or 'none'}"
            )
        return cls(**config)


def fit_scaling(
    x_train: np.ndarray, scale: str | None, unit_range: tuple[float, float] | None = None
) -> Scaling:
    """Chooses the map for raw training values.

    Args:
        x_train: Raw values of shape `(rows, columns)`, or images of shape `(rows, height, width)`
            or `(rows, height, width, channels)`.
        scale: `"unit"` for [0, 1]; `"symmetric"` for [-1, 1]; `"standard"` for mean 0 and
            standard deviation 1 in every column; `"robust"` for the same of values that are cut
            first, see `robust_map`; `None` to leave the values alone.
        unit_range: The values to map to 0 and 1, if the kind of data fixes them.

    Returns:
        A `Scaling`. `"unit"` leaves values alone that already lie in [0, 1]; bytes count as pixels
        from 0 to 255; all pixels of other images share one range, so that none is stretched by
        itself; in anything else each column has its own range, from its smallest to its largest
        value. Columns that are constant are only shifted.
    """
    check_choice("scale", scale, SCALES, "keras_sda.datasets.load")
    if scale is None:
        return Scaling()
    if scale == "standard":
        return _fit_standard(x_train.reshape(len(x_train), -1))
    if scale == "robust":
        return joined(robust_map(c.astype("float64")) for c in x_train.reshape(len(x_train), -1).T)
    unit = _fit_unit(x_train, unit_range)
    if scale == "unit":
        return unit
    # 2 * unit - 1, as one map.
    offset, factor = np.asarray(unit.offset), np.asarray(unit.factor)
    return _scaling(offset + 0.5 / factor, 2.0 * factor, low=-1.0, high=1.0)


def _fit_unit(x: np.ndarray, unit_range: tuple[float, float] | None) -> Scaling:
    if unit_range is None and lies_within_unit(x):
        unit_range = (0.0, 1.0)
    elif unit_range is None and x.dtype == np.uint8:
        unit_range = (0.0, 255.0)
    elif unit_range is None and x.ndim > 2:
        unit_range = (float(x.min()), float(x.max()))
    if unit_range is not None:
        low, high = np.float64(unit_range[0]), np.float64(unit_range[1])
    else:
        low, high = x.min(axis=0).astype("float64"), x.max(axis=0).astype("float64")
    return _scaling(low, 1.0 / _or_one(high - low, high > low), low=0.0, high=1.0)


def _fit_standard(x: np.ndarray) -> Scaling:
    mean = x.mean(axis=0, dtype="float64")
    squares = np.zeros_like(mean)
    for chunk in _chunks(x):
        squares += ((chunk - mean) ** 2).sum(axis=0)
    # A constant column's deviation is rounding noise, not zero: ask for its range instead.
    deviation = _or_one(np.sqrt(squares / len(x)), x.max(axis=0) > x.min(axis=0))
    return _scaling(mean, 1.0 / deviation)


def joined(maps: Iterable[tuple[float, float, float, float]]) -> Scaling:
    """Returns maps of single columns, offset, factor and bounds each, as one of all."""
    return Scaling(*zip(*maps, strict=True))


def _scaling(offset: Any, factor: Any, **bounds: float) -> Scaling:
    return Scaling(_plain(offset), _plain(factor), **bounds)


def _plain(values: Any) -> float | tuple[float, ...]:
    values = np.asarray(values)
    return tuple(values.tolist()) if values.ndim else float(values)


def _chunks(x: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(x), _CHUNK_ROWS):
        yield x[start : start + _CHUNK_ROWS].astype("float64")


def _or_one(spread: Any, varies: Any) -> Any:
    """`spread` where the column varies enough to divide by it, 1 elsewhere."""
    return np.where(varies & (spread > _NARROWEST), spread, 1.0)
