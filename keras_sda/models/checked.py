"""What every model does around Keras' `fit`: checks the data first, seeds the shuffling."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_sda import backend, losses, presets
from keras_sda._validation import check_seed
from keras_sda.datasets.batches import (
    BATCH_SIZE,
    RowBatches,
    is_dataset,
    row_batches,
    shuffles_itself,
    to_numpy,
)
from keras_sda.datasets.given import as_table, is_streamed
from keras_sda.datasets.outside_memory import is_outside_memory
from keras_sda.models.arguments import KeepsArguments
from keras_sda.models.data import TakesData, tables_of
from keras_sda.training.fast_fit import FastFit
from keras_sda.training.fit_checks import bound_arguments, check_ends, check_optimizer, check_split
from keras_sda.training.plan import TABLES, is_table, to_device


class CheckedModel(KeepsArguments, TakesData):
    """A Keras model that refuses unfit data in one sentence, and repeats itself with a seed.

    Arrays, tables and tensors are checked, of datasets the first batch and every loss. A subclass
    sets `input_dim`, or
    overrides `row_shape` if its rows are images, and `num_classes` if it classifies. One whose
    `fit` learns from unlabelled rows, too, of class number -1, sets `uses_unlabelled`: experiments
    then give it all training rows, and other classifiers those with a label.

    Args:
        seed: Makes the shuffling of `fit` repeatable; each further `fit` shuffles differently.
        **kwargs: As for `keras.Model`.
    """

    uses_unlabelled = False

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = check_seed("seed", seed, type(self).__name__)
        self._fits = 0
        self._loss_takes_logits = False

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
        check_optimizer(optimizer, f"{type(self).__name__}.compile()")
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
        """Trains by Keras' own `fit`, whose arguments it takes, once they and the data are checked.

        Args:
            x: Rows, of shape `(rows, features)` or images, as an array, a table, a tensor or a
                dataset of batches; see `keras_sda.datasets.given`.
            y: What outputs are compared with: for a head, such as class numbers; for an
                autoencoder, whose target is `x`, only another target, such as clean rows for `x`
                with noise of its own.
            *args: As in `keras.Model.fit`.
            **kwargs: As in `keras.Model.fit`; an autoencoder's `validation_data` may be an array of
                rows.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: Before training, if an argument, data or labels do not fit the model.
            FloatingPointError: If the loss becomes NaN or infinite, as of a dataset that holds such
                values in a later batch. Weights and optimizer are then what they were before.
        """
        arguments = bound_arguments("fit", self, x, y, *args, **kwargs)
        self.prepare_fit(arguments)
        self.before_training()
        seed = None if self.seed is None else self.seed + self._fits
        self._fits += 1
        if shuffles_itself(arguments["x"]):
            # Keras' own default would warn that it cannot shuffle a tf.data.Dataset.
            arguments.setdefault("shuffle", False)
        try:
            with backend.shuffling_seed(seed):
                history = super().fit(**arguments)
            self.after_training(arguments["x"])
            return history
        except FloatingPointError as error:
            self._fits -= 1
            self.after_failed_training()
            self.find_bad_batch(arguments["x"], "fit()", error)
            raise

    def prepare_fit(self, arguments: dict[str, Any]) -> None:
        """Checks the data among the arguments of `fit`, and makes arrays of them.

        Args:
            arguments: Those of `fit`, by name, which are changed.
        """
        if self.optimizer is not None:
            check_optimizer(self.optimizer, f"{type(self).__name__}.fit()")
        self.take_data(arguments, "fit()")
        x, share = arguments["x"], arguments.get("validation_split")
        owner = f"{type(self).__name__}.fit()"
        check_ends(x, arguments.get("steps_per_epoch"), owner, by="steps_per_epoch")
        if share and arguments.get("validation_data") is None:
            check_split(x, share, owner)
        held_out = arguments.get("validation_data")
        if held_out is None:
            return
        owner = "fit(validation_data)"
        tables = tables_of(held_out)
        self.take_data(tables, owner)
        steps = arguments.get("validation_steps")
        check_ends(tables["x"], steps, f"{type(self).__name__}.{owner}", by="validation_steps")
        given = [tables.get(name) for name in TABLES if tables.get(name) is not None]
        arguments["validation_data"] = given[0] if len(given) == 1 else tuple(given)

    def before_training(self) -> None:
        """Does what has to be done between the checks of `fit` and its first step: nothing."""

    def after_training(self, x: Any) -> None:
        """Does what has to be done after the last step of `fit`: nothing.

        Args:
            x: The rows that were trained on.
        """

    def after_failed_training(self) -> None:
        """Takes back what `before_training` has done: nothing."""

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Returns loss and metrics by Keras' own `evaluate`, once the data are checked.

        Args:
            x: Rows, as in `fit`.
            y: What outputs are compared with, as in `fit`.
            *args: As in `keras.Model.evaluate`.
            **kwargs: As in `keras.Model.evaluate`.

        Raises:
            ValueError: If an argument, data or labels do not fit the model.
            FloatingPointError: If a batch of a dataset holds NaN, infinity, or targets that the
                loss cannot measure.
        """
        arguments = bound_arguments("evaluate", self, x, y, *args, **kwargs)
        # Inside `fit`, which has checked them, Keras evaluates once per epoch.
        if not arguments.get("_use_cached_eval_dataset"):
            self.prepare_evaluate(arguments)
        results = super().evaluate(**arguments)
        self._check_measured(arguments["x"], results)
        return results

    def prepare_evaluate(self, arguments: dict[str, Any]) -> None:
        """Checks the data among the arguments of `evaluate`, and makes arrays of them."""
        self.take_data(arguments, "evaluate()")
        owner = f"{type(self).__name__}.evaluate()"
        check_ends(arguments["x"], arguments.get("steps"), owner, by="steps")

    def _check_measured(self, x, results):
        """Raises a `FloatingPointError` if a dataset has made the loss NaN."""
        if not is_streamed(x):
            return
        values = list(results.values()) if isinstance(results, dict) else results
        if math.isnan(values[0] if isinstance(values, (list, tuple)) else values):
            error = FloatingPointError(
                f"{type(self).__name__}.evaluate() measured a loss of nan: a batch of the dataset "
                "holds NaN, infinity, or targets outside of what the loss measures; remove them."
            )
            self.find_bad_batch(x, "evaluate()", error)
            raise error

    def predict(self, x, batch_size=None, *args, **kwargs):
        """Returns the model's output by Keras' own `predict`, once the data are checked.

        An array that is one batch is computed in one call, in about 1 ms instead of some 50 under
        TensorFlow, and without a progress bar unless `verbose` asks for one. So is each batch of a
        dataset.

        Args:
            x: Array of rows, or a dataset of batches.
            batch_size: Rows computed together; by default 1,024 unless they are images, where
                Keras takes 32.
            *args: As in `keras.Model.predict`.
            **kwargs: As in `keras.Model.predict`.
        """
        arguments = bound_arguments("predict", self, x, batch_size, *args, **kwargs)
        owner = f"{type(self).__name__}.predict()"
        check_ends(x, arguments.get("steps"), owner, by="steps")
        x = arguments["x"] = as_table(x, owner)
        self.check_rows(x, "predict()")
        if batch_size is None and not is_streamed(x) and len(self.row_shape) == 1:
            batch_size = arguments["batch_size"] = BATCH_SIZE
        if is_outside_memory(x):
            arguments |= {"x": RowBatches(x, batch_size=batch_size or 32), "batch_size": None}
        elif self._computes_at_once(arguments):
            if is_dataset(x):
                return self._predict_by_batches(x)
            if len(x) <= (batch_size or 32):
                return self._predict_at_once(x)
        return super().predict(**arguments)

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Trains on one batch by Keras' own `train_on_batch`, once it is checked as in `fit`."""
        batch = self._take_batch("train_on_batch()", x, y, sample_weight)
        return super().train_on_batch(**batch, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Returns the loss and metrics of one batch by Keras' own `test_on_batch`, once checked."""
        batch = self._take_batch("test_on_batch()", x, y, sample_weight)
        return super().test_on_batch(**batch, **kwargs)

    def predict_on_batch(self, x):
        """Returns the output for one batch by Keras' own `predict_on_batch`, once it is checked."""
        x = self._arrays_of_batch("predict_on_batch()", x)
        self.check_rows(x, "predict_on_batch()")
        return super().predict_on_batch(x)

    def _take_batch(self, owner, x, y, sample_weight):
        """Returns the arguments of a method that takes one batch, as arrays that are checked."""
        x = self._arrays_of_batch(owner, x)
        arguments = {"x": x, "y": y, "sample_weight": sample_weight}
        self.take_data(arguments, owner)
        return arguments

    def _arrays_of_batch(self, owner, x):
        name = f"{type(self).__name__}.{owner}"
        x = as_table(x, name)
        if is_streamed(x):
            raise ValueError(
                f"{name} needs the rows of one batch as an array, a table or a tensor. Received a "
                f"{type(x).__name__}."
            )
        return x

    def _predict_by_batches(self, x):
        outputs = []
        for rows in row_batches(x, BATCH_SIZE):
            rows = to_numpy(rows)
            self.check_rows(rows, "predict()")
            outputs.append(self._predict_at_once(rows))
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *outputs)

    def _computes_at_once(self, arguments):
        """Whether nobody looks on while Keras' own `predict` would compute batches."""
        return (
            (is_table(arguments["x"]) or is_dataset(arguments["x"]))
            and arguments.get("verbose", "auto") in ("auto", 0)
            and arguments.get("steps") is None
            and not arguments.get("callbacks")
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
