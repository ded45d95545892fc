"""One table of bad inputs: what every public entry and every command is given wrong, and answers.

Each line says which entry, which cause, how to call it, and what the one sentence must say.
`test_bad_inputs.py` makes the calls; the page "What errors mean" of the documentation is made of
the causes and the answers.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

import keras_sda as ks

REFUSALS = (ValueError, TypeError, OSError, ImportError, FloatingPointError)


@dataclass(frozen=True)
class Cause:
    """A kind of mistake, and what to do about it; a line of the page "What errors mean"."""

    group: str
    title: str
    remedy: str


CAUSES = {
    "nan": Cause(
        "Rows", "A value is NaN", "Remove the row or fill the gap; `datasets.Columns` fills gaps."
    ),
    "infinity": Cause("Rows", "A value is infinite", "Remove the row, or clip the value."),
    "too large": Cause(
        "Rows",
        "A value is larger than float32 can hold",
        "Scale the column, or take its logarithm.",
    ),
    "outside": Cause(
        "Rows",
        "A value lies outside [0, 1] under cross-entropy",
        "Scale the data to [0, 1], or choose the squared error.",
    ),
    "width": Cause(
        "Rows", "Rows have another shape than the model's", "Give the columns it was made for."
    ),
    "no rows": Cause("Rows", "There is no row", "Look at how the rows were chosen."),
    "text": Cause("Rows", "Text stands where numbers should", "Load tables by `datasets.load`."),
    "none": Cause("Rows", "`None` was given", "Give rows."),
    "one number": Cause("Rows", "A single number was given", "Give a table, of one row even."),
    "dictionary": Cause("Rows", "A dictionary was given", "Stack its columns into one table."),
    "ragged": Cause("Rows", "Rows have different lengths", "Fill them up to one length."),
    "path": Cause("Rows", "The name of a file was given", "Read it by `datasets.load`."),
    "complex": Cause("Rows", "Numbers are complex", "Give real and imaginary part as columns."),
    "dates": Cause("Rows", "Values are dates", "Let `datasets.Columns` make numbers of them."),
    "empty dataset": Cause("Rows", "A dataset has no batch", "Look at how it was made."),
    "endless": Cause(
        "Rows", "A dataset never ends", "Leave `repeat()` out, or say how many steps."
    ),
    "generator": Cause("Rows", "A generator can be read once only", "Give an array or a dataset."),
    "batch": Cause(
        "Rows", "A later batch of a dataset is unfit", "See what the message finds in it."
    ),
    "no labels": Cause("Labels", "Labels are missing", "Give `y`, or call `pretrain`."),
    "label range": Cause("Labels", "A label is not a class number", "Number classes from 0."),
    "label type": Cause("Labels", "Labels are not whole numbers", "Convert them to integers."),
    "label gaps": Cause("Labels", "A label or target is NaN", "Leave such rows out, or mark them."),
    "label count": Cause(
        "Labels", "There are more or fewer labels than rows", "Give one for each."
    ),
    "one-hot": Cause("Labels", "Labels are one-hot", "Give `y.argmax(axis=1)`."),
    "one class": Cause("Labels", "All labels are of one class", "Give labels of at least two."),
    "weights": Cause(
        "Labels", "Weights are negative, NaN, or all 0", "Give weights of at least 0."
    ),
    "weight count": Cause("Labels", "There are more or fewer weights than rows", "One for each."),
    "weight shape": Cause("Labels", "A row has several weights", "One for each row."),
    "masked": Cause("Rows", "A value is masked", "It counts as missing: fill it, or drop the row."),
    "unknown name": Cause("Arguments", "A name is not known", "Choose one that the message lists."),
    "negative": Cause("Arguments", "A number is negative", "Give one of the range it names."),
    "zero": Cause("Arguments", "A number is 0", "Give one above 0."),
    "above": Cause("Arguments", "A number is too large", "Give one of the range it names."),
    "not finite": Cause("Arguments", "A number is NaN or infinite", "Look at how it was computed."),
    "fraction": Cause("Arguments", "A count has a fraction", "Give a whole number."),
    "not a number": Cause("Arguments", "Text stands for a number", "Give the number."),
    "missing value": Cause("Arguments", "`None` stands for a value", "Give the value."),
    "not a flag": Cause("Arguments", "A switch is neither True nor False", "Give one of the two."),
    "wrong object": Cause("Arguments", "An object is of another kind", "Give what it names."),
    "too many": Cause("Arguments", "A list has too many or too few entries", "One for each level."),
    "empty list": Cause("Arguments", "A list is empty", "Give at least one entry."),
    "order": Cause("Arguments", "Two arguments contradict each other", "Change one of them."),
    "seed": Cause("Arguments", "A seed is not a whole number of at least 0", "Give one, or None."),
    "dtype": Cause("Arguments", "A dtype is not known", "Give one such as 'float32'."),
    "unknown option": Cause("Arguments", "There is no such argument or option", "See its help."),
    "no file": Cause("Files", "A file or folder is not there", "Look at its path."),
    "not that file": Cause("Files", "A file holds something else", "Look at what it was made by."),
    "empty name": Cause("Files", "A name is empty", "Give the name."),
    "taken": Cause("Files", "Something else stands there", "Choose another place."),
    "no column": Cause("Files", "A table has no such column", "Choose one that it has."),
}


@dataclass(frozen=True)
class BadInput:
    """A call that must be refused.

    Args:
        entry: What is called, such as `"MLP.fit"` or `"keras-sda train"`.
        cause: Key of `CAUSES`.
        shown: The mistake in words that stand in code.
        call: Makes the call.
        says: What the sentence must hold.
    """

    entry: str
    cause: str
    shown: str
    call: Callable[[], Any]
    says: str


ROWS, FEATURES = 12, 8
X = np.random.default_rng(0).uniform(size=(ROWS, FEATURES)).astype("float32")
IMAGES = np.random.default_rng(0).uniform(size=(ROWS, 28, 28, 1)).astype("float32")
Y = np.arange(ROWS) % 3


class Batches(keras.utils.PyDataset):
    """Batches of four rows; `count=None` for ever."""

    def __init__(self, *tables, count=3):
        super().__init__()
        self.tables, self.count = tables, count

    @property
    def num_batches(self):
        """The number of batches."""
        return self.count

    def __getitem__(self, index):
        start = 4 * (index % 3)
        parts = tuple(table[start : start + 4] for table in self.tables)
        return parts[0] if len(parts) == 1 else parts


def spoilt(table: np.ndarray, value: Any, row: int = 2) -> np.ndarray:
    """Returns a copy with one value in another one's place."""
    copy = np.array(table, np.result_type(table, type(value)))
    copy[row, ..., -1] = value
    return copy


def bad_rows(x: np.ndarray) -> Iterator[tuple[str, str, Any, str]]:
    """Yields cause, words, rows and answer for everything that no method takes as rows."""
    yield "nan", "a NaN in row 2", spoilt(x, np.nan), "row 2 holds NaN or infinity"
    masked = np.ma.masked_array(x, np.isnan(spoilt(x, np.nan)))
    yield "masked", "a masked value in row 2", masked, "row 2 holds NaN or infinity"
    yield "infinity", "an infinity in row 2", spoilt(x, np.inf), "row 2 holds NaN or infinity"
    yield "too large", "1e300 in row 2", spoilt(x.astype("float64"), 1e300), "scale the data"
    yield "width", "a column too few", x[..., :-1] if x.ndim == 2 else x[:, :-1], "of shape (rows"
    yield "no rows", "no row", x[:0], "at least one row"
    yield "text", "text", x.astype(str), "needs numbers in `x`"
    yield "none", "None", None, "Received None"
    yield "one number", "3.0", 3.0, "Received 3.0"
    yield "dictionary", "a dictionary", {"x": x}, "Received {"
    yield "ragged", "rows of different lengths", [[1.0, 2.0], [3.0]], "different lengths"
    yield "path", "'people.csv'", "people.csv", "keras_sda.datasets.load"
    yield "complex", "complex numbers", x + 1j, "needs numbers in `x`"
    yield "dates", "dates", x.astype("int64").astype("datetime64[D]"), "needs numbers in `x`"


def argument(name: str) -> str:
    """Returns how an answer begins that names an argument."""
    return f"`{name}`"


# Models


def _model(name: str, **changes: Any) -> keras.Model:
    """Returns a small model of a class."""
    sizes: dict[str, Any] = {"input_dim": FEATURES, "seed": 0}
    if name in ("StackedDenoisingAutoencoder", "MLP", "LadderNetwork"):
        sizes |= {"hidden_units": [6], "num_classes": 3}
    elif name == "SoftmaxRegression":
        sizes |= {"num_classes": 3}
    elif name == "DeepAutoencoder":
        sizes |= {"hidden_units": [6, 4]}
    elif name == "VariationalAutoencoder":
        sizes |= {"hidden_units": [6], "latent_dim": 2}
    elif name == "ConvolutionalAutoencoder":
        sizes = {"input_shape": (28, 28, 1), "filters": [2], "seed": 0}
    elif name == "LeNet5":
        sizes = {"kernels": (2, 2), "hidden_units": 4, "num_classes": 3, "seed": 0}
    elif name == "UnrolledAutoencoder":
        layer = ks.layers.TiedDense(6)
        layer.build((None, FEATURES))
        sizes = {"layers": [layer], "seed": 0}
    else:
        sizes |= {"hidden_units": 6}
    return getattr(ks, name)(**{**sizes, **changes})


@functools.cache
def made(name: str) -> keras.Model:
    """Returns a small compiled model, the same each time: what is refused does not change it."""
    model = _model(name)
    if model.num_classes is None or name == "LadderNetwork":
        model.compile("adam")
    else:
        model.compile("adam", "sparse_categorical_crossentropy")
    return model


MODELS = (
    "StackedDenoisingAutoencoder",
    "DenoisingAutoencoder",
    "SparseAutoencoder",
    "ContractiveAutoencoder",
    "DeepAutoencoder",
    "UnrolledAutoencoder",
    "VariationalAutoencoder",
    "ConvolutionalAutoencoder",
    "SoftmaxRegression",
    "MLP",
    "LeNet5",
    "LadderNetwork",
)
PRETRAINED = ("StackedDenoisingAutoencoder", "DeepAutoencoder")
CLASSIFIERS = (
    "StackedDenoisingAutoencoder",
    "SoftmaxRegression",
    "MLP",
    "LeNet5",
    "LadderNetwork",
)
FIT_ARGUMENTS = (
    ("negative", "epochs", -1),
    ("zero", "batch_size", 0),
    ("negative", "batch_size", -1),
    ("fraction", "epochs", 1.5),
    ("not a number", "epochs", "many"),
    ("above", "validation_split", 2),
    ("not finite", "validation_split", float("nan")),
    ("negative", "steps_per_epoch", -1),
    ("negative", "initial_epoch", -1),
    ("zero", "validation_batch_size", 0),
    ("zero", "validation_freq", 0),
    ("unknown name", "verbose", "loud"),
    ("unknown name", "shuffle", "twice"),
    ("wrong object", "callbacks", ["EarlyStopping"]),
    ("wrong object", "class_weight", [1, 2, 3]),
    ("not finite", "class_weight", {0: float("nan")}),
)


def _rows_of(name: str) -> np.ndarray:
    return IMAGES if name in ("LeNet5", "ConvolutionalAutoencoder") else X


def of_models() -> Iterator[BadInput]:
    """Yields what the methods of models refuse."""
    for name in MODELS:
        x, labels = _rows_of(name), (Y,) if name in CLASSIFIERS else ()
        methods = ["fit", "evaluate", "predict"] + ["encode"] * (name != "SoftmaxRegression")
        if name not in CLASSIFIERS:
            methods += ["reconstruct", "reconstruction_error"]
        for method in methods:
            given = labels if method in ("fit", "evaluate") else ()
            for cause, shown, rows, says in bad_rows(x):
                yield BadInput(
                    f"{name}.{method}",
                    cause,
                    f"{method}({shown})",
                    functools.partial(_on_model, name, method, rows, *given),
                    says,
                )
        yield from _of_batches(name, x, labels)
        yield from _of_fit(name, x, labels)
        yield from _of_datasets(name, x, labels)
        if labels:
            yield from _of_labels(name, x)
        if name in PRETRAINED:
            for cause, shown, rows, says in bad_rows(x):
                call = functools.partial(_on_model, name, "pretrain", rows)
                yield BadInput(f"{name}.pretrain", cause, f"pretrain({shown})", call, says)
        yield from _of_compile(name)


def _on_model(name, method, *data, **options):
    return getattr(made(name), method)(*data, **options)


def _of_batches(name, x, labels):
    for method in ("train_on_batch", "test_on_batch", "predict_on_batch"):
        given = () if method == "predict_on_batch" else labels
        for cause, shown, rows, says in (
            *bad_rows(x),
            ("wrong object", "a dataset", Batches(x, *labels), "the rows of one batch as an array"),
        ):
            call = functools.partial(_on_model, name, method, rows, *given)
            yield BadInput(f"{name}.{method}", cause, f"{method}({shown})", call, says)


def _of_fit(name, x, labels):
    for cause, option, value in FIT_ARGUMENTS:
        call = functools.partial(_on_model, name, "fit", x, *labels, **{option: value})
        yield BadInput(f"{name}.fit", cause, f"fit({option}={value!r})", call, option)
    for option, value in (("batch_size", 0), ("steps", -1), ("verbose", "loud")):
        cause = {"batch_size": "zero", "steps": "negative", "verbose": "unknown name"}[option]
        call = functools.partial(_on_model, name, "predict", x, **{option: value})
        yield BadInput(f"{name}.predict", cause, f"predict({option}={value!r})", call, option)
    weights = {
        "weights": (-np.ones(ROWS), "finite numbers of at least 0 in `sample_weight`"),
        "weight count": (np.ones(5), "one weight per row"),
        "weight shape": (np.ones((ROWS, 2)), "one number per row in `sample_weight`"),
    }
    for cause, (weight, says) in weights.items():
        call = functools.partial(_on_model, name, "fit", x, *labels, sample_weight=weight)
        yield BadInput(f"{name}.fit", cause, "fit(sample_weight=...)", call, says)
    call = functools.partial(_on_model, name, "fit", x, *labels, sample_weight=iter([1.0]))
    says = "`sample_weight` as an array, a table or a tensor"
    yield BadInput(f"{name}.fit", "generator", "fit(sample_weight=a generator)", call, says)


def _of_datasets(name, x, labels):
    bad = Batches(spoilt(x, np.nan, row=9), *labels)
    endless = Batches(x, *labels, count=None)
    for method in ("fit", "evaluate"):
        for cause, shown, data, says in (
            ("endless", "an endless dataset", endless, "finite dataset"),
            ("empty dataset", "an empty dataset", Batches(x, *labels, count=0), "at least one"),
            ("batch", "a NaN in the third batch", bad, "batch 3"),
        ):
            if name == "LadderNetwork" and cause == "batch" and method == "fit":
                says = "NaN"
            call = functools.partial(_on_model, name, method, data, verbose=0)
            yield BadInput(f"{name}.{method}", cause, f"{method}({shown})", call, says)
    for cause, data, says in (
        ("endless", Batches(x, count=None), "finite dataset"),
        ("batch", Batches(spoilt(x, np.nan, row=9)), "NaN or infinity"),
    ):
        call = functools.partial(_on_model, name, "predict", data, verbose=0)
        yield BadInput(f"{name}.predict", cause, "predict(a dataset)", call, says)
    if name != "SoftmaxRegression":
        call = functools.partial(_on_model, name, "encode", iter([x]))
        yield BadInput(f"{name}.encode", "generator", "encode(a generator)", call, "dataset")


def _of_labels(name, x):
    for cause, shown, y, says in (
        ("no labels", "no y", None, "needs the labels `y`"),
        ("label range", "a label of 7", np.where(Y == 1, 7, Y), "labels from 0 to 2"),
        ("label type", "labels as text", Y.astype(str), "integer class labels"),
        ("label gaps", "a label of NaN", np.where(Y == 1, np.nan, Y), "integer class labels"),
        ("label count", "five labels", Y[:5], "one label per row"),
        ("one-hot", "one-hot labels", np.eye(3)[Y], "looks like one-hot labels"),
    ):
        for method in ("fit", "evaluate"):
            call = functools.partial(_on_model, name, method, x, y, verbose=0)
            yield BadInput(f"{name}.{method}", cause, f"{method}({shown})", call, says)
    if name == "LadderNetwork":
        call = functools.partial(_on_model, name, "fit", x, np.zeros(ROWS, int), verbose=0)
        yield BadInput(f"{name}.fit", "one class", "fit(one class)", call, "at least two classes")


def _of_compile(name):
    for cause, optimizer in (
        ("missing value", None),
        ("unknown name", "adamm"),
        ("wrong object", 3),
        ("not finite", keras.optimizers.SGD(float("nan"))),
        ("negative", keras.optimizers.SGD(-1.0)),
    ):
        call = functools.partial(_compile, name, optimizer)
        shown = optimizer if not isinstance(optimizer, keras.optimizers.Optimizer) else "SGD(...)"
        says = "learning_rate" if shown == "SGD(...)" else "`optimizer`"
        yield BadInput(f"{name}.compile", cause, f"compile({shown!r})", call, says)


def _compile(name, optimizer):
    model = made(name)
    model.compile(optimizer, None if model.num_classes is None else model._given_loss)


# Constructors

CONSTRUCTORS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "StackedDenoisingAutoencoder": (
        ("negative", "input_dim", -1),
        ("fraction", "input_dim", 2.5),
        ("not a number", "input_dim", "eight"),
        ("empty list", "hidden_units", []),
        ("zero", "hidden_units", [0]),
        ("wrong object", "hidden_units", 6),
        ("unknown name", "noise", "salty"),
        ("above", "noise_level", 1.5, "MaskingNoise must lie in [0, 1]"),
        ("not finite", "noise_level", float("nan"), "MaskingNoise must lie in [0, 1]"),
        ("too many", "noise_level", [0.1, 0.2]),
        ("unknown name", "activation", "rellu"),
        ("not a flag", "tied", "x"),
        ("unknown name", "kernel_initializer", "he"),
        ("unknown name", "reconstruction_loss", "mse"),
        ("not a flag", "batch_normalization", "x"),
        ("above", "dropout", 1.0),
        ("negative", "finetune_noise_level", -0.1),
        ("seed", "seed", "x"),
        ("seed", "seed", -1),
        ("wrong object", "code_regularizer", "l7"),
    ),
    "DenoisingAutoencoder": (
        ("zero", "input_dim", 0),
        ("fraction", "hidden_units", 2.5),
        ("not a number", "hidden_units", "six"),
        ("unknown name", "noise", "salty"),
        ("above", "noise_level", 1.5, "MaskingNoise must lie in [0, 1]"),
        ("unknown name", "activation", "rellu"),
        ("not a flag", "tied", "x"),
        ("unknown name", "reconstruction_loss", "mse"),
        ("seed", "seed", 1.5),
    ),
    "SparseAutoencoder": (
        ("zero", "input_dim", 0),
        ("missing value", "hidden_units", None),
        ("above", "sparsity_target", 1.0),
        ("zero", "sparsity_target", 0.0),
        ("negative", "sparsity_weight", -1.0),
        ("not finite", "sparsity_weight", float("inf")),
        ("unknown name", "activation", "rellu"),
        ("not a flag", "tied", "x"),
        ("unknown name", "reconstruction_loss", "mse"),
        ("seed", "seed", "x"),
    ),
    "ContractiveAutoencoder": (
        ("zero", "input_dim", 0),
        ("fraction", "hidden_units", 2.5),
        ("negative", "contraction_weight", -1.0),
        ("not finite", "contraction_weight", float("nan")),
        ("unknown name", "jacobian", "numeric"),
        ("unknown name", "activation", "rellu"),
        ("not a flag", "tied", "x"),
        ("seed", "seed", "x"),
        ("not a number", "contraction_weight", "much"),
    ),
    "DeepAutoencoder": (
        ("zero", "input_dim", 0),
        ("empty list", "hidden_units", []),
        ("fraction", "hidden_units", [2.5]),
        ("unknown name", "activation", "rellu"),
        ("too many", "activation", ["tanh"] * 5),
        ("not a flag", "tied", "x"),
        ("unknown name", "noise", "salty"),
        ("above", "noise_level", {"noise": "masking", "noise_level": 2.0}, "MaskingNoise"),
        ("seed", "seed", "x"),
        ("unknown name", "output_activation", "rellu"),
    ),
    "VariationalAutoencoder": (
        ("zero", "input_dim", 0),
        ("fraction", "hidden_units", [2.5]),
        ("zero", "latent_dim", 0),
        ("unknown name", "likelihood", "poisson"),
        ("zero", "likelihood_stddev", 0.0),
        ("negative", "beta", -1.0),
        ("not finite", "beta", float("nan")),
        ("unknown name", "activation", "rellu"),
        ("seed", "seed", "x"),
        ("order", "input_shape", (28, 28, 1)),
    ),
    "ConvolutionalAutoencoder": (
        ("too many", "input_shape", (28,)),
        ("zero", "input_shape", (0, 28, 1)),
        ("empty list", "filters", []),
        ("fraction", "filters", [2.5]),
        ("zero", "kernel_size", 0),
        ("unknown name", "padding", "wide"),
        ("unknown name", "activation", "rellu"),
        ("unknown name", "noise", "salty"),
        ("above", "noise_level", {"noise": "masking", "noise_level": 2.0}, "MaskingNoise"),
        ("seed", "seed", "x"),
    ),
    "SoftmaxRegression": (
        ("zero", "input_dim", 0),
        ("fraction", "input_dim", 2.5),
        ("not a number", "input_dim", "x"),
        ("missing value", "input_dim", None),
        ("zero", "num_classes", 0),
        ("wrong object", "num_classes", [3]),
        ("unknown name", "kernel_initializer", "he"),
        ("seed", "seed", "x"),
        ("negative", "num_classes", -3),
    ),
    "MLP": (
        ("zero", "input_dim", 0),
        ("fraction", "hidden_units", [2.5]),
        ("order", "num_classes", None),
        ("wrong object", "head", {"head": "dense", "num_classes": None}),
        ("unknown name", "activation", "rellu"),
        ("above", "dropout", 1.5),
        ("not finite", "dropout", float("nan")),
        ("unknown name", "kernel_initializer", "he"),
        ("seed", "seed", "x"),
        ("too many", "activation", ["tanh", "relu"]),
    ),
    "LeNet5": (
        ("too many", "input_shape", (28,)),
        ("zero", "num_classes", 0),
        ("empty list", "kernels", ()),
        ("fraction", "kernels", (2.5, 3)),
        ("negative", "hidden_units", -4),
        ("unknown name", "activation", "rellu"),
        ("above", "kernel_size", 100, "kernels of 100"),
        ("not finite", "dropout", float("nan")),
        ("seed", "seed", "x"),
    ),
    "LadderNetwork": (
        ("zero", "input_dim", 0),
        ("empty list", "hidden_units", []),
        ("zero", "num_classes", 0),
        ("unknown name", "noise", "salty"),
        ("negative", "noise_level", -1.0, "AdditiveGaussianNoise"),
        ("not finite", "noise_level", float("nan"), "AdditiveGaussianNoise"),
        ("too many", "denoising_weights", [1.0] * 9),
        ("negative", "denoising_weights", [-1.0]),
        ("unknown name", "denoising_weights", "none"),
        ("unknown name", "activation", "rellu"),
        ("seed", "seed", "x"),
    ),
    "UnrolledAutoencoder": (
        ("empty list", "layers", []),
        ("wrong object", "layers", [3]),
        ("missing value", "layers", None),
        ("not a number", "layers", "levels"),
        ("one number", "layers", 3),
        ("unknown name", "reconstruction_loss", "mse"),
        ("unknown name", "output_activation", "rellu"),
        (
            "order",
            "output_activation",
            {
                "output_activation": "tanh",
                "reconstruction_loss": "binary_crossentropy",
            },
        ),
        ("seed", "seed", "x"),
        ("wrong object", "noise", 7),
    ),
}

# What is wrong with any noise of a rate.
_RATES: tuple[tuple[Any, ...], ...] = (
    ("above", "rate", 1.5),
    ("negative", "rate", -0.1),
    ("not finite", "rate", float("nan")),
    ("not a number", "rate", "x"),
    ("missing value", "rate", None),
    ("unknown option", "rates", 0.3, "rates"),
)
# name: class, valid arguments, and what is wrong in each line.
PARTS: dict[str, tuple[Any, dict[str, Any], tuple[tuple[str, str, Any], ...]]] = {
    "layers.MaskingNoise": (
        ks.layers.MaskingNoise,
        {"rate": 0.3},
        (
            *_RATES,
            ("wrong object", "rate", [0.3]),
            ("seed", "seed", "x"),
        ),
    ),
    "layers.SwapNoise": (
        ks.layers.SwapNoise,
        {"rate": 0.3},
        (
            *_RATES,
            ("wrong object", "rate", {}),
            ("seed", "seed", 0.5),
        ),
    ),
    "layers.ColumnSwapNoise": (
        ks.layers.ColumnSwapNoise,
        {"rate": 0.3},
        (
            *_RATES,
            ("wrong object", "groups", 3),
            ("seed", "seed", -1),
        ),
    ),
    "layers.SaltAndPepperNoise": (
        ks.layers.SaltAndPepperNoise,
        {"rate": 0.3},
        (
            ("above", "rate", 1.5),
            ("order", "low", 2.0),
            ("not finite", "high", float("inf")),
            ("not a number", "low", "x"),
            ("missing value", "high", None),
            ("negative", "rate", -1),
            ("seed", "seed", "x"),
            ("unknown option", "rates", 0.3, "rates"),
        ),
    ),
    "layers.AdditiveGaussianNoise": (
        ks.layers.AdditiveGaussianNoise,
        {"stddev": 0.3},
        (
            ("negative", "stddev", -1.0),
            ("not finite", "stddev", float("inf")),
            ("not a number", "stddev", "x"),
            ("missing value", "stddev", None),
            ("order", "clip", (1, 0)),
            ("too many", "clip", (0, 1, 2)),
            ("wrong object", "clip", 3),
            ("seed", "seed", "x"),
            ("unknown option", "rates", 0.3, "rates"),
        ),
    ),
    "layers.TiedDense": (
        ks.layers.TiedDense,
        {"units": 4},
        (
            ("zero", "units", 0),
            ("fraction", "units", 2.5),
            ("not a number", "units", "x"),
            ("missing value", "units", None),
            ("unknown name", "activation", "rellu"),
            ("unknown name", "visible_activation", "rellu"),
            ("not a flag", "tied", "x"),
            ("wrong object", "kernel_initializer", 3),
            ("unknown option", "unit", 3, "unit"),
        ),
    ),
    "callbacks.PatienceStopping": (
        ks.callbacks.PatienceStopping,
        {},
        (
            ("zero", "patience", 0),
            ("not finite", "patience", float("inf")),
            ("not a number", "patience", "x"),
            ("negative", "patience_increase", -1.0),
            ("not finite", "patience_increase", float("nan")),
            ("above", "improvement_threshold", 1.5),
            ("missing value", "improvement_threshold", None),
            ("not a flag", "restore_best_weights", "x"),
            ("unknown option", "min_delta", 3),
        ),
    ),
    "callbacks.KLWarmup": (
        ks.callbacks.KLWarmup,
        {"epochs": 3},
        (
            ("zero", "epochs", 0),
            ("negative", "epochs", -1),
            ("fraction", "epochs", 2.5),
            ("not a number", "epochs", "x"),
            ("missing value", "epochs", None),
            ("not finite", "epochs", float("nan")),
            ("wrong object", "epochs", [3]),
            ("unknown option", "steps", 3),
        ),
    ),
    "callbacks.ReconstructionPictures": (
        ks.callbacks.ReconstructionPictures,
        {"rows": X},
        (
            ("nan", "rows", spoilt(X, np.nan)),
            ("no rows", "rows", X[:0]),
            ("none", "rows", None),
            ("text", "rows", X.astype(str)),
            ("zero", "every_epochs", 0),
            ("fraction", "every_steps", 1.5),
            ("order", "every_steps", {"every_steps": 2, "every_epochs": 2}),
            ("seed", "seed", "x"),
            ("unknown option", "steps", 3),
        ),
    ),
    "callbacks.Backup": (
        ks.callbacks.Backup,
        {"folder": "states"},
        (
            ("zero", "every", 0),
            ("fraction", "every", 1.5),
            ("not a number", "every", "x"),
            ("not finite", "every", float("nan")),
            ("negative", "every", -1),
            ("missing value", "every", ""),
            ("above", "every", float("inf")),
            ("unknown option", "steps", 3),
        ),
    ),
    "regularizers.KLSparsity": (
        ks.regularizers.KLSparsity,
        {},
        (
            ("zero", "target", 0.0),
            ("above", "target", 1.0),
            ("not finite", "target", float("nan")),
            ("not a number", "target", "x"),
            ("missing value", "target", None),
            ("negative", "weight", -1.0),
            ("wrong object", "weight", [1.0]),
            ("unknown option", "rho", 3),
        ),
    ),
    "datasets.gaussian_clouds": (
        ks.datasets.gaussian_clouds,
        {},
        (
            ("zero", "rows", 0),
            ("negative", "rows", -1),
            ("fraction", "rows", 1.5),
            ("not a number", "rows", "x"),
            ("missing value", "rows", None),
            ("not finite", "rows", float("nan")),
            ("seed", "seed", "x"),
            ("unknown option", "count", 3),
        ),
    ),
    "datasets.xor": (
        ks.datasets.xor,
        {},
        (
            ("zero", "rows", 0),
            ("fraction", "rows", 1.5),
            ("not a number", "rows", "x"),
            ("negative", "noise", -0.1),
            ("not finite", "noise", float("nan")),
            ("missing value", "noise", None),
            ("seed", "seed", "x"),
            ("unknown option", "count", 3),
        ),
    ),
    "datasets.load": (
        ks.datasets.load,
        {"name_or_path": "digits"},
        (
            ("unknown name", "name_or_path", "digitss"),
            ("empty name", "name_or_path", ""),
            ("no file", "name_or_path", "nowhere/people.csv"),
            ("missing value", "name_or_path", None),
            ("one number", "name_or_path", 3),
            ("unknown name", "split", "thirds"),
            ("unknown name", "scale", "loud"),
            ("no column", "target", "income"),
            ("unknown option", "fraction", 3),
            ("unknown name", "storage", "nowhere"),
            ("wrong object", "target", ["y"]),
            ("wrong object", "ids", "name"),
            ("one number", "ids", 3),
            ("one number", "test", 3),
            ("one number", "data_dir", 3),
        ),
    ),
}
