"""What `Columns` computes in NumPy, as operations of Keras: numbers and categories to inputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_sda.datasets.column import CYCLES, HALFWAY, Column
from keras_sda.datasets.number_maps import BOUND, FLAT, NumberMap
from keras_sda.datasets.table_arrays import TableArrays, two_values

# Each cycle of a date as one that float32 multiplies by whole numbers without rounding.
_EXACT_CYCLES = {"year": 365.25, "week": 7.0, "day": 1.0}

# Knots may be so close that float32 would divide by zero.
_STEEPEST = 1e20


class ColumnMaps:
    """The map of all columns, in float32 as exact as `Columns` in float64.

    Args:
        used: The columns of a `Columns` that are not ignored.
        dtype: The dtype to compute in.
    """

    def __init__(self, used: Sequence[Column], dtype: str) -> None:
        self.used = tuple(used)
        self.dtype = dtype
        self.places = TableArrays(self.used)
        self._values: dict[str, int] = {}
        self._rests: dict[str, int] = {}
        for place, held in enumerate(self.places.numbers):
            (self._rests if held.is_rest else self._values)[held.column.name] = place

    def __call__(self, numbers: Any, codes: Any) -> tuple[Any, Any]:
        """Returns the inputs of a model, and what bounds have cut off each number or `None`.

        Args:
            numbers: Tensor of the array `numbers`, or `None` without such columns.
            codes: Whole numbers in place of the text in `categories`, or `None`: which of a
                column's categories; their count where it is missing, one more where unknown.
        """
        blocks = _Blocks()
        beyond = None if numbers is None else self._add_numbers(blocks, numbers)
        for place, column in enumerate(self.places.categories):
            table = column.inputs_of_categories().astype(self.dtype)
            names = [(column.name, number) for number in range(table.shape[1])]
            blocks.add(ops.take(table, codes[:, place], axis=0), names)
        names = [(c.name, number) for c in self.used for number in range(len(c.input_names))]
        return blocks.ordered(names), beyond

    def _add_numbers(self, blocks: "_Blocks", numbers: Any) -> Any:
        missing = ops.isnan(numbers)
        known = ops.where(missing, ops.zeros_like(numbers), numbers)
        gaps = ops.cast(missing, self.dtype)
        own = [column for column in self.used if column.name in self._values]
        beyond = None
        # Other maps than by knots first, as these cost far more.
        for by_knots in (False, True):
            group = [c for c in own if c.number and bool(c.number.knots) == by_knots]
            if group:
                values, cut = self._mapped(known, group)
                values = ops.where(
                    self._take(missing, group), self._of_maps(group, "centre"), values
                )
                blocks.add(values, [(column.name, 0) for column in group])
                if cut is not None:
                    beyond = cut * (1 - self._take(gaps, group))
        for column in own:
            for number, part in enumerate(column.parts):
                waves = self._waves(known, gaps, column, part)
                blocks.add(waves, [(column.name, 1 + 2 * number), (column.name, 2 + 2 * number)])
        if binary := [column for column in own if column.kind == "binary"]:
            blocks.add(self._binary(known, missing, binary), [(c.name, 0) for c in binary])
        if flagged := [column for column in own if column.has_flag]:
            names = [(column.name, len(column.input_names) - 1) for column in flagged]
            blocks.add(self._take(gaps, flagged), names)
        return beyond

    def _mapped(self, known: Any, group: Sequence[Column]) -> tuple[Any, Any]:
        """Returns the numbers of columns mapped, and what was cut off them or `None`."""
        maps = [column.number for column in group if column.number is not None]
        value, rest = self._take(known, group), self._rest(known, group)
        if maps[0].knots:
            return self._interpolated(value, rest, maps), None
        z = self._difference(
            value,
            rest,
            np.array([each.offset for each in maps]),
            np.array([each.factor for each in maps]),
        )
        squashed = np.array([each.scale == "squash" for each in maps])
        if squashed.any():
            far = ops.clip(z, -FLAT, FLAT)
            flat = BOUND * (far / ops.sqrt(BOUND**2 + far * far))
            z = flat if squashed.all() else ops.where(squashed, flat, z)
        if not any(each.has_bounds for each in maps):
            return z, None
        low = [-np.inf if each.low is None else each.low for each in maps]
        high = [np.inf if each.high is None else each.high for each in maps]
        bounded = ops.minimum(ops.maximum(z, self._constant(low)), self._constant(high))
        return bounded, z - bounded

    def _interpolated(self, value: Any, rest: Any, maps: Sequence[NumberMap]) -> Any:
        """Sums what each stretch between two knots adds up to a number."""
        count = max(2, max(len(each.knots) for each in maps))
        # Columns with fewer knots end in stretches that add nothing.
        knots = np.stack([np.pad(m.knots, (0, count - len(m.knots)), "edge") for m in maps])
        scores = np.stack([np.pad(m.scores, (0, count - len(m.knots)), "edge") for m in maps])
        width = np.diff(knots)
        slope = 1 / np.maximum(np.where(width > 0, width, 1), 1 / _STEEPEST)
        value = ops.expand_dims(value, -1)
        rest = None if rest is None else ops.expand_dims(rest, -1)
        share = ops.clip(self._difference(value, rest, knots[:, :-1], slope), 0, 1)
        return ops.sum(share * self._constant(np.diff(scores)), axis=-1) + self._constant(
            scores[:, 0]
        )

    def _difference(self, value: Any, rest: Any, offset: np.ndarray, factor: np.ndarray) -> Any:
        """Returns `(value + rest - offset) * factor` without rounding what is far from zero."""
        # In two parts, as in `ArrayRows.scaled`, the number as well as the offset.
        coarse = offset.astype(self.dtype).astype("float64")
        fine = offset - coarse
        z = (value - self._constant(coarse)) * self._constant(factor)
        if rest is not None:
            return z + (rest - self._constant(fine)) * self._constant(factor)
        return z - self._constant(fine * factor) if fine.any() else z

    def _waves(self, known: Any, gaps: Any, column: Column, part: str) -> Any:
        """Returns the sine and cosine of a date's place in a cycle."""
        cycle, exact = CYCLES[part], _EXACT_CYCLES[part]
        centre = ((column.low or 0.0) + (column.high or 0.0)) / 2
        start = np.round(centre / cycle)  # counted from a cycle near the training dates
        day = np.round(start * cycle)
        value = self._take(known, [column])
        whole = ops.round(value)
        since = whole - self._constant(day)
        count = ops.round(since / exact)
        # Nothing is rounded so far: these are whole numbers and quarters.
        place = since - count * exact + ((value - whole) + self._rest(known, [column]))
        if cycle != exact:
            place = place + (
                count * self._constant(exact - cycle) + self._constant(day - start * cycle)
            )
        angle = place * self._constant(2 * np.pi / cycle)
        waves = ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=1)
        waves = waves * (1 - self._take(gaps, [column]))
        is_unit = column.number is not None and column.number.scale == "unit"
        return (waves + 1) / 2 if is_unit else waves

    def _binary(self, known: Any, missing: Any, group: Sequence[Column]) -> Any:
        first, second = np.array([two_values(column) for column in group]).T
        value = self._take(known, group)
        halfway = ops.full_like(value, HALFWAY)
        inputs = ops.where(ops.equal(value, self._constant(second)), ops.ones_like(value), halfway)
        inputs = ops.where(ops.equal(value, self._constant(first)), ops.zeros_like(value), inputs)
        return ops.where(self._take(missing, group), halfway, inputs)

    def _take(self, values: Any, group: Sequence[Column]) -> Any:
        return ops.take(values, [self._values[column.name] for column in group], axis=1)

    def _rest(self, known: Any, group: Sequence[Column]) -> Any:
        """Returns what float32 has rounded off the numbers, or `None` if nothing is given of it."""
        if not any(column.name in self._rests for column in group):
            return None
        padded = ops.concatenate([known, ops.zeros_like(known[:, :1])], axis=1)
        none = len(self.places.numbers)
        return ops.take(padded, [self._rests.get(c.name, none) for c in group], axis=1)

    def _of_maps(self, group: Sequence[Column], name: str) -> Any:
        return self._constant([getattr(column.number, name) for column in group])

    def _constant(self, values: Any) -> Any:
        # A tensor, as PyTorch's do not reckon with arrays.
        return ops.convert_to_tensor(np.asarray(values, "float64").astype(self.dtype))


class _Blocks:
    """Inputs as they are computed, side by side, to be put in order at the end."""

    def __init__(self) -> None:
        self._blocks: list[Any] = []
        self._names: list[tuple[str, int]] = []

    def add(self, block: Any, names: list[tuple[str, int]]) -> None:
        self._blocks.append(block)
        self._names += names

    def ordered(self, names: Any) -> Any:
        """Returns the inputs in the order of these names, all that were added."""
        place = {name: number for number, name in enumerate(self._names)}
        order = [place[name] for name in names]
        inputs = ops.concatenate(self._blocks, axis=1)
        return inputs if order == sorted(order) else ops.take(inputs, order, axis=1)
