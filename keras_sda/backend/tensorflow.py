"""The only file that imports TensorFlow."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf


@contextlib.contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Sets TensorFlow's global seed; puts it back on leaving, its count of draws started anew."""
    before, _ = tf.compat.v1.get_seed(None)
    tf.random.set_seed(seed)
    try:
        yield
    finally:
        tf.random.set_seed(before)


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Computes products of float32 in full; see `keras_sda.backend`."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def saved_model_runner(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Returns a function that runs rows through all endpoints of a SavedModel, by name."""
    loaded = tf.saved_model.load(str(path))
    names = [name for name in loaded.signatures if name != "serving_default"]

    def run(rows):
        inputs = tf.constant(rows)
        return {name: getattr(loaded, name)(inputs).numpy() for name in names}

    return run


def batch_jacobian(function: Callable[[Any], Any], inputs: Any) -> Any:
    """Returns each row's derivatives of a function's outputs; see `keras_sda.backend`."""
    # Vectorised in a graph, output by output outside: there, vectorising would trace a new
    # graph at each call, and TensorFlow would warn of it. The loop asks for a persistent tape.
    is_graph = not tf.executing_eagerly()
    with tf.GradientTape(persistent=not is_graph, watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        outputs = function(inputs)
    return tape.batch_jacobian(outputs, inputs, experimental_use_pfor=is_graph)


def read(variable: keras.Variable) -> tf.Tensor:
    """Returns the value of a variable; see `keras_sda.backend`."""
    return tf.convert_to_tensor(variable.value)


def runs_on_one_device(model: keras.Model) -> bool:
    """Whether a model trains without a strategy for several devices."""
    return model.distribute_strategy.num_replicas_in_sync == 1


def to_device(array: np.ndarray) -> tf.Tensor:
    """Returns an array as a tensor, real numbers in Keras' float type, as `fit` gives them."""
    return tf.convert_to_tensor(array, dtype=_dtype_on_device(array))


def _dtype_on_device(array):
    dtype = tf.as_dtype(array.dtype)
    return tf.as_dtype(keras.config.floatx()) if dtype.is_floating else dtype


def endless_dataset() -> tf.data.Dataset:
    """Returns what `fit` may iterate over where the batches come from elsewhere."""
    return tf.data.Dataset.from_tensors(0).repeat()


def many_steps(model: keras.Model, data: Any) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Returns a function that trains on many batches per call, one `train_step` for each.

    Keras' own function waits, between any two steps, for the batch that another thread has put
    together. Here the data lie in tensors, from which a batch is taken by the numbers of its rows,
    so that a step can begin while the one before is still ending.

    Args:
        model: A compiled model.
        data: `x`, `(x, y)` or `(x, y, sample_weight)`, arrays or tensors like those to come; their
            number of rows may change.

    Returns:
        A function of such data as tensors, of the numbers of all rows of the batches to train on,
        one batch after the other, and of the number of rows in a batch. It returns the logs of the
        last step, and after how many steps the loss was still finite.
    """

    def one_step(data):
        with fused_updates(model.optimizer):
            return model.train_step(data)

    def train(data, rows, batch_size):
        def step(index):
            batch = rows[index * batch_size : (index + 1) * batch_size]
            logs = one_step(tf.nest.map_structure(lambda values: tf.gather(values, batch), data))
            return logs, tf.cast(tf.math.is_finite(logs.get("loss", 0.0)), tf.int32)

        logs, finite = step(0)
        for index in tf.range(1, -(-tf.size(rows) // batch_size)):
            logs, still_finite = step(index)
            finite += still_finite
        return logs, finite

    if model.run_eagerly:
        return train
    one_step = tf.function(one_step, reduce_retracing=True, jit_compile=model.jit_compile)
    # Any number of rows from the start: otherwise the last, smaller group is traced once more.
    signature = (
        tf.nest.map_structure(
            lambda table: tf.TensorSpec((None, *table.shape[1:]), _dtype_on_device(table)), data
        ),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((), tf.int32),
    )
    function = tf.function(train, input_signature=signature)
    # Each model traces it once; TensorFlow counts by the line of code, over all models, and would
    # warn of one function that is traced again and again.
    function._omit_frequent_tracing_warning = True
    return function


@contextlib.contextmanager
def fused_updates(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Lets SGD and Adam update each variable in one pass over it, to the same numbers.

    Keras writes an update as several operations, each of which reads and writes arrays as large as
    the variable: for small batches they cost as much as the matrix products. TensorFlow has them
    in one. Other optimizers, and gradients that are not plain tensors, stay as they are. Numbers
    are the same but for rounding, mostly that of `1 - beta_2` to float32, by which the size of a
    step differs by 2e-5 of itself.
    """
    fused = _FUSED.get(type(optimizer))
    if fused is None or getattr(optimizer, "amsgrad", False):
        yield
        return
    usual = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        if not isinstance(gradient, tf.Tensor) or gradient.dtype != variable.dtype:
            return usual(gradient, variable, learning_rate)
        return fused(optimizer, gradient, variable, tf.cast(learning_rate, variable.dtype))

    optimizer.update_step = update_step
    try:
        yield
    finally:
        del optimizer.update_step


def _fused_sgd(optimizer, gradient, variable, learning_rate):
    if optimizer.momentum == 0:
        return tf.raw_ops.ResourceApplyGradientDescent(
            var=variable.handle, alpha=learning_rate, delta=gradient
        )
    momentums = optimizer.momentums[optimizer._get_variable_index(variable)]
    return tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable.handle,
        accum=momentums.value.handle,
        lr=learning_rate,
        grad=gradient,
        momentum=optimizer.momentum,
        use_nesterov=optimizer.nesterov,
    )


def _fused_adam(optimizer, gradient, variable, learning_rate):
    index = optimizer._get_variable_index(variable)
    step = tf.cast(optimizer.iterations.value + 1, variable.dtype)
    beta_1 = tf.constant(optimizer.beta_1, variable.dtype)
    beta_2 = tf.constant(optimizer.beta_2, variable.dtype)
    return tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=tf.pow(beta_1, step),
        beta2_power=tf.pow(beta_2, step),
        lr=learning_rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


_FUSED = {keras.optimizers.SGD: _fused_sgd, keras.optimizers.Adam: _fused_adam}
