"""Measures the time from a cold start to 1.5 % and to 1.3 % error on MNIST.

python benchmarks/end_to_end.py                  # some 10 to 15 minutes a run, one run per way
python benchmarks/end_to_end.py --repeats 3      # three seeds
python benchmarks/end_to_end.py --resume --ways "ours, JAX"   # keeps the others of the file
python benchmarks/end_to_end.py --quick          # small digits, to see that it runs

A network 784-1000-1000-1000-10 is pretrained and fine-tuned by the settings of the recipe `sda`:
by this package, and the plain Keras way (`_plain_keras.py`) with the same settings. Each run is a
new process. The clock starts before it does, so that importing, reading data, building and
compiling count; it stops at the end of the first epoch whose error on the validation rows is at or
below the mark. Both keep the weights of the best epoch, with which the test rows are read once, at
the end. Repeats are seeds, from 0; the ways take turns. Validation rows come in batches of 1,024,
since XLA multiplies slowly on processors where a batch has as many rows as a level has units.

MNIST comes as for `keras_sda.datasets.load`: set TFDS_DATA_DIR, or it is downloaded.
"""

import time

import _measuring
from matplotlib.figure import Figure

NAME = "end_to_end"
WAYS = {
    "ours, TensorFlow": ("ours", "tensorflow"),
    "ours, JAX": ("ours", "jax"),
    "plain Keras": ("plain", "tensorflow"),
}
MARKS = (0.015, 0.013)
QUICK_MARKS = (0.5, 0.2)


def main():
    parser = _measuring.parser(__doc__, repeats=1)
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=["ours, TensorFlow", "plain Keras"]
    )
    _measuring.resume_option(parser)
    options = parser.parse_args()
    marks = QUICK_MARKS if options.quick else MARKS
    report = _measuring.new_report(options)
    report |= {"recipe": "sda", "unit": "seconds", "marks": list(marks)}
    found = _measuring.older(options, report, NAME, ("recipe", "marks"))
    kept = found.get("runs", {}) | {name: [] for name in options.ways}
    report["runs"] = {name: kept[name] for name in WAYS if name in kept}
    for seed in range(options.repeats):
        for name in options.ways:
            print(f"{name}, seed {seed}", flush=True)
            way, backend = WAYS[name]
            started = time.time()
            with _measuring.Worker(__file__, "--serve", KERAS_BACKEND=backend) as worker:
                run = worker.call("train", way=way, started=started, seed=seed, quick=options.quick)
            run |= _measuring.source(report)
            run["reached"] = [reached(run["epochs"], mark) for mark in marks]
            report["runs"][name].append(run)
            print(f"  {describe(run, marks)}", flush=True)
            _measuring.save(report, options.output, NAME)
    report["summary"] = {name: summary(runs, marks) for name, runs in report["runs"].items()}
    _measuring.save(report, options.output, NAME, plot(report))
    print_tables(report)


def reached(epochs, mark):
    """Returns the seconds until the validation error was at or below the mark, or `None`."""
    return next((seconds for seconds, error in epochs if error <= mark), None)


def describe(run, marks):
    times = [
        f"{100 * mark:g} % {'not reached' if seconds is None else f'after {seconds:.0f} s'}"
        for mark, seconds in zip(marks, run["reached"], strict=True)
    ]
    return (
        f"validation error {'; '.join(times)}; pretrained after {run['pretrained']:.0f} s, all "
        f"{run['finished']:.0f} s; test error {100 * run['test_error']:.2f} %"
    )


def summary(runs, marks):
    """Returns medians over the seeds; of a mark only if every seed reached it."""
    content = {
        "test_error": _measuring.summary([run["test_error"] for run in runs]),
        "valid_error": _measuring.summary([min(e for _, e in run["epochs"]) for run in runs]),
        "pretrained": _measuring.summary([run["pretrained"] for run in runs]),
        "finished": _measuring.summary([run["finished"] for run in runs]),
        "reached": {},
    }
    for index, mark in enumerate(marks):
        times = [run["reached"][index] for run in runs]
        known = None not in times
        content["reached"][f"{100 * mark:g} %"] = _measuring.summary(times) if known else None
    return content


def print_tables(report):
    rows = []
    for name, figures in report["summary"].items():
        times = figures["reached"].values()
        rows.append(
            [name]
            + ["not by all" if time is None else _measuring.spread(time) for time in times]
            + [_measuring.spread(figures[key]) for key in ("pretrained", "finished")]
            + [f"{100 * figures[key]['median']:.2f}" for key in ("valid_error", "test_error")]
        )
    marks = [f"s to {100 * mark:g} %" for mark in report["marks"]]
    head = [
        "way",
        *marks,
        "s to pretrained",
        "s to the end",
        "validation error, %",
        "test error, %",
    ]
    print("\n" + _measuring.table(head, rows))


def plot(report):
    """Draws the validation error over the time since the cold start."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for index, (name, runs) in enumerate(report["runs"].items()):
        for seed, run in enumerate(runs):
            minutes = [seconds / 60 for seconds, _ in run["epochs"]]
            errors = [100 * error for _, error in run["epochs"]]
            label = name if seed == 0 else None
            axes.plot(minutes, errors, ".-", color=f"C{index}", label=label)
    for mark in report["marks"]:
        axes.axhline(100 * mark, color="grey", linestyle=":")
    axes.set(xlabel="minutes since the cold start", ylabel="validation error, %", yscale="log")
    # The marks and the ends, in plain numbers.
    low, high = axes.get_ylim()
    axes.set_yticks([low, *(100 * mark for mark in report["marks"]), high], minor=False)
    axes.yaxis.set_major_formatter("{x:.2g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_xlim(left=0)
    axes.legend()
    return figure


def train(way, started, seed, quick):
    """Trains one network in this process; returns the time and the error of every epoch."""
    import keras

    from keras_sda import recipes
    from keras_sda.datasets.batches import BATCH_SIZE
    from keras_sda.experiments.running import load_data
    from keras_sda.training.optimizers import make_optimizer

    experiment = recipes.get("sda").experiment
    if quick:
        quickened = recipes.get("sda").quickened().experiment
        experiment = quickened.but({"pretraining.epochs": 1, "training.epochs": 4})
    experiment = experiment.but({"seed": seed})
    data = load_data(experiment)
    epochs = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            epochs.append([time.time() - started, 1 - float(logs["val_accuracy"])])

    ways = {"ours": our_network, "plain": plain_network}
    model, keep_best = ways[way](experiment, data)
    pretrained = time.time() - started
    how = experiment.training
    steps = how.num_steps(len(data.train.x))
    optimizer = make_optimizer(
        how.optimizer, how.learning_rate, how.schedule, steps, **how.optimizer_options
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        *data.train,
        epochs=how.epochs,
        batch_size=how.batch_size,
        validation_data=tuple(data.valid),
        validation_batch_size=BATCH_SIZE,
        callbacks=[Clock(), keep_best],
        verbose=2,
    )
    _, accuracy = model.evaluate(*data.test, batch_size=BATCH_SIZE, verbose=0)
    return {
        "seed": seed,
        "epochs": epochs,
        "pretrained": pretrained,
        "finished": time.time() - started,
        "test_error": 1 - float(accuracy),
    }


def our_network(experiment, data):
    """Returns the pretrained network of this package, and the callback that keeps the best."""
    from keras_sda.callbacks import PatienceStopping
    from keras_sda.experiments import zoo

    model = zoo.build(experiment, data, num_classes=10)
    model.pretrain(data.train.x, **vars(experiment.pretraining), verbose=2)
    return model, PatienceStopping(patience=experiment.training.epochs)


def plain_network(experiment, data):
    """Returns the same network as one would write it with Keras alone, pretrained."""
    import _plain_keras
    import keras

    keras.utils.set_random_seed(experiment.seed)
    arguments, options = experiment.model.options, dict(vars(experiment.pretraining))
    initializer = keras.initializers.VarianceScaling(16.0, "fan_avg", "uniform")
    input_dim = data.train.x.shape[1]
    layers = _plain_keras.dense_layers(input_dim, arguments["hidden_units"], initializer)
    rate, name = options.pop("learning_rate"), options.pop("optimizer")
    config = {"class_name": name, "config": {"learning_rate": rate}}
    _plain_keras.pretrain(
        layers,
        data.train.x,
        lambda: keras.optimizers.get(config),
        arguments["noise_level"],
        **options,
    )
    model = _plain_keras.classifier(
        layers,
        input_dim,
        10,
        arguments["finetune_noise_level"],
        arguments["dropout"],
    )
    # A best epoch as late as the last is put back, too: `patience` never ends training.
    keep_best = keras.callbacks.EarlyStopping(
        "val_accuracy", mode="max", patience=experiment.training.epochs, restore_best_weights=True
    )
    return model, keep_best


if __name__ == "__main__":
    _measuring.main_or_serve(main, train=train)
