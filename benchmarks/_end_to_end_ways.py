"""Who takes part in `end_to_end.py`: each trains one network in a process of its own.

A way is called with the moment when its process was started, with an experiment as plain values,
and with the seconds and the validation error at which it ends, if any. It returns the seconds since
the start and the validation error at the end of every epoch. Ours and the plain Keras way read
their data by `datasets.load`; PyTorch and scikit-learn get the same rows as arrays in files, so
that they need not import Keras, and read faster than they otherwise would.
"""

import time
from pathlib import Path

import _measuring
import numpy as np


def ours(started, experiment, limit, until):
    """Trains as `experiments.run` does: pretrains, fits, and keeps the weights it would keep."""
    from keras_sda.callbacks import PatienceStopping
    from keras_sda.experiments import zoo

    experiment, data = _experiment_and_data(experiment)
    model = zoo.build(experiment, data, num_classes=10)
    ready = time.time() - started
    if experiment.pretraining is not None:
        model.pretrain(data.train.x, **vars(experiment.pretraining), verbose=0)
    how = experiment.training
    keep = [PatienceStopping(patience=how.epochs)] if how.keeps_best else []
    return _fit_keras(model, experiment, data, keep, started, ready, (limit, until))


def plain_keras(started, experiment, limit, until):
    """Trains the same network as one would write it with Keras alone, by the same settings."""
    import _plain_keras
    import keras

    experiment, data = _experiment_and_data(experiment)
    keras.utils.set_random_seed(experiment.seed)
    if experiment.model.name == "lenet5":
        model = _plain_keras.lenet5(data.image_shape, num_classes=10)
        ready = time.time() - started
    else:
        options, how = experiment.model.options, dict(vars(experiment.pretraining))
        relu = options["activation"] == "relu"
        initializer = keras.initializers.VarianceScaling(16.0, "fan_avg", "uniform")
        layers = _plain_keras.dense_layers(
            data.train.x.shape[1],
            options["hidden_units"],
            "he_normal" if relu else initializer,
            "linear" if relu else "sigmoid",
        )
        ready = time.time() - started
        rate, name = how.pop("learning_rate"), how.pop("optimizer")
        config = {"class_name": name, "config": {"learning_rate": rate}}
        _plain_keras.pretrain(
            layers,
            data.train.x,
            lambda: keras.optimizers.get(config),
            options["noise_level"],
            relu=relu,
            **how,
        )
        model = _plain_keras.classifier(
            layers,
            data.train.x.shape[1],
            10,
            options["finetune_noise_level"],
            options["dropout"],
            relu,
        )
    keep = []
    if experiment.training.keeps_best:
        # A best epoch as late as the last is put back, too: `patience` never ends training.
        keep = [
            keras.callbacks.EarlyStopping(
                "val_accuracy",
                mode="max",
                patience=experiment.training.epochs,
                restore_best_weights=True,
            )
        ]
    return _fit_keras(model, experiment, data, keep, started, ready, (limit, until))


def _experiment_and_data(plain):
    from keras_sda.experiments import Experiment
    from keras_sda.experiments.running import load_data

    experiment = Experiment.from_dict(plain)
    return experiment, load_data(experiment)


def _fit_keras(model, experiment, data, callbacks, started, ready, end):
    """Fits a model, until an epoch ends after the seconds or at the error of `end`, if given."""
    import keras

    from keras_sda.datasets.batches import BATCH_SIZE
    from keras_sda.training.optimizers import make_optimizer

    pretrained, epochs = time.time() - started, []

    class Clock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            epochs.append([time.time() - started, 1 - float(logs["val_accuracy"])])
            if _is_over(epochs, *end):
                self.model.stop_training = True

    how = experiment.training
    steps = how.num_steps(len(data.train.x))
    optimizer = make_optimizer(
        how.optimizer, how.learning_rate, how.schedule, steps, **how.optimizer_options
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        *data.train,
        epochs=how.epochs,
        batch_size=how.batch_size,
        validation_data=tuple(data.valid),
        validation_batch_size=BATCH_SIZE,
        callbacks=[Clock(), *callbacks],
        verbose=0,
    )
    finished = time.time() - started
    _, accuracy = model.evaluate(*data.test, batch_size=BATCH_SIZE, verbose=0)
    return {
        "epochs": epochs,
        "ready": ready,
        "pretrained": pretrained,
        "finished": finished,
        "test_error": 1 - float(accuracy),
    }


def _is_over(epochs, limit, until):
    seconds, error = epochs[-1]
    is_late = limit is not None and seconds > limit
    return is_late or (until is not None and error <= until + 1e-6)


def pytorch(started, experiment, limit, until, rows):
    """Trains LeNet-5 by a loop written by hand."""
    import _plain_torch

    return _plain_torch.train(
        started,
        experiment["training"],
        experiment["seed"],
        limit,
        _read(rows),
        _measuring.num_threads(),
    )


def label_spreading(started, experiment, limit, until, rows):
    """Fits scikit-learn's label spreading to all rows, few of them labelled."""
    from sklearn.semi_supervised import LabelSpreading

    return _fit_once(started, LabelSpreading(kernel="knn", n_neighbors=7), *_read(rows))


def code_spreading(started, experiment, limit, until, rows):
    """Fits the label spreading of this package, which trains no weights, by its defaults."""
    from keras_sda.sklearn import CodeSpreading

    return _fit_once(started, CodeSpreading(), *_read(rows))


def svm(started, experiment, limit, until, rows):
    """Fits an SVM to the labelled rows alone; five-fold cross-validation chooses its options."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    (x, y), *others = _read(rows)
    choices = {"C": [1, 10, 100], "gamma": ["scale", 0.01, 0.03, 0.1]}
    labelled = y >= 0
    return _fit_once(
        started, GridSearchCV(SVC(), choices, cv=5), (x[labelled], y[labelled]), *others
    )


def _fit_once(started, model, train, valid, test):
    ready = time.time() - started
    model.fit(*train)
    error = 1 - float(model.score(*valid))
    finished = time.time() - started
    return {
        "epochs": [[finished, error]],
        "ready": ready,
        "pretrained": ready,
        "finished": finished,
        "test_error": 1 - float(model.score(*test)),
    }


def _read(folder):
    """Returns rows and labels that train, validate and test, as `write_rows` wrote them."""
    arrays = [np.load(Path(folder) / f"{name}.npy") for name in _FILES]
    return [tuple(arrays[start : start + 2]) for start in (0, 2, 4)]


_FILES = ("x_train", "y_train", "x_valid", "y_valid", "x_test", "y_test")


def write_rows(experiment, folder):
    """Writes the rows of an experiment for those who read no others; see `_read`."""
    _, data = _experiment_and_data(experiment)
    for part in ("train", "valid", "test"):
        split = getattr(data, part)
        np.save(Path(folder) / f"x_{part}.npy", split.x)
        np.save(Path(folder) / f"y_{part}.npy", split.y)


if __name__ == "__main__":
    ways = (ours, plain_keras, pytorch, code_spreading, label_spreading, svm)
    _measuring.serve({function.__name__: function for function in (*ways, write_rows)})
