"""The noises for tables, which swap values with other rows of the batch."""

import math
from collections.abc import Iterable

import keras
import numpy as np
from keras import ops

from keras_sda.layers.noise_layer import Noise


@keras.saving.register_keras_serializable(package="keras_sda")
class SwapNoise(Noise):
    """Replaces a random share of the entries with the same column's value in another row.

    The noise for tables of numbers: every value it puts in is one that the column really takes,
    whatever the column's unit or distribution. It swaps inputs one by one, which mixes categories
    where each has an input of its own; `ColumnSwapNoise` swaps whole columns. For each entry the
    other row is drawn from the rest of the batch; a batch of one row passes unchanged.

    Args:
        rate: Probability, in [0, 1], that an entry is replaced.
        seed: Integer or `None`. Seed of this layer's own generator.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`.
        training: Whether to corrupt; otherwise the inputs pass unchanged.

    Output shape:
        Same as the input.

    Raises:
        ValueError: If `rate` lies outside [0, 1].

    Example:

    >>> layer = SwapNoise(1.0, seed=0)
    >>> layer(keras.ops.array([[1.0, 10.0], [2.0, 20.0]]), training=True).numpy().tolist()
    [[2.0, 20.0], [1.0, 10.0]]

    Reference:
        Jahrer, winning solution of the Porto Seguro safe driver prediction, 2017.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(rate, seed=seed, **kwargs)

    def corrupt(self, inputs):
        shape = ops.shape(inputs)
        other_row = _other_rows(self._uniform(shape), shape[0])
        swapped = ops.take_along_axis(inputs, other_row, axis=0)
        return ops.where(self._uniform(shape) < self.level, swapped, inputs)


@keras.saving.register_keras_serializable(package="keras_sda")
class ColumnSwapNoise(Noise):
    """Replaces a random share of a table's cells with the same column's cell in another row.

    A column may be several inputs: a number and the flag that it is missing, or one input for each
    category. They are replaced together, by those of one other row, so that what comes out is
    always a value that the column takes, where `SwapNoise` would mix categories. For each cell the
    other row is drawn from the rest of the batch; a batch of one row passes unchanged.

    Args:
        rate: Probability, in [0, 1], that a cell is replaced: one for all columns, or one for each.
        groups: For each column `(start, stop)`, from its first input to the one after its last, or
            an object with these attributes, as in `datasets.Columns.groups`. They cover all inputs
            in order. By default each input is a column.
        seed: Integer or `None`. Seed of this layer's own generator.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        inputs: Tensor of shape `(batch, inputs)`.
        training: Whether to corrupt; otherwise the inputs pass unchanged.

    Output shape:
        Same as the input.

    Raises:
        ValueError: If a rate lies outside [0, 1], or `groups` leave out an input.

    Example:

    >>> layer = ColumnSwapNoise(1.0, groups=[(0, 1), (1, 4)], seed=0)
    >>> rows = keras.ops.array([[5.0, 1.0, 0.0, 0.0], [6.0, 0.0, 0.0, 1.0]])
    >>> layer(rows, training=True).numpy().tolist()
    [[6.0, 0.0, 0.0, 1.0], [5.0, 1.0, 0.0, 0.0]]
    >>> layer.effective_rate(rows).tolist()
    [1.0, 1.0]

    Reference:
        Jahrer, winning solution of the Porto Seguro safe driver prediction, 2017, there by inputs.
    """

    def __init__(self, rate, groups=None, seed=None, **kwargs):
        rates = rate if isinstance(rate, (list, tuple)) else None
        if rates is not None:
            rates = [self.check_level(each) for each in rates]
        # What rates of their own are relative to: `level` may then change for all of them at once.
        level = rate if rates is None else max(rates, default=0.0)
        super().__init__(level, seed=seed, **kwargs)
        self.groups = None if groups is None else _checked_groups(groups)
        if rates is not None and self.groups is not None and len(rates) != len(self.groups):
            raise ValueError(
                f"Argument `rate` of {type(self).__name__} must be one rate, or one for each of "
                f"the {len(self.groups)} columns. Received: {len(rates)} rates"
            )
        self.rates = rates

    def corrupt(self, inputs):
        flat = ops.reshape(inputs, (-1, math.prod(inputs.shape[1:])))
        rows, width = ops.shape(flat)[0], flat.shape[1]
        groups = self._groups_of(width)
        cells = (rows, len(groups))
        other_row = _other_rows(self._uniform(cells), rows)
        is_swapped = self._uniform(cells) < self.level * self._relative_rates()
        if len(groups) < width:
            column = np.repeat(np.arange(len(groups)), [stop - start for start, stop in groups])
            other_row = ops.take(other_row, column, axis=1)
            is_swapped = ops.take(is_swapped, column, axis=1)
        swapped = ops.where(is_swapped, ops.take_along_axis(flat, other_row, axis=0), flat)
        return ops.reshape(swapped, ops.shape(inputs))

    def _groups_of(self, width):
        if self.groups is None:
            return [(column, column + 1) for column in range(width)]
        if self.groups[-1][1] != width:
            raise ValueError(
                f"The columns of {type(self).__name__} have {self.groups[-1][1]} inputs. "
                f"Received rows of {width}."
            )
        return self.groups

    def _relative_rates(self):
        if self.rates is None:
            return 1.0
        return np.asarray(self.rates, "float32") / max(*self.rates, np.finfo("float32").tiny)

    def effective_rate(self, x):
        """Returns the share of each column's cells that the noise really changes.

        It is below the rate where a column often takes one value, since many a cell is replaced
        with its equal.

        Args:
            x: Array of shape `(rows, inputs)`, with at least two rows.

        Returns:
            NumPy array of shape `(columns,)`: the rate times the probability that two different
            rows differ in the column.
        """
        x = np.asarray(x)
        groups = self._groups_of(x.shape[1])
        differ = [_share_that_differs(x[:, start:stop]) for start, stop in groups]
        return float(self.level) * np.asarray(self._relative_rates()) * np.array(differ)

    def get_config(self):
        config = {**super().get_config(), "groups": self.groups}
        return config if self.rates is None else {**config, "rate": self.rates}


def _checked_groups(groups):
    """Returns the first input of each column and the one after its last, as pairs."""
    pairs: list[tuple[int, int]] = []
    if not isinstance(groups, Iterable):
        raise ValueError(
            "Argument `groups` of ColumnSwapNoise must list (start, stop) of each column. "
            f"Received: groups={groups!r}"
        )
    for group in groups:
        start, stop = (group.start, group.stop) if hasattr(group, "start") else group
        if start != (pairs[-1][1] if pairs else 0) or stop <= start:
            raise ValueError(
                "Argument `groups` of ColumnSwapNoise must list (start, stop) of each column, "
                "which cover all inputs in order from 0, such as [(0, 1), (1, 4)]. "
                f"Received: ({start}, {stop}) after {pairs[-1] if pairs else 'nothing'}"
            )
        pairs.append((int(start), int(stop)))
    if not pairs:
        raise ValueError("Argument `groups` of ColumnSwapNoise must list a column. Received: none")
    return pairs


def _share_that_differs(cells):
    """Returns the probability that two different rows differ."""
    counts = np.unique(cells, axis=0, return_counts=True)[1]
    rows = counts.sum()
    return 1.0 - (counts * (counts - 1.0)).sum() / (rows * (rows - 1.0))


def _other_rows(draw, rows):
    """Returns for each number drawn from [0, 1) another row of the batch than that of its place."""
    others = ops.cast(rows, "float32") - 1.0
    # Distance to the other row, from 1 to rows - 1: never the row itself. The minimum guards
    # against a product that rounds up.
    step = 1 + ops.cast(ops.minimum(ops.floor(draw * others), others - 1.0), "int32")
    own = ops.reshape(ops.arange(rows, dtype="int32"), (-1,) + (1,) * (len(draw.shape) - 1))
    return (own + ops.maximum(step, 0)) % rows
