"""What one `fit` is to do is decided once, and what a model keeps for its loss is named."""

import ast
import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_sda as ks
from keras_sda.datasets.outside_memory import ComputedRows
from keras_sda.training.plan import FitPlan, Progress, even_epochs, even_steps, first_rows, is_table

needs_groups = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="PyTorch takes one step after the other"
)


@pytest.fixture
def model():
    model = ks.MLP(64, [8], 10, seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def plan_for(model, *tables, **options):
    tables = [*tables, None, None][:3]
    return FitPlan.of(
        model, tables, 4, **{"batch_size": 20, "epochs": 2, "shuffle": True} | options
    )


def test_a_plan_says_all_and_does_not_change(model, digits):
    x, y = digits[0][:50], digits[1][:50]
    plan = plan_for(model, x, y)
    assert (plan.num_rows, plan.steps_per_epoch, plan.steps_per_call) == (50, 3, 4)
    assert (plan.by_pieces, plan.on_host) == (False, False)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(plan.data[0]), x)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.batch_size = 10


def test_an_epoch_has_every_row_once(model, digits):
    x = digits[0][:50]
    assert sorted(plan_for(model, x).order()) == list(range(50))
    np.testing.assert_array_equal(plan_for(model, x, shuffle=False).order(), range(50))


def test_rows_in_a_file_are_read_for_each_call(model, digits, tmp_path):
    np.save(tmp_path / "rows.npy", digits[0][:50])
    x = np.load(tmp_path / "rows.npy", mmap_mode="r")
    plan = plan_for(model, x)
    assert plan.by_pieces
    assert plan.data is x
    order = plan.order()
    progress = Progress(order)
    data, numbers = plan.take(progress)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(data), digits[0][order])
    np.testing.assert_array_equal(numbers, range(50))
    assert len(progress.remaining_rows) == 0
    in_memory = plan_for(model, digits[0][:50])
    np.testing.assert_array_equal(in_memory.take(Progress(order))[1], order)


@pytest.mark.parametrize("steps_per_call", [1, 3, 64, 100, 200])
@pytest.mark.parametrize("interrupted", [0, 2, 65, 149])
def test_groups_do_not_depend_on_the_steps_of_a_call(model, steps_per_call, interrupted):
    """Where a row stands among how many others may decide about its last digits."""
    x, seen = np.arange(299.0).reshape(-1, 1), []

    def function(rows):
        seen.append(rows[:, 0])
        return rows / 2

    codes = ComputedRows(x, function, 1, "float64")
    plan = dataclasses.replace(
        plan_for(model, codes, batch_size=2, shuffle=False), steps_per_call=steps_per_call
    )
    progress, found = Progress(plan.order()[2 * interrupted :]), []
    seen.clear()
    while len(progress.remaining_rows):
        data, numbers = plan.take(progress)
        found.append(keras.ops.convert_to_numpy(data)[numbers, 0])
    np.testing.assert_array_equal(np.concatenate(found), np.arange(2 * interrupted, 299) / 2)
    assert not progress.group
    groups = [np.arange(first, min(first + 100, 299)) for first in (0, 100, 200)]
    groups = groups[2 * interrupted // 100 :]
    assert [len(group) for group in seen] == [len(group) for group in groups]
    for one, other in zip(seen, groups, strict=True):
        known = other >= 2 * interrupted
        np.testing.assert_array_equal(one[known], other[known])


def test_plans_of_one_kind_share_a_training_function(model, digits):
    x, y = digits
    kinds = {plan_for(model, x[:rows], y[:rows]).kind for rows in (20, 50)}
    assert len(kinds) == 1
    assert plan_for(model, x[:20]).kind not in kinds
    assert plan_for(model, x[:20, :10], y[:20]).kind not in kinds


def test_progress_is_of_one_fit():
    assert Progress().remaining_rows is not Progress().remaining_rows
    assert Progress().replayed_logs is None


def test_calls_of_an_epoch_take_about_as_many_steps():
    assert even_steps(65, batch_size=20) == 33
    assert even_steps(10, batch_size=8192) == 1


def test_calls_take_as_many_epochs_as_the_rows_of_one_allow():
    assert even_epochs(100, num_rows=200, batch_size=32) == 34
    assert even_epochs(3, num_rows=10, batch_size=32) == 3
    assert even_epochs(100, num_rows=9000, batch_size=128) == 1
    assert even_epochs(0, num_rows=10, batch_size=5) == 1


def test_an_example_has_the_dtypes_of_fit(digits):
    x, y = digits
    rows, labels = first_rows([x.astype("float64"), y, None])
    assert (rows.shape, rows.dtype, labels.dtype) == ((1, 64), "float32", "int64")
    assert first_rows([[1.0, 2.0], None, None]) is None
    assert not is_table(np.array(["text"]))


@needs_groups
def test_after_fit_a_model_holds_no_data(model, digits):
    model.fit(digits[0][:50], digits[1][:50], verbose=0)
    assert model.steps_per_call is not None
    assert model.remaining_rows() is None
    assert model.example_batch() is None


def test_what_call_has_not_kept_for_the_loss_is_named():
    model = ks.DenoisingAutoencoder(16, 4, seed=0)
    with pytest.raises(AttributeError, match="kept no `preactivation` for the loss"):
        _ = model.kept.preactivation
    model(np.zeros((2, 16), "float32"))
    assert model.kept.preactivation.shape == (2, 16)


def test_models_say_their_target_and_leave_the_rest_to_one_base():
    """Else `fit` would again pass one override after the other.

    Besides the base, only what trains on pairs of rows chooses rows of its own.
    """
    folder = Path(ks.__file__).parent / "models"
    found = [
        (path.name, node.name)
        for path in folder.glob("*.py")
        if path.name not in ("checked.py", "semi_supervised.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and node.name in ("fit", "evaluate", "compute_metrics", "train_step", "test_step")
    ]
    assert found == []


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 1.5, 40).astype("float32")])
def test_targets(digits, weights):
    x, y = digits[0][:40], digits[1][:40]
    clean = np.roll(x, 1)
    autoencoder = ks.DenoisingAutoencoder(64, 4, seed=0)
    assert autoencoder.target(x) is x
    assert autoencoder.target(x, clean) is clean
    assert ks.StackedDenoisingAutoencoder(64, [4], seed=0).target(x) is x
    assert ks.StackedDenoisingAutoencoder(64, [4], num_classes=10, seed=0).target(x, y) is y
    autoencoder.compile("sgd", metrics=["mse"])
    loss, error = autoencoder.evaluate(x, sample_weight=weights, verbose=0)
    given = autoencoder.evaluate(x, x, sample_weight=weights, verbose=0)
    np.testing.assert_allclose([loss, error], given, rtol=1e-5)
    assert autoencoder.evaluate(x, clean, sample_weight=weights, verbose=0)[1] != error
