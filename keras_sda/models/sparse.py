"""The sparse autoencoder: few units of the code are on at a time."""

import keras

from keras_sda import initializers, regularizers
from keras_sda._validation import check_non_negative, check_positive_int, check_share
from keras_sda.models.levels import build_levels
from keras_sda.models.unrolled import UnrolledAutoencoder


@keras.saving.register_keras_serializable(package="keras_sda")
class SparseAutoencoder(UnrolledAutoencoder):
    """Learns codes in which each unit is on for few rows, also where there are many units.

    Three penalties may be added to the reconstruction loss, in `fit` and in `evaluate`, not in
    `reconstruction_error`: the divergence of each unit's mean activation from a target, the size
    of the codes, and that of the kernels. `compile("adam")` and `fit(x)` are all it takes; there is
    no noise.

    The mean activation is that of the batch, taken before the divergence, unlike what Keras'
    `activity_regularizer` makes of a penalty on single rows: see `regularizers.KLSparsity`. Sample
    weights do not enter it.

    The stack of several such levels under a classifier is `StackedDenoisingAutoencoder(
    noise=None, code_regularizer=KLSparsity(0.1, 3.0), kernel_regularizer=...)`.

    Args:
        input_dim: Number of features of a row.
        hidden_units: Number of hidden units.
        sparsity_target: Mean activation of a unit aimed at, in (0, 1); 0.05 as in the notes.
        sparsity_weight: Factor of the divergence summed over units, at least 0; 0 leaves it out.
            1 by default, as the reconstruction loss is a sum over features: of digits, a tenth of
            it leaves units on several times as often as asked, and ten times as much gives up a
            good part of the reconstruction. UFLDL takes 3.
        code_l1: Factor of `sum(|code|)` of a row, averaged over the batch; at least 0.
        kernel_l1: Factor of the sum of absolute values of the kernels, at least 0.
        kernel_l2: Factor of the sum of squares of the kernels, at least 0; UFLDL's decay halved.
        activation: Activation of the code. For others than `"sigmoid"`, `"hard_sigmoid"` and
            `"softmax"`, whose values may leave [0, 1], use `code_l1` and `sparsity_weight=0`.
        tied: Whether decoder and encoder share one kernel. Untied by default, as in UFLDL; then
            the penalties on kernels are on both.
        kernel_initializer: Initial kernels: Glorot's (Xavier's) uniform.
        reconstruction_loss: `"binary_crossentropy"` (data in [0, 1], sigmoid decoder),
            `"squared_error"` (any data, linear decoder), or `"auto"`, which chooses by the data.
        seed: Makes initial weights and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Raises:
        ValueError: If an argument lies outside its range, or if codes that may leave [0, 1] are
            to have a mean activation.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(size=(64, 16)).astype("float32")
    >>> model = SparseAutoencoder(input_dim=16, hidden_units=32, sparsity_target=0.1, seed=0)
    >>> model.compile("adam")
    >>> history = model.fit(x, epochs=2, verbose=0)
    >>> model.encode(x).shape, model.reconstruct(x).shape
    ((64, 32), (64, 16))

    Reference:
        Ng, "Sparse autoencoder", CS294A lecture notes (UFLDL), 2011.
    """

    def __init__(
        self,
        input_dim,
        hidden_units,
        sparsity_target=0.05,
        sparsity_weight=1.0,
        code_l1=0.0,
        kernel_l1=0.0,
        kernel_l2=0.0,
        activation="sigmoid",
        tied=False,
        kernel_initializer="glorot_uniform",
        reconstruction_loss="auto",
        seed=None,
        dtype=None,
        **kwargs,
    ):
        owner = "SparseAutoencoder"
        check_positive_int("input_dim", input_dim, owner)
        check_positive_int("hidden_units", hidden_units, owner)
        weights = {
            "sparsity_weight": sparsity_weight,
            "code_l1": code_l1,
            "kernel_l1": kernel_l1,
            "kernel_l2": kernel_l2,
        }
        weights = {name: check_non_negative(name, weights[name], owner) for name in weights}
        check_share("sparsity_target", sparsity_target, owner)
        sparsity = regularizers.KLSparsity(sparsity_target, sparsity_weight)
        if sparsity_weight:
            regularizers.check_code_range(sparsity, activation, owner)
        layers = build_levels(
            input_dim,
            [hidden_units],
            activation,
            tied,
            kernel_initializer,
            [initializers.child_seeds(seed, 2)],
            owner,
            dtype,
        )
        super().__init__(
            layers, reconstruction_loss=reconstruction_loss, seed=seed, dtype=dtype, **kwargs
        )
        self.hidden_units = hidden_units
        self.code_regularizers = [sparsity] if sparsity_weight else []
        if code_l1:
            self.code_regularizers.append(regularizers.CodeL1(code_l1))
        self.kernel_regularizer = keras.regularizers.L1L2(kernel_l1, kernel_l2)
        self.keep_arguments(
            input_dim=input_dim,
            hidden_units=hidden_units,
            sparsity_target=sparsity_target,
            **weights,
            activation=activation,
            tied=tied,
            kernel_initializer=kernel_initializer,
            reconstruction_loss=reconstruction_loss,
            seed=seed,
        )

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        layer = self.levels[0]
        # Encoded as for the reconstruction: the compiler merges the two.
        return regularizers.add_penalties(
            loss, layer, layer(x), self.code_regularizers, self.kernel_regularizer
        )
