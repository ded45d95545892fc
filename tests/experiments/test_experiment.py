"""Experiments: plain values, changes by key, and one sentence for what is wrong."""

import json
import tomllib

import keras
import numpy as np
import pytest

from keras_sda import layers, recipes, regularizers
from keras_sda.experiments import Data, Experiment, Model, Pretraining, Training, zoo
from keras_sda.experiments.experiment import first_difference
from keras_sda.experiments.objects import from_plain, to_plain


@pytest.mark.parametrize("name", zoo.names())
def test_defaults_survive_json(name):
    experiment = zoo.default(name)
    again = Experiment.from_dict(json.loads(json.dumps(experiment.to_dict())))
    assert again == experiment
    assert first_difference(again, experiment) is None
    zoo.check(again)


def test_changes_by_key():
    changed = zoo.default("sda").but(
        {"hidden_units": [8], "model.noise": None, "data.scale": None, "training.epochs": 2}
    )
    assert changed.model.options["hidden_units"] == [8]
    assert changed.model.options["noise"] is None
    assert changed.model.options["noise_level"] == 0.2, "what is not named stays"
    assert changed.data == Data(scale=None)
    assert changed.training == Training(epochs=2)
    assert zoo.default("sda").model.options["hidden_units"] == [256] * 2, "the original stays"
    assert changed.but({"training": None}).training is None
    assert zoo.default("mlp").but({"pretraining.epochs": 3}).pretraining == Pretraining(epochs=3)
    penalised = changed.but({"kernel_regularizer": {"class": "L2", "l2": 0.5}})
    assert penalised == changed.but({"kernel_regularizer": keras.regularizers.L2(0.5)})
    assert type(penalised.model.options["kernel_regularizer"]) is keras.regularizers.L2
    renamed = changed.but({"model.name": "mlp", "seed": 4})
    assert (renamed.model.name, renamed.seed) == ("mlp", 4)


def test_the_first_difference_names_key_and_values():
    old = zoo.default("sda")
    assert first_difference(old, old.but({"noise_level": 0.5})) == ("noise_level", 0.2, 0.5)
    assert first_difference(old, old.but({"training": None}))[0] == "training.optimizer"
    assert old != old.but({"seed": 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.epoch": 3}, "no key 'training.epoch': did you mean training.epochs? Expected"),
        ({"tranining.epochs": 3}, "no key 'tranining.epochs': did you mean training.epochs?"),
        ({"training.epochs": -1}, "`training.epochs` of Experiment must be a whole number of at"),
        ({"training.batch_size": 0}, "`training.batch_size` of Experiment must be a whole number"),
        (
            {"training.schedule": "step"},
            "must be one of 'constant', 'cosine', 'cooldown'. Received",
        ),
        ({"pretraining.learning_rate": [0.1, 0.0]}, "must be a finite number above 0"),
        ({"data.labels": 0}, "`data.labels` of Experiment must be a whole number of at least 1"),
        ({"data.unlabelled": [-1]}, "`data.unlabelled` of Experiment must be one label, a number"),
        ({"seed": -1}, "`seed` of Experiment must be a whole number of at least 0"),
        ({"training.batches": {"kind": "rows"}}, "must have the entries kind, size and count"),
        ({"training.batches": {"kind": "x", "size": 1, "count": 1}}, "one of 'rows', 'blocks'"),
    ],
)
def test_refused_changes(changes, message):
    with pytest.raises(ValueError) as error:
        zoo.default("sda").but(changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": {}}, "no key 'models': did you mean model?"),
        ({"training": 3}, "part `training` of an experiment must be a table of optimizer, "),
        ({"model": {"named": "sda"}}, "no key 'model.named': did you mean model.name?"),
        ({"model": {"options": {"noise": {"class": "Nose"}}}}, "Received: 'Nose'"),
    ],
)
def test_refused_tables(values, message):
    with pytest.raises(ValueError) as error:
        Experiment.from_dict(values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model("sdae"), "no model 'sdae': did you mean sda? Expected one of sda, da, "),
        (Model("vae", {"latent": 2}), "vae has no option 'latent': did you mean latent_dim?"),
        (Model("sda", {"epochs": 2}), "did you mean pretraining.epochs or training.epochs?"),
        (Model("vae", {"epochs": 2}), "option 'epochs': did you mean training.epochs? Expected"),
        (Model("mlp", {"input_dim": 2}), "option 'input_dim' of mlp follows from the data"),
    ],
)
def test_refused_models(model, message):
    with pytest.raises(ValueError) as error:
        zoo.check(Experiment(model, pretraining=None))
    assert message in str(error.value)


def test_a_model_without_levels_cannot_be_pretrained():
    with pytest.raises(ValueError, match="vae has no levels to pretrain; those of sda and deep"):
        zoo.check(zoo.default("vae").but({"pretraining.epochs": 2}))


OBJECTS = [
    (regularizers.KLSparsity(0.1, 3.0), {"class": "KLSparsity", "target": 0.1, "weight": 3.0}),
    (keras.regularizers.L2(0.5), {"class": "L2", "l2": 0.5}),
    (keras.initializers.TruncatedNormal(stddev=0.1), {"class": "TruncatedNormal", "stddev": 0.1}),
    (keras.losses.MeanSquaredError(reduction="sum"), None),
    (layers.AdditiveGaussianNoise(0.4, clip=(0.0, 1.0)), None),
    (
        keras.layers.Dense(1, activation="sigmoid"),
        {"class": "Dense", "units": 1, "activation": "sigmoid"},
    ),
]


@pytest.mark.parametrize(("thing", "plain"), OBJECTS, ids=lambda value: type(value).__name__)
def test_keras_objects_as_plain_values(thing, plain):
    written = json.loads(json.dumps(to_plain(thing)))
    if plain is not None:
        assert written == plain
    again = from_plain(written)
    assert type(again) is type(thing)
    left_out = ("name", "dtype")
    for name, value in thing.get_config().items():
        if name not in left_out:
            assert to_plain(again.get_config()[name]) == to_plain(value), name


def test_plain_values_stay():
    assert to_plain({"a": (1, 2.5), "b": None, "c": np.float32(0.5)}) == {
        "a": [1, 2.5],
        "b": None,
        "c": 0.5,
    }
    with pytest.raises(ValueError, match="An option must be a number, text, a list, or a Keras"):
        to_plain({"noise": lambda x: x})


@pytest.mark.parametrize(
    "hostile",
    [
        {"class": "Lambda", "function": "print"},
        {"class": "TFSMLayer", "filepath": "/etc"},
        {"class": "os.system"},
        {"class": ["Dense"]},
        {"class": "Sequential"},
        {"class": "StackedDenoisingAutoencoder", "input_dim": 2, "hidden_units": [2]},
        {"class": "L2", "lambda": 2},
        {"class": "Dense", "units": 1, "kernel_initializer": {"class": "Lambda"}},
    ],
    ids=lambda value: str(value["class"]),
)
def test_a_file_from_a_stranger_runs_nothing(hostile):
    with pytest.raises(ValueError, match=r"Received: "):
        from_plain(hostile)


def test_every_recipe_is_an_experiment():
    for recipe in recipes.RECIPES.values():
        zoo.check(recipe.experiment)
        zoo.check(recipe.quickened().experiment)


def test_a_toml_file():
    text = """
        seed = 3
        [model]
        name = "sda"
        [model.options]
        hidden_units = [16, 8]
        kernel_regularizer = {class = "L2", l2 = 0.001}
        [training]
        epochs = 2
    """
    experiment = Experiment.from_dict(tomllib.loads(text), zoo.default("sda"))
    assert experiment.model.options["kernel_regularizer"].get_config() == {"l2": 0.001}
    assert experiment.training == Training(epochs=2)
    assert experiment.pretraining == Pretraining()
