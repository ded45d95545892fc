"""What every model does around Keras' `fit`: checks the data first, seeds the shuffling."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_sda import backend, losses, presets
from keras_sda._validation import check_class_labels, check_rows, check_same_length
from keras_sda.datasets.batches import BATCH_SIZE, shuffles_itself
from keras_sda.datasets.outside_memory import RowBatches, is_outside_memory
from keras_sda.models.arguments import KeepsArguments
from keras_sda.training.fast_fit import FastFit
from keras_sda.training.plan import is_table, to_device


class CheckedModel(KeepsArguments, FastFit):
    """A Keras model that refuses unfit data in one sentence, and repeats itself with a seed.

    Arrays are checked; whatever else Keras takes is left to it. A subclass sets `input_dim`, or
    overrides `row_shape` if its rows are images, and `num_classes` if it classifies. One whose
    `fit` learns from unlabelled rows, too, of class number -1, sets `uses_unlabelled`: experiments
    then give it all training rows, and other classifiers those with a label.

    Args:
        seed: Makes the shuffling of `fit` repeatable; each further `fit` shuffles differently.
        **kwargs: As for `keras.Model`.
    """

    input_dim: Any = None
    num_classes: int | None = None
    uses_unlabelled = False

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self._fits = 0
        self._loss_takes_logits = False

    @property
    def row_shape(self):
        """The shape of one row of data: `(input_dim,)`, or that of an image."""
        return (self.input_dim,)

    @property
    def reconstructs(self) -> bool:
        """Whether the model has a reconstruction of its rows."""
        return hasattr(self, "reconstruct")

    @classmethod
    def from_preset(cls, name: str, sha256: str | None = None):
        """Returns a trained model by its name, its path or its URL.

        The model has no optimizer state and is not compiled.

        Args:
            name: One of `keras_sda.presets.names()`; a `.keras` file or a folder with a
                `model.keras`, such as a run folder; or the URL of a `.keras` file.
            sha256: What the file's SHA-256 must be; for a name it is known.

        Returns:
            The model, of this class.

        Raises:
            ValueError: If there is no such model, if its SHA-256 is another one, or if it is of
                another class.

        Example:

        >>> import keras_sda as ks
        >>> stack = ks.StackedDenoisingAutoencoder.from_preset("sda_digits")
        >>> stack.predict(ks.datasets.load("digits").test.x, verbose=0).shape
        (360, 10)
        """
        model = presets.load(name, sha256)
        if not isinstance(model, cls):
            found = type(model).__name__
            raise ValueError(
                f"{name!r} must be a {cls.__name__}. Received a {found}: load it by "
                f"{found}.from_preset({name!r})."
            )
        return model

    def compile(self, optimizer="rmsprop", loss=None, *args, **kwargs):
        """Sets optimizer, loss and metrics by Keras' own `compile`, whose arguments it takes."""
        # Without a loss Keras would keep the one of an earlier call.
        self._compile_loss = None
        self._given_jit_compile = kwargs.get("jit_compile", "auto")
        self._given_loss = loss
        of_logits = None
        if self.gives_logits:
            of_logits = losses.on_logits(loss)
        self._loss_takes_logits = of_logits is not None
        super().compile(optimizer, of_logits or loss, *args, **kwargs)

    @property
    def gives_logits(self) -> bool:
        """Whether `call` can keep the logits behind class probabilities for the loss.

        Not asked for where Keras finds them by itself.
        """
        return not backend.FINDS_LOGITS and _is_softmax(getattr(self, "head", None))

    def classify(self, codes):
        """Returns what the head gives for the outputs of the last hidden layer, as a tensor."""
        if self._loss_takes_logits:
            kernel, bias = self.head.kernel, self.head.bias
            logits = ops.matmul(ops.cast(codes, self.head.compute_dtype), kernel)
            self.keep_for_loss(logits=logits if bias is None else logits + bias)
        return self.head(codes)

    def target(self, x, y=None):
        """Returns what outputs are compared with in loss and metrics: `y`."""
        return y

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if self._loss_takes_logits:
            y_pred = self.kept.logits
        y = self.target(x, y)
        return super().compute_loss(x, y, y_pred, sample_weight, training=training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        y = self.target(x, y)
        return super().compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def get_compile_config(self):
        """Returns how the model was compiled, as every backend understands it."""
        config = super().get_compile_config()
        if config:
            # Keras writes what "auto" resolved to, which differs from backend to backend.
            config |= {"jit_compile": self._given_jit_compile}
            config |= {"optimizer": _without_backend(config["optimizer"])}
            if self._loss_takes_logits:
                config |= {"loss": keras.saving.serialize_keras_object(self._given_loss)}
        return config

    @property
    def has_given_loss(self) -> bool:
        """Whether the latest `compile` was given a loss."""
        return self._compile_loss is not None

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains by Keras' own `fit`, whose arguments it takes, once the data are checked.

        Args:
            x: Array of rows, of shape `(rows, features)` or images, or a dataset of batches.
            y: What outputs are compared with: for a head, such as class numbers; for an
                autoencoder, whose target is `x`, only another target, such as clean rows for `x`
                with noise of its own.
            *args: As in `keras.Model.fit`.
            **kwargs: As in `keras.Model.fit`; an autoencoder's `validation_data` may be an array of
                rows.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: Before training, if data or labels do not fit the model.
        """
        y = self._with_weights(x, y, kwargs)
        self.check_data(x, y, "fit()")
        held_out = kwargs.get("validation_data")
        if held_out is not None:
            rows, targets = (
                (*held_out, None)[:2] if isinstance(held_out, tuple) else (held_out, None)
            )
            self.check_data(rows, targets, "fit(validation_data)")
        self.before_training()
        seed = None if self.seed is None else self.seed + self._fits
        self._fits += 1
        if shuffles_itself(x):
            # Keras' own default would warn that it cannot shuffle a tf.data.Dataset.
            kwargs.setdefault("shuffle", False)
        with backend.shuffling_seed(seed):
            return super().fit(x, y, *args, **kwargs)

    def before_training(self) -> None:
        """Does what has to be done between the checks of `fit` and its first step: nothing."""

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Returns loss and metrics by Keras' own `evaluate`, once the data are checked.

        Args:
            x: Rows, as in `fit`.
            y: What outputs are compared with, as in `fit`.
            *args: As in `keras.Model.evaluate`.
            **kwargs: As in `keras.Model.evaluate`.
        """
        y = self._with_weights(x, y, kwargs)
        # Inside `fit`, which has checked them, Keras evaluates once per epoch.
        if not kwargs.get("_use_cached_eval_dataset"):
            self.check_data(x, y, "evaluate()")
        return super().evaluate(x, y, *args, **kwargs)

    def _with_weights(self, x, y, arguments):
        """Returns `y`, or the target where Keras would drop weights that come without a `y`."""
        has_weights = y is None and arguments.get("sample_weight") is not None
        return self.target(x) if has_weights else y

    def predict(self, x, batch_size=None, *args, **kwargs):
        """Returns the model's output by Keras' own `predict`, once the data are checked.

        An array that is one batch is computed in one call, in about 1 ms instead of some 50 under
        TensorFlow, and without a progress bar unless `verbose` asks for one.

        Args:
            x: Array of rows, or a dataset of batches.
            batch_size: Rows computed together; by default 1,024 unless they are images, where
                Keras takes 32.
            *args: As in `keras.Model.predict`.
            **kwargs: As in `keras.Model.predict`.
        """
        self.check_rows(x, "predict()")
        if batch_size is None and isinstance(x, np.ndarray) and len(self.row_shape) == 1:
            batch_size = BATCH_SIZE
        if isinstance(x, np.memmap):
            x, batch_size = RowBatches(x, batch_size=batch_size or 32), None
        elif not args and self._is_one_batch(x, batch_size or 32, **kwargs):
            return self._predict_at_once(x)
        return super().predict(x, batch_size, *args, **kwargs)

    def _is_one_batch(self, x, batch_size, verbose="auto", steps=None, callbacks=None):
        """Whether Keras' own `predict` would compute all rows together, and show it to nobody."""
        return (
            is_table(x)
            and not is_outside_memory(x)
            and len(x) <= batch_size
            and verbose in ("auto", 0)
            and steps is None
            and not callbacks
            and not (backend.is_distributed(self) or self.run_eagerly)
            and type(self).predict_step is FastFit.predict_step
        )

    def _predict_at_once(self, x):
        functions, key = self._work.functions, ("predict", x.shape[1:], x.dtype)
        if key not in functions:
            functions[key] = backend.make_prediction(self, x)
        with backend.without_gradients():
            outputs = functions[key](backend.shard_rows(to_device(x)))
            return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

    def check_rows(self, x: Any, owner: str, shape: tuple[int, ...] | None = None) -> None:
        """Raises a `ValueError` if `x` is empty, of another shape, or holds NaN or infinity."""
        if isinstance(x, np.ndarray):
            check_rows(x, f"{type(self).__name__}.{owner}", shape=shape or self.row_shape)

    def check_data(self, x: Any, y: Any = None, owner: str = "") -> None:
        """Raises a `ValueError` if the data do not fit the model; see `fit`."""
        self.check_rows(x, owner)
        if self.num_classes is not None and y is None and isinstance(x, np.ndarray):
            remedy = ": use pretrain(x) for rows without" if hasattr(self, "pretrain") else ""
            raise ValueError(
                f"{type(self).__name__}.{owner} needs the labels `y` of the rows. "
                f"Received none{remedy}."
            )
        if not isinstance(y, np.ndarray) or not isinstance(x, np.ndarray):
            return
        owner = f"{type(self).__name__}.{owner}"
        check_same_length(x, y, owner)
        loss = getattr(self, "loss", None)
        name = loss if isinstance(loss, str) else getattr(loss, "name", None)
        if self.num_classes is not None and name == "sparse_categorical_crossentropy":
            check_class_labels(y, self.num_classes, owner)


def _is_softmax(head):
    """Whether a layer gives class probabilities whose logits can be computed."""
    return type(head) is keras.layers.Dense and head.activation is keras.activations.softmax


def _without_backend(config):
    """Returns a serialized optimizer without PyTorch's own classes, which Keras names in files."""
    if not isinstance(config, dict):
        return config
    config = {name: _without_backend(value) for name, value in config.items()}
    if str(config.get("module")).startswith("keras.src.backend."):
        config |= {"module": "keras.optimizers", "registered_name": None}
    return config
