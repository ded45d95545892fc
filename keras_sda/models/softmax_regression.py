"""Softmax regression: the classifier without hidden layers."""

import keras

from keras_sda.models.mlp import MLP


@keras.saving.register_keras_serializable(package="keras_sda")
class SoftmaxRegression(MLP):
    """Multinomial logistic regression, trained by gradient descent.

    The first model of the tutorials, and the baseline that every other has to beat.

    Args:
        input_dim: Number of features of a row.
        num_classes: Number of classes, at least 2.
        l1: Weight of the sum of the kernel's absolute values in the loss.
        l2: Weight of the sum of the kernel's squares, without a factor 1/2.
        kernel_initializer: Initial kernel: zeros, as in the tutorials, since the loss is convex.
        seed: Makes the initial kernel, if drawn, and shuffling repeatable.
        **kwargs: `name` and `dtype`, as for every Keras model.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:

    >>> import numpy as np
    >>> model = SoftmaxRegression(input_dim=4, num_classes=3)
    >>> model.predict(np.ones((1, 4)), verbose=0).round(3).tolist()
    [[0.3330000042915344, 0.3330000042915344, 0.3330000042915344]]

    Reference:
        Deep Learning Tutorials, "Classifying MNIST digits using logistic regression".
    """

    def __init__(
        self,
        input_dim,
        num_classes,
        l1=0.0,
        l2=0.0,
        kernel_initializer="zeros",
        seed=None,
        dtype=None,
        **kwargs,
    ):
        super().__init__(
            input_dim,
            [],
            num_classes,
            l1=l1,
            l2=l2,
            head_initializer=kernel_initializer,
            seed=seed,
            dtype=dtype,
            **kwargs,
        )
        self.keep_arguments(
            input_dim=input_dim,
            num_classes=num_classes,
            l1=l1,
            l2=l2,
            kernel_initializer=kernel_initializer,
            seed=seed,
        )

    @staticmethod
    def _check_hidden_units(hidden_units, owner):
        return []

    def hidden(self, inputs, level=-1, training=False):
        """Returns the inputs, as there is no hidden layer."""
        return inputs
