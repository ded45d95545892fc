"""What a model's steps depend on tells apart what must not share, and nothing else."""

import keras
import numpy as np
import pytest

from keras_sda import MLP, ContractiveAutoencoder, StackedDenoisingAutoencoder
from keras_sda.backend.structure import structure_of
from keras_sda.layers import MaskingNoise


def make_mlp(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=None, **options):
    model = MLP(**{"input_dim": 6, "hidden_units": [5], "num_classes": 3, **options})
    model.compile(optimizer, loss, metrics=metrics)
    model.optimizer.build(model.trainable_variables)
    return model


def digest(model):
    return structure_of(model).digest


def test_names_seeds_rates_and_levels_are_values_and_not_structure():
    def make(seed):
        return StackedDenoisingAutoencoder(
            6,
            [5, 4],
            num_classes=2,
            noise_level=0.1 + 0.2 * seed,
            finetune_noise_level=0.1 + 0.2 * seed,
            dropout=0.5,
            seed=seed,
            name=f"stack_{seed}",
        )

    assert digest(make(0)) == digest(make(1))
    slow, fast = (keras.optimizers.SGD(rate, momentum=0.9) for rate in (0.1, 0.2))
    assert digest(make_mlp(slow)) == digest(make_mlp(fast))


# Named, as a worker of pytest would print other addresses of the objects than the next one.
DIFFERENCES = {
    "units": {"hidden_units": [4]},
    "depth": {"hidden_units": [5, 5]},
    "activation": {"activation": "elu"},
    "dropout": {"dropout": 0.1},
    "dtype": {"dtype": "mixed_bfloat16"},
    "optimizer": {"optimizer": "sgd"},
    "beta": {"optimizer": keras.optimizers.Adam(beta_1=0.8)},
    "clipnorm": {"optimizer": keras.optimizers.Adam(clipnorm=1.0)},
    "schedule": {
        "optimizer": keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(0.1, decay_steps=10)
        )
    },
    "loss": {"loss": keras.losses.SparseCategoricalCrossentropy(ignore_class=2)},
    "metrics": {"metrics": ["accuracy"]},
}


@pytest.mark.parametrize("options", DIFFERENCES.values(), ids=DIFFERENCES)
def test_what_changes_a_step_changes_the_structure(options):
    assert digest(make_mlp(**options)) != digest(make_mlp())


def test_schedules_of_other_lengths_keep_models_apart():
    def make(steps):
        schedule = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=steps)
        return make_mlp(keras.optimizers.SGD(schedule))

    assert digest(make(10)) == digest(make(10))
    assert digest(make(10)) != digest(make(11))


def change_activation(model):
    model.head.activation = keras.activations.sigmoid


def freeze(model):
    model.levels[0].trainable = False


def clip(model):
    model.optimizer.clipvalue = 0.5


def replace_head(model):
    model.head = model.levels[0]


@pytest.mark.parametrize("change", [change_activation, freeze, clip, replace_head])
def test_attributes_that_were_changed_later_count(change):
    changed = make_mlp()
    change(changed)
    assert digest(changed) != digest(make_mlp())


def test_a_weight_set_on_the_model_itself_counts():
    model = ContractiveAutoencoder(6, 5)
    model.contraction_weight = 0.7
    assert digest(model) != digest(ContractiveAutoencoder(6, 5))


class OwnNoise(MaskingNoise):
    """A class from outside, which may depend on anything."""


@pytest.mark.parametrize(
    "options",
    [
        {"loss": lambda y_true, y_pred: keras.ops.mean(y_pred, axis=-1)},
        {"metrics": [lambda y_true, y_pred: keras.ops.mean(y_pred, axis=-1)]},
    ],
)
def test_functions_from_outside_are_unknown(options):
    assert structure_of(make_mlp(**options)) is None


def test_classes_and_attributes_from_outside_are_unknown():
    assert structure_of(StackedDenoisingAutoencoder(6, [5], noise=OwnNoise(0.1))) is None
    model = make_mlp()
    model.helper = object()
    assert structure_of(model) is None


def test_variables_come_in_an_order_of_their_own():
    first, second = (structure_of(make_mlp(seed=seed)).variables for seed in (0, 1))
    assert [tuple(variable.shape) for variable in first] == [
        tuple(variable.shape) for variable in second
    ]
    assert len({id(variable) for variable in first}) == len(first)
    model = make_mlp()
    found = {id(variable) for variable in structure_of(model).variables}
    expected = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    assert {id(variable) for variable in expected} <= found


def test_shared_layers_are_told_from_copies():
    def make(layers):
        return keras.Sequential([keras.Input((4,)), *layers])

    def layer():
        return keras.layers.Dense(4)

    one = layer()
    twice, copies = make([one, one]), make([layer(), layer()])
    assert digest(twice) != digest(copies)
    assert digest(copies) == digest(make([layer(), layer()]))


def test_arrays_count_by_their_values():
    def make(mean):
        layer = keras.layers.Normalization(mean=mean, variance=np.ones(4, "float32"))
        return keras.Sequential([keras.Input((4,)), layer])

    zeros, ones = np.zeros(4, "float32"), np.ones(4, "float32")
    assert structure_of(make(zeros)) is None or digest(make(zeros)) != digest(make(ones))
