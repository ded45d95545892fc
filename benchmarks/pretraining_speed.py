"""Measures how fast levels are pretrained: samples a second, against rivals and the limit.

python benchmarks/pretraining_speed.py                  # about 50 minutes on two cores
python benchmarks/pretraining_speed.py --batch-sizes 128 --optimizers sgd --levels 784-1000
python benchmarks/pretraining_speed.py --resume         # keeps what the file already holds
python benchmarks/pretraining_speed.py --quick          # tiny, to see that it runs

Levels 784-1000 and 1000-1000, batches of 1, 20, 128 and 512, SGD and Adam; masking noise 0.3,
sigmoid, summed cross-entropy, float32. Ours is `pretrain_layers` on TensorFlow and on JAX. Against
it: the plain Keras way (`_plain_keras.py`), a PyTorch loop written by hand, scikit-learn's
`MLPRegressor` and PyOD's `AutoEncoder`; the last two have squared error and untied kernels, as they
know no others. What is not installed is left out: `pip install jax pyod torch==2.13.0`.

Let nothing else run meanwhile: PyTorch and NumPy, whose threads wait for each other in every single
product, lose most where a core is shared, and the ratios would flatter the others.

Each library runs in a worker process of its own, one contestant at a time on all cores. They take
turns: a repeat measures each of them once. A measurement drops its first epoch, in which graphs
are traced and compiled, and takes the fastest of the following four, each about half a second:
what else the machine does for a moment then counts for none of them.

The limit is the time of the five float32 matrix products of a tied step, each in the best of NumPy,
TensorFlow and JAX, measured in the same turns.

Last, whole pretraining of 784-1000-1000-1000 in batches of 20 and of 128, in which nothing is
dropped: building, compiling, computing codes. The plain way recomputes the lower levels for every
batch there.
"""

import contextlib
import statistics

import _contestants
import _measuring
from matplotlib.figure import Figure

NAME = "pretraining_speed"
LEVELS = {"784-1000": (784, 1000), "1000-1000": (1000, 1000)}
# Rows of an epoch, in whole executions of 50 steps: half a second or less for ours.
ROWS = {1: 400, 20: 6_000, 128: 12_800, 512: 25_600}
# Rows for whole pretraining.
WHOLE_ROWS = {20: 10_000, 128: 20_000}
OPTIMIZERS = ("sgd", "adam")
OURS = ("ours, TensorFlow", "ours, JAX")
WHOLE = (*OURS, "plain Keras", "plain Keras, steps_per_execution=50")


def main():
    options = arguments()
    sizes = {"epochs": 4, "product_seconds": 0.1}
    whole = [
        {"rows": n, "batch_size": b, "units": 1000, "epochs": 5} for b, n in WHOLE_ROWS.items()
    ]
    levels = {name: LEVELS[name] for name in options.levels}
    rows = {batch: ROWS[batch] for batch in options.batch_sizes}
    optimizers = options.optimizers
    if options.quick:
        sizes = {"epochs": 1, "product_seconds": 0.001}
        whole = [{"rows": 256, "batch_size": 20, "units": 8, "epochs": 1}]
        levels, rows, optimizers = {"12-8": (12, 8)}, {20: 100}, ["sgd"]
    report = _measuring.new_report(options)
    report |= {"unit": "samples a second", **sizes, "contestants": {}}
    report |= {"cells": [], "three_levels": []}
    found = _measuring.older(options, report, NAME, ("versions", *sizes))
    report |= {name: found[name] for name in ("cells", "three_levels") if name in found}
    with contextlib.ExitStack() as stack:
        workers = started_workers(stack, report)
        for level, (inputs, units) in levels.items():
            for batch_size in rows:
                for optimizer in optimizers:
                    cell = {"level": level, "batch_size": batch_size, "optimizer": optimizer}
                    cell["rows"] = rows[batch_size]
                    if holds(report["cells"], cell):
                        continue
                    task = _contestants.Task(inputs, units, batch_size, optimizer, rows[batch_size])
                    print(f"{level}, batches of {batch_size}, {optimizer}", flush=True)
                    cell |= measured_cell(workers, task, options.repeats, **sizes)
                    report["cells"].append(cell)
                    _measuring.save(report, options.output, NAME)
        for task in whole:
            if holds(report["three_levels"], task):
                continue
            print(f"Three levels: {task}", flush=True)
            measured = pretrained(workers, task, options)
            report["three_levels"].append({**task, "unit": "seconds", **measured})
            _measuring.save(report, options.output, NAME)
    report["cells"].sort(key=lambda cell: (cell["level"], cell["batch_size"], cell["optimizer"]))
    _measuring.save(report, options.output, NAME, plot(report))
    print_tables(report)


def arguments():
    parser = _measuring.parser(__doc__)
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--batch-sizes", nargs="+", type=int, choices=ROWS, default=list(ROWS))
    parser.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, default=list(OPTIMIZERS))
    _measuring.resume_option(parser)
    return parser.parse_args()


def holds(measured, task):
    return any(task.items() <= entry.items() for entry in measured)


def started_workers(stack, report):
    """Starts a process per library that is there; notes in the report who takes part."""
    workers = {}
    for name, contestant in _contestants.CONTESTANTS.items():
        there = _measuring.is_installed(*contestant.packages)
        report["contestants"][name] = "measured" if there else "not installed"
        if there and contestant.worker not in workers:
            worker = _measuring.Worker(
                _contestants.__file__, **_contestants.WORKERS[contestant.worker]
            )
            workers[contestant.worker] = stack.enter_context(worker)
    return workers


def measured_cell(workers, task, repeats, epochs, product_seconds):
    """Measures all contestants in turns, and returns figures, failures, limits and ratios."""
    samples = {name: [] for name, who in _contestants.CONTESTANTS.items() if who.worker in workers}
    samples = {
        name: values
        for name, values in samples.items()
        if _measuring.is_installed(*_contestants.CONTESTANTS[name].packages)
    }
    products = {name: [] for name, worker in _contestants.PRODUCTS.items() if worker in workers}
    failures = {}
    for repeat in range(repeats):
        for name in [name for name in samples if name not in failures]:
            worker = workers[_contestants.CONTESTANTS[name].worker]
            try:
                speed = worker.call("measure", contestant=name, task=task, epochs=epochs)
            except _measuring.WorkerError as error:
                failures[name] = str(error)
                continue
            samples[name].append(speed)
        for library, seconds in products.items():
            worker = workers[_contestants.PRODUCTS[library]]
            seconds.append(
                worker.call("products", library=library, task=task, seconds=product_seconds)
            )
        done = [f"{name} {values[-1]:,.0f}" for name, values in samples.items() if values]
        print(f"  {repeat + 1} of {repeats}: {'; '.join(done)}", flush=True)
    samples = {name: values for name, values in samples.items() if name not in failures}
    limits = limits_of(products, task)
    limit = limits["best of each product"]
    rivals = {name: values for name, values in samples.items() if name not in OURS}
    ratios = {
        name: {
            **{rival: _measuring.ratios(samples[name], values) for rival, values in rivals.items()},
            "limit": _measuring.ratios(samples[name], limit),
        }
        for name in OURS
        if name in samples
    }
    return {
        "samples_a_second": summaries(samples),
        "failures": failures,
        "limits": summaries(limits),
        "gflops": best_gflops(products, task),
        "ratios": ratios,
    }


def summaries(values):
    return {name: _measuring.summary(numbers) for name, numbers in values.items()}


def limits_of(products, task):
    """Returns samples a second if a step were its matrix products and nothing else, per repeat."""
    limits = {
        library: [task.batch_size / sum(five) for five in repeats]
        for library, repeats in products.items()
    }
    limits["best of each product"] = [
        task.batch_size / sum(map(min, zip(*same_repeat, strict=True)))
        for same_repeat in zip(*products.values(), strict=True)
    ]
    return limits


def best_gflops(products, task):
    """Returns the best rate of each of the five products, in 10^9 operations a second."""
    operations = 2 * task.batch_size * task.inputs * task.units
    fastest = [
        min(statistics.median(times) for times in libraries)
        for libraries in zip(
            *(zip(*repeats, strict=True) for repeats in products.values()), strict=True
        )
    ]
    return [operations / seconds / 1e9 for seconds in fastest]


def pretrained(workers, task, options):
    """Pretrains three levels in turns, and returns the seconds and how much longer rivals take."""
    names = [name for name in WHOLE if _contestants.CONTESTANTS[name].worker in workers]
    seconds = {name: [] for name in names}
    for repeat in range(options.repeats):
        for name in names:
            worker = workers[_contestants.CONTESTANTS[name].worker]
            seconds[name].append(worker.call("three_levels", contestant=name, **task))
        done = [f"{name} {values[-1]:.1f} s" for name, values in seconds.items()]
        print(f"  {repeat + 1} of {options.repeats}: {'; '.join(done)}", flush=True)
    plain = [name for name in names if name not in OURS]
    return {
        "seconds": summaries(seconds),
        "speed_up": {
            name: {rival: _measuring.ratios(seconds[rival], seconds[name]) for rival in plain}
            for name in names
            if name in OURS
        },
    }


def print_tables(report):
    print("\nSamples a second, median (range of the repeats)\n")
    rows = []
    for cell in report["cells"]:
        where = [cell["level"], cell["batch_size"], cell["optimizer"]]
        figures = {**cell["samples_a_second"], "limit": cell["limits"]["best of each product"]}
        rows += [
            [*where, name, _measuring.spread(figure), *ratio_columns(cell, name)]
            for name, figure in figures.items()
        ]
        rows += [[*where, name, "failed", "", ""] for name in cell["failures"]]
    head = ["level", "batch", "optimizer", "who", "samples a second"]
    print(_measuring.table([*head, "TensorFlow: ours / it", "JAX: ours / it"], rows))
    missing = [name for name, state in report["contestants"].items() if state == "not installed"]
    if missing:
        print(f"\nNot installed: {', '.join(missing)}")
    print("\nThree levels, whole pretraining: seconds, and how many times as long as ours\n")
    rows = [
        [three["batch_size"], name, _measuring.spread(figure, 1)]
        + [
            _measuring.spread(three["speed_up"][ours][name], 2)
            if name in three["speed_up"].get(ours, {})
            else ""
            for ours in OURS
        ]
        for three in report["three_levels"]
        for name, figure in three["seconds"].items()
    ]
    print(_measuring.table(["batch", "who", "seconds", "/ ours, TensorFlow", "/ ours, JAX"], rows))


def ratio_columns(cell, name):
    columns = []
    for ours in OURS:
        ratio = cell["ratios"].get(ours, {}).get(name)
        columns.append("" if ratio is None else _measuring.spread(ratio, 2))
    return columns


def plot(report):
    """Draws samples a second over the batch size: a panel per level and optimizer."""
    panels = sorted({(cell["level"], cell["optimizer"]) for cell in report["cells"]}, reverse=True)
    figure = Figure(figsize=(5.5 * len(panels), 5.5), layout="constrained")
    for axes, panel in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True
    ):
        cells = [cell for cell in report["cells"] if (cell["level"], cell["optimizer"]) == panel]
        names = [name for name, state in report["contestants"].items() if state == "measured"]
        for name in names:
            points = [
                (cell["batch_size"], cell["samples_a_second"][name])
                for cell in cells
                if name in cell["samples_a_second"]
            ]
            draw(axes, points, name, "o-" if name in OURS else "o--")
        limits = [(cell["batch_size"], cell["limits"]["best of each product"]) for cell in cells]
        draw(axes, limits, "matrix products alone", "k:")
        axes.set(title=f"{panel[0]}, {panel[1]}", xlabel="rows in a batch", xscale="log")
        batches = [cell["batch_size"] for cell in cells]
        axes.set_xticks(batches, [str(batch) for batch in batches])
        axes.minorticks_off()
        axes.set_yscale("log")
    figure.axes[0].set_ylabel("samples a second")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    columns = min(5, 2 * len(panels))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize="small")
    return figure


def draw(axes, points, label, style):
    """Draws medians with the range of the repeats."""
    x = [batch for batch, _ in points]
    medians = [figure["median"] for _, figure in points]
    below = [figure["median"] - figure["lowest"] for _, figure in points]
    above = [figure["highest"] - figure["median"] for _, figure in points]
    axes.errorbar(x, medians, yerr=[below, above], fmt=style, capsize=3, label=label)


if __name__ == "__main__":
    main()
