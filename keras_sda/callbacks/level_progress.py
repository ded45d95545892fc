"""Shows training as it goes: one line drawn again in a terminal or a notebook, else lines."""

import math
import shutil
import sys
import time
from typing import Any

import keras
import numpy as np

_FRAMES_A_SECOND = 8
_BAR_WIDTH = 10


class LevelProgress(keras.callbacks.Callback):
    """Shows level, epoch, loss, rows a second and the time that is left.

    In a terminal and in a notebook one line is drawn again and again; anywhere else, such as a
    file, a line is printed per epoch. A line as each level begins and one as it ends stay.
    `pretrain` adds it unless `verbose=0`; for `fit`, give it yourself together with `verbose=0`.

    The time left is that of all levels: that of an epoch so far, times the epochs to come, those of
    later levels weighted by their matrix products. What the first step needs to compile is in
    neither figure.

    Args:
        details: Whether to tell how the level is differentiated and how many steps a call of the
            backend takes, and to print a line per epoch in any case.
        title: What `fit` is called in the line; `pretrain` puts the level there.

    Example:

    ```python
    stack.fit(x, y, epochs=20, verbose=0, callbacks=[LevelProgress()])
    ```
    """

    # Hears of several batches at once: it draws a few times a second at most.
    accepts_step_groups = True
    # Remembers nothing that `Backup` would have to save.
    is_stateless = True

    def __init__(self, details=False, title="fit"):
        super().__init__()
        self.details = details
        self._title = title
        self._later_work = 0.0
        self._display: Any = None

    def on_level_begin(self, level, logs=None):
        noise = logs["noise"]
        if noise is None:
            corrupted = "no noise"
        else:
            corrupted = noise.__class__.__name__
            if hasattr(noise, "level"):
                corrupted += f"({float(np.asarray(noise.level)):.3g})"
        self._title = f"Level {level + 1} of {logs['num_levels']}"
        self._later_work = logs.get("later_work", 0.0)
        print(
            f"{self._title}: {logs['inputs']} -> {logs['units']} units, {corrupted}, "
            f"{logs['reconstruction_loss']}{self._kept(logs)}",
            flush=True,
        )

    def on_level_end(self, level, logs=None):
        print(
            f"{self._title}: loss {logs['loss']:.4f} after {logs['epochs']} epochs, "
            f"{logs['seconds']:.1f} s{self._way(logs)}",
            flush=True,
        )

    def on_train_begin(self, logs=None):
        self._display = _Lines() if self.details else display()
        self._epoch, self._step, self._drawn = 0, 0, 0.0
        # Where and when the clocks start: after the first step, which compiles.
        self._start = self._epoch_start = None
        self._step_time = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._step = epoch, 0
        self._epoch_start = None if self._start is None else (0, time.perf_counter())

    def on_train_batch_end(self, batch, logs=None):
        self._step, now = batch + 1, time.perf_counter()
        self._step_time = now
        if self._start is None:
            self._start, self._epoch_start = (self._done(), now), (self._step, now)
        if self._display.is_live and now - self._drawn > 1 / _FRAMES_A_SECOND:
            self._drawn = now
            self._display.draw(self._line(logs or {}))

    def on_resume(self):
        """Starts the clocks anew, once the steps of an earlier run have been gone through."""
        self._start = self._epoch_start = None

    def on_epoch_end(self, epoch, logs=None):
        self._step = self.params.get("steps") or self._step
        self._display.draw(self._line(logs or {}))

    def on_train_end(self, logs=None):
        self._display.end()

    def _done(self):
        """Returns how many epochs are done, parts of one included."""
        steps = self.params.get("steps")
        return self._epoch + (self._step / steps if steps else 0)

    def _line(self, logs):
        epochs, done = self.params["epochs"], self._done()
        parts = [self._title]
        if self._display.is_live:
            parts.append(_bar(done / epochs))
        parts.append(f"epoch {self._epoch + 1}/{epochs}")
        parts += [f"{name} {float(logs[name]):.4g}" for name in _figures(logs)]
        speed = self._speed()
        if speed:
            parts.append(speed)
        if self._start is not None and done > self._start[0]:
            an_epoch = (time.perf_counter() - self._start[1]) / (done - self._start[0])
            left = an_epoch * (epochs - done + epochs * self._later_work)
            parts.append(f"{duration(left)} left")
        return "  ".join(parts)

    def _speed(self):
        """Returns rows a second in this epoch, or steps where rows are not counted."""
        if self._epoch_start is None or self._step <= self._epoch_start[0]:
            return ""
        step, begun = self._epoch_start
        speed = (self._step - step) / max(self._step_time - begun, 1e-9)
        steps, rows = self.params.get("steps"), getattr(self.model, "rows_an_epoch", None)
        if steps and rows:
            return f"{speed * rows / steps:,.0f} rows/s"
        return f"{speed:,.1f} steps/s"

    @staticmethod
    def _kept(logs):
        ways = {
            "memory": ", codes in memory",
            "disk": ", codes on disk",
            "recompute": ", codes recomputed",
        }
        return ways.get(logs.get("cache"), "")

    def _way(self, logs):
        if not self.details:
            return ""
        calls = logs["steps_per_call"]
        steps = "Keras' own training function" if calls is None else f"{calls} steps per call"
        compiled = ", compiled by XLA" if logs["compiled_by_xla"] else ""
        return f"; gradient {logs['gradient']}, {steps}{compiled}"


def _figures(logs):
    """Returns the names of the figures that have room in a line: loss, and how well it does."""
    accuracies = [name for name in logs if "acc" in name]
    held_out = [name for name in accuracies or logs if name.startswith("val_")]
    names = ["loss", *(held_out or accuracies)[:1]]
    return [name for name in names if isinstance(logs.get(name), (int, float, np.number))]


def _bar(share):
    full = round(share * _BAR_WIDTH)
    return "━" * full + "╌" * (_BAR_WIDTH - full)


def duration(seconds: float) -> str:
    """Returns seconds as `9 s`, `4:07 min` or `2:05 h`.

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
    """Returns where to show progress: a notebook's output, a terminal, or else lines."""
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
        # The cursor waits at the line's beginning, where whatever is printed next belongs; nothing
        # is hidden that an interruption would have to bring back.
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
