"""`impute` and `explain`: what a run expects of the cells of a table."""

import json
import resource

import numpy as np
import pandas as pd
import pytest
from commands import call, printed_by, refused
from people import people

from keras_sda.datasets import read_rows
from keras_sda.experiments import load_run

QUICK = ("--units", "16", "--pretrain-epochs", "30", "--epochs", "1", "--no-backup", "--quiet")


def people_with_pay() -> pd.DataFrame:
    frame = people()
    frame["pay"], frame["bonus"] = (2 * frame["income"]).round(2), 0.1 * frame["income"]
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("imputing")
    people_with_pay().to_csv(path / "people.csv", index=False)
    options = ("--id", "id", "--no-cross-validate", "--noise", "column_swap")
    printed_by(
        *("train", *QUICK, "--data", path / "people.csv", "--target", "rich", *options),
        *("--output", path / "run"),
    )
    return path


def test_impute_copies_what_is_there_and_fills_what_is_not(folder):
    lines = (folder / "people.csv").read_text().splitlines()
    # Numbers as people write them stay so; a column that the run does not know, too.
    lines = [f"{lines[0]},code", *(f"{line},00{n}" for n, line in enumerate(lines[1:]))]
    lines[2] = lines[2].replace(lines[2].split(",")[1], "+33.50", 1)
    (folder / "new.csv").write_text("\n".join(lines) + "\n")
    output = printed_by("impute", folder / "run", folder / "new.csv")
    assert "Filled 60 cells in 300 rows: age 30, city 30" in output
    filled = (folder / "new-filled.csv").read_text().splitlines()
    assert filled[0] == lines[0]
    for before, after in zip(lines[1:], filled[1:], strict=True):
        for old, new in zip(before.split(","), after.split(","), strict=True):
            assert new == old if old else new
    table = pd.read_csv(folder / "new-filled.csv")
    assert set(table["city"]) == {"Rome", "Oslo", "Bonn"}
    assert table["age"].between(20, 70).all()


def test_impute_fills_percentages_with_percentages(folder):
    table = people_with_pay()
    table["age"] = [f"{age:.0f}%" if age > 0 else "" for age in table["age"]]
    table["pay"] = [f"${pay:,.2f}" for pay in table["pay"]]
    table.loc[3, "pay"] = ""
    table.to_csv(folder / "signs.csv", index=False)
    printed_by("impute", folder / "run", folder / "signs.csv")
    filled = pd.read_csv(folder / "signs-filled.csv")
    assert filled["age"].str.fullmatch(r"[\d.]+%").all()
    assert filled["pay"].drop(3).equals(table["pay"].drop(3))
    again = read_rows(folder / "signs-filled.csv", None).x
    assert again["age"].between(20, 70).all()
    assert again["pay"].between(table["income"].min(), 3 * table["income"].max()).all()


@pytest.mark.parametrize("command", ["encode", "reconstruct", "explain", "impute"])
def test_files_that_are_read_are_not_replaced(folder, command, tmp_path):
    data = tmp_path / "rows.csv"
    people_with_pay().to_csv(data, index=False)
    (tmp_path / "link.csv").symlink_to(data)
    before = data.read_bytes()
    for output in (data, tmp_path / "link.csv"):
        message = refused(command, folder / "run", data, "--output", output)
        assert message == (
            f"The output {output} would replace a file that is read: give another name."
        )
    if command == "explain":
        for name in ("metrics.json", "config.json"):
            run_file = folder / "run" / name
            message = refused(command, folder / "run", data, "--output", run_file)
            assert "would replace a file that is read" in message
            json.loads(run_file.read_text())
    assert data.read_bytes() == before
    printed_by(command, folder / "run", data, "--output", tmp_path / "new.csv")
    assert not list(tmp_path.glob("partial-*"))


@pytest.mark.parametrize("name", ["codes.npy", "codes.csv", "codes.parquet"])
def test_a_full_disk_leaves_the_older_output(folder, name, tmp_path):
    output = tmp_path / name
    printed_by("encode", folder / "run", folder / "people.csv", "--output", output)
    before = output.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        message = refused("encode", folder / "run", folder / "people.csv", "--output", output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert message.startswith("the disk is full, or files may not be so large")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert output.read_bytes() == before


def test_impute_writes_parquet_and_works_from_python(folder):
    table = people_with_pay()
    table.to_parquet(folder / "new.parquet")
    printed_by("impute", folder / "run", folder / "new.parquet", "--output", folder / "out.parquet")
    filled = pd.read_parquet(folder / "out.parquet")
    pd.testing.assert_frame_equal(filled, load_run(folder / "run").impute(table))
    assert filled["rich"].tolist() == table["rich"].tolist()


def test_explain_names_a_value_that_training_never_had(folder):
    usual = people_with_pay().dropna()[:2]
    usual.iloc[1] = usual.iloc[0]
    usual.iloc[1, usual.columns.get_loc("city")] = "Atlantis"
    usual.to_csv(folder / "unseen.csv", index=False)
    output = printed_by("explain", folder / "run", folder / "unseen.csv")
    strangest = output.split("Row ")[1].splitlines()
    assert strangest[0].startswith("1, id")
    assert strangest[1].startswith("  city: Atlantis, expected ")


def test_explain_names_the_column_that_was_changed(folder):
    table = people_with_pay()
    well_paid = int(table["income"].where(table["age"].notna() & table["city"].notna()).idxmax())
    table.loc[well_paid, "pay"] = 2 * table["income"].min()
    table.loc[7, "age"] = np.nan
    table.to_csv(folder / "strange.csv", index=False)
    output = printed_by(
        *("explain", folder / "run", folder / "strange.csv", "--top", "300"),
        *("--output", folder / "why.json"),
    )
    head = f"Row {well_paid}, id p{well_paid}: reconstruction error "
    about = output.split(head)[1].splitlines()
    assert about[1].startswith("  pay: ")
    lines = json.loads((folder / "why.json").read_text())
    errors = [line["row_error"] for line in lines]
    assert errors == sorted(errors, reverse=True)
    first = next(line for line in lines if line["row"] == well_paid)
    assert (first["id"], first["column"]) == (f"p{well_paid}", "pay")
    # What is missing is not strange.
    assert all(line["column"] != "age" for line in lines if line["row"] == 7)
    run = load_run(folder / "run")
    frame = run.explain(table.iloc[[well_paid]], top=1, columns=1)
    x = run.columns(table.iloc[[well_paid]])
    before = run.model.reconstruction_error(x)[0]
    assert frame["row_error"][0] == pytest.approx(before)
    mended = table.iloc[[well_paid]].assign(pay=frame["expected"][0])
    fall = before - run.model.reconstruction_error(run.columns(mended))[0]
    assert frame["error"][0] == pytest.approx(fall, rel=1e-2)


@pytest.mark.full
def test_rows_of_numbers_have_numbered_features(tmp_path):
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(200, 1)), 4, axis=1) + 0.1 * rng.normal(size=(200, 4))
    np.savez(tmp_path / "rows.npz", x=x, y=np.arange(200) % 2)
    printed_by(
        *("train", *QUICK, "--data", tmp_path / "rows.npz", "--scale", "standard"),
        *("--no-cross-validate", "--output", tmp_path / "run"),
    )
    x[3, 2] += 50
    np.save(tmp_path / "new.npy", x)
    output = printed_by("explain", tmp_path / "run", tmp_path / "new.npy", "--top", "1")
    assert output.startswith("Row 3: reconstruction error ")
    assert "feature 2: " in output.splitlines()[1]
    own = (tmp_path / "run", tmp_path / "new.npy", "--output", tmp_path / "new.csv")
    assert "The run was not trained on a table" in refused("impute", *own)


def test_refusals(folder, tmp_path):
    run = folder / "run"
    assert "written as .csv or .parquet" in refused(
        "impute", run, folder / "people.csv", "--output", folder / "out.npy"
    )
    assert "written as .csv, .parquet or .json" in refused(
        "explain", run, folder / "people.csv", "--output", folder / "out.txt"
    )
    assert "Give a .csv or .parquet file" in refused("explain", run, "digits")
    people_with_pay()[["id", "age"]].to_csv(folder / "narrow.csv", index=False)
    assert "lacks 4 of the 5 columns" in refused("impute", run, folder / "narrow.csv")
    result = call(
        *("train", "--data", "digits", "--units", "16", "--pretrain-epochs", "1", "--epochs", "1"),
        *("--no-backup", "--quiet", "--output", tmp_path / "digits"),
    )
    assert result.exit_code == 0
    assert "Pixels are not explained" in refused("explain", tmp_path / "digits", "digits")
