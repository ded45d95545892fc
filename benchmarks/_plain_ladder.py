"""A ladder network as one would write it in plain Keras, for comparison."""

import keras
from keras import ops

_EPSILON = 1e-10


@keras.saving.register_keras_serializable(package="benchmarks")
class PlainLadder(keras.Model):
    """Takes `[labelled, unlabelled]` rows; the denoising costs are added losses.

    Args:
        widths: Columns of the input, units of each hidden level, classes.
        weights: Weight of the denoising cost of each of them.
        noise: Standard deviation of the noise at each of them.
    """

    def __init__(self, widths, weights, noise):
        super().__init__()
        self.widths, self.weights_of_costs, self.noise = widths, weights, noise
        self.generator = keras.random.SeedGenerator(0)
        dense = {"use_bias": False, "kernel_initializer": "lecun_normal"}
        self.up = [keras.layers.Dense(units, **dense) for units in widths[1:]]
        self.down = [keras.layers.Dense(units, **dense) for units in widths[:-1]]
        self.shifts = [self._weight(units, "zeros") for units in widths[1:]]
        self.scale = self._weight(widths[-1], "ones")
        self.combinators = [
            [self._weight(units, "ones" if row in (1, 6) else "zeros") for row in range(10)]
            for units in widths
        ]

    def _weight(self, units, initializer):
        return self.add_weight(shape=(units,), initializer=initializer)

    def call(self, inputs, training=False):
        labelled, unlabelled = inputs
        output, _, _ = self._upwards(labelled, noisy=True)
        if training:
            self._add_costs(unlabelled)
        return output

    def _add_costs(self, rows):
        above, noisy, _ = self._upwards(rows, noisy=True)
        _, clean, moments = self._upwards(rows, noisy=False)
        for level in reversed(range(len(self.widths))):
            if level < len(self.widths) - 1:
                above, _, _ = _normalized(self.down[level](above))
            above = estimate = self._combine(level, noisy[level], above)
            if level > 0:
                mean, variance = moments[level]
                estimate = (estimate - mean) / ops.sqrt(variance + _EPSILON)
            cost = ops.mean(ops.square(estimate - clean[level]))
            self.add_loss(self.weights_of_costs[level] * cost)

    def _upwards(self, rows, noisy):
        values = [self._corrupted(rows) if noisy else rows]
        moments, hidden = [None], values[0]
        for level, (layer, shift) in enumerate(zip(self.up, self.shifts, strict=True), start=1):
            normalized, mean, variance = _normalized(layer(hidden))
            normalized = self._corrupted(normalized) if noisy else normalized
            values.append(normalized)
            moments.append((mean, variance))
            is_top = level == len(self.up)
            shifted = normalized + shift
            hidden = ops.softmax(self.scale * shifted) if is_top else ops.relu(shifted)
        return hidden, values, moments

    def _corrupted(self, values):
        return values + self.noise * keras.random.normal(ops.shape(values), seed=self.generator)

    def _combine(self, level, noisy, above):
        a = self.combinators[level]
        mean = a[0] * ops.sigmoid(a[1] * above + a[2]) + a[3] * above + a[4]
        gain = a[5] * ops.sigmoid(a[6] * above + a[7]) + a[8] * above + a[9]
        return (noisy - mean) * gain + mean


def _normalized(values):
    mean, variance = ops.moments(values, axes=[0])
    return (values - mean) / ops.sqrt(variance + _EPSILON), mean, variance
