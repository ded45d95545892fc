"""What `kill_test.py` trains and kills: ways of the command line, and others in Python.

python benchmarks/_killed_ways.py WAY FOLDER    # trains by one of IN_PYTHON, or resumes
"""

import json
import sys
from pathlib import Path

import numpy as np

# Options of `keras-sda train`.
_LEVELS = ("--units", "64,32", "--batch-size", "10", "--pretrain-epochs", "10")
_PRETRAINING = ("--pretrain-optimizer", "adam", "--pretrain-learning-rate", "0.001")
_TRAINING = ("--epochs", "20", "--optimizer", "adam", "--learning-rate", "0.003")
_SCHEDULE = ("--schedule", "constant", "--patience", "5")
_MASKING = ("--noise", "masking", "--noise-level", "0.3")
_STACK = (*_LEVELS, *_PRETRAINING, *_TRAINING, *_SCHEDULE)
COMMANDS = {
    "usual": (*_STACK, *_MASKING),
    "swap noise": (*_STACK, "--noise", "swap", "--noise-level", "0.15"),
    "bfloat16": (*_STACK, *_MASKING, "--dtype", "mixed_bfloat16"),
    "steps": (*_STACK, *_MASKING, "--backup-steps", "3"),
    "ladder": ("--model", "ladder", "--units", "64,32", "--labels", "100", *_TRAINING[:2]),
    # Written by `write_table`.
    "table": (*_STACK, "--data", "people.csv", "--target", "income", "--no-cross-validate"),
}
IN_PYTHON = ("memmap", "disk", "dataset")
WAYS = (*COMMANDS, *IN_PYTHON)
QUICK = ("--pretrain-epochs", "3", "--epochs", "4")


def write_table(path: Path) -> None:
    """Writes a table with numbers, text and gaps, whose last column the others tell."""
    rng = np.random.default_rng(0)
    ages, jobs = rng.integers(18, 80, 1500), rng.choice(["clerk", "cook", "pilot"], 1500)
    hours = np.where(rng.random(1500) < 0.1, np.nan, rng.normal(38, 9, 1500).round(1))
    odds = (ages - 45) / 10 + 2 * (jobs == "pilot") - (jobs == "cook")
    income = np.where(rng.random(1500) < 1 / (1 + np.exp(-odds)), "high", "low")
    lines = ["age,job,hours,income"]
    for age, job, hour, label in zip(ages, jobs, hours, income, strict=True):
        lines.append(f"{age},{job},{'' if np.isnan(hour) else hour},{label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def options(way: str, folder: Path, quick: bool) -> list[str]:
    """Returns the options of `keras-sda train` of a way, whose table lies in a folder."""
    chosen = [*COMMANDS[way]]
    if "people.csv" in chosen:
        path = folder / "people.csv"
        if not path.exists():
            write_table(path)
        chosen[chosen.index("people.csv")] = str(path)
    short = QUICK[2:] if way == "ladder" else QUICK
    return [*chosen, *(short if quick else ())]


def train(way: str, folder: Path, quick: bool) -> None:
    """Trains a stack, its states in the folder `backup`, and writes model and history."""
    if (folder / "metrics.json").exists():  # killed after all was written
        _remove(folder / "backup")
        return
    import keras

    import keras_sda as ks

    class Batches(keras.utils.PyDataset):
        """Batches of rows, and of labels if there are any."""

        def __init__(self, *tables):
            super().__init__()
            self.tables = tables

        def __len__(self):
            return -(-len(self.tables[0]) // 10)

        def __getitem__(self, index):
            parts = tuple(table[10 * index : 10 * index + 10] for table in self.tables)
            return parts if len(parts) > 1 else parts[0]

    data = ks.datasets.load("digits")
    x, y = data.train.x, data.train.y
    folder.mkdir(exist_ok=True)
    rows, labelled = x, (x, y)
    if way == "memmap":
        path = folder / "rows.npy"
        if not path.exists():
            np.save(folder / "partial.npy", x)
            (folder / "partial.npy").rename(path)
        rows = np.load(path, mmap_mode="r")
        labelled = (rows, y)
    elif way == "dataset":
        rows, labelled = Batches(x), (Batches(x, y),)
    stack = ks.StackedDenoisingAutoencoder(64, [64, 32], num_classes=10, dropout=0.1, seed=0)
    states = folder / "backup"
    batch = {} if way == "dataset" else {"batch_size": 10}
    epochs = (3, 4) if quick else (10, 20)
    cache = {"cache": "disk", "cache_dir": folder} if way == "disk" else {}
    levels = stack.pretrain(rows, epochs=epochs[0], backup_dir=states, **batch, **cache, verbose=2)
    stack.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    saving = ks.callbacks.Backup(states, keep=True)
    history = stack.fit(*labelled, epochs=epochs[1], callbacks=[saving], **batch, verbose=2)
    stack.save(folder / "partial.keras")
    (folder / "partial.keras").rename(folder / "model.keras")
    figures = {
        "minutes": 0,
        "pretraining": [level.history for level in levels],
        "training": history.history,
    }
    (folder / "partial.json").write_text(json.dumps(figures))
    (folder / "partial.json").rename(folder / "metrics.json")
    _remove(states)


def _remove(folder: Path) -> None:
    """Removes the states, the folder itself last, if it is still there."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if folder.exists():
        folder.rmdir()


if __name__ == "__main__":
    train(sys.argv[1], Path(sys.argv[2]), "--quick" in sys.argv)
