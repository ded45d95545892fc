"""Measures what training by several workers costs: steps a second, and bytes between them.

python benchmarks/distribution.py            # about 20 minutes on two idle cores
python benchmarks/distribution.py --quick    # tiny, to see that it runs

One level 784-width is pretrained by 1, 2 and 4 processes on this machine, which share its cores and
the rows of every batch of 128. No speed-up is to be had: what grows is the overhead of a step, the
time beyond that of one worker, and it is set against the volume of the all-reduce. `plain` is one
process without a strategy. TensorFlow trains under `MultiWorkerMirroredStrategy`; where JAX is
installed, here or in the Python of KERAS_SDA_OTHER_PYTHON, it trains under Keras' `DataParallel`,
which takes a call for each step.

On paper a ring all-reduce of P bytes of gradients lets each of W workers send 2 (W - 1) / W * P.
Measured is what passes the loopback interface (Linux only), by whomever: let nothing else use it.
`start` and `per_megabyte` are fitted by least squares: overhead = start + per_megabyte * volume.
"""

import contextlib
import os
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import _measuring
import numpy as np
from matplotlib.figure import Figure

NAME = "distribution"
FEATURES, BATCH = 784, 128
WIDTHS, STEPS, EPOCHS = (125, 250, 500, 1000, 2000), 30, 5
QUICK_WIDTHS, QUICK_STEPS, QUICK_EPOCHS = (4, 8), 2, 3
WORKERS = (1, 2, 4)


def main():
    options = _measuring.parser(__doc__, repeats=3).parse_args()
    widths, steps, epochs = WIDTHS, STEPS, EPOCHS
    workers = WORKERS
    if options.quick:
        widths, steps, epochs, workers = QUICK_WIDTHS, QUICK_STEPS, QUICK_EPOCHS, (1, 2)
    report = _measuring.new_report(options)
    report |= {"features": FEATURES, "batch_size": BATCH, "steps": steps, "epochs": epochs}
    pythons = {"tensorflow": sys.executable, "jax": _measuring.python_with("jax")}
    if pythons["jax"] is None:
        print("Skipped JAX, which is not installed")
        del pythons["jax"]
    clusters = {
        name_of(backend, count): (backend, count)
        for backend in pythons
        for count in (None, *workers)
    }
    measured = {}
    for name, (backend, count) in clusters.items():
        with contextlib.ExitStack() as stack:
            started = start(backend, count, pythons[backend])
            cluster = [stack.enter_context(worker) for worker in started]
            for _ in range(options.repeats):
                for width in widths:
                    figures = together(cluster, "train", width=width, steps=steps, epochs=epochs)
                    measured.setdefault((name, width), []).append(figures)
                    print(f"{name} worker(s), {FEATURES}-{width}: {described(figures)}", flush=True)
            together(cluster, "leave")
    report["cells"] = [cell(name, width, measured, *clusters[name]) for name, width in measured]
    report["fitted"] = {
        name: fitted(report["cells"], name)
        for name, (_, count) in clusters.items()
        if count in workers[1:]
    }
    _measuring.save(report, options.output, NAME, plot(report))
    print_tables(report)


def name_of(backend, count):
    """Returns the name of a cluster: of its number of workers, `None` if there is no strategy."""
    return ("plain" if count is None else str(count)) + (", JAX" if backend == "jax" else "")


def start(backend, count, python):
    """Starts the processes of a cluster, or the one that has no strategy."""
    from keras_sda_cli.launching import free_addresses, worker_environment

    kept = {"python": python, "KERAS_BACKEND": backend}
    if count is None:
        return [_measuring.Worker(__file__, "--serve", **kept)]
    addresses = free_addresses(count)
    environment_of = worker_environment if backend == "tensorflow" else jax_environment
    return [
        _measuring.Worker(__file__, "--serve", **kept, **environment_of(addresses, number))
        for number in range(count)
    ]


def jax_environment(addresses, number):
    """Returns what `keras.distribution.initialize` reads in one of the processes."""
    return {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": addresses[0],
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(len(addresses)),
        "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "JAX_PLATFORMS": "cpu",
    }


def together(cluster, function, **arguments):
    """Calls a function in all workers at once; returns what it returns in the first one."""
    with ThreadPoolExecutor(len(cluster)) as pool:
        calls = [pool.submit(worker.call, function, **arguments) for worker in cluster]
        first, *_ = [call.result() for call in calls]
    return first


def train(width, steps, epochs):
    """Pretrains one level in this process; returns the seconds and loopback bytes of a step."""
    import keras

    import keras_sda as ks

    class Bytes(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.ends = []

        def on_epoch_end(self, epoch, logs=None):
            self.ends.append(loopback_bytes())

    x = np.random.default_rng(0).random((steps * BATCH, FEATURES), dtype="float32")
    timer, traffic = _measuring.epoch_timer(), Bytes()
    with scope():
        layer = ks.layers.TiedDense(width)
        layer.build((None, FEATURES))
        ks.pretrain_layers(
            [layer],
            x,
            noise=ks.layers.MaskingNoise(0.3, seed=0),
            epochs=epochs,
            batch_size=BATCH,
            optimizer="sgd",
            learning_rate=0.01,
            callbacks=lambda level: [timer, traffic],
            verbose=0,
            seed=0,
        )
    sent = None
    if traffic.ends[0] is not None:
        sent = (traffic.ends[-1] - traffic.ends[0]) / (len(traffic.ends) - 1) / steps
    parameters = sum(weight.size for weight in layer.get_weights())
    return {
        "seconds": statistics.median(timer.seconds) / steps,
        "loopback": sent,
        "parameters": parameters,
    }


_STRATEGIES = []


def scope():
    """Enters the scope of this process's strategy, which can be made only once."""
    if "TF_CONFIG" in os.environ:
        if not _STRATEGIES:
            from keras_sda.backend.tensorflow.strategies import make_strategy

            _STRATEGIES.append(make_strategy("multi_worker"))
        return _STRATEGIES[0].scope()
    if "KERAS_DISTRIBUTION_PROCESS_ID" in os.environ:
        import keras

        if not _STRATEGIES:
            keras.distribution.initialize()
            _STRATEGIES.append(keras.distribution.DataParallel())
        return _STRATEGIES[0].scope()
    return contextlib.nullcontext()


def leave():
    """Parts from the other processes, for which JAX would wait at the end of this one."""
    if "KERAS_DISTRIBUTION_PROCESS_ID" in os.environ:
        import jax

        jax.distributed.shutdown()


def loopback_bytes():
    """Returns how many bytes the loopback interface has carried, or `None` where it is not told."""
    path = Path("/proc/net/dev")
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == "lo":
            return int(counts.split()[0])
    return None


def described(figures):
    sent = figures["loopback"]
    volume = "unknown" if sent is None else f"{sent / 1e6:.2f}"
    return f"{1000 * figures['seconds']:.2f} ms a step, {volume} MB a step on loopback"


def cell(name, width, measured, backend, count):
    """Returns the figures of one cluster on one level."""
    repeats = measured[name, width]
    seconds = [figures["seconds"] for figures in repeats]
    alone = [figures["seconds"] for figures in measured[name_of(backend, 1), width]]
    size = 4 * repeats[0]["parameters"]
    count = count or 1
    sent = [figures["loopback"] for figures in repeats if figures["loopback"] is not None]
    return {
        "workers": name,
        "width": width,
        "parameters": repeats[0]["parameters"],
        "steps_a_second": _measuring.summary([1 / value for value in seconds]),
        "overhead": _measuring.summary(
            [ours - one for ours, one in zip(seconds, alone, strict=True)]
        ),
        "sent_by_a_worker_on_paper": 2 * (count - 1) / count * size,
        "on_loopback_on_paper": 2 * (count - 1) * size,
        "on_loopback": _measuring.summary(sent) if sent else None,
    }


def fitted(cells, name):
    """Returns the line that overhead follows over the volume that a worker sends."""
    ours = [one for one in cells if one["workers"] == name]
    volumes = [one["sent_by_a_worker_on_paper"] / 1e6 for one in ours]
    overheads = [one["overhead"]["median"] for one in ours]
    slope, start = statistics.linear_regression(volumes, overheads)
    return {"start": start, "per_megabyte": slope}


def print_tables(report):
    rows = []
    for one in report["cells"]:
        sent = one["on_loopback"]
        rows.append(
            [
                one["workers"],
                f"{report['features']}-{one['width']}",
                _measuring.spread(one["steps_a_second"], 1),
                f"{1000 * one['overhead']['median']:.2f}",
                f"{one['on_loopback_on_paper'] / 1e6:.2f}",
                "unknown" if sent is None else f"{sent['median'] / 1e6:.2f}",
            ]
        )
    head = ["workers", "level", "steps a second", "overhead, ms", "MB on paper", "MB measured"]
    print("\n" + _measuring.table(head, rows))
    for name, line in report["fitted"].items():
        print(
            f"{name} workers: overhead {1000 * line['start']:.2f} ms + "
            f"{1000 * line['per_megabyte']:.2f} ms a megabyte that a worker sends"
        )


def plot(report):
    """Draws steps a second over the width, and overhead over volume."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    speed, overhead = figure.subplots(1, 2)
    for name in dict.fromkeys(one["workers"] for one in report["cells"]):
        ours = [one for one in report["cells"] if one["workers"] == name]
        widths = [one["width"] for one in ours]
        speed.plot(
            widths,
            [one["steps_a_second"]["median"] for one in ours],
            "o-",
            label=f"workers: {name}",
        )
        if name in report["fitted"]:
            volumes = [one["sent_by_a_worker_on_paper"] / 1e6 for one in ours]
            medians = [1000 * one["overhead"]["median"] for one in ours]
            overhead.plot(volumes, medians, "o-", label=f"workers: {name}")
    speed.set(xscale="log", yscale="log", xlabel="hidden units", ylabel="steps a second")
    overhead.set(xlabel="MB that each worker sends in a step", ylabel="overhead of a step, ms")
    speed.set_xticks(widths, map(str, widths))
    speed.minorticks_off()
    for axes in (speed, overhead):
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


if __name__ == "__main__":
    _measuring.main_or_serve(main, train=train, leave=leave)
