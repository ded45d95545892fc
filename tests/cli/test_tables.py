"""The program on tables as people have them: by name, with text and gaps, and regression."""

import numpy as np
import pandas as pd
import pytest
from commands import call, printed_by, refused
from people import people

from keras_sda.experiments import cross_validation, load_run

QUICK = ("--units", "16", "--pretrain-epochs", "1", "--epochs", "30", "--no-backup", "--quiet")
ONE_HEAD = (*QUICK, "--head", "finetune")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables")
    people().to_csv(path / "people.csv", index=False)
    options = ("--id", "id", "--ignore", "income", "--no-cross-validate")
    printed_by(
        *("train", *QUICK, "--data", path / "people.csv", "--target", "rich", *options),
        *("--output", path / "run"),
    )
    return path


def test_a_run_takes_new_tables_by_name(folder):
    table = people()
    table.to_csv(folder / "new.csv", index=False)
    first = printed_by("evaluate", folder / "run", "--data", folder / "new.csv")
    assert float(first.split("error ")[1].split(" %")[0]) < 40  # of the majority 50
    shuffled = table[table.columns[::-1]].assign(extra=1)
    shuffled.to_csv(folder / "new.csv", index=False)
    second = call("evaluate", folder / "run", "--data", folder / "new.csv")
    assert second.stdout == first
    assert "no such columns: extra" in second.stderr
    table.rename(columns={"age": "years"}).to_csv(folder / "new.csv", index=False)
    assert "lacks 1 of the 2 columns" in refused(
        "evaluate", folder / "run", "--data", folder / "new.csv"
    )


def test_the_data_of_a_run_are_the_same_again(folder):
    run = load_run(folder / "run")
    assert run.columns.input_names[:3] == ("age", "age is missing", "city = Bonn")
    x, y = run.data.test
    assert x.shape == (60, len(run.columns.input_names))
    assert run.rows().x.tolist() == x.tolist()
    errors = int((run.model.predict(x, verbose=0).argmax(axis=1) != y).sum())
    assert errors == run.metrics["test"]["errors"]


def test_outputs_have_names_ids_and_units(folder):
    people().drop(columns="rich").to_csv(folder / "rows.csv", index=False)
    own = (folder / "run", folder / "rows.csv", "--output")
    printed_by("encode", *own, folder / "codes.parquet")
    codes = pd.read_parquet(folder / "codes.parquet")
    assert list(codes.columns[:2]) == ["id", "code 0"]
    assert codes["id"].tolist() == people()["id"].tolist()
    printed_by("reconstruct", *own, folder / "again.csv")
    again = pd.read_csv(folder / "again.csv")
    assert list(again.columns) == ["id", "age", "city"]
    assert set(again["city"].dropna()) <= {"Rome", "Oslo", "Bonn", "(other)"}


@pytest.mark.tensorflow_only
def test_an_export_takes_the_table_as_it_is(folder):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    run = load_run(folder / "run")
    output = printed_by("export", folder / "run", "--format", "onnx", "--contamination", 0.1)
    assert "Input numbers, 1 a row: age\nInput categories, 1 a row: city\n" in output
    assert "on 210 training rows" in output
    rows = people()[["city", "age"]].assign(extra=1)
    rows.loc[:9, "city"] = "Paris"  # unseen
    session = onnxruntime.InferenceSession(folder / "run" / "model.onnx")
    names = ["serve", "score", "anomaly"]
    serve, score, anomaly = session.run(names, run.columns.arrays(rows))
    np.testing.assert_allclose(serve, run.model.predict(run.columns(rows), verbose=0), atol=1e-5)
    np.testing.assert_allclose(score, run.reconstruction_error(rows), rtol=1e-5)
    threshold = float(output.split("score is above ")[1].split()[0])
    np.testing.assert_array_equal(anomaly, score > threshold)
    training = run.reconstruction_error(run.raw_rows(part="train").x)
    assert (training > threshold).mean() == pytest.approx(0.1, abs=0.005)


@pytest.mark.full
def test_regression_predicts_in_the_units_of_the_target(folder):
    output = printed_by(
        *("train", *QUICK, "--data", folder / "people.csv", "--target", "income"),
        *("--ignore", "rich", "--output", folder / "income"),
    )
    figure = load_run(folder / "income").metrics["test"]
    assert figure["r2"] > 0.6
    assert figure["mae"] < 1000
    assert f"R2 {figure['r2']:.3f}, mean absolute error" in output
    assert f"R2 {figure['r2']:.3f}" in printed_by("evaluate", folder / "income")


def test_a_table_whose_task_is_not_clear(folder):
    table = people().assign(income=np.arange(300))
    table.to_csv(folder / "whole.csv", index=False)
    own = ("train", *QUICK, "--data", folder / "whole.csv", "--target", "income")
    assert "300 different whole numbers" in refused(*own, "--output", folder / "whole")


def test_raw_rows_of_a_run_are_read_as_in_training(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=400), "b": rng.normal(size=400)})
    table.assign(group=np.arange(400) % 25).to_csv(tmp_path / "groups.csv", index=False)
    data = ("--data", tmp_path / "groups.csv", "--target", "group", "--scale", "unit")
    options = ("--task", "classification", "--no-cross-validate", "--output", tmp_path / "run")
    printed_by("train", *ONE_HEAD, *data, *options)
    run = load_run(tmp_path / "run")
    raw = run.raw_rows(part="train")  # whole numbers of 25 values are classes only by the task
    np.testing.assert_array_equal(raw.y, run.rows(part="train").y)
    np.testing.assert_allclose(run.scaled(raw.x), run.rows(part="train").x, atol=1e-6)


def test_test_rows_columns_of_parts_and_groups(folder):
    table = people()
    table["house"] = np.repeat(np.arange(60), 5)
    table[:200].to_csv(folder / "some.csv", index=False)
    table[200:].to_csv(folder / "others.csv", index=False)
    own = ("train", *ONE_HEAD, "--data", folder / "some.csv", "--target", "rich")
    own += ("--ignore", "income")
    own += ("--id", "id", "--test", folder / "others.csv", "--groups", "house")
    printed = printed_by(*own, "--print-config")
    assert 'groups = "house"' in printed
    assert f'test = "{folder / "others.csv"}"' in printed
    output = printed_by(*own, "--output", folder / "grouped")
    run = load_run(folder / "grouped")
    assert run.metrics["test"]["rows"] == 100
    assert run.metrics["cross_validation"]["folds"] == 5
    line = next(line for line in output.splitlines() if line.startswith("Test: "))
    again = printed_by("evaluate", folder / "grouped")
    assert again.splitlines()[0].split(": ")[1] == line.removeprefix("Test: ")
    houses = [set(run.data.groups[part].tolist()) for part in ("train", "valid")]
    assert not houses[0] & houses[1]
    fold = cross_validation.split(run.data, seed=0)[0]
    hidden = run.data.groups["train"][(fold.data.train.y < 0) & (run.data.train.y >= 0)]
    assert not set(hidden) & set(run.data.groups["train"][fold.data.train.y >= 0])
    changed = refused(*own[:-2], "--groups", "city", "--output", folder / "grouped")
    assert "where data.groups is 'house'. Received data.groups='city'" in changed


@pytest.mark.full
def test_a_column_says_which_rows_test(folder):
    table = people().assign(part=np.repeat(["train", "dev", "test"], 100))
    table.to_csv(folder / "parts.csv", index=False)
    output = printed_by(
        *("train", *QUICK[:-1], "--data", folder / "parts.csv", "--target", "rich"),
        *("--head", "finetune", "--ignore", "income,id", "--split-column", "part"),
        *("--output", folder / "parts"),
    )
    metrics = load_run(folder / "parts").metrics
    assert metrics["test"]["rows"] == 100
    alike = metrics["duplicates"]["test"]["in_training"]
    assert alike > 10  # of 50 ages and 3 cities
    assert f"{alike} of 100 test rows are also training rows" in output
    assert "of 100" in output
    new = table.drop(columns="part")
    new[200:].to_csv(folder / "new.csv", index=False)
    first = printed_by("evaluate", folder / "parts").splitlines()[0]
    second = printed_by("evaluate", folder / "parts", "--data", folder / "new.csv").splitlines()[0]
    assert first.split(": ")[1] == second.split(": ")[1]
