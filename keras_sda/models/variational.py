"""The variational autoencoder, dense or convolutional."""

import functools
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_sda import initializers
from keras_sda._validation import (
    check_choice,
    check_non_negative,
    check_non_negative_int,
    check_positive,
    check_positive_int,
    check_rows,
    lies_within_unit,
    per_level,
)
from keras_sda.backend import scaled_for_replicas
from keras_sda.datasets.batches import to_numpy
from keras_sda.datasets.given import as_table, is_streamed
from keras_sda.layers.sampling import Sampling
from keras_sda.losses import gaussian_kl
from keras_sda.models.autoencoder import Autoencoder
from keras_sda.models.convolutional import check_image_shape
from keras_sda.models.variational_networks import convolutional_networks, dense_networks

_OWNER = "VariationalAutoencoder"

_LOSSES = {"bernoulli": "binary_crossentropy", "gaussian": "squared_error"}

# Codes decoded together when a likelihood is estimated.
_DECODED_TOGETHER = 1024


@keras.saving.register_keras_serializable(package="keras_sda")
class VariationalAutoencoder(Autoencoder):
    """Learns a distribution of codes for each row, and to make new rows from random codes.

    The encoder gives the mean and the log-variance of a normal distribution over `latent_dim`
    units, the decoder the distribution of a row given a code; the prior of codes is standard
    normal. `compile("adam")` and `fit(x)` are all it takes. The loss is the negative evidence lower
    bound of the log-likelihood, in nats per row and averaged over the batch: `nll + beta * kl`.
    Both terms are reported beside it by `fit` and `evaluate`: `nll`, the negative log-likelihood of
    a row given a code drawn for it, summed over the features, and `kl`, the divergence of the
    distribution of codes from the prior, summed over the latent units.

    `fit` and `evaluate` draw a new code for each row, which makes the loss an unbiased estimate of
    the bound; `predict`, `reconstruct`, `encode` and `reconstruction_error` go through the mean.

    Args:
        input_dim: Number of features of a row; for fully connected layers.
        hidden_units: Units of each hidden layer of the encoder; `()` for none. The dense decoder
            has the same in reverse. In the convolutional one these layers stand between the last
            convolution and the codes, and the way back is one layer to the smallest feature maps.
        latent_dim: Number of latent units.
        input_shape: `(height, width, channels)` of an image; for convolutions, with `filters`.
            Each side must be a multiple of `2 ** len(filters)`.
        filters: Feature maps of each level; each halves the sides by a convolution of stride 2.
        kernel_size: Side of the square kernels: one value, or one for each level.
        activation: Activation of every layer but the codes and the last one.
        likelihood: `"bernoulli"`, for data in [0, 1]: cross-entropy, exact from logits. Or
            `"gaussian"`, for any data: the full log density, with its normalising constant.
        likelihood_stddev: Standard deviation, above 0, of the Gaussian likelihood, in the units of
            the data: the scale of the differences that need not be rebuilt.
        beta: Weight, from 0, of the divergence; 1 gives the bound. A variable: `model.beta` may be
            assigned while training, as `callbacks.KLWarmup` does.
        kernel_initializer: Initial kernels, drawn anew for each layer.
        seed: Makes initial weights, draws and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Attributes:
        posterior: Keras model from rows to `[mean, log_var]` of their codes.
        encoder: Keras model from rows to the mean of their codes.
        decoder: Keras model from codes to the mean of the rows.
        generator: Keras model from codes to what comes before the last activation.
        beta: The weight as it is now, saved with the model; `final_beta` is the argument.

    Raises:
        ValueError: If an argument lies outside its range; on `fit` and `evaluate`, if a loss was
            compiled, or if data for the Bernoulli likelihood lie outside [0, 1].

    Example:

    >>> x = np.random.default_rng(0).uniform(size=(64, 16)).astype("float32")
    >>> model = VariationalAutoencoder(16, hidden_units=(12,), latent_dim=2, seed=0)
    >>> model.compile("adam")
    >>> history = model.fit(x, epochs=2, verbose=0)
    >>> sorted(history.history)
    ['kl', 'loss', 'nll']
    >>> model.encode(x).shape, model.sample(5).shape, model.log_likelihood(x).shape
    ((64, 2), (5, 16), (64,))

    The net of the Keras example "Variational AutoEncoder":

    >>> model = VariationalAutoencoder(
    ...     input_shape=(28, 28, 1), filters=(32, 64), hidden_units=(16,), latent_dim=2
    ... )
    >>> model.posterior.count_params(), model.decoder.count_params()
    (69076, 65089)

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014; Burda et al., "Importance
        weighted autoencoders", ICLR 2016; Higgins et al., "beta-VAE", ICLR 2017.
    """

    def __init__(
        self,
        input_dim=None,
        hidden_units=(400,),
        latent_dim=20,
        input_shape=None,
        filters=None,
        kernel_size=3,
        activation="relu",
        likelihood="bernoulli",
        likelihood_stddev=1.0,
        beta=1.0,
        kernel_initializer="glorot_uniform",
        seed=None,
        dtype=None,
        **kwargs,
    ):
        check_choice("likelihood", likelihood, tuple(_LOSSES), _OWNER)
        super().__init__(_LOSSES[likelihood], seed=seed, dtype=dtype, **kwargs)
        self.likelihood = likelihood
        self.likelihood_stddev = check_positive("likelihood_stddev", likelihood_stddev, _OWNER)
        self.final_beta = check_non_negative("beta", beta, _OWNER)
        self.latent_dim = check_positive_int("latent_dim", latent_dim, _OWNER)
        hidden = _listed_units(hidden_units)
        num_seeds = 6 + 2 * len(hidden) + 2 * _length(filters)
        sampling_seed, *seeds = initializers.child_seeds(seed, num_seeds)

        def make_kernel(number):
            return initializers.for_level(kernel_initializer, number, seeds[number])

        common = (hidden, self.latent_dim, activation, make_kernel, (self.variable_dtype, dtype))
        self.posterior, self.generator = self._make_networks(
            input_dim, input_shape, filters, kernel_size, common
        )
        self.sampling = Sampling(sampling_seed, dtype=dtype, name="sampling")
        self.beta = self.add_weight(
            name="beta",
            shape=(),
            initializer=keras.initializers.Constant(self.final_beta),
            trainable=False,
            dtype="float32",
            autocast=False,
        )
        self._nll_tracker = keras.metrics.Mean(name="nll")
        self._kl_tracker = keras.metrics.Mean(name="kl")
        self.build((None, *self._row_shape))
        self.keep_arguments(
            input_dim=input_dim,
            hidden_units=hidden,
            latent_dim=latent_dim,
            input_shape=input_shape,
            filters=filters,
            kernel_size=kernel_size,
            activation=activation,
            likelihood=likelihood,
            likelihood_stddev=self.likelihood_stddev,
            beta=self.final_beta,
            kernel_initializer=kernel_initializer,
            seed=seed,
        )

    def _make_networks(self, input_dim, input_shape, filters, kernel_size, common):
        """Returns posterior and generator, dense or convolutional, once a row's shape is known."""
        if input_dim is not None and input_shape is None and filters is None:
            self.input_dim = check_positive_int("input_dim", input_dim, _OWNER)
            self._row_shape = (self.input_dim,)
            return dense_networks(self.input_dim, *common)
        if input_dim is None and input_shape is not None and filters is not None:
            self._row_shape = check_image_shape(input_shape, _OWNER)
            levels = _convolutions(self._row_shape, filters, kernel_size)
            return convolutional_networks(self._row_shape, levels, *common)
        raise ValueError(
            f"{_OWNER} is either dense, with `input_dim`, or convolutional, with `input_shape` "
            f"and `filters`. Received: input_dim={input_dim!r}, input_shape={input_shape!r}, "
            f"filters={filters!r}"
        )

    def build(self, input_shape):
        # The layers are built already; the draw learns its shape for `summary`.
        self.sampling.build([(None, self.latent_dim)] * 2)

    @property
    def row_shape(self):
        """The shape of one row of data: `(input_dim,)`, or that of an image."""
        return self._row_shape

    # Both are cached where Keras does not track them.
    @functools.cached_property
    def encoder(self):
        """Keras model from rows to the mean of their codes."""
        return keras.Model(self.posterior.inputs[0], self.posterior.outputs[0], name="encoder")

    @functools.cached_property
    def decoder(self):
        """Keras model from codes to the mean of the rows."""
        codes = keras.Input((self.latent_dim,), dtype=self.variable_dtype, name="codes")
        rows = self.output_activation(self.generator(codes))
        return keras.Model(codes, rows, name="decoder")

    def preactivation(self, inputs, training=False):
        mean, log_var = self.posterior(inputs)
        self.keep_for_loss(mean=mean, log_var=log_var)
        return self.generator(self.sampling([mean, log_var], training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        mean, log_var = self.kept.mean, self.kept.log_var
        preactivation = self.kept.preactivation
        if not training:
            # The latest call went through the mean. The bound is an expectation over codes.
            preactivation = self.generator(self.sampling([mean, log_var], training=True))
        dtype = self._rows_loss.dtype
        kl = gaussian_kl(ops.cast(mean, dtype), ops.cast(log_var, dtype))
        kl = _average(kl, sample_weight)
        nll = self._negative_log_likelihood(self.target(x, y), preactivation)
        nll = _average(nll, sample_weight)
        rows = ops.shape(mean)[0]
        self._nll_tracker.update_state(nll, sample_weight=rows)
        self._kl_tracker.update_state(kl, sample_weight=rows)
        loss = nll + ops.cast(self.beta, kl.dtype) * kl
        loss = loss + sum(self.losses) if self.losses else loss
        return scaled_for_replicas(loss)

    def _negative_log_likelihood(self, target, preactivation):
        """Returns `-log p(target | code)` of each row, in nats."""
        outputs = ops.cast(self._measured(preactivation), self._rows_loss.dtype)
        rows = self._rows_loss.call(ops.cast(target, outputs.dtype), outputs)
        if self.likelihood == "bernoulli":
            return rows
        constant = math.log(self.likelihood_stddev) + 0.5 * math.log(2 * math.pi)
        return rows / (2 * self.likelihood_stddev**2) + math.prod(self._row_shape) * constant

    def check_data(self, x: Any, y: Any = None, owner: str = "") -> None:
        """Raises a `ValueError` if the data do not fit the model, or a loss was compiled."""
        # Keras keeps the loss of an earlier `compile`; what the latest one was given is here.
        if self.has_given_loss:
            raise ValueError(
                f"{_OWNER} has its loss built in, the bound of the likelihood, but was compiled "
                "with another: call compile(optimizer) without `loss`, and choose by `likelihood`."
            )
        super().check_data(x, y, owner)

    def check_target(self, x: Any, y: Any, owner: str, uses_own_loss: bool) -> None:
        """Raises a `ValueError` if the loss, always the model's own, cannot measure the target."""
        super().check_target(x, y, owner, uses_own_loss=True)

    def check_bounds(self, target: np.ndarray, owner: str) -> None:
        """Raises a `ValueError` if `target` is impossible under the likelihood."""
        check_rows(target, owner, shape=self.row_shape)
        if self.likelihood == "bernoulli" and not lies_within_unit(target):
            raise ValueError(
                f"{owner} has a Bernoulli likelihood, which needs `x` in [0, 1], but the data "
                f"reach from {target.min():.6g} to {target.max():.6g}: scale them, or use "
                "likelihood='gaussian'."
            )

    def encode_distribution(self, x):
        """Returns mean and standard deviation of the codes of `x`, two NumPy arrays.

        Args:
            x: Array of rows, or a dataset of batches.

        Returns:
            Two arrays of shape `(rows, latent_dim)`.
        """

        def both(rows):
            return ops.concatenate(self.posterior(rows), axis=-1)

        mean, log_var = np.split(self.run(both, x, "encode_distribution()"), 2, axis=-1)
        return mean, np.exp(0.5 * log_var)

    def sample(self, num_samples, seed=None):
        """Returns new rows as a NumPy array: decoded means of codes drawn from the prior.

        Args:
            num_samples: Number of rows.
            seed: Makes the draw repeatable.
        """
        check_positive_int("num_samples", num_samples, f"{_OWNER}.sample()")
        rng = np.random.default_rng(seed)
        codes = rng.standard_normal((num_samples, self.latent_dim))
        return self.decode(codes.astype(self.variable_dtype))

    def traverse(self, row_or_code, unit, values):
        """Returns decoded means as one latent unit takes given values and the others stay.

        Args:
            row_or_code: One row, whose mean code is taken, or a code of shape `(latent_dim,)`;
                where both have the same shape, a code.
            unit: Number of the latent unit, from 0.
            values: The values it takes; about -3 to 3 covers the prior.

        Returns:
            NumPy array with one row for each value.

        Raises:
            ValueError: If an argument does not fit.
        """
        owner = f"{_OWNER}.traverse()"
        if check_non_negative_int("unit", unit, owner) >= self.latent_dim:
            raise ValueError(
                f"{owner} counts the {self.latent_dim} latent units from 0. Received: unit={unit!r}"
            )
        start, values = np.asarray(row_or_code), np.asarray(values)
        if values.ndim != 1 or not len(values):
            raise ValueError(
                f"{owner} needs `values` as a list of numbers. Received shape {values.shape}."
            )
        if start.shape == self._row_shape != (self.latent_dim,):
            start = self.encode(start[None])[0]
        if start.shape != (self.latent_dim,):
            raise ValueError(
                f"{owner} expects a row of shape {self._row_shape} or a code of shape "
                f"{(self.latent_dim,)}. Received shape {start.shape}."
            )
        codes = np.repeat(start[None].astype(self.variable_dtype), len(values), axis=0)
        codes[:, unit] = values
        return self.decode(codes)

    def log_likelihood(self, x, num_samples=100, seed=None):
        """Returns an estimate of `log p(x)` of each row, in nats, by importance sampling.

        `log mean(p(x | z) p(z) / q(z | x))` over codes `z` drawn from the row's own distribution
        `q`: in expectation a lower bound of `log p(x)` that rises with every draw. One draw gives
        the bound that training raises with `beta=1`; `beta` has no part in the estimate. Of grey
        pixels the Bernoulli likelihood is not a normalised density: compare it only with others
        of its kind.

        Args:
            x: Array of rows, or a dataset of batches.
            num_samples: Codes drawn for each row; time grows with it, memory does not. Thousands
                are usual in publications.
            seed: Makes the draws repeatable.

        Returns:
            NumPy array of shape `(rows,)`.
        """
        owner = f"{_OWNER}.log_likelihood()"
        check_positive_int("num_samples", num_samples, owner)
        x = as_table(x, owner)
        if not is_streamed(x):
            self.check_bounds(x, owner)
        rng = np.random.default_rng(seed)

        def estimate(rows):
            rows = ops.convert_to_numpy(rows)
            mean, log_var = (to_numpy(part).astype("float64") for part in self.posterior(rows))
            total = np.full(len(rows), -np.inf)
            together = max(1, _DECODED_TOGETHER // len(rows))
            for start in range(0, num_samples, together):
                draws = min(together, num_samples - start)
                epsilon = rng.standard_normal((draws, *mean.shape))
                codes = mean + np.exp(0.5 * log_var) * epsilon
                flat = codes.reshape(-1, self.latent_dim).astype(self.variable_dtype)
                targets = np.tile(rows, (draws,) + (1,) * len(self._row_shape))
                nll = self._negative_log_likelihood(targets, self.generator(flat))
                nll = ops.convert_to_numpy(nll).reshape(draws, -1).astype("float64")
                # log p(z) - log q(z | x); the two constants cancel.
                log_ratio = 0.5 * (epsilon**2 + log_var - codes**2).sum(axis=-1)
                total = np.logaddexp(total, np.logaddexp.reduce(log_ratio - nll, axis=0))
            return total - math.log(num_samples)

        return self.run(estimate, x, "log_likelihood()").astype(self._rows_loss.dtype)


def _average(rows, sample_weight):
    """Returns the mean over the batch of (weighted) values of each row, as Keras' losses do."""
    if sample_weight is not None:
        rows = rows * ops.reshape(ops.cast(sample_weight, rows.dtype), (-1,))
    return ops.mean(rows)


def _listed_units(hidden_units):
    listed = hidden_units if isinstance(hidden_units, (list, tuple)) else [hidden_units]
    return [check_positive_int("hidden_units", units, _OWNER) for units in listed]


def _length(filters):
    return len(filters) if isinstance(filters, (list, tuple)) else 1


def _convolutions(image_shape, filters, kernel_size):
    """Returns filters and kernel size of each level, once they and the sides are checked."""
    num_levels = _length(filters)
    if not num_levels:
        raise ValueError(f"{_OWNER} needs at least one level. Received: filters={filters!r}")
    factor = 2**num_levels
    height, width, _ = image_shape
    if height % factor or width % factor:
        nearest = " x ".join(str(math.ceil(side / factor) * factor) for side in (height, width))
        raise ValueError(
            f"{_OWNER} with {num_levels} convolutional levels gives {nearest} for images of "
            f"{height} x {width}: sides must be multiples of {factor}, so pad the images to "
            f"{nearest} or crop them."
        )
    columns = (
        [
            check_positive_int(name, value, _OWNER)
            for value in per_level(name, given, num_levels, _OWNER)
        ]
        for name, given in (("filters", filters), ("kernel_size", kernel_size))
    )
    return list(zip(*columns, strict=True))
