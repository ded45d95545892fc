# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # From Theano to Keras
#
# Many people learned deep learning from the Theano tutorials of 2010, and much code is still
# written in their terms. Theano is gone, but its ideas are not. This notebook goes through the
# steps of such a tutorial: first the Theano code, as text; then today's TensorFlow and Keras code,
# which runs. Where the tutorial printed a number, an `assert` checks that it is still the same.
#
# There is one large difference: Theano first built an expression and then compiled it. TensorFlow
# computes immediately, and `tf.function` compiles a Python function where speed matters.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import keras_sda as ks

# %% [markdown]
# ## Expressions and functions
#
# ```python
# A, x, b = T.matrix(), T.vector(), T.vector()
# f = theano.function([A, x, b], [T.dot(A, x) + b, (A ** 2).sum()])
# f([[1, 2, 3], [4, 5, 6]], [1, 2, 3], [4, 5])        # [18, 37] and 91
# ```
#
# A function with several outputs is a Python function that returns several values. It works on
# arrays without any change.


# %%
def affine_and_squares(A, x, b):
    return tf.linalg.matvec(A, x) + b, tf.reduce_sum(A**2)


A = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
affine, squares = affine_and_squares(A, tf.constant([1.0, 2.0, 3.0]), tf.constant([4.0, 5.0]))
print(affine.numpy(), squares.numpy())
assert affine.numpy().tolist() == [18.0, 37.0]
assert squares.numpy() == 91.0

# %% [markdown]
# `tf.function` traces it into a graph, once for each kind of input. That graph corresponds to
# Theano's compiled function.

# %%
compiled = tf.function(affine_and_squares)
for eager, traced in zip(
    (affine, squares), compiled(A, tf.constant([1.0, 2, 3]), tf.constant([4.0, 5])), strict=True
):
    assert np.array_equal(eager, traced)

# %% [markdown]
# ## Printing an expression
#
# ```python
# theano.pp(y)                        # ((A \dot x) + b)
# theano.printing.debugprint(y)       # the same as a tree
# ```
#
# The graph of a traced function can be traversed. Here are its operations, each with its inputs.

# %%
specs = [tf.TensorSpec(shape, "float32", name) for shape, name in (((2, 3), "A"), ((3,), "x"))]
concrete = compiled.get_concrete_function(*specs, tf.TensorSpec((2,), "float32", "b"))
for operation in concrete.graph.get_operations():
    reads = ", ".join(tensor.op.name for tensor in operation.inputs)
    print(f"{operation.name:12} = {operation.type}({reads})")
kinds = [operation.type for operation in concrete.graph.get_operations()]
assert {"MatMul", "AddV2", "Sum"} <= set(kinds)
assert kinds.count("Placeholder") == 3

# %% [markdown]
# ## Default arguments
#
# ```python
# f = theano.function([x, theano.In(y, value=1), theano.In(w, value=2, name="w")], (x + y) * w)
# f(33), f(33, 2), f(33, w=5)         # 68, 70, 170
# ```
#
# Python's own default arguments do this.


# %%
@tf.function
def scaled_sum(x, y=1.0, w=2.0):
    return (x + y) * w


values = [float(scaled_sum(33.0)), float(scaled_sum(33.0, 2.0)), float(scaled_sum(33.0, w=5.0))]
print(values)
assert values == [68.0, 70.0, 170.0]

# %% [markdown]
# ## Evaluating in place
#
# ```python
# (x + y).eval({x: 16.3, y: 12.1})    # 28.4
# ```
#
# There is nothing to evaluate: an expression of tensors *is* its value. And a plain formula works
# on whole arrays, as the tutorial's logistic function did.

# %%
x, y = tf.constant(16.3, "float64"), tf.constant(12.1, "float64")
print(float(x + y))
assert np.isclose(x + y, 28.4)

table = 1 / (1 + tf.exp(-tf.constant([[0.0, 1.0], [-1.0, -2.0]])))
print(table.numpy().round(4))
assert np.allclose(table, [[0.5, 0.7311], [0.2689, 0.1192]], atol=1e-4)
assert np.allclose(table, keras.ops.sigmoid([[0.0, 1.0], [-1.0, -2.0]]))

# %% [markdown]
# ## Shared variables and updates
#
# ```python
# state = theano.shared(0)
# accumulate = theano.function([inc], state, updates=[(state, state + inc)])
# accumulate(1), accumulate(300)      # 0 and 1: the value before; then state holds 301
# ```
#
# State lives in a `tf.Variable` (in a Keras layer: `add_weight`), and an update is an assignment
# inside the function. The lines are executed in order, so the old value has to be read first.

# %%
state = tf.Variable(0)


@tf.function
def accumulate(increment):
    before = tf.identity(state)
    state.assign_add(increment)
    return before


returned = [int(accumulate(tf.constant(1))), int(accumulate(tf.constant(300)))]
print(returned, int(state))
assert returned == [0, 1]
assert int(state) == 301
state.assign(-1)  # state.set_value(-1)
assert int(accumulate(tf.constant(3))) == -1
assert int(state) == 2

# %% [markdown]
# Theano's `RandomStreams` were shared variables too: each call advanced their state. Today's
# equivalent is `keras.random.SeedGenerator`, and every noise layer of `keras_sda` holds one.

# %%
stream, again = keras.random.SeedGenerator(234), keras.random.SeedGenerator(234)
first, second = keras.random.uniform((2,), seed=stream), keras.random.uniform((2,), seed=stream)
assert not np.array_equal(first, second)
assert np.array_equal(first, keras.random.uniform((2,), seed=again))

# %% [markdown]
# ## Gradients
#
# ```python
# gy = T.grad(x ** 2, x)
# theano.function([x], gy)(10)        # 20
# ```
#
# A tape records the computation and returns the gradient afterwards.

# %%
x = tf.Variable(10.0)
with tf.GradientTape() as tape:
    y = x**2
slope = tape.gradient(y, x)
print(float(slope))
assert float(slope) == 20.0

points = tf.linspace(-6.0, 6.0, 121)
with tf.GradientTape() as tape:
    tape.watch(points)
    logistic = keras.ops.sigmoid(points)
slopes = tape.gradient(logistic, points)
assert np.allclose(slopes, logistic * (1 - logistic), atol=1e-6)
assert np.isclose(np.max(slopes), 0.25)

figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
axes.plot(points, logistic, label="$s(x) = 1 / (1 + e^{-x})$")
axes.plot(points, slopes, label="its derivative, by the tape")
axes.set(xlabel="x", title="The logistic function")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
# ## Jacobian and Hessian
#
# ```python
# J, _ = theano.scan(lambda i, y, x: T.grad(y[i], x), sequences=T.arange(y.shape[0]),
#                    non_sequences=[y, x])
# # for y = Ax + b with A = [[9, 8, 7], [4, 5, 6]] it is A itself
# ```
#
# In the tutorial, `scan` looped over the outputs. A tape has the method `jacobian`; a Hessian is a
# tape within a tape. Products with a vector, Theano's `Rop` and `Lop`, do not need the whole
# matrix.

# %%
A = tf.constant([[9.0, 8.0, 7.0], [4.0, 5.0, 6.0]])
x, b = tf.Variable([1.0, 2.0, 3.0]), tf.constant([4.0, 5.0])
with tf.GradientTape() as tape:
    y = tf.linalg.matvec(A, x) + b
jacobian = tape.jacobian(y, x)
print(jacobian.numpy())
assert jacobian.numpy().tolist() == [[9.0, 8.0, 7.0], [4.0, 5.0, 6.0]]

with tf.GradientTape() as outer:
    with tf.GradientTape() as inner:
        y = tf.reduce_sum(x**3)
    gradient = inner.gradient(y, x)
hessian = outer.jacobian(gradient, x)
print(hessian.numpy())
assert np.allclose(hessian, np.diag(6 * x.numpy()))

direction = tf.constant([1.0, 0.0, -1.0])
with tf.autodiff.ForwardAccumulator(x, direction) as forwards:  # Rop
    y = tf.linalg.matvec(A, x) + b
assert np.allclose(forwards.jvp(y), tf.linalg.matvec(jacobian, direction))
weights = tf.constant([2.0, -1.0])
with tf.GradientTape() as tape:  # Lop
    y = tf.linalg.matvec(A, x) + b
assert np.allclose(tape.gradient(y, x, weights), tf.linalg.matvec(A, weights, transpose_a=True))

# %% [markdown]
# The tutorials use a Jacobian in the contractive autoencoder, which penalises the squared norm of
# the encoder's Jacobian. For sigmoid units there is a closed form; a tape gives the same values.

# %%
rows = ks.datasets.load("digits").train.x[:5]
contractive = ks.ContractiveAutoencoder(input_dim=64, hidden_units=8, seed=0)
inputs = tf.constant(rows)
with tf.GradientTape() as tape:
    tape.watch(inputs)
    codes = contractive.encoder(inputs)
jacobians = tape.batch_jacobian(codes, inputs)
norms = np.sum(jacobians.numpy() ** 2, axis=(1, 2))
print(norms.round(4), contractive.contraction(rows).round(4))
assert np.allclose(norms, contractive.contraction(rows), rtol=1e-4)

# %% [markdown]
# ## Debugging
#
# ```python
# theano.config.compute_test_value = "warn"
# x.tag.test_value = np.random.rand(5, 10)      # so that a wrong shape showed while building
# ```
#
# Now values are always available: the error is raised by the very line that is wrong.

# %%
kernel = tf.ones((784, 500))
batch = tf.ones((5, 100))
try:
    tf.matmul(batch, kernel)
except tf.errors.InvalidArgumentError as error:
    message = str(error).split("}} ")[-1]
print(message.removesuffix(" name: "))
assert "[5,100]" in message
assert "[784,500]" in message

# %% [markdown]
# Shapes can also be checked before any value exists: trace the function for a shape, or call a
# Keras layer on a symbolic input. A model of `keras_sda` says what it expected and what it
# received.

# %%
checked = tf.function(lambda rows: tf.matmul(rows, kernel))
try:
    checked.get_concrete_function(tf.TensorSpec((None, 100), "float32"))
except ValueError as error:
    message = str(error).strip().splitlines()[-1].strip()
print(message.split(" for '")[0])
assert "100 and 784" in message

outputs = keras.layers.Dense(500)(keras.Input((784,)))
assert outputs.shape == (None, 500)

network = ks.MLP(input_dim=784, hidden_units=[500], num_classes=10, seed=0)
try:
    network.predict(np.ones((5, 100), "float32"), verbose=0)
except ValueError as error:
    message = str(error)
print(message)
assert "784" in message
assert "100" in message

# %% [markdown]
# Theano's `Print` operation is now `tf.print`, which works inside a compiled function. Python's
# `print` runs there only while tracing, once for each kind of input. To step through a training
# step with a debugger, use `compile(..., run_eagerly=True)`.

# %%
folder = tempfile.TemporaryDirectory()
log = Path(folder.name) / "log.txt"


@tf.function
def doubled(x):
    print("tracing for", x)
    tf.print("computing for", x, output_stream=f"file://{log}")
    return 2 * x


for value in (1.0, 2.0, [3.0, 4.0]):
    doubled(tf.constant(value))
printed = log.read_text()
folder.cleanup()
print(printed)
assert printed.splitlines() == ["computing for 1", "computing for 2", "computing for [3 4]"]

# %% [markdown]
# ## Finding NaN
#
# ```python
# theano.function(..., mode=NanGuardMode(nan_is_error=True, inf_is_error=True))
# ```
#
# `tf.debugging.check_numerics` checks one tensor, `tf.debugging.enable_check_numerics()` every
# operation. In training, `ks.callbacks.StopOnNonFiniteLoss` names the epoch and the step;
# `pretrain` always uses it, and names the level too.

# %%
with np.errstate(divide="ignore"):
    try:
        tf.debugging.check_numerics(tf.math.log(tf.constant([1.0, 0.0])), "log of a probability")
    except tf.errors.InvalidArgumentError as error:
        message = error.message.split("}} ")[-1]
print(message.removesuffix(" name: "))
assert "log of a probability" in message
assert "Inf" in message

keras.utils.set_random_seed(0)
exploding = ks.MLP(
    input_dim=2, hidden_units=[4], head=keras.layers.Dense(1), activation="relu", seed=0
)
exploding.compile(keras.optimizers.SGD(1e12), "mean_squared_error")
x, y = ks.datasets.gaussian_clouds()
try:
    exploding.fit(
        x, y, batch_size=250, epochs=9, verbose=0, callbacks=[ks.callbacks.StopOnNonFiniteLoss()]
    )
except FloatingPointError as error:
    message = str(error)
print(message)
assert "epoch 1" in message
assert "step" in message

# %% [markdown]
# ## Devices and data types
#
# ```python
# THEANO_FLAGS=device=gpu,floatX=float32 python script.py
# ```
#
# A GPU is used if TensorFlow finds one; `tf.device` selects a particular device. `floatX` is now
# Keras' `floatx`, or the `dtype` of a single model. Mixed precision, which Theano did not have, is
# `dtype="mixed_float16"` or `"mixed_bfloat16"`: 16 bits for computation, 32 bits for the weights.
#
# As in Theano, the data type determines the precision: near 1, 32-bit numbers lose differences
# smaller than about 1e-7.

# %%
with tf.device("CPU:0"):
    one = tf.constant(1.0)
print(one.device.rsplit("/", 1)[-1], keras.config.floatx())
assert one.device.endswith("CPU:0")
assert one.dtype == keras.config.floatx() == "float32"
assert one + 1e-8 == 1.0
assert tf.constant(1.0, "float64") + 1e-8 > 1.0

for dtype, variable, computed in (
    ("float32", "float32", "float32"),
    ("float64", "float64", "float64"),
    ("mixed_bfloat16", "float32", "bfloat16"),
):
    model = ks.DenoisingAutoencoder(input_dim=64, hidden_units=8, dtype=dtype, seed=0)
    kernel = model.levels[0].kernel
    codes = model.encoder(rows)
    print(f"{dtype:15} kernel {kernel.dtype}, codes {codes.dtype.name}")
    assert kernel.dtype == variable
    assert codes.dtype == computed

# %% [markdown]
# ## A small network with momentum
#
# ```python
# class Layer(object):
#     def __init__(self, W_init, b_init, activation):
#         self.W = theano.shared(W_init, borrow=True)
#         self.b = theano.shared(b_init.reshape(-1, 1), broadcastable=(False, True))
#     def output(self, x):
#         return self.activation(T.dot(self.W, x) + self.b)
#
# class MLP(object):
#     def output(self, x):
#         for layer in self.layers: x = layer.output(x)
#         return x
#     def squared_error(self, x, y):
#         return T.sum((self.output(x) - y) ** 2)
#
# def gradient_updates_momentum(cost, params, learning_rate, momentum):
#     for param in params:
#         velocity = theano.shared(param.get_value() * 0.0)
#         updates.append((param, param - learning_rate * velocity))
#         updates.append((velocity, momentum * velocity + (1 - momentum) * T.grad(cost, param)))
# ```
#
# The data are two Gaussian clouds with 1,000 points in total; the network has 2, 4 and 1 sigmoid
# units, and takes 20 steps on all points. `ks.datasets.gaussian_clouds` returns exactly the points
# of the tutorial, `gaussian_clouds_weights` its initial weights.
#
# Theano applies all updates at once, with the values before the step: the parameter moves by the
# *old* velocity. Written line by line, the update of the parameter therefore has to come first.


# %%
class Layer(keras.layers.Layer):
    """One layer of sigmoid units, started from given values."""

    def __init__(self, kernel, bias):
        super().__init__()
        self.kernel = self.add_weight(shape=kernel.shape, name="kernel")
        self.bias = self.add_weight(shape=bias.shape, name="bias")
        self.kernel.assign(kernel)
        self.bias.assign(bias)

    def call(self, inputs):
        return keras.ops.sigmoid(keras.ops.matmul(inputs, self.kernel) + self.bias)


class Network(keras.Model):
    """Layers one upon the other."""

    def __init__(self, arrays):
        super().__init__()
        self.parts = [Layer(*pair) for pair in zip(arrays[::2], arrays[1::2], strict=True)]

    def call(self, inputs):
        for layer in self.parts:
            inputs = layer(inputs)
        return inputs

    def squared_error(self, x, y):
        return tf.reduce_sum((self(x)[:, 0] - y) ** 2)


x, y = ks.datasets.gaussian_clouds()
targets = tf.constant(y, "float32")
initial = ks.datasets.gaussian_clouds_weights()
network = Network(initial)
network(x)  # builds it
parameters = network.trainable_variables
velocities = [tf.Variable(tf.zeros(parameter.shape)) for parameter in parameters]
rate, momentum = 0.01, 0.9


@tf.function
def step():
    with tf.GradientTape() as tape:
        cost = network.squared_error(x, targets)
    for parameter, velocity, gradient in zip(
        parameters, velocities, tape.gradient(cost, parameters), strict=True
    ):
        parameter.assign_sub(rate * velocity)
        velocity.assign(momentum * velocity + (1 - momentum) * gradient)
    return cost


costs, accuracies, snapshots = [], [], []
for _ in range(20):
    step()
    outputs = network.predict(x, verbose=0)[:, 0]
    costs.append(float(network.squared_error(x, targets)))
    accuracies.append(float(((outputs > 0.5) == y).mean()))
    snapshots.append(network.get_weights())
print(f"after  1 step : cost {costs[0]:.2f}, accuracy {accuracies[0]:.3f}")
print(f"after 20 steps: cost {costs[-1]:.2f}, accuracy {accuracies[-1]:.3f}")
assert np.isclose(costs[0], 249.40, atol=0.05)
assert np.isclose(costs[-1], 153.02, atol=0.5)
assert np.isclose(accuracies[-1], 0.81, atol=0.0025)

# %% [markdown]
# The tutorial drew a picture of each iteration, titled with cost and accuracy. The background shows
# the output of the network across the plane, and the line marks where it is undecided. 300 of the
# points are drawn.

# %%
low, high = x.min(axis=0) - 0.5, x.max(axis=0) + 0.5
grid = np.stack(np.meshgrid(*(np.linspace(low[k], high[k], 60) for k in range(2))), axis=-1).astype(
    "float32"
)
figure, all_axes = plt.subplots(
    2, 4, figsize=(11, 5.6), dpi=72, sharex=True, sharey=True, layout="constrained"
)
for axes, iteration in zip(all_axes.flat, (1, 3, 5, 7, 10, 13, 16, 20), strict=True):
    network.set_weights(snapshots[iteration - 1])
    surface = network.predict(grid.reshape(-1, 2), verbose=0).reshape(grid.shape[:2])
    axes.contourf(
        grid[..., 0], grid[..., 1], surface, np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.5
    )
    axes.contour(grid[..., 0], grid[..., 1], surface, [0.5], colors="black", linewidths=1)
    for label, colour in ((0, "#00305a"), (1, "#7a0019")):
        axes.scatter(*x[y == label][:150].T, s=5, color=colour)
    axes.set_title(
        f"step {iteration}: cost {costs[iteration - 1]:.1f}, "
        f"accuracy {accuracies[iteration - 1]:.3f}",
        fontsize=9,
    )
plt.show()

# %% [markdown]
# Today there is no need to write this by hand. The same network is a `ks.MLP`, and the tutorial's
# momentum is an optimizer; together they are the recipe `gaussian-clouds`, which must arrive at the
# same weights as the loop.

# %%
run = ks.recipes.run(ks.recipes.get("gaussian-clouds"), seed=0, verbose=0)
print(f"training error of the recipe {run.metrics['figure']:.2f} %")
for ours, theirs in zip(snapshots[-1], run.model.get_weights(), strict=True):
    assert np.allclose(ours, theirs, atol=1e-3)
assert np.isclose(run.metrics["figure"], 100 * (1 - accuracies[-1]), atol=0.11)

# %% [markdown]
# With Keras' own momentum, which moves by the new velocity, and a few more steps, only the model is
# left to write. The notebook [baselines](baselines.ipynb) shows what depth does to such networks.

# %%
keras.utils.set_random_seed(0)  # for the initial weights of the head, which is not the model's own
model = ks.MLP(2, [4], head=keras.layers.Dense(1, activation="sigmoid"), activation="tanh", seed=0)
model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "binary_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=20, batch_size=100, verbose=0)
accuracy = model.evaluate(x, y, verbose=0)[1]
print(f"accuracy on the same points {accuracy:.3f}")
assert accuracy >= accuracies[-1] - 0.02
ks.plots.plot_decision_surface(model, x[:300], y[:300])
