"""PyTorch's answers to the interface of `keras_sda.backend`."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import torch

from keras_sda.backend import common
from keras_sda.backend.common import (
    compute_in_float64,
    loss_dtype,
    read,
    shard_rows,
    shuffling_generator,
    shuffling_seed,
)
from keras_sda.backend.one_device import (
    anonymous_variables,
    from_chief,
    in_own_scope,
    in_parallel,
    is_chief,
    is_distributed,
    num_replicas,
    scaled_for_replicas,
    strategy_scope,
    text_from_chief,
)
from keras_sda.backend.torch.steps import (
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

EXPORT_FORMATS = ()
EXPORTS_TEXT = False
FINDS_LOGITS = False
IS_DEFAULT = False
RESTORES_SHUFFLING = True


class Trainer(keras.Model):
    """Keras' own model, which lacks nothing on one device."""


def usable_seed(seed: int | None) -> int | None:
    """Returns a seed that the backend's generators can hold: 31 bits of it.

    Keras keeps the state of a `SeedGenerator` in int32, and fails from 2,147,483,648 on.
    """
    return None if seed is None else seed % 2**31


def seeded_generators(model: keras.Model, grouped: bool) -> contextlib.AbstractContextManager[None]:
    """Seeds the global generators inside the block, if Keras itself shuffles by them: always."""
    return common.seed_generators(_global_seed)


@contextlib.contextmanager
def _global_seed(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def shuffling_state() -> dict[str, Any]:
    """Returns the state of the generators that `fit` shuffles by, PyTorch's among them."""
    return {**common.shuffling_state(), "torch": torch.get_rng_state().numpy().copy()}


def set_shuffling_state(state: dict[str, Any]) -> None:
    """Puts back what `shuffling_state` has returned."""
    common.set_shuffling_state(state)
    torch.set_rng_state(torch.from_numpy(state["torch"]))


def exact_float32() -> contextlib.AbstractContextManager[None]:
    """Computes products of float32 in full, as PyTorch does by default."""
    return contextlib.nullcontext()


@contextlib.contextmanager
def without_gradients() -> Iterator[None]:
    """Keeps PyTorch from recording, inside the `with` block, what a gradient would need."""
    with torch.no_grad():
        yield


def batch_jacobian(function: Callable[[Any], Any], inputs: Any) -> Any:
    """Returns each row's derivatives of a function's outputs, by automatic differentiation."""
    return torch.func.vmap(torch.func.jacrev(lambda row: function(row[None])[0]))(inputs)


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
