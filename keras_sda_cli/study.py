"""The command that studies how many labels a task needs."""

import sys
from typing import Any

import click

from keras_sda_cli.parameters import PARAMETERS, Label
from keras_sda_cli.place import Place


class _Counts(click.ParamType):
    """Numbers of labels, separated by commas."""

    name = "N[,N...]"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            counts = [int(part) for part in value.split(",")]
        except ValueError:
            counts = []
        if not counts or min(counts) < 1:
            self.fail(f"{value!r} is not a list of numbers such as 50,100,200.", param, ctx)
        return counts


# Options that `train` has, too.
_TABLES = [
    parameter
    for parameter in PARAMETERS
    if parameter.flag
    in (
        *("--task", "--id", "--categorical", "--numeric", "--ignore"),
        *("--test", "--split-column", "--groups"),
    )
]


def _of_tables(command: Any) -> Any:
    """Adds the options of tables."""
    for parameter in reversed(_TABLES):
        command = parameter.option()(command)
    return command


def _told(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that were given, as `experiments.study` calls them."""
    names = {parameter.name: parameter.keys[0].removeprefix("data.") for parameter in _TABLES}
    return {names[name]: value for name, value in options.items() if value is not None}


@click.command(short_help="Compare methods over numbers of labels.")
@click.option(
    "--data",
    default="digits",
    show_default=True,
    help="digits, mnist, fashion_mnist, tfds:NAME, or a file: .npz, .csv, .parquet, an IDX folder, "
    "mnist.pkl.gz.",
)
@click.option("--target", help="Label column of a .csv or .parquet file.")
@click.option(
    "--unlabelled",
    type=Label(),
    default="auto",
    show_default=True,
    help="The label that marks unlabelled rows, as in train.",
)
@_of_tables
@click.option(
    "--labels",
    type=_Counts(),
    metavar="N[,N...]",
    help="Numbers of labels. [default: up to seven, from two a class to all, or 10,000]",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help="How many draws of labels, from seed 0. [default: 5; quick: 2]",
)
@click.option("--quick", is_flag=True, help="Two numbers of labels and two seeds, to see it run.")
@click.option("--data-dir", type=Place(), help="Folder with prepared data.")
@click.option("--output", type=Place(), help="Folder to write. [default: studies/DATA]")
@click.option("--quiet", is_flag=True, help="Print the results only.")
def study(data, target, unlabelled, labels, seeds, quick, data_dir, output, quiet, **table):
    """Compare methods over numbers of labels: how many do you need?

    All but some labels of the training rows are hidden. A ladder network, a pretrained network,
    classifiers on the codes of one, and label spreading learn from all rows; logistic regression,
    nearest neighbours, an RBF-SVM, a random forest and the same network without pretraining from
    the labelled ones. Where labels are numbers with fractions, those that can predict them do.
    Columns of a table become the same inputs for all, as in train. Beside the error stand balanced
    accuracy and ROC-AUC, or R2.
    Every method has three settings to choose from, by a quarter of the labels; the test rows are
    predicted once.

    The folder gets study.json, table.md, errors.png and report.html, which says in words which
    method to take, and how many labels the rows without one are worth. Every error is written as it
    comes: the same command again resumes after Ctrl-C, SIGTERM or a crash.
    """
    from keras_sda import experiments
    from keras_sda.experiments.studying import default_folder
    from keras_sda.resuming.signals import Terminated, exit_status, terminable

    folder = default_folder(data, quick) if output is None else output
    try:
        with terminable():
            result = experiments.study(
                data,
                target=target,
                unlabelled=unlabelled,
                labels=labels,
                seeds=seeds,
                output=folder,
                quick=quick,
                data_dir=data_dir,
                verbose=0 if quiet else 1,
                **_told(table),
            )
    except (KeyboardInterrupt, Terminated) as interruption:
        hint = f"Interrupted; the same command again resumes from {folder}."
        click.echo(hint, err=True)
        sys.exit(exit_status(interruption))
    click.echo(f"\n{result}\n")
    click.echo(f"Report, plot, table and JSON: {result.folder}")
