"""The linear model on inputs, codes and waves of both, whose pretrained stack stays as it is."""

import keras
import numpy as np

from keras_sda import backend
from keras_sda.datasets.batches import run_in_batches
from keras_sda.datasets.folds import draw_rows
from keras_sda.datasets.outside_memory import rows_to_describe
from keras_sda.exporting import export_model
from keras_sda.models.checked import CheckedModel
from keras_sda.models.classifier import make_head
from keras_sda.models.kept_denoiser import values_of
from keras_sda.models.linear_solver import choose_members, solve
from keras_sda.models.stacked_denoising import StackedDenoisingAutoencoder

_OWNER = "LinearOnCodes"
# What can predict from a pretrained stack: the whole network, trained on; this model; the better.
HEADS = ("finetune", "linear", "auto")
# Rows that tell how strong each block of features is.
ROWS_TO_LOOK_AT = 10_000
# Random Fourier features, half of them of each length scale. They make the linear layer a kernel
# machine: their inner products come near a Gaussian kernel of that scale, for which the mean
# distance of two rows is 4.7. Each of the two is best on some tables.
WAVES = 512
LENGTH_SCALES = (6.0, 3.0)
# How strong codes are in the waves, beside inputs.
_CODES_IN_WAVES = 0.5
# Values to learn from at most, which bounds the time and the memory.
_MOST_VALUES = 20_000_000


@keras.saving.register_keras_serializable(package="keras_sda")
class LinearOnCodes(CheckedModel):
    """Logistic or ridge regression on the inputs and the codes of all levels of a stack.

    With a few dozen or hundred labels it often errs less than fine-tuning, which moves far more
    weights than so few rows can tell. The stack is pretrained and then stays as it is, so that it
    keeps encoding, reconstructing and scoring rows. `solve` takes the linear layer from
    scikit-learn; Keras' own `compile` and `fit` train that layer alone, too.

    What bends, the linear layer gets from 512 random Fourier features ("waves") of inputs and
    codes, cosines of random projections, by which it comes near a Gaussian process or a support
    vector machine, without keeping any row.

    Args:
        stack: The pretrained `StackedDenoisingAutoencoder`; a copy of its levels is kept.
        num_classes: Number of classes, at least 2, for a softmax layer on top.
        head: A `keras.layers.Dense` to put on top instead, such as `keras.layers.Dense(1)`.
        seed: Makes the shuffling of `fit` repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Attributes:
        stack: The copy, without a head.
        head: The linear layer.

    Raises:
        ValueError: If an argument lies outside its range, or labels have moved the stack away from
            its decoders and no denoiser was kept.

    Example:

    >>> from keras_sda.models import StackedDenoisingAutoencoder
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.uniform(size=(64, 16)).astype("float32"), rng.integers(0, 3, 64)
    >>> stack = StackedDenoisingAutoencoder(input_dim=16, hidden_units=[8, 4], seed=0)
    >>> histories = stack.pretrain(x, epochs=2, verbose=0)
    >>> model = LinearOnCodes(stack, num_classes=3)
    >>> members = model.solve(x[:20], y[:20], all_rows=x)
    >>> model.predict(x, verbose=0).shape, model.reconstruct(x).shape
    ((64, 3), (64, 16))

    References:
        Rahimi and Recht, "Random features for large-scale kernel machines", NIPS 2007.
        Yao et al., "Using stacking to average Bayesian predictive distributions", Bayesian Analysis
        13, 2018, by whose pseudo-BMA+ classifiers are weighted.
    """

    def __init__(self, stack, num_classes=None, head=None, seed=None, dtype=None, **kwargs):
        super().__init__(seed=seed, dtype=dtype, **kwargs)
        if not isinstance(stack, StackedDenoisingAutoencoder):
            raise ValueError(
                f"Argument `stack` of {_OWNER} must be a StackedDenoisingAutoencoder. "
                f"Received: {type(stack).__name__}"
            )
        self.stack = _copy(stack)
        self.input_dim = stack.input_dim
        self.num_classes = num_classes
        self.head = make_head(
            num_classes, head, _OWNER, self.variable_dtype, kernel_initializer="zeros"
        )
        if not isinstance(self.head, keras.layers.Dense):
            raise ValueError(
                f"Argument `head` of {_OWNER} must be a keras.layers.Dense. Received: {head!r}"
            )
        # Wave numbers need all their digits where the rest computes with fewer.
        self.waves = keras.layers.Dense(
            WAVES, kernel_initializer="zeros", trainable=False, dtype=self.variable_dtype
        )
        self.build((None, self.input_dim))
        self.keep_arguments(stack=self.stack, num_classes=num_classes, head=head, seed=seed)

    def build(self, input_shape):
        # Keras calls it again when it loads a saved model, whose head it may have built before.
        width = self.input_dim + sum(self.hidden_units)
        if not self.waves.built:
            self.waves.build((None, width))
            self._draw_waves(np.zeros(width), np.ones(width))
        if not self.head.built:
            self.head.build((None, width + WAVES))

    # Both names: Keras' trainers read one or the other, depending on the backend.
    @property
    def trainable_weights(self):
        """Variables that `fit` trains: those of the head."""
        return self.head.trainable_weights if self.trainable else []

    @property
    def trainable_variables(self):
        """The same as `trainable_weights`."""
        return self.trainable_weights

    def call(self, inputs, training=False):
        return self.classify(self.features(inputs))

    def features(self, inputs):
        """Returns inputs, codes of all levels and waves of both side by side, as a tensor."""
        return self._with_waves(self._inputs_and_codes(inputs))

    def _with_waves(self, plain):
        waves = keras.ops.cos(self.waves(plain))
        return keras.ops.concatenate([plain, keras.ops.cast(waves, plain.dtype)], axis=1)

    def _inputs_and_codes(self, inputs):
        blocks = [inputs]
        for layer in self.levels:
            blocks.append(layer(blocks[-1]))
        dtype = self.head.compute_dtype
        return keras.ops.concatenate([keras.ops.cast(each, dtype) for each in blocks], axis=1)

    @backend.in_own_scope
    def solve(self, x, y, sample_weight=None, all_rows=None, groups=None, members=None):
        """Takes the linear layer from scikit-learn's logistic or ridge regression on labelled rows.

        The layer is the weighted mean of six linear models: of the inputs, and of the inputs with
        the codes, each with inputs as they are and standardised; and of the inputs with the slow
        waves, and with the fast ones. Which of them is best, a few labels hardly tell, and their
        mean was better on validation rows of eight tables with 50 to 200 labels than the one of
        least loss. The better a classifier fits rows that are held out from it, the larger its
        share; of regressions, those whose loss is clearly larger than the least, by more than two
        standard errors of the difference, are left out.

        Each block of features, such as the inputs and each level's codes, is centred and divided by
        one number, so that all blocks vary as much. Penalties and shares are chosen by
        cross-validation on these rows, on at most 2,000 of them: of five folds for logistic
        regression, and leaving out each row for ridge regression. All scaling is then folded into
        the layer.

        Args:
            x: Labelled rows.
            y: Their class numbers, or numbers of shape `(rows,)` or `(rows, outputs)`.
            sample_weight: Weights of the rows.
            all_rows: Rows to centre and divide by, with and without a label; by default `x`.
            groups: Groups of the rows, which no fold tears apart; `None` for none.
            members: What an earlier call has returned; by default they are chosen.

        Returns:
            For each of the six models its `penalty` on half the squared weights, `alpha` of ridge
            regression or `1 / C` of logistic regression, and its `share` in the mean.

        Raises:
            ValueError: If rows or labels do not fit the model.
        """
        self.check_data(x, y, "solve()")
        rows = x if all_rows is None else all_rows
        rows = rows_to_describe(rows, ROWS_TO_LOOK_AT)[:ROWS_TO_LOOK_AT]
        plain = run_in_batches(self._inputs_and_codes, rows)
        blocks = [self.input_dim, *self.hidden_units]
        self._draw_waves(*_standardisation(plain.astype("float64"), blocks))
        looked_at = run_in_batches(self._with_waves, plain).astype("float64")
        mean, spread = _standardisation(looked_at, self._widths())
        most = max(1, _MOST_VALUES // len(mean))
        if len(x) > most:
            drawn = np.sort(draw_rows(len(x), most))
            x, y = x[drawn], y[drawn]
            sample_weight = None if sample_weight is None else sample_weight[drawn]
            groups = None if groups is None else groups[drawn]
        features = run_in_batches(self.features, x).astype("float64") - mean
        y = np.asarray(y)
        parts = self._parts(spread, looked_at[:, : self.input_dim])
        if members is None:
            models = [features[:, part] / by for part, by in parts]
            members = choose_members(models, y, sample_weight, self.num_classes, groups)
        kernel, bias = np.zeros(self.head.kernel.shape), np.zeros(self.head.bias.shape)
        for (part, by), (penalty, share) in zip(parts, members, strict=True):
            if share > 0:
                coefficients, intercept = solve(
                    features[:, part] / by, y, sample_weight, self.num_classes, penalty
                )
                kernel[part] += share * coefficients / by[:, None]
                bias += share * intercept
        self.head.kernel.assign(kernel)
        self.head.bias.assign(bias - mean @ kernel)
        return members

    def _widths(self):
        """Returns the number of features of each block."""
        waves = WAVES // len(LENGTH_SCALES)
        return [self.input_dim, *self.hidden_units, *(waves for _ in LENGTH_SCALES)]

    def _parts(self, spread, inputs):
        """Returns the features of each model: their numbers, and what they are divided by."""
        ends = np.cumsum(self._widths())
        first, codes, *waves = np.split(
            np.arange(ends[-1]), [ends[0], *ends[len(self.hidden_units) : -1]]
        )
        deviations = inputs.std(axis=0)
        # What hardly ever varies is not blown up without bound.
        deviations = np.maximum(deviations, max(deviations.max() / 100, 1e-6))
        standardising = spread.copy()
        # All together vary as much as before.
        standardising[first] = deviations * np.sqrt(len(first)) / 3
        chosen = [first, *(np.append(first, block) for block in (codes, *waves))]
        return [
            *((part, spread[part]) for part in chosen),
            *((part, standardising[part]) for part in chosen[:2]),
        ]

    def _draw_waves(self, mean, spread):
        """Draws random projections of inputs and codes, which are centred and divided first."""
        rng = np.random.default_rng(self.seed)
        scales = np.repeat(LENGTH_SCALES, WAVES // len(LENGTH_SCALES))
        kernel = rng.normal(size=(len(mean), WAVES)) / scales
        kernel[self.input_dim :] *= _CODES_IN_WAVES
        kernel /= spread[:, None]
        self.waves.kernel.assign(kernel)
        self.waves.bias.assign(rng.uniform(0, 2 * np.pi, WAVES) - mean @ kernel)

    # What belongs to the stack.

    @property
    def levels(self):
        """The hidden layers of the stack, the lowest first."""
        return self.stack.levels

    @property
    def hidden_units(self):
        """Number of hidden units of each level."""
        return self.stack.hidden_units

    @property
    def noise(self):
        """The noise on the input in pretraining, or `None`."""
        return self.stack.noise

    @property
    def noise_layers(self):
        """The noise of each level in pretraining."""
        return self.stack.noise_layers

    @property
    def autoencoder(self):
        """Keras model of all levels up and down again."""
        return self.stack.autoencoder

    @property
    def denoiser(self):
        """The autoencoder that reconstructs and scores rows: always `autoencoder`."""
        return self.stack.denoiser

    @property
    def encoder(self):
        """Keras model from the input to the last codes."""
        return self.stack.encoder

    @property
    def decoder(self):
        """Keras model from the last codes to the reconstruction."""
        return self.stack.decoder

    def encode(self, x, level=-1):
        """Returns the codes of `x` at a level, shape `(rows, hidden_units[level])`."""
        return self.stack.encode(x, level=level)

    def decode(self, codes, level=-1):
        """Returns the reconstruction, shape `(rows, input_dim)`, of codes of a level."""
        return self.stack.decode(codes, level=level)

    def reconstruct(self, x):
        """Returns what the stack makes of `x`, shape `(rows, input_dim)`, without noise."""
        return self.stack.reconstruct(x)

    def reconstruction_error(self, x):
        """Returns the reconstruction loss of each row, shape `(rows,)`: high means strange."""
        return self.stack.reconstruction_error(x)

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Writes the model for another runtime, and checks there that it computes the same.

        As `StackedDenoisingAutoencoder.export`: the outputs are `serve`, which is `predict`,
        `encode`, `reconstruct` and `score`.

        Args:
            filepath: Folder of a SavedModel, or a file that ends in `.onnx` or `.tflite`.
            format: `"tf_saved_model"`, `"onnx"`, `"litert"`, or another of Keras' formats.
            **kwargs: As in `Autoencoder.export`.

        Returns:
            The largest difference of each output between the exported model and this one.

        Raises:
            ValueError: As in `Autoencoder.export`.
            ImportError: If a package is missing.
        """
        denoiser = self.denoiser
        outputs = {
            "serve": self,
            "encode": self.encoder,
            "reconstruct": denoiser,
            "score": denoiser.compute_reconstruction_error,
        }
        return export_model(self, outputs, filepath, format, **kwargs)


def _standardisation(features, widths):
    """Returns the mean of each feature, and by what it is divided: one number a block."""
    mean = features.mean(axis=0)
    squares = ((features - mean) ** 2).mean(axis=0)
    blocks = np.split(squares, np.cumsum(widths)[:-1])
    # A third, so that a feature of many is about as large as one that is standardised.
    spreads = [max(np.sqrt(block.sum()) / 3, 1e-6) for block in blocks]
    return mean, np.repeat(spreads, widths)


def better_head(linear: np.ndarray, finetune: np.ndarray) -> str:
    """Returns `"finetune"` if it errs clearly less than the linear head, else `"linear"`.

    Clearly means by more than two standard errors: errors on a few dozen rows differ by chance, and
    on validation rows of tables the linear head was mostly as good or better where they did.

    Args:
        linear: Errors of the linear head on rows that it was not solved for.
        finetune: Errors of the fine-tuned network on the same rows.

    Example:

    >>> better_head(np.array([1.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    'linear'
    """
    gains = linear - finetune
    is_clear = gains.mean() > 2 * gains.std() / np.sqrt(len(gains))
    return "finetune" if is_clear else "linear"


def _copy(stack):
    """Returns a stack without a head, with the levels of the denoiser of another one."""
    if stack.head is None:
        levels = stack.levels
    elif stack.denoiser_state == "lost":
        raise ValueError(
            f"Argument `stack` of {_OWNER} was trained on labels without a pretrained denoiser to "
            "keep: give a stack that was pretrained only."
        )
    else:
        levels = stack.denoiser.levels
    config = stack.get_config() | {"num_classes": None, "head": None, "finetune_noise_level": 0.0}
    # Zeros draw no random numbers, and are replaced at once.
    copy = StackedDenoisingAutoencoder.from_config({**config, "kernel_initializer": "zeros"})
    for own, given in zip(copy.levels, levels, strict=True):
        for name, value in values_of(given).items():
            getattr(own, name).assign(value)
    return copy
