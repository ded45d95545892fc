"""A run that holds a detector of outliers: trained, kept without pickle, used by every command."""

import json
import shutil
import subprocess
import sys
import zipfile
from signal import SIGINT

import numpy as np
import pages
import pytest
from commands import as_soon_as, call, refused
from sklearn.datasets import load_wine
from sklearn.metrics import average_precision_score

from keras_sda import experiments
from keras_sda.experiments import zoo
from keras_sda.sklearn import SDAOutlierDetector

pd = pytest.importorskip("pandas")

OPTIONS = {"hidden_units": [4], "epochs": 3, "calibration": "training"}


def wine():
    """Wines of two cultivars, ten of the third that are strange there, and a name for each."""
    frame = load_wine(as_frame=True).frame
    chosen = pd.concat([frame[frame.target != 0], frame[frame.target == 0].iloc[:10]])
    strange = (chosen.pop("target") == 0).astype(int)
    return chosen.assign(strange=strange).sample(frac=1, random_state=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The run of a table of numbers with labels."""
    path = tmp_path_factory.mktemp("wine")
    wine().to_csv(path / "wine.csv", index=False)
    options = [f"--set={key}={value}" for key, value in OPTIONS.items() if key != "hidden_units"]
    result = call(
        *("train", "--task", "outliers", "--data", path / "wine.csv", "--target", "strange"),
        *(*options, "--units", 4, "--seed", 3, "--output", path / "run"),
    )
    assert result.exit_code == 0, result.output
    assert "wine.csv: 103 train, 26 test" in result.output
    return path / "run"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """The run of a table with text, gaps and a column that names rows, without labels."""
    path = tmp_path_factory.mktemp("mixed") / "mixed.csv"
    frame = wine().drop(columns="strange").iloc[:, :4]
    frame["soil"] = np.where(frame["ash"] > 2.4, "lime", "clay")
    frame["soil"] = frame["soil"].where(np.arange(len(frame)) % 7 != 0, "loam")
    frame.loc[frame.index[::10], "malic_acid"] = np.nan
    frame.insert(0, "bottle", [f"b{number}" for number in range(len(frame))])
    frame.to_csv(path, index=False)
    experiment = zoo.default("detector").but(
        {**OPTIONS, "data.name": str(path), "data.ids": ["bottle"]}
    )
    return experiments.run(experiment, path.parent / "run", verbose=0)


def test_the_folder_holds_the_detector_of_scikit_learns_interface(folder):
    assert {path.name for path in folder.iterdir()} == {
        *("model.keras", "detector.json", "config.json", "metrics.json"),
        *("learning_curves.png", "filters.png", "reconstructions.png"),
    }
    names = zipfile.ZipFile(folder / "model.keras").namelist()
    assert sorted(names) == ["config.json", "metadata.json", "model.weights.h5"]
    run = experiments.load_run(folder)
    frame = pd.read_csv(folder.parent / "wine.csv").drop(columns="strange")
    train = run.raw_rows(part="train").x[list(frame.columns)]
    own = SDAOutlierDetector(**OPTIONS, random_state=3).fit(train)
    assert run.detector.threshold_ == pytest.approx(own.threshold_, rel=1e-5)
    np.testing.assert_allclose(
        run.reconstruction_error(frame), -own.score_samples(frame), rtol=1e-4
    )
    clear = np.abs(own.decision_function(frame)) > 1e-3
    given = run.detector.predict(run.scaled(frame))
    np.testing.assert_array_equal(given[clear], own.predict(frame)[clear])
    np.testing.assert_allclose(run.detector.p_values(run.scaled(train)), own.p_values(train))


def test_figures_are_those_of_the_labels(folder):
    path = folder.parent / "wine.csv"
    result = call("evaluate", folder, "--data", path)
    assert result.exit_code == 0, result.output
    run = experiments.load_run(folder)
    frame = pd.read_csv(path)
    labels = frame.pop("strange").to_numpy()
    scores = run.reconstruction_error(frame)
    # How often an outlier scores above another row.
    area = (scores[labels == 1][:, None] > scores[labels == 0]).mean()
    precision = average_precision_score(labels, scores)
    flagged = scores > run.detector.threshold_
    right = 100 * labels[flagged].mean()
    assert 0 < flagged.sum() < len(frame)
    assert (
        f"ROC-AUC {area:.3f}, average precision {precision:.3f} (10 outliers); "
        f"{100 * flagged.mean():.2f} % flagged (95 % interval "
    ) in result.output
    assert f"{flagged.sum()} of 129 rows), {right:.1f} % of them outliers" in result.output
    # Without labels, or with one kind alone, the share.
    frame.to_csv(folder.parent / "new.csv", index=False)
    told = call("evaluate", folder, "--data", folder.parent / "new.csv").output
    assert f": {100 * flagged.mean():.2f} % flagged" in told
    frame.assign(strange=0).to_csv(folder.parent / "new.csv", index=False)
    assert "ROC-AUC" not in call("evaluate", folder, "--data", folder.parent / "new.csv").output
    # What labels of other values mean is not known.
    for values, told in ((["yes", "no"], "no, yes"), ([2, 1], "2")):
        frame.assign(strange=np.where(labels == 1, *values)).to_csv(
            folder.parent / "new.csv", index=False
        )
        assert refused("evaluate", folder, "--data", folder.parent / "new.csv") == (
            f"The labels of outliers must be 1, and those of other rows 0. Received {told} in "
            f"{folder.parent / 'new.csv'}: change them, or leave the target out."
        )


def test_table_with_text_and_gaps(mixed):
    again = experiments.load_run(mixed.folder)
    frame = mixed.raw_rows(part="train").x
    own = SDAOutlierDetector(**OPTIONS, random_state=0).fit(frame.drop(columns="bottle"))
    assert again.detector.threshold_ == mixed.detector.threshold_
    assert again.detector.threshold_ == pytest.approx(own.threshold_, rel=1e-5)
    np.testing.assert_allclose(
        again.reconstruction_error(frame), -own.score_samples(frame), rtol=1e-4
    )
    assert set(mixed.metrics["test"]) == {"flagged", "interval", "rows_flagged", "rows"}


def test_explanations_are_of_the_scores(mixed):
    frame = mixed.raw_rows(part="test").x.head(2).copy()
    frame.iloc[1, list(frame.columns).index("alcohol")] = 99.0
    lines = mixed.explain(frame, top=1)
    first = lines.iloc[0]
    assert (first["row"], first["column"], first["value"]) == (1, "alcohol", 99.0)
    assert 11 < first["expected"] < 15
    assert first["row_error"] == pytest.approx(mixed.reconstruction_error(frame)[1])
    assert 0 < first["error"] < first["row_error"]


def test_export_flags_the_same_raw_rows(mixed, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    result = call("export", mixed.folder, "--format", "onnx", "--output", tmp_path / "d.onnx")
    assert result.exit_code == 0, result.output
    assert f"score is above {mixed.detector.threshold_:.6g}" in result.output
    session = onnxruntime.InferenceSession(tmp_path / "d.onnx")
    frame = mixed.raw_rows(part="train").x
    score, anomaly = session.run(["score", "anomaly"], mixed.columns.arrays(frame))
    expected = mixed.reconstruction_error(frame)
    np.testing.assert_allclose(score, expected, rtol=1e-4)
    clear = np.abs(expected - mixed.detector.threshold_) > 1e-3
    assert 0 < anomaly.sum() < len(frame)
    np.testing.assert_array_equal(anomaly[clear], (expected > mixed.detector.threshold_)[clear])


def test_report_names_the_strangest_rows_of_the_file(mixed, tmp_path):
    path = mixed.folder.parent / "mixed.csv"
    frame = pd.read_csv(path)
    strangest = int(mixed.reconstruction_error(frame).argmax())
    reason = mixed.explain(frame, top=1, columns=1).iloc[0]
    expected = reason["expected"]
    expected = f"{expected:.4g}" if isinstance(expected, float) else expected
    written = experiments.report(mixed, tmp_path / "page.html").read_text(encoding="utf-8")
    cells = pages.read(written).cells
    words = next(c for c in cells if f"{reason['column']}: " in c and f"expected {expected}" in c)
    assert cells[cells.index(words) - 2] == f"{reason['row_error']:.4f}"
    assert f'<th scope="row">{strangest}</th>' in written
    hidden = experiments.report(mixed, tmp_path / "page.html", rows=False)
    assert "Strangest rows" not in hidden.read_text(encoding="utf-8")


@pytest.mark.parametrize("rows", [True, False])
def test_report_shows_scores_and_figures(folder, tmp_path, rows):
    written = experiments.report(folder, tmp_path / "page.html", rows=rows)
    page = pages.read(written.read_text(encoding="utf-8"))
    figures = json.loads((folder / "metrics.json").read_text())["test"]
    assert {f"{100 * figures['flagged']:.2f} %", f"{figures['roc_auc']:.4f}"} <= set(page.cells)
    drawn = {words.split(":")[0] for words in page.alternatives}
    assert "Scores" in drawn
    assert ("Codes" in drawn) is rows
    assert "run.detector.predict(x)" in page.code[0]


@pytest.mark.full
def test_an_interrupted_detector_begins_anew_to_the_same_result(folder, tmp_path):
    train = ("train", "--task", "outliers", "--data", folder.parent / "wine.csv", "--quiet")
    train = (*train, "--set=epochs=200", "--set=calibration=training", "--output", tmp_path / "run")
    # A process of its own: what compiles a graph in this one must not be cut off in the middle.
    command = [sys.executable, "-m", "keras_sda_cli", *map(str, train)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with as_soon_as(tmp_path / "run" / "config.json", lambda: process.send_signal(SIGINT)):
        _, told = process.communicate()
    assert process.returncode == 130, told
    resume = f"keras-sda train --resume {tmp_path / 'run'}"
    assert told.strip().splitlines()[-1] == f"Interrupted; to resume: {resume}."
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.json",
        "backup",
        ".lock",
    }
    assert call("train", "--resume", tmp_path / "run", "--quiet").exit_code == 0
    assert not (tmp_path / "run" / "backup").exists()
    undisturbed = (*train[:-1], tmp_path / "other")
    assert call(*undisturbed).exit_code == 0
    resumed, other = (experiments.load_run(tmp_path / name) for name in ("run", "other"))
    assert all(map(np.array_equal, resumed.model.get_weights(), other.model.get_weights()))
    assert resumed.detector.threshold_ == other.detector.threshold_


def test_refusals(folder, tmp_path):
    path = folder.parent / "wine.csv"
    train = ("train", "--task", "outliers", "--data", path, "--output", tmp_path / "run")
    assert refused(*train, "--epochs", 3) == (
        "The training of detector is among its own options, such as epochs and batch_size: set "
        "these (--set epochs=10) and leave out `training`."
    )
    assert "--task outliers trains a detector" in refused(*train, "--model", "mlp")
    assert "has no option 'units': " in refused(*train, "--set", "units=3")
    assert "must lie in (0, 0.5]" in refused(*train, "--set", "contamination=0.9")
    assert "is trained in float32" in refused(*train, "--dtype", "float64")
    frame = wine()
    frame["strange"] = np.where(frame["strange"] == 1, "yes", "no")
    frame.to_csv(tmp_path / "words.csv", index=False)
    given = ("train", "--task", "outliers", "--data", tmp_path / "words.csv", "--target", "strange")
    assert refused(*given, "--output", tmp_path / "run") == (
        "The labels of outliers must be 1, and those of other rows 0. Received no, yes in "
        "words.csv: change them, or leave the target out."
    )
    assert not (tmp_path / "run").exists()
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "detector.json").write_text('{"threshold": "high"}')
    assert "detector.json is damaged" in refused("evaluate", tmp_path / "copy")
    (tmp_path / "copy" / "detector.json").unlink()
    assert "detector.json is missing: train the run again" in refused("evaluate", tmp_path / "copy")
