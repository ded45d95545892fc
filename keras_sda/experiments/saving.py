"""What a run saves while it trains: states to resume from, and the model after each level."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from keras_sda.callbacks import Backup
from keras_sda.experiments import run_folder


@dataclass
class Saver:
    """Saves what training makes, and knows how long it took before an interruption.

    Attributes:
        folder: Folder of the run, or `None`.
        states: Folder of the states of training, or `None` for none.
        every: Steps from one state to the next, besides those after each epoch.
        verbose: As for `run`.
        shows_rows: Whether pictures may show rows of the data.
        fold: Number of the fold whose model is trained, from 1, or `None` for the run's own model.
        backups: The callbacks of the phase under way.
    """

    folder: Path | None
    states: Path | None
    every: int | None
    verbose: Any
    shows_rows: bool = True
    fold: int | None = None
    backups: list[Backup] = field(default_factory=list)

    @property
    def model_folder(self) -> Path | None:
        """Where the model under way is kept: that of a fold is not."""
        return self.folder if self.fold is None else None

    def callbacks_of_level(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        """Returns the callbacks that save while a level is pretrained.

        Pretraining sees no labels: the models of all folds take the states of the run's own.
        """
        saving = [] if self.folder is None else [_SaveAfterLevel(model, self.model_folder)]
        return [*saving, *self._backups(self.states)]

    def callbacks_of_training(self) -> list[keras.callbacks.Callback]:
        """Returns the callbacks that save while the whole model is trained."""
        if self.states is None or self.fold is None:
            return self._backups(self.states)
        return self._backups(self.states / f"fold_{self.fold}")

    def _backups(self, states: Path | None) -> list[keras.callbacks.Callback]:
        if states is None:
            return []
        backup = Backup(states, self.every, keep=True, verbose=int(self.verbose != 0))
        if self.folder is not None:
            backup.resume_hint = f"to resume: {run_folder.resume_command(self.folder)}"
        self.backups.append(backup)
        return [backup]

    def minutes_since(self, start: float) -> float:
        """Returns the minutes a phase took, those before an interruption included."""
        earlier = sum(backup.earlier_seconds for backup in self.backups)
        self.backups.clear()
        return (time.perf_counter() - start + earlier) / 60


class _SaveAfterLevel(keras.callbacks.Callback):
    """Saves the model after each level, so that a later level's failure costs that level only.

    For the model of a fold, it saves nothing, but states remember which callbacks there were.
    """

    def __init__(self, model: keras.Model, folder: Path | None) -> None:
        super().__init__()
        self.whole = model
        self.folder = folder

    def on_level_end(self, level: int, logs: Any = None) -> None:
        if self.folder is not None:
            run_folder.save_model(self.whole, self.folder)
