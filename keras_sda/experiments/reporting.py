"""The report of a run: one HTML file that says what was trained, on what, and how well it does."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_sda._validation import check_bool, check_path
from keras_sda.experiments import (
    heads,
    report_comparison,
    report_data,
    report_outliers,
    report_pictures,
    report_usage,
    run_folder,
    zoo,
)
from keras_sda.experiments.finished_run import Run
from keras_sda.experiments.html import (
    Html,
    code,
    element,
    facts,
    folded,
    join,
    page,
    paragraph,
    section,
    table,
    tiles,
)
from keras_sda.experiments.loading import load_run
from keras_sda.experiments.objects import to_plain
from keras_sda.experiments.report_material import Material
from keras_sda.experiments.running import describe_network
from keras_sda.resuming.files import replacing


def report(
    run: Run | str | Path,
    path: str | Path | None = None,
    rows: bool = True,
    data_dir: str | Path | None = None,
) -> Path:
    """Writes one HTML file on a finished run, which loads nothing and runs no scripts.

    It says what was trained, on what, and how; it has the figures with their 95 % intervals,
    learning curves and the pictures that suit the model, and the commands that use it. What needs
    the data is left out if they cannot be read any more, and the page says so.

    Args:
        run: A finished run, or its folder.
        path: The file to write, `.html`; by default `report.html` in the folder of the run.
        rows: Whether rows of the data may be seen. Without them there are no example rows, and no
            pictures from which a row could be read: no reconstructions, codes or decision surface,
            and nothing that a decoder draws.
        data_dir: Folder with prepared data; by default that of the run.

    Returns:
        The file.

    Raises:
        ValueError: If the run is not finished, or the file cannot be written.

    Example:

    ```python
    ks.experiments.report("runs/digits-seed0", rows=False)
    ```
    """
    check_bool("rows", rows, "report()")
    if not isinstance(run, Run):
        check_path("run", run, "report()")
        _check_finished(Path(run))
        run = load_run(run)
    elif run.folder is not None:
        _check_finished(run.folder)
    target = _target(run, path)
    run_folder.writable_folder(target.parent)
    material = Material.of(run, rows, data_dir)
    text = _page(material)
    try:
        with replacing(target) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"The report cannot be written to {target} ({error.strerror}): name another file."
        ) from error
    return target


def _check_finished(folder: Path) -> None:
    if run_folder.can_resume(folder):
        raise ValueError(
            f"A report is made of a finished run, and the one in {folder} was interrupted: finish "
            f"it by `{run_folder.resume_command(folder)}`."
        )
    if (folder / run_folder.MODEL).is_file() and not run_folder.is_finished(folder):
        raise ValueError(
            f"A report is made of a finished run, and {folder} has no {run_folder.METRICS}: train "
            "it again."
        )


def _target(run: Run, path: str | Path | None) -> Path:
    if path is None:
        if run.folder is None:
            raise ValueError("The run is not in a folder: name the file to write by path.")
        return run.folder / "report.html"
    # Another file of the run must not be replaced by mistake.
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"A report must be a file name that ends in .html. Received: {path}")
    return Path(path)


def _page(material: Material) -> str:
    run = material.run
    name = type(run.model).__name__
    lead = [
        paragraph(
            *("The model ", code(run.experiment.model.name), f", {describe_network(run.model)}"),
            *("" if run.folder is None else (", in the run folder ", code(run.folder))),
            ".",
        ),
        tiles(_tiles(material)),
        paragraph(material.what_is_shown, kind="note"),
    ]
    worth = list(report_comparison.explain(material))
    strange = list(report_outliers.explain(material))
    sections = [
        section("Figures", *_figures(material)),
        *([section("Was it worth it?", *worth)] if worth else []),
        *([section("Strangest rows", *strange)] if strange else []),
        section("Data", *report_data.explain(material)),
        section("Model", *_model(material)),
        section("Training", *_training(material)),
        section("Pictures", *report_pictures.draw(material)),
        section("Use", *report_usage.explain(material)),
        section("Versions", *_versions(material)),
    ]
    version = run_folder.versions()["keras_sda"]
    footer = join(["Written by ", code("keras-sda report"), f", version {version}."])
    return page(f"{name} on {material.data_name}", join(lead), sections, footer)


def _tiles(material: Material) -> Iterator[tuple[str, Any, str]]:
    """Yields the most important figures."""
    for part in ("test", "valid"):
        figure = material.metrics.get(part)
        if isinstance(figure, Mapping):
            cells = _cells(figure)
            interval = ["95 % interval", cells.get("95 % interval", "")]
            # Broken between the two, and not within one.
            remark = " ".join(part.replace(" ", "\xa0") for part in interval if interval[1])
            name, value = next(iter(cells.items()))
            yield f"{name}, {report_data.PARTS[part].lower()} rows", value, remark
    yield "Parameters", f"{material.run.model.count_params():,}", ""
    minutes = material.metrics.get("minutes", {})
    yield "Minutes of training", f"{sum(minutes.values()):.2f}", ""


def _figures(material: Material) -> Iterator[Html]:
    """Yields the figures of `metrics.json` as a table, and what they mean."""
    names = {**report_data.PARTS, "cross_validation": "Cross-validation"}
    measured = {part: material.metrics[part] for part in names if part in material.metrics}
    if not measured:
        yield paragraph("There are neither validation nor test rows to measure, so no figures.")
        return
    cells = {
        part: _cells(figure if isinstance(figure, Mapping) else {"figure": figure})
        for part, figure in measured.items()
    }
    header = list(dict.fromkeys(name for each in cells.values() for name in each))
    lines = [
        [names[part], *(each.get(name, "-") for name in header)] for part, each in cells.items()
    ]
    yield table(["Rows", *header], lines)
    remark = _meaning(next(iter(measured.values())))
    training = material.run.experiment.training
    chosen = training is not None and training.keeps_best and material.metrics.get("training")
    if "valid" in measured and chosen:
        remark += (
            "Validation rows have chosen the epoch, so that their figure is a little too good. "
        )
    if "test" in measured:
        remark += "Test rows were read once, at the end. "
    if "cross_validation" in measured:
        remark += (
            "In cross-validation, another model was trained for each fold of the labelled training "
            "and validation rows, without its labels, and measured on it."
        )
    yield paragraph(remark, kind="small")


def _meaning(figure: Any) -> str:
    """Returns what a figure is, in a sentence or two."""
    if not isinstance(figure, Mapping):  # of a function of the user's
        return ""
    if "error" in figure:
        return (
            "The error is the share of rows that are put into a wrong class; its 95 % interval is "
            "Wilson's. "
        )
    if "flagged" in figure:
        labelled = (
            " ROC-AUC, average precision, and precision, the share of outliers among the flagged, "
            "are by the labels, which training did not see."
        )
        return (
            "Flagged is the share of rows with a score beyond the threshold; its 95 % interval is "
            f"Wilson's.{labelled if 'roc_auc' in figure else ''} "
        )
    if "reconstruction_error" not in figure:
        return "The loss is the mean over the rows. " if "loss" in figure else ""
    interval = "; its 95 % interval is Student's" if "interval" in figure else ""
    return (
        "The reconstruction error is the model's own reconstruction loss, summed over the features "
        f"of a row and averaged over the rows{interval}. "
    )


def _cells(figure: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what `figures.measure` has returned, as the cells of a table by their headings."""
    cells: dict[str, Any] = {}
    is_share = "error" in figure or "flagged" in figure
    for name, value in figure.items():
        if name in ("error", "flagged"):
            cells[name.capitalize()] = f"{100 * value:.2f} %"
        elif name == "interval":
            low, high = (100 * bound if is_share else bound for bound in value)
            digits, unit = (2, " %") if is_share else (4, "")
            cells["95 % interval"] = f"{low:.{digits}f} to {high:.{digits}f}{unit}"
        elif name == "errors":
            cells["Wrong"] = f"{value:,}"
        elif name == "rows":
            cells["Number of rows"] = f"{value:,}"
        else:
            is_fraction = isinstance(value, float)
            cells[_heading(name)] = f"{value:.4f}" if is_fraction else value
    return cells


def _heading(name: str) -> str:
    return "ROC-AUC" if name == "roc_auc" else name.replace("_", " ").capitalize()


def _model(material: Material) -> Iterator[Html]:
    run = material.run
    model = run.experiment.model
    yield facts(
        {
            "Name": code(model.name),
            "Class": code(f"keras_sda.{type(run.model).__name__}"),
            "Parameters": f"{run.model.count_params():,}",
        }
    )
    lines = [
        [layer.name, type(layer).__name__, _weights(layer), _activation(layer), _size(layer)]
        for layer in _layers(run.model)
    ]
    header = ["Layer", "Kind", "Weights", "Activation", "Parameters"]
    yield table(header, lines, "Layers with weights")
    every_option = zoo.options(model.name) | to_plain(dict(model.options))
    entries = {code(name): _setting(value) for name, value in every_option.items()}
    yield folded(f"All {len(entries)} options of the model", facts(entries))


def _layers(model: Any) -> Iterator[Any]:
    """Yields the layers with weights of a model, those inside of others too, each once."""
    seen: set[int] = set()
    pending = list(model.layers)
    while pending:
        layer = pending.pop(0)
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        inner = getattr(layer, "layers", [])
        pending[:0] = inner
        if not inner and _weights(layer):  # a noise has its level only, which is a number
            yield layer


def _weights(layer: Any) -> str:
    shapes = (" x ".join(map(str, weight.shape)) for weight in layer.weights if len(weight.shape))
    return ", ".join(shapes)


def _activation(layer: Any) -> str:
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    return name or "-"


def _size(layer: Any) -> str:
    return f"{layer.count_params():,}"


def _setting(value: Any) -> Any:
    """Returns the value of a setting in the words of `keras-sda train --set`."""
    if isinstance(value, Mapping) and "class" in value:
        arguments = ", ".join(f"{key}={value[key]}" for key in value if key != "class")
        return code(f"{value['class']}({arguments})")
    if isinstance(value, (list, tuple)):
        return join((_setting(entry) for entry in value), ", ")
    return code(str(value).lower() if value is None or isinstance(value, bool) else value)


def _training(material: Material) -> Iterator[Html]:
    experiment, metrics = material.run.experiment, material.metrics
    levels, history = metrics.get("pretraining") or [], metrics.get("training") or {}
    if levels:
        lines = [
            [f"Level {number}", len(each["loss"]), *_ends(each, "loss"), *_last(each, "val_loss")]
            for number, each in enumerate(levels, 1)
            if each.get("loss")
        ]
        header = ["Pretraining", "Epochs", "First loss", "Last loss", "Last validation loss"]
        yield table(header[: len(lines[0])] if lines else header, lines)
    if history.get("loss"):
        name = "Fine-tuning" if levels else "Training"
        line = [name, len(history["loss"]), *_ends(history, "loss"), *_last(history, "val_loss")]
        best = metrics.get("best_epoch")
        header = ["", "Epochs", "First loss", "Last loss", "Last validation loss"][: len(line)]
        yield table([*header, "Best epoch"], [[*line, "-" if best is None else best]])
    elif levels and "head" not in metrics:
        yield paragraph("The levels were pretrained only, as there was nothing to fine-tune by.")
    if "head" in metrics:
        yield paragraph(heads.describe(metrics["head"]), ".")
    yield from report_pictures.draw_curves(material)
    minutes = {
        f"Minutes of {'fine-tuning' if levels and name == 'training' else name}": f"{value:.2f}"
        for name, value in metrics.get("minutes", {}).items()
    }
    general = {"Seed": experiment.seed, "Precision": experiment.dtype, **minutes}
    yield facts(general)
    for title, part, done in (
        ("Settings of pretraining", experiment.pretraining, levels),
        ("Settings of training", experiment.training, history),
    ):
        if part is not None and done:
            values = to_plain(vars(part))
            yield folded(title, facts({code(key): _setting(values[key]) for key in values}))


def _ends(history: Mapping[str, Any], name: str) -> list[str]:
    return [f"{history[name][0]:.4f}", *_last(history, name)]


def _last(history: Mapping[str, Any], name: str) -> list[str]:
    return [f"{history[name][-1]:.4f}"] if history.get(name) else []


def _versions(material: Material) -> Iterator[Html]:
    """Yields by what the model was trained."""
    found = material.found
    entries = {name: code(version) for name, version in found.get("versions", {}).items()}
    if found.get("replicas", 1) > 1:
        entries["replicas"] = found["replicas"]
    yield facts(entries) if entries else paragraph("The run has not noted its versions.")
    yield element("p", "The same seed gives the same weights on one machine with these versions.")
