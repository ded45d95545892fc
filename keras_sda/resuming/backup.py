"""The callback that saves the state of training, and resumes from it."""

import contextlib
import inspect
import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_sda import backend
from keras_sda._validation import check_bool, check_path, check_positive_int, check_verbose
from keras_sda.resuming import fingerprint
from keras_sda.resuming.callback_state import give_state, settings_of, state_of
from keras_sda.resuming.checks import check_state
from keras_sda.resuming.files import lacks_room
from keras_sda.resuming.signals import HeldSignals, interruption
from keras_sda.resuming.states import StateFiles

# Arguments of `fit` on which the weights depend, beside data, model and callbacks.
_SETTINGS = (
    *("batch_size", "epochs", "shuffle", "class_weight", "steps_per_epoch", "validation_split"),
    *("validation_freq", "validation_steps", "validation_batch_size"),
)
_FIT = inspect.signature(keras.Model.fit).parameters
_DATA = ("x", "y", "sample_weight", "validation_data")


class Backup(keras.callbacks.Callback):
    """Saves the state of training after every epoch, and resumes from the latest one.

    Run the same script again after a crash: `fit` and `pretrain` go on where the latest state was
    saved, and end with the weights and the history of a run that was never disturbed, bit for bit.
    A state holds the epoch and step, the weights, what the optimizer and the generators of random
    numbers remember, the order of the rows, the histories, and what the other callbacks remember:
    those of their attributes that are numbers, text, arrays, generators of NumPy's (by PCG64, as
    `numpy.random.default_rng` makes them, PCG64DXSM or SFC64), or lists, tuples and dictionaries
    of them. Attributes that bear the name of an argument of the constructor are settings and stay
    as a new callback has them, as do others, such as open files, and text that names a place in the
    file system. A callback with methods `get_state()` and `set_state(state)` says itself what is
    kept, and one with `on_resume()` hears when training resumes.

    States are written beside their place, flushed to the disk and renamed; the last two are kept,
    and a damaged one is passed over. A full disk does not stop training: the older states stay, a
    sentence says so, and the next epoch tries again.

    Ctrl-C and SIGTERM save at the end of the step under way, or the group of steps, and then end
    training by `KeyboardInterrupt` or with exit status 143. A second one does not wait.

    In `pretrain`, each level has states of its own, `level_1`, `level_2` and so on in the folder,
    and a finished level's stay, so that it is not trained again; remove the folder to start anew.
    Weights are bit-equal for arrays, also in files. A dataset resumes at the end of an epoch, and
    to the same weights if it brings the same batches in every epoch; under TensorFlow that goes
    for `class_weight` and `validation_split` too. `steps_per_epoch` is refused. Of several workers
    only the chief writes, into a folder that all of them have to share. On several devices states
    are those after epochs, whatever `every` asks.

    Args:
        folder: Folder of the states, in which those of `fit` lie in `fit`.
        every: Steps from one state to the next, besides those after each epoch; rounded up to
            the steps that a call of the backend takes. `None`: only after each epoch.
        keep: Whether the states of a finished `fit` stay, so that the same call again returns its
            weights and history without training. By default they are removed, so that a second
            `fit` trains on.
        verbose: Whether to print a line when training resumes from a state.

    Attributes:
        resumed: The position training went on from, such as `"epoch 3, step 40"`, or `None`.
        earlier_seconds: How long it had taken until then.
        steps_per_call: How many steps a call took when the state was saved; see `FastFit`.
        resume_hint: How the line ends that is printed after an interruption.

    Raises:
        ValueError: Before training, if the folder cannot be written, if the state belongs to other
            data or other arguments, if the model is not one of this package, or if `every` is not a
            whole number above 0.

    Example:

    ```python
    sda.pretrain(x, epochs=50, callbacks=[Backup("states")])
    sda.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    sda.fit(x, y, epochs=100, callbacks=[Backup("states"), PatienceStopping(monitor="loss")])
    ```
    """

    # Hears of several batches at once: what it needs to know is where it may save.
    accepts_step_groups = True

    def __init__(self, folder, every=None, keep=False, verbose=1):
        super().__init__()
        check_path("folder", folder, "Backup")
        self.folder = Path(folder)
        self.every = None if every is None else check_positive_int("every", every, "Backup")
        self.keep = check_bool("keep", keep, "Backup")
        self.verbose = check_verbose(verbose, "Backup")
        self.resumed = None
        self.earlier_seconds = 0.0
        self.resume_hint = "the same call again resumes from there"
        self.steps_per_call: int | None = None
        self._context: dict[str, Any] | None = None
        self._is_prepared = False

    def set_context(self, context: dict[str, Any]) -> None:
        """Gives the fingerprint of a training that this `fit` is a part of, as of all levels.

        Args:
            context: Plain settings and checksums, which stand for the data of `fit`.
        """
        self._context = context

    @contextlib.contextmanager
    def around_fit(self, model: keras.Model, arguments: dict[str, Any]) -> Iterator[None]:
        """Prepares the arguments of `fit`, and holds signals back while the block runs it.

        Args:
            model: The model that is fitted, a `FastFit`.
            arguments: Those of `fit`, by name; the first epoch and the callbacks are changed.
        """
        level = getattr(model, "level", None)
        name = "fit" if level is None else f"level_{level + 1}"
        self._place = "" if level is None else f"level {level + 1}, "
        self._keeps = self.keep or level is not None
        self._files = StateFiles(self.folder / name)
        if backend.is_chief():
            self._files.check_writable()
        if arguments.get("steps_per_epoch") is not None:
            raise ValueError(
                "Backup cannot resume with `steps_per_epoch`, which leaves open where the data "
                "continue: leave it out."
            )
        others = [callback for callback in arguments["callbacks"] if callback is not self]
        if not any(isinstance(callback, keras.callbacks.History) for callback in others):
            others.append(keras.callbacks.History())
        self._all = others
        arguments["callbacks"] = [*others, self]  # what the others have made of a step is saved
        self._others = [each for each in others if not getattr(each, "is_stateless", False)]
        self._fingerprint = self._describe(model, arguments)
        self._state = self._load(arguments.get("x"))
        self._epochs = arguments.get("epochs", 1)
        self.steps_per_call = None
        if self._state is not None:
            # A step can be reached only if it is the last of a call.
            self.steps_per_call = self._state["steps_per_call"]
            done = self._state["stopped"]
            arguments["initial_epoch"] = self._epochs if done else self._state["epoch"]
        self._is_full = False
        self._saved = None if self._state is None else self._state["position"]
        self.earlier_seconds = 0.0
        self._start = time.perf_counter()
        self._signals = HeldSignals()
        self._is_prepared = True
        try:
            with self._signals:
                yield
            if self._signals.received is not None:
                self._interrupt()
        finally:
            self._is_prepared = False
            self._state = None
        if not self._keeps and backend.is_chief():
            self._files.remove()
            with contextlib.suppress(OSError):
                self.folder.rmdir()  # if nothing else is in there

    def _describe(self, model, arguments):
        """Returns the fingerprint of this `fit`."""
        data = self._context
        if data is None:
            data = {name: fingerprint.of_data(arguments.get(name)) for name in _DATA}
        return fingerprint.plain(
            {
                **data,
                "fit": {name: arguments.get(name, _FIT[name].default) for name in _SETTINGS},
                "model": fingerprint.of_object(model),
                "optimizer": fingerprint.of_object(model.optimizer),
                "loss": fingerprint.of_object(getattr(model, "loss", None)),
                "backend": keras.backend.backend(),
                "replicas": backend.num_replicas(),
                "callbacks": [type(callback).__name__ for callback in self._others],
                "settings": [settings_of(callback) for callback in self._others],
            }
        )

    def _load(self, x):
        """Returns the latest state, or `None`; says if a damaged one was passed over."""
        num_rows = x.shape[0] if getattr(x, "shape", None) else None
        state, difference, damaged = self._files.latest(
            self._fingerprint, lambda state: check_state(state, self._others, num_rows)
        )
        self._check_all_workers_see(state, difference)
        if damaged:
            is_last = state is None and difference is None
            used = "training starts anew" if is_last else "the state before it is used"
            _say(f"{self._files.folder}: {', '.join(damaged)} is damaged; {used}.")
        if difference:
            raise ValueError(
                f"The states in {self._files.folder} belong to another training: {difference}. "
                "Use the same data and arguments, another folder, or remove this one."
            )
        return state

    def _check_all_workers_see(self, state, difference):
        """Raises a `ValueError` where another state lies than on the chief."""
        if state is None:
            mine = np.array([0 if difference is None else -1, 0], np.int32)
        else:
            mine = np.array([1 + state["epoch"], state["step"]], np.int32)
        if not np.array_equal(backend.from_chief(mine), mine):
            raise ValueError(
                f"This worker finds other states in {self._files.folder} than the chief, which is "
                "the one to write them: use a folder that all workers share."
            )

    def set_model(self, model):
        # Not by `self.model`, by which Keras fetches the weights from JAX.
        self._trained = model
        super().set_model(model)

    def on_train_begin(self, logs=None):
        if not self._is_prepared:
            raise ValueError(
                "Backup works in `fit` and `pretrain` of the models of keras_sda. Received a "
                f"{type(self._trained).__name__}: use keras.callbacks.BackupAndRestore there."
            )
        self._last_step = 0
        self._within = None
        state = self._state
        if state is None:
            return
        self.resumed = state["position"]
        self.earlier_seconds = state["seconds"]
        if state["step"] and not self._trained.can_resume_mid_epoch:
            raise ValueError(
                f"The state after {state['position']} in {self._files.folder} can be resumed from "
                "on one device only, as it was saved: use one, or remove the folder."
            )
        if state["step"]:
            self._within = state  # once its epoch has reached this step
        else:
            self._restore(state)
        if self.verbose and not state["stopped"]:
            _say(f"Resuming after {state['position']}, from {self._files.folder}.")

    def on_epoch_begin(self, epoch, logs=None):
        self._last_step = 0
        if self._within is not None:
            # From here on Keras draws the epoch's rows once more, and leaves them aside.
            backend.set_shuffling_state(self._within["epoch_shuffling"])
            self._trained.replayed_logs = self._within["logs"]
        self._epoch = epoch
        self._epoch_shuffling = backend.shuffling_state()

    def on_train_batch_end(self, batch, logs=None):
        done = batch + 1
        if self._within is not None:
            if done >= self._within["step"]:
                state, self._within = self._within, None
                self._last_step = done
                self._trained.replayed_logs = None
                self._restore(state)
            return
        is_asked = self.every is not None and done - self._last_step >= self.every
        interrupted = self._signals.received is not None
        if not is_asked and not interrupted:
            return
        is_over = done >= (self.params.get("steps") or math.inf)
        if self._trained.can_resume_mid_epoch and not is_over:
            self._last_step = done
            self._save(self._epoch, done, logs)
        if interrupted and not is_over:
            self._interrupt()

    def on_epoch_end(self, epoch, logs=None):
        self._save(epoch + 1, 0)
        if self._signals.received is not None:
            self._interrupt()

    def _save(self, epoch, step, logs=None):
        """Writes a state, or says why it could not be."""
        model = self.model
        position = f"{self._place}epoch {epoch + (step > 0)}" + (f", step {step}" if step else "")
        state = {
            "fingerprint": self._fingerprint,
            "position": position,
            "epoch": epoch,
            "step": step,
            "steps_per_call": model.steps_per_call,
            "stopped": bool(step == 0 and (model.stop_training or epoch >= self._epochs)),
            "seconds": self.earlier_seconds + time.perf_counter() - self._start,
            "variables": _values(model.variables),
            "optimizer": _values(model.optimizer.variables),
            "shuffling": backend.shuffling_state(),
            "callbacks": [state_of(callback) for callback in self._others],
        }
        if step:
            state |= {
                "metrics": _values(model.metrics_variables),
                "logs": {name: float(value) for name, value in (logs or {}).items()},
                "epoch_shuffling": self._epoch_shuffling,
                "remaining_rows": model.remaining_rows(),
            }
        try:
            if backend.is_chief():
                self._files.write(state)
        except OSError as error:
            if not self._is_full:
                reason = "the disk is full" if lacks_room(error) else error.strerror or str(error)
                kept = f"that of {self._saved} stays" if self._saved else "there is none so far"
                _say(
                    f"The state after {position} could not be written to {self._files.folder} "
                    f"({reason}); {kept}, training continues, and the next epoch tries again."
                )
            self._is_full = True
        else:
            self._is_full, self._saved = False, position

    def _restore(self, state):
        """Puts everything back to where it was when the state was saved."""
        model = self.model
        optimizer = model.optimizer
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        saved = [
            ("model", model.variables, state["variables"]),
            ("optimizer", optimizer.variables, state["optimizer"]),
        ]
        if state["step"]:
            model.build_metrics()
            saved.append(("metrics", model.metrics_variables, state["metrics"]))
            model.resume_rows(state["remaining_rows"])
        for owner, variables, values in saved:
            _check_shapes(owner, variables, values)
        for _, variables, values in saved:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        for callback, content in zip(self._others, state["callbacks"], strict=True):
            give_state(callback, content)
        backend.set_shuffling_state(state["shuffling"])
        for callback in self._all:
            if hasattr(callback, "on_resume"):
                callback.on_resume()

    def _interrupt(self):
        """Ends training after the signal that came."""
        hint = self.resume_hint
        if self._saved:
            message = f"saved after {self._saved} in {self._files.folder}"
        else:
            message = (
                f"before the first state of {self._place.rstrip(', ') or 'training'} was saved"
            )
            # Earlier levels may have left theirs.
            if not any(path.is_file() for path in self.folder.rglob("*")):
                hint = "start it again"
        _say(f"Interrupted, {message}; {hint}.")
        raise interruption(self._signals.received or signal.SIGINT, message)


def _say(text: str) -> None:
    if backend.is_chief():
        print(text, file=sys.stderr, flush=True)


def _values(variables):
    return [keras.ops.convert_to_numpy(backend.read(variable)) for variable in variables]


def _check_shapes(owner, variables, values):
    shapes = [[tuple(value.shape) for value in group] for group in (variables, values)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"The state holds {len(values)} arrays for the {owner}, which has {len(variables)}, or "
            "others in shape: it was saved by another version of the model; remove its folder."
        )
