"""`keras-sda study`: methods over numbers of labels."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pages
import pytest
from commands import call, refused
from studies import train_briefly

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    """The wines of scikit-learn as a table, every fourth without a label."""
    from sklearn.datasets import load_wine

    wine = load_wine(as_frame=True)
    table = wine.frame.assign(target=wine.target.map(lambda number: f"maker {number}"))
    table.loc[::4, "target"] = None
    path = tmp_path_factory.mktemp("data") / "wine.csv"
    table.to_csv(path, index=False)
    return path


@pytest.mark.full
def test_a_study_of_a_table(wine, tmp_path, monkeypatch):
    """Every method once, with one setting: a class has two labels at most."""
    train_briefly(monkeypatch, fine_tuning=3, pretraining=3)
    output = tmp_path / "study"
    options = ("--data", wine, "--target", "target", "--labels", "3", "--seeds", "1")
    result = call("study", *options, "--output", output)
    assert result.exit_code == 0, result.output
    first, *_ = result.stdout.splitlines()
    assert first.startswith("wine.csv: 142 rows to learn from (106 labelled), 27 to test; ")
    assert "Seed 0 (1 of 1), 3 labels: best is " in result.stdout
    assert result.stdout.splitlines()[-1] == f"Report, plot, table and JSON: {output}"
    assert "label spreading on codes *" in result.stdout
    assert {path.name for path in output.iterdir()} == {
        *("study.json", "errors.png", "report.html", "table.md")
    }
    content = json.loads((output / "study.json").read_text(encoding="utf-8"))
    # One label a class, and none to hold out: the first setting is taken.
    assert all(each["setting"] == 0 and not each["held_out"] for each in content["results"])
    page = pages.read((output / "report.html").read_text(encoding="utf-8"))
    assert "With 3 labels: " in page.text
    assert "This page shows no row of the data" in page.text
    # The same again reads what is there.
    before = time.perf_counter()
    again = call("study", *options, "--output", output, "--quiet")
    assert again.exit_code == 0
    assert time.perf_counter() - before < 5
    assert again.stdout.strip() in result.stdout
    message = refused("study", *options, "--seeds", "2", "--output", output)
    assert message.endswith(
        "where seeds is 1. Received seeds=2: give the setting as it was, or name another output "
        "folder."
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_leaves_what_is_measured(wine, tmp_path):
    output = tmp_path / "study"
    options = ["study", "--data", wine, "--target", "target", "--quick", "--output", output]
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_sda_cli", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    path = output / "study.json"
    for _ in range(1200):
        if path.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130, message
    assert f"Interrupted; the same command again resumes from {output}." in message
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["results"]
    assert "summary" not in content


def test_what_is_refused(tmp_path):
    assert refused("study", "--labels", "50,many") == (
        "Invalid value for '--labels': '50,many' is not a list of numbers such as 50,100,200."
    )
    assert "must lie from 10 to 1437" in refused(
        "study", "--labels", "5", "--output", tmp_path / "s"
    )
    assert "has no test rows with one" in refused(
        "study", "--data", "xor", "--output", tmp_path / "s"
    )
    assert not (tmp_path / "s").exists()


def test_help_answers():
    text = call("study", "--help").output
    assert max(map(len, text.splitlines())) <= 100
    for word in ("--labels", "--seeds", "--quick", "--unlabelled", "report.html", "resumes"):
        assert word in text


@pytest.mark.full
def test_a_study_of_a_table_with_text_gaps_and_groups(tmp_path, monkeypatch):
    """One in eight is ill, and a visit tells of the others of the same patient."""
    train_briefly(monkeypatch, fine_tuning=3, pretraining=3)
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(60), 4)
    ill = (patient % 8 == 0).astype(int)
    table = pd.DataFrame({"visit": range(240), "patient": patient, "ward": "A"})
    table["ward"] = np.where(rng.random(240) < 0.3 + 0.5 * ill, "B", "A")
    table["fever"] = rng.normal(37 + ill, 0.5).round(1)
    table.loc[::7, "fever"] = np.nan
    table["what"] = np.where(ill, "ill", "well")
    table.to_csv(tmp_path / "visits.csv", index=False)
    options = ("--data", tmp_path / "visits.csv", "--target", "what", "--id", "visit")
    options += ("--groups", "patient", "--labels", "16", "--seeds", "1")
    result = call("study", *options, "--output", tmp_path / "study")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    assert content["data"]["features"] == 3, "ward, fever, and whether it is missing"
    assert content["data"]["scale"] == "squash"
    assert content["settings"]["groups"] == "patient"
    for each in content["results"]:
        assert 0 <= each["figures"]["balanced accuracy"] <= 1
        assert 0 <= each["figures"]["ROC-AUC"] <= 1
    forest = content["summary"]["figures"]["ROC-AUC"]["random forest"]["16"]["mean"]
    assert forest > 0.7, "fever tells"
    assert "The classes are unbalanced: 1" in result.stdout
    assert "of class ill, and always guessing the commonest class" in result.stdout
    assert "With 16 labels: the best balanced accuracy has " in result.stdout
    assert "visits.csv: ROC-AUC, the higher, the better" in result.stdout
    page = pages.read((tmp_path / "study" / "report.html").read_text(encoding="utf-8"))
    assert "column patient, none in two parts" in page.cells
    assert "--id visit --groups patient" in page.code[-1]
    assert "judge by ROC-AUC" in page.text
    refusal = refused("study", *options[:4], "--groups", "nobody", "--output", tmp_path / "a")
    assert "Argument `groups` must be a column" in refusal
