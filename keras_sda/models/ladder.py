"""The ladder network."""

import itertools

import keras
import numpy as np
from keras import ops

from keras_sda import initializers
from keras_sda._validation import check_non_negative, check_positive_int, per_level
from keras_sda.backend import scaled_for_replicas
from keras_sda.datasets.batches import compute_batch, inputs_of, peek, row_batches
from keras_sda.datasets.outside_memory import rows_to_describe
from keras_sda.layers.ladder import (
    LadderDecoder,
    LadderEncoder,
    denoising_cost,
    in_parts,
    normalize_batch,
    with_part,
)
from keras_sda.layers.noise import get_noise
from keras_sda.models.levels import check_hidden_units
from keras_sda.models.semi_supervised import SemiSupervised
from keras_sda.training.plan import is_table

_OWNER = "LadderNetwork"
# The authors' weights for 100 labelled images, whose pixels have a mean variance of 0.07.
_AUTO_WEIGHTS = (1000.0, 10.0, 0.1)
_VARIANCE_OF_PIXELS = 0.07
# Shares of the way that the moving statistics go towards those of each batch.
_SLOWEST = 0.01
# Rows that tell the variance of the columns, and rows that tell statistics together.
_ROWS_TO_LOOK_AT = 10_000
_SETTLED_TOGETHER = 4096


@keras.saving.register_keras_serializable(package="keras_sda")
class LadderNetwork(SemiSupervised):
    """Learns classes from a few labelled rows and many without a label, all at once.

    A stack of denoising autoencoders with lateral connections, trained together with the labels.
    Rows go up through the levels twice: as they are, and with noise on the input and on every
    level. The way down cleans the noisy values of each level by what the level above makes of
    them. The loss is that of the noisy output for labelled rows, plus, for all rows, how far the
    cleaned values of each level are from those without noise.

    `fit(x, y)` takes rows with the label -1 as unlabelled. Every step takes `batch_size` of all
    rows, and as many labelled ones, as often as needed; an epoch is one pass over all rows.
    Metrics, `evaluate` and validation leave out rows without a label.

    Args:
        input_dim: Number of features of a row.
        hidden_units: Units of each hidden level, the lowest first.
        num_classes: Number of classes, at least 2.
        noise: Noise on the input: its name, a Keras layer, or `None`. On the levels above it is
            Gaussian. Gaussian by default, as published.
        noise_level: Level of the noise, one value or one for the input and each level above it,
            the output included; 0.3, as published for pixels and for 100 labels.
        denoising_weights: Weights of the levels' denoising costs in the loss, from the input up;
            the last one stands for all levels above it. `"auto"`: 1000, 10, 0.1, ..., as published
            for 100 labels, the first one changed with the mean variance of the columns (0.07 for
            the pixels it was chosen on), which `fit` takes from its rows. `[0, ..., 0, 1]` is the
            Gamma model, `[2000, 0]` denoises the input alone, and 0 leaves a network with
            normalised, noisy levels. What no cost needs is not built.
        activation: Activation of the hidden levels.
        kernel_initializer: Initial kernels, by default normal with variance 1 / inputs.
        seed: Makes initial weights, noise and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Attributes:
        levels: The hidden levels on the way up, `layers.LadderEncoder`.
        head: The output on top of them, another one, with a softmax.
        decoders: Those on the way down, `layers.LadderDecoder`, from the top to the lowest one
            that a cost needs.
        noises: The noise layer of the input and of each level, or `None`.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:

    >>> import keras_sda as ks
    >>> data = ks.datasets.load("digits")
    >>> y = data.train.y.copy()
    >>> y[100:] = -1
    >>> model = LadderNetwork(64, [64], num_classes=10, seed=0)
    >>> model.compile("adam", metrics=["accuracy"])
    >>> history = model.fit(data.train.x, y, epochs=10, batch_size=50, verbose=0)
    >>> sorted(history.history)
    ['accuracy', 'denoising_0', 'denoising_1', 'denoising_2', 'loss']
    >>> model.evaluate(*data.test, verbose=0)[1] > 0.7
    True

    Reference:
        Rasmus et al., "Semi-supervised learning with ladder networks", NIPS 2015.
    """

    # Besides its matrix products a step has hundreds of small operations, which XLA joins.
    most_rows_for_xla = 512

    def __init__(
        self,
        input_dim,
        hidden_units,
        num_classes,
        noise="gaussian",
        noise_level=0.3,
        denoising_weights="auto",
        activation="relu",
        kernel_initializer="lecun_normal",
        seed=None,
        dtype=None,
        **kwargs,
    ):
        input_dim = check_positive_int("input_dim", input_dim, _OWNER)
        hidden_units = check_hidden_units(hidden_units, _OWNER)
        num_classes = check_positive_int("num_classes", num_classes, _OWNER)
        if num_classes < 2:
            raise ValueError(
                f"Argument `num_classes` of {_OWNER} must be at least 2. Received: num_classes=1"
            )
        widths = [input_dim, *hidden_units, num_classes]
        weights = _check_weights(denoising_weights, len(widths))
        super().__init__(seed=seed, dtype=dtype, **kwargs)
        self.input_dim = input_dim
        self.hidden_units = hidden_units
        self.num_classes = num_classes
        self.denoising_weights = denoising_weights
        children = initializers.child_seeds(seed, 3 * len(widths))
        seeds = [children[index::3] for index in range(3)]
        self.noises = self._make_noises(noise, noise_level, widths, seeds[0])
        *self.levels, self.head = self._make_levels(
            widths, activation, kernel_initializer, seeds[1]
        )
        self._costed = tuple(level for level, weight in enumerate(weights) if weight)
        lowest = min(self._costed, default=len(widths))
        self.decoders = self._make_decoders(widths, lowest, kernel_initializer, seeds[2])
        self._cost_weights = self._add_variable("denoising_weights", weights)
        self._updates = self._add_variable("updates", 0.0)
        self._cost_trackers = [
            keras.metrics.Mean(name=f"denoising_{level}") for level in self._costed
        ]
        self.build((None, input_dim))
        self.keep_arguments(
            input_dim=input_dim,
            hidden_units=hidden_units,
            num_classes=num_classes,
            noise=noise,
            noise_level=noise_level,
            denoising_weights=denoising_weights,
            activation=activation,
            kernel_initializer=kernel_initializer,
            seed=seed,
        )

    def _make_noises(self, noise, noise_level, widths, seeds):
        rates = per_level("noise_level", noise_level, len(widths), _OWNER)
        layers = []
        for level, (width, rate, seed) in enumerate(zip(widths, rates, seeds, strict=True)):
            kind = noise if level == 0 else ("gaussian" if rate else None)
            layer = get_noise(
                kind, rate, _OWNER, seed=seed, dtype=self.variable_dtype, name=f"noise_{level}"
            )
            if layer is not None:
                layer.build((None, width))
            layers.append(layer)
        return layers

    def _make_levels(self, widths, activation, kernel_initializer, seeds):
        levels = []
        for level, (inputs, units) in enumerate(itertools.pairwise(widths)):
            layer = LadderEncoder(
                units,
                activation="softmax" if level == len(widths) - 2 else activation,
                kernel_initializer=initializers.for_level(kernel_initializer, level, seeds[level]),
                dtype=self.dtype_policy,
                name=f"level_{level + 1}",
            )
            layer.build((None, inputs))
            levels.append(layer)
        return levels

    def _make_decoders(self, widths, lowest, kernel_initializer, seeds):
        top = len(widths) - 1
        decoders = []
        for level in range(top, lowest - 1, -1):
            layer = LadderDecoder(
                widths[level],
                is_top=level == top,
                kernel_initializer=initializers.for_level(
                    kernel_initializer, top + level, seeds[level]
                ),
                dtype=self.dtype_policy,
                name=f"decoder_{level}",
            )
            layer.build((None, widths[min(level + 1, top)]))
            decoders.append(layer)
        return decoders

    def _add_variable(self, name, value):
        value = np.asarray(value, "float32")
        return self.add_weight(
            name=name,
            shape=value.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(value, dtype),
            trainable=False,
            dtype="float32",
            autocast=False,
        )

    def build(self, input_shape):
        """Does nothing: the constructor has built every layer."""

    @property
    def gives_logits(self):
        """Whether `call` keeps the logits behind its probabilities: always."""
        return True  # Keras finds those of one output alone, where training computes two.

    def settled_arguments(self):
        """Returns the denoising weights, which `fit` settles if they are `"auto"`."""
        return {"denoising_weights": self.denoising_weights}

    # What a step computes.

    def call(self, inputs, training=False):
        if training:
            every, labelled = inputs if isinstance(inputs, (tuple, list)) else (inputs, inputs)
            return self._train_on(every, labelled)
        self.keep_for_loss(costs={})
        return self._output(self.hidden(inputs))

    def hidden(self, inputs, level=-1):
        """Returns the outputs of a hidden level, the last one by default, as a tensor."""
        outputs = ops.cast(inputs, self.variable_dtype)
        for layer in self.levels[: level % len(self.levels) + 1]:
            outputs = layer(outputs)
        return outputs

    def _output(self, hidden):
        return self._probabilities(self.head.normalize(self.head.preactivation(hidden)))

    def _probabilities(self, normalized):
        logits = self.head.shifted(normalized)
        if self._loss_takes_logits:
            self.keep_for_loss(logits=logits)
        return self.head.activation(logits)

    def _train_on(self, every, labelled):
        """Returns the noisy output of labelled rows, and keeps the denoising costs of all rows."""
        every, labelled = (ops.cast(part, self.variable_dtype) for part in (every, labelled))
        # Without denoising costs, labelled rows alone have something to tell.
        with_noise = [labelled, every] if self.decoders else [labelled]
        count = len(with_noise)
        noisy = [in_parts(self._corrupt(0, ops.concatenate(with_noise)), count)]
        clean, statistics = [every if self.decoders else None], []
        hidden = with_part(noisy[0], clean[0])
        for level, layer in enumerate((*self.levels, self.head), start=1):
            # All parts share the product, and each is normalised by itself.
            product = layer.preactivation(ops.reshape(hidden, (-1, hidden.shape[-1])))
            normalized, *moments = normalize_batch(in_parts(product, hidden.shape[0]))
            statistics.append([part[-1] for part in moments])
            noisy.append(self._corrupt(level, normalized[:count]))
            clean.append(normalized[-1] if self.decoders else None)
            if layer is self.head:
                output = self._probabilities(noisy[-1][0])
            else:
                hidden = layer.activation(layer.shifted(with_part(noisy[-1], clean[-1])))
        costs = {}
        if self.decoders:
            top = self.head.activation(self.head.shifted(noisy[-1][-1]))
            estimates, above = self._denoise([part[-1] for part in noisy], top)
            scales = [(None, None), *statistics]
            for level in self._costed:
                costs[level] = denoising_cost(estimates[level], clean[level], *scales[level])
            statistics = [*statistics, *above]
        self._follow(statistics)
        self.keep_for_loss(costs=costs)
        return output

    def _corrupt(self, level, values):
        noise = self.noises[level]
        return values if noise is None else ops.cast(noise(values, training=True), values.dtype)

    def _clean(self, rows):
        """Returns the values of all levels without noise, and the statistics of the batch.

        The values are normalised by the batch, except for the rows themselves.
        """
        values, statistics, hidden = [rows], [], rows
        for layer in (*self.levels, self.head):
            normalized, *moments = normalize_batch(layer.preactivation(hidden))
            values.append(normalized)
            statistics.append(moments)
            hidden = layer.activation(layer.shifted(normalized))
        return values, statistics

    def _denoise(self, noisy, above):
        """Returns estimates by level, and the batch's statistics of what comes from above."""
        estimates, statistics = {}, []
        for level, decoder in self._from_the_top():
            above = decoder.vertical(above)
            if not decoder.is_top:
                above, *moments = normalize_batch(above)
                statistics.append(moments)
            above = estimates[level] = decoder.combine(noisy[level], above)
        return estimates, statistics

    def _from_the_top(self):
        top = len(self.levels) + 1
        return [(top - index, decoder) for index, decoder in enumerate(self.decoders)]

    def _normalizing(self):
        """Returns the layers that normalise, in the order of their statistics."""
        return [*self.levels, self.head, *self.decoders[1:]]

    def _follow(self, statistics):
        """Moves each layer's statistics towards those of the batch, by less in later steps."""
        rate = ops.maximum(1 / (ops.convert_to_tensor(self._updates) + 1), _SLOWEST)
        self._updates.assign_add(1.0)
        for layer, moments in zip(self._normalizing(), statistics, strict=True):
            layer.approach(*moments, rate)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        weights = ops.convert_to_tensor(self._cost_weights)
        for (level, cost), tracker in zip(
            self.kept.costs.items(), self._cost_trackers, strict=False
        ):
            tracker.update_state(cost)
            cost = ops.cast(weights[level], loss.dtype) * ops.cast(cost, loss.dtype)
            loss = loss + scaled_for_replicas(cost)
        return loss

    def get_metrics_result(self):
        """Returns the values of all metrics; those of the denoising costs in training only."""
        result = super().get_metrics_result()
        if vars(self.kept).get("costs"):
            return result
        own = {tracker.name for tracker in self._cost_trackers}
        return {name: value for name, value in result.items() if name not in own}

    # What depends on the rows trained on.

    def settle_before(self, x):
        """Replaces `denoising_weights="auto"` by what fits the variance of the rows."""
        if self.denoising_weights != "auto":
            return
        if is_table(x):
            rows = rows_to_describe(x, _ROWS_TO_LOOK_AT)[:_ROWS_TO_LOOK_AT]
        else:
            rows = np.asarray(inputs_of(peek(x)))
        variance = float(np.var(np.asarray(rows, "float64"), axis=0).mean())
        first, *others = _AUTO_WEIGHTS
        scale = _VARIANCE_OF_PIXELS / variance if np.isfinite(variance) and variance > 0 else 1.0
        weights = [first * scale, *others]
        self.denoising_weights = weights
        self._cost_weights.assign(_check_weights(weights, len(self.levels) + 2))

    def settle_after(self, x):
        """Gives each level the mean and the variance that rows without noise have there.

        They replace the moving averages of training. Of more than 4,096 rows the statistics are
        averages over so many at a time.

        Args:
            x: Array of rows, or a dataset of batches.
        """
        total, count = 0.0, 0
        for rows in row_batches(x, _SETTLED_TOGETHER):
            moments = compute_batch(self._moments, rows).astype("float64")
            total, count = total + len(rows) * moments, count + len(rows)
        sizes = [layer.units for layer in self._normalizing() for _ in range(2)]
        parts = iter(np.split(total / count, np.cumsum(sizes)[:-1]))
        for layer in self._normalizing():
            layer.settle(next(parts), next(parts))

    def _moments(self, rows):
        """Returns all statistics of a batch without noise, as one vector."""
        clean, statistics = self._clean(ops.cast(rows, self.variable_dtype))
        if self.decoders:
            top = self.head.activation(self.head.shifted(clean[-1]))
            statistics = [*statistics, *self._denoise(clean, top)[1]]
        return ops.concatenate([ops.reshape(part, (-1,)) for pair in statistics for part in pair])

    # What the model makes of rows.

    def reconstruct(self, x):
        """Returns rows as the way down makes them of their levels, as a NumPy array."""
        self._check_reaches_input("reconstruct()")
        return self.run(self._reconstruction, x, "reconstruct()")

    def reconstruction_error(self, x):
        """Returns the summed squared error of each row's reconstruction: high means strange.

        Args:
            x: Array of shape `(rows, input_dim)`.
        """
        self._check_reaches_input("reconstruction_error()")
        return self.run(self._reconstruction_error, x, "reconstruction_error()")

    @property
    def reconstructs(self):
        """Whether the way down reaches the input, which takes a denoising cost of the input."""
        return len(self.decoders) == len(self.levels) + 2

    def _check_reaches_input(self, owner):
        if not self.reconstructs:
            raise ValueError(
                f"{_OWNER}.{owner} needs a denoising cost of the input. Received: "
                f"denoising_weights={self.denoising_weights!r}"
            )

    def _reconstruction(self, rows):
        values = [ops.cast(rows, self.variable_dtype)]
        hidden = values[0]
        for layer in (*self.levels, self.head):
            values.append(layer.normalize(layer.preactivation(hidden)))
            hidden = layer.activation(layer.shifted(values[-1]))
        for level, decoder in self._from_the_top():
            hidden = decoder(values[level], hidden)
        return hidden

    def _reconstruction_error(self, rows):
        estimate = self._reconstruction(rows)
        return ops.sum(ops.square(estimate - ops.cast(rows, estimate.dtype)), axis=-1)

    def outputs_to_export(self):
        """Returns functions of rows that give the outputs of `export`, by name."""
        outputs = super().outputs_to_export()
        if self.reconstructs:
            outputs |= {"reconstruct": self._reconstruction, "score": self._reconstruction_error}
        return outputs


def _check_weights(weights, count):
    """Returns one denoising weight for each level, the input included."""
    if isinstance(weights, str) and weights == "auto":
        weights = _AUTO_WEIGHTS
    listed_weights = list(weights) if isinstance(weights, (list, tuple)) else [weights]
    if not listed_weights or len(listed_weights) > count or isinstance(weights, str):
        raise ValueError(
            f"Argument `denoising_weights` of {_OWNER} must be 'auto', or from 1 to {count} "
            f"weights from the input up. Received: denoising_weights={weights!r}"
        )
    checked = [check_non_negative("denoising_weights", each, _OWNER) for each in listed_weights]
    return checked + checked[-1:] * (count - len(checked))
