"""Measures inference: rows a second of `encode` and `predict`, and the latency of a single row.

python benchmarks/inference.py             # about two minutes
python benchmarks/inference.py --quick     # tiny, to see that it runs

A stack 784-1000-1000-1000-10 with random weights codes and classifies arrays of 1 to 100,000 rows,
NumPy in and NumPy out. Against it: a bare `tf.function` of the same matrix products, with the same
weights, given all rows at once, and given them in batches of 1,024. Single rows are classified by
the SavedModel that `export` writes, loaded by TensorFlow alone; by calling the Keras model; and by
its `predict`. All take turns; what is traced or compiled on a first call is not counted.
"""

import tempfile
import time
from pathlib import Path

import _measuring
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

import keras_sda as ks
from keras_sda.datasets.batches import BATCH_SIZE

NAME = "inference"
SIZES = (1, 100, 1_000, 10_000, 100_000)


def main():
    options = _measuring.parser(__doc__).parse_args()
    sizes, units, calls, seconds = SIZES, 1000, 200, 0.5
    if options.quick:
        sizes, units, calls, seconds = (1, 2_000), 8, 5, 0.01
    report = _measuring.new_report(options)
    report |= {"network": f"784-{units}-{units}-{units}-10", "unit": "rows a second", "sizes": {}}
    stack = ks.StackedDenoisingAutoencoder(
        784, [units] * 3, num_classes=10, activation="sigmoid", batch_normalization=False, seed=0
    )
    x = np.random.default_rng(0).random((max(sizes), 784), dtype="float32")
    ways = ways_of(stack)
    for size in sizes:
        report["sizes"][size] = in_turns(ways, x[:size], options.repeats, seconds)
        print(f"{size:,} rows measured", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report["latency"] = latencies(stack, x[:1], Path(folder) / "saved", calls, options.repeats)
    report["calls"] = calls
    _measuring.save(report, options.output, NAME, plot(report))
    print_tables(report)


def ways_of(stack):
    """Returns the functions that are compared, from rows to what they make of them, by task."""
    layers = [(layer.kernel.value, layer.bias.value) for layer in stack.levels]
    head_kernel, head_bias = stack.head.kernel.value, stack.head.bias.value

    @tf.function(input_signature=[tf.TensorSpec((None, 784))], autograph=False)
    def encode(rows):
        for kernel, bias in layers:
            rows = tf.sigmoid(tf.matmul(rows, kernel) + bias)
        return rows

    @tf.function(input_signature=[tf.TensorSpec((None, 784))], autograph=False)
    def classify(rows):
        return tf.nn.softmax(tf.matmul(encode(rows), head_kernel) + head_bias)

    return {
        "encode": {
            "encode": stack.encode,
            "tf.function, all at once": lambda x: encode(x).numpy(),
            "tf.function, batches": lambda x: in_batches(encode, x),
        },
        "predict": {
            "predict": lambda x: stack.predict(x, verbose=0),
            "tf.function, all at once": lambda x: classify(x).numpy(),
            "tf.function, batches": lambda x: in_batches(classify, x),
        },
    }


def in_batches(function, x):
    starts = range(0, len(x), BATCH_SIZE)
    return np.concatenate([function(x[i : i + BATCH_SIZE]).numpy() for i in starts])


def in_turns(ways, x, repeats, seconds):
    """Returns rows a second of all ways, and each way's share of the best bare function."""
    speeds = {task: {name: [] for name in functions} for task, functions in ways.items()}
    for functions in ways.values():
        results = [function(x) for function in functions.values()]  # which also traces them
        for result in results[1:]:
            np.testing.assert_allclose(result, results[0], rtol=1e-3, atol=1e-5)
    for _ in range(repeats):
        for task, functions in ways.items():
            for name, function in functions.items():
                speeds[task][name].append(rows_a_second(function, x, seconds))
    return {
        task: {
            name: {**_measuring.summary(values), "share": share(values, by_name)}
            for name, values in by_name.items()
        }
        for task, by_name in speeds.items()
    }


def rows_a_second(function, x, seconds):
    start, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - start < seconds:
        function(x)
        count += 1
    return count * len(x) / (time.perf_counter() - start)


def share(values, by_name):
    """Returns how fast a way is beside the faster bare function, taken within each repeat."""
    bare = [speeds for name, speeds in by_name.items() if name.startswith("tf.function")]
    return _measuring.ratios(values, [max(speeds) for speeds in zip(*bare, strict=True)])


def latencies(stack, row, folder, calls, repeats):
    """Returns milliseconds for one row: the median and the 95th percentile of all calls."""
    stack.export(folder)
    saved = tf.saved_model.load(str(folder))
    ways = {
        "SavedModel, serve": lambda: saved.serve(row).numpy(),
        "Keras model, called": lambda: np.asarray(stack(row, training=False)),
        "Keras model, predict": lambda: stack.predict(row, verbose=0),
    }
    times = {name: [] for name in ways}
    for function in ways.values():
        for _ in range(3):
            function()
    for _ in range(repeats):
        for name, function in ways.items():
            times[name].append([])
            for _ in range(calls):
                start = time.perf_counter()
                function()
                times[name][-1].append(1000 * (time.perf_counter() - start))
    return {
        name: {
            "median": float(np.median(by_repeat)),
            "percentile_95": float(np.percentile(by_repeat, 95)),
            "medians": [float(np.median(values)) for values in by_repeat],
        }
        for name, by_repeat in times.items()
    }


def print_tables(report):
    print("\nRows a second, median (range of the repeats)\n")
    rows = [
        [
            f"{int(size):,}",
            task,
            name,
            _measuring.spread(figure),
            f"{figure['share']['median']:.2f}",
        ]
        for size, tasks in report["sizes"].items()
        for task, by_name in tasks.items()
        for name, figure in by_name.items()
    ]
    head = ["rows", "task", "way", "rows a second", "/ best tf.function"]
    print(_measuring.table(head, rows))
    print("\nMilliseconds for one row\n")
    rows = [
        [name, f"{figure['median']:.2f}", f"{figure['percentile_95']:.2f}"]
        for name, figure in report["latency"].items()
    ]
    print(_measuring.table(["way", "median", "95 % of calls below"], rows))


def plot(report):
    """Draws rows a second over the size of the array: a panel per task."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    sizes = list(report["sizes"])
    tasks = list(report["sizes"][sizes[0]])
    for axes, task in zip(figure.subplots(1, len(tasks), sharey=True), tasks, strict=True):
        for name in report["sizes"][sizes[0]][task]:
            speeds = [report["sizes"][size][task][name]["median"] for size in sizes]
            style = "o--" if name.startswith("tf.function") else "o-"
            axes.loglog(sizes, speeds, style, label=name)
        axes.set(title=task, xlabel="rows in the array")
        axes.legend(fontsize="small")
    figure.axes[0].set_ylabel("rows a second")
    return figure


if __name__ == "__main__":
    main()
