"""The multilayer perceptron."""

import keras

from keras_sda import initializers
from keras_sda._validation import (
    check_fraction,
    check_non_negative,
    check_positive_int,
    per_level,
)
from keras_sda.models.classifier import PlainClassifier, make_head
from keras_sda.models.levels import check_hidden_units


@keras.saving.register_keras_serializable(package="keras_sda")
class MLP(PlainClassifier):
    """A network of dense hidden layers with a softmax on top.

    What a pretrained stack is compared with, and what it becomes: `start_from(sda)` copies a
    stack's layers.

    Args:
        input_dim: Number of features of a row.
        hidden_units: Units of each hidden layer, the lowest first.
        num_classes: Number of classes, at least 2, for a softmax layer on top.
        head: Any Keras layer to put on top instead, such as `keras.layers.Dense(1)`.
        activation: Activation of the hidden layers, or one for each.
        dropout: Share, in [0, 1), of each hidden layer's outputs dropped in training, or one for
            each.
        l1: Weight of the sum of the kernels' absolute values in the loss, the softmax layer's
            included; a given `head` brings its own.
        l2: Weight of the sum of the kernels' squares, without a factor 1/2, likewise.
        kernel_initializer: Initial kernels of the hidden layers: Glorot's (Xavier's) uniform by
            default, as in the Theano tutorial for tanh.
        head_initializer: Initial kernel of the softmax layer: zeros, as in the tutorials.
        bias_initializer: Initial biases of all layers but a given `head`.
        seed: Makes initial weights, dropout and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Attributes:
        levels: The hidden layers, `keras.layers.Dense`.
        head: The layer on top.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:

    >>> import numpy as np
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    >>> y = np.array([0, 1, 1, 0])
    >>> model = MLP(input_dim=2, hidden_units=[8], num_classes=2, activation="tanh", seed=0)
    >>> model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    >>> history = model.fit(x, y, epochs=100, verbose=0)
    >>> model.predict(x, verbose=0).argmax(axis=1).tolist()
    [0, 1, 1, 0]

    Reference:
        Deep Learning Tutorials, "Multilayer perceptron".
    """

    def __init__(
        self,
        input_dim,
        hidden_units,
        num_classes=None,
        head=None,
        activation="relu",
        dropout=0.0,
        l1=0.0,
        l2=0.0,
        kernel_initializer="glorot_uniform",
        head_initializer="zeros",
        bias_initializer="zeros",
        seed=None,
        dtype=None,
        **kwargs,
    ):
        owner = type(self).__name__
        check_positive_int("input_dim", input_dim, owner)
        hidden_units = self._check_hidden_units(hidden_units, owner)
        depth = len(hidden_units)
        rates = [
            check_fraction("dropout", rate, owner, below_one=True)
            for rate in per_level("dropout", dropout, depth, owner)
        ]
        activations = per_level("activation", activation, depth, owner)
        penalty = _penalty(l1, l2, owner)
        options = {"bias_initializer": bias_initializer, "kernel_regularizer": penalty}
        super().__init__(seed=seed, dtype=dtype, **kwargs)
        self.input_dim = input_dim
        self.hidden_units = hidden_units
        self.num_classes = num_classes
        *seeds, head_seed = initializers.child_seeds(seed, 2 * depth + 1)
        self._add_levels(activations, rates, kernel_initializer, seeds, options)
        self.head = make_head(
            num_classes,
            head,
            owner,
            self.variable_dtype,  # class probabilities stay exact under mixed precision
            kernel_initializer=initializers.for_level(head_initializer, depth, head_seed),
            **options,
        )
        self.build((None, input_dim))
        self.keep_arguments(
            input_dim=input_dim,
            hidden_units=hidden_units,
            num_classes=num_classes,
            head=head,
            activation=activations,
            dropout=rates,
            l1=l1,
            l2=l2,
            kernel_initializer=kernel_initializer,
            head_initializer=head_initializer,
            bias_initializer=bias_initializer,
            seed=seed,
        )

    def _add_levels(self, activations, rates, kernel_initializer, seeds, options):
        """Makes the hidden layers, each with its dropout if any has one."""
        self.levels = []
        self.dropout_layers = []
        width = self.input_dim
        for level, units in enumerate(self.hidden_units):
            layer = keras.layers.Dense(
                units,
                activation=activations[level],
                kernel_initializer=initializers.for_level(
                    kernel_initializer, level, seeds[2 * level]
                ),
                dtype=self.dtype_policy,
                name=f"level_{level + 1}",
                **options,
            )
            layer.build((None, width))
            self.levels.append(layer)
            if any(rates):
                drop = keras.layers.Dropout(
                    rates[level],
                    seed=seeds[2 * level + 1],
                    dtype=self.dtype_policy,
                    name=f"dropout_{level + 1}",
                )
                self.dropout_layers.append(drop)
            width = units

    @staticmethod
    def _check_hidden_units(hidden_units, owner):
        return check_hidden_units(
            hidden_units, owner, "hidden layer", "; without any it is SoftmaxRegression"
        )

    def build(self, input_shape):
        # Keras calls it again when it loads a saved model.
        for layer, width in zip(self.dropout_layers, self.hidden_units, strict=False):
            layer.build((None, width))
        if not self.head.built:
            self.head.build((None, (self.input_dim, *self.hidden_units)[-1]))

    def hidden(self, inputs, level=-1, training=False):
        """Returns the outputs of a hidden layer, the last one by default, as a tensor."""
        outputs = inputs
        for index, layer in enumerate(self.levels[: level % len(self.levels) + 1]):
            outputs = layer(outputs)
            if self.dropout_layers:
                outputs = self.dropout_layers[index](outputs, training=training)
        return outputs

    def call(self, inputs, training=False):
        return self.classify(self.hidden(inputs, training=training))


def _penalty(l1, l2, owner):
    l1, l2 = check_non_negative("l1", l1, owner), check_non_negative("l2", l2, owner)
    return _Penalty(l1, l2) if l1 or l2 else None


class _Penalty(keras.regularizers.L1L2):
    """Keras' penalty in the precision of its losses, to which it could not be added otherwise."""

    def __call__(self, x):
        return keras.ops.cast(super().__call__(x), keras.config.floatx())
