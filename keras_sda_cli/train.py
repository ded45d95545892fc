"""The commands that train: from options, a file or another run to an experiment, and on."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from keras_sda_cli.parameters import PARAMETERS, parse_setting, with_none, without_none
from keras_sda_cli.place import Place


def _with_shortcuts(command: Any) -> Any:
    """Adds the options that stand for keys of an experiment."""
    for parameter in reversed(PARAMETERS):
        command = parameter.option()(command)
    return command


@click.command(short_help="Train a model, and evaluate it.")
@click.option("--model", metavar="NAME", help="Model, of those that `keras-sda models` lists.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the model, or a key such as training.epochs; may be given several times.",
)
@click.option("--config", type=Place(), help="Start from the experiment in this TOML file.")
@click.option("--like", metavar="RUN", type=Place(), help="Start from the experiment of RUN.")
@click.option("--print-config", is_flag=True, help="Print the experiment as TOML, and end.")
@_with_shortcuts
@click.option(
    "--strategy",
    type=click.Choice(["none", "mirrored", "multi_worker", "tpu"]),
    default="none",
    show_default=True,
    envvar="KERAS_SDA_STRATEGY",
    show_envvar=True,
    help="Several devices of this machine, several machines (by TF_CONFIG or Slurm), or a TPU; "
    "--batch-size is that of all together.",
)
@click.option("--output", type=Place(), help="Run folder. [default: runs/DATA-seedSEED]")
@click.option(
    "--resume",
    type=Place(),
    metavar="RUN",
    help="Resume the interrupted run in this folder, with its settings.",
)
@click.option("--no-backup", is_flag=True, help="Save no states to resume from.")
@click.option(
    "--backup-steps",
    type=click.IntRange(min=1),
    help="Steps from one state to the next, besides those after each epoch.",
)
@click.option(
    "--no-cross-validate",
    is_flag=True,
    help="Do not cross-validate the error where labels are few.",
)
@click.option(
    "--no-rows",
    is_flag=True,
    help="Draw no rows of the data: leave out the picture of reconstructions.",
)
@click.option("--quiet", is_flag=True, help="Print the results only.")
def train(
    model, settings, config, like, print_config, strategy, output, resume, no_backup, **options
):
    """Train a model, and evaluate it.

    Without options it pretrains a stacked denoising autoencoder on scikit-learn's handwritten
    digits level by level, fine-tunes it, and evaluates it. Defaults are those of this model, the
    sda. The model, its experiment, every epoch's figures and pictures are written to a run folder.

    A row without a label, such as a blank cell of a .csv, takes part in pretraining only. Where
    fewer than 500 rows of your own have a label, those for training and for validation together,
    the error is cross-validated, too: five more models are trained, each without the labels of a
    fifth of these rows.

    The state of training is saved there after every epoch. Ctrl-C and SIGTERM save it, too, and end
    with status 130 and 143; `--resume RUN` resumes after them, or after a crash, to the weights of
    a run that was never interrupted. So does the same command again, if it has an `--output`.

    `--task outliers` trains a detector of strange rows instead, without labels: `keras-sda models
    detector` lists its options, such as contamination. A --target of 0 and 1 only measures it. It
    saves no states: resumed, it begins anew, to the same result.
    """
    quiet, backup_steps = options.pop("quiet"), options.pop("backup_steps")
    cross_validate, rows = not options.pop("no_cross_validate"), not options.pop("no_rows")
    if resume is not None and output is not None:
        raise click.UsageError("Give --resume or --output: a run is resumed in its own folder.")
    sources = {"--config": config, "--like": like, "--resume": resume}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) > 1:
        raise click.UsageError(f"Give one of {', '.join(given)}: each names an experiment.")
    if options["task"] == "outliers":
        model, options["task"] = model or "detector", None
        if model != "detector":
            raise click.UsageError(f"--task outliers trains a detector. Received: --model {model}")
    experiment = _changed(_experiment(model, config, like or resume), options, settings)
    if print_config:
        click.echo(_as_toml(experiment), nl=False)
        return
    _carry_out(
        experiment,
        None if resume is None else Path(resume),
        output,
        strategy,
        quiet=quiet,
        how={
            "cross_validate": cross_validate,
            "compare": True,
            "rows": rows,
            "backup": not no_backup,
            "backup_steps": backup_steps,
        },
    )


def _as_toml(experiment: Any) -> str:
    """Returns an experiment as TOML, with every option of its model to start from."""
    import tomli_w

    from keras_sda.experiments import zoo

    values = experiment.to_dict()
    every_option = zoo.options(experiment.model.name)
    values["model"]["options"] = every_option | values["model"]["options"]
    return tomli_w.dumps(with_none(values))


def _changed(experiment: Any, options: Mapping[str, Any], settings: Sequence[str]) -> Any:
    """Returns an experiment with the keys changed that the command sets, checked."""
    from keras_sda.experiments import zoo

    changes: dict[str, Any] = {}
    for parameter in PARAMETERS:
        value = options[parameter.name]
        if value is not None:
            value = parameter.sets if parameter.sets is not ... else value
            keys = parameter.keys
            if len(keys) > 1 and experiment.pretraining is None:
                keys = tuple(key for key in keys if not key.startswith("pretraining."))
            changes |= dict.fromkeys(keys, None if value == "none" else value)
    changes |= dict(map(parse_setting, settings))
    # Last, as any other key of pretraining would bring it back.
    if "pretraining" in changes and changes["pretraining"] is None:
        changes["pretraining"] = changes.pop("pretraining")
    changed = experiment.but(zoo.as_taken(experiment.model.name, changes))
    zoo.check(changed)
    return changed


def _experiment(model: str | None, config: str | None, run: str | None) -> Any:
    """Returns the experiment that a command starts from."""
    from keras_sda.experiments import zoo
    from keras_sda.experiments.run_folder import read_experiment

    if run is not None:
        experiment = read_experiment(Path(run))
    elif config is not None:
        experiment = _read_toml(Path(config), model)
    else:
        experiment = zoo.default(model or "sda")
    name = experiment.model.name
    if model is not None and model != name:
        raise click.UsageError(f"{config or run} holds the model {name}. Received: --model {model}")
    return experiment


def _read_toml(path: Path, model: str | None) -> Any:
    """Returns the experiment in a file; what it leaves out is as by default."""
    import tomllib

    from keras_sda.datasets.memory import check_is_file, check_memory
    from keras_sda.experiments import Experiment, zoo

    check_is_file(path)
    check_memory(path, path.stat().st_size)
    try:
        values = without_none(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:  # numbers of too many digits, deep lists
        raise ValueError(f"{path} cannot be read as TOML: {error}") from error
    table = values.get("model", {})
    name = table.get("name") if isinstance(table, dict) else None
    return Experiment.from_dict(values, zoo.default(name or model or "sda"))


def _carry_out(
    experiment: Any,
    resumed: Path | None,
    output: str | None,
    strategy: str,
    *,
    quiet: bool,
    how: Mapping[str, Any],
) -> None:
    """Runs the experiment under a strategy; of several workers, one writes and prints."""
    from keras_sda import backend
    from keras_sda.experiments import run_folder

    if experiment.dtype == "float64":
        backend.compute_in_float64()
    with backend.strategy_scope(strategy), contextlib.ExitStack() as stack:
        is_chief = backend.is_chief()
        if is_chief and strategy != "none" and not quiet:
            click.echo(f"Strategy {strategy}: {backend.num_replicas()} replicas")
        folder = resumed or (None if output is None else Path(output))
        if folder is None:
            folder = run_folder.free_folder(experiment.data.name, experiment.seed)
        if is_chief and run_folder.is_finished(folder):
            run_folder.prepare_folder(folder, experiment)  # refuses another experiment
            click.echo(f"{folder} is finished; there is nothing to resume.")
            return
        # Other workers write nothing, but resume from the states that the chief has written.
        states = Path(backend.text_from_chief(str(folder.absolute()))) / run_folder.BACKUP
        if not is_chief:
            folder = stack.enter_context(_nothing_printed_nor_kept())
        _train_in(folder, experiment, quiet, {**how, "states": states})


def _train_in(
    folder: Path,
    experiment: Any,
    quiet: bool,
    how: Mapping[str, Any],
) -> None:
    """Trains and prints the results; after an interruption it tells how to resume.

    Args:
        folder: Folder of the run.
        experiment: The experiment.
        quiet: Whether to print the results only.
        how: Further arguments of `experiments.run`.
    """
    from keras_sda.experiments import run, run_folder
    from keras_sda.resuming.signals import Terminated, exit_status, terminable

    try:
        with terminable():
            result = run(experiment, folder, verbose=0 if quiet else 1, **how)
    except (KeyboardInterrupt, Terminated) as interruption:
        if not str(interruption):  # not told yet
            can_resume = how["backup"] and run_folder.can_resume(folder)
            hint = f"; to resume: {run_folder.resume_command(folder)}" if can_resume else ""
            click.echo(f"Interrupted{hint}.", err=True)
        sys.exit(exit_status(interruption))
    _print_results(result.metrics)
    click.echo(f"Model, figures and pictures: {folder}")


def _print_results(metrics: Mapping[str, Any]) -> None:
    """Prints errors with their intervals, the best epoch, and the minutes of each phase."""
    from keras_sda.experiments.figures import describe

    for name, title in (("valid", "Validation"), ("test", "Test")):
        if name in metrics:
            click.echo(f"{title}: {describe(metrics[name])}")
    if "comparison" in metrics:
        from keras_sda.experiments.comparison import describe as describe_comparison

        click.echo("Test rows, with 95 % intervals by a bootstrap of the rows:")
        click.echo(describe_comparison(metrics["comparison"]))
    if "cross_validation" in metrics:
        figure = metrics["cross_validation"]
        click.echo(f"Cross-validation, {figure['folds']} folds: {describe(figure)}")
    if metrics.get("best_epoch") is not None:
        done = len(metrics["training"]["loss"])
        phase = "fine-tuning" if metrics["pretraining"] else "training"
        click.echo(f"Best epoch of {phase}: {metrics['best_epoch']} of {done}")
    minutes = [f"{name} {value:.2f}" for name, value in metrics["minutes"].items()]
    click.echo(f"Minutes: {', '.join(minutes) or 'none trained'}")


@contextlib.contextmanager
def _nothing_printed_nor_kept() -> Iterator[Path]:
    """Yields a folder that is removed at the end, and prints nothing meanwhile: not the chief."""
    import tempfile

    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        yield Path(folder)


@click.command(
    short_help="Train in several processes of this machine.",
    context_settings={"ignore_unknown_options": True},
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=2,
    show_default=True,
    help="How many processes.",
)
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
def launch(workers, arguments):
    """Run a command such as `train` in several processes that train together.

    What comes after -- is the command of each: keras-sda launch --workers 2 -- train --data mnist.
    Their output has the number of the worker in front. When one fails, all end, and its exit status
    is passed on.
    """
    from keras_sda_cli import launching
    from keras_sda_cli.program import program

    known = [name for name in program.commands if name != "launch"]
    if arguments[0] not in known:
        raise click.UsageError(
            f"What comes after -- must be a command: {', '.join(known)}. Received: {arguments[0]}"
        )
    return launching.launch(arguments, workers)
