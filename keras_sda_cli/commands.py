"""The command line: parses, calls public functions, prints.

What a command needs is imported inside it.
"""

import contextlib
import os
import sys
from pathlib import Path

import click

_EPILOG = "Run any command with --help for its options."

# What `plot` draws: the names in `keras_sda.experiments.pictures`, which help does not wait for.
_PICTURES = (
    *("filters", "reconstructions", "curves", "codes", "activations", "confusion", "surface"),
    *("manifold", "traversals"),
)


class _OneSentence(click.Group):
    """Turns what a user can mend into one sentence and status 2; a bug keeps its traceback."""

    def main(self, args=None, prog_name=None, **extra):  # type: ignore[override]
        status, message = 2, None
        extra["standalone_mode"] = False
        try:
            status = click.Group.main(self, args, prog_name, **extra) or 0
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
        except click.ClickException as error:
            message = error.format_message()
        except click.Abort:
            status, message = 130, "interrupted."
        except FloatingPointError as error:
            status, message = 1, str(error)
        except (ValueError, OSError, ImportError) as error:
            message = str(error)
        if message is not None:
            # Keras explains at length after an empty line.
            sentence = " ".join(message.strip().split("\n\n")[0].split())
            click.echo(f"Error: {sentence}", err=True)
        sys.exit(status)


class _List(click.ParamType):
    """One value, or several separated by commas."""

    def __init__(self, kind, name):
        self.kind = kind
        self.name = name

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            return [self.kind(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is no {self.name} and no list of them with commas.", param, ctx)


_INTEGERS = _List(int, "whole number")
_NUMBERS = _List(float, "number")


@click.group(cls=_OneSentence, epilog=_EPILOG, context_settings={"max_content_width": 100})
@click.version_option(package_name="keras-sda")
def main():
    """Train, use and export stacked denoising autoencoders."""


@main.command(short_help="Pretrain, fine-tune and evaluate a stack.")
@click.option(
    "--data",
    default="digits",
    show_default=True,
    help="digits, mnist, fashion_mnist, tfds:NAME, or a file: .npz, .npy, .csv, "
    ".parquet, an IDX folder, mnist.pkl.gz.",
)
@click.option("--data-dir", type=click.Path(), help="Folder with prepared data.")
@click.option("--target", help="Label column of a .csv or .parquet file.")
@click.option(
    "--split",
    default="tutorial",
    show_default=True,
    type=click.Choice(["tutorial", "tensorflow", "full"]),
    help="Which rows of mnist validate: the last 10,000 of 60,000, the first 5,000, or none.",
)
@click.option(
    "--scale",
    default="unit",
    show_default=True,
    type=click.Choice(["unit", "symmetric", "standard", "none"]),
    help="[0, 1], [-1, 1], mean 0 and deviation 1, or as it is.",
)
@click.option(
    "--units",
    type=_INTEGERS,
    metavar="N[,N...]",
    default="256,256,256",
    show_default=True,
    help="Hidden units of each level.",
)
@click.option(
    "--noise",
    default="gaussian",
    show_default=True,
    type=click.Choice(["masking", "salt_and_pepper", "gaussian", "swap", "none"]),
    help="What corrupts the input of each level.",
)
@click.option(
    "--noise-level",
    type=_NUMBERS,
    metavar="X[,X...]",
    default="0.2",
    show_default=True,
    help="Rate, or standard deviation for gaussian; one, or one per level.",
)
@click.option(
    "--activation",
    default="sigmoid",
    show_default=True,
    help="Activation of the hidden units, by Keras' name.",
)
@click.option(
    "--initializer",
    default="auto",
    show_default=True,
    help="Initial kernels, by Keras' name; auto: Glorot uniform, four times as wide for "
    "sigmoid units, as in the tutorials.",
)
@click.option(
    "--reconstruction-loss",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "binary_crossentropy", "squared_error"]),
    help="Loss of every level; auto: cross-entropy where values lie in [0, 1], else squared error.",
)
@click.option("--untied", is_flag=True, help="Give decoders kernels of their own.")
@click.option("--no-pretrain", is_flag=True, help="Start fine-tuning from random kernels.")
@click.option(
    "--pretrain-epochs",
    type=_INTEGERS,
    metavar="N[,N...]",
    default="15",
    show_default=True,
    help="Passes over the data per level; one, or one per level.",
)
@click.option(
    "--pretrain-optimizer",
    default="sgd",
    show_default=True,
    help="Optimizer of pretraining, by Keras' name.",
)
@click.option(
    "--pretrain-learning-rate",
    type=_NUMBERS,
    metavar="X[,X...]",
    default="0.1",
    show_default=True,
    help="Its step size; one, or one per level.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=0),
    default=60,
    show_default=True,
    help="Passes over the data in fine-tuning, at most.",
)
@click.option(
    "--optimizer",
    default="sgd",
    show_default=True,
    help="Optimizer of fine-tuning, by Keras' name.",
)
@click.option(
    "--learning-rate",
    type=float,
    default=1.0,
    show_default=True,
    help="Its step size at the start.",
)
@click.option(
    "--schedule",
    default="cosine",
    show_default=True,
    type=click.Choice(["cosine", "constant"]),
    help="Step size over the epochs: down to zero along a cosine, or constant.",
)
@click.option(
    "--patience",
    type=float,
    default=None,
    help="Epochs that are trained in any case, before the tutorials' patience rule may "
    "stop; the best epoch's weights remain. [default: all for cosine, 10 for constant]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Rows per update.",
)
@click.option(
    "--dropout",
    type=float,
    default=0.2,
    show_default=True,
    help="Share of the codes dropped in fine-tuning.",
)
@click.option(
    "--finetune-noise-level",
    type=float,
    default=0.2,
    show_default=True,
    help="Level of the noise on the input in fine-tuning.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Makes the run repeatable.",
)
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(["float32", "float64", "mixed_bfloat16", "mixed_float16"]),
    help="Precision.",
)
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
@click.option("--output", type=click.Path(), help="Run folder. [default: runs/DATA-seedSEED]")
@click.option(
    "--resume",
    type=click.Path(),
    metavar="RUN",
    help="Go on with the interrupted run in this folder, with its options.",
)
@click.option("--no-backup", is_flag=True, help="Save no states to go on from.")
@click.option(
    "--backup-steps",
    type=click.IntRange(min=1),
    help="Steps from one state to the next, besides those after each epoch.",
)
@click.option("--quiet", is_flag=True, help="Print the results only.")
def train(**options):
    """Pretrain a stack level by level, fine-tune it, and evaluate it.

    Without options it trains on scikit-learn's handwritten digits. The model, its options, every
    epoch's figures and pictures are written to a run folder.

    The state of training is saved there after every epoch. Ctrl-C and SIGTERM save it, too, and end
    with status 130 and 143; `--resume RUN` goes on after them, or after a crash, to the weights of
    a run that was never interrupted. So does the same command again, if it has an `--output`.
    """
    import inspect

    from keras_sda import backend
    from keras_sda.backend import strategies
    from keras_sda.experiments import run_folder
    from keras_sda.experiments.running import train_stack

    context = click.get_current_context()
    given = [name for name in options if _is_given(context, name)]
    quiet, output, resume = (options.pop(name) for name in ("quiet", "output", "resume"))
    verbose = 0 if quiet else 1
    options |= {
        "noise": None if options["noise"] == "none" else options["noise"],
        "scale": None if options["scale"] == "none" else options["scale"],
        "tied": not options.pop("untied"),
        "pretrain": not options.pop("no_pretrain"),
        "backup": not options.pop("no_backup"),
    }
    for name in ("noise_level", "pretrain_epochs", "pretrain_learning_rate"):
        options[name] = options[name][0] if len(options[name]) == 1 else options[name]
    strategy = options.pop("strategy")
    if resume is not None and output is not None:
        raise click.UsageError("Give --resume or --output: a run goes on in its own folder.")
    renamed = {"untied": "tied", "no_pretrain": "pretrain", "no_backup": "backup"}
    names = [renamed.get(name, name) for name in given]
    again = {name: options[name] for name in names if name in options}
    if output is not None and run_folder.has_states(Path(output)):
        resume, again = output, dict(options)  # the same command once more
    if resume is not None:
        folder = Path(resume)
        known = inspect.signature(train_stack).parameters
        found = run_folder.options_to_resume(folder, again, known)
        if found is None:
            click.echo(f"{folder} is finished; there is nothing to go on with.")
            return
        options = found
    if options["dtype"] == "float64":
        backend.compute_in_float64()
    with strategies.entered(strategy), contextlib.ExitStack() as stack:
        is_chief = strategies.is_chief()
        if is_chief and strategy != "none" and not quiet:
            click.echo(f"Strategy {strategy}: {strategies.num_replicas()} replicas")
        if is_chief and resume is None:
            folder = run_folder.new_folder(output, options["data"], options["seed"])
        elif resume is None:
            folder = Path()
        # Other workers write nothing, but go on from the states that the chief has written.
        options["states"] = Path(strategies.agreed_text(str(folder.absolute()))) / run_folder.BACKUP
        if not is_chief:
            folder = stack.enter_context(_nothing_printed_nor_kept())
        _train_in(folder, options, verbose)


def _train_in(folder, options, verbose):
    """Trains, and tells after an interruption how to go on."""
    from keras_sda.experiments import run_folder
    from keras_sda.experiments.running import how_to_go_on, train_stack
    from keras_sda.resuming.signals import Terminated, terminable

    try:
        with terminable():
            train_stack(folder, **options, verbose=verbose)
    except (KeyboardInterrupt, Terminated) as interruption:
        can_go_on = options.get("backup", True) and (folder / run_folder.CONFIG).exists()
        if not can_go_on:
            run_folder.discard_if_untrained(folder)
        if not str(interruption):  # nobody has told yet
            advice = f"; {how_to_go_on(folder)}" if can_go_on else ""
            click.echo(f"Interrupted{advice}.", err=True)
        sys.exit(143 if isinstance(interruption, Terminated) else 130)
    except BaseException:
        run_folder.discard_if_untrained(folder)
        raise


def _is_given(context, name):
    """Whether an option stands in the command, and not only its default."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


@main.command(
    short_help="Train in several processes of this machine.",
    context_settings={"ignore_unknown_options": True},
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
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

    return launching.launch(arguments, workers)


@contextlib.contextmanager
def _nothing_printed_nor_kept():
    """Yields a folder that is removed at the end, and prints nothing meanwhile: not the chief."""
    import tempfile

    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        yield Path(folder)


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
        click.option("--target", help="Label column of a .csv or .parquet file."),
        click.option("--data-dir", type=click.Path(), help="Folder with prepared data."),
    ):
        command = decorator(command)
    return command


@main.command(short_help="Print the error on labelled rows.")
@click.argument("run", type=click.Path())
@click.option("--data", help="Data set or file with labels. [default: the run's own]")
@_on_rows
def evaluate(run, data, data_dir, target, part):
    """Print the error of the model in RUN on labelled rows, with its 95 % interval."""
    from keras_sda.experiments.run_folder import load_run, measure
    from keras_sda.experiments.running import describe

    loaded = load_run(run)
    rows = loaded.rows(data, target, part, data_dir=data_dir)
    click.echo(f"{data or loaded.config['data']}: {describe(measure(loaded.model, rows))}")


@main.command(short_help="Write the codes of rows.")
@click.argument("run", type=click.Path())
@click.argument("data")
@click.option(
    "--output",
    type=click.Path(),
    default="codes.npy",
    show_default=True,
    help="File to write: .npy, rows by units.",
)
@click.option(
    "--level",
    type=int,
    default=-1,
    show_default=True,
    help="Whose codes: 0 for the first level, -1 for the last.",
)
@_on_rows
def encode(run, data, output, level, data_dir, target, part):
    """Write the codes of DATA, a data set or a file, by the model in RUN."""
    from keras_sda.experiments.run_folder import load_run, save_array

    loaded = load_run(run)
    rows = loaded.rows(data, target, part, data_dir=data_dir)
    click.echo(save_array(loaded.model.encode(rows.x, level=level), output))


@main.command(short_help="Write rows encoded and decoded again.")
@click.argument("run", type=click.Path())
@click.argument("data")
@click.option(
    "--output",
    type=click.Path(),
    default="reconstructions.npy",
    show_default=True,
    help="File to write: .npy, rows by features, scaled as the training data were.",
)
@_on_rows
def reconstruct(run, data, output, data_dir, target, part):
    """Write DATA, a data set or a file, encoded and decoded again by the model in RUN."""
    from keras_sda.experiments.run_folder import load_run, save_array

    loaded = load_run(run)
    rows = loaded.rows(data, target, part, data_dir=data_dir)
    errors = loaded.model.reconstruction_error(rows.x)
    click.echo(save_array(loaded.model.reconstruct(rows.x), output))
    click.echo(f"Reconstruction error: {errors.mean():.4f} a row")


@main.command(short_help="Draw the pictures that suit a model.")
@click.argument("run", type=click.Path())
@click.argument("kinds", nargs=-1, type=click.Choice(_PICTURES), metavar="[KIND]...")
@click.option("--data", help="Data set or file of rows. [default: the run's own]")
@click.option("--output", type=click.Path(), help="Folder to write. [default: RUN/pictures]")
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
@_on_rows
def plot(run, kinds, data, output, level, suffix, method, dimensions, seed, data_dir, target, part):
    """Draw the model in RUN and what it does with rows, by default in every way that suits it.

    KIND is one or several of: filters, reconstructions, curves (of learning), codes, activations,
    confusion, surface (of decision, for two features), and for a variational autoencoder manifold
    and traversals.
    """
    from keras_sda.experiments.pictures import RunPictures
    from keras_sda.experiments.run_folder import load_run, writable_folder

    loaded = load_run(run)

    def rows():
        return loaded.rows(data, target, part, data_dir=data_dir)

    pictures = RunPictures(loaded, rows, level, method, dimensions, seed)
    folder = Path(output) if output else loaded.folder / "pictures"
    for name, figure in pictures.draw(kinds):
        path = writable_folder(folder) / f"{name}.{suffix}"
        figure.savefig(path, dpi=120)
        click.echo(path)


@main.command(short_help="Write a SavedModel, or an ONNX or LiteRT file.")
@click.argument("run", type=click.Path())
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
@click.option("--data-dir", type=click.Path(), help="Folder with prepared data.")
@click.option(
    "--output",
    type=click.Path(),
    help="Folder, or .onnx or .tflite file, to write. [default: saved_model, model.onnx or "
    "model.tflite in RUN]",
)
def export(run, format, raw, threshold, contamination, data_dir, output):
    """Write the model in RUN for serving, and check there that it computes the same.

    The outputs are serve, which is predict, encode, reconstruct and score, the reconstruction
    error. It is compared on training rows of the run, where they can be read.
    """
    from keras_sda.experiments.run_folder import export_run, load_run

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


@main.command("recipes")
def list_recipes():
    """List the recipes: one per published figure."""
    from keras_sda import recipes

    for recipe in recipes.RECIPES.values():
        published = "" if recipe.published is None else f"; published {recipe.published:g}"
        click.echo(f"{recipe.name}\n    {recipe.title} ({recipe.figure}{published})")


@main.command(short_help="Train by a recipe, and compare with the published figure.")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="All recipes, and the table of their results.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help="How many seeds, from 0. [default: the recipe's own number]",
)
@click.option("--data-dir", type=click.Path(), help="Folder with prepared data.")
@click.option("--quick", is_flag=True, help="A form that runs in seconds, on small data.")
@click.option(
    "--output",
    type=click.Path(),
    default="results",
    show_default=True,
    help="Folder to write: NAME.json, and pictures and models in NAME/.",
)
@click.option("--quiet", is_flag=True, help="Print the results only.")
def reproduce(name, every, seeds, data_dir, quick, output, quiet):
    """Train by the recipe NAME, and print the published figure beside the measured one.

    Each seed's result is written as it comes. The same command again goes on after an
    interruption: with the seeds that are missing, and within a seed after the last epoch.
    """
    from keras_sda import recipes

    if every == (name is not None):
        raise click.UsageError("Name one recipe, or give --all; `keras-sda recipes` lists them.")
    chosen = recipes.names() if every else [recipes.get(name).name]
    verbose = 0 if quiet else 1
    reports = []
    for each in chosen:
        report = recipes.reproduce(recipes.get(each), output, seeds, data_dir, quick, verbose)
        reports.append(report)
        click.echo(recipes.describe(report))
    if every:
        path = Path(output) / ("table-quick.md" if quick else "table.md")
        path.write_text(recipes.table(reports) + "\n", encoding="utf-8")
        click.echo(f"Table of all: {path}")


@main.command("datasets")
def list_datasets():
    """List the data sets that have a name."""
    from keras_sda import datasets

    for name in datasets.names():
        click.echo(name)
    click.echo("tfds:NAME    any supervised set of tensorflow-datasets")
