"""Measures the time from a cold start to a validation error: what a user waits for.

python benchmarks/end_to_end.py                  # about an hour on two cores: three seeds of all
python benchmarks/end_to_end.py --tasks "100 labels" --ways "ours, JAX" --seeds 0
python benchmarks/end_to_end.py --resume         # measures what the file does not hold yet
python benchmarks/end_to_end.py --resume --ablation   # and what each change has gained, seed 0
python benchmarks/end_to_end.py --quick          # small digits, to see that it runs

There are four tasks, each with a recipe and an error on its validation rows:

- all labels: MNIST to 1.3 %, by LeNet-5 (`lenet5-fast`);
- all labels, an SdA: the same by a pretrained stack of dense levels (`sda-fast`);
- 100 labels: MNIST to 2.0 % by a ladder network (`ladder-mnist-100-short`), whose labelled rows the
  seed draws;
- digits, 50 labels: scikit-learn's digits to 5 % by a ladder network (`ladder-digits-50`), and by
  label spreading (`CodeSpreading`), from rows drawn likewise.

Each run is a new process. The clock starts before it does, so that importing, reading data,
building and compiling count; it stops at the end of the first epoch whose validation error is at or
below the mark. The test rows are read once, after the last epoch. Of the digits, where importing
takes most of the time, the table also has the time after the model was built. Seeds take turns with
ways. Plain Keras and PyTorch are stopped after three times the time of ours under TensorFlow.

The rivals: the same network by the same settings in plain Keras (`_plain_keras.py`), and LeNet-5
in PyTorch (`_plain_torch.py`, one seed), where this Python or that of KERAS_SDA_OTHER_PYTHON has
it. With few labels they are scikit-learn's label spreading and an SVM, which have one figure each
and no epochs; so has `CodeSpreading` of this package, on the digits. They and PyTorch read arrays
that were written for them before.

`--ablation` trains, under TensorFlow and with seed 0, what stood before, and then one change after
the other until the recipe of the task is reached; each run ends at the mark.

MNIST comes as for `keras_sda.datasets.load`: set TFDS_DATA_DIR, or it is downloaded.
"""

import statistics
import sys
import tempfile
import time
from typing import NamedTuple

import _measuring
from matplotlib.figure import Figure

NAME = "end_to_end"
OURS, JAX, KERAS, TORCH = "ours, TensorFlow", "ours, JAX", "plain Keras", "PyTorch"
CODES, SPREADING = "ours, CodeSpreading", "label spreading, scikit-learn"
SVM = "SVM, scikit-learn"
TIMES_OURS = 3


class Way(NamedTuple):
    """A function of `_end_to_end_ways.py`, what its process needs, and how many seeds it gets."""

    function: str
    package: str
    backend: str = ""
    seeds: int = 3
    reads_files: bool = False


WAYS = {
    OURS: Way("ours", "tensorflow", "tensorflow"),
    JAX: Way("ours", "jax", "jax"),
    KERAS: Way("plain_keras", "tensorflow", "tensorflow"),
    TORCH: Way("pytorch", "torch", seeds=1, reads_files=True),
    CODES: Way("code_spreading", "tensorflow", "tensorflow", reads_files=True),
    SPREADING: Way("label_spreading", "sklearn", reads_files=True),
    SVM: Way("svm", "sklearn", reads_files=True),
}


class Task(NamedTuple):
    """What is trained, until which validation error, by whom; and what the ablation trains.

    Each entry of that is a recipe with changes by the keys of `Experiment.but`.
    """

    recipe: str
    mark: float
    ways: tuple[str, ...]
    ablation: dict[str, tuple[str, dict]]


ONE_EPOCH = {"pretraining.epochs": 1, "pretraining.batch_size": 128}
SIXTEEN_EPOCHS = {
    "training.epochs": 16,
    "training.batch_size": 128,
    "finetune_noise_level": 0.25,
}
TASKS = {
    "all labels": Task(
        "lenet5-fast",
        0.013,
        (OURS, JAX, KERAS, TORCH),
        {
            "LeNet-5, 20 epochs (lenet5)": ("lenet5", {}),
            "3 epochs (lenet5-fast)": ("lenet5-fast", {}),
        },
    ),
    "all labels, an SdA": Task(
        "sda-fast",
        0.013,
        (OURS, JAX, KERAS),
        {
            "sigmoid units; 15 epochs a level, then 60 (sda)": ("sda", {}),
            "ReLU, batch normalisation, Adam; 5, then 40 (sda-batchnorm)": ("sda-batchnorm", {}),
            "1 epoch a level, in batches of 128, then 40": ("sda-batchnorm", ONE_EPOCH),
            "1 epoch a level, then 16, in batches of 128": (
                "sda-batchnorm",
                ONE_EPOCH | SIXTEEN_EPOCHS,
            ),
            "two levels instead of three (sda-fast)": ("sda-fast", {}),
            "no pretraining": ("sda-fast", {"pretraining": None}),
        },
    ),
    "100 labels": Task(
        "ladder-mnist-100-short",
        0.02,
        (OURS, JAX, SPREADING, SVM),
        {},
    ),
    "digits, 50 labels": Task(
        "ladder-digits-50",
        0.05,
        (OURS, JAX, CODES, SPREADING, SVM),
        {},
    ),
}


def main():
    parser = _measuring.parser(__doc__, repeats=3)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, help="default: all of 0 to repeats - 1")
    parser.add_argument("--ablation", action="store_true", help="measure it instead of the ways")
    _measuring.resume_option(parser)
    options = parser.parse_args()
    report = _measuring.new_report(options)
    report |= {"unit": "seconds", "times_ours": TIMES_OURS}
    found = _measuring.older(options, report, NAME, ("times_ours",))
    report["tasks"] = {name: _task(name, options.quick, found) for name in TASKS}
    measure_ablation(report, options) if options.ablation else measure_ways(report, options)
    report["tasks"] = {n: task for n, task in report["tasks"].items() if _is_measured(task)}
    _measuring.save(report, options.output, NAME, plot(report))
    print_tables(report)


def _task(name, quick, found):
    """Returns the settings of a task, and the runs that an earlier file holds of the same ones."""
    task = {"recipe": TASKS[name].recipe, "mark": 0.6 if quick else TASKS[name].mark}
    task["experiment"] = experiment_of(TASKS[name].recipe, quick)
    del task["experiment"]["seed"]
    before = found.get("tasks", {}).get(name, {})
    is_same = all(before.get(key) == value for key, value in task.items())
    kept = before if is_same else {}
    task |= {"runs": kept.get("runs", {}), "ablation": kept.get("ablation", {})}
    return task | {"summary": _summaries(task["runs"])}


def _is_measured(task):
    return any(task["runs"].values()) or any(task["ablation"].values())


def experiment_of(recipe, quick, changes=None, seed=0):
    """Returns a recipe's experiment with changes, as plain values."""
    from keras_sda import recipes

    found = recipes.get(recipe)
    experiment = (found.quickened() if quick else found).experiment.but(changes or {})
    if quick:
        shorter = {"training.epochs": 4}
        if experiment.pretraining is not None:
            shorter["pretraining.epochs"] = 1
        experiment = experiment.but(shorter)
    return experiment.but({"seed": seed}).to_dict()


def measure_ways(report, options):
    """Measures those seeds of the ways that the report does not hold yet."""
    pythons = {name: _measuring.python_with(way.package) for name, way in WAYS.items()}
    seeds = range(options.repeats) if options.seeds is None else options.seeds
    for name in options.tasks:
        task = report["tasks"][name]
        for seed in seeds:
            for way_name in TASKS[name].ways:
                runs, way = task["runs"].setdefault(way_name, []), WAYS[way_name]
                is_asked = way_name in options.ways and seed < way.seeds
                if not is_asked or pythons[way_name] is None or _has(runs, seed):
                    continue
                experiment = experiment_of(task["recipe"], options.quick, seed=seed)
                limit = None if way.function == "ours" else _limit(task["runs"])
                print(f"{name}: {way_name}, seed {seed}", flush=True)
                run = measure(way, pythons[way_name], experiment, limit)
                _add(report, options, task, runs, {"seed": seed, **run})


def measure_ablation(report, options):
    """Measures, with seed 0, those entries of the ablation that the report does not hold yet."""
    for name in options.tasks:
        task = report["tasks"][name]
        task["ablation"] = {
            title: task["ablation"].get(title, []) for title in TASKS[name].ablation
        }
        # The last first: what stood before takes longer.
        for title, (recipe, changes) in reversed(TASKS[name].ablation.items()):
            runs = task["ablation"][title]
            if _has(runs, 0):
                continue
            experiment = experiment_of(recipe, options.quick, changes)
            print(f"{name}: {title}", flush=True)
            run = measure(WAYS[OURS], sys.executable, experiment, None, task["mark"])
            _add(report, options, task, runs, {"seed": 0, **run})


def _has(runs, seed):
    return any(run["seed"] == seed for run in runs)


def _limit(runs):
    """Returns after how many seconds a rival is stopped, or `None` if ours is not known."""
    times = [run["reached"] for run in runs.get(OURS, []) if run["reached"] is not None]
    return TIMES_OURS * statistics.median(times) if times else None


def measure(way, python, experiment, limit, until=None):
    """Returns what a way measures in a new process, whose clock starts before it does."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if way.backend:
        environment["KERAS_BACKEND"] = way.backend
    script = _measuring.HERE / "_end_to_end_ways.py"
    arguments = {"experiment": experiment, "limit": limit, "until": until}
    with tempfile.TemporaryDirectory() as rows:
        if way.reads_files:
            reading = environment | {"KERAS_BACKEND": "tensorflow"}
            with _measuring.Worker(script, **reading) as worker:
                worker.call("write_rows", experiment=experiment, folder=rows)
            arguments["rows"] = rows
        started = time.time()
        with _measuring.Worker(script, python=python, **environment) as worker:
            return worker.call(way.function, started=started, **arguments)


def _add(report, options, task, runs, run):
    """Adds a run to others of its way in a task, and writes the report."""
    mark = task["mark"]
    reached = next((seconds for seconds, error in run["epochs"] if error <= mark + 1e-6), None)
    runs.append({**run, **_measuring.source(report), "reached": reached})
    runs.sort(key=lambda run: run["seed"])
    task["summary"] = _summaries(task["runs"])
    text = "not reached" if reached is None else f"after {reached:.1f} s"
    print(
        f"  {100 * mark:g} % {text}; ready after {run['ready']:.1f} s, pretrained after "
        f"{run['pretrained']:.1f} s, all {run['finished']:.1f} s; last validation error "
        f"{100 * run['epochs'][-1][1]:.2f} %, test error {100 * run['test_error']:.2f} %",
        flush=True,
    )
    _measuring.save(report, options.output, NAME)


def _summaries(by_way):
    return {name: summary(runs) for name, runs in by_way.items() if runs}


def summary(runs):
    """Returns medians over the seeds; of the time to the mark only if every seed reached it."""
    times = [run["reached"] for run in runs]
    known = None not in times
    after = [run["reached"] - run["ready"] for run in runs] if known else []
    return {
        "seeds": [run["seed"] for run in runs],
        "reached": _measuring.summary(times) if known else None,
        "reached_after_ready": _measuring.summary(after) if known else None,
        "reached_by": sum(time is not None for time in times),
        **{
            key: _measuring.summary([run[key] for run in runs])
            for key in ("ready", "pretrained", "finished", "test_error")
        },
        "valid_error": _measuring.summary([min(e for _, e in run["epochs"]) for run in runs]),
    }


def print_tables(report):
    head = ["way", "s to the mark", "s after start-up", "s to the end"]
    head += ["lowest validation error, %", "test error, %", "seeds"]
    for name, task in report["tasks"].items():
        print(f"\n{name}: {100 * task['mark']:g} % validation error\n")
        found = task["summary"]
        print(_measuring.table(head, [_row(way, each) for way, each in found.items()]))
        if task["ablation"]:
            steps = _summaries(task["ablation"]).items()
            print("\n" + _measuring.table(head, [_row(title, each) for title, each in steps]))


def _row(way, found):
    count = len(found["seeds"])
    times = [found["reached"], found["reached_after_ready"]]
    by = f"by {found['reached_by']} of {count}" if found["reached_by"] else "not reached"
    texts = [by if each is None else _measuring.spread(each, 1) for each in times]
    errors = [f"{100 * found[key]['median']:.2f}" for key in ("valid_error", "test_error")]
    return [way, *texts, _measuring.spread(found["finished"], 1), *errors, count]


def plot(report):
    """Draws the validation error over the time since the cold start, a panel for each task."""
    names = list(report["tasks"])
    figure = Figure(figsize=(8, 3.4 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        task = report["tasks"][name]
        for index, way in enumerate(WAYS):
            for number, run in enumerate(task["runs"].get(way, [])):
                seconds, errors = zip(*run["epochs"], strict=True)
                percent = [100 * error for error in errors]
                label = way if number == 0 else None
                axes.plot(seconds, percent, ".-", color=f"C{index}", label=label)
        axes.axhline(100 * task["mark"], color="grey", linestyle=":")
        axes.set(title=name, xlabel="seconds since the cold start", ylabel="validation error, %")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.set_xlim(left=0)
        axes.legend()
    return figure


if __name__ == "__main__":
    main()
