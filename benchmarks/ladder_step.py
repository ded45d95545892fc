"""Compares a training step of the ladder network with the same step in plain Keras.

python benchmarks/ladder_step.py           # some five minutes on two cores
python benchmarks/ladder_step.py --quick   # tiny, to see that it runs

The published network for MNIST, 784-1000-500-250-250-250-10, trains by Adam on batches of 100 rows
and 100 labelled ones. Its epochs are timed, the first one left out, which compiles; the best one
counts. The rivals are the same network in plain Keras under TensorFlow, trained by Keras' own
`fit`, and the matrix products of a step alone. Each has a process of its own; repeats take turns.
Beside the time stands the processors' time, of all cores together, which other work on the machine
changes less. Where JAX is installed, or KERAS_SDA_OTHER_PYTHON names a Python that has it, ours is
measured there too.
"""

import itertools
import sys
import time

import _measuring

NAME = "ladder_step"
WIDTHS = [784, 1000, 500, 250, 250, 250, 10]
QUICK_WIDTHS = [12, 8, 6, 3]
BATCH = 100
STEPS, QUICK_STEPS = 60, 3
EPOCHS = 6  # of fewer steps, XLA's compilation would take longer than it saves
OURS, JAX, KERAS = "ours, TensorFlow", "ours, JAX", "plain Keras, TensorFlow"
LIMIT = "the matrix products alone, TensorFlow"


def main():
    options = _measuring.parser(__doc__).parse_args()
    report = _measuring.new_report(options)
    report |= {"widths": WIDTHS, "batch_size": BATCH, "unit": "milliseconds a step", "steps": {}}
    found, able = {}, contestants()
    for _ in range(options.repeats):
        for name, (python, backend) in able.items():
            environment = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
            with _measuring.Worker(__file__, "--serve", python=python, **environment) as worker:
                value = worker.call("measure", name=name, quick=options.quick)
            found.setdefault(name, []).append(value)
            print(f"{name}: {value[0]:.1f} ms, {value[1]:.1f} ms of processors", flush=True)
    plain, plain_processors = zip(*found[KERAS], strict=True)
    for name, values in found.items():
        passed, processors = zip(*values, strict=True)
        report["steps"][name] = {
            **_measuring.summary(passed),
            "times_as_fast_as_plain_keras": _measuring.ratios(plain, passed),
            "processors": {
                **_measuring.summary(processors),
                "times_less_than_plain_keras": _measuring.ratios(plain_processors, processors),
            },
        }
    _measuring.save(report, options.output, NAME, plot(report))
    print_tables(report)


def contestants():
    """Returns, for each contestant that can run, the Python that runs it, and its backend."""
    found = {OURS: (sys.executable, "tensorflow"), KERAS: (sys.executable, "tensorflow")}
    python = _measuring.python_with("jax")
    if python:
        found[JAX] = (python, "jax")
    return found | {LIMIT: (sys.executable, "tensorflow")}


def measure(name, quick):
    """Returns the milliseconds of a step in the best epoch: passed, and of all processors."""
    import numpy as np

    widths, steps = (QUICK_WIDTHS, QUICK_STEPS) if quick else (WIDTHS, STEPS)
    rng = np.random.default_rng(0)
    x = rng.random((steps * BATCH, widths[0]), dtype="float32")
    y = rng.integers(0, widths[-1], len(x))
    if name == LIMIT:
        ends = _products(widths, steps)
    else:
        import keras  # the worker has chosen the backend

        ends = []
        timer = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(_now()))
        (_plain_keras if name == KERAS else _ours)(widths, x, y, timer)
    return (1000 * np.diff(ends, axis=0).min(axis=0) / steps).tolist()


def _now():
    """Returns the time, and how much time the processors have given to this process."""
    return time.perf_counter(), time.process_time()


def _ours(widths, x, y, timer):
    import keras

    import keras_sda as ks

    model = ks.LadderNetwork(
        widths[0], widths[1:-1], widths[-1], denoising_weights=[1000.0, 10.0, 0.1], seed=0
    )
    model.compile(keras.optimizers.Adam(0.002))
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, callbacks=[timer], verbose=0)


def _plain_keras(widths, x, y, timer):
    import keras
    from _plain_ladder import PlainLadder

    weights = [1000.0, 10.0, *[0.1] * (len(widths) - 2)]
    model = PlainLadder(widths, weights, noise=0.3)
    model.compile(keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy")
    labelled = x[::-1].copy(), y[::-1].copy()
    model.fit(
        [labelled[0], x],
        labelled[1],
        batch_size=BATCH,
        epochs=EPOCHS,
        callbacks=[timer],
        verbose=0,
    )


def _products(widths, steps):
    """Returns times between which are the matrix products of many steps, there and back."""
    import tensorflow as tf

    pairs = list(itertools.pairwise(widths))
    sizes = [(2 * BATCH, *pair) for pair in pairs]  # with noise: labelled and other rows
    sizes += [(BATCH, *pair) for pair in pairs]  # without
    sizes += [(BATCH, *pair[::-1]) for pair in pairs]  # down
    arrays = [
        [tf.random.normal(shape) for shape in ((rows, fan_in), (fan_in, units), (rows, units))]
        for rows, fan_in, units in sizes
    ]

    @tf.function
    def step():
        results = []
        for inputs, kernel, gradient in arrays:
            results.append(tf.matmul(inputs, kernel))
            results.append(tf.matmul(inputs, gradient, transpose_a=True))
            if inputs.shape[1] != widths[0] or kernel.shape[1] == widths[0]:
                results.append(tf.matmul(gradient, kernel, transpose_b=True))
        return [tf.reduce_sum(result[:1]) for result in results]

    step()
    ends = [_now()]
    for _ in range(EPOCHS):
        for _ in range(steps):
            step()[-1].numpy()
        ends.append(_now())
    return ends


def print_tables(report):
    """Prints the milliseconds of a step, and the ratios to plain Keras."""
    rows = [
        [
            name,
            _measuring.spread(found, 1),
            _measuring.spread(found["times_as_fast_as_plain_keras"], 2),
            _measuring.spread(found["processors"], 1),
        ]
        for name, found in report["steps"].items()
    ]
    head = ["", "ms a step", "times as fast as plain Keras", "ms of processors"]
    print("\n" + _measuring.table(head, rows))


def plot(report):
    """Returns a picture of the milliseconds of a step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    names = list(report["steps"])[::-1]
    found = [report["steps"][name] for name in names]
    medians = [each["median"] for each in found]
    lows = [each["median"] - each["lowest"] for each in found]
    highs = [each["highest"] - each["median"] for each in found]
    axes.barh(names, medians, xerr=[lows, highs], color="#4477aa", ecolor="#333333", height=0.6)
    axes.set_xlabel("milliseconds a step, median and range")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    _measuring.main_or_serve(main, measure=measure)
