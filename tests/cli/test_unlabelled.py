"""`keras-sda` on tables with blank labels."""

import json
import sys
import warnings

import numpy as np
import pytest
from commands import call, refused

from keras_sda.experiments import load_run

pandas = pytest.importorskip("pandas")

# Without --head the model of each fold would be chosen by folds of its own.
QUICK = ["--units", "12", "--pretrain-epochs", "1", "--epochs", "2", "--head", "finetune"]


@pytest.fixture(scope="module")
def frame(digits):
    """120 rows of three kinds, of which every third has a label."""
    x, y = digits[0][digits[1] < 3][:120], digits[1][digits[1] < 3][:120]
    frame = pandas.DataFrame(16 * x, columns=[f"p{number}" for number in range(64)])
    names = pandas.Series(np.array(["nil", "one", "two"], dtype=object)[y])
    frame["kind"] = names.where(np.arange(120) % 3 == 0, None)
    return frame


@pytest.fixture(scope="module")
def run(frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    frame.to_csv(folder / "rows.csv", index=False)
    result = call(
        *("train", *QUICK, "--data", folder / "rows.csv", "--target", "kind"),
        *("--output", folder / "run"),
    )
    assert result.exit_code == 0, result.output
    (folder / "output.txt").write_text(result.output)
    return folder / "run"


def test_blank_labels_train_and_the_error_is_that_of_labelled_rows(run):
    output = (run.parent / "output.txt").read_text()
    loaded = load_run(run)
    parts = loaded.data.train, loaded.data.valid, loaded.data.test
    counts = [len(part.labelled.x) for part in parts]
    assert sum(counts) == 40
    train, valid, test = counts
    assert f"rows.csv: 84 train ({train} labelled), 12 valid ({valid} labelled), 24 test" in output
    assert f"Cross-validation on {train + valid} labelled rows: 5 more models, about 0." in output
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["rows"] == test
    pooled = metrics["cross_validation"]
    assert pooled["rows"] == train + valid
    assert (
        f"Cross-validation, 5 folds: error {100 * pooled['error']:.2f} % (95 % interval" in output
    )
    assert "cross-validation 0." in output.split("Minutes: ")[1]
    assert f"of {test} rows)" in call("evaluate", run).output
    assert loaded.classes == ["nil", "one", "two"]


def test_new_tables_with_blanks(run, frame, tmp_path):
    frame.to_parquet(tmp_path / "new.parquet")
    new = ("--data", tmp_path / "new.parquet", "--target", "kind")
    assert "of 40 rows)" in call("evaluate", run, *new).output
    result = call("plot", run, "confusion", "codes", *new, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    frame.assign(kind=None).to_parquet(tmp_path / "new.parquet")
    assert "is evaluated on rows with labels. Received rows without" in refused(
        "evaluate", run, *new
    )
    assert "the rows have no labels" in refused("plot", run, "confusion", *new)
    frame.assign(kind=frame["kind"].fillna(-1)).to_csv(tmp_path / "new.csv", index=False)
    message = refused("evaluate", run, "--data", tmp_path / "new.csv", "--target", "kind")
    assert "must be among ['nil', 'one', 'two']" in message
    assert message.endswith("Received also: -1")


def show(message, category, filename, lineno, *_):
    """Shows a warning as Python does, and pytest does not."""
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))
    sys.stderr.flush()


@pytest.mark.full
def test_minus_one_in_a_table(frame, tmp_path, monkeypatch):
    numbers = frame["kind"].map({"nil": 0, "one": 1, "two": 2}).fillna(-1).astype(int)
    frame.assign(kind=numbers).to_csv(tmp_path / "rows.csv", index=False)
    own = ("train", *QUICK, "--data", tmp_path / "rows.csv", "--target", "kind", "--quiet")
    monkeypatch.setattr(warnings, "showwarning", show)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        result = call(*own, "--output", tmp_path / "class", "--no-cross-validate")
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("Warning: Column 'kind' of ")
    assert "has the label -1 in 80 rows, which is a class in a table" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert load_run(tmp_path / "class").classes == [-1, 0, 1, 2]
    assert "Cross-validation" not in result.output
    # The same, and meant; then unlabelled.
    result = call(*own, "--output", tmp_path / "meant", "--unlabelled", "none", "--epochs", 0)
    assert (result.exit_code, result.stderr) == (0, "")
    result = call(*own, "--output", tmp_path / "mark", "--unlabelled", "-1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Cross-validation, 5 folds: error" in result.output
    marked = load_run(tmp_path / "mark")
    assert (marked.classes, marked.experiment.data.unlabelled) == (None, -1)
    assert marked.metrics["test"]["rows"] < 24
    new = ("--data", tmp_path / "rows.csv", "--target", "kind")
    assert "of 40 rows)" in call("evaluate", tmp_path / "mark", *new).output


@pytest.mark.full
def test_few_labels_of_a_named_set(tmp_path):
    result = call("train", *QUICK, "--labels", 50, "--output", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "digits: 1,257 train (50 labelled), 180 valid, 360 test; network" in result.output
    assert "Cross-validation" not in result.output
    assert "of 360 rows)" in call("evaluate", tmp_path / "run").output
    assert "of 50 rows)" in call("evaluate", tmp_path / "run", "--part", "train").output
    again = call("train", "--like", tmp_path / "run", "--print-config")
    assert "labels = 50" in again.output
    assert 'unlabelled = "auto"' in again.output
    message = refused("train", *QUICK, "--labels", 9)
    assert "must be from 10, one for each class, to 1257, the number of labelled" in message
    assert "must be from 10" in refused("train", *QUICK, "--labels", 1258)
    assert "'--labels'" in refused("train", *QUICK, "--labels", 0)
    message = refused("train", *QUICK, "--unlabelled", "?")
    assert "names a label of a file. Received: unlabelled='?' with 'digits'" in message


@pytest.mark.full
def test_a_resumed_run_is_cross_validated_as_it_was_begun(run, tmp_path, monkeypatch):
    from keras_sda.experiments import running

    own = ("--data", run.parent / "rows.csv", "--target", "kind")
    fit = running._fit

    def interrupted(model, experiment, data, saver, build):
        if saver.fold == 2:
            raise KeyboardInterrupt
        return fit(model, experiment, data, saver, build)

    for arguments, expected in (((), True), (("--no-cross-validate",), False)):
        folder = tmp_path / f"run{len(arguments)}"
        monkeypatch.setattr(running, "_fit", interrupted)
        result = call("train", *QUICK, *own, "--output", folder, "--quiet")
        assert result.exit_code == 130
        assert f"Interrupted; to resume: keras-sda train --resume {folder}" in result.stderr
        monkeypatch.undo()
        result = call("train", "--resume", folder, "--quiet", *arguments)
        assert result.exit_code == 0, result.output
        metrics = json.loads((folder / "metrics.json").read_text())
        assert ("cross_validation" in metrics) is expected
        whole = json.loads((run / "metrics.json").read_text())
        for name in ("training", "test", *(["cross_validation"] if expected else [])):
            assert metrics[name] == whole[name]


def test_one_class_alone_is_refused_before_training(frame, tmp_path):
    frame.assign(kind=np.arange(120) % 2).to_csv(tmp_path / "rows.csv", index=False)
    own = ("--data", tmp_path / "rows.csv", "--target", "kind", "--output", tmp_path / "run")
    message = refused("train", *QUICK, *own, "--unlabelled", "0")
    assert message == (
        "A classifier needs two classes, and the labelled training rows of rows.csv have one: "
        "choose another target, or mark fewer rows as unlabelled."
    )
    assert not (tmp_path / "run").exists()
