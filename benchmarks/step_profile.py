"""Profiles a training step of the fast path: in which operations its time goes.

python benchmarks/step_profile.py             # about a minute; TensorFlow alone
python benchmarks/step_profile.py --quick     # tiny, to see that it runs

A tied level 784-1000 is pretrained for three epochs as in `pretraining_speed.py` (masking noise
0.3, sigmoid, summed cross-entropy, SGD, float32). The second one is timed; TensorFlow's own
profiler watches the third. Each operation's time is counted under its kind, in milliseconds a step.
Operations that do not need each other run at once, and then wait for each other's cores too: their
sum may be above the duration of a step. Bias and sigmoid are part of the matrix product before
them. Repeats take turns over batch sizes.
"""

import collections
import tempfile
from pathlib import Path

import _measuring
import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from tensorflow.tsl.profiler.protobuf import xplane_pb2

import keras_sda as ks

NAME = "step_profile"
ROWS = {20: 6_000, 128: 19_200, 512: 25_600}
# What operations are for, by a part of their name or type; the first that fits counts.
KINDS = {
    "matrix products": ("MatMul",),
    "drawing and laying the mask": ("masking_noise",),
    "gathering the rows": ("Gather",),
    "updating the weights": ("ResourceApply",),
    "joining factors": ("Concat",),
    "cross-entropy, slopes, sums": (
        "crossentropy",
        ":Mul",
        ":Sub",
        ":Sum",
        ":Sigmoid",
        ":Softplus",
    ),
    "everything else": (":",),
}
# These hold other operations, which are counted by themselves.
OUTER = (
    ":While",
    ":StatefulPartitionedCall",
    ":PartitionedCall",
    "ExecutorState",
    "Eager",
    "KernelAnd",
)


def main():
    options = _measuring.parser(__doc__).parse_args()
    inputs, units, rows = (12, 8, {20: 400}) if options.quick else (784, 1000, ROWS)
    report = _measuring.new_report(options)
    report |= {"level": f"{inputs}-{units}", "unit": "milliseconds a step", "batch_sizes": {}}
    repeats = {batch_size: [] for batch_size in rows}
    for _ in range(options.repeats):
        for batch_size, count in rows.items():
            repeats[batch_size].append(profiled(inputs, units, batch_size, count))
    for batch_size, found in repeats.items():
        report["batch_sizes"][batch_size] = {
            name: _measuring.summary([figures[name] for figures in found]) for name in found[0]
        }
    _measuring.save(report, options.output, NAME, plot(report))
    print_tables(report)


def profiled(inputs, units, batch_size, rows):
    """Returns milliseconds a step: of its duration, and of each kind of operation."""
    layer = ks.layers.TiedDense(units)
    layer.build((None, inputs))
    x = np.random.default_rng(0).random((rows, inputs), dtype="float32")
    timer = _measuring.epoch_timer()
    with tempfile.TemporaryDirectory() as folder:
        ks.pretrain_layers(
            [layer],
            x,
            noise=ks.layers.MaskingNoise(0.3, seed=0),
            epochs=3,
            batch_size=batch_size,
            optimizer="sgd",
            learning_rate=0.01,
            callbacks=lambda level: [timer, Watch(folder, epoch=2)],
            verbose=0,
            seed=0,
        )
        operations = operations_in(next(Path(folder).rglob("*.xplane.pb")))
    steps = rows // batch_size
    figures = {"a step": 1000 * timer.seconds[0] / steps, **dict.fromkeys(KINDS, 0.0)}
    for name, seconds in operations.items():
        figures[kind_of(name)] += 1000 * seconds / steps
    return figures


class Watch(keras.callbacks.Callback):
    """Has TensorFlow's profiler watch one epoch."""

    def __init__(self, folder, epoch):
        super().__init__()
        self.folder, self.epoch = folder, epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            tf.profiler.experimental.start(self.folder)

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            tf.profiler.experimental.stop()


def operations_in(path):
    """Returns the seconds of each operation, by `name:type`, in a profile."""
    space = xplane_pb2.XSpace()
    space.ParseFromString(path.read_bytes())
    seconds = collections.Counter()
    for plane in space.planes:
        names = {key: event.name for key, event in plane.event_metadata.items()}
        for line in plane.lines:
            if line.name.startswith("tf_Compute"):
                for event in line.events:
                    seconds[names[event.metadata_id]] += event.duration_ps / 1e12
    return {
        name: value
        for name, value in seconds.items()
        if ":" in name and not any(part in name for part in OUTER)
    }


def kind_of(name):
    return next(kind for kind, parts in KINDS.items() if any(part in name for part in parts))


def print_tables(report):
    for batch_size, figures in report["batch_sizes"].items():
        print(f"\nLevel {report['level']}, batches of {batch_size}: milliseconds a step\n")
        total = sum(figures[kind]["median"] for kind in KINDS)
        rows = [["a step", _measuring.spread(figures["a step"], 3), ""]]
        for kind in KINDS:
            share = f"{figures[kind]['median'] / total:.0%}"
            rows.append([kind, _measuring.spread(figures[kind], 3), share])
        print(_measuring.table(["", "median (range of the repeats)", "share"], rows))


def plot(report):
    """Draws the share of each kind, a bar per batch size."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots()
    names = [f"batches of {batch_size}" for batch_size in report["batch_sizes"]]
    left = np.zeros(len(names))
    totals = [
        sum(figures[kind]["median"] for kind in KINDS) for figures in report["batch_sizes"].values()
    ]
    for kind in KINDS:
        medians = [figures[kind]["median"] for figures in report["batch_sizes"].values()]
        share = 100 * np.array(medians) / totals
        axes.barh(names, share, left=left, label=kind)
        left += share
    axes.invert_yaxis()
    axes.set(xlabel="% of the time of all operations", xlim=(0, 100))
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    return figure


if __name__ == "__main__":
    main()
