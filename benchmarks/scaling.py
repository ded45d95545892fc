"""Measures how time and memory of pretraining grow with rows, width, depth and batch size.

python benchmarks/scaling.py                        # about 15 minutes a repeat on two cores
python benchmarks/scaling.py --only rows cache --repeats 1
python benchmarks/scaling.py --resume --only width   # keeps the others that the file holds
python benchmarks/scaling.py --quick                # tiny, to see that it runs

Synthetic rows of 784 float32 features, SGD, masking noise. Each point is a process of its own, so
that its memory is its own. It pretrains on two batches first, which compiles everything and is the
start-up that is taken off; then on all rows, for two epochs a level. From 100,000 rows on, these
lie in a memory-mapped file. Reported are

- the seconds of an epoch, all levels together, after the first epoch;
- the seconds of the whole `pretrain_layers` less those of the start-up, codes included;
- the peak of anonymous memory less that after the start-up (Linux only).

Exponents p of `cost = c * size ** p` are fitted by least squares on the logarithms, over the upper
part of the sizes, where the costs of every epoch and every step are no longer most of it. Growth
in width is that of one level 784-width; `cache` modes are compared at the largest number of rows.
"""

import contextlib
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import _measuring
import numpy as np
from matplotlib.figure import Figure

NAME = "scaling"
FEATURES = 784
POINT = {"rows": 20_000, "units": [500, 500], "batch_size": 128, "cache": "auto"}
# What grows, its points (as changes of POINT), and from which size on the exponent is fitted.
SERIES = {
    "rows": ([{"rows": n} for n in (10**3, 10**4, 3 * 10**4, 10**5, 3 * 10**5, 10**6)], 10**4),
    "width": ([{"units": [n]} for n in (250, 500, 1000, 2000, 4000)], 500),
    "depth": ([{"units": [500] * n} for n in (1, 2, 3, 4, 6)], 1),
    "batch": ([{"batch_size": n} for n in (16, 32, 64, 128, 256, 512, 1024)], 16),
    "cache": ([{"rows": 10**6, "cache": mode} for mode in ("memory", "disk", "recompute")], None),
}
QUICK_POINT = {"rows": 400, "units": [8, 8], "batch_size": 20, "cache": "auto"}
QUICK_SERIES = {
    "rows": ([{"rows": n} for n in (400, 800)], 1),
    "width": ([{"units": [n]} for n in (8, 16)], 1),
    "depth": ([{"units": [8] * n} for n in (1, 2)], 1),
    "batch": ([{"batch_size": n} for n in (20, 40)], 1),
    "cache": ([{"cache": mode} for mode in ("memory", "disk", "recompute")], None),
}
COSTS = {
    "epoch": "seconds of an epoch",
    "whole": "seconds of all, less start-up",
    "memory": "MiB beyond start-up",
}


def main():
    parser = _measuring.parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=SERIES, default=list(SERIES))
    _measuring.resume_option(parser)
    parser.add_argument(
        "--scratch", help="folder for files of up to 8 GB; default: a temporary one"
    )
    options = parser.parse_args()
    point, series = (QUICK_POINT, QUICK_SERIES) if options.quick else (POINT, SERIES)
    series = {name: series[name] for name in options.only}
    report = _measuring.new_report(options)
    report |= {"features": FEATURES, "point": point, "costs": COSTS}
    found = _measuring.older(options, report, NAME, ("features", "point"))
    report["series"] = found.get("series", {})
    measured = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=options.scratch))
        # Where figures mean nothing, one process does for all points.
        shared = stack.enter_context(new_worker()) if options.quick else None
        for repeat in range(options.repeats):
            print(f"Repeat {repeat + 1} of {options.repeats}", flush=True)
            for name, (changes, _) in series.items():
                for change in changes:
                    figures = measured_point({**point, **change}, folder, shared)
                    measured.setdefault((name, str(change)), []).append(figures)
                    print(f"  {name} {label(name, change)}: {described(figures)}", flush=True)
            report["series"] |= {
                name: {**_measuring.source(report), **summary(name, measured, *content)}
                for name, content in series.items()
            }
            _measuring.save(report, options.output, NAME)
    _measuring.save(report, options.output, NAME, plot(report))
    print_tables(report)


def size(name, change):
    """Returns how large a point is in what its series lets grow."""
    (value,) = [value for key, value in change.items() if (name, key) != ("cache", "rows")]
    return {"width": lambda: value[0], "depth": lambda: len(value)}.get(name, lambda: value)()


def label(name, change):
    value = size(name, change)
    return value if isinstance(value, str) else f"{value:,}"


def new_worker():
    return _measuring.Worker(__file__, "--serve")


def measured_point(point, folder, shared):
    """Measures one point in a new process, or in a shared one."""
    path = Path(folder) / f"{point['rows']}.npy"
    if not path.exists():
        write_rows(path, point["rows"])
    with contextlib.nullcontext(shared) if shared else new_worker() as worker:
        return worker.call("pretrain", **point, path=str(path), folder=folder)


def write_rows(path, rows):
    """Writes random rows in [0, 1], a part at a time."""
    array = np.lib.format.open_memmap(path, "w+", "float32", (rows, FEATURES))
    rng = np.random.default_rng(0)
    for start in range(0, rows, 10_000):
        part = array[start : start + 10_000]
        rng.random(dtype="float32", out=part)
    array.flush()


def pretrain(rows, units, batch_size, cache, path, folder, epochs=2):
    """Pretrains in this process, and returns seconds and bytes."""
    x = np.load(path, mmap_mode="r") if rows >= 100_000 else np.load(path)
    run(x[: 2 * batch_size], units, batch_size, cache, folder, epochs=1)  # libraries load
    _, start_up = run(x[: 2 * batch_size], units, batch_size, cache, folder, epochs)
    with _measuring.PeakMemory() as memory:
        epoch, whole = run(x, units, batch_size, cache, folder, epochs)
    used = None if memory.start is None else (memory.peak - memory.start) / 2**20
    return {"epoch": epoch, "whole": whole - start_up, "start_up": start_up, "memory": used}


def run(x, units, batch_size, cache, folder, epochs):
    """Pretrains once; returns the seconds of an epoch after the first, and of everything."""
    import keras_sda as ks

    layers, timers = [], [_measuring.epoch_timer() for _ in units]
    for width, count in itertools.pairwise([FEATURES, *units]):
        layers.append(ks.layers.TiedDense(count))
        layers[-1].build((None, width))
    start = time.perf_counter()
    ks.pretrain_layers(
        layers,
        x,
        noise=ks.layers.MaskingNoise(0.3, seed=0),
        epochs=epochs,
        batch_size=batch_size,
        optimizer="sgd",
        learning_rate=0.01,
        callbacks=lambda level: [timers[level]],
        cache=cache,
        cache_dir=folder,
        verbose=0,
        seed=0,
    )
    whole = time.perf_counter() - start
    return sum(statistics.median(timer.seconds or [0.0]) for timer in timers), whole


def described(figures):
    if figures is None:
        return "not available"
    memory = figures["memory"]
    return (
        f"{figures['epoch']:.2f} s an epoch, all {figures['whole']:.1f} s, "
        f"{'unknown' if memory is None else f'{memory:,.0f}'} MiB"
    )


def summary(name, measured, changes, fit_from):
    """Returns the figures of every point of a series, and the exponents."""
    points = []
    for change in changes:
        repeats = [figures for figures in measured[name, str(change)] if figures is not None]
        costs = {}
        for cost in COSTS:
            values = [figures[cost] for figures in repeats if figures[cost] is not None]
            costs[cost] = _measuring.summary(values) if values else None
        points.append({"size": size(name, change), "available": bool(repeats), **costs})
    content = {"points": points}
    if fit_from is not None:
        content |= {"fitted_from": fit_from, "exponents": exponents(points, fit_from)}
    return content


def exponents(points, fit_from):
    fitted = [point for point in points if point["size"] >= fit_from]
    found = {}
    for cost in COSTS:
        known = [(p["size"], p[cost]["median"]) for p in fitted if p[cost] is not None]
        # Differences from the start-up can be zero or below where nearly nothing was added.
        positive = len(known) > 1 and all(value > 0 for _, value in known)
        found[cost] = _measuring.exponent(*zip(*known, strict=True)) if positive else None
    return found


def print_tables(report):
    for name, series in report["series"].items():
        rows = []
        for point in series["points"]:
            size = point["size"] if name == "cache" else f"{point['size']:,}"
            if point["available"]:
                known = [(point[cost], 2 if cost == "epoch" else 1) for cost in COSTS]
                rows.append(
                    [size, *("unknown" if f is None else _measuring.spread(f, d) for f, d in known)]
                )
            else:
                rows.append([size, "not available", "", ""])
        print("\n" + _measuring.table([name, *COSTS.values()], rows))
        for cost, value in series.get("exponents", {}).items():
            text = "not to be fitted" if value is None else f"{value:.2f}"
            print(f"exponent of {COSTS[cost]}: {text} ({name} from {series['fitted_from']:,})")


def plot(report):
    """Draws time and memory over what grows; the cache modes as bars."""
    names = list(report["series"])
    figure = Figure(figsize=(4.2 * len(names), 7), layout="constrained")
    panels = figure.subplots(2, len(names), squeeze=False)
    for column, name in enumerate(names):
        series = report["series"][name]
        for axes, cost in zip(panels[:, column], ("epoch", "memory"), strict=True):
            points = [point for point in series["points"] if point[cost] is not None]
            sizes = [point["size"] for point in points]
            medians = [point[cost]["median"] for point in points]
            axes.set_ylabel(COSTS[cost])
            if name == "cache":
                axes.bar(sizes, medians)
                continue
            axes.plot(sizes, medians, "o-")
            axes.set(xscale="log", xlabel=name)
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=30)
            axes.minorticks_off()
            if medians and min(medians) > 0:
                axes.set_yscale("log")
            exponent = series["exponents"][cost]
            if exponent is not None:
                axes.set_title(f"exponent {exponent:.2f} from {series['fitted_from']:,}")
    return figure


if __name__ == "__main__":
    _measuring.main_or_serve(main, pretrain=pretrain)
