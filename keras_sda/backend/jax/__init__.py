"""JAX's answers to the interface of `keras_sda.backend`."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import keras

from keras_sda.backend import common
from keras_sda.backend.common import (
    loss_dtype,
    read,
    set_shuffling_state,
    shuffling_generator,
    shuffling_seed,
    shuffling_state,
    usable_seed,
    without_gradients,
)
from keras_sda.backend.jax.data_parallel import from_chief, in_own_scope, is_chief, shard_rows
from keras_sda.backend.jax.steps import (
    can_group_steps,
    endless_dataset,
    is_worth_compiling,
    make_evaluation,
    make_multi_epoch,
    make_multi_step,
    make_prediction,
    replaying,
    to_device,
)
from keras_sda.backend.jax.trainer import Trainer
from keras_sda.backend.one_device import (
    anonymous_variables,
    in_parallel,
    is_distributed,
    num_replicas,
    scaled_for_replicas,
    strategy_scope,
    text_from_chief,
)

EXPORT_FORMATS = ("tf_saved_model",)
EXPORTS_TEXT = False
FINDS_LOGITS = False
IS_DEFAULT = False
RESTORES_SHUFFLING = True


def compute_in_float64() -> None:
    """Makes Keras keep data in float64, which it would cast to float32, and JAX allow it."""
    common.compute_in_float64()
    jax.config.update("jax_enable_x64", True)


def seeded_generators(model: keras.Model, grouped: bool) -> contextlib.AbstractContextManager[None]:
    """Seeds the global generators inside the block, if Keras itself shuffles by them."""
    if grouped:
        return contextlib.nullcontext()
    return common.seed_generators(contextlib.nullcontext)  # JAX has no global generator.


def exact_float32() -> contextlib.AbstractContextManager[None]:
    """Computes products of float32 in full inside the `with` block."""
    return jax.default_matmul_precision("float32")


def batch_jacobian(function: Callable[[Any], Any], inputs: Any) -> Any:
    """Returns each row's derivatives of a function's outputs, by automatic differentiation."""
    return jax.vmap(jax.jacrev(lambda row: function(row[None])[0]))(inputs)


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
