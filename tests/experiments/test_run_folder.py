import json
from pathlib import Path

import numpy as np
import pytest

from keras_sda.experiments import Experiment, run_folder


def test_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(run_folder.free_folder("some/where/rows.csv", 3)) == "runs/rows-seed3"
    assert run_folder.prepare_folder(Path("runs/rows-seed3"), Experiment()) == "new"
    assert str(run_folder.free_folder("some/where/rows.csv", 3)) == "runs/rows-seed3-2"
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file/run cannot be written \(.*\): name another"):
        run_folder.prepare_folder(Path("file/run"), Experiment())
    with pytest.raises(ValueError, match="runs is not empty: name a new one"):
        run_folder.prepare_folder(Path("runs"), Experiment())


def test_an_unwritable_value_leaves_the_older_file_whole(tmp_path):
    path = tmp_path / "metrics.json"
    run_folder.save_json({"error": np.float32(0.5), "curve": np.arange(2)}, path)
    assert json.loads(path.read_text()) == {"format": 1, "error": 0.5, "curve": [0, 1]}
    with pytest.raises(TypeError, match="cannot write object as JSON"):
        run_folder.save_json({"error": object()}, path)
    assert json.loads(path.read_text())["error"] == 0.5


def test_discard_keeps_what_was_trained(tmp_path):
    for name, trained in (("refused", False), ("trained", True)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / run_folder.CONFIG).write_text("{}")
        if trained:
            (folder / run_folder.MODEL).write_text("weights")
        run_folder.discard_if_untrained(folder)
        assert folder.exists() == trained
