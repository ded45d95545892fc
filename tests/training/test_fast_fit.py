"""Many steps per call give what single steps give; only faster."""

import logging

import keras
import numpy as np
import pytest
from tiers import in_tiers

from keras_sda import MLP, DenoisingAutoencoder, datasets
from keras_sda.callbacks import StopOnNonFiniteLoss
from keras_sda.layers import MaskingNoise, TiedDense
from keras_sda.training.fast_fit import FastFit
from keras_sda.training.hooks import wants_every_batch
from keras_sda.training.level import PretrainingLevel

needs_groups = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="PyTorch takes one step after the other"
)


@pytest.fixture(scope="module")
def split_digits():
    return datasets.load("digits")


class CountsBatches(keras.callbacks.Callback):
    """Wants to hear of every batch."""

    def on_train_begin(self, logs=None):
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(batch)


def make_mlp(**kwargs):
    model = MLP(64, [16], 10, dropout=0.2, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **kwargs)
    return model


@needs_groups
def test_groups_of_steps_give_the_weights_of_single_steps(split_digits):
    x, y = split_digits.train
    weight = np.linspace(0.5, 1.5, len(x)).astype("float32")
    listener = CountsBatches()
    steps = -(-len(x) // 50)
    found = []
    for callbacks in ([], [listener]):
        model = make_mlp()
        history = model.fit(
            x,
            y,
            sample_weight=weight,
            batch_size=50,  # the last batch is a smaller one
            epochs=3,
            validation_data=tuple(split_digits.valid),
            callbacks=callbacks,
            verbose=0,
        )
        assert model.steps_per_call == (1 if callbacks else steps)
        assert model.steps_per_execution == 1
        found.append((model.get_weights(), history.history, model.evaluate(x, y, verbose=0)))
    (weights, history, score), (single_weights, single_history, single_score) = found
    assert all(
        np.array_equal(one, other) for one, other in zip(weights, single_weights, strict=True)
    )
    assert history == single_history
    assert score == single_score
    assert listener.ends == 3 * list(range(steps))


@needs_groups
def test_groups_change_with_batch_size_and_wishes(split_digits):
    x, y = split_digits.train
    model = make_mlp()
    for batch_size, expected in ((50, 26), (500, 3), (2, 63), (50, 26)):
        model.fit(x, y, batch_size=batch_size, validation_data=tuple(split_digits.valid), verbose=0)
        assert model.steps_per_call == expected
    model = make_mlp(steps_per_execution=7)
    model.fit(x, y, batch_size=50, verbose=0)
    assert model.steps_per_call == model.steps_per_execution == 7


@needs_groups
@pytest.mark.parametrize(
    "arguments",
    [
        {"class_weight": dict.fromkeys(range(10), 2.0)},
        {"validation_split": 0.1},
        {"steps_per_epoch": 3},
        {"x": "dataset"},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_what_only_keras_can_do_is_left_to_it(split_digits, arguments):
    x, y = split_digits.train
    model = make_mlp()
    if "x" in arguments:

        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return 4

            def __getitem__(self, index):
                return x[index::4], y[index::4]

        history = model.fit(Batches(), verbose=0)
    else:
        history = model.fit(x, y, verbose=0, **arguments)
    assert model.steps_per_call is None
    assert np.isfinite(history.history["loss"][0])


class RecordsRows(FastFit):
    """Writes down which rows it is given."""

    def __init__(self):
        super().__init__()
        self.weight = self.add_weight(shape=(), name="weight")
        self.built = True
        self.rows = []

    def call(self, inputs):
        return inputs * self.weight

    def train_step(self, data):
        self.rows.extend(np.asarray(data)[:, 0].tolist())
        return {"loss": keras.ops.sum(self.call(data))}


@pytest.mark.tensorflow_only  # eager steps, which JAX leaves to Keras
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_epoch_has_every_row_once_in_an_order_of_its_own(shuffle):
    keras.utils.set_random_seed(0)
    model = RecordsRows()
    model.compile("sgd", run_eagerly=True)
    model.fit(np.arange(50.0)[:, None], batch_size=8, epochs=3, shuffle=shuffle, verbose=0)
    epochs = np.reshape(model.rows, (3, 50)).tolist()
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == (3 if shuffle else 1)


@pytest.mark.parametrize("bad_step", [1, 5, 9])
def test_the_step_that_diverged_is_named(bad_step):
    x = np.full((100, 4), 0.5, "float32")
    x[10 * (bad_step - 1)] = np.nan
    model = MLP(4, [3], 2, activation="tanh", seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(FloatingPointError, match=f"epoch 1, step {bad_step}:"):
        FastFit.fit(
            model,
            x,
            np.zeros(100, int),
            batch_size=10,
            shuffle=False,
            callbacks=[StopOnNonFiniteLoss()],
            verbose=0,
        )


def test_compiling_again_trains_and_tests_by_the_new_loss(split_digits):
    x, _ = split_digits.train
    model = DenoisingAutoencoder(64, 8, noise=None, seed=0)
    model.compile("sgd")
    first = model.fit(x, epochs=2, verbose=0).history["loss"]
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    second = model.fit(x, epochs=2, verbose=0).history["loss"]
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    expected = np.mean((model.predict(x, verbose=0) - x) ** 2)
    np.testing.assert_allclose(second, expected, rtol=1e-4)
    np.testing.assert_allclose(model.evaluate(x, verbose=0), expected, rtol=1e-4)
    assert first[1] > 100 * second[0]


class LooksOn(keras.callbacks.Callback):
    """Wants to see the model after each epoch."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights()[0])


@needs_groups
@pytest.mark.parametrize("by_xla", in_tiers([False, True], [False]))
def test_groups_of_epochs_give_the_weights_of_single_epochs(split_digits, monkeypatch, by_xla):
    if by_xla:
        if keras.backend.backend() == "jax":
            pytest.skip("JAX compiles all by XLA")
        from keras_sda.backend.tensorflow import xla

        monkeypatch.setattr(xla, "_LEAST_WORK", 0)
    x, y = split_digits.train
    x, y = x[:330], y[:330]  # the last batch of 50 is a smaller one
    found = []
    for callbacks in ([], [LooksOn()]):
        model = make_mlp()
        first = model.fit(x, y, batch_size=50, epochs=5, callbacks=callbacks, verbose=0)
        second = model.fit(
            x, y, batch_size=50, epochs=9, initial_epoch=5, callbacks=callbacks, verbose=0
        )
        assert model.compiled_by_xla == (by_xla or keras.backend.backend() == "jax")
        assert second.epoch == [5, 6, 7, 8]
        found.append(
            (model.get_weights(), first.history, second.history, model.get_metrics_result())
        )
    assert len(callbacks[0].weights) == 9
    assert any((callbacks[0].weights[0] != callbacks[0].weights[1]).ravel())
    for ours, theirs in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert found[0][1:] == found[1][1:]


@needs_groups
def test_calls_take_several_epochs_only_if_nobody_looks_on(split_digits):
    x, y = (table[:100] for table in split_digits.train)
    held_out = tuple(table[:50] for table in split_digits.valid)
    plans = []

    class Spy(StopOnNonFiniteLoss):
        def on_train_begin(self, logs=None):
            plans.append(self._trained._work.plan.epochs_per_call)

    for options in (
        {},
        {"validation_data": held_out},
        {"verbose": 1},
        {"callbacks": [keras.callbacks.EarlyStopping("loss")]},
        {"callbacks": [keras.callbacks.History()]},
    ):
        callbacks = [Spy(), *options.pop("callbacks", [])]
        options = {"verbose": 0, **options}
        make_mlp().fit(x, y, epochs=6, callbacks=callbacks, **options)
    assert plans == [6, 1, 1, 1, 6]


@needs_groups
def test_a_loss_that_diverges_within_a_group_of_epochs_is_named(split_digits):
    x, y = (table[:100] for table in split_digits.train)
    model = make_mlp()
    model.optimizer.learning_rate.assign(1e38)
    with pytest.raises(FloatingPointError, match=r"epoch 1, step \d+: lower"):
        model.fit(x, y, batch_size=50, epochs=6, verbose=0, callbacks=[StopOnNonFiniteLoss()])


def test_a_seed_leaves_the_global_generators_alone(split_digits):
    x, y = (table[:100] for table in split_digits.train)
    before = np.random.get_state()[1].copy()
    make_mlp().fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_who_wants_every_batch():
    assert wants_every_batch(CountsBatches())
    assert wants_every_batch(keras.callbacks.LambdaCallback(on_train_batch_end=print))
    assert wants_every_batch(keras.callbacks.ModelCheckpoint("a.keras", save_freq=10))
    assert wants_every_batch(keras.callbacks.TerminateOnNaN())
    for callback in (
        keras.callbacks.ModelCheckpoint("a.keras"),
        keras.callbacks.EarlyStopping(),
        keras.callbacks.CSVLogger("a.csv"),
        keras.callbacks.LambdaCallback(on_epoch_end=print),
        keras.callbacks.ProgbarLogger(),
        StopOnNonFiniteLoss(),
    ):
        assert not wants_every_batch(callback), callback


@needs_groups
def test_pretraining_says_which_way_it_went(split_digits):
    layer = TiedDense(8)
    layer.build((None, 64))
    model = PretrainingLevel(layer, MaskingNoise(0.3), "binary_crossentropy", 0)
    model.compile("sgd")
    model.fit(split_digits.train.x, batch_size=20, verbose=0)
    assert (model.gradient, model.steps_per_call) == ("written out", 63)


@needs_groups
def test_many_small_models_bring_no_warning_of_retracing(digits):
    messages = []

    class Handler(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    handler = Handler()
    logging.getLogger("tensorflow").addHandler(handler)
    try:
        for seed in range(8):
            model = DenoisingAutoencoder(64, 2, seed=seed)
            model.compile("sgd")
            model.fit(digits[0][:20], batch_size=20, epochs=1, verbose=0)
            assert model.steps_per_call == 1
    finally:
        logging.getLogger("tensorflow").removeHandler(handler)
    assert not [message for message in messages if "retracing" in message]
