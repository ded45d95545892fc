"""What reads each kind of file, and what it may answer."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import corpus


def _rows(ending: str, whole: Callable[[], list[bytes]]) -> Any:
    def prepared(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
        from keras_sda.datasets import read_rows

        path = folder / f"input.{ending}"

        def read(content: bytes) -> None:
            path.write_bytes(content)
            read_rows(path)

        return whole(), read

    return prepared


def _idx(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    from keras_sda.datasets.idx import read_idx

    def read(content: bytes) -> None:
        (folder / "input").write_bytes(content)
        read_idx(folder / "input")

    return corpus.idx(), read


def _configuration(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    from keras_sda.experiments import zoo
    from keras_sda.experiments.loading import read_settings
    from keras_sda.experiments.run_folder import read_experiment

    def read(content: bytes) -> None:
        (folder / "config.json").write_bytes(content)
        read_settings(folder)
        zoo.check(read_experiment(folder))

    return corpus.configuration(), read


def _state(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """Whatever a state holds, it is taken, or the one before it is: nothing is raised."""
    import keras

    from keras_sda.resuming.callback_state import give_state
    from keras_sda.resuming.checks import check_state
    from keras_sda.resuming.states import StateFiles

    whole = corpus.state(folder / "made")
    files = StateFiles(folder / "fit")
    files.folder.mkdir()
    (files.folder / "state-000001.npz").write_bytes(whole[0])
    _, difference, _ = files.latest({})
    assert difference is not None  # noqa: S101  (the fingerprint of another training)

    model = keras.Sequential()

    def read(content: bytes) -> None:
        (files.folder / "state-000002.npz").write_bytes(content)
        callbacks = [keras.callbacks.EarlyStopping("loss"), keras.callbacks.History()]
        for callback in callbacks:
            callback.set_model(model)
            callback.on_train_begin()
        fingerprint = _Anything()
        state, _, damaged = files.latest(
            fingerprint, lambda state: check_state(state, callbacks, len(corpus.ROWS))
        )
        if damaged and state is None:
            raise AssertionError("the state before it was not used")
        for callback, kept in zip(callbacks, state["callbacks"], strict=True):
            give_state(callback, kept)
        for callback in callbacks:
            callback.on_epoch_end(1, {"loss": 0.5})

    return whole, read


class _Anything:
    """Equal to every fingerprint."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def _keras(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    from keras_sda.presets.model_file import read_model

    path = folder / "input.keras"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        read_model(path, "get it again")

    return corpus.keras_file(), read


READERS: dict[str, Any] = {
    "idx": _idx,
    "npy": _rows("npy", corpus.npy),
    "npz": _rows("npz", corpus.npz),
    "pkl": _rows("pkl", corpus.pkl),
    "csv": _rows("csv", corpus.csv),
    "parquet": _rows("parquet", corpus.parquet),
    "configuration": _configuration,
    "state": _state,
    "keras": _keras,
}

# What a reader may raise: sentences.
ANSWERS = (ValueError, FileNotFoundError)
LONGEST = 500


def problem(error: BaseException | None, folder: Path) -> str | None:
    """Returns what is wrong about the answer to an input, or `None`."""
    if error is None:
        return None
    text = str(error).replace(str(folder), "")
    if not isinstance(error, ANSWERS):
        return f"{type(error).__name__}: {text[:200]}"
    return f"a message of {len(text)} characters" if len(text) > LONGEST else None


def inputs(whole: list[bytes], seed: int) -> Iterator[bytes]:
    """Yields every whole file, and then damaged ones without end."""
    from mutations import mutate

    yield from whole
    draw = random.Random(seed)  # noqa: S311  (not for cryptography)
    while True:
        yield mutate(draw, whole)
