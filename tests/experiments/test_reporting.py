"""The report of a run: what is on the page, what is left out, and what is refused."""

import base64
import dataclasses
import json
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pages
import pytest

from keras_sda import datasets, experiments
from keras_sda.experiments import pictures, report_columns, run_folder, zoo
from keras_sda.layers import MaskingNoise
from keras_sda.losses import ColumnwiseLoss
from keras_sda_cli.program import program

pd = pytest.importorskip("pandas")

SAVED = Path(__file__).parents[1] / "saved" / "run_0_2_0"
CLASSES = ("</td><script>alert(1)</script>", "well & <b>good</b> for $\\frac{$")
COLUMNS = ["age", "<img src=x onerror=alert(1)>", 'a "b"', "$\\frac{$", "rate", "dose", "weight"]


def read_report(run, path=None, **options):
    return pages.read(Path(experiments.report(run, path, **options)).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    """A stack that was trained on a table with names from somebody who means harm."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(5, 2, (120, 7)).round(5), columns=COLUMNS)
    table["what"] = np.where(table["age"] > 5, *CLASSES)
    table.to_csv(folder / "rows.csv", index=False)
    experiment = zoo.default("sda").but(
        {
            **{"hidden_units": [6, 3], "pretraining.epochs": 1, "training.epochs": 2},
            **{"data.name": str(folder / "rows.csv"), "data.target": "what", "data.scale": "unit"},
            **{"training.head": "finetune", "noise": "gaussian"},
        }
    )
    experiments.run(experiment, folder / "my run's", verbose=0)
    return folder / "my run's"


@pytest.fixture(scope="module")
def vae_run(tmp_path_factory):
    """A variational autoencoder of images."""
    folder = tmp_path_factory.mktemp("runs") / "vae"
    options = {"hidden_units": [12], "latent_dim": 2, "training.epochs": 2}
    experiments.run(zoo.default("vae").but(options), folder, verbose=0)
    return folder


def headings(page):
    """Returns the headings of the pictures."""
    after = page.source.split('<section id="pictures">')[1]
    return re.findall("<h3>(.*?)</h3>", after.split("</section>")[0])


def test_a_run_on_a_table(table_run):
    page = read_report(table_run)
    metrics = json.loads((table_run / "metrics.json").read_text())
    for part in ("valid", "test"):
        low, high = metrics[part]["interval"]
        for text in (
            f"{100 * metrics[part]['error']:.2f} %",
            f"{100 * low:.2f} to {100 * high:.2f} %",
            *(str(metrics[part]["errors"]), str(metrics[part]["rows"])),
        ):
            assert text in page.cells
    for history in [*metrics["pretraining"], metrics["training"]]:
        for name in ("loss", "val_loss"):
            assert f"{history[name][-1]:.4f}" in page.cells
    for name in (*CLASSES, *COLUMNS, str(table_run), "what", "rows.csv"):
        assert name in page.text
    assert page.titles[0] == "StackedDenoisingAutoencoder on rows.csv"
    assert {"84", "12", "24"} <= set(page.cells), "training, validation and test rows"
    assert "gaussian" in page.cells, "an option of the model"
    assert str(metrics["best_epoch"]) in page.cells
    expected = ["Confusion", "Reconstructions", "Codes", "Filters", "Activations"]
    assert headings(page) == expected
    assert len(page.pictures) == 1 + 1 + 1 + 1 + 2 + 1
    raw = pd.read_csv(table_run.parent / "rows.csv")
    shown = [float(cell) for cell in page.cells if re.fullmatch(r"-?\d+\.\d{3,5}", cell)]
    assert len(set(shown) & set(raw[COLUMNS].to_numpy().ravel().round(5))) >= 20, "example rows"
    before = (table_run / "report.html").read_bytes()
    assert experiments.report(table_run).read_bytes() == before, "the same page each time"


def test_what_can_be_copied_runs(table_run, monkeypatch):
    monkeypatch.chdir(table_run.parent)
    page = read_report(Path(table_run.name))
    python, shell, export, saved_model = page.code
    namespace = {}
    exec(compile(python, "page", "exec"), namespace)  # noqa: S102 (what we have written)
    assert namespace["x"].shape == (24, 7)
    assert "class probabilities, (n, 2)" in python
    assert "codes, (n, 3)" in python
    assert "reconstruction_error" in python, "the denoiser was kept"
    assert "model.score" in saved_model
    commands = [shlex.split(line, comments=True) for line in (shell + "\n" + export).splitlines()]
    assert [words[1] for words in commands] == [
        *("evaluate", "evaluate", "encode", "reconstruct", "plot", "train", "export")
    ]
    for _, name, *arguments in commands:
        program.commands[name].make_context(name, list(arguments))
        assert table_run.name in arguments
    assert '"my run\'s/saved_model"' in saved_model
    assert "rows = columns.arrays(pd.read_csv('new.csv'))" in saved_model


@pytest.mark.full
def test_a_table_with_text_and_gaps(tmp_path):
    rng = np.random.default_rng(0)
    ages = rng.integers(20, 70, 90).astype(float)
    table = pd.DataFrame({"id": range(90), "age": ages, "city": ["Rome", "Oslo", "Bonn"] * 30})
    table["house"], table["one"] = np.repeat(np.arange(30), 3), 1
    table.loc[::9, "age"] = np.nan
    table["pay"] = 10 * ages + rng.normal(size=90)
    table[:60].to_csv(tmp_path / "rows.csv", index=False)
    table[60:].to_csv(tmp_path / "test.csv", index=False)
    experiment = zoo.default("sda").but(
        {
            **{"hidden_units": [6], "pretraining.epochs": 1, "training.epochs": 1},
            **{"data.name": str(tmp_path / "rows.csv"), "data.target": "pay"},
            **{"data.ids": ["id"], "data.groups": "house", "data.test": "test.csv"},
            "training.head": "finetune",
        }
    )
    run = experiments.run(experiment, tmp_path / "run", compare=True, verbose=0)
    page = read_report(tmp_path / "run")
    for cell in ("20 to 69", "Bonn, Oslo, Rome", "age", "numeric", "categorical", "ignored"):
        assert cell in page.cells or cell in page.text
    missing = f"{100 * run.columns.columns[0].missing:.1f} %"
    assert missing in page.cells
    assert "nothing: the same value in every row" in page.cells
    assert "nothing: rows of one value stay together" in page.cells
    assert "20 groups of the column house, of which none is in two parts" in page.cells
    assert "the file test.csv tests, a sixth of the rows validates, drawn at random" in page.cells
    assert "as they are in the data" in page.text
    first = table.iloc[60]
    assert f"{first['pay']:.6g}" in page.cells
    assert {first["city"], f"{first['age']:.6g}"} <= set(page.cells)
    assert "Predicted" in page.text
    assert "Changed by noise" in page.text
    assert "rebuilt after the noise: 1 is what saying the mean" in page.text
    assert "The network lost" in page.text
    assert f"{run.metrics['duplicates']['test']['in_training']} of 30 test rows" in page.text
    assert "keras-sda export" in page.code[2]
    assert "model.serve(**rows)" in page.code[3]
    bare = read_report(tmp_path / "run", tmp_path / "bare.html", rows=False)
    assert "20 to 69" not in bare.cells, "the age of somebody"
    assert "categorical" in bare.cells


def test_what_is_known_beforehand_has_a_loss_of_one():
    rng = np.random.default_rng(0)
    numbers = rng.normal(3, 2, 400)
    numbers[::5] = np.nan
    table = pd.DataFrame({"n": numbers, "b": rng.choice(["u", "v"], 400, p=[0.3, 0.7])})
    table["c"] = rng.choice(["x", "y", "z"], 400)
    columns = datasets.Columns.fit(table)
    x = columns(table)
    loss = ColumnwiseLoss.fit(columns.groups, x)
    known = x[:, 1] == 0
    mean = np.where(np.arange(x.shape[1]) == 0, x[known, 0].mean(), x.mean(axis=0))
    guessing = SimpleNamespace(reconstruct=lambda rows: np.tile(mean, (len(rows), 1)))
    guessed = report_columns.column_losses(guessing, None, loss, x)
    np.testing.assert_allclose(guessed, 1, rtol=1e-3)
    rebuilding = SimpleNamespace(reconstruct=lambda rows: rows)
    assert (report_columns.column_losses(rebuilding, None, loss, x) < 1e-4).all()
    masked = report_columns.column_losses(rebuilding, MaskingNoise(0.5, seed=0), loss, x)
    assert (masked > 0.1).all(), "what the noise has taken away"


def test_no_rows(table_run, vae_run, tmp_path):
    page = read_report(table_run, tmp_path / "new" / "page.html", rows=False)
    assert "Rows of the data were left out" in page.text
    assert "This page shows rows of the data" in read_report(table_run).text
    assert headings(page) == ["Confusion", "Filters", "Activations"]
    values = set(pd.read_csv(table_run.parent / "rows.csv")[COLUMNS].to_numpy().ravel())
    shown = {float(number) for number in re.findall(r"-?\d+\.\d{3,}", page.text)}
    assert not values & shown
    strip = base64.b64encode((table_run / "reconstructions.png").read_bytes()).decode()
    assert not any(strip in picture for picture in page.pictures)
    assert any(strip in picture for picture in read_report(table_run).pictures)
    page = read_report(vae_run, tmp_path / "vae.html", rows=False)
    assert headings(page) == ["Filters", "Activations"], "a decoder may know rows by heart"
    assert set(pictures.OF_ROWS) | set(pictures.SHOWING_ROWS) <= set(pictures.KINDS)


def test_an_autoencoder_without_labels(vae_run):
    page = read_report(vae_run)
    metrics = json.loads((vae_run / "metrics.json").read_text())
    for part in ("valid", "test"):
        low, high = metrics[part]["interval"]
        assert f"{metrics[part]['reconstruction_error']:.4f}" in page.cells
        assert f"{low:.4f} to {high:.4f}" in page.cells
    expected = ["Reconstructions", "Codes", "Filters", "Activations", "Manifold", "Traversals"]
    assert headings(page) == expected
    assert "model.score(rows)" in page.code[-1]
    assert "64, images of 8 x 8 x 1" in page.cells


@pytest.mark.parametrize("trouble", ["moved", "changed"])
def test_data_that_are_not_there_any_more(table_run, tmp_path, trouble):
    rows = table_run.parent / "rows.csv"
    kept = rows.read_bytes()
    try:
        if trouble == "moved":
            rows.rename(tmp_path / "rows.csv")
        else:
            rows.write_bytes(kept + kept.splitlines(keepends=True)[1])
        page = read_report(table_run, tmp_path / "page.html")
        without_rows = read_report(table_run, tmp_path / "page.html", rows=False)
    finally:
        rows.write_bytes(kept)
    # Of 121 rows, 25 are test rows and 13 validation rows: both are rounded up.
    reason = {"moved": "No such data file", "changed": "they have 83 training rows now, and had 84"}
    assert "could not be read when this report was written (" in page.text
    assert reason[trouble] in page.text
    assert headings(page) == ["Reconstructions", "Filters"], "those that need no data"
    assert {"84", "12", "24"} <= set(page.cells), "as the run has noted"
    metrics = json.loads((table_run / "metrics.json").read_text())
    assert f"{100 * metrics['test']['error']:.2f} %" in page.cells
    assert "run.rows('new.csv')" in page.code[0]
    assert "written, so what needs them" in without_rows.text, "a reason may quote a value"


def test_neither_validation_nor_test_rows(tmp_path):
    experiment = zoo.default("mlp").but(
        {"hidden_units": [4], "data.name": "xor", "data.split": "full", "training.epochs": 1}
    )
    run = experiments.run(experiment, verbose=0)
    with pytest.raises(ValueError, match="not in a folder: name the file to write by path"):
        experiments.report(run)
    page = read_report(run, tmp_path / "page.html")
    assert "neither validation nor test rows" in page.text
    assert "How many of the training rows" in page.text
    expected = ["Confusion", "Decision surface", "Codes", "Filters", "Activations"]
    assert headings(page) == expected
    assert "This run is not in a folder" in page.text


@pytest.mark.full
def test_figures_of_ones_own(table_run, tmp_path):
    """`run(measure=...)` may return anything that JSON holds."""
    for figure, text in ((0.25, "0.2500"), ({"area_under_curve": 0.75}, "0.7500")):
        run = dataclasses.replace(
            experiments.load_run(table_run), folder=None, metrics={"test": figure}
        )
        page = read_report(run, tmp_path / "page.html")
        assert page.cells[0] == text
        assert "Learning curves" not in page.source


def test_a_run_of_version_0_2_0(tmp_path):
    page = read_report(shutil.copytree(SAVED, tmp_path / "run"))
    metrics = json.loads((SAVED / "metrics.json").read_text())
    assert f"{100 * metrics['test']['error']:.2f} %" in page.cells
    assert headings(page) == ["Confusion", "Codes", "Filters", "Activations"]


def test_what_is_refused(table_run, tmp_path):
    with pytest.raises(ValueError, match=r"is not a finished run, as config.json and model.keras"):
        experiments.report(tmp_path)
    folder = shutil.copytree(table_run, tmp_path / "run")
    (folder / "backup").mkdir()
    sentence = r"was interrupted: finish it by `keras-sda train --resume .*run`\.$"
    with pytest.raises(ValueError, match=sentence):
        experiments.report(folder)
    (folder / "backup").rmdir()
    (folder / run_folder.METRICS).unlink()
    with pytest.raises(ValueError, match=r"and .*run has no metrics.json: train it again\.$"):
        experiments.report(folder)
    kept = (table_run / "model.keras").read_bytes()
    with pytest.raises(ValueError, match=r"must be a file name that ends in .html. Received: .*s$"):
        experiments.report(table_run, table_run / "model.keras")
    assert (table_run / "model.keras").read_bytes() == kept
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"output folder .*file cannot be written \(.*\): name"):
        experiments.report(table_run, tmp_path / "file" / "page.html")
