"""The pictures of a report: those of the run's folder, and those that `plot` draws."""

from collections.abc import Iterator
from typing import Any

from keras_sda.experiments import pictures
from keras_sda.experiments.html import (
    Html,
    drawn,
    element,
    join,
    paragraph,
    picture,
    side_by_side,
)
from keras_sda.experiments.report_material import Material

_STRIP = "reconstructions.png"  # as `pictures.draw_overview` calls it, at 120 dots an inch
_CAPTIONS = {
    "filters": "The weights of each unit, seen from the input.",
    "reconstructions": "Rows, corrupted if the model has a noise, and what it makes of them.",
    "codes": "The codes of the {rows}, one point each.",
    "activations": "How often the units of each level take which value, on the {rows}.",
    "confusion": "How many of the {rows} of each class are put into which class.",
    "surface": "Which class the model gives to each point of the plane, and the {rows}.",
    "manifold": "What the decoder makes of codes from all over the prior.",
    "traversals": "What the decoder draws as one latent unit changes and the others stay.",
    "scores": "How strange the {rows} are: those beyond the threshold are flagged.",
}
_TITLES = {
    "scores": "Scores",
    "confusion": "Confusion",
    "surface": "Decision surface",
    "reconstructions": "Reconstructions",
    "codes": "Codes",
    "filters": "Filters",
    "activations": "Activations",
    "manifold": "Manifold",
    "traversals": "Traversals",
}


def draw_curves(material: Material) -> Iterator[Html]:
    """Yields the learning curves, if there is a history of training."""
    drawer = pictures.RunPictures(material.run, lambda: material.split)
    if drawer.obstacle("curves"):
        return
    levels = len(material.metrics.get("pretraining") or [])
    of_levels = f"each of the {levels} levels" if levels > 1 else "the level"
    parts = [of_levels] if levels else []
    parts += ["the whole model"] if material.metrics.get("training") else []
    for _, figure in drawer.draw(["curves"]):
        yield drawn(figure, f"Learning curves of {' and of '.join(parts)}, by epoch.")


def draw(material: Material) -> Iterator[Html]:
    """Yields every picture that suits the model, under a heading each.

    Without the data, those that need rows are left out; and where rows may not be seen, those in
    which a row could be found again.
    """
    run = material.run
    drawer = pictures.RunPictures(run, lambda: material.split, show_rows=material.rows)
    nothing = True
    for kind, title in _TITLES.items():
        content = list(_draw_kind(material, drawer, kind))
        if content:
            nothing = False
            yield element("h3", title)
            # Names beside the weights of a table are read at full width only.
            is_wide = kind == "filters" and material.run.columns is not None
            yield join(content) if is_wide or len(content) == 1 else side_by_side(content)
    if nothing:
        yield paragraph("There is no picture of this model that could be drawn.")


def _draw_kind(material: Material, drawer: Any, kind: str) -> Iterator[Html]:
    if kind in pictures.SHOWING_ROWS and not material.rows:
        return
    if kind == "reconstructions":
        kept = _kept_strip(material)
        if kept is not None:
            yield kept
            return
    if kind in pictures.OF_ROWS and material.data is None:
        return
    words = {"rows": material.part_words} if material.data is not None else {}
    caption = _CAPTIONS[kind].format(**words)
    try:
        if drawer.obstacle(kind):
            return
        for name, figure in drawer.draw([kind]):
            level = name.partition("-level")[2]
            of_level = f" of level {level}" if level else ""
            yield drawn(figure, f"{_TITLES[kind]}{of_level}: {caption}", caption)
    except ValueError as error:  # such as class numbers beyond those that the model knows
        reason = f": {error}" if material.rows else "."  # a message may quote a value
        yield paragraph(f"It could not be drawn{reason}", kind="note")


def _kept_strip(material: Material) -> Html | None:
    """Returns the reconstructions that training has left."""
    folder = material.run.folder
    if folder is None or not (folder / _STRIP).is_file():
        return None
    caption = _CAPTIONS["reconstructions"]
    return picture((folder / _STRIP).read_bytes(), f"Reconstructions: {caption}", caption, dpi=120)
