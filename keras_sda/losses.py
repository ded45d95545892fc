"""Reconstruction losses, summed over features and averaged over the batch, as in the papers.

Keras' own `binary_crossentropy` and `mse` average over the features: for MNIST they are 784 times
smaller.
"""

import keras
from keras import ops

from keras_sda._validation import check_bool, check_choice
from keras_sda.backend import loss_dtype
from keras_sda.columnwise_loss import ColumnwiseLoss

__all__ = ["ColumnwiseLoss", "SummedBinaryCrossentropy", "SummedSquaredError", "gaussian_kl"]

RECONSTRUCTION_LOSSES = ("binary_crossentropy", "squared_error")


def _sum_features(values):
    """Sums all axes but the first: one number per row."""
    if len(values.shape) < 2:
        return values
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))


@keras.saving.register_keras_serializable(package="keras_sda")
class SummedBinaryCrossentropy(keras.losses.Loss):
    """Cross-entropy between inputs in [0, 1] and their reconstruction, in nats per row.

    `-sum(x * log(p) + (1 - x) * log(1 - p))` over the features, averaged over the batch.

    Args:
        from_logits: Whether predictions are logits, `p = sigmoid(z)`. The loss is then exact for
            any `z`, where probabilities rounded to 0 or 1 have to be clipped.
        **kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.

    Example:

    >>> loss = SummedBinaryCrossentropy()
    >>> round(float(loss([[1.0, 0.0]], [[0.5, 0.5]])), 4)  # 2 * log(2)
    1.3863
    """

    def __init__(self, from_logits=False, name="summed_binary_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.from_logits = check_bool("from_logits", from_logits, "SummedBinaryCrossentropy")

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if self.from_logits:
            return _sum_features(ops.softplus(y_pred) - y_true * y_pred)
        epsilon = keras.config.epsilon()
        probability = ops.clip(y_pred, epsilon, 1.0 - epsilon)
        return -_sum_features(
            y_true * ops.log(probability) + (1.0 - y_true) * ops.log1p(-probability)
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable(package="keras_sda")
class SummedSquaredError(keras.losses.Loss):
    """Squared distance between a row and its reconstruction, without a factor 1/2.

    `sum((x - r) ** 2)` over the features, in squared units of the data, averaged over the batch.

    Args:
        **kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.

    Example:

    >>> float(SummedSquaredError()([[1.0, 0.0]], [[0.5, 2.0]]))
    4.25
    """

    def __init__(self, name="summed_squared_error", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return _sum_features(ops.square(ops.subtract(y_true, y_pred)))


def gaussian_kl(mean, log_var):
    """Returns the KL divergence of normal distributions from the standard normal, in nats per row.

    `KL(N(mean, exp(log_var)) || N(0, 1)) = sum(mean ** 2 + exp(log_var) - 1 - log_var) / 2` over
    all axes but the first: exact, and 0 where the two agree.

    Args:
        mean: Tensor of shape `(rows, ...)`.
        log_var: Natural logarithm of the variances, of the same shape.

    Returns:
        Tensor of shape `(rows,)`.

    Example:

    >>> round(float(gaussian_kl([[1.0]], [[1.0]])[0]), 4)  # (1 + e - 1 - 1) / 2
    0.8591

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, appendix B.
    """
    mean, log_var = ops.convert_to_tensor(mean), ops.convert_to_tensor(log_var)
    # expm1 keeps the digits of small v, which exp(v) - 1 would lose.
    return 0.5 * _sum_features(ops.square(mean) + ops.expm1(log_var) - log_var)


def on_preactivation(name, dtype="float32"):
    """Returns the loss called `name`, as a function of pre-activations, and the output activation.

    Cross-entropy takes logits and goes with a sigmoid; squared error takes a linear output. Loss
    and decoder are chosen together, so that they cannot disagree. Until the data decide, `"auto"`
    stands for cross-entropy.

    Args:
        name: `"binary_crossentropy"`, `"squared_error"`, `"auto"`, or a `ColumnwiseLoss`.
        dtype: The dtype of the model's weights.
    """
    dtype = loss_dtype(dtype)
    if isinstance(name, ColumnwiseLoss):
        loss = ColumnwiseLoss.from_config({**name.get_config(), "dtype": dtype})
        return loss, loss.activation
    if name == "squared_error":
        return SummedSquaredError(dtype=dtype), "linear"
    return SummedBinaryCrossentropy(from_logits=True, dtype=dtype), "sigmoid"


def check_reconstruction_loss(loss, owner, settled=False):
    """Raises a `ValueError` unless the loss is one that an autoencoder can be trained on.

    Args:
        loss: A name, or a `ColumnwiseLoss`.
        owner: The caller's name in the error message.
        settled: Whether it is too late for `"auto"`, which data settle.
    """
    if isinstance(loss, ColumnwiseLoss):
        return
    choices = RECONSTRUCTION_LOSSES if settled else ("auto", *RECONSTRUCTION_LOSSES)
    check_choice("reconstruction_loss", loss, choices, owner)


def title(loss):
    """Returns the name of a reconstruction loss, which is that name or a `ColumnwiseLoss`."""
    return loss.name if isinstance(loss, ColumnwiseLoss) else loss


def on_logits(loss):
    """Returns the classification loss that takes logits where `loss` takes probabilities.

    Keras clips probabilities at 1e-7 before it takes their logarithm, and beyond that there is no
    gradient: a network that has become very sure of the wrong class stays so. Under TensorFlow,
    Keras finds the logits by itself.

    Args:
        loss: The loss passed to `compile`.

    Returns:
        A Keras loss, or `None` if `loss` is not a classification cross-entropy.
    """
    for kind in (keras.losses.CategoricalCrossentropy, keras.losses.SparseCategoricalCrossentropy):
        if type(loss) is kind:
            return kind.from_config({**loss.get_config(), "from_logits": True})
        if isinstance(loss, str) and loss in (kind.__name__, kind().name):
            return kind(from_logits=True, name=loss)
    return None
