"""Rows of a table as the network of `SDAImputer` takes and gives them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from keras_sda.datasets.column import MISSING
from keras_sda.datasets.columns import Columns
from keras_sda.datasets.filling import gaps_of


@dataclass(frozen=True)
class Cells:
    """The map from a table to rows of `CellDenoiser`, and from its outputs to inputs of `Columns`.

    It leaves out the inputs of `Columns` that say what is missing, as every column has a flag here,
    and standardises numbers by what is there, so that their losses weigh the same.

    Args:
        columns: The map of the table.
        inputs: Which inputs of `columns` are rebuilt.
        kinds: For each column its kind and its number of such inputs.
        mean: For each of these inputs, what is subtracted.
        deviation: What the difference is divided by.
    """

    columns: Columns
    inputs: np.ndarray
    kinds: tuple[tuple[str, int], ...]
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def fit(cls, columns: Columns, table: Any) -> "Cells":
        """Returns the map for the training rows."""
        inputs: list[int] = []
        kinds: list[tuple[str, int]] = []
        for column, group in zip(columns.used, columns.groups, strict=True):
            names = column.input_names
            says_missing = group.has_flag or names[-1] == f"{column.name} = {MISSING}"
            own = range(group.start, group.stop - says_missing)
            inputs += own
            kinds.append((group.kind, len(own)))
        counts = [count for _, count in kinds]
        is_number = np.repeat([kind == "numeric" for kind, _ in kinds], counts)
        hidden = np.repeat(gaps_of(columns, table), counts, axis=1) | ~is_number
        places = np.array(inputs)
        x: Any = np.ma.array(columns(table)[:, places], "float64", mask=hidden)
        deviation = x.std(axis=0).filled(1.0)
        deviation[deviation < np.finfo("float32").eps] = 1.0
        return cls(columns, places, tuple(kinds), x.mean(axis=0).filled(0.0), deviation)

    def rows(self, table: Any) -> np.ndarray:
        """Returns rows for the network: inputs, zeros where missing, and flags of what is there."""
        x = (self.columns(table)[:, self.inputs] - self.mean) / self.deviation
        there = ~gaps_of(self.columns, table)
        x *= np.repeat(there, self._counts, axis=1)
        return np.concatenate([x, there], axis=1).astype("float32")

    def rebuilt(self, outputs: np.ndarray) -> np.ndarray:
        """Returns outputs of the network as inputs of `columns`, zeros where it has none."""
        is_binary = np.repeat([kind == "binary" for kind, _ in self.kinds], self._counts)
        x = np.zeros((len(outputs), len(self.columns.input_names)))
        outputs = outputs.astype("float64")
        x[:, self.inputs] = np.where(
            is_binary, expit(outputs), outputs * self.deviation + self.mean
        )
        return x

    @property
    def _counts(self):
        return [count for _, count in self.kinds]
