"""The commands that use a run: evaluate, encode, reconstruct, plot, report, export."""

import contextlib
import os
from pathlib import Path

import click

from keras_sda_cli.place import Place

# What `plot` draws: the kinds of `keras_sda.experiments.pictures`, for which help does not wait; a
# test compares them.
_PICTURES = (
    *("filters", "reconstructions", "curves", "codes", "activations", "confusion", "surface"),
    *("manifold", "traversals", "scores"),
)

# What rows and codes are written as.
_TABLES = (".npy", ".csv", ".parquet")


def _on_rows(command):
    """Adds what the commands that read rows of data have in common."""
    for decorator in (
        click.option(
            "--part",
            type=click.Choice(["train", "valid", "test"]),
            default="test",
            show_default=True,
            help="Which rows of a named data set.",
        ),
        click.option(
            "--target", help="Label column of a .csv or .parquet file. [default: as in training]"
        ),
        click.option("--data-dir", type=Place(), help="Folder with prepared data."),
    ):
        command = decorator(command)
    return command


def _rows(run, data, target, part, data_dir):
    """Returns the rows that a command is about, and tells what their table has more or less."""
    rows = run.rows(data, target, part, data_dir=data_dir)
    for line in run.remarks(data):
        click.echo(line, err=True)
    return rows


@click.command(short_help="Print the error on labelled rows.")
@click.argument("run", type=Place())
@click.option("--data", help="Data set or file with labels. [default: the run's own]")
@_on_rows
def evaluate(run, data, data_dir, target, part):
    """Print the figures of the model in RUN on labelled rows, with their 95 % intervals.

    Beside those of a classifier or regression stand those of a linear model and a random forest,
    trained on the same rows as the run, where these can be read. Of a detector of outliers it is
    the share of rows flagged, and with labels, 1 for outliers and 0 for other rows, how well the
    scores tell them.
    """
    from keras_sda.experiments import load_run
    from keras_sda.experiments.comparison import describe as describe_comparison
    from keras_sda.experiments.detecting import check_labels
    from keras_sda.experiments.figures import describe

    loaded = load_run(run)
    rows = _rows(loaded, data, target, part, data_dir)
    name = data or loaded.experiment.data.name
    if loaded.detector is not None and (target or loaded.experiment.data.target):
        check_labels([rows], name)
    click.echo(f"{name}: {describe(loaded.measure(rows))}")
    # Of the run's own parts, training has told.
    if data is not None and (shared := loaded.describe_shared(rows)):
        click.echo(shared)
    compared = loaded.compare(rows)
    if compared is not None:
        click.echo("With 95 % intervals by a bootstrap of the rows:")
        click.echo(describe_comparison(compared))


@click.command(short_help="Write the codes of rows.")
@click.argument("run", type=Place())
@click.argument("data")
@click.option(
    "--output",
    type=Place(),
    default="codes.npy",
    show_default=True,
    help="File to write: .npy, rows by units; .csv or .parquet, with names and ids.",
)
@click.option(
    "--level",
    type=int,
    help="Whose codes: 0 for the first level, -1 for the last. [default: the last]",
)
@_on_rows
def encode(run, data, output, level, data_dir, target, part):
    """Write the codes of DATA, a data set or a file, by the model in RUN."""
    from keras_sda.datasets.files import is_table
    from keras_sda.experiments import load_run
    from keras_sda.experiments.run_folder import check_output, save_array, save_table

    loaded = load_run(run)
    check_output(output, *_TABLES, run=run, data=data)
    rows = _rows(loaded, data, target, part, data_dir)
    codes = loaded.encode(rows.x, level)
    if is_table(output):
        codes = codes.reshape(len(codes), -1)
        named = {f"code {number}": codes[:, number] for number in range(codes.shape[1])}
        click.echo(save_table({**loaded.ids_of(data), **named}, output))
        return
    click.echo(save_array(codes, output))


@click.command(short_help="Write rows encoded and decoded again.")
@click.argument("run", type=Place())
@click.argument("data")
@click.option(
    "--output",
    type=Place(),
    default="reconstructions.npy",
    show_default=True,
    help="File to write: .npy, rows by inputs, scaled as the training data were; of a table .csv "
    "or .parquet, in its own units.",
)
@_on_rows
def reconstruct(run, data, output, data_dir, target, part):
    """Write DATA, a data set or a file, encoded and decoded again by the model in RUN."""
    from keras_sda.datasets.files import is_table
    from keras_sda.experiments import load_run
    from keras_sda.experiments.run_folder import check_output, save_array, save_table

    loaded = load_run(run)
    columns = loaded.columns
    if is_table(output) and columns is None:
        raise ValueError("Only the run of a table is written as one: give an --output in .npy.")
    check_output(output, *_TABLES, run=run, data=data)
    rows = _rows(loaded, data, target, part, data_dir)
    reconstructions = loaded.reconstruct(rows.x)
    raw = loaded.raw_rows(data, target, part, data_dir=data_dir)
    errors = loaded.reconstruction_error(raw.x)
    if columns is not None and is_table(output):
        table = columns.inverse(reconstructions)
        click.echo(save_table({**loaded.ids_of(data), **dict(table.items())}, output))
    else:
        click.echo(save_array(reconstructions, output))
    click.echo(f"Reconstruction error: {errors.mean():.4f} a row")


@click.command(short_help="Draw the pictures that suit a model.")
@click.argument("run", type=Place())
@click.argument("kinds", nargs=-1, type=click.Choice(_PICTURES), metavar="[KIND]...")
@click.option("--data", help="Data set or file of rows. [default: the run's own]")
@click.option("--output", type=Place(), help="Folder to write. [default: RUN/pictures]")
@click.option(
    "--level",
    type=int,
    help="Level of filters, codes and activations: 0 for the first, -1 for the last. "
    "[default: all; codes: the last]",
)
@click.option(
    "--format",
    "suffix",
    default="png",
    show_default=True,
    type=click.Choice(["png", "svg", "pdf"]),
    help="Kind of files.",
)
@click.option(
    "--method",
    default="pca",
    show_default=True,
    type=click.Choice(["pca", "tsne"]),
    help="How codes of many units are put on a plane.",
)
@click.option(
    "--dimensions",
    type=click.IntRange(2, 3),
    help="Dimensions of the picture of codes. [default: 3 for three units, else 2]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the noise, of the rows drawn among many, and of the projection.",
)
@click.option(
    "--rows/--no-rows",
    "show_rows",
    default=True,
    show_default=True,
    help="Whether pictures may be drawn from which a row of the data could be read.",
)
@_on_rows
def plot(
    run,
    kinds,
    data,
    output,
    level,
    suffix,
    method,
    dimensions,
    seed,
    show_rows,
    data_dir,
    target,
    part,
):
    """Draw the model in RUN and what it does with rows, by default in every way that suits it.

    KIND is one or several of: filters, reconstructions, curves (of learning), codes, activations,
    confusion, surface (of decision, for two features), for a variational autoencoder manifold
    and traversals, and for a detector of outliers scores.

    Reconstructions, codes, the surface and what a decoder draws show rows of the data, and say so.
    Where rows are people, --no-rows leaves them out.
    """
    from keras_sda.experiments import load_run
    from keras_sda.experiments.pictures import RunPictures
    from keras_sda.experiments.run_folder import writable_folder

    loaded = load_run(run)

    def rows():
        return _rows(loaded, data, target, part, data_dir)

    pictures = RunPictures(loaded, rows, level, method, dimensions, seed, show_rows)
    folder = Path(output) if output else Path(run) / "pictures"
    for name, figure in pictures.draw(kinds):
        path = writable_folder(folder) / f"{name}.{suffix}"
        figure.savefig(path, dpi=120)
        click.echo(path)


@click.command(short_help="Write one HTML page on a run.")
@click.argument("run", type=Place())
@click.option("--output", type=Place(), help="File to write, .html. [default: report.html in RUN]")
@click.option(
    "--rows/--no-rows",
    default=True,
    show_default=True,
    help="Whether the page may show rows of the data: examples, reconstructions, codes.",
)
@click.option("--data-dir", type=Place(), help="Folder with prepared data.")
def report(run, output, rows, data_dir):
    """Write one HTML page on the finished run in RUN, to read, print or pass on.

    It says what was trained, on what and how, with the figures and their 95 % intervals, learning
    curves, the pictures that suit the model, and commands that use it. The file loads nothing and
    runs no scripts. Where the data cannot be read any more, what needs them is left out.

    With --no-rows nothing is shown from which a row of the data could be read, as where rows are
    people: no example rows, reconstructions, codes or decision surface, and nothing that a decoder
    draws. Names of columns and classes, and counts of rows, stay.
    """
    from keras_sda import experiments

    click.echo(experiments.report(run, output, rows, data_dir))


@click.command(short_help="Write a SavedModel, or an ONNX or LiteRT file.")
@click.argument("run", type=Place())
@click.option(
    "--format",
    default="savedmodel",
    show_default=True,
    type=click.Choice(["savedmodel", "onnx", "litert"]),
    help="What to write.",
)
@click.option(
    "--raw/--scaled",
    default=True,
    show_default=True,
    help="Whether it takes rows as they were in the data, or scaled as for training.",
)
@click.option("--threshold", type=float, help="Add the output anomaly: whether score is above.")
@click.option(
    "--contamination",
    type=click.FloatRange(0, 0.5, min_open=True),
    help="The same, with the threshold that this share of the training rows lies above.",
)
@click.option("--data-dir", type=Place(), help="Folder with prepared data.")
@click.option(
    "--output",
    type=Place(),
    help="Folder, or .onnx or .tflite file, to write. [default: saved_model, model.onnx or "
    "model.tflite in RUN]",
)
def export(run, format, raw, threshold, contamination, data_dir, output):
    """Write the model in RUN for serving, and check there that it computes the same.

    The outputs are serve, which is predict, encode, reconstruct and score, the reconstruction
    error. It is compared on training rows of the run, where they can be read.
    """
    from keras_sda.experiments import load_run
    from keras_sda.experiments.exports import export_run

    if threshold is not None and contamination is not None:
        raise click.UsageError("Give either --threshold or --contamination, not both.")
    format = "tf_saved_model" if format == "savedmodel" else format
    loaded = load_run(run)
    with _remarks_held_back():
        done = export_run(loaded, format, output, raw, threshold, contamination, data_dir)
    click.echo(done)


@contextlib.contextmanager
def _remarks_held_back():
    """Drops what TensorFlow's converters write to standard error from C++, for its developers."""
    terminal = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
