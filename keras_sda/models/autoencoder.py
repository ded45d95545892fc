"""The base class of the autoencoders: `fit(x)`, and its loss in the units of the papers."""

from typing import Any

import keras
import numpy as np

from keras_sda import backend, losses
from keras_sda._validation import check_rows, get_activation, lies_within_unit
from keras_sda.datasets.batches import is_dataset, peek
from keras_sda.exporting import export_model
from keras_sda.models.checked import CheckedModel

# Between which bounds an activation's values lie.
_REACH = {"sigmoid": (0, 1), "hard_sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1)}


class Autoencoder(CheckedModel):
    """A Keras model whose target is its own input.

    A subclass provides `preactivation(inputs, training)`, the reconstruction before its last
    activation, the Keras models `encoder` and `decoder`, and `input_dim`. `compile(optimizer)`
    without a loss then trains on the reconstruction loss; with one, that loss compares the
    reconstruction with the input, or with `y` if it is given.

    Args:
        reconstruction_loss: `"binary_crossentropy"` (data in [0, 1], sigmoid at the end),
            `"squared_error"` (any data, linear at the end), `losses.ColumnwiseLoss.fit(...)` for
            the columns of a table, or `"auto"`: the first if the data it is trained on lie in
            [0, 1], else the second.
        output_activation: What ends the decoder: `"auto"` as said above, or for squared error
            another one that reaches all of the data, such as `"sigmoid"` or `"tanh"`.
        seed: Makes the shuffling of `fit` repeatable.
        **kwargs: As for `keras.Model`.
    """

    def __init__(self, reconstruction_loss="auto", output_activation="auto", seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        owner = type(self).__name__
        losses.check_reconstruction_loss(reconstruction_loss, owner)
        if output_activation != "auto":
            function = get_activation("output_activation", output_activation, owner)
            output_activation = keras.activations.serialize(function)
            if reconstruction_loss == "auto":
                is_sigmoid = output_activation == "sigmoid"
                reconstruction_loss = "binary_crossentropy" if is_sigmoid else "squared_error"
            elif reconstruction_loss == "binary_crossentropy" and output_activation != "sigmoid":
                raise ValueError(
                    f"{owner} measures by cross-entropy, which needs a sigmoid at the end. "
                    f"Received: output_activation={output_activation!r}; use "
                    "reconstruction_loss='squared_error' with it."
                )
        self.given_output_activation = output_activation
        self._use_loss(reconstruction_loss)

    def settled_arguments(self):
        """Returns the reconstruction loss, which data may have settled."""
        return {"reconstruction_loss": self.reconstruction_loss}

    def _use_loss(self, name):
        """Takes the loss called `name` and, with it, the activation that ends the decoder."""
        self.reconstruction_loss = name
        self._rows_loss, activation = losses.on_preactivation(name, self.variable_dtype)
        if self.given_output_activation != "auto":
            activation = self.given_output_activation
        self.output_activation = keras.activations.get(activation)
        # What was traced with another activation is void.
        self.forget_functions()

    def preactivation(self, inputs, training=False):
        """Returns the reconstruction before its last activation; corrupts first in training."""
        raise NotImplementedError

    def call(self, inputs, training=False):
        preactivation = self.preactivation(inputs, training=training)
        self.keep_for_loss(preactivation=preactivation)
        return self.output_activation(preactivation)

    def target(self, x, y=None):
        """Returns what outputs are compared with: the input, unless another target is given."""
        return x if y is None else y

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if self.has_given_loss:
            return super().compute_loss(x, y, y_pred, sample_weight, training=training)
        return self.compute_reconstruction_loss(self.target(x, y), sample_weight)

    def compute_reconstruction_loss(self, target, sample_weight=None):
        """Returns the loss of the latest call against `target`, with the layers' own losses."""
        measured = self._measured(self.kept.preactivation)
        loss = self._rows_loss(target, measured, sample_weight=sample_weight)
        return loss + backend.scaled_for_replicas(sum(self.losses)) if self.losses else loss

    def _measured(self, preactivation):
        """Returns what the loss compares with the data: logits for cross-entropy."""
        if self.reconstruction_loss == "squared_error":
            return self.output_activation(preactivation)
        return preactivation

    @property
    def _reach(self):
        """The bounds of what the decoder can give, or `None`."""
        name = keras.activations.serialize(self.output_activation)
        return _REACH.get(name) if isinstance(name, str) else None

    @property
    def target_bounds(self):
        """Between which bounds targets must lie; those of the decoder under the own loss."""
        return super().target_bounds if self.has_given_loss else self._reach

    def check_data(self, x: Any, y: Any = None, owner: str = "") -> None:
        """Checks data before training on them, and settles `reconstruction_loss="auto"` by them."""
        super().check_data(x, y, owner)
        self.check_target(x, y, owner, uses_own_loss=not self.has_given_loss)

    def check_target(self, x: Any, y: Any, owner: str, uses_own_loss: bool) -> None:
        """Settles the loss by the target; raises a `ValueError` if it cannot measure it.

        Of a dataset the first batch is looked at.
        """
        if is_dataset(x):
            batch = peek(x)
            x, y = (*batch, None)[:2] if isinstance(batch, (tuple, list)) else (batch, None)
            x, y = (value if value is None else np.asarray(value) for value in (x, y))
        target = self.target(x, y)
        if not isinstance(target, np.ndarray):
            return
        self.settle_reconstruction_loss(target)
        if not uses_own_loss:
            return
        self.check_bounds(target, f"{type(self).__name__}.{owner}")

    def check_bounds(self, target: np.ndarray, owner: str) -> None:
        """Raises a `ValueError` if the decoder cannot give every value of `target`."""
        check_rows(target, owner, shape=self.row_shape, within=self._reach)

    def settle_reconstruction_loss(self, x: np.ndarray) -> None:
        """Replaces `reconstruction_loss="auto"` by what fits `x`."""
        if self.reconstruction_loss == "auto":
            self._use_loss("binary_crossentropy" if lies_within_unit(x) else "squared_error")

    def encode(self, x):
        """Returns the codes of `x` as a NumPy array, without noise."""
        return self.run(self.encoder, x, "encode()")

    def decode(self, codes):
        """Returns the reconstruction of `codes` as a NumPy array."""
        return self.run(self.decoder, codes, "decode()", shape=self.decoder.input_shape[1:])

    def reconstruct(self, x):
        """Returns `x` encoded and decoded again, as a NumPy array, without noise."""
        return self.run(self, x, "reconstruct()")

    def reconstruction_error(self, x):
        """Returns the reconstruction loss of each row, without noise: high means strange.

        Args:
            x: Array of shape `(rows, features)`.

        Returns:
            NumPy array of shape `(rows,)`, in nats for cross-entropy, in squared units otherwise.
        """
        return self.run(self.compute_reconstruction_error, x, "reconstruction_error()")

    def compute_reconstruction_error(self, rows):
        """Returns the reconstruction loss of each row of a batch as a tensor, without noise."""
        outputs = self._measured(self.preactivation(rows))
        outputs = keras.ops.cast(outputs, self._rows_loss.dtype)
        return self._rows_loss.call(keras.ops.cast(rows, outputs.dtype), outputs)

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Writes the model for another runtime, and checks there that it computes the same.

        The outputs are `serve`, `encode`, `reconstruct` and `score`, for any number of rows:
        `serve` is `predict`, the reconstruction, and `score` the `reconstruction_error` of each
        row. In a SavedModel they are endpoints; ONNX and LiteRT hold one graph with its input
        called `inputs` and its outputs by these names. With `columns` the inputs are `numbers` and
        `categories`.

        Args:
            filepath: Folder of a SavedModel, or a file that ends in `.onnx` or `.tflite`. An
                earlier export there is replaced once the new one is whole and checked.
            format: `"tf_saved_model"`, `"onnx"` (`pip install "keras-sda[onnx]"`), `"litert"`
                (`pip install "keras-sda[litert]"`), or another of Keras' formats, which gets
                `serve` alone and is not checked.
            **kwargs: All optional; others are as in `keras.Model.export`:

                - `scaling`: the `datasets.Scaling` of the training data, such as `data.scaling`.
                  The export then takes raw rows. `encode` and `reconstruct` are those of the scaled
                  row, and `score`, too, with what scaling has clipped, `Scaling.excess`, added. By
                  default it takes rows as the model does.
                - `columns`: the `datasets.Columns` of a table instead, such as `data.columns`. The
                  export then takes raw rows as the two arrays that `Columns.arrays` returns, of
                  which one is left out if the table has no such columns: `numbers`, NaN where
                  missing, and `categories`, text, empty where missing. What their columns are is
                  written with it, as `columns.json` in the folder of a SavedModel and in the zip
                  archive at the end of a `.tflite` file, and as the metadata `columns` of ONNX.
                - `threshold`: adds the output `anomaly`, true where `score` is above it.
                - `rows`: rows to compare on, as the export takes them, or a frame with `columns`;
                  the first 1,000 are used. By default 32 drawn uniformly, the same each time, in
                  [0, 1] as the model sees them, or within the range of the columns, with gaps: pass
                  real rows if yours lie elsewhere.
                - `tolerance`: largest difference allowed, 1e-5 by default, which float32 keeps to;
                  under mixed precision 0.016 for bfloat16 and 0.002 for float16.

        Returns:
            The largest difference of each output between the exported model, run by its own
            runtime, and this one: absolute; in a row with values beyond 1, such as most scores,
            relative to the largest of them. Of `anomaly` it is the share of rows judged otherwise,
            scores within `tolerance` of the threshold aside.

        Raises:
            ValueError: If the backend cannot write the format, an argument does not fit, something
                else stands at `filepath`, or the exported model differs by more than `tolerance`.
            ImportError: If a package is missing.

        Example:

        ```python
        data = ks.datasets.load("digits")
        threshold = np.quantile(model.reconstruction_error(data.train.x), 0.95)
        model.export("digits.onnx", format="onnx", scaling=data.scaling, threshold=threshold)
        ```

        A model of a table, called with its raw rows:

        ```python
        data = ks.datasets.load("people.csv", target="income")
        model.export("people.onnx", format="onnx", columns=data.columns)
        session = onnxruntime.InferenceSession("people.onnx")
        session.run(["serve"], data.columns.arrays(pd.read_csv("new.csv")))
        ```
        """
        return export_model(self, self.outputs_to_export(), filepath, format, **kwargs)

    def outputs_to_export(self):
        """Returns functions of rows that give the outputs of `export`, by name."""
        return {
            "serve": self,
            "encode": self.encoder,
            "reconstruct": self,
            "score": self.compute_reconstruction_error,
        }
