"""The parts of a ladder network: a level on the way up, and a level on the way down."""

import keras
from keras import ops

from keras_sda._validation import check_positive_int, get_activation, get_initializer

# The authors' own, in place of Keras' 1e-3.
_EPSILON = 1e-10
# Units that a positive factor does not change need no scale: the next level normalises it away.
_WITHOUT_SCALE = ("relu", "leaky_relu", "linear")


class _Normalizing(keras.layers.Layer):
    """A layer that normalises what enters it by the mean and variance of rows.

    In training these are the batch's own, which the model notes as moving averages; `settle` puts
    others in their place.
    """

    def _add_statistics(self, units):
        self.mean, self.variance = (
            self.add_weight(
                name=name,
                shape=(units,),
                initializer=initializer,
                trainable=False,
                autocast=False,
            )
            for name, initializer in (("mean", "zeros"), ("variance", "ones"))
        )

    def _multiply(self, inputs, kernel):
        """Returns a matrix product in the compute dtype, kept in that of the variables."""
        product = ops.matmul(ops.cast(inputs, self.compute_dtype), kernel)
        return ops.cast(product, self.variable_dtype)

    def normalize(self, values):
        """Returns values normalised by the layer's own mean and variance."""
        mean, variance = (ops.convert_to_tensor(part) for part in (self.mean, self.variance))
        return (values - mean) * ops.rsqrt(variance + _EPSILON)

    def settle(self, mean, variance):
        """Gives the layer the mean and the variance to normalise by outside of training."""
        self.mean.assign(ops.reshape(mean, self.mean.shape))
        self.variance.assign(ops.reshape(variance, self.variance.shape))

    def approach(self, mean, variance, rate):
        """Moves mean and variance towards those of a batch, by a share `rate` of the way."""
        for variable, value in ((self.mean, mean), (self.variance, variance)):
            before = ops.convert_to_tensor(variable)
            value = ops.stop_gradient(ops.reshape(value, variable.shape))
            variable.assign(before + ops.cast(rate, before.dtype) * (value - before))


def in_parts(values, count):
    """Returns a batch as parts of as many rows, of shape `(count, rows, units)`."""
    return ops.reshape(values, (count, -1, values.shape[-1]))


def with_part(parts, last):
    """Returns parts and one more, a batch of shape `(rows, units)`; `None` adds none."""
    return parts if last is None else ops.concatenate([parts, ops.expand_dims(last, 0)])


def normalize_batch(values):
    """Returns values normalised by the batch they stand in, its mean and its variance.

    Args:
        values: Tensor whose last axis but one counts the rows of a batch.
    """
    mean = ops.mean(values, axis=-2, keepdims=True)
    centred = values - mean
    variance = ops.mean(ops.square(centred), axis=-2, keepdims=True)
    return centred * ops.rsqrt(variance + _EPSILON), mean, variance


def denoising_cost(estimate, clean, mean, variance):
    """Returns the mean square of what is left between an estimate and the clean values.

    Args:
        estimate: Denoised values of a level, of shape `(rows, units)`.
        clean: The clean values, normalised.
        mean: Mean of the clean values before they were normalised; `None` at the input, which is
            not normalised.
        variance: Their variance.
    """
    if mean is not None:
        estimate = (estimate - mean) * ops.rsqrt(variance + _EPSILON)
    return ops.mean(ops.square(estimate - clean))


@keras.saving.register_keras_serializable(package="keras_sda")
class LadderEncoder(_Normalizing):
    """One level of a ladder network on the way up: kernel, batch normalisation, activation.

    `activation(scale * (normalised(x @ kernel) + shift))`; ReLU and linear units have no scale.

    Args:
        units: Number of units.
        activation: Activation.
        kernel_initializer: Initial kernel.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Example:

    >>> layer = LadderEncoder(3)
    >>> layer.build((None, 4))
    >>> [weight.name for weight in layer.weights]
    ['kernel', 'shift', 'mean', 'variance']

    Reference:
        Rasmus et al., "Semi-supervised learning with ladder networks", NIPS 2015.
    """

    def __init__(self, units, activation="relu", kernel_initializer="lecun_normal", **kwargs):
        super().__init__(**kwargs)
        self.units = check_positive_int("units", units, type(self).__name__)
        self.activation = get_activation("activation", activation, "LadderEncoder")
        self.kernel_initializer = get_initializer(
            "kernel_initializer", kernel_initializer, type(self).__name__
        )
        self.scale = None

    def build(self, input_shape):
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(
            name="kernel", shape=shape, initializer=self.kernel_initializer
        )
        self.shift = self.add_weight(
            name="shift", shape=(self.units,), initializer="zeros", autocast=False
        )
        if keras.activations.serialize(self.activation) not in _WITHOUT_SCALE:
            self.scale = self.add_weight(
                name="scale", shape=(self.units,), initializer="ones", autocast=False
            )
        self._add_statistics(self.units)

    def preactivation(self, inputs):
        """Returns `inputs @ kernel`."""
        return self._multiply(inputs, self.kernel)

    def shifted(self, normalized):
        """Returns what the activation is applied to, such as the logits under a softmax."""
        outputs = normalized + ops.convert_to_tensor(self.shift)
        return outputs if self.scale is None else outputs * ops.convert_to_tensor(self.scale)

    def call(self, inputs):
        return self.activation(self.shifted(self.normalize(self.preactivation(inputs))))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


class _CombinatorStart(keras.initializers.Initializer):
    """Ones for the slopes inside of the sigmoids, zeros elsewhere, as in the authors' code."""

    def __call__(self, shape, dtype=None):
        rows = [1.0 if row in (1, 6) else 0.0 for row in range(shape[0])]
        column = ops.convert_to_tensor(rows, dtype or keras.config.floatx())
        return ops.tile(ops.expand_dims(column, 1), (1, shape[1]))


@keras.saving.register_keras_serializable(package="keras_sda")
class LadderDecoder(_Normalizing):
    """One level of a ladder network on the way down: cleans noisy values by what lies above.

    From the estimate of the level above it makes `u = normalised(above @ kernel)`; the topmost
    level has no kernel and takes the corrupted output as it is. With ten parameters for each unit,

        mu = a1 * sigmoid(a2 * u + a3) + a4 * u + a5
        v = a6 * sigmoid(a7 * u + a8) + a9 * u + a10
        estimate = (noisy - mu) * v + mu

    which is the best estimate if the clean values are Gaussian with a mean and a variance that
    depend on `u`.

    Args:
        units: Number of units.
        is_top: Whether this is the topmost level.
        kernel_initializer: Initial kernel.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Example:

    >>> layer = LadderDecoder(3)
    >>> layer.build((None, 4))
    >>> [(weight.name, tuple(weight.shape)) for weight in layer.trainable_weights]
    [('kernel', (4, 3)), ('combinator', (10, 3))]

    Reference:
        Rasmus et al., "Semi-supervised learning with ladder networks", NIPS 2015.
    """

    def __init__(self, units, is_top=False, kernel_initializer="lecun_normal", **kwargs):
        super().__init__(**kwargs)
        self.units = check_positive_int("units", units, type(self).__name__)
        self.is_top = is_top
        self.kernel_initializer = get_initializer(
            "kernel_initializer", kernel_initializer, type(self).__name__
        )

    def build(self, input_shape):
        if not self.is_top:
            self.kernel = self.add_weight(
                name="kernel",
                shape=(input_shape[-1], self.units),
                initializer=self.kernel_initializer,
            )
        self.combinator = self.add_weight(
            name="combinator",
            shape=(10, self.units),
            initializer=_CombinatorStart(),
            autocast=False,
        )
        if not self.is_top:
            self._add_statistics(self.units)

    def vertical(self, above):
        """Returns `above @ kernel`; at the top, `above` itself."""
        if self.is_top:
            return ops.cast(above, self.variable_dtype)
        return self._multiply(above, self.kernel)

    def combine(self, noisy, above):
        """Returns the estimate of the clean values.

        Args:
            noisy: Corrupted values of this level, of shape `(rows, units)`.
            above: `vertical(...)`, normalised unless this is the top.
        """
        a = ops.unstack(ops.convert_to_tensor(self.combinator), 10, axis=0)
        mean = a[0] * ops.sigmoid(a[1] * above + a[2]) + a[3] * above + a[4]
        gain = a[5] * ops.sigmoid(a[6] * above + a[7]) + a[8] * above + a[9]
        return (noisy - mean) * gain + mean

    def call(self, noisy, above):
        above = self.vertical(above)
        return self.combine(noisy, above if self.is_top else self.normalize(above))

    def compute_output_shape(self, noisy_shape, above_shape):
        return noisy_shape

    def get_config(self):
        return super().get_config() | {
            "units": self.units,
            "is_top": self.is_top,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
