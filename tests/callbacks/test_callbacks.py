import keras
import numpy as np
import pytest

from keras_sda.callbacks import KLWarmup, NoiseSchedule, PatienceStopping, StopOnNonFiniteLoss
from keras_sda.models import DenoisingAutoencoder, StackedDenoisingAutoencoder


def epochs_run(errors, monkeypatch=None, **arguments):
    """Applies the rule to a series of validation errors; returns it, the epochs run and a bias."""
    stopping = PatienceStopping(**arguments)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.stop_training = False
    stopping.set_model(model)
    stopping.on_train_begin()
    for epoch, error in enumerate(errors):
        model.layers[0].bias.assign([float(epoch)])
        stopping.on_epoch_end(epoch, {"val_loss": error})
        if model.stop_training:
            break
    stopping.on_train_end()
    return stopping, epoch + 1, float(model.layers[0].bias.numpy()[0])


def theano_rule(errors, patience, increase, threshold):
    """The tutorial's loop, in epochs: returns the number of epochs it trains."""
    best = np.inf
    for epoch, error in enumerate(errors, start=1):
        if error < best:
            if error < best * threshold:
                patience = max(patience, epoch * increase)
            best = error
        if patience <= epoch:
            return epoch
    return len(errors)


@pytest.mark.parametrize("seed", range(20))
def test_patience_agrees_with_the_tutorials_loop(seed):
    rng = np.random.default_rng(seed)
    errors = np.abs(np.cumsum(rng.normal(-0.002, 0.01, size=200)) + 0.3)
    stopping, epochs, bias = epochs_run(errors)
    assert epochs == theano_rule(errors, 10, 2, 0.995)
    assert stopping.best_epoch == int(np.argmin(errors[:epochs]))
    assert stopping.best == errors[:epochs].min()
    assert bias == stopping.best_epoch, "the weights of the best epoch are back"


def test_patience_worked_by_hand():
    # Improves in epochs 1 to 8 (counted from 1), and never after: 8 * 2 = 16 epochs.
    errors = [0.5 - 0.01 * epoch for epoch in range(8)] + [0.5] * 100
    stopping, epochs, bias = epochs_run(errors)
    assert (epochs, stopping.best_epoch, stopping.stopped_epoch, bias) == (16, 7, 15, 7.0)
    # Improvements of less than 0.5 % are kept, but do not extend the patience.
    errors = [0.5 * 0.999**epoch for epoch in range(100)]
    stopping, epochs, _ = epochs_run(errors)
    assert (epochs, stopping.best_epoch) == (10, 9)
    _, epochs, bias = epochs_run([0.1] + [1.0] * 50, patience=3, restore_best_weights=False)
    assert (epochs, bias) == (3, 2.0)


def test_ties_go_to_the_lower_loss():
    stopping = PatienceStopping()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    stopping.set_model(model)
    stopping.on_train_begin()
    for epoch, (accuracy, loss) in enumerate([(0.8, 0.1), (0.9, 0.5), (0.9, 0.4), (0.9, 0.45)]):
        stopping.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
    assert stopping.best_epoch == 2


def test_patience_monitors_accuracy_in_fit(digits):
    x, y = digits
    model = StackedDenoisingAutoencoder(64, [16], num_classes=10, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stopping = PatienceStopping(patience=3, improvement_threshold=0.0)
    arguments = {"epochs": 50, "validation_data": (x[1400:], y[1400:]), "verbose": 0}
    history = model.fit(x[:1400], y[:1400], callbacks=[stopping], **arguments)
    assert len(history.epoch) == 3
    best = max(history.history["val_accuracy"])
    assert stopping.best == pytest.approx(1 - best)
    _, accuracy = model.evaluate(x[1400:], y[1400:], verbose=0)
    assert accuracy == pytest.approx(best), "the best weights are back"
    model.fit(x[:1400], y[:1400], callbacks=[stopping], **arguments)
    assert stopping.stopped_epoch == 2, "a second fit starts afresh"


def test_patience_refusals(digits):
    for arguments in ({"patience": 0}, {"patience_increase": 0.5}, {"improvement_threshold": 2}):
        with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` of PatienceStopping"):
            PatienceStopping(**arguments)
    model = DenoisingAutoencoder(64, 4)
    model.compile("adam")
    with pytest.raises(ValueError, match=r"monitors 'val_loss', but .*pass validation_data to fit"):
        model.fit(digits[0], callbacks=[PatienceStopping()], verbose=0)


def test_noise_schedule_in_fit(digits):
    model = DenoisingAutoencoder(64, 4, noise_level=0.9)
    model.compile("adam")
    schedule = NoiseSchedule(lambda epoch: 0.4 / (1 + epoch))
    history = model.fit(digits[0], epochs=2, callbacks=[schedule], verbose=0)
    np.testing.assert_allclose(history.history["noise_level"], [0.4, 0.2], atol=1e-6)


@pytest.mark.parametrize("schedule", [0.3, (0.1, 0.2, 0.3), "down"])
def test_noise_schedule_refusals(schedule):
    with pytest.raises(ValueError, match="`schedule` of NoiseSchedule must be a function"):
        NoiseSchedule(schedule)


def test_non_finite_loss_in_fit(digits):
    x, _ = digits
    model = DenoisingAutoencoder(64, 4, reconstruction_loss="squared_error", activation="linear")
    model.compile(keras.optimizers.SGD(1e3))
    with pytest.raises(FloatingPointError, match=r"became (nan|inf) in epoch 1, step \d+: lower"):
        model.fit(x, epochs=3, callbacks=[StopOnNonFiniteLoss()], verbose=0)


def test_kl_warmup_rises_evenly_to_the_models_beta():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.final_beta = 3.0
            self.beta = keras.Variable(3.0, trainable=False)

    warmup = KLWarmup(3)
    warmup.set_model(Model())
    for _ in range(2):  # a second fit begins anew
        warmup.on_train_begin()
        values = []
        for epoch in range(5):
            warmup.on_epoch_begin(epoch)
            logs = {}
            warmup.on_epoch_end(epoch, logs)
            values.append(logs["beta"])
        assert values == [0.0, 1.0, 2.0, 3.0, 3.0]


def test_kl_warmup_refuses():
    with pytest.raises(ValueError, match="`epochs` of KLWarmup must be a whole number of at least"):
        KLWarmup(0)
    warmup = KLWarmup(1)
    warmup.set_model(DenoisingAutoencoder(4, 2))
    with pytest.raises(ValueError, match="KLWarmup found no weight `beta` of a KL term in denois"):
        warmup.on_train_begin()
