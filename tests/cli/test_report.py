"""`keras-sda report`: a page on a run."""

import pages
import pytest
from commands import call, refused


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on the digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    options = ("--model", "softmax", "--epochs", "2", "--output", folder, "--quiet")
    result = call("train", *options)
    assert result.exit_code == 0, result.output
    return folder


def test_a_report_is_one_file_in_the_run(run, tmp_path):
    result = call("report", run)
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(run / "report.html")
    page = pages.read((run / "report.html").read_text(encoding="utf-8"))
    assert page.titles[0] == "SoftmaxRegression on digits"
    assert f"keras-sda evaluate {run}\n" in page.code[1]
    elsewhere = tmp_path / "elsewhere" / "page.html"
    assert call("report", run, "--output", elsewhere, "--no-rows").exit_code == 0
    assert "--no-rows" in pages.read(elsewhere.read_text(encoding="utf-8")).text
    # What other commands read is as it was.
    assert call("evaluate", run).exit_code == 0


@pytest.mark.tensorflow_only
def test_the_exported_model_is_used_as_the_page_says(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    assert call("report", run.name).exit_code == 0
    page = pages.read((run / "report.html").read_text(encoding="utf-8"))
    assert page.code[2] == f"keras-sda export {run.name}"
    assert call(*page.code[2].split()[1:]).exit_code == 0
    namespace = {}
    exec(compile(page.code[3], "page", "exec"), namespace)  # noqa: S102 (what we have written)
    assert namespace["rows"].shape == (2, 64)


def test_what_is_refused(run, tmp_path):
    assert "is not a finished run, as config.json and model.keras" in refused("report", tmp_path)
    message = refused("report", run, "--output", tmp_path / "page.txt")
    assert (
        message == f"A report must be a file name that ends in .html. Received: {tmp_path}/page.txt"
    )
    (run / "backup").mkdir()
    message = refused("report", run)
    (run / "backup").rmdir()
    assert message.endswith(f"was interrupted: finish it by `keras-sda train --resume {run}`.")


def test_help_says_what_is_left_out():
    text = call("report", "--help").output
    assert max(map(len, text.splitlines())) <= 100
    for word in ("--no-rows", "--output", "--data-dir", "95 % intervals", "reconstructions"):
        assert word in " ".join(text.split())
