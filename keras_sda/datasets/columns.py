"""The map from a table, with text, gaps and dates, to the inputs of a network, and back."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_sda._validation import check_choice, check_non_negative, listed, shown
from keras_sda.datasets.column import Column, InputGroup, fit_column, is_within_unit
from keras_sda.datasets.column_kinds import Kind, asked_kind, infer_kind
from keras_sda.datasets.dates import to_datetime
from keras_sda.datasets.frames import Values, num_rows, read_frame, read_values
from keras_sda.datasets.number_maps import COLUMN_SCALES, UNIT_SCALES
from keras_sda.datasets.table_arrays import TableArrays

_OWNER = "Columns"

# Rows mapped at a time: the arithmetic is in float64, and a float64 copy of all would be large.
_CHUNK_ROWS = 65_536


@dataclass(frozen=True, repr=False)
class Columns:
    """How each column of a table becomes inputs of a network; fitted on training rows by `fit`.

    A call takes the columns of a frame by name, in any order, and returns float32 inputs. Numbers
    are scaled; a missing one becomes the middle of the scale, and where training rows lacked it,
    an input says so (1 where missing). One of two values becomes 0 or 1, and half of it where
    missing or unknown. Categories become one-hot inputs, with one for all that were rare in
    training, where some were, and one for the missing, where some were. A category that training
    did not have counts as rare; where none was, all its inputs are 0. Dates become days since 1970,
    scaled, and the sine and cosine of the time of year, week and day.

    Args:
        columns: One `Column` for each column of the training table, in its order.
        target: Name of the label column, which is never an input, or `None`.
        ids: Names of columns that name rows, which are never inputs.

    Example:

    >>> import pandas as pd
    >>> from keras_sda.datasets import Columns
    >>> people = pd.DataFrame({"age": [20.0, None, 40.0], "city": ["Rome", "Rome", "Oslo"]})
    >>> columns = Columns.fit(people)
    >>> columns.input_names
    ('age', 'age is missing', 'city = Rome')
    >>> columns(people[["city", "age"]]).astype("float64").round(2).tolist()
    [[-0.95, 0.0, 1.0], [0.0, 1.0, 1.0], [0.95, 0.0, 0.0]]
    >>> Columns.from_dict(columns.to_dict()) == columns
    True
    """

    columns: tuple[Column, ...]
    target: str | None = None
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(isinstance(column, Column) for column in self.columns):
            raise ValueError(
                "Columns is made by Columns.fit(frame), or of columns of another one. Received: "
                f"columns={shown(self.columns)}"
            )
        if not any(column.kind != "ignored" for column in self.columns):
            reasons = "; ".join(
                f"{shown(column.name)}: {column.note}" for column in self.columns[:3]
            )
            raise ValueError(f"Columns needs a column to learn from. Received: {reasons or 'none'}")

    @classmethod
    def fit(
        cls,
        frame: Any,
        target: str | None = None,
        ids: Iterable[str] = (),
        kinds: Mapping[str, str] | None = None,
        scale: str | None = "squash",
        min_frequency: float = 0.01,
    ) -> "Columns":
        """Infers the kind of each column, and fits its map on training rows.

        Args:
            frame: A frame of pandas or polars, or a dictionary of columns. Missing are NaN, `None`,
                `pd.NA`, `NaT` and blank text.
            target: Label column, left out.
            ids: Columns that name rows, left out.
            kinds: Kinds by name of column, where the inferred one is not meant: `"numeric"`,
                `"binary"`, `"categorical"`, `"date"` or `"ignore"`. Inferred are: two values that
                are text, booleans, or 0 and 1: binary; other numbers: numeric; dates, and text of
                dates: date; other text: categorical. Ignored are columns without a value or
                with one alone, text that differs in every row, and whole numbers that count rows.
            scale: Of numbers. `"squash"`: `z / sqrt(1 + (z / 3)^2)` with z the distance from the
                median in quartile ranges, as skrub's SquashingScaler, so that heavy tails neither
                dominate the loss nor are cut off. `"quantile"`: normal scores of mid-ranks, linear
                between at most 64 values. `"standard"`: mean 0, deviation 1. `"robust"`: the same
                of values cut at ten robust deviations from the median. `"unit"`,
                `"symmetric"`: to [0, 1], [-1, 1], with values beyond cut off. `None`: as they are.
            min_frequency: Share of the rows (or from 1 on, number of rows) that a category needs
                for an input of its own. By default a hundredth: at most 100 inputs a column.

        Raises:
            ValueError: If `target`, `ids` or `kinds` name no column, a kind does not fit its
                values, or no column is left.

        Source: <https://skrub-data.org/stable/reference/generated/skrub.SquashingScaler.html>
        """
        check_choice("scale", scale, COLUMN_SCALES, "Columns.fit")
        check_non_negative("min_frequency", min_frequency, "Columns.fit")
        table = read_frame(frame, "Columns.fit")
        left_out = (*((target,) if target is not None else ()), *ids)
        kinds = dict(kinds or {})
        strange = sorted({*left_out, *kinds} - set(table))
        if strange:
            raise ValueError(
                f"Columns.fit got names that are no columns: {listed(strange)}. The table has "
                f"{listed(table)}."
            )
        if num_rows(table) == 0:
            raise ValueError("Columns.fit needs at least one row.")
        fitted, are_unit = {}, {}
        for name in table:
            if name in left_out:
                continue
            # One column at a time, as a table in a file may be larger than the memory.
            values = read_values(table[name], f"Column {shown(name)}")
            kind = asked_kind(name, values, kinds[name]) if name in kinds else _kind(name, values)
            fitted[name] = fit_column(name, values, kind, scale, min_frequency)
            if scale in UNIT_SCALES and kind.name == "numeric":
                are_unit[name] = is_within_unit(values)
        if all(are_unit.values()):  # then all numbers stay as they are
            for name in are_unit:
                values = read_values(table[name], f"Column {shown(name)}")
                kind = Kind("numeric")
                fitted[name] = fit_column(name, values, kind, scale, min_frequency, is_unit=True)
        return cls(tuple(fitted.values()), target, tuple(ids))

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that are not ignored."""
        return tuple(column for column in self.columns if column.kind != "ignored")

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, such as `"age"`, `"age is missing"` and `"city = Paris"`."""
        return tuple(name for column in self.columns for name in column.input_names)

    @property
    def groups(self) -> tuple[InputGroup, ...]:
        """The inputs of each column that is used."""
        groups, start = [], 0
        for column in self.used:
            stop = start + len(column.input_names)
            groups.append(InputGroup(column.name, column.group_kind, start, stop, column.has_flag))
            start = stop
        return tuple(groups)

    def __call__(self, frame: Any) -> np.ndarray:
        """Returns the inputs of rows.

        Args:
            frame: A frame with all columns that are used, in any order; others are left alone. An
                array of shape `(rows, columns)`, which has no names, is taken in the order of the
                columns that are used, if all are numeric or 0 and 1.

        Returns:
            float32 of shape `(rows, inputs)`.

        Raises:
            ValueError: If a column is missing, or its values are not of its kind.
        """
        table = self._complete(frame)
        x = np.empty((num_rows(table), len(self.input_names)), "float32")
        for column, group in zip(self.used, self.groups, strict=True):
            for start in range(0, len(x), _CHUNK_ROWS):
                rows = slice(start, start + _CHUNK_ROWS)
                read = read_values(table[column.name][rows], f"Column {shown(column.name)}")
                inputs = column(read)
                if np.abs(inputs).max(initial=0) > np.finfo(np.float32).max:
                    raise ValueError(
                        f"Column {shown(column.name)} holds values beyond float32: use "
                        "scale='squash'."
                    )
                x[rows, group.start : group.stop] = inputs
        return x

    def _complete(self, frame: Any) -> Mapping[str, Any]:
        """Returns the columns by name, all that are used among them."""
        table = self.read(frame)
        absent = [column.name for column in self.used if column.name not in table]
        if absent:
            raise ValueError(
                f"The table lacks {len(absent)} of the {len(self.used)} columns that the model was "
                f"trained on: {listed(absent)}. Add or rename them."
            )
        return table

    def read(self, frame: Any) -> Mapping[str, Any]:
        """Returns the columns of a frame, or of an array, by name; their values as they are."""
        if not isinstance(frame, np.ndarray):
            return read_frame(frame, _OWNER)
        used = self.used
        plain = all(c.kind == "numeric" or (c.kind == "binary" and c.held != "text") for c in used)
        if frame.ndim != 2 or frame.shape[1] != len(used) or not plain:
            raise ValueError(
                "An array has no names of columns: give a frame with "
                f"{listed(column.name for column in used)}. Received shape {frame.shape}."
            )
        return {column.name: frame[:, place] for place, column in enumerate(used)}

    def arrays(self, frame: Any) -> dict[str, np.ndarray]:
        """Returns the rows of a frame as an exported model takes them, which scales them itself.

        Args:
            frame: As for calling the map.

        Returns:
            Arrays by the names of the export's inputs, those without a column left out: `numbers`,
            float32 of shape `(rows, numbers)`, NaN where missing, and `categories`, text of shape
            `(rows, texts)`, empty where missing. `layout` tells what their columns are.

        Raises:
            ValueError: As for calling the map.

        Example:

        >>> people = {"age": [20.0, None, 40.0], "city": ["Rome", "Rome", "Oslo"]}
        >>> arrays = Columns.fit(people).arrays({"city": ["Rome", None], "age": [30.0, None]})
        >>> arrays["numbers"].tolist(), arrays["categories"].tolist()
        ([[30.0], [nan]], [['Rome'], ['']])
        """
        table = self._complete(frame)
        return TableArrays(self.used)(table, num_rows(table))

    @property
    def layout(self) -> dict[str, Any]:
        """What the columns of `arrays` are, and the names of the model's inputs.

        Plain values, ready for JSON, as `columns.json` has them: for each column of `numbers` the
        name of the table's column and what it holds; for each one of `categories` its name and the
        values known from training. A date takes two columns of `numbers`, `"days"` since 1970-01-01
        (UTC) and the `"rest"` that float32 has rounded off, such as the time of day as a share of a
        day. So does a number too far from 0 for float32.
        """
        return {**TableArrays(self.used).to_dict(), "model_inputs": list(self.input_names)}

    def excess(self, frame: Any) -> np.ndarray:
        """Returns how far rows lie beyond what the scales `"unit"` and `"symmetric"` cut off.

        Added to a reconstruction error, it makes an outlier count; see `Scaling.excess`.

        Args:
            frame: As for calling the map.

        Returns:
            float64 of shape `(rows,)`: the squared distance in scaled units, 0 within the bounds.
        """
        table = self._complete(frame)
        total = np.zeros(num_rows(table))
        for column in self.used:
            if column.number is not None and column.number.has_bounds:
                read = read_values(table[column.name], f"Column {shown(column.name)}")
                total += column.excess(read) ** 2
        return total

    def inverse(self, x: Any) -> Any:
        """Returns inputs, or their reconstruction, as a pandas frame in the table's own units.

        Args:
            x: Numbers of shape `(rows, inputs)`. Of a category the largest input counts; a value
                is missing where its flag is above a half.

        Raises:
            ValueError: If `x` is not of that shape.
        """
        import pandas as pd

        try:
            x = np.asarray(x)
        except ValueError:  # of rows of different lengths
            x = np.asarray(None)
        if x.dtype.kind not in "biuf":
            raise ValueError(f"Columns.inverse needs numbers in `x`. Received: x={shown(x)}")
        if x.ndim != 2 or x.shape[1] != len(self.input_names):
            raise ValueError(
                f"Columns.inverse expects the shape (rows, {len(self.input_names)}). "
                f"Received: {x.shape}"
            )
        values: dict[str, Any] = {}
        for column, group in zip(self.used, self.groups, strict=True):
            own = column.inverse(x[:, group.start : group.stop])
            if column.kind == "date":
                moments = [None if np.isnan(day) else to_datetime(day) for day in own]
                # In microseconds: nanoseconds, which pandas 2 would take, end in the year 2262.
                own = pd.DatetimeIndex(np.array(moments, "datetime64[us]"))
            values[column.name] = own
        return pd.DataFrame(values)

    @property
    def text_names(self) -> list[str]:
        """Names of the columns whose values are categories in text, such as codes of digits."""
        return [c.name for c in self.used if c.held == "text" and c.kind != "numeric"]

    def remarks(self, frame: Any) -> list[str]:
        """Returns what is to be told of new rows, in a sentence each: extra columns, new gaps."""
        table = self.read(frame)
        known = {column.name for column in self.columns} | {self.target, *self.ids}
        extra = [name for name in table if name not in known]
        lines = [f"Not used, as training had no such columns: {listed(extra)}"] if extra else []
        gaps = [
            column.name
            for column in self.used
            if not column.missing
            and column.name in table
            and read_values(table[column.name], f"Column {shown(column.name)}").missing.any()
        ]
        if gaps:
            lines.append(f"Missing here, but never in training: {listed(gaps)}")
        return lines

    def table(self) -> str:
        """Returns the columns as a table of text: kind, values, share missing, and treatment."""
        rows = [("column", "kind", "values", "missing", "treatment")]
        for column in self.columns:
            missing = f"{100 * column.missing:.1f} %" if column.missing else ""
            rows.append((column.name, column.kind, column.values, missing, column.treatment))
        shown = [tuple(_shortened(cell) for cell in row) for row in rows]
        widths = [max(map(len, cells)) for cells in zip(*shown, strict=True)]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in shown
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        title = f"Columns: {len(self.used)} of {len(self.columns)}, {len(self.input_names)} inputs"
        return f"{title}\n{self.table()}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the map as plain values, ready for JSON."""
        return {
            "columns": [column.to_dict() for column in self.columns],
            "target": self.target,
            "ids": list(self.ids),
        }

    @classmethod
    def from_dict(cls, config: Any) -> "Columns":
        """Rebuilds the map that `to_dict` described.

        Raises:
            ValueError: If `config` is not what `to_dict` returns.
        """
        expected = ["columns", "ids", "target"]
        if not isinstance(config, dict) or sorted(config) != expected:
            raise ValueError(f"Columns.from_dict expects the entries {', '.join(expected)}.")
        columns, target, ids = config["columns"], config["target"], config["ids"]
        if (
            not isinstance(columns, (list, tuple))
            or not isinstance(ids, (list, tuple))
            or not all(isinstance(name, str) for name in ids)
            or not (target is None or isinstance(target, str))
        ):
            raise ValueError("Columns.from_dict expects lists of columns and ids, and a target.")
        return cls(tuple(Column.from_dict(each) for each in columns), target, tuple(ids))


def _kind(name: str, values: Values) -> Kind:
    """Returns the kind of a column; what pandas calls so was the index of a frame."""
    is_unnamed = re.fullmatch(r"Unnamed: \d+", name) and not values.missing.any()
    if is_unnamed and len(set(values.values.tolist())) == len(values.values):
        return Kind("ignored", "an index without a name")
    return infer_kind(values)


def _shortened(cell: str) -> str:
    return cell if len(cell) <= 60 else f"{cell[:57]}..."
