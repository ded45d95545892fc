"""The models that an experiment can train, by name: their classes, options and defaults."""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import keras

from keras_sda import backend, datasets
from keras_sda._validation import did_you_mean, shown
from keras_sda.experiments.experiment import Experiment, known_keys
from keras_sda.experiments.objects import to_plain
from keras_sda.experiments.parts import Data, Model, Pretraining, Training
from keras_sda.models import (
    MLP,
    ContractiveAutoencoder,
    ConvolutionalAutoencoder,
    DeepAutoencoder,
    DenoisingAutoencoder,
    LadderNetwork,
    LeNet5,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedDenoisingAutoencoder,
    VariationalAutoencoder,
)
from keras_sda.models.levels import losses_by_columns, noise_by_columns
from keras_sda.sklearn.outlier_detector import SDAOutlierDetector

# Arguments that follow from the data or stand elsewhere in an experiment.
_GIVEN = (
    *("input_dim", "input_shape", "num_classes", "seed", "dtype", "kwargs"),
    *("random_state", "scale", "columns", "verbose"),  # of a detector
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        kind: Its class: that of a Keras model, or the estimator of outliers, which holds one.
        training: How it is trained by default; `None` for the detector, whose options say it.
        options: Options that its class leaves open, or whose default is another one here.
        pretraining: How its levels are pretrained by default, or `None`.
        data: What it is trained on by default.
    """

    kind: type[Any]
    training: Training | None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pretraining: Pretraining | None = None
    data: Data = dataclasses.field(default_factory=Data)


# Chosen by five-fold cross-validation on the training and validation rows of the digits.
_SDA: dict[str, Any] = {
    "hidden_units": [256, 256],
    "noise": "auto",
    "noise_level": 0.2,
    "finetune_noise_level": 0.2,
}
# What a noise called "auto" is, unless data have `Columns`. Then it swaps cells within these:
# validation rows of four tables were rebuilt better after it, and with their codes a linear model
# needed fewer labels.
_NOISE = "gaussian"
_AUTOENCODER = Training("adam", 5e-3, batch_size=32)

DETECTOR = "detector"

ZOO: dict[str, Entry] = {
    "sda": Entry(StackedDenoisingAutoencoder, Training(), _SDA, Pretraining()),
    "da": Entry(DenoisingAutoencoder, _AUTOENCODER, {"hidden_units": 256}),
    "sparse": Entry(SparseAutoencoder, _AUTOENCODER, {"hidden_units": 256}),
    "contractive": Entry(ContractiveAutoencoder, _AUTOENCODER, {"hidden_units": 256}),
    "deep": Entry(DeepAutoencoder, _AUTOENCODER, {"hidden_units": [128, 64, 16]}),
    "conv": Entry(ConvolutionalAutoencoder, _AUTOENCODER),
    "vae": Entry(VariationalAutoencoder, _AUTOENCODER),
    "softmax": Entry(SoftmaxRegression, Training("adam", 3e-2, batch_size=32)),
    "mlp": Entry(
        MLP,
        Training("adam", 2e-3, batch_size=32),
        {"hidden_units": [256, 256], "dropout": 0.2},
    ),
    "ladder": Entry(
        LadderNetwork,
        Training("adam", 2e-3, "cooldown", epochs=200, batch_size=100),
        {"hidden_units": [256, 256]},
    ),
    # As the recipe, on images for which it was made.
    "lenet5": Entry(
        LeNet5,
        Training("sgd", 0.1, optimizer_options={"momentum": 0.9}, epochs=20, batch_size=100),
        data=Data("mnist"),
    ),
    # No row validates, as none could say when to stop without labels.
    DETECTOR: Entry(SDAOutlierDetector, None, data=Data(scale="robust", split="full")),
}


def names() -> list[str]:
    """Returns the names of the models that an experiment can train."""
    return list(ZOO)


def get(name: str) -> Entry:
    """Returns the entry of a model.

    Raises:
        ValueError: If there is no model of that name.
    """
    if not isinstance(name, str) or name not in ZOO:
        hint = did_you_mean(name, ZOO)
        raise ValueError(
            f"There is no model {shown(name)}: {hint}Expected one of {', '.join(ZOO)}, which "
            "`keras-sda models` lists with their options."
        )
    return ZOO[name]


def default(name: str = "sda") -> Experiment:
    """Returns the experiment by which a model of the zoo is trained unless told otherwise.

    Args:
        name: One of `names()`.

    Raises:
        ValueError: If there is no model of that name.

    Example:

    >>> from keras_sda import experiments
    >>> experiments.default("deep").model.options["hidden_units"]
    [128, 64, 16]
    """
    entry = get(name)
    model = Model(name, dict(entry.options))
    return Experiment(model, entry.data, entry.pretraining, entry.training)


def options(name: str) -> dict[str, Any]:
    """Returns all options of a model with their defaults, as plain values.

    Args:
        name: One of `names()`.
    """
    entry = get(name)
    found = {}
    for parameter in inspect.signature(entry.kind).parameters.values():
        if parameter.name not in _GIVEN:
            found[parameter.name] = entry.options.get(parameter.name, parameter.default)
    return to_plain(found)


def check_model(model: Model) -> None:
    """Raises a `ValueError` if there is no such model, or it has no such option."""
    known = options(model.name)
    for option in model.options:
        if option in known:
            continue
        if option in _GIVEN:
            raise ValueError(
                f"The option {option!r} of {model.name} follows from the data, the seed or the "
                "dtype of the experiment: leave it out."
            )
        can_pretrain = hasattr(get(model.name).kind, "pretrain")
        elsewhere = [
            key
            for key in known_keys()
            if key.endswith(f".{option}") and (can_pretrain or not key.startswith("pretraining."))
        ]
        hint = did_you_mean(option, known)
        if elsewhere:
            hint = f"did you mean {' or '.join(elsewhere)}? "
        raise ValueError(
            f"The model {model.name} has no option {option!r}: {hint}Expected one of "
            f"{', '.join(known)}."
        )


def check(experiment: Experiment) -> None:
    """Raises a `ValueError` if the model cannot be trained in the way an experiment asks for."""
    check_model(experiment.model)
    name, kind = experiment.model.name, get(experiment.model.name).kind
    if detects(experiment.model):
        _check_detector(experiment)
        return
    if experiment.pretraining is not None and not hasattr(kind, "pretrain"):
        able = [other for other, entry in ZOO.items() if hasattr(entry.kind, "pretrain")]
        raise ValueError(
            f"The model {name} has no levels to pretrain; those of {' and '.join(able)} have: "
            "leave `pretraining` out."
        )


def _check_detector(experiment: Experiment) -> None:
    """Raises a `ValueError` if an experiment asks for what the outlier detector does not have."""
    parts = [p for p in ("pretraining", "training") if getattr(experiment, p) is not None]
    if parts:
        raise ValueError(
            f"The training of {DETECTOR} is among its own options, such as epochs and batch_size: "
            f"set these (--set epochs=10) and leave out `{parts[0]}`."
        )
    if experiment.dtype != "float32":
        raise ValueError(
            f"The model {DETECTOR} is trained in float32. Received: dtype={experiment.dtype!r}"
        )


def detects(model: Model) -> bool:
    """Whether a model is the detector of outliers, which scikit-learn's interface trains."""
    return model.name == DETECTOR


def takes_images(model: Model) -> bool:
    """Whether a model takes images, and not rows of numbers."""
    if detects(model):
        return False
    parameters = inspect.signature(get(model.name).kind).parameters
    if "input_dim" not in parameters:
        return True
    # The variational autoencoder takes either, by whether it has convolutions.
    return "input_shape" in parameters and model.options.get("filters") is not None


def classifies(model: Model) -> bool:
    """Whether a model learns classes from labels."""
    return "num_classes" in inspect.signature(get(model.name).kind).parameters


def build(experiment: Experiment, data: datasets.Data, num_classes: int | None) -> keras.Model:
    """Returns the model of an experiment, with new weights.

    Args:
        experiment: The experiment.
        data: Its data.
        num_classes: How many classes the labels have, or `None` without labels.

    Raises:
        ValueError: If the model does not suit the data, or an option lies outside its range.
    """
    model = experiment.model
    kind = get(model.name).kind
    arguments = {name: _fresh(value, experiment.seed) for name, value in model.options.items()}
    arguments |= _shape_arguments(model, data)
    arguments |= _data_arguments(kind, arguments, data, experiment.seed)
    if classifies(model) and arguments.get("head") is None:
        if num_classes is None and kind is not StackedDenoisingAutoencoder:
            raise ValueError(
                f"The model {model.name} learns classes, and {data.name} has no labels: name the "
                "label column by `target`, or choose an autoencoder."
            )
        arguments["num_classes"] = num_classes
    if "noise" in arguments and arguments["noise"] is None:
        arguments.pop("finetune_noise_level", None)  # there is nothing to set the level of
    with backend.anonymous_variables():  # A study makes many models.
        try:
            return kind(**arguments, seed=experiment.seed, dtype=experiment.dtype)
        # What Keras raises on values of other types, also in those of layers and initializers.
        except (TypeError, KeyError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"The model {model.name} does not take these options ({shown(str(error), 200)}): "
                f"{shown(dict(model.options), 100)}."
            ) from error


def _data_arguments(
    kind: type[keras.Model], arguments: Mapping[str, Any], data: datasets.Data, seed: int
) -> dict[str, Any]:
    """Returns noise and loss where they go by the data: of a table, by its columns."""
    found: dict[str, Any] = {}
    has_columns = data.columns is not None and data.scaling is None
    noise = arguments.get("noise")
    if noise == "auto":
        noise = found["noise"] = "column_swap" if has_columns else _NOISE
    if data.columns is None or not has_columns:
        return found
    if noise == "column_swap":
        level = arguments.get("noise_level", _default(kind, "noise_level"))
        found["noise"] = noise_by_columns(data.columns.groups, level, seed)
    if arguments.get("reconstruction_loss", _default(kind, "reconstruction_loss")) == "auto":
        is_stack = kind is StackedDenoisingAutoencoder
        units = arguments.get("hidden_units")
        levels = len(units) if isinstance(units, (list, tuple)) else 1
        by_level = losses_by_columns(data.columns.groups, data.train.x, levels)
        found["reconstruction_loss"] = by_level if is_stack else by_level[0]
    return found


def _default(kind: type[keras.Model], option: str) -> Any:
    """Returns the default of an option of a model's class, or `None` if it has none."""
    parameter = inspect.signature(kind).parameters.get(option)
    return None if parameter is None else parameter.default


def _shape_arguments(model: Model, data: datasets.Data) -> dict[str, Any]:
    if not takes_images(model):
        return {"input_dim": data.train.x.shape[1]}
    if data.image_shape is None:
        raise ValueError(
            f"The model {model.name} takes images, and {data.name} holds rows of numbers: choose "
            "data with images, such as mnist, or another model."
        )
    return {"input_shape": tuple(data.image_shape)}


def _fresh(value: Any, seed: int) -> Any:
    """Returns an option with new layers: those given would carry their state from run to run."""
    if not isinstance(value, keras.layers.Layer):
        return value
    config = value.get_config()
    return type(value).from_config(config | ({"seed": seed} if "seed" in config else {}))


def as_taken(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns changes with lists where a model's options are lists, as text cannot always tell.

    `hidden_units` of 128 becomes `[128]` for a model of several levels, and the other way round.

    Args:
        name: Name of the model.
        changes: New values by key; see `Experiment.but`.
    """
    known = options(name)
    taken = {}
    for key, value in changes.items():
        default = known.get(key.removeprefix("model."))
        if isinstance(default, list) and isinstance(value, (int, float)):
            value = [value]
        elif type(default) is int and isinstance(value, list) and len(value) == 1:
            value = value[0]
        taken[key] = value
    return taken
