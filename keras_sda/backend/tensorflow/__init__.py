"""TensorFlow's answers to the interface of `keras_sda.backend`; all that imports TensorFlow."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_sda.backend import common, structure
from keras_sda.backend.common import (
    compute_in_float64,
    loss_dtype,
    set_shuffling_state,
    shard_rows,
    shuffling_generator,
    shuffling_seed,
    shuffling_state,
    usable_seed,
    without_gradients,
)
from keras_sda.backend.tensorflow.replicas import in_parallel, scaled_for_replicas
from keras_sda.backend.tensorflow.steps import (
    can_group_steps,
    endless_dataset,
    is_worth_compiling,
    make_evaluation,
    make_multi_epoch,
    make_multi_step,
    make_prediction,
    replaying,
)
from keras_sda.backend.tensorflow.strategies import (
    anonymous_variables,
    from_chief,
    in_own_scope,
    is_chief,
    is_distributed,
    num_replicas,
    strategy_scope,
    text_from_chief,
)
from keras_sda.backend.tensorflow.tensors import to_device
from keras_sda.backend.tensorflow.trainer import Trainer

EXPORT_FORMATS = ("tf_saved_model", "onnx", "litert")
EXPORTS_TEXT = True
FINDS_LOGITS = True
IS_DEFAULT = True
RESTORES_SHUFFLING = False  # TensorFlow's own generator cannot be asked


def seeded_generators(model: keras.Model, grouped: bool) -> contextlib.AbstractContextManager[None]:
    """Seeds the global generators inside the block, if Keras itself shuffles by them.

    Without a `shuffling_seed` nothing happens.

    Args:
        model: The model that is fitted.
        grouped: Whether many steps are taken per call, for which we draw the order ourselves.
    """
    # Seeding TensorFlow's generator clears a cache of graphs, each of which takes 0.3 s to prepare
    # again; but layers from elsewhere may draw from it.
    if grouped and structure.structure_of(model) is not None:
        return contextlib.nullcontext()
    return common.seed_generators(_global_seed)


@contextlib.contextmanager
def _global_seed(seed):
    # Its count of draws starts anew on leaving; TensorFlow tells only the seed.
    before, _ = tf.compat.v1.get_seed(None)
    tf.random.set_seed(seed)
    try:
        yield
    finally:
        tf.random.set_seed(before)


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Computes products of float32 in full inside the `with` block.

    On graphics processors TensorFlow and JAX round the factors to 10 bits (TF32) by default, which
    is far from what other runtimes compute.
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def read(variable: keras.Variable) -> Any:
    """Returns the value of a variable as a tensor, through which gradients reach it.

    Keras' own conversion leaves TensorFlow's variables as they are, which a function with a
    gradient of its own refuses outside of a graph.
    """
    return tf.convert_to_tensor(variable.value)


def batch_jacobian(function: Callable[[Any], Any], inputs: Any) -> Any:
    """Returns each row's derivatives of a function's outputs, by automatic differentiation.

    Works inside a training step, whose gradient then passes through the derivatives.

    Args:
        function: From a tensor of shape `(batch, inputs)` to one of `(batch, outputs)`, each row
            of which depends on its own row alone.
        inputs: Tensor of shape `(batch, inputs)`.

    Returns:
        Tensor of shape `(batch, outputs, inputs)`, which takes 4 bytes per entry in float32.
    """
    # Vectorised in a graph, output by output outside: there, vectorising would trace a new
    # graph at each call, and TensorFlow would warn of it. The loop asks for a persistent tape.
    is_graph = not tf.executing_eagerly()
    with tf.GradientTape(persistent=not is_graph, watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        outputs = function(inputs)
    return tape.batch_jacobian(outputs, inputs, experimental_use_pfor=is_graph)


__all__ = [
    "EXPORTS_TEXT",
    "EXPORT_FORMATS",
    "FINDS_LOGITS",
    "IS_DEFAULT",
    "RESTORES_SHUFFLING",
    "Trainer",
    "anonymous_variables",
    "batch_jacobian",
    "can_group_steps",
    "compute_in_float64",
    "endless_dataset",
    "exact_float32",
    "from_chief",
    "in_own_scope",
    "in_parallel",
    "is_chief",
    "is_distributed",
    "is_worth_compiling",
    "loss_dtype",
    "make_evaluation",
    "make_multi_epoch",
    "make_multi_step",
    "make_prediction",
    "num_replicas",
    "read",
    "replaying",
    "scaled_for_replicas",
    "seeded_generators",
    "set_shuffling_state",
    "shard_rows",
    "shuffling_generator",
    "shuffling_seed",
    "shuffling_state",
    "strategy_scope",
    "text_from_chief",
    "to_device",
    "usable_seed",
    "without_gradients",
]
