"""Unfit data are refused in every form in which they come, and leave the model as it was."""

import keras
import numpy as np
import pandas as pd
import pytest

import keras_sda as ks

ROWS, FEATURES = 64, 8
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(ROWS, FEATURES)).astype("float32")
Y = np.arange(ROWS) % 3


class Batches(keras.utils.PyDataset):
    """Batches of 16 rows from arrays."""

    def __init__(self, *tables):
        super().__init__()
        self.tables = tables

    def __len__(self):
        return ROWS // 16

    def __getitem__(self, index):
        parts = tuple(table[16 * index : 16 * (index + 1)] for table in self.tables)
        return parts[0] if len(parts) == 1 else parts


def spoilt(table, value, row=20):
    copy = np.array(table, dtype=np.result_type(table, type(value)))
    copy[row, ..., -1] = value
    return copy


def classifier():
    model = ks.MLP(FEATURES, [6], num_classes=3, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def autoencoder(**options):
    model = ks.DenoisingAutoencoder(FEATURES, 6, seed=0, **options)
    model.compile("adam")
    return model


def ladder():
    model = ks.LadderNetwork(FEATURES, [6], num_classes=3, seed=0)
    model.compile("adam")
    return model


FORMS = {
    "frame": pd.DataFrame,
    "nullable": lambda x: pd.DataFrame(x).convert_dtypes(),
    "tensor": keras.ops.convert_to_tensor,
    "list": np.ndarray.tolist,
}
NUMBERS = "finite numbers in `x`, but row 20"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [classifier, autoencoder, ladder])
def test_no_form_of_rows_lets_nan_in(make, form):
    model = make()
    before = model.get_weights()
    x, labels = FORMS[form](spoilt(X, np.nan)), (() if make is autoencoder else (Y,))
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=NUMBERS):
            method(x, *labels, verbose=0)
    for method in (model.predict, model.encode):
        with pytest.raises(ValueError, match=NUMBERS):
            method(x)
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_trains_as_an_array_does(form):
    expected, model = classifier(), classifier()
    expected.fit(X, Y, epochs=2, verbose=0)
    model.fit(FORMS[form](X), pd.Series(Y), epochs=2, verbose=0)
    assert all(map(np.array_equal, expected.get_weights(), model.get_weights()))
    np.testing.assert_array_equal(model.predict(FORMS[form](X)), model.predict(X))


def tensorflow_batches(*tables):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(tables if len(tables) > 1 else tables[0]).batch(16)


DATASETS = [
    Batches,
    pytest.param(
        tensorflow_batches,
        marks=pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data"),
    ),
]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize(
    ("make", "tables", "reason"),
    [
        (classifier, (spoilt(X, np.nan), Y), "batch 2.*finite numbers in `x`"),
        pytest.param(
            classifier,
            (spoilt(X, np.inf, row=63), Y),
            "batch 4.*finite numbers in `x`",
            marks=pytest.mark.full,
        ),
        (classifier, (X, np.where(np.arange(ROWS) == 40, 7, Y)), "batch 3.*labels from 0 to 7"),
        (classifier, (X, Y, np.where(np.arange(ROWS) == 40, -1.0, 1.0)), "batch 3.*at least 0"),
        (autoencoder, (spoilt(X, np.nan),), "batch 2.*finite numbers in `x`"),
    ],
)
def test_a_bad_batch_of_a_dataset_stops_training_and_puts_all_back(dataset, make, tables, reason):
    model = make()
    good = (X, Y, np.ones(ROWS))[: len(tables)]
    model.fit(dataset(*good), verbose=0)
    before = [np.array(value) for value in (*model.get_weights(), *values(model.optimizer))]
    for method in (model.fit, model.evaluate):
        with pytest.raises(FloatingPointError, match=reason):
            method(dataset(*tables), verbose=0)
    after = [*model.get_weights(), *values(model.optimizer)]
    assert all(map(np.array_equal, before, after))


def values(optimizer):
    return [keras.ops.convert_to_numpy(variable) for variable in optimizer.variables]


@pytest.mark.parametrize("dataset", DATASETS)
def test_values_that_cross_entropy_cannot_measure_stop_training_on_a_dataset(dataset):
    model = autoencoder(reconstruction_loss="binary_crossentropy")
    with pytest.raises(FloatingPointError, match=r"batch 2.*in \[0, 1\]"):
        model.fit(dataset(spoilt(X, 3.0)), verbose=0)
    options = {"reconstruction_loss": "binary_crossentropy", "seed": 0}
    stack = ks.StackedDenoisingAutoencoder(FEATURES, [6], **options)
    with pytest.raises(FloatingPointError, match="level 1, epoch 1, step"):
        stack.pretrain(dataset(spoilt(X, 3.0)), epochs=1, verbose=0)


@pytest.mark.parametrize("dataset", DATASETS)
def test_each_batch_of_a_dataset_is_looked_at_where_nothing_is_trained(dataset):
    x = dataset(spoilt(X, np.inf, row=40))
    for model in (classifier(), autoencoder(), ladder()):
        for method in (model.predict, model.encode):
            with pytest.raises(ValueError, match="row 8 holds NaN or infinity"):
                method(x)


def test_a_refused_fit_leaves_a_stack_with_its_denoiser():
    stack = ks.StackedDenoisingAutoencoder(FEATURES, [6], num_classes=3, seed=0)
    stack.pretrain(X, epochs=1, verbose=0)
    stack.compile("adam", "sparse_categorical_crossentropy")
    expected = stack.reconstruct(X)
    with pytest.raises(FloatingPointError, match="batch 2"):
        stack.fit(Batches(spoilt(X, np.nan), Y), verbose=0)
    assert stack.denoiser_state == "shared"
    np.testing.assert_array_equal(stack.reconstruct(X), expected)


def test_weights_that_blow_up_are_put_back():
    model = autoencoder(reconstruction_loss="squared_error")
    model.compile(keras.optimizers.SGD(1e30))
    before = model.get_weights()
    with pytest.raises(FloatingPointError, match="epoch 1, step 2: lower"):
        model.fit(X, epochs=3, verbose=0)
    assert all(map(np.array_equal, before, model.get_weights()))
    model.compile(keras.optimizers.SGD(1e38))
    with pytest.raises(FloatingPointError):
        model.fit(1e4 * X, batch_size=ROWS, verbose=0)  # one step, whose own loss is finite
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (np.where(np.arange(ROWS) == 3, np.nan, 1.0), "finite numbers of at least 0"),
        (-np.ones(ROWS), "Received numbers from -1 to -1"),
        (np.zeros(ROWS), "at least one above 0"),
        (np.ones(10), "64 rows in `x` and 10 weights"),
        (np.float32(1.0), "sample_weight"),
        (["heavy"] * ROWS, "one number per row"),
    ],
)
def test_weights_of_rows_are_checked(weights, reason):
    for model, labels in ((classifier(), (Y,)), (autoencoder(), ())):
        with pytest.raises(ValueError, match=reason):
            model.fit(X, *labels, sample_weight=weights, verbose=0)


@pytest.mark.parametrize(
    ("y", "reason"),
    [
        (np.where(np.arange(ROWS) == 3, 7, Y), "from 0 to 2. Received labels from 0 to 7"),
        (np.where(np.arange(ROWS) == 3, -5, Y), "Received labels from -5 to 2"),
        (np.where(np.arange(ROWS) == 3, np.nan, Y), "Received labels of float64"),
        (Y[:50], "64 rows in `x` and 50 labels"),
        (np.eye(3)[Y], "one-hot"),
        (np.array(["a", "b"] * 32), "Received labels of (<U1|object|str)"),
    ],
)
@pytest.mark.parametrize("form", [np.asarray, pd.Series, np.ndarray.tolist])
@pytest.mark.parametrize("make", [classifier, ladder])
def test_wrong_labels_are_refused_in_every_form(make, form, y, reason):
    if form is pd.Series and y.ndim == 2:
        form = pd.DataFrame
    for method in (make().fit, make().evaluate):
        with pytest.raises(ValueError, match=reason) as caught:
            method(X, form(y), verbose=0)
        assert len(str(caught.value)) <= 500


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mean_squared_error"])
def test_targets_must_be_what_the_compiled_loss_measures(loss):
    head = keras.layers.Dense(1, activation="sigmoid")
    model = ks.StackedDenoisingAutoencoder(FEATURES, [6], head=head, seed=0)
    model.compile("adam", loss)
    with pytest.raises(ValueError, match="finite numbers in `y`, but row 20"):
        model.fit(X, spoilt(X[:, :1], np.nan), verbose=0)
    if loss == "binary_crossentropy":
        with pytest.raises(ValueError, match=r"needs targets in \[0, 1\]"):
            model.fit(X, 5 * X[:, 0], verbose=0)


def test_dates_with_a_time_zone_are_not_numbers():
    days = pd.date_range("2020", periods=ROWS, tz="UTC")
    frame = pd.DataFrame(dict.fromkeys(range(FEATURES), days))
    stack = ks.StackedDenoisingAutoencoder(FEATURES, [4], seed=0)
    for method in (stack.pretrain, stack.predict, stack.encode):
        with pytest.raises(ValueError, match="needs numbers in `x`"):
            method(frame)


def test_what_is_masked_is_missing():
    masked = np.ma.masked_greater(X, 0.9)
    model = ks.MLP(FEATURES, [4], 3, seed=0)
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        model.predict(masked)
    nothing = np.ma.masked_array(X, np.zeros(X.shape, bool))
    np.testing.assert_array_equal(model.predict(nothing), model.predict(X))
    columns = ks.datasets.Columns.fit({"a": masked[:, 0], "b": X[:, 1]})
    assert columns.columns[0].missing == masked.mask[:, 0].mean() > 0
    sk = pytest.importorskip("keras_sda.sklearn")
    filled = sk.SDAImputer(hidden_units=(8,), epochs=2, random_state=0).fit_transform(masked)
    expected = sk.SDAImputer(hidden_units=(8,), epochs=2, random_state=0).fit_transform(
        masked.astype("float64").filled(np.nan)
    )
    np.testing.assert_array_equal(filled, expected)


@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_whole_numbers_of_numpy_are_sizes(kind):
    for model in (
        ks.StackedDenoisingAutoencoder(FEATURES, [kind(4)], num_classes=kind(3), seed=kind(0)),
        ks.MLP(kind(FEATURES), [4], kind(3)),
        ks.LadderNetwork(FEATURES, [4], kind(3)),
        ks.SoftmaxRegression(FEATURES, kind(3)),
        ks.LeNet5((28, 28, 1), kind(3), hidden_units=kind(4)),
    ):
        again = type(model).from_config(model.get_config())
        assert again.count_params() == model.count_params()
        keras.saving.serialize_keras_object(model)
