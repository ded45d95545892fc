"""Measures `keras-sda train` on large tables: seconds, memory, and rows a second.

python benchmarks/large_data.py                # about 40 minutes on two cores, 20 GB of disk
python benchmarks/large_data.py --only mixed   # keeps the other part of the file as it is
python benchmarks/large_data.py --quick        # tiny, to see that it runs

`rows`: tables of 100 float32 columns and a label in `.parquet`, from 10,000 to 10 million rows,
written by this script. Each is trained on from the command line, 100-64-32-2, one epoch a level
and one of fine-tuning, with the rows in temporary files (`--storage disk`), and with all in memory.

`mixed`: a million rows of 50 columns, of which 25 are numbers (a fifth of them with gaps, and some
counts), 15 text categories of 3 to 200 values, 5 booleans and 5 dates, in `.parquet` and `.csv`, by
the defaults of the command but for one epoch a level.

Each run is a process of its own. Reported are

- `ready`: seconds until the rows are there, the start of Python and all libraries included;
- `trained`: seconds from then until the model is saved;
- `whole`: all seconds, with the measuring and the simple models that a run is compared with;
- `processor`: processor seconds of all cores together, which other load hardly changes;
- `rows a second` in training, all levels and fine-tuning, validation included;
- `memory`: the peak of the resident memory (VmHWM) less that of a run of 1,000 rows, in MiB.

The exponent p of `seconds = c * rows ** p` is fitted by least squares on the logarithms of the
seconds until a trained model, less those of the run of 1,000 rows.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _measuring
import numpy as np
from matplotlib.figure import Figure

NAME = "large_data"
COLUMNS = 100
SIZES = (10**4, 10**5, 10**6, 10**7)
MIXED_ROWS = 10**6
QUICK_SIZES, QUICK_MIXED_ROWS = (2_000, 4_000), 2_000
START = 1_000
STORAGES = ("disk", "memory")
PARTS = ("rows", "mixed")
PIECE = 100_000
TRAIN = ("--target", "y", "--pretrain-epochs", "1", "--epochs", "1", "--quiet")
NARROW = ("--units", "64,32", "--head", "finetune")
FIGURES = ("ready", "trained", "whole", "processor", "rows a second", "memory")


def main():
    parser = _measuring.parser(__doc__, repeats=1)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", nargs="+", type=int, help="rows of the tables of numbers")
    parser.add_argument("--storages", nargs="+", choices=STORAGES, default=STORAGES)
    _measuring.resume_option(parser)
    parser.add_argument("--scratch", help="folder for tables of up to 4 GB")
    options = parser.parse_args()
    sizes = options.sizes or (QUICK_SIZES if options.quick else SIZES)
    report = _measuring.new_report(options) | {"columns": COLUMNS, "train": [*TRAIN, *NARROW]}
    found = _measuring.older(options, report, NAME, ("columns", "train"))
    path = options.output / f"{NAME}.json"
    kept = _measuring.read(path) if path.exists() and not found else found
    parts = [part for part in PARTS if found or part not in options.only]
    report |= {part: kept[part] for part in parts if part in kept}
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        for repeat in range(options.repeats):
            print(f"Repeat {repeat + 1} of {options.repeats}", flush=True)
            if "rows" in options.only:
                measure_rows(report, sizes, Path(folder), repeat, options)
            if "mixed" in options.only:
                count = QUICK_MIXED_ROWS if options.quick else MIXED_ROWS
                measure_mixed(report, count, Path(folder), repeat, options)
    _measuring.save(report, options.output, NAME, plot(report))
    print_tables(report)


def measure_rows(report, sizes, folder, repeat, options):
    """Measures training on tables of numbers of growing size, on disk and from memory."""
    content = report.setdefault("rows", {})
    content |= _measuring.source(report)
    start = measured_start(write_numbers, folder, NARROW)
    for size in sizes:
        path = folder / "numbers.parquet"
        write_numbers(path, size)
        for storage in options.storages:
            how = (*NARROW, "--storage", storage)
            keep(content, f"{size} {storage}", trained_on(path, folder, how, start), repeat)
            print(f"  {size:,} rows, {storage}: {content[f'{size} {storage}'][-1]}", flush=True)
            content["exponents"] = exponents(content)
            _measuring.save(report, options.output, NAME)
        path.unlink()


def measure_mixed(report, rows, folder, repeat, options):
    """Measures training on a table of numbers, text, dates and gaps."""
    content = report.setdefault("mixed", {})
    content |= _measuring.source(report) | {"size": rows}
    start = measured_start(write_mixed, folder, ())
    for suffix in (".parquet", ".csv"):
        path = folder / f"mixed{suffix}"
        write_mixed(path, rows)
        keep(content, suffix, trained_on(path, folder, (), start), repeat)
        print(f"  mixed, {suffix}: {content[suffix][-1]}", flush=True)
        _measuring.save(report, options.output, NAME)
        path.unlink()


def keep(content, name, figures, repeat):
    """Adds the figures of a run; those of the first repeat take the place of older ones."""
    content[name] = [*(content[name] if repeat else []), figures]


def measured_start(write, folder, how):
    """Returns the figures of a run on few rows: what every run takes."""
    path = folder / "start.parquet"
    write(path, START)
    return trained_on(path, folder, how, None)


def trained_on(path, folder, how, start):
    """Trains by the command line in a new process, and returns its figures."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        run = Path(run) / "run"
        command = [sys.executable, "-m", "keras_sda", "train", "--data", str(path)]
        environment = os.environ | {"TMPDIR": str(folder)}
        begun = time.time()
        process = subprocess.Popen(  # noqa: S603  (this package's own command)
            [*command, *TRAIN, *how, "--output", str(run)],
            stdout=subprocess.DEVNULL,
            env=environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.time()
        if status:
            raise SystemExit(f"{path} could not be trained on: status {status}")
        ready, trained = ((run / name).stat().st_mtime for name in ("config.json", "model.keras"))
        metrics = json.loads((run / "metrics.json").read_text())
        counts = json.loads((run / "config.json").read_text())["found"]["rows"]["train"]
    epochs = len(metrics["pretraining"]) + len(metrics["training"].get("loss", []))
    # Without fine-tuning where the linear head is as good on the validation rows.
    minutes = sum(metrics["minutes"].get(phase, 0.0) for phase in ("pretraining", "training"))
    memory = usage.ru_maxrss / 1024  # kilobytes under Linux
    return {
        "ready": ready - begun,
        "trained": trained - ready,
        "whole": ended - begun,
        "rows a second": epochs * counts["rows"] / (60 * minutes),
        "processor": usage.ru_utime + usage.ru_stime,
        "memory": memory - (start["peak"] if start else memory),
        "peak": memory,
        "beyond start": trained - begun - (start["ready"] + start["trained"] if start else 0),
    }


def exponents(content):
    """Returns how the seconds until a trained model grow with the rows, from disk and memory."""
    found = {}
    for storage in STORAGES:
        # Of few rows, some take no longer than the run on 1,000.
        known = [each for each in points(content, storage, "beyond start") if each[1] > 0]
        if len(known) > 1:
            found[storage] = _measuring.exponent(*zip(*known, strict=True))
    return found


def points(content, storage, figure):
    """Returns rows, and the median of a figure, of each run with its rows there."""
    return sorted(
        (int(name.split()[0]), statistics.median(run[figure] for run in runs))
        for name, runs in content.items()
        if name.endswith(f" {storage}")
    )


def write_numbers(path, rows):
    """Writes float32 columns that depend on each other, and a label, a part at a time."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(8, COLUMNS)).astype("float32")

    def table(count):
        causes = rng.normal(size=(count, 8)).astype("float32")
        noise = rng.standard_normal((count, COLUMNS), "float32")
        x = causes @ mixing + noise
        y = (causes[:, 0] + causes[:, 1] ** 2 > 1).astype("int64")
        return pa.table({**{f"c{i}": x[:, i] for i in range(COLUMNS)}, "y": y})

    write(path, rows, table, use_dictionary=["y"], compression="none")


def write_mixed(path, rows):
    """Writes numbers, text, booleans and dates with gaps, and a label that depends on some."""
    rng = np.random.default_rng(1)

    def table(count):
        import pandas as pd
        import pyarrow as pa

        causes = rng.normal(size=(count, 6))
        frame: dict[str, Any] = {}
        for i in range(25):
            values = causes[:, i % 6] + rng.normal(size=count)
            frame[f"number_{i}"] = np.round(np.exp(values)) if i % 5 == 0 else values
        for i in range(15):
            names = np.array([f"value_{k}" for k in range((3, 12, 40, 80, 200)[i % 5])], object)
            ranks = np.exp(0.8 * (causes[:, i % 6] + rng.normal(size=count)))
            frame[f"text_{i}"] = names[np.minimum(ranks, len(names) - 1).astype(int)]
        for i in range(5):
            frame[f"flag_{i}"] = causes[:, i] + rng.normal(size=count) > 0.5
            days = pd.to_timedelta((causes[:, i] * 200 + rng.integers(0, 900, count)) // 1, "D")
            frame[f"date_{i}"] = pd.Timestamp("2024-01-01") + days
        frame["y"] = np.where(causes[:, 0] + np.abs(causes[:, 1]) > 0.8, "yes", "no")
        frame = pd.DataFrame(frame)
        for name in frame.columns[:-1:5]:
            if frame[name].dtype != bool:
                frame.loc[rng.random(count) < 0.1, name] = None
        return pa.Table.from_pandas(frame, preserve_index=False)

    write(path, rows, table)


def write(path, rows, table, **options):
    """Writes a table of so many rows, made a part at a time."""
    import pyarrow.csv
    import pyarrow.parquet

    writer = None
    for start in range(0, rows, PIECE):
        part = table(min(PIECE, rows - start))
        if writer is None:
            is_csv = path.suffix == ".csv"
            kind = pyarrow.csv.CSVWriter if is_csv else pyarrow.parquet.ParquetWriter
            writer = kind(path, part.schema, **({} if is_csv else options))
        writer.write_table(part)
    writer.close()


def plot(report):
    """Draws seconds and memory over the rows, on disk and from memory."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("beyond start", "memory"), strict=True):
        for storage in STORAGES:
            known = points(report.get("rows", {}), storage, name)
            if known:
                axes.plot(*zip(*known, strict=True), "o-", label=storage)
        axes.set(xscale="log", xlabel="rows")
        axes.set_ylabel("MiB beyond start" if name == "memory" else "seconds until trained")
    axes.legend()
    return figure


def print_tables(report):
    for name in ("rows", "mixed"):
        lines = []
        for label, runs in report.get(name, {}).items():
            if isinstance(runs, list):
                each = [_measuring.summary([run[figure] for run in runs]) for figure in FIGURES]
                lines.append([label, *(_measuring.spread(figure, 0) for figure in each)])
        if lines:
            print("\n" + _measuring.table([name, *FIGURES], lines))
    for storage, value in report.get("rows", {}).get("exponents", {}).items():
        print(f"exponent of the seconds until a trained model, {storage}: {value:.2f}")


if __name__ == "__main__":
    main()
