"""Every line of the table of bad inputs is refused in one sentence, and every entry has lines."""

import collections
import importlib
import inspect

import pytest
from bad_inputs import CAUSES, MODELS, REFUSALS
from bad_inputs_more import COMMANDS, ESTIMATORS, table

import keras_sda as ks
from keras_sda.models.checked import CheckedModel
from keras_sda.sklearn.parameters import CHECKS
from keras_sda_cli.program import program

TABLE = table()
# Commands that take nothing that could be wrong but an unknown name or option.
WITHOUT_INPUT = ("recipes", "datasets", "models")


# Entries of one argument or two, with which less than eight things can be wrong.
OF_FEW_ARGUMENTS = {
    "callbacks.LevelProgress",
    "experiments.Model",
    "initializers.SigmoidGlorotUniform",
    "layers.Sampling",
    "losses.SummedBinaryCrossentropy",
}


def test_every_bad_input_is_refused_in_one_sentence(tmp_path, monkeypatch):
    # One test, as the lines are many and quick: pytest takes longer about a test than a line does.
    monkeypatch.chdir(tmp_path)
    wrong = []
    for bad in TABLE:
        try:
            bad.call()
        except REFUSALS as error:
            message = str(error)
            is_sentence = len(message) <= 500 and "\n" not in message.strip()
            if not is_sentence or bad.says.lower() not in message.lower():
                wrong.append((bad.entry, bad.shown, f"wants {bad.says!r}", message[:300]))
        except Exception as error:
            wrong.append((bad.entry, bad.shown, f"{type(error).__name__}: {error}"[:300]))
        else:
            wrong.append((bad.entry, bad.shown, "was not refused"))
    assert not wrong


def test_the_table_is_as_large_as_it_says():
    assert len(TABLE) >= 600
    assert len({(bad.entry, bad.cause, bad.shown) for bad in TABLE}) == len(TABLE)
    assert {bad.cause for bad in TABLE} <= set(CAUSES)


def test_every_entry_has_eight_causes():
    lines = collections.Counter(bad.entry.split(".fit")[0] for bad in TABLE)
    few = {
        entry: count
        for entry, count in lines.items()
        if count < 8
        and entry not in OF_FEW_ARGUMENTS
        and not entry.endswith((".compile", ".encode", "SDAImputer.transform"))
    }
    assert not few


def test_no_public_model_estimator_or_command_is_left_out():
    models = {name for name in dir(ks) if inspect.isclass(getattr(ks, name)) and name[0].isupper()}
    # LinearOnCodes, which is made of a fitted stack, is in the last part of the table.
    assert {*MODELS, "LinearOnCodes"} == {
        name for name in models if issubclass(getattr(ks, name), CheckedModel)
    }
    sklearn = importlib.import_module("keras_sda.sklearn")
    classes = {name for name in sklearn.__all__ if inspect.isclass(getattr(sklearn, name))}
    assert set(ESTIMATORS) == classes
    assert set(COMMANDS) | set(WITHOUT_INPUT) == set(program.commands)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_parameter_of_an_estimator_says_what_it_has_to_be(name):
    estimator = getattr(importlib.import_module("keras_sda.sklearn"), name)
    assert set(estimator().get_params()) <= {*CHECKS, *estimator.own_checks}


@pytest.mark.parametrize("name", MODELS)
def test_every_method_that_takes_rows_has_its_checks_from_one_place(name):
    # A new model has them without being told, as long as it leaves these methods to the base.
    model = getattr(ks, name)
    for method in ("predict", "evaluate", "run", "take_data", "check_rows"):
        owner = next(base for base in model.__mro__ if method in vars(base))
        assert owner.__module__.split(".")[-1] in ("checked", "data", "semi_supervised")
