"""Options of `train`: what each is called, and which key of an experiment it stands for.

This table is read before anything heavy is imported, so that help answers at once; a test compares
its defaults with those of `keras_sda.experiments.default("sda")`.
"""

from dataclasses import dataclass
from typing import Any

import click


class Listed(click.ParamType):
    """One value, or several separated by commas."""

    def __init__(self, kind: type, name: str) -> None:
        self.kind = kind
        self.name = name

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            values = [self.kind(part) for part in value.split(",")]
        except ValueError:
            self.fail(
                f"{value!r} is not a {self.name} or a comma-separated list of them.", param, ctx
            )
        return values[0] if len(values) == 1 else values


class Label(click.ParamType):
    """A label: a number where it reads as one, else text."""

    name = "value"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str) or value.lower() in _WORDS:
            return value
        return _plain_value(value)


_INTEGERS = Listed(int, "whole number")
_NUMBERS = Listed(float, "number")


@dataclass(frozen=True)
class Parameter:
    """One option of `train`.

    Attributes:
        flag: What it is called.
        keys: The keys of an experiment that it sets.
        help: What it is, in a few words.
        default: Its default for the sda, as text.
        kind: Type of its value, for click.
        metavar: What stands for the value in the help.
        sets: What a flag without a value sets the keys to.
    """

    flag: str
    keys: tuple[str, ...]
    help: str
    default: str = ""
    kind: Any = str
    metavar: str | None = None
    sets: Any = ...

    @property
    def name(self) -> str:
        """The name of the argument that click passes on."""
        return self.flag.removeprefix("--").replace("-", "_")

    def option(self) -> Any:
        """Returns the decorator that adds the option to a command."""
        if self.sets is not ...:
            return click.option(self.flag, is_flag=True, default=None, help=self.help)
        text = f"{self.help} [default: {self.default}]" if self.default else self.help
        return click.option(self.flag, type=self.kind, metavar=self.metavar, help=text)


_SCALES = click.Choice(
    ["auto", "squash", "quantile", "unit", "symmetric", "standard", "robust", "none"]
)
_NAMES = Listed(str, "name")
_LOSSES = click.Choice(["auto", "binary_crossentropy", "squared_error"])
_POSITIVE = click.IntRange(min=1)

PARAMETERS = (
    Parameter(
        "--data",
        ("data.name",),
        "digits, mnist, fashion_mnist, tfds:NAME, or a file: .npz, .npy, .csv, .parquet, an IDX "
        "folder, mnist.pkl.gz.",
        "digits",
    ),
    Parameter("--data-dir", ("data.data_dir",), "Folder with prepared data."),
    Parameter("--target", ("data.target",), "Label column of a .csv or .parquet file."),
    Parameter(
        "--unlabelled",
        ("data.unlabelled",),
        "The label that marks unlabelled rows, besides blank cells, NaN and null, which always do; "
        "none: no label. auto: -1 in .npz, unless there is only one other class; in a table -1 is "
        "a class.",
        "auto",
        Label(),
    ),
    Parameter(
        "--labels",
        ("data.labels",),
        "Hide all but N labels of the training rows, evenly over the classes. [default: all stay]",
        kind=_POSITIVE,
        metavar="N",
    ),
    Parameter(
        "--split",
        ("data.split",),
        "Which rows of mnist validate: the last 10,000 of 60,000, the first 5,000, or none.",
        "tutorial",
        click.Choice(["tutorial", "tensorflow", "full"]),
    ),
    Parameter(
        "--scale",
        ("data.scale",),
        "[0, 1], [-1, 1], mean 0 and deviation 1, robust: the same of values cut far out, or as it "
        "is; of a table also squashed by median and quartiles, or normal scores. auto: squash for "
        "a table, else unit.",
        "auto",
        _SCALES,
    ),
    Parameter(
        "--task",
        ("data.task",),
        "What the labels of a table are: classes, or numbers to be predicted. auto: text and up to "
        "20 whole numbers are classes, fractions are not. outliers: find strange rows; labels, 1 "
        "for them, only measure it.",
        "auto",
        click.Choice(["auto", "classification", "regression", "outliers"]),
    ),
    Parameter(
        "--id",
        ("data.ids",),
        "Columns of a table that name its rows, and are no inputs.",
        kind=_NAMES,
        metavar="NAME[,NAME...]",
    ),
    Parameter(
        "--categorical",
        ("data.categorical",),
        "Columns of a table that are categories, whatever they look like.",
        kind=_NAMES,
        metavar="NAME[,NAME...]",
    ),
    Parameter(
        "--numeric",
        ("data.numeric",),
        "Columns of a table that are numbers.",
        kind=_NAMES,
        metavar="NAME[,NAME...]",
    ),
    Parameter(
        "--ignore",
        ("data.ignore",),
        "Columns of a table to leave out.",
        kind=_NAMES,
        metavar="NAME[,NAME...]",
    ),
    Parameter(
        "--test",
        ("data.test",),
        "File of the test rows, with the same columns by name, where --data has none of its own.",
        metavar="FILE",
    ),
    Parameter(
        "--split-column",
        ("data.split_column",),
        "Column of a table that says of each row train, valid or test; no input.",
        metavar="NAME",
    ),
    Parameter(
        "--groups",
        ("data.groups",),
        "Column of a table, such as patient: rows of one value stay in one part; no input.",
        metavar="NAME",
    ),
    Parameter(
        "--storage",
        ("data.storage",),
        "Where the rows of a .parquet file are kept: in memory, or in temporary files (TMPDIR), "
        "which are read and shuffled by blocks. auto: disk from 1 GiB on.",
        "auto",
        click.Choice(["auto", "memory", "disk"]),
    ),
    Parameter(
        "--units",
        ("model.hidden_units",),
        "Hidden units of each level.",
        "256,256",
        _INTEGERS,
        "N[,N...]",
    ),
    Parameter(
        "--noise",
        ("model.noise",),
        "What corrupts the input of each level: a noise by its name, of which `keras-sda models "
        "sda` lists all, or none; auto is column_swap for the columns of a table, else gaussian.",
        "auto",
    ),
    Parameter(
        "--noise-level",
        ("model.noise_level",),
        "Rate, or standard deviation for gaussian; one, or one per level.",
        "0.2",
        _NUMBERS,
        "X[,X...]",
    ),
    Parameter(
        "--activation",
        ("model.activation",),
        "Activation of the hidden units, by Keras' name.",
        "relu",
    ),
    Parameter(
        "--initializer",
        ("model.kernel_initializer",),
        "Initial kernels, by Keras' name; auto: He's normal for relu and its kin, Glorot uniform "
        "for others, four times as wide for sigmoid.",
        "auto",
    ),
    Parameter(
        "--reconstruction-loss",
        ("model.reconstruction_loss",),
        "Loss of every level; auto: cross-entropy where values lie in [0, 1], else squared error.",
        "auto",
        _LOSSES,
    ),
    Parameter("--untied", ("model.tied",), "Give decoders kernels of their own.", sets=False),
    Parameter("--no-pretrain", ("pretraining",), "Start from random kernels.", sets=None),
    Parameter(
        "--pretrain-epochs",
        ("pretraining.epochs",),
        "Passes over the data per level; one, or one per level.",
        "15",
        _INTEGERS,
        "N[,N...]",
    ),
    Parameter(
        "--pretrain-optimizer",
        ("pretraining.optimizer",),
        "Optimizer of pretraining, by Keras' name.",
        "adam",
    ),
    Parameter(
        "--pretrain-learning-rate",
        ("pretraining.learning_rate",),
        "Its learning rate; one, or one per level.",
        "0.001",
        _NUMBERS,
        "X[,X...]",
    ),
    Parameter(
        "--epochs",
        ("training.epochs",),
        "Passes over the data in training the whole, at most.",
        "60",
        click.IntRange(min=0),
    ),
    Parameter(
        "--optimizer", ("training.optimizer",), "Optimizer of training, by Keras' name.", "adam"
    ),
    Parameter(
        "--learning-rate",
        ("training.learning_rate",),
        "Its learning rate at the start.",
        "0.002",
        float,
    ),
    Parameter(
        "--schedule",
        ("training.schedule",),
        "Learning rate over the epochs: down to zero along a cosine or, at the end, in a line; or "
        "constant.",
        "cosine",
        click.Choice(["cosine", "cooldown", "constant"]),
    ),
    Parameter(
        "--class-weight",
        ("training.class_weight",),
        "balanced: rows weigh by the inverse frequency of their class, where one is rare.",
        kind=click.Choice(["balanced"]),
    ),
    Parameter(
        "--head",
        ("training.head",),
        "What predicts from a pretrained stack: finetune, the whole network; linear, logistic or "
        "ridge regression on inputs, frozen codes and Fourier features; auto, the latter unless "
        "fine-tuning is clearly better. [default: auto for tables, else finetune]",
        kind=click.Choice(["finetune", "linear", "auto"]),
    ),
    Parameter(
        "--patience",
        ("training.patience",),
        "Epochs that are trained in any case, before the tutorials' patience rule may stop; the "
        "best epoch's weights remain. [default: all, and the last one's remain; 10 for constant]",
        kind=float,
    ),
    Parameter(
        "--batch-size",
        ("training.batch_size", "pretraining.batch_size"),
        "Rows per update.",
        "32",
        _POSITIVE,
    ),
    Parameter(
        "--dropout",
        ("model.dropout",),
        "Share of the codes dropped in fine-tuning.",
        "0.0",
        float,
    ),
    Parameter(
        "--finetune-noise-level",
        ("model.finetune_noise_level",),
        "Level of the noise on the input in fine-tuning.",
        "0.2",
        float,
    ),
    Parameter("--seed", ("seed",), "Makes the run repeatable.", "0", click.IntRange(min=0)),
    Parameter(
        "--dtype",
        ("dtype",),
        "Precision.",
        "float32",
        click.Choice(["float32", "float64", "mixed_bfloat16", "mixed_float16"]),
    ),
)


def parse_setting(text: str) -> tuple[str, Any]:
    """Returns key and value of `KEY=VALUE`.

    A value is a number, `true`, `false`, `none`, text, a comma-separated list of these, or a list
    or table as TOML writes it.

    Raises:
        click.UsageError: If there is no key or no value, or a list or table cannot be read.

    Example:

    >>> parse_setting("hidden_units=128,64"), parse_setting("noise=none")
    (('hidden_units', [128, 64]), ('noise', None))
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not key or not equals:
        raise click.UsageError(
            f"--set expects KEY=VALUE, such as hidden_units=128,64. Received: {text!r}"
        )
    if value.startswith(("{", "[")):
        import tomllib

        from keras_sda._validation import shown

        try:
            return key, without_none(tomllib.loads(f"value = {value}")["value"])
        except (ValueError, RecursionError) as error:  # numbers of too many digits, deep lists
            raise click.UsageError(
                f"--set expects lists and tables as TOML writes them ({error}). Received: "
                f"{shown(text, 200)}"
            ) from error
    if "," in value:
        return key, [_plain_value(part.strip()) for part in value.split(",")]
    return key, _plain_value(value)


_WORDS = {"none": None, "true": True, "false": False}


def _plain_value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def without_none(value: Any) -> Any:
    """Returns what a TOML file holds, with `None` where it says "none", as TOML has no null."""
    if isinstance(value, dict):
        return {key: without_none(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_none(entry) for entry in value]
    return None if value == "none" else value


def with_none(value: Any) -> Any:
    """Returns plain values as a TOML file can hold them: "none" for `None`."""
    if isinstance(value, dict):
        return {key: with_none(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [with_none(entry) for entry in value]
    return "none" if value is None else value
