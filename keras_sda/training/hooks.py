"""What the callbacks of a `fit` want to hear of, which decides how many steps a call may take."""

from typing import Any

import keras

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


def listed(callbacks: Any) -> list[Any]:
    """Returns callbacks as a list, however `fit` was given them."""
    if callbacks is None:
        return []
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def wants_every_batch(callback: Any) -> bool:
    """Whether a callback has hooks for batches, to be called for each single one.

    Those of `ModelCheckpoint` and its like do nothing when they save by the epoch; a callback says
    by an attribute `accepts_step_groups` that it does not mind hearing of several batches at once.
    """
    if getattr(callback, "accepts_step_groups", False):
        return False
    if getattr(callback, "save_freq", None) == "epoch":
        return False
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        return False
    return any(_has_hook(callback, hook) for hook in _BATCH_HOOKS)


def _has_hook(callback, hook):
    """Whether a callback does anything at a hook."""
    own = getattr(getattr(callback, hook), "__func__", None)
    return own is not getattr(keras.callbacks.Callback, hook)


def accepts_epoch_groups(callback: Any) -> bool:
    """Whether a callback does not mind hearing of several epochs when they are all trained.

    It says so by an attribute of this name, and looks at nothing but the logs.
    """
    return getattr(callback, "accepts_epoch_groups", False) or type(callback) is (
        keras.callbacks.History
    )


def may_test_at_once(arguments: dict[str, Any]) -> bool:
    """Whether `evaluate` with these arguments shows no batches to anyone, inside `fit` or alone."""
    callbacks = arguments.get("callbacks")
    if callbacks is None:
        return arguments.get("verbose", "auto") == 0
    return isinstance(callbacks, keras.callbacks.CallbackList) and not any(
        _has_hook(callback, hook)
        for callback in callbacks.callbacks
        for hook in ("on_test_batch_begin", "on_test_batch_end")
        if not isinstance(callback, keras.callbacks.ProgbarLogger)
    )


def backup_among(callbacks: list[Any]) -> Any:
    """Returns the `callbacks.Backup` in a list of callbacks, or `None`."""
    backups = [callback for callback in callbacks if hasattr(callback, "around_fit")]
    if len(backups) > 1:
        raise ValueError(f"fit() takes one Backup. Received {len(backups)} among the callbacks.")
    return backups[0] if backups else None
