"""The plain Keras way: what a Keras user writes for a stacked denoising autoencoder, without us.

Each of its habits is ordinary: a model with `add_loss` (which measured faster than a loss on
`fit(x, x)`), cross-entropy on logits, automatic differentiation, and for the upper levels a model
that runs the frozen lower levels on every batch.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="benchmarks")
class Masking(keras.layers.Layer):
    """Sets a share of the inputs to zero in training; `keras.layers.Dropout` would rescale them."""

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        kept = keras.random.uniform(ops.shape(inputs), seed=self.seed_generator) >= self.rate
        return inputs * ops.cast(kept, inputs.dtype)


class PlainLevel(keras.Model):
    """A tied denoising autoencoder on the codes of the `Dense` layers below it.

    Args:
        dense: The layer that is trained, sigmoid, already built.
        below: The layers below, which stay as they are.
        rate: Share of the inputs to mask.
        seed: Seed of the mask.
    """

    def __init__(self, dense, below=(), rate=0.3, seed=0):
        super().__init__()
        self.below = list(below)
        for layer in self.below:
            layer.trainable = False
        self.masking = Masking(rate, seed)
        self.dense = dense
        self.visible_bias = self.add_weight(shape=(dense.kernel.shape[0],), initializer="zeros")

    def call(self, inputs, training=False):
        clean = inputs
        for layer in self.below:
            clean = layer(clean)
        codes = self.dense(self.masking(clean, training=training))
        logits = ops.matmul(codes, ops.transpose(self.dense.kernel)) + self.visible_bias
        entropy = ops.binary_crossentropy(clean, logits, from_logits=True)
        self.add_loss(ops.mean(ops.sum(entropy, axis=-1)))
        return ops.sigmoid(logits)


def dense_layers(input_dim, hidden_units, initializer="glorot_uniform"):
    """Returns built sigmoid layers, one upon the other."""
    layers = []
    for width, units in zip([input_dim, *hidden_units], hidden_units, strict=False):
        layer = keras.layers.Dense(units, activation="sigmoid", kernel_initializer=initializer)
        layer.build((None, width))
        layers.append(layer)
    return layers


def pretrain(layers, x, optimizer, rate=0.3, steps_per_execution=1, **fit):
    """Pretrains the layers one after the other.

    Args:
        layers: From `dense_layers`.
        x: Array of rows.
        optimizer: A function that returns a new Keras optimizer.
        rate: Share of the inputs to mask.
        steps_per_execution: As in Keras' `compile`.
        **fit: As in Keras' `fit`.
    """
    for level, dense in enumerate(layers):
        model = PlainLevel(dense, layers[:level], rate, seed=level)
        model.compile(optimizer(), steps_per_execution=steps_per_execution)
        model.fit(x, verbose=0, **fit)
    for layer in layers:
        layer.trainable = True


def classifier(layers, input_dim, num_classes, noise_level, dropout):
    """Returns the network over pretrained layers: masked input, dropout, softmax on top."""
    inputs = keras.Input((input_dim,))
    codes = Masking(noise_level)(inputs)
    for layer in layers:
        codes = keras.layers.Dropout(dropout)(layer(codes))
    head = keras.layers.Dense(num_classes, activation="softmax", kernel_initializer="zeros")
    return keras.Model(inputs, head(codes))
