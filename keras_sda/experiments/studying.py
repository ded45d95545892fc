"""Studies: how many labels a task needs, and what the rows without one are worth."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_sda import datasets
from keras_sda._validation import check_positive_int, check_verbose, did_you_mean
from keras_sda.callbacks.level_progress import display, duration
from keras_sda.datasets import Data, Split
from keras_sda.experiments import run_folder, study_report
from keras_sda.experiments.comparison import balance
from keras_sda.experiments.contestants import Contestant, code_network, contestants
from keras_sda.experiments.parts import Data as DataSettings
from keras_sda.experiments.run_folder import name_of_data
from keras_sda.experiments.study_figures import summarise
from keras_sda.experiments.study_file import KINDS, TABLE_OPTIONS, StudyFile, settings_of
from keras_sda.experiments.study_fits import error_of, figures_of, fit, hold_out
from keras_sda.resuming import fingerprint

_OWNER = "study"
_SEEDS, _QUICK_SEEDS = 5, 2
_STEPS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_MOST_COUNTS = 7


@dataclass(frozen=True)
class Study:
    """A finished study, as `keras_sda.experiments.study` returns it.

    Attributes:
        folder: Its folder, with `study.json`, `errors.png`, `table.md` and `report.html`.
        content: What `study.json` holds: `settings`, `versions`, `data`, every error in `results`,
            and in `summary` what they say.
    """

    folder: Path
    content: dict[str, Any]

    def __str__(self) -> str:
        return study_report.describe(self.content)


def study(
    data: str | Path = "digits",
    *,
    target: str | None = None,
    unlabelled: Any = "auto",
    labels: int | Sequence[int] | None = None,
    seeds: int | None = None,
    output: str | Path | None = None,
    quick: bool = False,
    data_dir: str | Path | None = None,
    verbose: Any = "auto",
    **table: Any,
) -> Study:
    """Measures which method does best with how many labels, and what unlabelled rows are worth.

    For several numbers of labels and several seeds, all but some labels of the training rows are
    hidden, evenly over the classes. From all rows learn a ladder network, a pretrained network,
    classifiers on the codes of one, and label spreading; from the labelled ones alone, logistic
    regression, nearest neighbours, a support vector machine, a random forest, and the same network
    without pretraining. Where labels are numbers with fractions, networks, ridge regression,
    nearest neighbours and a forest predict them, and the error is the root of the mean squared
    error.

    Every method has at most three settings, of which a quarter of the labelled rows chooses one;
    then it is fitted on all of them. A class with a single label is not held out, and where that
    is so for most classes the first setting is taken. The test rows, those of `datasets.load`,
    are predicted once for each method, number of labels and seed. Validation rows join the training
    rows. Beside the error stand balanced accuracy and ROC-AUC, or R2.

    Every error is on the disk as soon as it is known, so that the same call again resumes an
    interrupted study.

    Args:
        data: Name or file of the data, as `datasets.load` takes it.
        target: Label column of a `.csv` or `.parquet` file.
        unlabelled: The label that marks unlabelled rows, as in `datasets.load`.
        labels: Number of labels, or several; by default up to seven, from two a class, or ten, to
            all that there are, or 10,000.
        seeds: How many seeds, from 0; each draws other labels and starts the networks anew. Five by
            default.
        output: Folder to write: a new one, or that of the same study to resume it. By default
            `studies/` and the name of the data, with `-quick` if it is quick.
        quick: Whether two numbers of labels and two seeds do, to see what comes out.
        data_dir: Folder with prepared data.
        verbose: 0 is silent; 1, or `"auto"`, shows progress.
        **table: For a table, or a file without test rows, as in `experiments.Data`: `task`, `ids`,
            `categorical`, `numeric`, `ignore`, `test`, `split_column`, `groups`. Of a table all
            methods get the same inputs, by `datasets.Columns` fitted on the rows to learn from, and
            of groups no held-out part tears one apart.

    Returns:
        The `Study`.

    Raises:
        ValueError: If the data have no labels to train and to test by, an argument is not valid,
            the folder holds something else, or another process is studying in it.

    Example:

    ```python
    result = ks.experiments.study("rows.csv", target="diagnosis")
    print(result)
    ```
    """
    check_verbose(verbose, _OWNER)
    table = _table_options(table)
    loaded = _load(data, target, unlabelled, data_dir, **table)
    counts = _counts(loaded, labels, quick)
    seeds = (_QUICK_SEEDS if quick else _SEEDS) if seeds is None else seeds
    seeds = check_positive_int("seeds", seeds, _OWNER)
    entries = contestants(_is_classification(loaded))
    settings = settings_of(
        entries,
        data=str(data),
        target=target,
        unlabelled=unlabelled,
        labels=counts,
        seeds=seeds,
        **table,
    )
    folder = Path(output) if output is not None else default_folder(data, quick)
    with run_folder.locked(folder, work="studying"):
        file = StudyFile.open(folder, settings, _facts(loaded))
        _Loop(loaded, counts, range(seeds), entries, file, verbose).run()
        file.content["summary"] = summarise(file.content)
        file.save()
        study_report.write(file.content, folder)
    return Study(folder, file.content)


def default_folder(data: str | Path, quick: bool = False) -> Path:
    """Returns the folder that a study is written to unless another is named."""
    return Path("studies") / f"{name_of_data(str(data))}{'-quick' if quick else ''}"


def _table_options(table: dict[str, Any]) -> dict[str, Any]:
    """Returns the options of a table that are not as by default, checked."""
    for name in table:
        if name not in TABLE_OPTIONS:
            raise ValueError(
                f"{_OWNER} has no argument {name!r}: {did_you_mean(name, TABLE_OPTIONS)}Expected "
                f"one of {', '.join(TABLE_OPTIONS)}."
            )
    default, chosen = DataSettings(), DataSettings(**table)
    values = {name: getattr(chosen, name) for name in TABLE_OPTIONS}
    given = {name: v for name, v in values.items() if v != getattr(default, name)}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in given.items()}


def _load(data: Any, target: str | None, unlabelled: Any, data_dir: Any, **table: Any) -> Data:
    kinds = DataSettings(**table).kinds
    options: dict[str, Any] = {name: v for name, v in table.items() if name not in KINDS}
    options |= {"target": target, "unlabelled": unlabelled, "data_dir": data_dir, "split": "full"}
    options["kinds"] = kinds or None
    loaded = datasets.load(data, **options)
    if loaded.image_shape is None and loaded.columns is None:
        # Columns in any unit: what measures distances needs them alike.
        loaded = datasets.load(data, scale="standard", **options)
    is_blind = loaded.train.y is None and target is None
    hint = "name the label column by target (--target)" if is_blind else "use data that have some"
    for part, rows in (("training", loaded.train), ("test", loaded.test)):
        if rows is None or rows.labelled is None:
            raise ValueError(
                f"A study needs training and test rows with labels, and {loaded.name} has no {part}"
                f" rows with one: {hint}."
            )
    if _is_classification(loaded):
        _check_classes(loaded)
    return loaded


def _check_classes(data: Data) -> None:
    """Refuses numbers to predict that were read as classes, and a single class."""
    known = _labelled(data.train).y
    count = len(np.unique(known))
    if count < 2:
        raise ValueError(
            f"A study needs labels of at least two classes, and {data.name} has one: name another "
            "label column."
        )
    if 2 * count > len(known):
        raise ValueError(
            f"A study needs at least two labels of most classes, and {data.name} has {count} "
            f"classes in {len(known)} labelled training rows: write numbers that are to be "
            "predicted with a decimal point, such as 151.0, or, of a table, give "
            'task="regression" (--task).'
        )


def _is_classification(data: Data) -> bool:
    return data.train.y is not None and data.train.y.dtype.kind in "iu"


def _labelled(rows: Split | None) -> Any:
    """Returns the labelled rows of a part that `_load` has found to have some."""
    return None if rows is None else rows.labelled


def _facts(data: Data) -> dict[str, Any]:
    test, is_classification = _labelled(data.test), _is_classification(data)
    known = _labelled(data.train).y
    scale = "standard" if data.image_shape is None else "unit"
    return {
        "name": data.name,
        "is_classification": is_classification,
        "classes": len(np.unique(known)) if is_classification else None,
        "features": int(data.train.x.shape[1]),
        "scale": scale if data.columns is None else "squash",
        "balance": balance(known, test.y, data.classes) if is_classification else None,
        "rows": len(data.train.x),
        "labelled": len(known),
        "test_rows": len(test.x),
        "fingerprint": fingerprint.of_data([data.train, data.test]),
    }


def _counts(data: Data, labels: int | Sequence[int] | None, quick: bool) -> list[int]:
    """Returns the numbers of labels, ascending."""
    known = _labelled(data.train).y
    classes = len(np.unique(known)) if _is_classification(data) else 1
    if labels is not None:
        several = np.atleast_1d(labels).tolist()
        counts = sorted({check_positive_int("labels", count, _OWNER) for count in several})
        for count in counts:
            if not classes <= count <= len(known):
                raise ValueError(
                    f"Argument `labels` of {_OWNER} must lie from {classes} to {len(known)}, one "
                    f"for each class to all that training rows have. Received: labels={count}"
                )
        if not counts:
            raise ValueError(f"Argument `labels` of {_OWNER} must have a number. Received none.")
        return counts
    last = min(len(known), _STEPS[-1])
    steps = [count for count in _STEPS if max(10, 2 * classes) <= count <= 0.8 * last]
    counts = [*steps[: _MOST_COUNTS - 1], last]
    if quick and len(counts) > 2:
        return [counts[1], counts[3]] if len(counts) > 3 else [counts[0], counts[-1]]
    return counts


@dataclass
class _Loop:
    """Fits every contestant for every seed and number of labels, but those that are done."""

    data: Data
    counts: Sequence[int]
    seeds: Sequence[int]
    entries: Sequence[Contestant]
    file: StudyFile
    verbose: Any

    def run(self) -> None:
        content, rows = self.file.content, len(self.data.train.x)
        content["left_out"] = [
            {"contestant": each.name, "labels": count, "reason": reason}
            for each in self.entries
            for count in self.counts
            if (reason := each.reason_to_leave_out(rows, count)) is not None
        ]
        cells = [
            (seed, count, todo)
            for seed in self.seeds
            for count in self.counts
            if (todo := list(self._missing(seed, count)))
        ]
        self._say(self._headline(sum(len(todo) for *_, todo in cells)))
        self._codes: tuple[int, Any, Any] | None = None
        self._start, self._shown = time.perf_counter(), display()
        for number, (seed, count, todo) in enumerate(cells):
            labels: Any = self.data.keep_labels(count, seed).train.y
            for each in todo:
                self._draw_line(f"{self._title(seed, count)}: {each.name} ...")
                self._measure(each, labels, seed, count)
            if self.verbose != 0:
                self._shown.end()
            self._say(self._line(seed, count, number + 1, len(cells)))

    def _missing(self, seed: int, count: int) -> Iterator[Contestant]:
        for each in self.entries:
            is_out = each.reason_to_leave_out(len(self.data.train.x), count) is not None
            if not is_out and not self.file.is_done(seed, count, each.name):
                yield each

    def _measure(self, each: Contestant, labels: np.ndarray, seed: int, count: int) -> None:
        """Chooses a setting, fits by it on all labels, and predicts the test rows once.

        Args:
            each: The contestant.
            labels: Labels of the training rows, all but `count` hidden.
            seed: Seed of the draw and of the start.
            count: How many labels there are.
        """
        x, test_x = self._rows(each, seed)
        result = self.file.result(seed, count, each.name)
        groups = None if self.data.groups is None else self.data.groups["train"]
        fewer, held_out = hold_out(labels, seed, groups)
        start = time.perf_counter()
        if held_out is not None:
            for setting in each.settings[len(result["held_out"]) :]:
                model = fit(each, setting, x, fewer, seed)
                result["held_out"].append(error_of(model, x[held_out], labels[held_out]))
                self.file.save()
        chosen = int(np.argmin(result["held_out"])) if result["held_out"] else 0
        model = fit(each, each.settings[chosen], x, labels, seed)
        result["setting"] = chosen
        test_y = _labelled(self.data.test).y
        result["figures"] = figures_of(model, test_x, test_y)
        result["error"] = error_of(model, test_x, test_y)
        result["seconds"] = round(time.perf_counter() - start, 3)
        self.file.save()

    def _rows(self, each: Contestant, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns training rows and labelled test rows as a contestant sees them."""
        x, test_x = self.data.train.x, _labelled(self.data.test).x
        if not each.on_codes:
            return x, test_x
        if self._codes is None or self._codes[0] != seed:
            start = time.perf_counter()
            network = code_network(seed, len(x)).fit(x)
            self._codes = (seed, network.transform(x), network.transform(test_x))
            seconds = round(time.perf_counter() - start, 3)
            if seed not in [entry["seed"] for entry in self.file.content["codes"]]:
                self.file.content["codes"].append({"seed": seed, "seconds": seconds})
        return self._codes[1], self._codes[2]

    def _title(self, seed: int, count: int) -> str:
        return f"Seed {seed} ({seed + 1} of {len(self.seeds)}), {count:,} labels"

    def _headline(self, missing: int) -> str:
        content = self.file.content
        facts, known = content["data"], sum("error" in each for each in content["results"])
        counts = ", ".join(f"{count:,}" for count in self.counts)
        resumed = f"; {known} of {known + missing} errors are known already" if known else ""
        return (
            f"{facts['name']}: {facts['rows']:,} rows to learn from ({facts['labelled']:,} "
            f"labelled), {facts['test_rows']:,} to test; {len(self.entries)} methods with {counts} "
            f"labels, {len(self.seeds)} seeds{resumed}"
        )

    def _line(self, seed: int, count: int, done: int, total: int) -> str:
        results = [
            (each["error"], each["contestant"])
            for each in self.file.content["results"]
            if each["seed"] == seed and each["labels"] == count and "error" in each
        ]
        error, best = min(results)
        figure = study_report.figure(error, self.file.content)
        left = (time.perf_counter() - self._start) / done * (total - done)
        until = f"; {duration(left)} left" if left else ""
        return f"{self._title(seed, count)}: best is {best}, error {figure}{until}"

    def _say(self, text: str) -> None:
        if self.verbose != 0:
            print(text, flush=True)

    def _draw_line(self, text: str) -> None:
        if self.verbose != 0 and self._shown.is_live:
            self._shown.draw(text)
