"""The contractive autoencoder: its codes hardly move when the input does."""

import keras
from keras import ops

from keras_sda import initializers
from keras_sda._validation import check_choice, check_non_negative, check_positive_int
from keras_sda.backend import batch_jacobian, scaled_for_replicas
from keras_sda.models.levels import build_levels
from keras_sda.models.unrolled import UnrolledAutoencoder
from keras_sda.training.tied_gradient import SLOPES, slope_of

# How many entries of Jacobians are held at once where nothing is trained: 256 MB in float32.
_ENTRIES = 2**26


@keras.saving.register_keras_serializable(package="keras_sda")
class ContractiveAutoencoder(UnrolledAutoencoder):
    """Learns codes that stay where they are when the input moves a little.

    To the reconstruction loss it adds `contraction_weight` times the squared Frobenius norm of the
    encoder's Jacobian, `sum((dh_j / dx_i) ** 2)` over units `j` and inputs `i`, averaged over the
    batch: in `fit` and in `evaluate`, not in `reconstruction_error`. `compile("adam")` and `fit(x)`
    are all it takes; there is no noise. For small Gaussian noise, denoising amounts to nearly the
    same; here the robustness is that of the code, not of the reconstruction.

    Args:
        input_dim: Number of features of a row.
        hidden_units: Number of hidden units.
        contraction_weight: Factor of the penalty, at least 0; 0.1 in the Deep Learning Tutorials,
            whose losses are summed over features and averaged over rows as here.
        activation: Activation of the code; sigmoid, as in the paper. An ELU rebuilds far better:
            the recipe `contractive` has both.
        tied: Whether decoder and encoder share one kernel. Tied by default, as in the paper:
            without it the encoder could shrink, which the penalty rewards, and the decoder grow.
        kernel_initializer: Initial kernels: Glorot's (Xavier's) uniform, in whose range the codes
            are not yet saturated, where the penalty would have no gradient.
        reconstruction_loss: `"binary_crossentropy"` (data in [0, 1], sigmoid decoder),
            `"squared_error"` (any data, linear decoder), or `"auto"`, which chooses by the data.
        jacobian: How the penalty is computed. `"closed_form"`: from the codes and the kernel, for
            sigmoid, tanh, ReLU, ELU, softplus and linear codes, at the price of one more product.
            `"autodiff"`: by automatic differentiation, for any activation; holds every Jacobian of
            the batch, `4 * batch * hidden_units * input_dim` bytes, and its like once or twice
            more for the gradient. `"auto"`: in closed form where there is one.
        seed: Makes initial weights and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Raises:
        ValueError: If an argument lies outside its range, or if `"closed_form"` is asked for an
            activation that has none here.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(size=(64, 16)).astype("float32")
    >>> model = ContractiveAutoencoder(input_dim=16, hidden_units=8, seed=0)
    >>> model.compile("adam")
    >>> history = model.fit(x, epochs=2, verbose=0)
    >>> model.encode(x).shape, model.contraction(x).shape
    ((64, 8), (64,))

    Reference:
        Rifai et al., "Contractive auto-encoders: explicit invariance during feature extraction",
        ICML 2011.
    """

    def __init__(
        self,
        input_dim,
        hidden_units,
        contraction_weight=0.1,
        activation="sigmoid",
        tied=True,
        kernel_initializer="glorot_uniform",
        reconstruction_loss="auto",
        jacobian="auto",
        seed=None,
        dtype=None,
        **kwargs,
    ):
        owner = "ContractiveAutoencoder"
        check_positive_int("input_dim", input_dim, owner)
        check_positive_int("hidden_units", hidden_units, owner)
        check_choice("jacobian", jacobian, ("auto", "closed_form", "autodiff"), owner)
        contraction_weight = check_non_negative("contraction_weight", contraction_weight, owner)
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
        activation = keras.activations.serialize(layers[0].activation)
        slope = slope_of(layers[0].activation)
        if jacobian == "closed_form" and slope is None:
            raise ValueError(
                f"{owner} has a closed form of the penalty for {', '.join(SLOPES)} codes. "
                f"Received: activation={activation!r}; use jacobian='auto' or 'autodiff' with it."
            )
        super().__init__(
            layers, reconstruction_loss=reconstruction_loss, seed=seed, dtype=dtype, **kwargs
        )
        self.hidden_units = hidden_units
        self.contraction_weight = contraction_weight
        self.jacobian = jacobian
        self._slope = None if jacobian == "autodiff" else slope
        self.keep_arguments(
            input_dim=input_dim,
            hidden_units=hidden_units,
            contraction_weight=contraction_weight,
            activation=activation,
            tied=tied,
            kernel_initializer=kernel_initializer,
            reconstruction_loss=reconstruction_loss,
            jacobian=jacobian,
            seed=seed,
        )

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        if self.contraction_weight == 0:
            return loss
        norms = ops.cast(self._squared_norms(x), loss.dtype)
        if sample_weight is not None:
            norms = norms * ops.reshape(ops.cast(sample_weight, norms.dtype), (-1,))
        penalty = self.contraction_weight * ops.mean(norms)
        return loss + scaled_for_replicas(penalty)

    def _squared_norms(self, inputs):
        """Returns the squared Frobenius norm of each row's Jacobian."""
        encode = self.levels[0]
        inputs = ops.cast(inputs, self.variable_dtype)
        if self._slope is None:
            jacobians = batch_jacobian(encode, inputs)  # (rows, units, inputs)
            return ops.sum(ops.square(ops.cast(jacobians, self.variable_dtype)), axis=(1, 2))
        # dh_j / dx_i = f'(z_j) * W_ij: the sum over i is the same for all rows.
        slopes = self._slope(ops.cast(encode(inputs), self.variable_dtype))
        lengths = ops.sum(ops.square(ops.convert_to_tensor(encode.kernel)), axis=0)
        return ops.matmul(ops.square(slopes), lengths)

    def contraction(self, x):
        """Returns the squared Frobenius norm of the encoder's Jacobian at each row.

        Args:
            x: Array of shape `(rows, features)`.

        Returns:
            NumPy array of shape `(rows,)`: small where the code is robust.
        """
        size = max(1, _ENTRIES // (self.input_dim * self.hidden_units))

        def in_parts(rows):
            starts = range(0, len(rows), size)
            return ops.concatenate([self._squared_norms(rows[i : i + size]) for i in starts])

        return self.run(in_parts, x, "contraction()")
