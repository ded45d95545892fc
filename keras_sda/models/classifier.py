"""What classifiers share: hidden layers, export, and a start from given values."""

import keras
import numpy as np

from keras_sda._validation import check_positive_int
from keras_sda.exporting import export_model
from keras_sda.models.checked import CheckedModel


class Classifier(CheckedModel):
    """A network of hidden layers and a head; a subclass sets `levels`, `head` and `call`."""

    def encode(self, x, level=-1):
        """Returns what a hidden layer gives, the last one by default, as a NumPy array."""
        count = len(self.levels)
        if not isinstance(level, int) or not -count <= level < count:
            raise ValueError(
                f"Argument `level` of {type(self).__name__} must name one of {count} hidden "
                f"layers. Received: level={level!r}"
            )
        return self.run(lambda rows: self.hidden(rows, level % count), x, "encode()")

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Writes the model for another runtime, and checks there that it computes the same.

        As `Autoencoder.export`, but the outputs are `serve`, which is `predict`, and `encode`, the
        last hidden layer. Only a `LadderNetwork` has a reconstruction that can be scored.

        Args:
            filepath: Folder of a SavedModel, or a file that ends in `.onnx` or `.tflite`.
            format: `"tf_saved_model"`, `"onnx"`, `"litert"`, or another of Keras' formats.
            **kwargs: `scaling`, `columns`, `rows` and `tolerance`, as in `Autoencoder.export`;
                others are as in `keras.Model.export`.

        Returns:
            The largest difference of each output between the exported model and this one.

        Raises:
            ValueError: As in `Autoencoder.export`, or if a `threshold` is given.
            ImportError: If a package is missing.
        """
        return export_model(self, self.outputs_to_export(), filepath, format, **kwargs)

    def outputs_to_export(self):
        """Returns functions of rows that give the outputs of `export`, by name."""
        return {"serve": self, "encode": self.hidden}


class PlainClassifier(Classifier):
    """A classifier whose layers all have a kernel and a bias, and can start from given values."""

    def start_from(self, source):
        """Copies kernels and biases into the first layers; the others keep their initial values.

        Args:
            source: Arrays in the order kernel, bias, kernel, bias, ..., the first layer first; or a
                Keras model whose layers have kernels and biases, such as another of these models,
                a pretrained `StackedDenoisingAutoencoder`, or a `keras.Sequential`. Of a stack the
                head is taken too if it fits, and batch normalisation is folded into the values, so
                that the network predicts as the stack does.

        Raises:
            ValueError: If a shape does not fit; nothing is copied then.

        Example:

        ```python
        mlp = MLP(784, [1000, 1000, 1000], num_classes=10, activation="sigmoid")
        mlp.start_from(sda)
        ```
        """
        owner = f"{type(self).__name__}.start_from()"
        given = _arrays(source, owner)
        own = _pairs((*self.levels, self.head))
        if isinstance(source, keras.Model) and _head_of(source) is not None:
            # A stack's head goes onto the head, never into a hidden layer that happens to fit.
            levels = len(_pairs(source.levels))
            shapes = [tuple(variable.shape) for variable in own[levels:]]
            if shapes != [array.shape for array in given[levels:]]:
                given = given[:levels]
        if len(given) > len(own):
            raise ValueError(
                f"{owner} expects at most {len(own)} arrays, a kernel and a bias for each of "
                f"{len(own) // 2} layers. Received {len(given)}."
            )
        for index, (variable, array) in enumerate(zip(own, given, strict=False)):
            if array.shape != tuple(variable.shape):
                raise ValueError(
                    f"{owner} expects a {('kernel', 'bias')[index % 2]} of shape "
                    f"{tuple(variable.shape)} for layer {index // 2 + 1}. "
                    f"Received shape {array.shape}."
                )
        for variable, array in zip(own, given, strict=False):
            variable.assign(array)


def make_head(num_classes, head, owner, dtype, **options):
    """Returns the given layer, or a softmax layer for so many classes."""
    if (num_classes is None) == (head is None):
        raise ValueError(
            f"{owner} takes either `num_classes` or `head`. "
            f"Received: num_classes={num_classes!r}, head={head!r}"
        )
    if head is not None:
        if not isinstance(head, keras.layers.Layer):
            raise ValueError(
                f"Argument `head` of {owner} must be a Keras layer. Received: head={head!r}"
            )
        return head
    num_classes = check_positive_int("num_classes", num_classes, owner)
    if num_classes < 2:
        raise ValueError(
            f"Argument `num_classes` of {owner} must be at least 2. Received: num_classes=1; for "
            "one output use head=keras.layers.Dense(1, activation='sigmoid')."
        )
    return keras.layers.Dense(
        num_classes, activation="softmax", dtype=dtype, name="head", **options
    )


def _arrays(source, owner):
    """Returns kernels and biases in the order of the layers."""
    if not isinstance(source, keras.Model):
        try:
            arrays = [np.asarray(array) for array in source]
        except (TypeError, ValueError):  # no list at all, or a ragged one
            arrays = []
        if not arrays or not all(array.dtype.kind in "iuf" for array in arrays):
            raise ValueError(
                f"{owner} expects a list of arrays of numbers or a Keras model. "
                f"Received: {type(source).__name__}"
            )
        return arrays
    if hasattr(source, "levels"):
        head = _head_of(source)
        layers = [*source.levels, *([] if head is None else [head])]
    else:
        layers = source.layers
    layers = [layer for layer in layers if hasattr(layer, "kernel")]
    if not layers or any(layer.bias is None for layer in layers):
        raise ValueError(
            f"{owner} expects a model whose layers have kernels and biases. "
            f"Received: {source.name} ({type(source).__name__})"
        )
    arrays = [np.asarray(value) for value in _pairs(layers)]
    for level, normalization in enumerate(getattr(source, "normalization_layers", ())):
        _fold(normalization, arrays, 2 * level)
    return arrays


def _fold(normalization, arrays, index):
    """Folds batch normalisation into the kernel at `index` and the bias behind it."""
    gamma, beta, mean, variance = normalization.get_weights()
    scale = gamma / np.sqrt(variance + normalization.epsilon)
    arrays[index] = arrays[index] * scale
    arrays[index + 1] = (arrays[index + 1] - mean) * scale + beta


def _head_of(model):
    """Returns the head of a stack if values can be taken from it, otherwise `None`."""
    head = getattr(model, "head", None) if hasattr(model, "levels") else None
    return head if getattr(head, "bias", None) is not None and hasattr(head, "kernel") else None


def _pairs(layers):
    """Returns kernel, bias, kernel, bias, ... of the layers that have both."""
    return [
        variable
        for layer in layers
        if hasattr(layer, "kernel") and layer.bias is not None
        for variable in (layer.kernel, layer.bias)
    ]
