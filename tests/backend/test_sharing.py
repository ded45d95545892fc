"""Models of the same structure share what was traced or compiled, and compute the same as alone."""

import gc
import importlib
import sys
import threading
import weakref

import keras
import numpy as np
import pytest
from tiers import in_tiers

import keras_sda as ks
from keras_sda import layers
from keras_sda.callbacks import NoiseSchedule

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="PyTorch compiles nothing")
ROWS = 90  # of which the last batch of 32 is a smaller one


@pytest.fixture
def sharing():
    module = importlib.import_module(f"keras_sda.backend.{BACKEND}.sharing")
    module.latest.clear()
    return module


@pytest.fixture(scope="module")
def rows(digits):
    x, y = digits
    return x[:ROWS], y[:ROWS]


def classifier(kind=ks.MLP, optimizer="adam", metrics=("accuracy",), **options):
    def make(seed):
        model = kind(64, num_classes=10, seed=seed, **{"hidden_units": [12, 8], **options})
        chosen = keras.optimizers.get(optimizer)
        fresh = type(chosen).from_config(chosen.get_config())
        model.compile(fresh, "sparse_categorical_crossentropy", metrics=list(metrics))
        return model

    return make


def autoencoder(kind=ks.DenoisingAutoencoder, *size, optimizer="adam", **options):
    def make(seed):
        model = kind(*(size or (64, 12)), seed=seed, **options)
        model.compile(optimizer)
        return model

    return make


def stack(**options):
    return classifier(ks.StackedDenoisingAutoencoder, finetune_noise_level=0.2, **options)


def softmax(seed):
    model = ks.SoftmaxRegression(64, 10, seed=seed)
    model.compile(keras.optimizers.SGD(0.1 + seed), "sparse_categorical_crossentropy")
    return model


def lenet5(seed):
    model = ks.LeNet5((16, 16, 1), 10, seed=seed)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


MODELS = {
    "sda": stack(),
    "da": autoencoder(),
    "sparse": autoencoder(ks.SparseAutoencoder),
    "contractive": autoencoder(ks.ContractiveAutoencoder),
    "deep": autoencoder(ks.DeepAutoencoder, 64, [12, 4]),
    "conv": autoencoder(ks.ConvolutionalAutoencoder, (8, 8, 1)),
    "vae": autoencoder(ks.VariationalAutoencoder, 64, [12], 2),
    "softmax": softmax,
    "mlp": classifier(dropout=0.3),
    "ladder": classifier(ks.LadderNetwork, hidden_units=[12]),
    "lenet5": lenet5,
    **{f"noise {name}": autoencoder(noise=name, noise_level=0.3) for name in layers.noise_names()},
    "sgd": stack(optimizer="sgd"),
    "momentum": stack(optimizer=keras.optimizers.SGD(0.01, momentum=0.9)),
    "rmsprop": stack(optimizer="rmsprop"),
    "schedule": stack(
        optimizer=keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, decay_steps=9))
    ),
    "untied": autoencoder(tied=False),
    "float64": stack(dtype="float64"),
    "mixed_bfloat16": stack(dtype="mixed_bfloat16"),
    "mixed_float16": stack(dtype="mixed_float16"),
}


def fit(make, seed, rows, **options):
    """Returns the weights and the history of a model, and the model."""
    x, y = rows
    model = make(seed)
    if len(model.row_shape) == 3:
        x = np.pad(x.reshape(-1, 8, 8, 1), [(0, 0), *[(0, model.row_shape[0] - 8)] * 2, (0, 0)])
    data = (x, y) if model.num_classes else (x,)
    history = model.fit(*data, batch_size=32, epochs=3, **{"verbose": 0, **options}).history
    return model.get_weights(), history, model


def assert_same(one, other):
    assert one[1] == other[1]
    for ours, theirs in zip(one[0], other[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def cases():
    for name in in_tiers(MODELS, default=["sda"]):
        plain = name if isinstance(name, str) else name.values[0]
        marks = [] if isinstance(name, str) else list(name.marks)
        if plain == "float64":
            marks.append(pytest.mark.float64)
        yield pytest.param(plain, marks=marks)


@pytest.mark.parametrize("name", cases())
def test_a_model_computes_with_a_shared_graph_what_it_computes_alone(
    name, rows, sharing, monkeypatch
):
    if name in ("conv", "lenet5") and BACKEND == "jax":
        pytest.skip("under JAX convolutions train by Keras' own way")
    if name == "mixed_float16" and BACKEND == "jax":
        pytest.skip("Keras scales no loss under JAX")
    fit(MODELS[name], 0, rows)
    count = len(sharing.latest)
    shared = fit(MODELS[name], 1, rows)
    assert len(sharing.latest) == count > 0
    monkeypatch.setattr(sharing, "structure_of", lambda model: None)
    assert_same(shared, fit(MODELS[name], 1, rows))
    assert len(sharing.latest) == count


def test_pretraining_shares_over_levels_rates_and_models(rows, sharing, monkeypatch):
    def train(seed):
        stack = ks.StackedDenoisingAutoencoder(
            64, [12, 12, 12], noise_level=0.1 + 0.2 * seed, seed=seed
        )
        histories = stack.pretrain(
            rows[0], epochs=2, learning_rate=0.01 * (1 + seed), batch_size=32, verbose=0
        )
        return stack.get_weights(), [history.history for history in histories]

    train(0)
    count = len(sharing.latest)
    shared = train(1)
    assert len(sharing.latest) == count == 2  # the second level and the third are alike
    monkeypatch.setattr(sharing, "structure_of", lambda model: None)
    assert_same(shared, train(1))


def test_what_callbacks_change_reaches_the_shared_graph(rows, sharing):
    make = autoencoder(noise_level=0.3)
    plain = fit(make, 0, rows)
    scheduled = fit(make, 0, rows, callbacks=[NoiseSchedule(lambda epoch: 0.3)])
    del scheduled[1]["noise_level"]
    assert_same(plain, scheduled)
    louder = fit(make, 0, rows, callbacks=[NoiseSchedule((0.3, 0.9))])
    assert any((ours != theirs).any() for ours, theirs in zip(louder[0], plain[0], strict=True))


def test_no_model_is_kept_alive(rows, sharing):
    _, _, model = fit(MODELS["sda"], 0, rows)
    assert len(sharing.latest) > 0
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_only_the_latest_used_are_kept(rows, sharing, monkeypatch):
    monkeypatch.setattr(sharing.latest, "most", 2)
    weights = [
        fit(autoencoder(ks.DenoisingAutoencoder, 64, units), 0, rows)[0] for units in (3, 4, 5, 3)
    ]
    assert len(sharing.latest) == 2
    for ours, theirs in zip(weights[0], weights[3], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.full
def test_threads_give_what_one_after_the_other_gives(rows, sharing):
    expected = [fit(MODELS["sda"], seed, rows)[:2] for seed in range(4)]
    found = {}

    def train(seed):
        found[seed] = fit(MODELS["sda"], seed, rows)[:2]

    sharing.latest.clear()
    before = np.random.get_state()[1].copy()
    threads = [threading.Thread(target=train, args=(seed,)) for seed in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(found) == [0, 1, 2, 3]
    for seed in range(4):
        assert_same(found[seed], expected[seed])
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.full
@pytest.mark.parametrize("way", ["threading", "loky"])
def test_cross_validation_in_two_jobs_gives_what_one_gives(way, digits):
    import joblib
    from sklearn.model_selection import cross_val_predict

    x, y = (table[:200] for table in digits)

    def predicted(jobs):
        classifier = ks.sklearn.SDAClassifier(
            pretrain_epochs=3, epochs=5, hidden_units=(12,), random_state=0
        )
        return cross_val_predict(classifier, x, y, cv=4, n_jobs=jobs, method="predict_proba")

    one_after_the_other = predicted(1)
    with joblib.parallel_backend(way):
        np.testing.assert_array_equal(predicted(2), one_after_the_other)


def test_a_fit_gives_tensorflow_no_new_names_of_variables(digits):
    # It keeps some memory for each name for good, which a grid search would fill.
    tf = pytest.importorskip("tensorflow")
    x, y = (table[:100] for table in digits)
    names, optimizer = set(), keras.optimizers.SGD(0.1)

    def noting(next_creator, **arguments):
        variable = next_creator(**arguments)
        names.add(variable.name)
        return variable

    with tf.variable_creator_scope(noting):
        ks.sklearn.SDAClassifier(pretrain_epochs=1, epochs=1, random_state=0).fit(x, y)
        for chosen in ("adam", optimizer):
            ladder = ks.sklearn.LadderClassifier(hidden_units=(8,), epochs=1, optimizer=chosen)
            ladder.fit(x, y)
        ks.experiments.zoo.build(ks.experiments.default("sda"), ks.datasets.load("digits"), 10)
    assert names == ({"variable:0"} if keras.backend.backend() == "tensorflow" else set())


@pytest.mark.full
def test_many_fits_leave_no_objects_behind(digits):
    x, y = (table[:200] for table in digits)
    counts = []
    for count in (10, 20):
        for seed in range(count):
            ks.sklearn.SDAClassifier(
                pretrain_epochs=2, epochs=3, noise_level=0.1 + 0.01 * seed, random_state=seed
            ).fit(x, y)
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[1] < 1.005 * counts[0]


def test_a_class_from_outside_trains_on_a_graph_of_its_own(rows, sharing):
    class Louder(ks.DenoisingAutoencoder):
        def compute_loss(self, *args, **kwargs):
            return 2 * super().compute_loss(*args, **kwargs)

    _, history, _ = fit(autoencoder(Louder, optimizer="sgd"), 0, rows)
    _, plain, _ = fit(autoencoder(optimizer="sgd"), 0, rows)
    assert history["loss"][0] > 1.5 * plain["loss"][0]
