"""The rest of the table of bad inputs: constructors, estimators, functions and commands."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bad_inputs import (
    CONSTRUCTORS,
    FEATURES,
    MODELS,
    PARTS,
    ROWS,
    BadInput,
    X,
    Y,
    _model,
    bad_rows,
    made,
    of_models,
    spoilt,
)
from bad_inputs_rest import OF_PRESET_NAMES, of_the_rest
from click.testing import CliRunner

import keras_sda as ks
import keras_sda.experiments
import keras_sda.plots
import keras_sda.presets
import keras_sda.recipes
import keras_sda.sklearn as sk
from keras_sda_cli.program import program

RUN = str(Path(__file__).parent / "saved" / "run_0_2_0")


def of_constructors() -> Iterator[BadInput]:
    """Yields what constructors of models, layers and callbacks refuse."""
    for name, lines in CONSTRUCTORS.items():
        for cause, option, value, *says in lines:
            changes = value if isinstance(value, dict) else {option: value}
            shown = ", ".join(f"{key}={each!r}" for key, each in changes.items())
            call = functools.partial(_model, name, **changes)
            yield BadInput(name, cause, f"{name}({shown})", call, says[0] if says else option)
    for name in MODELS:
        for seed in ("zero", -7, float("nan"), float("inf")):
            call = functools.partial(_model, name, seed=seed)
            yield BadInput(name, "seed", f"{name}(seed={seed!r})", call, "`seed`")
        if name not in ("ConvolutionalAutoencoder", "LeNet5", "UnrolledAutoencoder"):
            call = functools.partial(_model, name, input_dim=10**400)
            yield BadInput(name, "above", f"{name}(input_dim=10**400)", call, "`input_dim`")
    for name, (function, valid, lines) in PARTS.items():
        for cause, option, value, *own in lines:
            changes = value if isinstance(value, dict) and value else {option: value}
            words = "..." if isinstance(value, np.ndarray) else repr(value)
            call = functools.partial(function, **{**valid, **changes})
            says = "unexpected keyword" if cause == "unknown option" else _named(option, value)
            says = own[0] if own else says
            yield BadInput(name, cause, f"{name.split('.')[-1]}({option}={words})", call, says)


def _named(option, value):
    """Returns what an answer says of an argument: its name, or of data and files the value."""
    if option == "rows" and (value is None or isinstance(value, np.ndarray)):
        return "`rows`"
    return str(value) if option == "name_or_path" else option


# Estimators

ESTIMATORS = {
    "SDAClassifier": {"hidden_units": (4,), "pretrain_epochs": 1, "epochs": 1},
    "SDARegressor": {"hidden_units": (4,), "pretrain_epochs": 1, "epochs": 1},
    "SDATransformer": {"hidden_units": (4,), "pretrain_epochs": 1},
    "SDAOutlierDetector": {"hidden_units": (4,), "pretrain_epochs": 1, "epochs": 1},
    "LadderClassifier": {"hidden_units": (4,), "epochs": 1},
    "CodeSpreading": {},
    "SDAImputer": {"hidden_units": (4,), "epochs": 1},
}
PARAMETERS = (
    ("empty list", "hidden_units", ()),
    ("fraction", "hidden_units", (2.5,)),
    ("wrong object", "hidden_units", 4),
    ("unknown name", "noise", "salty"),
    ("negative", "noise_level", -1.0, "Noise must"),
    ("unknown name", "activation", "rellu"),
    ("not a flag", "tied", "x"),
    ("unknown name", "scale", "loud"),
    ("unknown name", "reconstruction_loss", "mse"),
    ("negative", "pretrain_epochs", -1),
    ("not finite", "pretrain_learning_rate", float("nan")),
    ("zero", "batch_size", 0),
    ("unknown name", "optimizer", "adamm"),
    ("seed", "random_state", "x"),
    ("unknown name", "verbose", "loud"),
    ("not finite", "learning_rate", float("nan")),
    ("negative", "learning_rate", -1.0),
    ("negative", "epochs", -1),
    ("not a number", "epochs", "many"),
    ("unknown name", "head", "tail"),
    ("not a flag", "early_stopping", "x"),
    ("above", "validation_fraction", 2.0),
    ("zero", "patience", 0),
    ("above", "dropout", 1.0),
    ("not a flag", "batch_normalization", "x"),
    ("above", "level", 9),
    ("above", "contamination", 0.9),
    ("not finite", "contamination", float("nan")),
    ("above", "trim", 0.9),
    ("unknown name", "row_error", "max"),
    ("unknown name", "calibration", "loo"),
    ("unknown name", "schedule", "step"),
    ("too many", "denoising_weights", [1.0] * 9),
    ("wrong object", "class_weight", 3),
    ("wrong object", "encoder", 3),
    ("zero", "n_neighbors", 0),
    ("fraction", "n_neighbors", 2.5),
    ("above", "alpha", 1.0),
    ("not finite", "alpha", float("nan")),
    ("too many", "class_mass", [0.5]),
    ("negative", "class_mass", [-1.0, 1.0, 1.0]),
    ("unknown name", "class_mass", "data"),
)
SKLEARN_ROWS = {
    "nan": "NaN",
    "infinity": "infinity",
    "no rows": "0 sample",
    "text": "convert",
    "none": "None",
    "one number": "Expected 2D array",
    "ragged": "inhomogeneous",
    "complex": "Complex data",
    "path": "Expected 2D array",
    "dictionary": "Expected 2D array",
}


# Gaps and text are what it is for; the others it reads as cells.
TAKEN_BY_IMPUTER = ("nan", "text", "none", "dictionary", "path")


@functools.cache
def fitted(name: str) -> Any:
    """Returns an estimator after a short training."""
    return getattr(sk, name)(**ESTIMATORS[name], **_random(name)).fit(X, _targets(name))


def _random(name):
    return {} if name == "CodeSpreading" else {"random_state": 0}


def _targets(name):
    return Y.astype("float64") if name == "SDARegressor" else Y


def _fit(name, x, y, **parameters):
    return getattr(sk, name)(**{**ESTIMATORS[name], **_random(name), **parameters}).fit(x, y)


def _use(name, method, x):
    return getattr(fitted(name), method)(x)


def of_estimators() -> Iterator[BadInput]:
    """Yields what estimators refuse."""
    for name in ESTIMATORS:
        known = getattr(sk, name)().get_params()
        for cause, option, value, *says in PARAMETERS:
            if option in known:
                call = functools.partial(_fit, name, X, _targets(name), **{option: value})
                said = says[0] if says else option
                yield BadInput(f"sklearn.{name}", cause, f"{option}={value!r}", call, said)
        method = "transform" if name in ("SDATransformer", "SDAImputer") else "predict"
        for cause, shown, rows, _ in bad_rows(X):
            if cause not in SKLEARN_ROWS or (name == "SDAImputer" and cause in TAKEN_BY_IMPUTER):
                continue
            says = SKLEARN_ROWS[cause]
            call = functools.partial(
                _fit, name, rows, _targets(name)[: 0 if cause == "no rows" else ROWS]
            )
            yield BadInput(f"sklearn.{name}.fit", cause, f"fit({shown})", call, says)
            call = functools.partial(_use, name, method, rows)
            yield BadInput(f"sklearn.{name}.{method}", cause, f"{method}({shown})", call, says)
        call = functools.partial(_use, name, method, X[:, :-1])
        yield BadInput(f"sklearn.{name}.{method}", "width", f"{method}(...)", call, "features")
        yield from _of_targets(name)


def _of_targets(name):
    if name in ("SDATransformer", "SDAOutlierDetector", "SDAImputer"):
        return
    entry = f"sklearn.{name}.fit"
    yield BadInput(entry, "label count", "y[:5]", functools.partial(_fit, name, X, Y[:5]), "5")
    yield BadInput(entry, "no labels", "None", functools.partial(_fit, name, X, None), "None")
    if name == "SDARegressor":
        huge = np.where(Y == 1, 1e300, Y)
        yield BadInput(
            entry, "too large", "1e300", functools.partial(_fit, name, X, huge), "1e+300"
        )
        text = functools.partial(_fit, name, X, np.array(list("abc" * 4)))
        yield BadInput(entry, "label type", "text", text, "convert")
        none = functools.partial(_fit, name, X, np.full(ROWS, np.nan))
        yield BadInput(entry, "label gaps", "NaN alone", none, "at least one row with both")
        return
    one = functools.partial(_fit, name, X, np.zeros(ROWS, int))
    yield BadInput(entry, "one class", "zeros", one, "at least two classes")
    gaps = functools.partial(_fit, name, X, np.full(ROWS, np.nan))
    yield BadInput(entry, "label gaps", "NaN alone", gaps, "label")


# Functions


def _reproduce(name, **options):
    return ks.recipes.reproduce(ks.recipes.get(name), quick=True, **options)


def _numbers(*shape):
    return np.linspace(0, 1, int(np.prod(shape))).reshape(shape)


def of_functions() -> Iterator[BadInput]:
    """Yields what functions refuse."""
    plots = ks.plots
    table = {
        "plots.plot_codes": (
            plots.plot_codes,
            {"codes": X, "labels": Y},
            (
                ("nan", "codes", spoilt(X, np.nan)),
                ("none", "codes", None),
                ("no rows", "codes", X[:0]),
                ("text", "codes", X.astype(str)),
                ("unknown name", "method", "umapp"),
                ("above", "dimensions", 9),
                ("label count", "labels", Y[:5]),
                ("zero", "count", 0),
            ),
        ),
        "plots.project_codes": (
            plots.project_codes,
            {"codes": X},
            (
                ("nan", "codes", spoilt(X, np.inf)),
                ("none", "codes", None),
                ("no rows", "codes", X[:0]),
                ("text", "codes", X.astype(str)),
                ("one number", "codes", 3.0),
                ("unknown name", "method", "umapp"),
                ("zero", "dimensions", 0),
                ("not a number", "dimensions", "two"),
            ),
        ),
        "plots.plot_confusion": (
            plots.plot_confusion,
            {"labels": Y, "predicted": Y},
            (
                ("label count", "labels", Y[:5], "one label per row"),
                ("none", "labels", None),
                ("no rows", "labels", Y[:0]),
                ("label gaps", "labels", np.where(Y == 1, np.nan, Y)),
                ("one number", "predicted", 3),
                ("label type", "predicted", 0.5 + Y),
                ("one-hot", "labels", np.eye(3)[Y]),
                ("label range", "predicted", Y - 3),
            ),
        ),
        "plots.plot_filters": (
            plots.plot_filters,
            {"kernel": _numbers(16, 4)},
            (
                ("nan", "kernel", spoilt(_numbers(16, 4), np.nan)),
                ("none", "kernel", None),
                ("no rows", "kernel", _numbers(16, 4)[:, :0]),
                ("text", "kernel", _numbers(16, 4).astype(str)),
                ("one number", "kernel", 3.0),
                ("width", "image_shape", (5, 5)),
                ("zero", "count", 0),
                ("fraction", "count", 1.5),
            ),
        ),
        "plots.tile_images": (
            plots.tile_images,
            {"images": _numbers(4, 5, 5)},
            (
                ("nan", "images", spoilt(_numbers(4, 5, 5), np.nan)),
                ("none", "images", None),
                ("no rows", "images", _numbers(4, 5, 5)[:0]),
                ("text", "images", _numbers(4, 5, 5).astype(str)),
                ("one number", "images", 3.0),
                ("zero", "columns", 0),
                ("negative", "gap", -1),
                ("not a number", "columns", "two"),
            ),
        ),
        "recipes.reproduce": (
            _reproduce,
            {"name": "sda-digits", "seeds": 1, "output": "results"},
            (
                ("unknown name", "name", "sda-mnistt", "no recipe"),
                ("missing value", "name", None, "no recipe"),
                ("empty name", "name", "", "no recipe"),
                ("negative", "seeds", -1),
                ("zero", "seeds", 0),
                ("fraction", "seeds", 1.5),
                ("not a number", "seeds", "ten"),
                ("unknown option", "epochs", 3),
            ),
        ),
        "presets.load": (
            ks.presets.load,
            {"name": "sda_digits"},
            (
                *OF_PRESET_NAMES,
                ("not that file", "name", __file__, "not a whole zip archive"),
                ("order", "sha256", "0" * 64, "SHA-256"),
                ("unknown option", "cache", 3),
            ),
        ),
        "experiments.load_run": (
            ks.experiments.load_run,
            {},
            (
                ("no file", "folder", "nowhere"),
                ("empty name", "folder", ""),
                ("missing value", "folder", None),
                ("one number", "folder", 3),
                ("not that file", "folder", __file__),
                ("not that file", "folder", str(Path(__file__).parent)),
                ("wrong object", "folder", [RUN]),
                ("unknown option", "model", 3),
            ),
        ),
    }
    for name, (function, valid, lines) in table.items():
        for cause, option, value, *own in lines:
            words = "..." if isinstance(value, np.ndarray) else repr(value)
            call = functools.partial(function, **{**valid, option: value})
            says = "unexpected keyword" if cause == "unknown option" else option
            says = own[0] if own else says
            yield BadInput(name, cause, f"{name.split('.')[1]}({option}={words})", call, says)
    yield from _of_drawings()


def _of_drawings():
    """Yields what functions refuse that take a model and rows."""
    plots, model = ks.plots, "StackedDenoisingAutoencoder"
    for name, function in (
        ("plots.plot_model_reconstructions", plots.plot_model_reconstructions),
        ("plots.plot_activations", plots.plot_activations),
    ):
        for cause, shown, rows, says in bad_rows(X):
            if function is plots.plot_model_reconstructions and cause not in ("too large", "width"):
                says = "`rows`"
            call = functools.partial(_with_model, function, model, rows)
            yield BadInput(name, cause, f"{name.split('.')[1]}(model, {shown})", call, says)
    for cause, shown, rows, says in bad_rows(X):
        call = functools.partial(_pretrain_layers, rows)
        yield BadInput("pretrain_layers", cause, f"pretrain_layers(..., {shown})", call, says)
    for cause, option, value in (
        ("empty list", "layers", []),
        ("one number", "layers", 5),
        ("negative", "epochs", -1),
        ("zero", "batch_size", 0),
        ("not finite", "learning_rate", float("nan")),
        ("unknown name", "optimizer", "adamm"),
        ("wrong object", "callbacks", [3]),
        ("unknown name", "cache", "attic"),
        ("unknown name", "reconstruction_loss", "mse"),
        ("too many", "epochs", [1, 2, 3]),
        ("no file", "nowhere", {"cache_dir": "nowhere/at/all", "cache": "disk"}),
        ("zero", "every", {"backup_steps": 0, "backup_dir": "states"}),
        ("seed", "seed", "x"),
    ):
        changes = value if isinstance(value, dict) else {option: value}
        call = functools.partial(_pretrain_layers, X, **changes)
        yield BadInput("pretrain_layers", cause, f"{option}={value!r}", call, option)


def _with_model(function, name, rows):
    return function(made(name), rows)


def _pretrain_layers(x, layers=None, **options):
    if layers is None:
        layers = [ks.layers.TiedDense(4), ks.layers.TiedDense(3)]
        layers[0].build((None, FEATURES))
        layers[1].build((None, 4))
    return ks.pretrain_layers(layers, x, **{"verbose": 0, "epochs": 1, **options})


# Commands


class RefusedError(ValueError):
    """What a command has printed as its error."""


def _command(*arguments):
    result = CliRunner().invoke(program, list(arguments))
    if result.exit_code == 0:
        return
    lines = result.stderr.strip().splitlines()
    if result.exit_code != 2 or len(lines) != 1 or not lines[0].startswith("Error: "):
        raise RuntimeError(f"exit {result.exit_code}: {result.output[-300:]} {result.exception!r}")
    raise RefusedError(lines[0].removeprefix("Error: "))


OPTIONS = "training.optimizer_options"
COMMANDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "train": (
        ("unknown name", "--model nosuch", "nosuch"),
        ("unknown name", "--data digitss", "digitss"),
        ("no file", "--data nowhere.csv", "nowhere.csv"),
        ("empty name", "--data ''", "need a name"),
        ("unknown name", "--activation x", "activation"),
        ("negative", "--pretrain-epochs -1", "epochs"),
        ("not a number", "--epochs many", "epochs"),
        ("not finite", "--learning-rate nan", "learning"),
        ("unknown name", "--strategy tpu", "strategy"),
        ("unknown option", "--nosuch", "nosuch"),
        ("no file", "--config nowhere.toml", "nowhere.toml"),
        ("no file", "--like nowhere", "nowhere"),
        ("empty name", "--like ''", "like"),
        ("above", "--seed 4294967296", "seed"),
        ("seed", "--seed -1", "seed"),
        ("unknown name", "--set training.loss=nosuch", "training.loss"),
        ("wrong object", "--optimizer Optimizer", "optimizer"),
        ("wrong object", "--pretrain-optimizer Optimizer", "optimizer"),
        ("wrong object", f"--set {OPTIONS}={{{{name=1}}}}", OPTIONS),
        ("above", f"--set training.learning_rate=1{'0' * 400}", "training.learning_rate"),
        ("wrong object", f"--set training.epochs={'[' * 2000}", "--set"),
    ),
    "evaluate": (
        ("missing value", "", "RUN"),
        ("no file", "nowhere", "nowhere"),
        ("unknown option", "{run} --nosuch", "nosuch"),
        ("no file", "{run} --data nowhere.csv", "nowhere.csv"),
        ("unknown name", "{run} --data digitss", "digitss"),
        ("empty name", "{run} --data ''", "need a name"),
        ("unknown name", "{run} --part half", "half"),
        ("order", "{run} --target a", "target"),
        ("not that file", "{file}", "{file}"),
    ),
    "encode": (
        ("missing value", "{run}", "DATA"),
        ("no file", "nowhere digits", "nowhere"),
        ("no file", "{run} nowhere.csv --output {out}", "nowhere.csv"),
        ("unknown name", "{run} digitss --output {out}", "digitss"),
        ("empty name", "{run} '' --output {out}", "need a name"),
        ("above", "{run} digits --level 9 --output {out}", "level"),
        ("not a number", "{run} digits --level top --output {out}", "level"),
        ("unknown option", "{run} digits --nosuch", "nosuch"),
        ("taken", "{run} digits --output /proc/codes.npy", "/proc"),
        ("not that file", "{run} {file} --output {out}", "{file}"),
    ),
    "reconstruct": (
        ("missing value", "{run}", "DATA"),
        ("no file", "nowhere digits", "nowhere"),
        ("no file", "{run} nowhere.csv --output {out}", "nowhere.csv"),
        ("unknown name", "{run} digitss --output {out}", "digitss"),
        ("empty name", "{run} '' --output {out}", "need a name"),
        ("unknown name", "{run} digits --part half", "half"),
        ("unknown option", "{run} digits --nosuch", "nosuch"),
        ("order", "{run} digits --output {out}", "does not reconstruct"),
        ("not that file", "{run} {file} --output {out}", "{file}"),
    ),
    "explain": (
        ("missing value", "{run}", "DATA"),
        ("no file", "nowhere digits", "nowhere"),
        ("no file", "{run} nowhere.csv", "nowhere.csv"),
        ("unknown name", "{run} digitss", "digitss"),
        ("zero", "{run} digits --top 0", "top"),
        ("not a number", "{run} digits --columns many", "columns"),
        ("unknown option", "{run} digits --nosuch", "nosuch"),
        ("not that file", "{run} {file}", "{file}"),
        ("not that file", "{run} digits --output rows.txt", "written"),
    ),
    "impute": (
        ("missing value", "{run}", "DATA"),
        ("no file", "nowhere x.csv", "nowhere"),
        ("no file", "{run} nowhere.csv", "nowhere.csv"),
        ("not that file", "{run} digits", ".csv or .parquet"),
        ("empty name", "{run} ''", ""),
        ("unknown option", "{run} x.csv --nosuch", "nosuch"),
        ("not that file", "{run} {file}", ".csv or .parquet"),
        ("too many", "{run} x.csv y.csv", "y.csv"),
    ),
    "plot": (
        ("missing value", "", "RUN"),
        ("no file", "nowhere", "nowhere"),
        ("unknown name", "{run} nosuch", "nosuch"),
        ("no file", "{run} codes --data nowhere.csv", "nowhere.csv"),
        ("unknown name", "{run} codes --method umapp", "umapp"),
        ("above", "{run} codes --dimensions 9", "dimensions"),
        ("above", "{run} codes --level 9", "level"),
        ("seed", "{run} codes --seed -1", "seed"),
        ("unknown option", "{run} --nosuch", "nosuch"),
    ),
    "report": (
        ("missing value", "", "RUN"),
        ("no file", "nowhere", "nowhere"),
        ("empty name", "''", "RUN"),
        ("not that file", "{file}", "{file}"),
        ("too many", "{run} many", "many"),
        ("empty name", "{run} --output ''", ""),
        ("taken", "{run} --output /proc/page.html", "/proc"),
        ("unknown option", "{run} --nosuch", "nosuch"),
    ),
    "export": (
        ("missing value", "", "RUN"),
        ("no file", "nowhere", "nowhere"),
        ("unknown name", "{run} --format pickle", "pickle"),
        ("not finite", "{run} --contamination nan", "contamination"),
        ("above", "{run} --contamination 2", "contamination"),
        ("not a number", "{run} --threshold high", "threshold"),
        ("order", "{run} --threshold 1 --contamination 0.1", "contamination"),
        ("unknown option", "{run} --nosuch", "nosuch"),
        ("not that file", "{file}", "{file}"),
    ),
    "study": (
        ("unknown name", "--data digitss", "digitss"),
        ("no file", "--data nowhere.csv", "nowhere.csv"),
        ("empty name", "--data ''", "need a name"),
        ("not a number", "--data digits --labels few", "labels"),
        ("negative", "--data digits --labels -5", "labels"),
        ("zero", "--data digits --seeds 0", "seeds"),
        ("negative", "--data digits --seeds -1", "seeds"),
        ("unknown option", "--nosuch", "nosuch"),
        ("order", "--data digits --target a", "target"),
    ),
    "launch": (
        ("missing value", "", "ARGUMENTS"),
        ("zero", "--workers 0 -- train", "workers"),
        ("negative", "--workers -1 -- train", "workers"),
        ("above", "--workers 100000 -- train", "workers"),
        ("fraction", "--workers 1.5 -- train", "workers"),
        ("not a number", "--workers many -- train", "workers"),
        ("unknown name", "-- nosuch", "nosuch"),
        ("unknown option", "--nosuch", "nosuch"),
        ("order", "-- launch -- train", "must be a command"),
    ),
    "reproduce": (
        ("unknown name", "nosuch", "nosuch"),
        ("missing value", "", "name"),
        ("empty name", "''", "recipe"),
        ("order", "sda-digits --all", "all"),
        ("zero", "sda-digits --seeds 0", "seeds"),
        ("negative", "sda-digits --seeds -1", "seeds"),
        ("not a number", "sda-digits --seeds ten", "seeds"),
        ("unknown option", "sda-digits --nosuch", "nosuch"),
    ),
}


def of_commands() -> Iterator[BadInput]:
    """Yields what the commands refuse."""
    import shlex

    places = {"run": RUN, "file": __file__, "out": "codes.npy"}
    for command, lines in COMMANDS.items():
        for cause, line, says in lines:
            arguments = [part.format(**places) for part in shlex.split(line)]
            call = functools.partial(_command, command, *arguments)
            shown = f"keras-sda {command} {line.format(run='RUN', file='FILE', out='OUT')}"
            said = says.format(**places)
            yield BadInput(f"keras-sda {command}", cause, shown.strip(), call, said)


def table() -> list[BadInput]:
    """Returns the whole table."""
    return [
        *of_models(),
        *of_constructors(),
        *of_estimators(),
        *of_functions(),
        *of_the_rest(),
        *of_commands(),
    ]
