"""Progress: its figures are right; lines in a file, one live line in a terminal."""

import io
import re
import sys

import keras
import pytest

import keras_sda as ks
from keras_sda.callbacks import level_progress as progress

ROWS = 400


@pytest.fixture
def x(digits):
    return digits[0][:ROWS]


def stack(**options):
    return ks.StackedDenoisingAutoencoder(64, [16, 8], num_classes=10, seed=0, **options)


def test_lines_in_a_file_tell_level_epoch_and_loss(x, capsys):
    histories = stack().pretrain(x, epochs=3, batch_size=50, optimizer="sgd")
    printed = capsys.readouterr().out
    for level, history in enumerate(histories):
        lines = re.findall(rf"^Level {level + 1} of 2  epoch (\d)/3  loss (\S+)", printed, re.M)
        expected = [(str(k + 1), f"{loss:.4g}") for k, loss in enumerate(history.history["loss"])]
        assert lines == expected
    assert "\x1b" not in printed
    assert "\r" not in printed


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_one_line_redrawn(x, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    stack().pretrain(x, epochs=5, batch_size=50, optimizer="sgd")
    text = terminal.getvalue()
    stays = [line.split("\r")[-1] for line in text.split("\n")]
    assert [line.split(":")[0] for line in stays if line] == ["Level 1 of 2"] * 2 + [
        "Level 2 of 2"
    ] * 2
    frames = [frame for frame in re.split("[\r\n]", text) if "epoch" in frame and "━" in frame]
    assert all(len(frame.removesuffix("\x1b[K")) < 80 for frame in frames)
    assert "━━━━━━━━━━  epoch 5/5" in frames[-1]
    assert "epoch 1/5" in frames[0]


def test_rows_per_second_and_time_left_are_right(x, monkeypatch):
    """With a clock that advances by one second per step, in `fit` with 8 steps per epoch."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    printed = Terminal()
    monkeypatch.setattr(progress.sys, "stdout", printed)

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            now[0] += 1.0

    model = ks.DenoisingAutoencoder(64, 4, seed=0)
    model.compile("sgd")
    shown = [Clock(), ks.callbacks.LevelProgress(title="fit")]
    model.fit(x, batch_size=50, epochs=3, verbose=0, callbacks=shown)
    frames = [frame for frame in printed.getvalue().split("\r") if "epoch" in frame]
    # Each step takes a second: 50 rows per second; after k of 24 steps 24 - k seconds are left.
    assert all("50 rows/s" in frame for frame in frames[1:])
    for step in (2, 5, 8):
        assert f"  {progress.duration(24 - step)} left" in frames[step - 1]
    assert "  0 s left" in frames[-1]


def test_time_left_counts_the_levels_to_come(x, monkeypatch):
    """Level 1 is 64 x 16, level 2 16 x 8: one eighth of the work."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    printed = Terminal()
    monkeypatch.setattr(sys, "stdout", printed)

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            now[0] += 8.0

    stack().pretrain(x, epochs=2, batch_size=50, optimizer="sgd", callbacks=lambda level: [Clock()])
    frames = [frame for frame in printed.getvalue().split("\r") if "Level 1 of 2  " in frame]
    # 16 steps of 8 s and, to come, 16 of 1 s: after two of them 112 + 16 s are left.
    two_steps = [frame for frame in frames if "2:08 min left" in frame]
    assert two_steps, frames
    assert "16 s left" in frames[-1]


def test_steps_stay_grouped_and_weights_the_same(x):
    silent, shown = stack(), stack()
    silent.pretrain(x, epochs=2, batch_size=10, verbose=0)
    shown.pretrain(x, epochs=2, batch_size=10, verbose=1)
    for a, b in zip(silent.get_weights(), shown.get_weights(), strict=True):
        assert (a == b).all()
    shown.compile("sgd", "sparse_categorical_crossentropy")
    callbacks = [ks.callbacks.LevelProgress()]
    shown.fit(x, (x[:, 0] > 0).astype("int64"), batch_size=10, verbose=0, callbacks=callbacks)
    if keras.backend.backend() != "torch":
        assert shown.steps_per_call == 40


def test_a_notebook_shows_one_output_and_updates_it(x, monkeypatch):
    shown = []

    class Handle:
        def update(self, content, raw):
            shown.append(content["text/plain"])

    def show(content, raw, display_id):
        shown.append(content["text/plain"])
        return Handle()

    display = pytest.importorskip("IPython.display")
    monkeypatch.setattr(display, "display", show)
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    stack().pretrain(x, epochs=2, batch_size=50, optimizer="sgd", callbacks=None)
    assert any("Level 2 of 2  ━━━━━━━━━━  epoch 2/2" in text for text in shown)
    assert shown[-1] == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (59.4, "59 s"),
        (61, "1:01 min"),
        (3600, "1:00 h"),
        (9000, "2:30 h"),
    ],
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text


def test_a_dataset_shows_steps_per_second(x, capsys):
    tf = pytest.importorskip("tensorflow")
    rows = tf.data.Dataset.from_tensor_slices(x).batch(40)
    model = ks.DenoisingAutoencoder(64, 4, seed=0)
    model.compile("sgd")
    shown = [ks.callbacks.LevelProgress(title="rows")]
    model.fit(rows, epochs=3, verbose=0, callbacks=shown)
    assert re.search(r"rows  epoch 2/3  loss \S+  [\d,.]+ steps/s", capsys.readouterr().out)
