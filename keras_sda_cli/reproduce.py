"""The commands that list recipes and train by them."""

import sys
from pathlib import Path

import click

from keras_sda_cli.place import Place


@click.command("recipes")
def recipes() -> None:
    """List the recipes: one per published figure."""
    from keras_sda.recipes import RECIPES

    for recipe in RECIPES.values():
        published = "" if recipe.published is None else f"; published {recipe.published:g}"
        click.echo(f"{recipe.name}\n    {recipe.title} ({recipe.figure}{published})")


@click.command(short_help="Train by a recipe, and compare with the published figure.")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="All recipes, and the table of their results.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help="How many seeds, from 0. [default: the recipe's own number]",
)
@click.option("--data-dir", type=Place(), help="Folder with prepared data.")
@click.option("--quick", is_flag=True, help="A form that runs in seconds, on small data.")
@click.option(
    "--output",
    type=Place(),
    default="results",
    show_default=True,
    help="Folder to write: NAME.json, and pictures and models in NAME/.",
)
@click.option("--quiet", is_flag=True, help="Print the results only.")
def reproduce(name, every, seeds, data_dir, quick, output, quiet):
    """Train by the recipe NAME, and print the published figure beside the measured one.

    Each seed's result is written as it comes. The same command again resumes after an
    interruption: with the seeds that are missing, and within a seed after the last epoch. With
    --all, recipes whose data are missing are skipped, and a line says why.
    """
    from keras_sda import recipes
    from keras_sda.resuming.signals import Terminated, exit_status, terminable

    if every == (name is not None):
        raise click.UsageError("Name one recipe, or give --all; `keras-sda recipes` lists them.")
    chosen = recipes.names() if every else [recipes.get(name).name]
    verbose = 0 if quiet else 1
    reports = []
    try:
        with terminable():
            for each in chosen:
                recipe = recipes.get(each)
                try:
                    report = recipes.reproduce(recipe, output, seeds, data_dir, quick, verbose)
                except FileNotFoundError as error:
                    if not every:
                        raise
                    click.echo(f"{each} is skipped. {error}")
                    continue
                reports.append(report)
                click.echo(recipes.describe(report))
    except (KeyboardInterrupt, Terminated) as interruption:
        if not str(interruption):  # not told yet, as between two fits
            hint = f"Interrupted; the same command again resumes from {output}."
            click.echo(hint, err=True)
        sys.exit(exit_status(interruption))
    if every:
        path = Path(output) / ("table-quick.md" if quick else "table.md")
        path.write_text(recipes.table(reports) + "\n", encoding="utf-8")
        click.echo(f"Table of all: {path}")
