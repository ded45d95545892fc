"""The plain Keras way: what a Keras user writes for a stacked denoising autoencoder, without us.

Each of its habits is ordinary: a model with `add_loss` (which measured faster than a loss on
`fit(x, x)`), cross-entropy on logits, automatic differentiation, and for the upper levels a model
that runs the frozen lower levels on every batch. Units are the tutorials' sigmoids under masking
noise, or ReLU under Gaussian noise, with batch normalisation in the classifier. Besides, LeNet-5.
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


@keras.saving.register_keras_serializable(package="benchmarks")
class PlainLevel(keras.Model):
    """A tied denoising autoencoder on the codes of the `Dense` layers below it.

    Args:
        dense: The layer that is trained, already built: sigmoid, or linear if it gets a ReLU.
        below: The layers below, which stay as they are.
        rate: Share of the inputs to mask, or with ReLU the standard deviation of Gaussian noise.
        seed: Seed of the noise.
        relu: Whether units are ReLU, whose codes are rebuilt by squared error.
    """

    def __init__(self, dense, below=(), rate=0.3, seed=0, relu=False):
        super().__init__()
        self.below = list(below)
        for layer in self.below:
            layer.trainable = False
        self.noise = keras.layers.GaussianNoise(rate, seed=seed) if relu else Masking(rate, seed)
        self.dense = dense
        self.relu = relu
        self.entropy = not (relu and self.below)
        self.visible_bias = self.add_weight(shape=(dense.kernel.shape[0],), initializer="zeros")

    def call(self, inputs, training=False):
        clean = inputs
        for layer in self.below:
            clean = self._activated(layer(clean))
        codes = self._activated(self.dense(self.noise(clean, training=training)))
        outputs = ops.matmul(codes, ops.transpose(self.dense.kernel)) + self.visible_bias
        if self.entropy:
            losses = ops.binary_crossentropy(clean, outputs, from_logits=True)
        else:
            losses = ops.square(clean - outputs)
        self.add_loss(ops.mean(ops.sum(losses, axis=-1)))
        return ops.sigmoid(outputs) if self.entropy else outputs

    def _activated(self, values):
        return ops.relu(values) if self.relu else values


def dense_layers(input_dim, hidden_units, initializer="glorot_uniform", activation="sigmoid"):
    """Returns built layers, one upon the other."""
    layers = []
    for width, units in zip([input_dim, *hidden_units], hidden_units, strict=False):
        layer = keras.layers.Dense(units, activation=activation, kernel_initializer=initializer)
        layer.build((None, width))
        layers.append(layer)
    return layers


def pretrain(layers, x, optimizer, rate=0.3, steps_per_execution=1, relu=False, **fit):
    """Pretrains the layers one after the other.

    Args:
        layers: From `dense_layers`.
        x: Array of rows.
        optimizer: A function that returns a new Keras optimizer.
        rate: Level of the noise, as of `PlainLevel`.
        steps_per_execution: As in Keras' `compile`.
        relu: Whether units are ReLU, and the layers linear.
        **fit: As in Keras' `fit`.
    """
    for level, dense in enumerate(layers):
        model = PlainLevel(dense, layers[:level], rate, level, relu)
        model.compile(optimizer(), steps_per_execution=steps_per_execution)
        model.fit(x, verbose=0, **fit)
    for layer in layers:
        layer.trainable = True


def classifier(layers, input_dim, num_classes, noise_level, dropout, relu=False):
    """Returns the network over pretrained layers: noisy input, dropout, softmax on top."""
    inputs = keras.Input((input_dim,))
    noise = keras.layers.GaussianNoise(noise_level) if relu else Masking(noise_level)
    codes = noise(inputs)
    for layer in layers:
        codes = layer(codes)
        if relu:
            codes = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(codes)
            codes = keras.layers.ReLU()(codes)
        codes = keras.layers.Dropout(dropout)(codes)
    head = keras.layers.Dense(num_classes, activation="softmax", kernel_initializer="zeros")
    return keras.Model(inputs, head(codes))


def lenet5(image_shape, num_classes):
    """Returns the tutorials' LeNet-5."""
    return keras.Sequential(
        [
            keras.Input(image_shape),
            keras.layers.Conv2D(20, 5, activation="tanh"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(50, 5, activation="tanh"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(500, activation="tanh"),
            keras.layers.Dense(num_classes, activation="softmax"),
        ]
    )
