"""The one way from an experiment to figures: load, build, pretrain, train, measure, write."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_sda import backend, datasets
from keras_sda._validation import check_path, check_positive_int, check_verbose, shown
from keras_sda.datasets.catalog import is_named
from keras_sda.datasets.duplicates import count_duplicates, describe_duplicates
from keras_sda.experiments import (
    cross_validation,
    detecting,
    figures,
    fitting,
    heads,
    run_folder,
    zoo,
)
from keras_sda.experiments.experiment import Experiment
from keras_sda.experiments.finished_run import Run, load_data_of
from keras_sda.experiments.loading import load_run
from keras_sda.experiments.parts import Pretraining
from keras_sda.experiments.pictures import draw_overview, draw_reconstructions
from keras_sda.experiments.regression import TargetScale, is_regression, with_linear_head
from keras_sda.experiments.saving import Saver
from keras_sda.resuming.signals import Terminated

# A wider table is not printed column by column.
_MOST_SHOWN = 50


def run(
    experiment: Experiment,
    folder: str | Path | None = None,
    *,
    measure: Callable[[keras.Model, datasets.Split], Any] = figures.measure,
    prepare: Callable[[keras.Model], None] | None = None,
    cross_validate: bool = False,
    compare: bool = False,
    rows: bool = True,
    backup: bool = True,
    backup_steps: int | None = None,
    states: str | Path | None = None,
    verbose: Any = "auto",
) -> Run:
    """Carries out an experiment, and keeps what came of it in a folder if one is given.

    Loads the data, builds the model, pretrains its levels, trains the whole, and measures it.
    Validation rows choose the epoch whose weights remain; test rows are read once, at the end.
    Labels are used by models that classify: unlabelled rows take part in pretraining only, and
    errors are measured on labelled rows. A stacked denoising autoencoder without labels is
    pretrained only.

    Args:
        experiment: The experiment; `keras_sda.experiments.default(name)` is one to start from.
        folder: Folder to write the model, its figures and pictures to: a new or empty one, or that
            of the same experiment after an interruption, which is resumed to the weights of a run
            that was never interrupted. `None` writes nothing.
        measure: Function of the model and rows that returns what is reported of them.
        prepare: Called with the new model before training, to set initial values of its own.
        cross_validate: Whether the error of a classifier of one's own data is cross-validated if
            fewer than 500 training and validation rows have a label: up to five more models are
            trained, each without the labels of a fold.
        compare: Whether logistic regression, or for quantities ridge regression, and a random
            forest are trained on the same labelled rows and measured on the same test rows:
            `metrics["comparison"]`; see `comparison.compare`.
        rows: Whether the folder gets a picture of rows and their reconstructions, where the model
            has them. A run that was begun without one is resumed without.
        backup: Whether the state of training is saved after each epoch; see `callbacks.Backup`.
        backup_steps: Steps from one state to the next, besides those after each epoch.
        states: Folder of the states; by default `backup` in `folder`, and nowhere without one.
        verbose: 0 is silent; 1, or `"auto"`, shows progress; 2 tells more. See `pretrain_layers`.

    Returns:
        The `Run`: experiment, model, data and metrics.

    Raises:
        ValueError: Before training, if an argument or the data do not fit, the folder holds
            something else, or another process is training in it.
        FloatingPointError: If a loss becomes NaN or infinite.

    Example:

    >>> from keras_sda import experiments
    >>> short = experiments.default("softmax").but({"training.epochs": 1})
    >>> result = experiments.run(short, verbose=0)
    >>> sorted(result.metrics["test"])
    ['error', 'errors', 'interval', 'rows']
    """
    if not isinstance(experiment, Experiment):
        raise ValueError(
            "Argument `experiment` of experiments.run() must be an Experiment. Received: "
            f"experiment={shown(experiment)}; start from experiments.default(name)."
        )
    _check_how(folder, backup_steps, verbose)
    zoo.check(experiment)
    fitting.check_training(experiment.training)
    with contextlib.ExitStack() as stack:
        if folder is not None:
            folder = Path(folder)
            stack.enter_context(run_folder.locked(folder))
            state = run_folder.prepare_folder(folder, experiment)
            if state == "finished":
                return load_run(folder)
            if state == "begun" and backup_steps is None:
                backup_steps = run_folder.read_backup_steps(folder)
            if state == "begun":
                cross_validate = cross_validate and run_folder.read_cross_validate(folder)
                rows = rows and run_folder.read_shows_rows(folder)
            states = folder / run_folder.BACKUP if states is None else states
        # Other workers, which read no folder, do what the chief does.
        cross_validate = bool(backend.from_chief(np.array([cross_validate], np.int32))[0])
        states = Path(states) if backup and states else None
        saver = Saver(folder, states, backup_steps, verbose, rows)
        try:
            return _carry_out(experiment, saver, measure, prepare, cross_validate, compare)
        except BaseException:
            if folder is not None:
                run_folder.discard_if_untrained(folder)
            raise


def _carry_out(
    experiment: Experiment,
    saver: Saver,
    measure: Callable[[keras.Model, datasets.Split], Any],
    prepare: Callable[[keras.Model], None] | None,
    cross_validate: bool,
    compare: bool,
) -> Run:
    folder = saver.folder
    data = load_data(experiment)
    if zoo.detects(experiment.model):
        return _carry_out_detection(experiment, data, saver)
    regresses = is_regression(experiment, data)
    num_classes = None if regresses else count_classes(data, experiment)
    how = experiment.training
    if how is not None and how.class_weight is not None and num_classes is None:
        raise ValueError(
            "training.class_weight weights classes, so it needs a classifier and labels. Received "
            f"the model {experiment.model.name} on {data.name} without classes: leave it out."
        )

    def build() -> Any:
        built = with_linear_head(experiment) if regresses else experiment
        model = zoo.build(built, data, num_classes)
        if prepare is not None:
            prepare(model)
        return model

    model = build()
    duplicates = count_duplicates(data)
    if folder is not None:
        told = (saver.every, cross_validate, saver.shows_rows)
        run_folder.save_config(folder, experiment, model, data, *told)
    if saver.verbose != 0:
        print(_introduction(experiment, model, data, duplicates), flush=True)
    # The network learns targets of mean 0 and deviation 1, and then their own units.
    units = TargetScale.of(data) if regresses else None
    scaled = data if units is None else units.scaled(data)
    model, metrics = _fit(model, experiment, scaled, saver, build)
    metrics["duplicates"] = duplicates
    if units is not None:
        units.put_into(model)
    if folder is not None:
        run_folder.save_model(model, folder)
    for name, part in data.held_out.items():
        rows = part.labelled if fitting.is_supervised(model) else part
        if rows is not None:
            metrics[name] = measure(model, rows)
    if folder is not None:  # already, should cross-validation be interrupted
        run_folder.save_json(metrics, folder / run_folder.METRICS)
        draw_overview(model, data, metrics, folder, rows=saver.shows_rows)
    result = Run.of_data(folder, experiment, model, metrics, data)
    if compare and data.test is not None and (compared := result.compare(data.test)):
        metrics["comparison"] = compared
    if cross_validate and _has_few_labels(model, experiment, data):
        _cross_validate(build, _with_chosen_head(experiment, metrics), data, metrics, saver)
    if folder is not None:
        run_folder.save_json(metrics, folder / run_folder.METRICS)
        run_folder.finish(folder)
    return result


def _carry_out_detection(experiment: Experiment, data: datasets.Data, saver: Saver) -> Run:
    """Trains and measures a detector of outliers, and writes what it consists of."""
    folder = saver.folder
    duplicates = count_duplicates(data)
    if saver.verbose != 0:
        print(_introduction(experiment, None, data, duplicates), flush=True)
    with _begun_anew_after_interruption(saver.states):
        if folder is not None:
            how = (None, False, saver.shows_rows)
            run_folder.save_config(folder, experiment, None, data, *how)
        detector, metrics = detecting.train_detector(experiment, data)
        metrics["duplicates"] = duplicates
        if folder is not None:
            run_folder.save_model(detector.model_, folder)
            detecting.save_detector(detector, folder)
        for name, part in data.held_out.items():
            metrics[name] = detecting.measure(detector, part)
        if folder is not None:
            draw_overview(detector.model_, data, metrics, folder, rows=saver.shows_rows)
            run_folder.save_json(metrics, folder / run_folder.METRICS)
    if folder is not None:
        run_folder.finish(folder)
    return Run.of_data(folder, experiment, detector.model_, metrics, data, detector)


@contextlib.contextmanager
def _begun_anew_after_interruption(states: Path | None) -> Iterator[None]:
    """Marks a run that is interrupted as one to resume, which then begins anew.

    A detector is trained in seconds, so that saving states would not pay; the seed sees to it that
    the result is that of a run which was never interrupted.
    """
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        if states is not None:
            states.mkdir(exist_ok=True)
        raise


def _fit(
    model: Any,
    experiment: Experiment,
    data: datasets.Data,
    saver: Saver,
    build: Callable[[], Any],
) -> tuple[Any, dict[str, Any]]:
    """Pretrains the levels and trains the whole; returns the model, histories and minutes."""
    metrics: dict[str, Any] = {"minutes": {}, "pretraining": [], "training": {}}
    if experiment.pretraining is not None:
        _pretrain(model, experiment.pretraining, data, metrics, saver)
    folder = saver.model_folder if saver.shows_rows else None
    if folder is not None and fitting.is_supervised(model) and hasattr(model, "pretrain"):
        # Now, as a stack that is to keep no denoiser forgets how to reconstruct.
        draw_reconstructions(model, data, folder)
    how = experiment.training
    if how is None or not fitting.has_target(model, data):
        return model, metrics
    head = heads.wanted_head(experiment, model, data)
    if head == "finetune":
        fitting.train_whole(model, how, data, experiment.seed, metrics, saver)
    else:
        model = _learn(model, experiment, data, head, metrics, saver, build)
    return model, metrics


def _learn(
    model: Any,
    experiment: Experiment,
    data: datasets.Data,
    head: str,
    metrics: dict[str, Any],
    saver: Saver,
    build: Callable[[], Any],
) -> Any:
    """Learns the labels with the linear head or the better one, and notes which it is."""
    how = experiment.training
    assert how is not None  # noqa: S101  (for the type checker)
    quiet = Saver(None, None, None, verbose=0)

    def finetune(trained: Any, part: datasets.Data) -> None:
        own = trained is model
        notes = metrics if own else {"minutes": {}, "pretraining": metrics["pretraining"]}
        fitting.train_whole(trained, how, part, experiment.seed, notes, saver if own else quiet)

    start = time.perf_counter()
    balanced = how.class_weight is not None
    learnt, metrics["head"] = heads.learn(
        model, data, head, finetune, build, balanced=balanced, seed=experiment.seed
    )
    if learnt is not model:
        metrics |= {"training": {}, "best_epoch": None}
        fitting.compile_for(learnt, how, data, steps=1)
        # Of an optimizer that never took a step, Keras would not read the file.
        learnt.optimizer.build(learnt.trainable_variables)
    # Trials and solutions; what fine-tuned the model has minutes of its own.
    spent = (time.perf_counter() - start) / 60 - metrics["minutes"].get("training", 0)
    metrics["minutes"]["head"] = max(0.0, spent)
    if saver.verbose != 0:
        print(heads.describe(metrics["head"]), flush=True)
    return learnt


def _with_chosen_head(experiment: Experiment, metrics: Mapping[str, Any]) -> Experiment:
    """Returns the experiment with the head that was chosen, which is not to be chosen again."""
    chosen = metrics.get("head", {}).get("chosen")
    return experiment if chosen is None else experiment.but({"training.head": chosen})


def _has_few_labels(model: Any, experiment: Experiment, data: datasets.Data) -> bool:
    """Whether a classifier was trained on so few labels of one's own that test rows tell little."""
    return (
        model.num_classes is not None
        and experiment.training is not None
        and fitting.has_target(model, data)
        and not is_named(experiment.data.name)
        and cross_validation.count_labels(data) < cross_validation.FEW_LABELS
    )


def _cross_validate(
    build: Callable[[], Any],
    experiment: Experiment,
    data: datasets.Data,
    metrics: dict[str, Any],
    saver: Saver,
) -> None:
    """Trains a model for each fold, and notes the errors of all together, and the minutes."""
    folds = cross_validation.split(data, experiment.seed)
    count = cross_validation.count_labels(data)
    if saver.verbose != 0:
        if folds:
            # Pretraining sees no labels: its states serve every fold.
            phases = ("training",) if saver.states else ("pretraining", "training")
            minutes = len(folds) * sum(metrics["minutes"].get(phase, 0) for phase in phases)
            plan = f"{len(folds)} more models, about {minutes:.1f} minutes"
            print(f"Cross-validation on {count} labelled rows: {plan}", flush=True)
        else:
            print(f"No cross-validation: a class has too few of the {count} labels", flush=True)
    if not folds:
        return

    def train(number: int, fold: datasets.Data) -> Any:
        quiet = replace(saver, fold=number, verbose=0, backups=[])
        return _fit(build(), experiment, fold, quiet, build)[0]

    start = time.perf_counter()
    metrics["cross_validation"] = cross_validation.cross_validate(folds, train)
    metrics["minutes"]["cross-validation"] = (time.perf_counter() - start) / 60


def _pretrain(
    model: Any, how: Pretraining, data: datasets.Data, metrics: dict[str, Any], saver: Saver
) -> None:
    """Trains level by level, and notes histories and minutes."""

    def callbacks(level: int) -> list[keras.callbacks.Callback]:
        return saver.callbacks_of_level(model)

    start = time.perf_counter()
    histories = model.pretrain(
        data.train.x,
        epochs=how.epochs,
        batch_size=how.batch_size,
        optimizer=how.optimizer,
        learning_rate=how.learning_rate,
        validation_data=None if data.valid is None else data.valid.x,
        shuffle=how.shuffle,
        callbacks=callbacks,
        verbose=saver.verbose,
    )
    metrics["pretraining"] = [history.history for history in histories]
    metrics["minutes"]["pretraining"] = saver.minutes_since(start)


def _check_how(folder: Any, backup_steps: Any, verbose: Any) -> None:
    """Checks where and how a run is carried out."""
    if folder is not None:
        check_path("folder", folder, "experiments.run()")
    if backup_steps is not None:
        check_positive_int("backup_steps", backup_steps, "experiments.run()")
    check_verbose(verbose, "experiments.run()")


def load_data(experiment: Experiment) -> datasets.Data:
    """Returns the data of an experiment, in the shape and scale that its model takes."""
    return load_data_of(experiment, flatten=not zoo.takes_images(experiment.model))


def count_classes(data: datasets.Data, experiment: Experiment) -> int | None:
    """Returns how many classes there are for a model that learns them, or `None`.

    Raises:
        ValueError: If the labels are numbers with fractions, or all of one class.
    """
    if data.train.labelled is None or data.train.y is None or not zoo.classifies(experiment.model):
        return None
    if experiment.model.options.get("head") is not None:
        return None
    if data.train.y.dtype.kind not in "iu":
        raise ValueError(
            f"The model {experiment.model.name} classifies, so the labels of {data.name} must be "
            "class numbers or names. Received numbers with fractions: leave the target out to "
            "train without labels."
        )
    if experiment.training is not None and np.ptp(np.asarray(data.train.labelled.y)) == 0:
        raise ValueError(
            f"A classifier needs two classes, and the labelled training rows of {data.name} have "
            "one: choose another target, or mark fewer rows as unlabelled."
        )
    labels = [part.y for part in (data.train, data.valid, data.test) if part is not None]
    return max(2, 1 + int(max(y.max() for y in labels if y is not None)))


def _introduction(
    experiment: Experiment, model: Any, data: datasets.Data, duplicates: dict[str, Any]
) -> str:
    """Returns what is told before training: columns, rows, network, rows in two parts."""
    lines = [_headline(experiment, model, data), describe_duplicates(duplicates)]
    if data.columns is not None and len(data.columns.columns) <= _MOST_SHOWN:
        lines.insert(0, data.columns.table())
    return "\n".join(line for line in lines if line)


def _headline(experiment: Experiment, model: Any, data: datasets.Data) -> str:
    parts = {"train": data.train, **data.held_out}
    learns_labels = model is not None and fitting.is_supervised(model)
    counts = [
        f"{len(part.x):,} {name}{_labelled_share(part) if learns_labels else ''}"
        for name, part in parts.items()
        if part is not None
    ]
    return f"{data.name}: {', '.join(counts)}{f'; {describe_network(model)}' if model else ''}"


def describe_network(model: Any) -> str:
    """Returns the widths of a model's levels, or else its class and how many weights it has."""
    units = model.hidden_units if hasattr(model, "levels") and not _has_maps(model) else None
    if units is None:
        return f"{type(model).__name__} of {model.count_params():,} weights"
    widths = [*model.row_shape, *(units if isinstance(units, (list, tuple)) else [units])]
    widths += [] if model.num_classes is None else [model.num_classes]
    return f"network {'-'.join(map(str, widths))}"


def _labelled_share(part: datasets.Split) -> str:
    """Returns in words how many rows have a label, unless all have."""
    count = 0 if part.labelled is None else len(part.labelled.x)
    return "" if count == len(part.x) else f" ({count:,} labelled)"


def _has_maps(model: Any) -> bool:
    """Whether a model takes images, which its layers turn into maps."""
    return len(model.row_shape) > 1
