"""The commands that say what a run expects of rows: impute and explain."""

from pathlib import Path

import click

from keras_sda_cli.place import Place

_WIDEST = 40


@click.command(short_help="Fill the gaps of a table.")
@click.argument("run", type=Place())
@click.argument("data", type=Place())
@click.option(
    "--output",
    type=Place(),
    help="File to write, .csv or .parquet. [default: DATA with -filled at the end of its name]",
)
def impute(run, data, output):
    """Fill the gaps of the table DATA with what the denoiser in RUN expects there.

    Observed cells, ids and all other columns are copied as they are. `SDAImputer`, from Python, is
    trained for this alone, and fills better.
    """
    from keras_sda.datasets.files import is_table
    from keras_sda.datasets.filling import describe_fills
    from keras_sda.experiments import load_run
    from keras_sda.experiments.explaining import impute_file
    from keras_sda.experiments.run_folder import check_output, save_table

    path = Path(data)
    output = Path(output) if output else path.with_name(f"{path.stem}-filled{path.suffix}")
    if not is_table(output):
        raise click.UsageError("A table is written as .csv or .parquet: give such an --output.")
    check_output(output, ".csv", ".parquet", run=run, data=data)
    loaded = load_run(run)
    filled, counts = impute_file(loaded, data)
    for line in loaded.remarks(data):
        click.echo(line, err=True)
    click.echo(describe_fills(counts, len(filled)))
    click.echo(save_table(filled, output))


@click.command(short_help="Say which columns make rows strange.")
@click.argument("run", type=Place())
@click.argument("data")
@click.option(
    "--top", type=click.IntRange(min=1), default=10, show_default=True, help="How many rows."
)
@click.option(
    "--columns",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How many columns of each row.",
)
@click.option(
    "--output", type=Place(), help="File to write: .csv, .parquet or .json. [default: none]"
)
@click.option(
    "--part",
    type=click.Choice(["train", "valid", "test"]),
    default="test",
    show_default=True,
    help="Which rows of a named data set.",
)
@click.option("--data-dir", type=Place(), help="Folder with prepared data.")
def explain(run, data, top, columns, output, part, data_dir):
    """Print the strangest rows of DATA, and which columns make them so, by the denoiser in RUN.

    Of each column, the value found stands beside the one expected, which is rebuilt from the other
    columns. Rows are counted from 0, and come with their ids.
    """
    from keras_sda.experiments import load_run
    from keras_sda.experiments.explaining import read_whole
    from keras_sda.experiments.run_folder import check_output, save_table
    from keras_sda.resuming.files import replacing

    suffix = Path(output).suffix.lower() if output else None
    if suffix not in (None, ".csv", ".parquet", ".json"):
        raise click.UsageError("Explanations are written as .csv, .parquet or .json.")
    if output:
        check_output(output, suffix or "", run=run, data=data)
    loaded = load_run(run)
    is_table = loaded.columns is not None
    rows = (
        read_whole(loaded, data)
        if is_table
        else loaded.raw_rows(data, part=part, data_dir=data_dir).x
    )
    for line in loaded.remarks(data):
        click.echo(line, err=True)
    lines = loaded.explain(rows, top, columns)
    ids = {
        name: values.iloc[lines["row"]].to_numpy() for name, values in loaded.ids_of(data).items()
    }
    for place, (name, values) in enumerate(ids.items(), start=1):
        lines.insert(place, name, values)
    what = "reconstruction error" if loaded.detector is None else "score"
    for text in _as_text(lines, list(ids), what):
        click.echo(text)
    if suffix == ".json":
        with replacing(Path(output)) as partial:
            lines.to_json(partial, orient="records", indent=1)
        click.echo(f"{output}: {len(lines):,} lines")
    elif output:
        click.echo(save_table(lines, output))


def _as_text(lines, ids, what):
    """Yields the lines of each row under a line about the row."""
    from keras_sda.experiments.explaining import short_text

    for number, of_row in lines.groupby("row", sort=False):
        first = of_row.iloc[0]
        named = "".join(f", {name} {first[name]}" for name in ids)
        yield f"Row {number}{named}: {what} {first['row_error']:.4g}"
        for line in of_row.itertuples():
            found, expected = (short_text(value)[:_WIDEST] for value in (line.value, line.expected))
            yield f"  {line.column}: {found}, expected {expected} (error {line.error:.4g})"
