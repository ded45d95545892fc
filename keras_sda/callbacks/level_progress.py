"""Progress of training: a line redrawn in a terminal or a notebook, lines elsewhere."""

import math
import shutil
import sys
import time
from typing import Any

import keras
import numpy as np

from keras_sda._validation import check_bool, check_text

_FRAMES_PER_SECOND = 8
_BAR_WIDTH = 10


class LevelProgress(keras.callbacks.Callback):
    """Shows level, epoch, loss, rows per second and the time left.

    In a terminal and in a notebook a single line is redrawn; anywhere else, such as in a file, one
    line is printed per epoch. The lines printed as a level begins and as it ends stay. `pretrain`
    adds this callback unless `verbose=0`; for `fit`, pass it yourself together with `verbose=0`.

    The time left covers all levels: the time per epoch so far, times the epochs to come, those of
    later levels weighted by the size of their matrix products. Neither figure includes the first
    step, which compiles.

    Args:
        details: Whether to say how the gradient of the level is computed and how many steps a call
            of the backend takes, and to print one line per epoch even in a terminal.
        title: Title of the line in `fit`; `pretrain` shows the level instead.

    Example:

    ```python
    stack.fit(x, y, epochs=20, verbose=0, callbacks=[LevelProgress()])
    ```
    """

    # It may be called once for several batches: it draws a few times per second at most.
    accepts_step_groups = True
    # It has no state that `Backup` would have to save.
    is_stateless = True

    def __init__(self, details=False, title="fit"):
        super().__init__()
        self.details = check_bool("details", details, "LevelProgress")
        self._title = check_text("title", title, "LevelProgress")
        self._later_work = 0.0
        self._display: Any = None

    def on_level_begin(self, level, logs=None):
        noise = logs["noise"]
        if noise is None:
            noise_text = "no noise"
        else:
            noise_text = noise.__class__.__name__
            if hasattr(noise, "level"):
                noise_text += f"({float(np.asarray(noise.level)):.3g})"
        self._title = f"Level {level + 1} of {logs['num_levels']}"
        self._later_work = logs.get("later_work", 0.0)
        print(
            f"{self._title}: {logs['inputs']} -> {logs['units']} units, {noise_text}, "
            f"{logs['reconstruction_loss']}{self._cache_text(logs)}",
            flush=True,
        )

    def on_level_end(self, level, logs=None):
        print(
            f"{self._title}: loss {logs['loss']:.4f} after {logs['epochs']} "
            f"epoch{'' if logs['epochs'] == 1 else 's'}, "
            f"{logs['seconds']:.1f} s{self._details_text(logs)}",
            flush=True,
        )

    def on_train_begin(self, logs=None):
        self._display = _Lines() if self.details else display()
        self._epoch, self._step, self._drawn = 0, 0, 0.0
        # Step and time at which the clocks start: after the first step, which compiles.
        self._start = self._epoch_start = None
        self._step_time = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._step = epoch, 0
        self._epoch_start = None if self._start is None else (0, time.perf_counter())

    def on_train_batch_end(self, batch, logs=None):
        self._step, now = batch + 1, time.perf_counter()
        self._step_time = now
        if self._start is None:
            self._start, self._epoch_start = (self._epochs_done(), now), (self._step, now)
        if self._display.is_live and now - self._drawn > 1 / _FRAMES_PER_SECOND:
            self._drawn = now
            self._display.draw(self._line(logs or {}))

    def on_resume(self):
        """Restarts the clocks, once the steps of the earlier run have been replayed."""
        self._start = self._epoch_start = None

    def on_epoch_end(self, epoch, logs=None):
        self._step = self.params.get("steps") or self._step
        self._display.draw(self._line(logs or {}))

    def on_train_end(self, logs=None):
        self._display.end()

    def _epochs_done(self):
        """Returns the number of epochs done, including the part done of the current one."""
        steps = self.params.get("steps")
        return self._epoch + (self._step / steps if steps else 0)

    def _line(self, logs):
        epochs, done = self.params["epochs"], self._epochs_done()
        parts = [self._title]
        if self._display.is_live:
            parts.append(_bar(done / epochs))
        parts.append(f"epoch {self._epoch + 1}/{epochs}")
        parts += [f"{name} {float(logs[name]):.4g}" for name in _shown_metrics(logs)]
        speed = self._speed()
        if speed:
            parts.append(speed)
        if self._start is not None and done > self._start[0]:
            seconds_per_epoch = (time.perf_counter() - self._start[1]) / (done - self._start[0])
            left = seconds_per_epoch * (epochs - done + epochs * self._later_work)
            parts.append(f"{duration(left)} left")
        return "  ".join(parts)

    def _speed(self):
        """Returns the rows per second in this epoch, or the steps if rows are not counted."""
        if self._epoch_start is None or self._step <= self._epoch_start[0]:
            return ""
        first_step, start_time = self._epoch_start
        speed = (self._step - first_step) / max(self._step_time - start_time, 1e-9)
        steps, rows = self.params.get("steps"), getattr(self.model, "rows_an_epoch", None)
        if steps and rows:
            return f"{speed * rows / steps:,.0f} rows/s"
        return f"{speed:,.1f} steps/s"

    @staticmethod
    def _cache_text(logs):
        texts = {
            "memory": ", codes in memory",
            "disk": ", codes on disk",
            "recompute": ", codes recomputed",
        }
        return texts.get(logs.get("cache"), "")

    def _details_text(self, logs):
        if not self.details:
            return ""
        calls = logs["steps_per_call"]
        steps = "Keras' own training function" if calls is None else f"{calls} steps per call"
        compiled = ", compiled by XLA" if logs["compiled_by_xla"] else ""
        return f"; gradient {logs['gradient']}, {steps}{compiled}"


def _shown_metrics(logs):
    """Returns the names of the metrics that fit in a line: the loss and one that judges it."""
    accuracies = [name for name in logs if "acc" in name]
    held_out = [name for name in accuracies or logs if name.startswith("val_")]
    names = ["loss", *(held_out or accuracies)[:1]]
    return [name for name in names if isinstance(logs.get(name), (int, float, np.number))]


def _bar(share):
    full = round(share * _BAR_WIDTH)
    return "━" * full + "╌" * (_BAR_WIDTH - full)


def duration(seconds: float) -> str:
    """Returns seconds as text: `9 s`, `4:07 min` or `2:05 h`.

    Example:

    >>> duration(8.7), duration(247), duration(7500)
    ('9 s', '4:07 min', '2:05 h')
    """
    whole = math.ceil(seconds) if seconds < 10 else round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


def display():
    """Returns the display to show progress on: a notebook, a terminal, or else lines."""
    if "IPython" in sys.modules and _in_notebook():
        return _Notebook()
    if sys.stdout.isatty():
        return _Terminal()
    return _Lines()


def _in_notebook():
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class _Lines:
    is_live = False

    def draw(self, text):
        print(text, flush=True)

    def end(self):
        pass


class _Terminal:
    is_live = True

    def draw(self, text):
        # The cursor stays at the start of the line, so that the next output overwrites the line; it
        # is not hidden, so that an interruption need not restore it.
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write(f"{text[:width]}\x1b[K\r")
        sys.stdout.flush()

    def end(self):
        self.draw("")


class _Notebook:
    is_live = True

    def __init__(self):
        self._handle = None

    def draw(self, text):
        from IPython.display import display as show

        content = {"text/plain": text}
        if self._handle is None:
            self._handle = show(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def end(self):
        if self._handle is not None:
            self.draw("")
