"""The reconstruction loss of a table's columns, each by its kind."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

_COLUMN_KINDS = ("numeric", "binary", "categorical")


class _ColumnInputs(NamedTuple):
    """The inputs of one column, as `datasets.InputGroup` has them."""

    kind: str
    start: int
    stop: int
    has_flag: bool


# A column of which hardly anything is unknown beforehand, such as one that is 1 in a thousand rows,
# would weigh each of these rows a hundredfold. In nats.
_LEAST_NATS = 0.1
_CONSTANT = 1e-12


@keras.saving.register_keras_serializable(package="keras_sda")
class ColumnwiseLoss(keras.losses.Loss):
    """Loss of a table's columns by their kind, in which each column counts about alike.

    Numbers are measured by a normal distribution of the column's training variance, one of two
    values and the flag of a missing value by cross-entropy, categories by the cross-entropy of a
    softmax over the column's inputs. Of a missing value only the flag counts, and a category that
    training never had costs what the least expected one would. Each column's nats are divided by
    those of a decoder that always says the mean or the frequencies, so that 1 means that nothing
    has been learnt of it. The columns are added up, and batches averaged.

    Two kinds of columns count less than 1, as much of what they hold cannot be learnt: a number
    whose variance is below the median of all numbers is measured by that median, and columns of
    less than 0.1 nats, such as rare flags, are divided by 0.1.

    As `reconstruction_loss` of a model it belongs to the inputs of `datasets.Columns`, and the
    decoder then ends in `activation`. Called by itself, it takes what comes before that.

    Args:
        groups: For each column `(kind, start, stop, has_flag)` or an object with these attributes,
            as `datasets.Columns.groups`; `ColumnwiseLoss.fit` is the way to make the rest. Kinds
            are `"numeric"`, `"binary"` and `"categorical"`; the inputs of a column are
            `x[:, start:stop]`, the last of them a flag if `has_flag`. They cover all in order.
        variances: Of each input, the variance that a number is measured by; others are not used.
        weights: Of each column, what its nats are multiplied by.
        marginals: Of each column, the loss of a decoder that always says the mean or frequencies.
        **kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.

    Raises:
        ValueError: If the groups leave out an input, or there are not as many numbers as needed.

    Example:

    >>> x = np.array([[1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])
    >>> groups = [("numeric", 0, 1, False), ("categorical", 1, 3, False)]
    >>> loss = ColumnwiseLoss.fit(groups, x)
    >>> round(float(loss(x, np.zeros((2, 3)))), 4)  # the mean, and even odds: nothing learnt
    2.0
    >>> loss.marginals
    [1.0, 1.0]
    >>> loss.activation(np.array([[5.0, 3.0, 3.0]])).numpy().tolist()
    [[5.0, 0.5, 0.5]]
    """

    def __init__(self, groups, variances, weights, marginals, name="columnwise_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.groups = _checked_columns(groups)
        width = self.groups[-1].stop
        self.variances = _checked_numbers("variances", variances, width)
        self.weights = _checked_numbers("weights", weights, len(self.groups))
        self.marginals = _checked_numbers("marginals", marginals, len(self.groups))
        self.activation = ColumnwiseActivation(self.groups)
        self._numbers = np.zeros(width)
        self._bits = np.zeros(width)
        # For each input the flag that says whether it is missing; itself, if there is none.
        self._flags = np.arange(width)
        for group, weight in zip(self.groups, self.weights, strict=True):
            values = slice(group.start, group.stop - group.has_flag)
            if group.kind == "numeric":
                self._numbers[values] = 0.5 * weight / np.array(self.variances[values])
            elif group.kind == "binary":
                self._bits[values] = weight
            if group.has_flag:
                self._bits[group.stop - 1] = weight
                self._flags[values] = group.stop - 1

    @classmethod
    def fit(cls, groups, x, **kwargs):
        """Returns the loss for the variances and frequencies of training rows.

        Args:
            groups: The columns; see above.
            x: NumPy array of shape `(rows, inputs)`, as `datasets.Columns` returns it.
            **kwargs: As in the constructor.
        """
        groups = _checked_columns(groups)
        found = [_describe(group, x[:, group.start : group.stop]) for group in groups]
        spreads = np.concatenate([each.variances for each in found])
        varies = spreads > _CONSTANT
        least = np.median(spreads[varies]) if varies.any() else 1.0
        variances = np.ones(groups[-1].stop)
        weights, marginals = [], []
        for group, each in zip(groups, found, strict=True):
            values = slice(group.start, group.start + len(each.variances))
            variances[values] = np.maximum(each.variances, least)
            count = np.count_nonzero(each.variances > _CONSTANT)
            learnt = (each.variances / variances[values]).sum()
            nats = each.nats + 0.5 * each.known * count
            weights.append(1.0 / max(nats, _LEAST_NATS))
            marginals.append(weights[-1] * (each.nats + 0.5 * each.known * learnt))
        return cls(groups, variances.tolist(), weights, marginals, **kwargs)

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        total = 0.0
        cells = self._cells(y_true, y_pred)
        if cells is not None:
            total = ops.sum(cells, axis=-1)
        for group, weight in zip(self.groups, self.weights, strict=True):
            if group.kind == "categorical":
                total = total + weight * _softmax_nats(group, y_true, y_pred)
        return total

    def by_column(self, y_true, y_pred):
        """Returns the loss of each column in each row, shape `(rows, columns)`; see `marginals`.

        Args:
            y_true: Inputs of shape `(rows, inputs)`.
            y_pred: Pre-activations of the same shape.
        """
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        cells = self._cells(y_true, y_pred)
        columns = []
        for group, weight in zip(self.groups, self.weights, strict=True):
            if group.kind == "categorical":
                columns.append(weight * _softmax_nats(group, y_true, y_pred))
            else:
                columns.append(ops.sum(cells[:, group.start : group.stop], axis=-1))
        return ops.stack(columns, axis=1)

    def _cells(self, y_true, y_pred):
        """Returns the loss of each input but those of categories, or `None` if all are theirs."""
        cells = None
        if self._numbers.any():
            cells = ops.square(y_true - y_pred) * self._constant(self._numbers, y_pred)
        if self._bits.any():
            nats = ops.softplus(y_pred) - y_true * y_pred
            bits = nats * self._constant(self._bits, y_pred)
            cells = bits if cells is None else cells + bits
        has_flag = self._flags != np.arange(len(self._flags))
        if not has_flag.any():
            return cells
        is_missing = ops.take(y_true, self._flags, axis=1) * self._constant(has_flag, y_pred)
        return cells * (1.0 - is_missing)

    @staticmethod
    def _constant(values, like):
        return ops.convert_to_tensor(values.astype("float64"), dtype=like.dtype)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "groups": [list(group) for group in self.groups],
            "variances": self.variances,
            "weights": self.weights,
            "marginals": self.marginals,
        }


@keras.saving.register_keras_serializable(package="keras_sda")
class ColumnwiseActivation:
    """What ends the decoder of a table's columns: numbers as they are, probabilities of the rest.

    Args:
        groups: The columns; see `ColumnwiseLoss`.
    """

    def __init__(self, groups):
        self.groups = _checked_columns(groups)
        self._is_bit = np.zeros(self.groups[-1].stop, bool)
        for group in self.groups:
            if group.kind == "binary":
                self._is_bit[group.start : group.stop] = True
            if group.has_flag:
                self._is_bit[group.stop - 1] = True

    def __call__(self, x):
        """Returns the reconstruction of pre-activations, both of shape `(rows, inputs)`."""
        x = ops.convert_to_tensor(x)
        parts = []
        start = 0
        for group in [group for group in self.groups if group.kind == "categorical"]:
            parts += [self._plain(x, start, group.start)]
            parts += [ops.softmax(x[:, group.start : group.stop], axis=-1)]
            start = group.stop
        parts += [self._plain(x, start, len(self._is_bit))]
        parts = [part for part in parts if part is not None]
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)

    def _plain(self, x, start, stop):
        """Returns neighbouring inputs that are not categories, or `None` if there are none."""
        if start == stop:
            return None
        is_bit, part = self._is_bit[start:stop], x[:, start:stop]
        if not is_bit.any():
            return part
        return ops.where(is_bit[None], ops.sigmoid(part), part)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"groups": [list(group) for group in self.groups]}

    @classmethod
    def from_config(cls, config):
        """Returns the activation of a configuration."""
        return cls(**config)


def _checked_columns(groups):
    """Returns the columns as `_ColumnInputs`, which cover all inputs in order."""
    columns: list[_ColumnInputs] = []
    for group in groups:
        if hasattr(group, "start"):
            group = (group.kind, group.start, group.stop, group.has_flag)
        kind, start, stop, has_flag = group
        first = columns[-1].stop if columns else 0
        if kind not in _COLUMN_KINDS or start != first or stop - bool(has_flag) <= start:
            raise ValueError(
                "Argument `groups` of ColumnwiseLoss must list (kind, start, stop, has_flag) of "
                f"each column, of the kinds {', '.join(_COLUMN_KINDS)}, which cover all inputs in "
                f"order from 0. Received: {tuple(group)} after {first} inputs"
            )
        columns.append(_ColumnInputs(kind, int(start), int(stop), bool(has_flag)))
    if not columns:
        raise ValueError("Argument `groups` of ColumnwiseLoss must list a column. Received: none")
    return columns


def _checked_numbers(name, values, count):
    """Returns numbers as floats, of which there must be `count`, finite and not negative."""
    numbers = [float(each) for each in values]
    if len(numbers) != count or not all(0 <= each < np.inf for each in numbers):
        raise ValueError(
            f"Argument `{name}` of ColumnwiseLoss must be {count} finite numbers of at least 0. "
            f"Received: {len(numbers)} numbers, {numbers[:5]}"
        )
    return numbers


class _Description(NamedTuple):
    """A column of training rows: nats of what is discrete, variances of the known numbers."""

    nats: float
    known: float
    variances: np.ndarray


def _describe(group, inputs):
    inputs = np.asarray(inputs, "float64")
    if group.kind == "categorical":
        return _Description(_entropy(inputs.mean(axis=0)), 1.0, np.empty(0))
    nats, known = 0.0, np.ones(len(inputs), bool)
    if group.has_flag:
        known = inputs[:, -1] < 0.5
        nats = _binary_entropy(1.0 - known.mean())
        inputs = inputs[:, :-1]
    share = known.mean()
    if group.kind == "binary":
        frequency = inputs[known].mean() if known.any() else 0.0
        return _Description(nats + share * _binary_entropy(frequency), share, np.empty(0))
    variances = inputs[known].var(axis=0) if known.any() else np.zeros(inputs.shape[1])
    return _Description(nats, share, variances)


def _softmax_nats(group, y_true, y_pred):
    """Returns the cross-entropy of one column of categories.

    A value that training never had has no input. It is as strange as the least expected of those
    that have: were it free, a row would look the more usual for it. There is nothing to learn from
    it, so no gradient flows there, which also spares each training step the way back.
    """
    target, scores = y_true[:, group.start : group.stop], y_pred[:, group.start : group.stop]
    logs = ops.log_softmax(scores, axis=-1)
    unknown = 1.0 - ops.sum(target, axis=-1)
    strangest = ops.stop_gradient(-ops.min(logs, axis=-1))
    return unknown * strangest - ops.sum(target * logs, axis=-1)


def _entropy(shares):
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _binary_entropy(share):
    return _entropy(np.array([share, 1.0 - share]))
