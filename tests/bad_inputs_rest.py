"""The table of bad inputs, last part: parts, pictures, recipes, experiments, runs."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from bad_inputs import FEATURES, BadInput, X, Y, bad_rows, made, spoilt

import keras_sda as ks
import keras_sda.exporting
import keras_sda.plots
import keras_sda.presets
import keras_sda.recipes

RUN = str(Path(__file__).parent / "saved" / "run_0_2_0")
NAN = float("nan")
TABLE = {"age": [20.0, 30.0, 40.0], "city": ["Rome", "Oslo", "Rome"]}

# What is wrong with any seed, number of filters or bars, title, and list of names.
_SEEDS = (("seed", "seed", "x"), ("seed", "seed", -1), ("seed", "seed", 1.5))
_TITLES = (("wrong object", "title", 3), ("empty list", "title", []))
_COUNTS = (("zero", "count", 0), ("fraction", "count", 1.5), ("not a number", "count", "ten"))
_SHAPES = (
    ("one number", "image_shape", 4),
    ("zero", "image_shape", (0, 4)),
    ("fraction", "image_shape", (2.5, 4)),
    ("too many", "image_shape", (2, 2, 2, 2)),
    ("not a number", "image_shape", ("four", 4)),
)
_BINS = (("zero", "bins", 0), ("above", "bins", 10**9), ("not a number", "bins", "ten"))
_NAMES = (("one number", "feature_names", 3), ("wrong object", "feature_names", [[1]]))
_CLASSES = (("one number", "classes", 3), ("wrong object", "classes", [None]))
_MODELS = (("text", "model", "sda"), ("none", "model", None, ""), ("one number", "model", 3, ""))
OF_PRESET_NAMES = (
    ("unknown name", "name", "sda_digitss", "A preset is one of"),
    ("no file", "name", "nowhere/model.keras", "A preset is one of"),
    ("empty name", "name", ""),
    ("missing value", "name", None),
    ("one number", "name", 3),
)
_NO_OPTION = ("unknown option", "colour", "red")


def _of_names(close, name, path, says):
    """Returns wrong names: one that is close to a right one, and others."""
    wrong = (
        ("unknown name", close),
        ("missing value", None),
        ("empty name", ""),
        ("one number", 3),
        ("wrong object", [name]),
        ("dictionary", {}),
        ("not a flag", True),
        ("path", path),
    )
    return tuple((cause, "name", value, says) for cause, value in wrong)


@functools.cache
def stack() -> keras.Model:
    """Returns a stack that reconstructs."""
    return made("StackedDenoisingAutoencoder")


def _tabular() -> Any:
    return ks.datasets.Columns.fit(TABLE)


def _of_columns(**frame: Any) -> Any:
    return _tabular()(**frame)


def _inverse(x: Any) -> Any:
    return _tabular().inverse(x)


def _scaled(x: Any) -> Any:
    return ks.datasets.Scaling(offset=(0.0,) * FEATURES, factor=1.0)(x)


def _keep_labels(**options: Any) -> Any:
    return ks.datasets.load("digits").keep_labels(**options)


def _recipe(**options: Any) -> Any:
    return ks.recipes.get("xor").but(**options)


def _experiment(**changes: Any) -> Any:
    return ks.experiments.Experiment().but(changes)


def _changed(key: str, value: Any) -> Any:
    return ks.experiments.Experiment().but({key: value})


def _run(**options: Any) -> Any:
    return ks.experiments.load_run(RUN).rows(**options)


def _encode(**options: Any) -> Any:
    return ks.experiments.load_run(RUN).encode(**options)


def _on_codes(**options: Any) -> Any:
    return ks.LinearOnCodes(**options)


def _export(**options: Any) -> Any:
    return stack().export(**options)


def _plot_kinds() -> dict[str, Any]:
    plots, vae = ks.plots, made("VariationalAutoencoder")
    curve = {"panel": {"method": {10: (1.0, None, None)}}}
    return {
        "plots.plot_level_filters": (
            plots.plot_level_filters,
            {"model": stack()},
            (
                *_MODELS,
                *_SHAPES,
                *_COUNTS,
                *_NAMES,
                ("above", "level", 9),
                ("fraction", "level", 0.5),
            ),
        ),
        "plots.level_kernels": (
            plots.level_kernels,
            {"model": stack()},
            tuple((*line[:3], "Filters are the kernels") for line in _MODELS)
            + tuple(
                ("wrong object", "model", value, "Filters are the kernels")
                for value in (X, [], {}, True, keras.layers.Dense(2))
            ),
        ),
        "plots.chain_kernels": (
            plots.chain_kernels,
            {"kernels": [X]},
            (
                ("none", "kernels", None),
                ("empty list", "kernels", []),
                ("one number", "kernels", 3),
                ("text", "kernels", "kernels"),
                ("order", "kernels", [X, X]),
                ("nan", "kernels", [spoilt(X, NAN)]),
                ("dictionary", "kernels", {"level": X}),
                ("no rows", "kernels", [X[:0]]),
                ("ragged", "kernels", [[[1.0], [1.0, 2.0]]]),
            ),
        ),
        "plots.count_units": (
            plots.count_units,
            {"codes": X},
            (
                ("none", "codes", None),
                ("nan", "codes", spoilt(X, NAN)),
                ("no rows", "codes", X[:0]),
                ("text", "codes", X.astype(str)),
                ("above", "tolerance", 2.0),
                ("negative", "margin", -0.1),
                ("not finite", "share", NAN),
                ("one number", "activation", 3),
            ),
        ),
        "plots.corrupt_rows": (
            plots.corrupt_rows,
            {"noise": ks.layers.MaskingNoise(0.3), "rows": X},
            (
                ("unknown name", "noise", "masking"),
                ("missing value", "noise", None),
                ("nan", "rows", spoilt(X, NAN)),
                ("none", "rows", None),
                ("no rows", "rows", X[:0]),
                ("text", "rows", X.astype(str)),
                *_SEEDS,
            ),
        ),
        "plots.plot_decision_surface": (
            plots.plot_decision_surface,
            {"model": made("SoftmaxRegression"), "x": X[:, :2], "y": Y},
            (
                ("nan", "x", spoilt(X[:, :2], NAN)),
                ("none", "x", None),
                ("width", "x", X, "two features"),
                ("no rows", "x", X[:0]),
                ("label count", "y", Y[:5], "one label per row"),
                ("label type", "y", Y.astype(str)),
                ("zero", "points", 0),
                ("above", "points", 10**9),
                *_CLASSES,
                *_NAMES,
            ),
        ),
        "plots.plot_learning_curves": (
            plots.plot_learning_curves,
            {"pretraining": [{"loss": [1.0, 0.5]}]},
            (
                ("none", "pretraining", None),
                ("one number", "pretraining", 3),
                ("text", "pretraining", "loss"),
                ("wrong object", "pretraining", [3]),
                ("wrong object", "pretraining", [{"loss": 3}]),
                ("not a number", "pretraining", [{"loss": ["high"]}]),
                ("text", "finetuning", "loss"),
                ("not a number", "finetuning", {"accuracy": "high"}),
                _NO_OPTION,
            ),
        ),
        "plots.plot_label_curves": (
            plots.plot_label_curves,
            {"panels": curve},
            (
                ("none", "panels", None),
                ("empty list", "panels", {}),
                ("one number", "panels", 3),
                ("wrong object", "panels", {"panel": 3}),
                ("wrong object", "panels", {"panel": {"method": 3}}),
                ("too many", "panels", {"panel": {"method": {10: (1.0,)}}}),
                ("zero", "panels", {"panel": {"method": {0: (1.0, None, None)}}}),
                ("zero", "columns", 0),
                ("one number", "ylabel", 3),
            ),
        ),
        "plots.plot_manifold": (
            plots.plot_manifold,
            {"model": vae, "image_shape": (2, 4)},
            (
                *_COUNTS,
                *_SHAPES,
                ("above", "count", 10**6, "pixels"),
                ("above", "coverage", 1.5),
                ("not finite", "coverage", NAN),
                ("wrong object", "model", stack(), "VariationalAutoencoder"),
            ),
        ),
        "plots.plot_traversals": (
            plots.plot_traversals,
            {"model": vae, "image_shape": (2, 4)},
            (
                *_COUNTS,
                *_SHAPES,
                ("empty list", "units", []),
                ("negative", "units", [-1]),
                ("above", "units", [9], "unit"),
                ("not finite", "values", [NAN]),
                ("text", "start", "code"),
                ("wrong object", "model", stack(), "VariationalAutoencoder"),
            ),
        ),
        "plots.plot_reconstructions": (
            plots.plot_reconstructions,
            {"inputs": X, "corrupted": None, "reconstructed": X},
            (
                ("nan", "inputs", spoilt(X, NAN)),
                ("none", "inputs", None),
                ("none", "reconstructed", None),
                ("no rows", "inputs", X[:0]),
                ("width", "corrupted", X[:, :3]),
                ("text", "reconstructed", X.astype(str)),
                *_TITLES,
                *_NAMES,
                *_SHAPES,
            ),
        ),
        "plots.plot_scores": (
            plots.plot_scores,
            {"scores": X[:, 0]},
            (
                ("nan", "scores", [1.0, NAN]),
                ("none", "scores", None),
                ("no rows", "scores", []),
                ("text", "scores", ["high"]),
                ("not finite", "threshold", NAN),
                ("label range", "labels", Y),
                ("label count", "labels", [0, 1]),
                *_BINS,
                *_TITLES,
            ),
        ),
        "plots.plot_activations": (
            plots.plot_activations,
            {"model": stack(), "x": X},
            (*_BINS, *_MODELS, ("fraction", "level", 0.5), ("above", "level", 9)),
        ),
        "plots.plot_codes": (
            plots.plot_codes,
            {"codes": X, "labels": Y},
            (*_SEEDS, *_CLASSES, *_TITLES, ("too many", "classes", ["a"])),
        ),
        "plots.plot_confusion": (
            plots.plot_confusion,
            {"labels": Y, "predicted": Y},
            (*_CLASSES, *_TITLES),
        ),
        "plots.plot_filters": (
            plots.plot_filters,
            {"kernel": X},
            (*_SHAPES, *_TITLES, *_NAMES, ("width", "kernel", X[0])),
        ),
        "plots.project_codes": (plots.project_codes, {"codes": X}, _SEEDS),
        "plots.tile_images": (
            plots.tile_images,
            {"images": X.reshape(-1, 2, 4)},
            (("above", "columns", 10**9, "pixels"), ("text", "background", "white")),
        ),
    }


def _parts() -> dict[str, Any]:
    data = ks.datasets
    units = (
        ("zero", "units", 0),
        ("negative", "units", -3),
        ("fraction", "units", 2.5),
        ("not a number", "units", "x"),
        ("missing value", "units", None),
        ("wrong object", "units", [3]),
        ("unknown name", "activation", "rellu"),
        ("wrong object", "kernel_initializer", 3),
        (*_NO_OPTION, "colour"),
    )
    return {
        "layers.LadderEncoder": (ks.layers.LadderEncoder, {"units": 3}, units),
        "layers.LadderDecoder": (
            ks.layers.LadderDecoder,
            {"units": 3},
            tuple(line for line in units if line[1] not in ("activation",)),
        ),
        "losses.SummedBinaryCrossentropy": (
            ks.losses.SummedBinaryCrossentropy,
            {},
            tuple(("not a flag", "from_logits", value) for value in ("x", None, 2, [], NAN)),
        ),
        "regularizers.CodeL1": (
            ks.regularizers.CodeL1,
            {},
            (
                ("negative", "weight", -1.0),
                ("not finite", "weight", NAN),
                ("not finite", "weight", float("inf")),
                ("not a number", "weight", "x"),
                ("missing value", "weight", None),
                ("wrong object", "weight", [1.0]),
                ("not a flag", "weight", True),
                _NO_OPTION,
            ),
        ),
        "layers.Sampling": (ks.layers.Sampling, {}, _SEEDS),
        "initializers.SigmoidGlorotUniform": (ks.initializers.SigmoidGlorotUniform, {}, _SEEDS),
        "callbacks.NoiseSchedule": (
            ks.callbacks.NoiseSchedule,
            {},
            (
                ("missing value", "schedule", None),
                ("one number", "schedule", 3),
                ("not a number", "schedule", "x"),
                ("too many", "schedule", (0.1, 0.2, 0.3)),
                ("empty list", "schedule", []),
                ("negative", "schedule", (-0.1, 0.2)),
                ("not finite", "schedule", (NAN, 0.2)),
                ("not a number", "schedule", ("a", "b")),
                _NO_OPTION,
            ),
        ),
        "callbacks.LevelProgress": (
            ks.callbacks.LevelProgress,
            {},
            (
                ("not a flag", "details", "x"),
                ("missing value", "details", None),
                ("wrong object", "title", 3),
                ("missing value", "title", None),
                _NO_OPTION,
            ),
        ),
        "callbacks.LevelTensorBoard": (
            ks.callbacks.LevelTensorBoard,
            {},
            (
                ("missing value", "log_dir", None),
                ("empty name", "log_dir", ""),
                ("one number", "log_dir", 3),
                ("negative", "histogram_freq", -1),
                ("fraction", "histogram_freq", 1.5),
                ("not a number", "histogram_freq", "x"),
                *_SHAPES[:3],
            ),
        ),
        "datasets.gaussian_clouds_weights": (
            data.gaussian_clouds_weights,
            {},
            (
                ("zero", "rows", 0),
                ("fraction", "rows", 1.5),
                *_SEEDS,
                ("one number", "sizes", 3),
                ("zero", "sizes", (2, 0)),
                ("not a number", "sizes", ("x",)),
                ("empty list", "sizes", ()),
            ),
        ),
        "datasets.load": (
            data.load,
            {"name_or_path": "digits"},
            (
                ("unknown name", "task", "clustering"),
                ("not that file", "name_or_path", __file__, ".csv"),
                *_SEEDS,
                ("not a flag", "flatten", "x"),
            ),
        ),
        "datasets.read_rows": (
            data.read_rows,
            {},
            (
                ("no file", "path", "nowhere.csv", "nowhere.csv"),
                ("empty name", "path", "", "need a name"),
                ("missing value", "path", None, "None"),
                ("one number", "path", 3, "3"),
                ("not that file", "path", __file__, Path(__file__).name),
                ("not that file", "path", str(Path(__file__).parent), "tests"),
                ("wrong object", "path", ["a.csv"], "a.csv"),
                _NO_OPTION,
            ),
        ),
        "datasets.Scaling": (
            data.Scaling,
            {},
            (
                ("text", "offset", "x"),
                ("not finite", "factor", NAN),
                ("missing value", "factor", None),
                ("ragged", "offset", ((1.0,), (1.0, 2.0))),
                ("too many", "low", ((1.0, 2.0), (1.0, 2.0))),
                ("not finite", "high", float("inf")),
                ("dictionary", "low", {}),
                _NO_OPTION,
            ),
        ),
        "datasets.Columns.fit": (
            data.Columns.fit,
            {"frame": TABLE},
            (
                ("none", "frame", None, "Columns.fit"),
                ("one number", "frame", 3, "Columns.fit"),
                ("path", "frame", "people.csv", "Columns.fit"),
                ("no rows", "frame", {"age": []}, "at least one row"),
                ("ragged", "frame", {"a": [1.0], "b": [1.0, 2.0]}, "Columns.fit"),
                ("no column", "target", "income", "income"),
                ("no column", "ids", ["income"], "income"),
                ("unknown name", "kinds", {"age": "number"}, "number"),
                ("too large", "frame", {"age": [1.0, -1e308]}, "numbers up to 1e+150"),
                ("unknown name", "scale", "loud"),
                ("negative", "min_frequency", -1),
                ("not finite", "min_frequency", NAN),
            ),
        ),
        "datasets.Columns": (
            _of_columns,
            {},
            (
                ("none", "frame", None, "Columns"),
                ("one number", "frame", 3, "Columns"),
                ("path", "frame", "people.csv", "Columns"),
                ("no column", "frame", {"age": [1.0]}, "city"),
                ("text", "frame", {"age": ["old"], "city": ["Rome"]}, "age"),
                ("width", "frame", X, "frame"),
                ("ragged", "frame", {"age": [1.0], "city": ["Rome", "Oslo"]}, "Columns"),
                ("infinity", "frame", {"age": [float("inf")], "city": ["Rome"]}, "age"),
                ("complex", "frame", {"age": [1j], "city": ["Rome"]}, "age"),
            ),
        ),
        "datasets.Columns.inverse": (
            _inverse,
            {},
            tuple(
                (cause, "x", value, "Columns.inverse")
                for cause, value in (
                    ("none", None),
                    ("one number", 3.0),
                    ("width", X),
                    ("text", "x"),
                    ("text", [["a", "b"]]),
                    ("dictionary", {}),
                    ("ragged", [[1.0], [1.0, 2.0]]),
                    ("complex", [[1j, 2j]]),
                )
            ),
        ),
        "datasets.Data.keep_labels": (
            _keep_labels,
            {"labels": 50},
            (
                ("zero", "labels", 0),
                ("negative", "labels", -3),
                ("above", "labels", 10**6),
                ("fraction", "labels", 50.5),
                ("not a number", "labels", "few"),
                ("missing value", "labels", None),
                *_SEEDS,
            ),
        ),
    }


def _runs() -> dict[str, Any]:
    experiments, recipes = ks.experiments, ks.recipes
    report = {"report": {}}
    is_report = "reproduce() returns"
    no_reports = tuple(
        (cause, "report", value, is_report)
        for cause, value in (
            ("none", None),
            ("text", "xor"),
            ("one number", 3),
            ("dictionary", {}),
            ("empty list", {"runs": []}),
            ("wrong object", [3]),
            ("wrong object", {"title": "x"}),
            ("not a number", {"runs": "many"}),
        )
    )
    recipe_lines = (
        ("unknown name", "recipe", "xor"),
        ("missing value", "recipe", None),
        ("one number", "recipe", 3),
    )
    return {
        "recipes.get": (
            recipes.get,
            {},
            _of_names("xorr", "xor", "nowhere.json", "no recipe"),
        ),
        "recipes.run": (
            recipes.run,
            {"recipe": recipes.get("xor")},
            (
                *recipe_lines,
                *_SEEDS,
                ("unknown name", "verbose", "loud"),
                _NO_OPTION,
            ),
        ),
        "recipes.describe": (recipes.describe, report, no_reports),
        "recipes.table": (
            recipes.table,
            {},
            tuple(
                (cause, "reports", [value] if cause != "none" else value, is_report)
                for cause, _, value, _ in no_reports
            ),
        ),
        "recipes.Recipe.but": (
            _recipe,
            {"name": "mine", "title": "Mine"},
            (
                ("unknown name", "changes", {"training.epoch": 3}, "epoch"),
                ("negative", "changes", {"training.epochs": -1}, "epochs"),
                ("wrong object", "changes", 3),
                ("text", "changes", "epochs=3"),
                ("one number", "name", 3),
                ("empty name", "name", ""),
                ("missing value", "title", None),
                _NO_OPTION,
            ),
        ),
        "experiments.default": (
            experiments.default,
            {},
            _of_names("sdaa", "sda", "run.toml", "sda"),
        ),
        "experiments.run": (
            experiments.run,
            {"experiment": experiments.default("softmax")},
            (
                ("unknown name", "experiment", "softmax"),
                ("missing value", "experiment", None),
                ("one number", "experiment", 3),
                ("empty name", "folder", ""),
                ("one number", "folder", 3),
                ("taken", "folder", "/proc/run", "cannot be written"),
                ("zero", "backup_steps", {"backup_steps": 0, "states": "states"}),
                ("unknown name", "verbose", "loud"),
                _NO_OPTION,
            ),
        ),
        "experiments.report": (
            experiments.report,
            {"run": RUN},
            (
                ("no file", "run", "nowhere", "nowhere"),
                ("empty name", "run", ""),
                ("missing value", "run", None),
                ("one number", "run", 3),
                ("not that file", "path", "report.pdf", "report.pdf"),
                ("taken", "path", "/proc/report.html", "/proc"),
                ("not a flag", "rows", "none"),
                _NO_OPTION,
            ),
        ),
        "experiments.study": (
            experiments.study,
            {"data": "digits", "output": "study", "verbose": 0},
            (
                ("unknown name", "data", "digitss", "digitss"),
                ("empty name", "data", "", "need a name"),
                ("missing value", "data", None, "None"),
                ("order", "target", "income"),
                ("above", "labels", 10**6),
                ("zero", "labels", 0),
                ("not a number", "labels", "few"),
                ("zero", "seeds", 0),
                ("fraction", "seeds", 1.5),
                ("unknown option", "fraction", 3, "no argument 'fraction'"),
            ),
        ),
        "experiments.Experiment": (
            experiments.Experiment,
            {},
            (
                *_SEEDS,
                ("dtype", "dtype", "float31"),
                ("wrong object", "model", "sda"),
                ("missing value", "model", None),
                ("wrong object", "data", "digits"),
                ("wrong object", "training", {"epochs": 3}),
                ("wrong object", "pretraining", 3),
                _NO_OPTION,
            ),
        ),
        "experiments.Model": (
            experiments.Model,
            {},
            (
                ("one number", "name", 3),
                ("missing value", "name", None),
                ("wrong object", "options", [3]),
                ("missing value", "options", None),
                _NO_OPTION,
            ),
        ),
        "experiments.Data": (
            experiments.Data,
            {},
            (
                ("one number", "name", 3),
                ("missing value", "name", None),
                ("wrong object", "target", ["a"]),
                ("zero", "labels", 0),
                ("wrong object", "ids", 3),
                ("wrong object", "test", 3),
                ("wrong object", "unlabelled", [1]),
                _NO_OPTION,
            ),
        ),
        "experiments.Pretraining": (
            experiments.Pretraining,
            {},
            (
                ("negative", "epochs", -1),
                ("fraction", "epochs", 1.5),
                ("zero", "batch_size", 0),
                ("not finite", "learning_rate", NAN),
                ("zero", "learning_rate", 0.0),
                ("not a flag", "shuffle", "x"),
                ("one number", "optimizer", 3),
                _NO_OPTION,
            ),
        ),
        "experiments.Training": (
            experiments.Training,
            {},
            (
                ("negative", "epochs", -1),
                ("zero", "batch_size", 0),
                ("not finite", "learning_rate", NAN),
                ("unknown name", "schedule", "step"),
                ("unknown name", "head", "tail"),
                ("unknown name", "class_weight", "equal"),
                ("wrong object", "batches", {"kind": "rows"}),
                ("not a flag", "keep_best", "x"),
                _NO_OPTION,
            ),
        ),
        "experiments.Experiment.but": (
            _changed,
            {},
            tuple(
                (cause, "key", {"key": key, "value": value}, key.split(".")[-1])
                for cause, key, value in (
                    ("unknown name", "fitting.epochs", 3),
                    ("unknown name", "training.epoch", 3),
                    ("negative", "training.epochs", -1),
                    ("not a number", "training.epochs", "many"),
                    ("seed", "seed", -1),
                    ("dtype", "dtype", "float31"),
                    ("wrong object", "data", 3),
                    ("missing value", "model", None),
                )
            ),
        ),
        "experiments.Run.rows": (
            _run,
            {},
            (
                ("no file", "data", "nowhere.csv", "nowhere.csv"),
                ("unknown name", "data", "digitss", "digitss"),
                ("empty name", "data", "", "need a name"),
                ("one number", "data", 3, "3"),
                ("order", "target", "income"),
                ("order", "data", {"data": "digits", "target": "income"}, "target"),
                ("unknown name", "part", "half"),
                ("missing value", "part", None),
            ),
        ),
        "experiments.Run.encode": (
            _encode,
            {"x": np.zeros((2, 64), "float32")},
            (
                ("above", "level", 9),
                ("fraction", "level", 0.5),
                ("not a number", "level", "top"),
                *(
                    (cause, "x", rows, says)
                    for cause, _, rows, says in bad_rows(np.zeros((3, 64)))
                    if cause != "dictionary"
                ),
            ),
        ),
        "presets.find": (
            ks.presets.find,
            {"name": "sda_digits"},
            (
                *OF_PRESET_NAMES,
                ("order", "sha256", {"name": __file__, "sha256": "0" * 64}, "SHA-256"),
                ("one number", "sha256", {"name": __file__, "sha256": 3}, "sha256"),
                _NO_OPTION,
            ),
        ),
        "StackedDenoisingAutoencoder.export": (
            _export,
            {"filepath": "exported"},
            (
                ("unknown name", "format", "pickle"),
                ("missing value", "format", None),
                ("empty name", "filepath", ""),
                ("missing value", "filepath", None),
                ("one number", "filepath", 3),
                ("negative", "tolerance", -1.0),
                ("not finite", "tolerance", NAN),
                ("not finite", "threshold", NAN),
                ("wrong object", "scaling", 3),
                ("taken", "filepath", "/proc/exported", "/proc"),
            ),
        ),
        "LinearOnCodes": (
            _on_codes,
            {"stack": stack(), "num_classes": 3},
            (
                ("missing value", "stack", None),
                ("wrong object", "stack", 3),
                ("wrong object", "stack", made("SoftmaxRegression")),
                ("zero", "num_classes", 0),
                ("fraction", "num_classes", 2.5),
                ("not a number", "num_classes", "x"),
                ("wrong object", "head", {"head": "dense", "num_classes": None}),
                *_SEEDS,
            ),
        ),
    }


def of_the_rest() -> Iterator[BadInput]:
    """Yields what the functions and classes refuse that no other part of the table has."""
    for name, (function, valid, lines) in {**_plot_kinds(), **_parts(), **_runs()}.items():
        for cause, option, value, *own in lines:
            is_several = isinstance(value, dict) and option in value
            changes = value if is_several else {option: value}
            says = "unexpected keyword" if cause == "unknown option" else option
            shown = ", ".join(f"{key}={_short(each)}" for key, each in changes.items())
            call = functools.partial(function, **{**valid, **changes})
            last = name.split(".")[-1]
            yield BadInput(name, cause, f"{last}({shown})", call, own[0] if own else says)


def _short(value: Any) -> str:
    if isinstance(value, keras.Model):
        return type(value).__name__
    text = "..." if isinstance(value, np.ndarray) else " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
