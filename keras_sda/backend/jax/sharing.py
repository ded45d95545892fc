"""Compiled functions that models of the same structure share.

Under JAX a function takes a model's state and returns the new one, so that what was compiled for
one model serves another of the same structure as it is. What is kept is the compiled program: the
function, and with it the model, is not needed any more.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import keras

from keras_sda.backend.common import LatestUsed
from keras_sda.backend.structure import structure_of

latest = LatestUsed()
# What a program depends on besides its model and its arguments.
_SETTINGS = ("jax_default_matmul_precision", "jax_enable_x64", "jax_default_device")


def compiled_for(
    model: keras.Model, kind: Any, function: Callable[..., Any], **options: Any
) -> Callable[..., Any]:
    """Returns a function of a model compiled, once for all models of the same structure.

    A model of unknown structure gets programs of its own; see `structure.structure_of`.

    Args:
        model: A compiled model.
        kind: What the function depends on besides the structure of its model and its arguments.
        function: The function, whose first argument is the model's state.
        **options: As in `jax.jit`.
    """
    own = jax.jit(function, **options)

    @functools.cache
    def structure():  # when it is first called: the model is then as it is trained
        return structure_of(model)

    def call(*arguments):
        # In both, JAX has ways of its own to run a function.
        is_debugged = jax.config.jax_disable_jit or jax.config.jax_debug_nans
        if is_debugged or structure() is None:
            return own(*arguments)
        leaves, tree = jax.tree.flatten(arguments)
        settings = [getattr(jax.config, name) for name in _SETTINGS]
        key = (structure().digest, kind, tree, *map(jax.typeof, leaves), *settings)
        program = latest.get(key, lambda: _program(own, arguments))
        return (program or own)(*arguments)

    return call


def _program(function, arguments):
    """Returns the compiled program, or `None` if it holds arrays that are not arguments."""
    traced = function.trace(*arguments)
    if any(isinstance(constant, jax.Array) for constant in traced.jaxpr.consts):
        return None
    return traced.lower().compile()
