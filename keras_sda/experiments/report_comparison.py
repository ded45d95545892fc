"""The section of a report that says whether the network was worth it."""

from collections.abc import Iterator

from keras_sda.experiments import comparison
from keras_sda.experiments.html import Html, element, paragraph, table
from keras_sda.experiments.report_material import Material


def explain(material: Material) -> Iterator[Html]:
    """Yields the figures beside those of simple models, and in words whether it was worth it."""
    found = material.metrics.get("comparison")
    if found is None:
        return
    first, *further = comparison.verdict(found)
    yield paragraph(element("strong", first))
    for sentence in further:
        yield paragraph(sentence)
    header, lines = comparison.table(found)
    yield table(["Figure", *header[1:]], lines, f"On the {found['rows']:,} labelled test rows")
    options = "; ".join(f"{name}: {words}" for name, words in found["options"].items())
    yield paragraph(
        "In brackets 95 % intervals, by a bootstrap of these rows; differences are judged on the "
        "same resampled rows. The other models had the same inputs and labelled training rows, and "
        f"their options by cross-validation on these ({options}).",
        kind="small",
    )
