"""Who takes part in `pretraining_speed.py`, and the worker process that runs them.

Every contestant trains one tied denoising level, or the closest thing that its library has, with
the same rows, batch size, optimizer and masking noise, on all cores. It starts with an epoch that
is not counted, for what is compiled, traced or allocated once.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import _measuring
import numpy as np

NOISE_LEVEL = 0.3
STEP_SIZES = {"sgd": 0.01, "adam": 0.001}


class Task(NamedTuple):
    """One level to train."""

    inputs: int
    units: int
    batch_size: int
    optimizer: str
    rows: int

    def data(self) -> np.ndarray:
        """Returns rows in [0, 1]; how fast a step is does not depend on their values."""
        return np.random.default_rng(0).random((self.rows, self.inputs), dtype="float32")


class Ours:
    """`pretrain_layers`, called anew each time: what it keeps is nothing but the data."""

    def __init__(self, task):
        self.task, self.x = task, task.data()

    def epochs(self, count):
        """Returns the seconds of `count` epochs after the first."""
        import keras_sda as ks

        task = self.task
        layer = ks.layers.TiedDense(task.units)
        layer.build((None, task.inputs))
        timer = _measuring.epoch_timer()
        ks.pretrain_layers(
            [layer],
            self.x,
            noise=ks.layers.MaskingNoise(NOISE_LEVEL, seed=0),
            epochs=count + 1,
            batch_size=task.batch_size,
            optimizer=task.optimizer,
            learning_rate=STEP_SIZES[task.optimizer],
            callbacks=lambda level: [timer],
            verbose=0,
            seed=0,
        )
        return timer.seconds


class PlainKeras:
    """A Keras model written the obvious way, compiled once and fitted by `fit`."""

    steps_per_execution = 1

    def __init__(self, task):
        import _plain_keras
        import keras

        self.task, self.x = task, task.data()
        (dense,) = _plain_keras.dense_layers(task.inputs, [task.units])
        self.model = _plain_keras.PlainLevel(dense, rate=NOISE_LEVEL)
        config = {"learning_rate": STEP_SIZES[task.optimizer]}
        optimizer = keras.optimizers.get({"class_name": task.optimizer, "config": config})
        self.model.compile(optimizer, steps_per_execution=self.steps_per_execution)

    def epochs(self, count):
        timer = _measuring.epoch_timer()
        self.model.fit(
            self.x,
            batch_size=self.task.batch_size,
            epochs=count + 1,
            callbacks=[timer],
            verbose=0,
        )
        return timer.seconds


class PlainKerasManySteps(PlainKeras):
    """The same with 50 steps per call of TensorFlow."""

    steps_per_execution = 50


class Loop:
    """A contestant that is timed from outside, epoch by epoch."""

    def epochs(self, count):
        seconds = []
        for _ in range(count + 1):
            start = time.perf_counter()
            self.epoch()
            seconds.append(time.perf_counter() - start)
        return seconds[1:]


class PyTorch(Loop):
    """A loop by hand: shuffled rows, one kernel used both ways, PyTorch's own optimizers."""

    def __init__(self, task):
        import torch

        torch.set_num_threads(_measuring.num_threads())
        self.task, self.x = task, torch.from_numpy(task.data())
        bound = (6 / (task.inputs + task.units)) ** 0.5
        kernel = torch.empty(task.units, task.inputs).uniform_(-bound, bound)
        biases = torch.zeros(task.units), torch.zeros(task.inputs)
        self.weights = [weight.requires_grad_() for weight in (kernel, *biases)]
        classes = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
        self.optimizer = classes[task.optimizer](self.weights, lr=STEP_SIZES[task.optimizer])

    def epoch(self):
        import torch
        from torch.nn import functional

        kernel, bias, visible_bias = self.weights
        total = torch.zeros(())
        for rows in torch.randperm(len(self.x)).split(self.task.batch_size):
            clean = self.x[rows]
            # Bernoulli draws are the fastest way to a mask that PyTorch has on a processor.
            corrupted = clean * torch.empty_like(clean).bernoulli_(1 - NOISE_LEVEL)
            codes = torch.sigmoid(functional.linear(corrupted, kernel, bias))
            logits = functional.linear(codes, kernel.t(), visible_bias)
            loss = functional.binary_cross_entropy_with_logits(logits, clean, reduction="sum")
            loss = loss / len(rows)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        float(total)


class ScikitLearn(Loop):
    """`MLPRegressor` from masked to clean rows: untied, squared error, a new mask per epoch."""

    def __init__(self, task):
        from sklearn.neural_network import MLPRegressor

        self.x, self.rng = task.data(), np.random.default_rng(0)
        self.model = MLPRegressor(
            hidden_layer_sizes=[task.units],
            activation="logistic",
            solver=task.optimizer,
            alpha=0.0,
            batch_size=task.batch_size,
            learning_rate_init=STEP_SIZES[task.optimizer],
            momentum=0.0,
            random_state=0,
        )

    def epoch(self):
        mask = self.rng.random(self.x.shape, dtype="float32") >= NOISE_LEVEL
        self.model.partial_fit(self.x * mask, self.x)  # one pass over the rows


class PyOD:
    """PyOD's `AutoEncoder`: untied, squared error, no noise but dropout on the codes."""

    def __init__(self, task):
        import torch

        torch.set_num_threads(_measuring.num_threads())
        self.task, self.x = task, task.data()

    def epochs(self, count):
        from pyod.models.auto_encoder import AutoEncoder

        ends = []

        class TimedAutoEncoder(AutoEncoder):
            def epoch_update(self):  # PyOD calls it after each epoch
                ends.append(time.perf_counter())

            def decision_function(self, X, batch_size=None):  # scores after training: not timed
                return np.zeros(len(X))

        TimedAutoEncoder(
            preprocessing=False,
            lr=STEP_SIZES[self.task.optimizer],
            epoch_num=count + 1,
            batch_size=self.task.batch_size,
            optimizer_name=self.task.optimizer,
            optimizer_params={},
            hidden_neuron_list=[self.task.units],
            hidden_activation_name="sigmoid",
            batch_norm=False,
            dropout_rate=NOISE_LEVEL,
            verbose=0,
        ).fit(self.x)
        return [after - before for before, after in itertools.pairwise(ends)]


class Contestant(NamedTuple):
    """Class of a contestant, the worker process that it runs in, and the packages it needs."""

    kind: type
    worker: str
    packages: tuple[str, ...] = ()


CONTESTANTS = {
    "ours, TensorFlow": Contestant(Ours, "tensorflow"),
    "ours, JAX": Contestant(Ours, "jax", ("jax",)),
    "plain Keras": Contestant(PlainKeras, "tensorflow"),
    "plain Keras, steps_per_execution=50": Contestant(PlainKerasManySteps, "tensorflow"),
    "plain Keras, JAX": Contestant(PlainKeras, "jax", ("jax",)),
    "PyTorch": Contestant(PyTorch, "torch", ("torch",)),
    "scikit-learn": Contestant(ScikitLearn, "numpy"),
    "PyOD": Contestant(PyOD, "torch", ("torch", "pyod")),
}
WORKERS = {
    "tensorflow": {"KERAS_BACKEND": "tensorflow"},
    "jax": {"KERAS_BACKEND": "jax"},
    "torch": {},
    "numpy": {},
}
# Libraries whose matrix products make the limit, and the worker of each.
PRODUCTS = {"NumPy": "numpy", "TensorFlow": "tensorflow", "JAX": "jax"}

_made: dict[tuple[str, Task], Any] = {}


def measure(contestant: str, task: list, epochs: int) -> float:
    """Returns the samples a second of a contestant, in the fastest of some epochs.

    What interrupts the processor for a while then counts as little as it does for the products.
    """
    task = Task(*task)
    if any(made_for != task for _, made_for in _made):
        _made.clear()
    key = (contestant, task)
    if key not in _made:
        _made[key] = CONTESTANTS[contestant].kind(task)
    return task.rows / min(_made[key].epochs(epochs))


def products(library: str, task: list, seconds: float) -> list[float]:
    """Returns how long a library takes for each of the five matrix products of a tied step.

    With rows x, codes h, kernel W and the gradients d of logits and codes: x W and h W^T forwards,
    d W backwards, x^T d and d^T h for the kernel. Each is run for `seconds`, after some calls that
    are not counted.
    """
    task = Task(*task)
    rng = np.random.default_rng(0)
    shapes = {
        "x": (task.batch_size, task.inputs),
        "h": (task.batch_size, task.units),
        "W": (task.inputs, task.units),
    }
    arrays = {name: rng.random(shape, dtype="float32") for name, shape in shapes.items()}
    multiply, wait = _multiplication(library, arrays)
    forms = [("x", "W", ""), ("h", "W", "b"), ("x", "W", ""), ("x", "h", "a"), ("x", "h", "a")]
    return [_seconds_a_call(multiply(*form), wait, seconds) for form in forms]


def _multiplication(library: str, arrays: Mapping[str, np.ndarray]):
    """Returns a maker of products (names of the factors, which is transposed), and a wait."""
    if library == "TensorFlow":
        import tensorflow as tf

        tensors = {name: tf.constant(array) for name, array in arrays.items()}

        def multiply(a, b, transposed):
            options = {"transpose_a": transposed == "a", "transpose_b": transposed == "b"}
            return lambda: tf.linalg.matmul(tensors[a], tensors[b], **options)

        return multiply, lambda product: None  # on a processor, a call returns when it is done
    if library == "JAX":
        import jax

        tensors = {name: jax.device_put(array) for name, array in arrays.items()}

        def multiply(a, b, transposed):
            function = jax.jit(
                lambda a, b: (a.T if transposed == "a" else a) @ (b.T if transposed == "b" else b)
            )
            return lambda: function(tensors[a], tensors[b])

        return multiply, lambda product: product.block_until_ready()

    def multiply(a, b, transposed):
        a = arrays[a].T if transposed == "a" else arrays[a]
        b = arrays[b].T if transposed == "b" else arrays[b]
        out = np.empty((a.shape[0], b.shape[1]), "float32")
        return lambda: np.matmul(a, b, out=out)

    return multiply, lambda product: None


def _seconds_a_call(call: Callable[[], Any], wait: Callable[[Any], None], seconds: float) -> float:
    for _ in range(3):
        wait(call())
    begin, windows = time.perf_counter(), []
    while not windows or time.perf_counter() - begin < seconds:
        # Many calls between two looks at the clock, and none of them is waited for on its own.
        start = time.perf_counter()
        for _ in range(5):
            product = call()
        wait(product)
        windows.append((time.perf_counter() - start) / 5)
    return statistics.median(windows)  # an interruption, long beside a product, does not count


def three_levels(contestant: str, rows: int, batch_size: int, units: int, epochs: int) -> float:
    """Returns the seconds of pretraining three levels, with all that belongs to it."""
    import keras

    x = Task(784, units, batch_size, "sgd", rows).data()
    start = time.perf_counter()
    if CONTESTANTS[contestant].kind is Ours:
        import keras_sda as ks

        stack = ks.StackedDenoisingAutoencoder(
            784,
            [units] * 3,
            noise_level=NOISE_LEVEL,
            activation="sigmoid",
            kernel_initializer="glorot_uniform",
            seed=0,
        )
        stack.pretrain(
            x,
            epochs=epochs,
            batch_size=batch_size,
            optimizer="sgd",
            learning_rate=STEP_SIZES["sgd"],
            verbose=0,
        )
    else:
        import _plain_keras

        _plain_keras.pretrain(
            _plain_keras.dense_layers(784, [units] * 3),
            x,
            lambda: keras.optimizers.SGD(STEP_SIZES["sgd"]),
            NOISE_LEVEL,
            CONTESTANTS[contestant].kind.steps_per_execution,
            batch_size=batch_size,
            epochs=epochs,
        )
    return time.perf_counter() - start


if __name__ == "__main__":
    _measuring.serve({"measure": measure, "products": products, "three_levels": three_levels})
