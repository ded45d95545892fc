"""The stacked denoising autoencoder: pretrained level by level, fine-tuned as a whole."""

import contextlib

import keras

from keras_sda import backend, initializers, regularizers
from keras_sda._validation import check_bool, check_fraction, check_non_negative, check_positive_int
from keras_sda.exporting import export_model
from keras_sda.layers.noise import copy_noise
from keras_sda.models.checked import CheckedModel
from keras_sda.models.classifier import make_head
from keras_sda.models.greedy import GreedyPretraining
from keras_sda.models.kept_denoiser import KeepsDenoiser
from keras_sda.models.levels import build_levels, build_noises, check_hidden_units, choose_losses
from keras_sda.models.unrolled import UnrolledAutoencoder
from keras_sda.training import pretraining

_OWNER = "StackedDenoisingAutoencoder"
# Moving averages over some ten batches: small data have few of them in all, and Keras' 0.99 would
# predict by statistics of the untrained network.
_MOMENTUM = 0.9
# Small, so that normalisation changes nothing before training.
_EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="keras_sda")
class StackedDenoisingAutoencoder(KeepsDenoiser, GreedyPretraining, CheckedModel):
    """A deep network whose layers are pretrained as denoising autoencoders, one upon the other.

    `pretrain(x)` needs no labels: level by level it teaches each layer to rebuild its clean input
    from a corrupted one. `compile` and `fit(x, y)` are Keras' own and train the whole network for
    its task, from there. A hidden layer and the encoder of its autoencoder are one and the same
    layer, so nothing is copied in between. Use it where unlabelled rows are many and labels few.

    Without `num_classes` and `head` it is an unsupervised stack: `predict` reconstructs, and
    `compile("adam")` and `fit(x)` train all levels together on reconstruction.

    Supervised `fit` trains kernels, hidden biases and the head. Visible biases and the kernels of
    untied decoders belong to the autoencoders; the optimizer holds nothing for them.

    Args:
        input_dim: Number of features of a row.
        hidden_units: Number of hidden units of each level, the lowest first.
        num_classes: Number of classes, at least 2: puts a softmax layer on top, with zero kernel at
            the start, as in the tutorials.
        head: Any Keras layer to put on top instead, such as `keras.layers.Dense(1)`.
        noise: Noise on the input of each level in pretraining: its name, such as `"masking"`
            (`layers.noise_names()` lists them all), a Keras layer, or `None`; or a list with one of
            them per level.
        noise_level: A rate in [0, 1], or for `"gaussian"` a standard deviation; or one per level. A
            noise given as a layer has its own.
        activation: Activation of the codes, or one per level: ReLU by default, with which
            supervised training takes far fewer epochs than with sigmoid units, the tutorials'.
        tied: Whether decoders share the kernels of the encoders; see `layers.TiedDense`.
        kernel_initializer: Initial kernels. `"auto"` goes by the activation of the level: He's
            normal for ReLU and its kin (by the larger of both sides, if tied), the tutorials'
            `initializers.SigmoidGlorotUniform()` for sigmoid units, Glorot's (Xavier's) uniform for
            all others.
        reconstruction_loss: `"binary_crossentropy"` (data in [0, 1], sigmoid decoder),
            `"squared_error"` (any data, linear decoder), or one per level; of the first also a
            `losses.ColumnwiseLoss`, for the columns of a table. `"auto"` takes
            cross-entropy where the data of a level lie in [0, 1]: at the first level it looks at
            them, above it goes by the activation.
        code_regularizer: Keras regularizer of the codes, or one per level, for `pretrain` alone:
            with `regularizers.KLSparsity(0.1, 3.0)` and `noise=None` this is the stacked sparse
            autoencoder of UFLDL. Supervised `fit` is left without it.
        kernel_regularizer: Keras regularizer of the kernels of encoder and untied decoder, or one
            per level, for `pretrain` alone; a penalty in `fit` belongs to the loss given there.
        batch_normalization: Whether the supervised network normalises the inputs of each level's
            activation by the batch, and in prediction by moving averages. On by default: on
            validation rows of the digits it halves the error. Pretraining, `reconstruct` and the
            autoencoder are without it.
        dropout: Share, in [0, 1), of the codes that supervised `fit` drops after each level.
        finetune_noise_level: Level of the first level's noise on the input in supervised `fit`; 0
            adds none.
        keep_denoiser: Whether the first supervised `fit` of a pretrained stack keeps a frozen copy
            of its layers, by which `reconstruct` and `reconstruction_error` go from then on. On by
            default, as without it they would mean nothing and are refused. It takes once more the
            memory of the levels' weights, and nothing of the time of `fit`.
        seed: Makes initial weights, noise, dropout and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Attributes:
        levels: The hidden layers, `layers.TiedDense`, the lowest first.
        noise_layers: The noise of each level, or `None` where there is none.
        head: The layer on top, or `None`.
        encoder: Keras model from the input to the last codes.
        decoder: Keras model from the last codes to the reconstruction.
        autoencoder: Keras model of all levels up and down again; compile and fit it to fine-tune
            the whole stack on reconstruction, under the first level's noise.
        denoiser: The same, or after supervised `fit` of a pretrained stack the copy that was kept.

    Raises:
        ValueError: If an argument lies outside its range, if a list has not one entry per level,
            or if a level's loss or `KLSparsity` does not fit the codes.

    Example:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.uniform(size=(64, 16)).astype("float32"), rng.integers(0, 3, 64)
    >>> sda = StackedDenoisingAutoencoder(input_dim=16, hidden_units=[8, 4], num_classes=3, seed=0)
    >>> histories = sda.pretrain(x, epochs=2, verbose=0)
    >>> sda.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> history = sda.fit(x, y, epochs=2, verbose=0)
    >>> sda.predict(x, verbose=0).shape, sda.encode(x, level=0).shape
    ((64, 3), (64, 8))

    Reference:
        Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010; Deep Learning Tutorials,
        "Stacked Denoising Autoencoders (SdA)"; Ng et al., UFLDL tutorial, "Stacked autoencoders".
    """

    autoencoder: UnrolledAutoencoder

    def __init__(
        self,
        input_dim,
        hidden_units,
        num_classes=None,
        head=None,
        noise="masking",
        noise_level=0.3,
        activation="relu",
        tied=True,
        kernel_initializer="auto",
        reconstruction_loss="auto",
        code_regularizer=None,
        kernel_regularizer=None,
        batch_normalization=True,
        dropout=0.0,
        finetune_noise_level=0.0,
        keep_denoiser=True,
        seed=None,
        dtype=None,
        **kwargs,
    ):
        check_fraction("dropout", dropout, _OWNER, below_one=True)
        check_non_negative("finetune_noise_level", finetune_noise_level, _OWNER)
        super().__init__(seed=seed, dtype=dtype, **kwargs)
        self.input_dim = check_positive_int("input_dim", input_dim, _OWNER)
        self.hidden_units = check_hidden_units(hidden_units, _OWNER)
        self.num_classes = num_classes
        self.batch_normalization = check_bool("batch_normalization", batch_normalization, _OWNER)
        self.dropout = dropout
        self.finetune_noise_level = finetune_noise_level
        self.keep_denoiser = check_bool("keep_denoiser", keep_denoiser, _OWNER)
        *seeds, noise_seed = initializers.child_seeds(seed, 4 * len(self.hidden_units) + 2)
        self._add_levels(activation, tied, kernel_initializer, noise, noise_level, seeds)
        self._add_losses(reconstruction_loss, code_regularizer, kernel_regularizer)
        self._add_head(head, seeds, noise_seed)
        self.build((None, input_dim))
        self.keep_arguments(
            input_dim=input_dim,
            hidden_units=self.hidden_units,
            num_classes=num_classes,
            head=head,
            noise=noise,
            noise_level=noise_level,
            activation=[layer.activation for layer in self.levels],
            tied=tied,
            kernel_initializer=kernel_initializer,
            reconstruction_loss=reconstruction_loss,
            code_regularizer=self.code_regularizers,
            kernel_regularizer=self.kernel_regularizers,
            batch_normalization=self.batch_normalization,
            dropout=dropout,
            finetune_noise_level=finetune_noise_level,
            keep_denoiser=self.keep_denoiser,
            seed=seed,
        )

    def _add_levels(self, activation, tied, kernel_initializer, noise, noise_level, seeds):
        """Makes the levels and their noises, in whose order `seeds` has four for each level."""
        last = 4 * len(self.hidden_units)
        kernel_seeds = list(zip(seeds[0:last:4], seeds[1:last:4], strict=True))
        levels = build_levels(
            self.input_dim,
            self.hidden_units,
            activation,
            tied,
            kernel_initializer,
            kernel_seeds,
            _OWNER,
            self.dtype_policy,
        )
        widths = [self.input_dim, *self.hidden_units[:-1]]
        noises = build_noises(
            noise, noise_level, widths, seeds[2:last:4], _OWNER, self.dtype_policy
        )
        self.levels = []
        self.noise_layers = []
        for layer, noise_layer in zip(levels, noises, strict=True):
            # In the order in which data pass them, which Keras keeps in `summary` and `weights`.
            self.noise_layers.append(noise_layer)
            self.levels.append(layer)

    def _add_losses(self, reconstruction_loss, code_regularizer, kernel_regularizer):
        """Sets what pretraining minimizes at each level, and makes the autoencoder of them all."""
        self.code_regularizers = regularizers.code_regularizers(
            code_regularizer, self.levels, _OWNER
        )
        self.kernel_regularizers = regularizers.kernel_regularizers(
            kernel_regularizer, self.levels, _OWNER
        )
        first_loss, *self._upper_losses = choose_losses(self.levels, reconstruction_loss, _OWNER)
        # Set past Keras, which would list it beside the layers that it is made of.
        self.__dict__["autoencoder"] = UnrolledAutoencoder(
            self.levels,
            noise=self.noise_layers[0],
            reconstruction_loss=first_loss,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="autoencoder",
        )

    def _add_head(self, head, seeds, noise_seed):
        """Makes what only the supervised network has.

        That is noise on its input, normalisation and dropout at each level, and the head.
        """
        self.noise = self.noise_layers[0]
        self.normalization_layers = []
        self.dropout_layers = []
        self.head = None
        if self.num_classes is None and head is None:
            return
        # Class probabilities stay exact under mixed precision.
        self.head = make_head(
            self.num_classes, head, _OWNER, self.variable_dtype, kernel_initializer="zeros"
        )
        self.noise = self._finetune_noise(noise_seed)
        if self.batch_normalization:
            self.normalization_layers = [
                keras.layers.BatchNormalization(
                    momentum=_MOMENTUM,
                    epsilon=_EPSILON,
                    # Over all replicas, so that they train as one device does.
                    synchronized=backend.num_replicas() > 1,
                    dtype=self.dtype_policy,
                    name=f"normalization_{level + 1}",
                )
                for level in range(len(self.levels))
            ]
        if self.dropout > 0:
            self.dropout_layers = [
                keras.layers.Dropout(
                    self.dropout, seed=seed, dtype=self.dtype_policy, name=f"dropout_{level + 1}"
                )
                for level, seed in enumerate(seeds[3:-1:4])
            ]

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Returns a model by its arguments; without normalisation if an older file names none."""
        return super().from_config({"batch_normalization": False, **config}, custom_objects)

    def settled_arguments(self):
        """Returns the loss of each level, the first settled by data, and whether it is tied."""
        return {
            "reconstruction_loss": self.reconstruction_losses,
            "tied": [layer.tied for layer in self.levels],
        }

    def build(self, input_shape):
        # Keras calls it again when it loads a saved model.
        for layers in (self.normalization_layers, self.dropout_layers):
            for layer, width in zip(layers, self.hidden_units, strict=False):
                layer.build((None, width))
        if self.head is not None and not self.head.built:
            self.head.build((None, self.hidden_units[-1]))

    def _finetune_noise(self, seed):
        """Returns the noise on the input of the supervised network, or `None`."""
        level = self.finetune_noise_level
        if level == 0:
            return None
        first = self.noise_layers[0]
        if not hasattr(first, "level_name"):
            raise ValueError(
                f"Argument `finetune_noise_level` of {_OWNER} needs a noise of this package at the "
                f"first level. Received: finetune_noise_level={level!r} with noise={first!r}"
            )
        # Keras would turn the refusal of a copy's constructor into a TypeError.
        first.check_level(level, "finetune_noise_level", f"{_OWNER} with {type(first).__name__}")
        noise = copy_noise(first, level=level, seed=seed, name="finetune_noise")
        noise.build((None, self.input_dim))
        return noise

    def call(self, inputs, training=False):
        if self.head is None:
            return self.autoencoder(inputs, training=training)
        codes = inputs if self.noise is None else self.noise(inputs, training=training)
        return self.classify(self.hidden(codes, training=training))

    def hidden(self, inputs, level=-1, training=False):
        """Returns the codes of a level as the supervised network computes them, as a tensor."""
        codes = inputs
        for index, layer in enumerate(self.levels[: level % len(self.levels) + 1]):
            codes = layer(codes, activate=not self.normalization_layers)
            if self.normalization_layers:
                codes = self.normalization_layers[index](codes, training=training)
                codes = layer.activation(codes)
            if self.dropout_layers:
                codes = self.dropout_layers[index](codes, training=training)
        return codes

    def target(self, x, y=None):
        """Returns what outputs are compared with: `y`, or without head and `y` the input."""
        return y if self.head is not None else self.autoencoder.target(x, y)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if self.head is not None or self.has_given_loss:
            return super().compute_loss(x, y, y_pred, sample_weight, training=training)
        return self.autoencoder.compute_reconstruction_loss(self.target(x, y), sample_weight)

    # Both names: Keras' trainers read one or the other, depending on the backend.
    @property
    def trainable_weights(self):
        """Variables that `fit` trains: with a head, all but those of the decoders."""
        return self._without_decoders(super().trainable_weights)

    @property
    def trainable_variables(self):
        """The same as `trainable_weights`."""
        return self._without_decoders(super().trainable_variables)

    def _without_decoders(self, variables):
        if self.head is None:
            return variables
        decoders = {id(weight) for layer in self.levels for weight in layer.visible_weights}
        return [variable for variable in variables if id(variable) not in decoders]

    def pretraining_arguments(self, x):
        """Returns levels, noises, losses and penalties; settles the first loss by the data."""
        if self.autoencoder.reconstruction_loss == "auto":
            rows = pretraining.prepare_inputs(x, self.input_dim, within=None, name="x")
            with self._retracing():
                self.autoencoder.check_target(rows, None, "pretrain()", uses_own_loss=False)
        return {
            "layers": self.levels,
            "noise": list(self.noise_layers),
            "reconstruction_loss": self.reconstruction_losses,
            "code_regularizer": self.code_regularizers,
            "kernel_regularizer": self.kernel_regularizers,
        }

    @property
    def reconstruction_losses(self):
        """The loss of each level; `"auto"` at the first until it has seen data."""
        return [self.autoencoder.reconstruction_loss, *self._upper_losses]

    @contextlib.contextmanager
    def _retracing(self):
        """Voids what was traced with another decoder, if the block settles the first loss."""
        before = self.autoencoder.reconstruction_loss
        yield
        if self.autoencoder.reconstruction_loss != before:
            self.forget_functions()

    @property
    def target_bounds(self):
        """Between which bounds targets must lie; without a head, those of the decoder."""
        if self.head is not None or self.has_given_loss:
            return super().target_bounds
        return self.autoencoder.target_bounds

    def check_data(self, x, y=None, owner=""):
        """Raises a `ValueError` if the data do not fit the model; see `fit`."""
        super().check_data(x, y, owner)
        if self.head is None:
            with self._retracing():
                uses_own_loss = not self.has_given_loss
                self.autoencoder.check_target(x, y, owner, uses_own_loss)

    @property
    def encoder(self):
        """Keras model from the input to the last codes, over these very layers.

        With batch normalisation they are the codes of the supervised network, as in `encode`.
        """
        if not self.normalization_layers:
            return self.autoencoder.encoder
        if "_encoder" not in self.__dict__:
            inputs = keras.Input((self.input_dim,), dtype=self.variable_dtype, name="inputs")
            # Set past Keras, which would list it beside the layers that it is made of.
            self.__dict__["_encoder"] = keras.Model(inputs, self.hidden(inputs), name="encoder")
        return self.__dict__["_encoder"]

    @property
    def decoder(self):
        """Keras model from the last codes to the reconstruction, over these very layers."""
        return self.autoencoder.decoder

    def encode(self, x, level=-1):
        """Returns the clean codes of `x` at a level, shape `(rows, hidden_units[level])`.

        With batch normalisation they are those that the supervised network computes, while
        `decode` belongs to the autoencoder over the same layers, and `reconstruct` to `denoiser`.
        """
        if not self.normalization_layers:
            return self.autoencoder.encode(x, level=level)
        level = self.autoencoder.check_level(level)
        return self.run(lambda rows: self.hidden(rows, level), x, "encode()")

    def decode(self, codes, level=-1):
        """Returns the reconstruction, shape `(rows, input_dim)`, of codes of a level."""
        return self.autoencoder.decode(codes, level=level)

    def reconstruct(self, x):
        """Returns what `denoiser` makes of `x`, shape `(rows, input_dim)`, without noise."""
        return self.denoiser.reconstruct(x)

    def reconstruction_error(self, x):
        """Returns the reconstruction loss of each row, shape `(rows,)`: high means strange."""
        return self.denoiser.reconstruction_error(x)

    def untie(self):
        """Gives every tied level a decoding kernel of its own; compile again afterwards."""
        self.autoencoder.untie()
        self.forget_functions()

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Writes the model for another runtime, and checks there that it computes the same.

        As `Autoencoder.export`: the outputs are `serve`, `encode`, `reconstruct` and `score`.
        `serve` is `predict`: class probabilities, or the reconstruction without a head. The last
        two are those of `denoiser`, and left out where there is none to trust.

        Args:
            filepath: Folder of a SavedModel, or a file that ends in `.onnx` or `.tflite`.
            format: `"tf_saved_model"`, `"onnx"`, `"litert"`, or another of Keras' formats.
            **kwargs: `scaling`, `columns`, `threshold`, `rows` and `tolerance`, as in
                `Autoencoder.export`; others are as in `keras.Model.export`.

        Returns:
            The largest difference of each output between the exported model and this one.

        Raises:
            ValueError: As in `Autoencoder.export`.
            ImportError: If a package is missing.
        """
        outputs = {"serve": self, "encode": self.encoder if self.head is None else self.hidden}
        if self.reconstructs:
            denoiser = self.denoiser
            outputs |= {"reconstruct": denoiser, "score": denoiser.compute_reconstruction_error}
        return export_model(self, outputs, filepath, format, **kwargs)
