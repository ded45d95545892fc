"""The network behind `SDAImputer`: it rebuilds cells of a table that were removed at random."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_sda import initializers
from keras_sda._validation import check_choice, check_fraction, check_positive_int
from keras_sda.models.checked import CheckedModel

_OWNER = "CellDenoiser"
_KINDS = ("numeric", "binary", "categorical")
_NEVER = -1e9


@keras.saving.register_keras_serializable(package="keras_sda")
class CellDenoiser(CheckedModel):
    """A denoising autoencoder whose noise removes cells of a table, and which knows which are gone.

    A row holds the inputs of all columns, zeros where a cell is missing, and then a flag for each
    column, 1 where its cell is there. In training, cells are removed at random, in each row at a
    rate of its own, and the loss is that of the removed ones alone: what a network is asked for
    later are cells that it does not see. Missing cells of the data never count.

    Args:
        columns: For each column its kind (`"numeric"`, `"binary"` or `"categorical"`, that is
            one-hot) and its number of inputs.
        hidden_units: Units of each hidden layer. A linear map from inputs to outputs is added to
            them, as many tables are nearly linear.
        activation: Of the hidden layers.
        removal_rate: Smallest and largest share of a row's cells to remove.
        passes: How often a row goes through the same network, each time with what came out before
            in place of what is missing.
        dropout: Share, in [0, 1), of the hidden units that training drops.
        seed: Makes initial weights, noise and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Call arguments:
        inputs: Tensor of shape `(rows, inputs + columns)`.
        training: Whether to remove cells.

    Returns:
        Tensor of shape `(rows, inputs)`: numbers, and logits of binary and categorical columns.
    """

    def __init__(
        self,
        columns: Sequence[tuple[str, int]],
        hidden_units: Sequence[int] = (128, 128),
        activation: str = "gelu",
        removal_rate: Sequence[float] = (0.05, 0.5),
        passes: int = 2,
        dropout: float = 0.1,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.columns = [_checked_column(*column) for column in columns]
        self.removal_rate = [check_fraction("removal_rate", r, _OWNER) for r in removal_rate]
        self.passes = check_positive_int("passes", passes, _OWNER)
        self.dropout = check_fraction("dropout", dropout, _OWNER, below_one=True)
        self.num_outputs = sum(count for _, count in self.columns)
        self.input_dim = self.num_outputs + len(self.columns)
        self._place_columns()
        *seeds, noise_seed = initializers.child_seeds(seed, len(hidden_units) + 1)
        self._seed_generator = keras.random.SeedGenerator(noise_seed)
        self.hidden = [
            keras.layers.Dense(
                check_positive_int("hidden_units", units, _OWNER),
                activation=activation,
                kernel_initializer=initializers.for_level("he_normal", 0, each),
                dtype=self.dtype_policy,
                name=f"hidden_{level + 1}",
            )
            for level, (units, each) in enumerate(zip(hidden_units, seeds, strict=True))
        ]
        # Zeros at the start: every cell is then filled with the mean of its column.
        self.from_hidden, self.from_inputs = (
            keras.layers.Dense(
                self.num_outputs, kernel_initializer="zeros", dtype=self.dtype_policy, name=name
            )
            for name in ("from_hidden", "from_inputs")
        )
        self.build((None, self.input_dim))
        self.keep_arguments(
            columns=self.columns,
            hidden_units=list(hidden_units),
            activation=activation,
            removal_rate=self.removal_rate,
            passes=passes,
            dropout=dropout,
            seed=seed,
        )

    def _place_columns(self):
        """Notes the kinds of the inputs, and which of them belong to one column."""
        kinds, counts = (np.array(each) for each in zip(*self.columns, strict=True))
        self._column_of = np.repeat(np.arange(len(counts)), counts)
        of_input = kinds[self._column_of]
        self._is = {kind: (of_input == kind).astype("float32") for kind in _KINDS}
        starts, one_hot = np.cumsum(counts) - counts, np.flatnonzero(kinds == "categorical")
        # The inputs of each categorical column in a line, filled up with one that is never chosen.
        self._one_hot = np.full((len(one_hot), counts.max()), self.num_outputs)
        for line, column in zip(self._one_hot, one_hot, strict=True):
            line[: counts[column]] = starts[column] + np.arange(counts[column])
        place = np.zeros(len(counts), int)
        place[one_hot] = np.arange(len(one_hot))
        self._line_of = place[self._column_of]
        # Of a column of several numbers, a date, all together count as one.
        self._share = (1.0 / np.where(of_input == "numeric", counts[self._column_of], 1.0)).astype(
            "float32"
        )

    def build(self, input_shape):
        width = self.input_dim
        for layer in self.hidden:
            layer.build((None, width))
            width = layer.units
        self.from_hidden.build((None, width))
        self.from_inputs.build((None, self.input_dim))

    def call(self, inputs, training=False):
        values, there = self._split(inputs)
        if training:
            low, high = self.removal_rate
            rate = low + (high - low) * self._uniform((ops.shape(there)[0], 1))
            is_removed = self._uniform(ops.shape(there)) < rate
            removed = ops.where(is_removed, there, 0.0)
            there = ops.where(is_removed, 0.0, there)
        is_seen = ops.take(there, self._column_of, axis=1)
        values = filled = values * is_seen
        every = []
        for _ in range(self.passes):
            every.append(self._pass(ops.concatenate([filled, there], axis=1), training))
            filled = values + (1.0 - is_seen) * self._expected(every[-1])
        if training:
            self.keep_for_loss(removed=removed, every=every)
        return every[-1]

    def _pass(self, inputs, training):
        codes = inputs
        for layer in self.hidden:
            codes = layer(codes)
            if training and self.dropout:
                codes = keras.random.dropout(codes, self.dropout, seed=self._seed_generator)
        return self.from_hidden(codes) + self.from_inputs(inputs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the loss in nats a removed cell, the mean of all passes.

        Without training it is that of the cells that are there, in the last pass.
        """
        values, there = self._split(x)
        counted = ops.cast(self.kept.removed if training else there, "float32")
        weights = ops.take(counted, self._column_of, axis=1)
        weights = weights * ops.convert_to_tensor(self._share, dtype="float32")
        values = ops.cast(values, "float32")
        losses = [
            self._input_losses(values, ops.cast(outputs, "float32"))
            for outputs in (self.kept.every if training else [y_pred])
        ]
        total = ops.sum(sum(losses) * weights) / len(losses)
        return total / ops.maximum(ops.sum(counted), 1.0)

    def _of(self, kind, like):
        """Returns 1 for the inputs of a kind, 0 for others, as a tensor like another."""
        return ops.convert_to_tensor(self._is[kind], dtype=like.dtype)

    def _expected(self, outputs):
        """Returns outputs as inputs: numbers, and probabilities."""
        numbers = self._of("numeric", outputs) * outputs + self._of(
            "binary", outputs
        ) * ops.sigmoid(outputs)
        if not len(self._one_hot):
            return numbers
        # At most 0 for inputs of their own column; others, which do not count, may not overflow.
        logs = ops.minimum(outputs - self._norms(outputs), 0.0)
        return numbers + self._of("categorical", outputs) * ops.exp(logs)

    def _norms(self, outputs):
        """Returns for each input the logarithm of the sum over its one-hot column."""
        padded = ops.pad(outputs, [[0, 0], [0, 1]], constant_values=_NEVER)
        norms = ops.logsumexp(ops.take(padded, self._one_hot, axis=1), axis=-1)
        return ops.take(norms, self._line_of, axis=1)

    def _input_losses(self, values, outputs):
        """Returns the loss of each input: of numbers of variance 1, of one-hot ones a part."""
        squared = 0.5 * ops.square(outputs - values)
        entropy = ops.softplus(outputs) - values * outputs
        losses = self._of("numeric", outputs) * squared + self._of("binary", outputs) * entropy
        if not len(self._one_hot):
            return losses
        surprise = values * (self._norms(outputs) - outputs)
        return losses + self._of("categorical", outputs) * surprise

    def _split(self, inputs):
        return inputs[:, : self.num_outputs], inputs[:, self.num_outputs :]

    def _uniform(self, shape):
        return keras.random.uniform(shape, dtype=self.compute_dtype, seed=self._seed_generator)


def _checked_column(kind, width):
    check_choice("columns", kind, _KINDS, _OWNER)
    return kind, check_positive_int("columns", width, _OWNER)
