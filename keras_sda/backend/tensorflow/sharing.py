"""Graphs that models of the same structure share, so that each is traced and compiled once.

Tracing takes longer than training where data are small. A graph that refers to a model's variables
by itself serves this one model. Here they are arguments of the graph: while it is traced, each
Keras variable stands for an argument, and afterwards the variables of any model of the same
structure are handed over. The graph is the same for all, and so is what it computes, to the bit.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_sda.backend.common import LatestUsed
from keras_sda.backend.structure import Structure, structure_of
from keras_sda.backend.tensorflow.patches import standing_for

latest = LatestUsed()


def graph_for(
    model: keras.Model, kind: Any, function: Callable[..., Any], signature: Any, **options: Any
) -> Callable[..., Any]:
    """Returns a function of a model as a graph, shared by all models of the same structure.

    A model of unknown structure gets a graph of its own; see `structure.structure_of`.

    Args:
        model: A model that is built; compiled, if the function trains or tests.
        kind: What the function depends on besides the structure of its model and the signature.
        function: The function, which makes no variables and has no effect but on those of the
            model, its optimizer, metrics and generators.
        signature: A `tf.TensorSpec`, or a nest of them, for each of its arguments.
        **options: As in `tf.function`.
    """
    found = None

    def call(*arguments):
        nonlocal found
        if found is None:  # Traced when it is called, as not all that is made is needed.
            found = _shared(model, kind, function, signature, options)
            found = found or own_graph(function, signature, **options)
        return found(*arguments)

    return call


def _shared(model, kind, function, signature, options):
    """Returns a function of the arguments that runs the shared graph; `None` if there is none."""
    structure = None if tf.config.functions_run_eagerly() else structure_of(model)
    if structure is None:
        return None
    devices = [device.name for device in tf.config.list_logical_devices()]
    key = (structure.digest, kind, repr(signature), *options.items(), *devices)
    graph = latest.get(key, lambda: _traced(function, structure, signature, options))
    if graph is None:
        return None
    values = [variable.value for variable in structure.variables]
    return lambda *arguments: graph(values, *map(_tensors, arguments))


def _tensors(argument):
    return tf.nest.map_structure(tf.convert_to_tensor, argument)


def own_graph(function: Callable[..., Any], signature: Any, **options: Any) -> Callable[..., Any]:
    """Returns a function as a graph that is not shared; arguments as in `graph_for`."""
    own = tf.function(function, input_signature=signature, **options)
    # Each model traces it once; TensorFlow counts by the line of code, over all models, and would
    # warn of one function that is traced again and again.
    own._omit_frequent_tracing_warning = True
    return own


def _traced(function, structure: Structure, signature, options):
    """Returns the graph of a function whose first argument is a list of variables.

    Returns `None` if the graph refers to anything else outside of it.
    """

    def of_variables(values, *arguments):
        with standing_for(structure.variables, values):
            return function(*arguments)

    values = [variable.value for variable in structure.variables]
    graph = tf.function(of_variables, **options).get_concrete_function(values, *signature)
    return None if graph.captured_inputs else graph
