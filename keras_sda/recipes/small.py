"""Recipes on a few points in the plane."""

import keras

from keras_sda.datasets.synthetic import gaussian_clouds_weights
from keras_sda.experiments import Data, Experiment, Model, Training
from keras_sda.recipes.recipe import Recipe


@keras.saving.register_keras_serializable(package="keras_sda")
class DelayedMomentum(keras.optimizers.Optimizer):
    """Momentum as in the Theano tutorial's network: the step is the previous velocity.

    `parameter -= learning_rate * velocity`, and only then
    `velocity = momentum * velocity + (1 - momentum) * gradient`.

    Args:
        learning_rate: Learning rate.
        momentum: Share of the velocity that is kept, in [0, 1).
        name: Name of the optimizer.
        **kwargs: As for every Keras optimizer.
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, name="delayed_momentum", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient, variable, learning_rate):
        velocity = self.velocities[self._get_variable_index(variable)]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * velocity)
        mixed = self.momentum * velocity + (1 - self.momentum) * gradient
        self.assign(velocity, mixed)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "momentum": self.momentum}


def _draw_weights(model, seed):
    kernel, bias, last_kernel, last_bias = gaussian_clouds_weights(seed)
    model.start_from([kernel, bias, last_kernel, last_bias])


CLOUDS = Recipe(
    name="gaussian-clouds",
    title="Network 2-4-1 on two Gaussian clouds",
    source="Theano tutorial, the small network with momentum; no figure printed",
    experiment=Experiment(
        # Sigmoid units throughout, with one output.
        Model(
            "mlp",
            {
                "hidden_units": [4],
                "head": keras.layers.Dense(1, activation="sigmoid"),
                "activation": "sigmoid",
            },
        ),
        Data("gaussian_clouds", split="full", scale=None),
        pretraining=None,
        training=Training(
            "keras_sda>DelayedMomentum",
            0.01,
            "constant",
            loss=keras.losses.MeanSquaredError(reduction="sum"),
            epochs=20,
            batch_size=1000,
            shuffle=False,
            keep_best=True,
        ),
    ),
    figure="training error",
    start=_draw_weights,
    seeds=1,
    baseline="chance",
    note="All points train, 20 steps.",
)

XOR = Recipe(
    name="xor",
    title="Exclusive or with one hidden layer of 4",
    source="TensorFlow notes: softmax alone cannot, one hidden layer can",
    experiment=Experiment(
        Model("mlp", {"hidden_units": [4], "activation": "tanh"}),
        Data("xor", split="full", scale=None),
        pretraining=None,
        training=Training("adam", 0.05, "constant", epochs=300, batch_size=4, keep_best=True),
    ),
    figure="training error",
    published=0.0,
    at_most=0.0,
    baseline="logistic regression",
)

SMALL = [CLOUDS, XOR]
