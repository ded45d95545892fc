"""The commands that list what there is: models and data sets."""

import click


@click.command(short_help="List the models and their options.")
@click.argument("name", required=False)
def models(name: str | None) -> None:
    """List the models that `train --model` takes, or the options of the model NAME.

    Options are set by `--set OPTION=VALUE`.
    """
    from keras_sda.experiments import zoo
    from keras_sda.layers import noise_names

    for each in zoo.names() if name is None else [name]:
        entry = zoo.get(each)
        title = (entry.kind.__doc__ or "").strip().splitlines()[0]
        click.echo(f"{each}: {entry.kind.__name__}\n    {title}")
        options = ", ".join(f"{key}={_text(value)}" for key, value in zoo.options(each).items())
        wrapped = click.wrap_text(options, 96, initial_indent="    ", subsequent_indent="    ")
        click.echo(wrapped)
        if name is not None and "noise" in zoo.options(each):
            click.echo(f"    noise is one of {', '.join(noise_names())}, none")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_text, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


@click.command()
def datasets() -> None:
    """List the data sets that have a name."""
    from keras_sda import datasets

    for name in datasets.names():
        click.echo(name)
    click.echo("tfds:NAME    any supervised set of tensorflow-datasets")
