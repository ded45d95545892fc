"""Under TensorFlow, XLA compiles the loop over small batches: the same numbers, only faster."""

import importlib

import keras
import numpy as np
import pytest
from tiers import in_tiers

import keras_sda as ks
from keras_sda.backend.common import whole_batches

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="under JAX XLA always compiles it"
)


@pytest.fixture
def at_once(monkeypatch):
    """Has XLA compile however little there is to do."""
    xla = importlib.import_module("keras_sda.backend.tensorflow.xla")
    return lambda: monkeypatch.setattr(xla, "_LEAST_WORK", 0)


def autoencoder(kind=ks.DenoisingAutoencoder, optimizer="sgd", **options):
    model = kind(64, **options, seed=0)
    model.compile(optimizer)
    return model


def classifier(kind=ks.MLP, **options):
    model = kind(64, [16, 8], num_classes=10, seed=0, **options)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


MODELS = {
    "MLP, dropout": lambda: classifier(dropout=0.2),
    "SdA, noise": lambda: classifier(
        ks.StackedDenoisingAutoencoder, noise_level=0.3, finetune_noise_level=0.1
    ),
    "momentum": lambda: autoencoder(
        hidden_units=16, optimizer=keras.optimizers.SGD(0.01, momentum=0.9)
    ),
    "adam": lambda: autoencoder(hidden_units=16, optimizer="adam"),
    "rmsprop": lambda: autoencoder(hidden_units=16, optimizer="rmsprop"),
    "squared error": lambda: autoencoder(hidden_units=16, reconstruction_loss="squared_error"),
    "untied": lambda: autoencoder(hidden_units=16, tied=False),
    "sparse": lambda: autoencoder(ks.SparseAutoencoder, hidden_units=16),
    "contractive": lambda: autoencoder(ks.ContractiveAutoencoder, hidden_units=16),
    "contractive, automatic": lambda: autoencoder(
        ks.ContractiveAutoencoder, hidden_units=16, jacobian="autodiff"
    ),
    "variational": lambda: autoencoder(
        ks.VariationalAutoencoder, latent_dim=2, hidden_units=[16], optimizer="adam"
    ),
    **{
        f"{noise} noise": lambda noise=noise: autoencoder(
            hidden_units=16, noise=noise, noise_level=0.3
        )
        for noise in ("masking", "gaussian", "salt_and_pepper")
    },
}


def trained(model, digits, **options):
    """Returns weights, history and whether XLA was taken, after 20 whole batches and 2 smaller."""
    x, y = digits[0][:205], digits[1][:205]
    rows = {"x": x, "y": y} if model.num_classes else {"x": x}
    options = {"batch_size": 20, "epochs": 2, "verbose": 0, **options}
    history = model.fit(**rows, **options).history
    return model.get_weights(), history, model.compiled_by_xla


@pytest.mark.parametrize("name", in_tiers(MODELS, ["SdA, noise"]))
def test_it_gives_the_numbers_of_the_usual_way(digits, at_once, name):
    weights, history, took = trained(MODELS[name](), digits)
    assert not took
    at_once()
    by_xla, xla_history, took = trained(MODELS[name](), digits)
    assert took
    for one, other in zip(weights, by_xla, strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-4, atol=2e-5)
    assert xla_history.keys() == history.keys()
    for key, values in history.items():
        np.testing.assert_allclose(xla_history[key], values, rtol=1e-4)


def test_pretraining_takes_it_and_says_so(digits, at_once, capsys):
    at_once()
    stack = ks.StackedDenoisingAutoencoder(64, [16, 8], seed=0)
    stack.pretrain(digits[0][:200], epochs=1, batch_size=20, verbose=2)
    assert capsys.readouterr().out.count("10 steps per call, compiled by XLA") == 2


def test_single_steps_are_the_same_to_the_bit(digits, at_once):
    at_once()
    listener = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    (weights, *_), (one_by_one, _, took) = (
        trained(classifier(dropout=0.2), digits, callbacks=callbacks)
        for callbacks in ([], [listener])
    )
    assert took
    for one, other in zip(weights, one_by_one, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_it_cannot_compile_trains_the_usual_way(digits, at_once):
    import tensorflow as tf

    def loss(y_true, y_pred):
        ones = tf.numpy_function(lambda values: values * 0 + 1, [y_pred[:, 0]], tf.float32)
        ones = tf.ensure_shape(ones, (None,))
        return ones * keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

    found = []
    for _ in range(2):
        model = classifier(dropout=0.2)
        model.compile("sgd", loss, metrics=["accuracy"])
        weights, history, took = trained(model, digits)
        assert not took
        found.append((weights, history))
        at_once()
    for one, other in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[0][1] == found[1][1]


def test_a_bug_in_the_loss_is_not_taken_for_what_xla_lacks(digits, at_once):
    import tensorflow as tf

    from keras_sda.backend.tensorflow import draws

    def loss(y_true, y_pred):
        if tf.random.stateless_uniform is draws.uniform:  # while XLA's loop is traced
            raise RuntimeError("a bug of one's own")
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

    at_once()
    model = classifier()
    model.compile("sgd", loss)
    with pytest.raises(RuntimeError, match="a bug of one's own"):
        trained(model, digits)
    assert tf.random.stateless_uniform is not draws.uniform


@pytest.mark.parametrize(
    ("options", "fit_options", "expected"),
    [
        ({}, {"batch_size": 64}, True),
        ({}, {"batch_size": 65}, False),
        ({"jit_compile": False}, {"batch_size": 64}, False),
        ({"run_eagerly": True}, {"batch_size": 64}, False),
    ],
)
def test_when_it_is_taken(digits, at_once, options, fit_options, expected):
    at_once()
    model = ks.MLP(64, [8], 10, seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    model.fit(*(table[:130] for table in digits), **fit_options, verbose=0)
    assert model.compiled_by_xla is expected


@pytest.mark.full
@pytest.mark.parametrize("is_foreign", [False, True])
def test_a_ladder_takes_it_with_more_rows(digits, at_once, is_foreign):
    class Foreign(ks.LadderNetwork):
        def train_step(self, data):
            return super().train_step(data)

    found = []
    for _ in range(2):
        model = (Foreign if is_foreign else ks.LadderNetwork)(64, [16], 10, seed=0)
        model.compile(keras.optimizers.Adam(0.001))
        found.append(trained(model, digits, batch_size=100))
        at_once()
    (weights, history, at_first), (by_xla, xla_history, then) = found
    assert (at_first, then) == (False, not is_foreign)
    for one, other in zip(weights, by_xla, strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-4, atol=2e-5)
    for key, values in history.items():
        np.testing.assert_allclose(xla_history[key], values, rtol=1e-4)


def test_the_count_of_whole_batches_is_a_plain_number():
    table, count, rest = whole_batches(np.arange(7), np.int64(3), 4)
    assert (type(count), count) == (int, 2), "TensorFlow takes a NumPy integer for one of 64 bits"
    assert table.tolist() == [[0, 1, 2], [3, 4, 5], [0, 0, 0], [0, 0, 0]]
    assert rest.tolist() == [6]


def test_it_draws_the_numbers_of_tensorflow():
    import tensorflow as tf

    from keras_sda.backend.tensorflow import draws

    seed = tf.constant([3, 4])
    drawn = tf.function(lambda: draws.normal((200, 1001), seed), jit_compile=True)()
    expected = tf.random.stateless_normal((200, 1001), seed, alg="philox")
    np.testing.assert_allclose(drawn, expected, atol=2e-6)


def test_it_is_taken_where_compiling_pays(digits):
    model = classifier()
    x, y = digits[0][:1000], digits[1][:1000]
    enough = -(-1e9 // (model.count_params() + 50_000)) // 1000 + 1
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", True)
    )
    for epochs, expected in ((enough - 2, False), (enough, True)):
        model.fit(x, y, batch_size=1, epochs=int(epochs), callbacks=[stop], verbose=0)
        assert model.compiled_by_xla is expected


def test_convolutions_are_left_to_the_usual_way(digits, at_once):
    at_once()
    model = ks.ConvolutionalAutoencoder((8, 8, 1), filters=[4], seed=0)
    model.compile("sgd")
    model.fit(digits[0][:40].reshape(-1, 8, 8, 1), batch_size=20, verbose=0)
    assert model.steps_per_call == 2
    assert not model.compiled_by_xla


@pytest.mark.full
def test_rows_in_a_file_give_the_weights_of_rows_in_memory(digits, at_once, tmp_path):
    at_once()
    np.save(tmp_path / "rows.npy", digits[0][:50])  # two whole batches and a part of one
    found = []
    for rows in (digits[0][:50], np.load(tmp_path / "rows.npy", mmap_mode="r")):
        model = autoencoder(hidden_units=4)
        model.fit(rows, batch_size=20, epochs=2, verbose=0)
        assert model.compiled_by_xla
        found.append(model.get_weights())
    for memory, file in zip(*found, strict=True):
        np.testing.assert_allclose(file, memory, atol=1e-6)
