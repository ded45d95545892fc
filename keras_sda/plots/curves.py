"""Learning curves."""

import numbers
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from keras_sda._validation import wrong_argument


def plot_learning_curves(pretraining, finetuning=None):
    """Draws the loss of each level by epoch and, beside it, the error of fine-tuning.

    Args:
        pretraining: The result of `pretrain`, a Keras `History` for each level, or their
            dictionaries; may be empty.
        finetuning: The result of `fit`, or its dictionary, with `accuracy` and `val_accuracy` if
            there were any; `None` or empty after pretraining alone.

    Returns:
        The figure.
    """
    owner = "plot_learning_curves()"
    if not isinstance(pretraining, (list, tuple)):
        raise wrong_argument("pretraining", owner, "list a history for each level", pretraining)
    pretraining = [_history_of(each, "pretraining", owner) for each in pretraining]
    finetuning = {} if finetuning is None else _history_of(finetuning, "finetuning", owner)
    has_fit = bool(finetuning) or not pretraining
    panels = len(pretraining) + has_fit
    figure = Figure(figsize=(3.6 * max(1.2, panels), 3.4), layout="constrained")
    all_axes = figure.subplots(1, panels, squeeze=False)[0]
    for level, (axes, history) in enumerate(zip(all_axes, pretraining, strict=False)):
        _draw_curves(axes, history, ("loss", "val_loss"))
        axes.set(title=f"level {level + 1}", ylabel="reconstruction loss")
    if not has_fit:
        return figure
    axes = all_axes[-1]
    axes.set_title("fine-tuning" if pretraining else "training")
    if "accuracy" in finetuning:
        errors = {
            name: 100 * (1 - np.asarray(finetuning[name]))
            for name in ("accuracy", "val_accuracy")
            if name in finetuning
        }
        _draw_curves(axes, errors, ("accuracy", "val_accuracy"))
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("error in %")
    else:
        _draw_curves(axes, finetuning, ("loss", "val_loss"))
        axes.set_ylabel("loss")
    return figure


def _history_of(given, name, owner):
    """Returns the numbers of each epoch by name, of a Keras `History` or as they are."""
    history = getattr(given, "history", given)
    if not isinstance(history, Mapping):
        raise wrong_argument(name, owner, "be what `fit` returns, or its dictionary", given)
    for key in ("loss", "val_loss", "accuracy", "val_accuracy"):
        values = history.get(key, [0.0])
        if not isinstance(values, (list, tuple, np.ndarray)) or np.ndim(values) != 1:
            raise wrong_argument(name, owner, "hold a list of numbers for each figure", history)
        if not all(isinstance(value, numbers.Real) for value in values):
            raise wrong_argument(name, owner, "hold a list of numbers for each figure", history)
    return history


def _draw_curves(axes, history, names):
    for name, label in zip(names, ("training", "validation"), strict=True):
        if name in history:
            epochs = np.arange(1, len(history[name]) + 1)
            marker = "o" if len(epochs) == 1 else None
            axes.plot(epochs, history[name], label=label, marker=marker)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
