"""Exports of models of tables, run by their own runtimes on raw rows, against `Columns`."""

import datetime
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from commands import call
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import in_tiers

import keras_sda as ks
from keras_sda.datasets import Columns
from keras_sda.experiments import load_run
from keras_sda.exporting.column_maps import ColumnMaps

FORMATS = {"tf_saved_model": "tensorflow", "onnx": "tf2onnx", "litert": "ai_edge_litert"}
NAMES = {"tf_saved_model": "model", "onnx": "model.onnx", "litert": "model.tflite"}
SCRIPT = Path(__file__).parents[1] / "examples" / "serving" / "table.py"
TITANIC = Path(os.environ.get("KERAS_SDA_DATA", "")) / "tables" / "titanic.csv"
SCALES = ["squash", "quantile", "standard", "robust", "unit", "symmetric", None]

formats = pytest.mark.parametrize("format", FORMATS)


def to_millionths(number):
    """Two numbers below 1e-38 are one in float32, in whatever parts."""
    return round(number, 6)


# Of each kind what a table may hold; of moments and seconds float32 loses what they differ by.
CELLS = {
    "number": st.one_of(st.none(), st.floats(-1e6, 1e6).map(to_millionths), st.integers(-5, 5)),
    "seconds": st.one_of(st.none(), st.integers(1_700_000_000, 1_700_000_060)),
    "text": st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["a", "b", " a "])),
    "flag": st.one_of(st.none(), st.booleans()),
    "two": st.sampled_from([None, 0, 1]),
    "few": st.sampled_from([None, 0.1, 2, 30]),
    "day": st.one_of(st.none(), st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))),
    "moment": st.one_of(
        st.none(), st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))
    ),
}
ROW = st.fixed_dictionaries(CELLS)
KINDS = {"few": "categorical", "number": "numeric", "seconds": "numeric"}


def frame(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(CELLS), dtype=object)


def fitted(rows, scale) -> Columns:
    """Columns of a table that has a number in each row."""
    table = frame(rows).assign(fixed=np.arange(len(rows)) % 3 * 1.0)
    known = {name: kind for name, kind in KINDS.items() if table[name].notna().any()}
    return Columns.fit(table, scale=scale, kinds={"fixed": "numeric", **known})


def mapped(columns: Columns, table: pd.DataFrame) -> np.ndarray:
    """What the operations of Keras make of the arrays of an export."""
    arrays = columns.arrays(table)
    codes = np.zeros((len(table), len(columns.layout["categories"])), "int32")
    for place, held in enumerate(columns.layout["categories"]):
        known = [*held["known"], ""]
        text = arrays["categories"][:, place].tolist()
        codes[:, place] = [known.index(t) if t in known else len(known) for t in text]
    numbers = arrays.get("numbers")
    maps = ColumnMaps(columns.used, "float32")
    given = (None if numbers is None else keras.ops.convert_to_tensor(numbers), codes)
    return keras.ops.convert_to_numpy(maps(*given)[0])


def close(given, wanted):
    """To 1e-5 of the row's largest value, or of 1."""
    size = np.maximum(1, np.abs(wanted).max(axis=1, keepdims=True))
    np.testing.assert_allclose(given / size, wanted / size, rtol=0, atol=1e-5)


@given(st.lists(ROW, min_size=3, max_size=20), st.lists(ROW, min_size=1), st.sampled_from(SCALES))
@settings(max_examples=40, deadline=None)
def test_keras_maps_any_table_as_numpy_does(rows, new, scale):
    columns = fitted(rows, scale)
    for table in (frame(rows), frame(new)):
        table["fixed"] = 1.0
        close(mapped(columns, table), columns(table))


TRAINING = [
    {
        "number": None if row % 7 == 0 else (row * 37 % 101) ** 2 / 10,
        "seconds": 1_700_000_000 + row * 13 % 60,
        "text": ["a", "b", "c", None][row % 4],
        "flag": [True, False, None][row % 3],
        "two": row // 2 % 2,
        "few": [0.1, 2, 30][row // 3 % 3],
        "day": datetime.date(2000, 1, 1) + datetime.timedelta(row * 71 % 997),
        "moment": datetime.datetime(2024, 2, 29, 12) + datetime.timedelta(hours=row * 31 % 9999),
    }
    for row in range(60)
]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A function that exports a small model of a table once, and runs it as a stranger would."""
    folder, made = tmp_path_factory.mktemp("exports"), {}

    def make(format, scale):
        pytest.importorskip(FORMATS[format])
        if (format, scale) not in made:
            columns = fitted(TRAINING, scale)
            model = ks.DenoisingAutoencoder(len(columns.input_names), 4, seed=0)
            path = folder / f"{scale}-{NAMES[format]}"
            table = frame(TRAINING).assign(fixed=1.0)
            differences = model.export(path, format=format, columns=columns, rows=table)
            assert max(differences.values()) <= 1e-5
            made[format, scale] = columns, model, load(path, format), path
        return made[format, scale]

    return make


def load(path, format):
    """Returns a function of arrays that runs an export as a user without Keras would."""
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda arrays: dict(zip(names, session.run(None, arrays), strict=True))
    if format == "litert":
        from ai_edge_litert.interpreter import Interpreter

        return lambda arrays: Interpreter(str(path)).get_signature_runner()(**arrays)
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    names = set(loaded.signatures) - {"serving_default"}
    return lambda arrays: {name: getattr(loaded, name)(**arrays).numpy() for name in names}


def check(outputs, model, columns, table):
    x = columns(table)
    close(outputs["serve"], model.predict(x, verbose=0))
    close(outputs["encode"], model.encode(x))
    scores = model.reconstruction_error(x) + columns.excess(table)
    np.testing.assert_allclose(outputs["score"], scores, rtol=1e-5, atol=1e-5)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("scale", in_tiers(["squash", "quantile"], ["squash"]))
@formats
@given(rows=st.lists(ROW, min_size=1, max_size=20))
@settings(max_examples=15, deadline=None)
def test_exports_take_any_table(format, scale, small, rows):
    columns, model, run, _ = small(format, scale)
    table = frame(rows).assign(fixed=1.0)
    check(run(columns.arrays(table)), model, columns, table)


@pytest.mark.tensorflow_only
@formats
def test_an_outlier_counts_in_the_score(format, small):
    """Age 9,999: the scale cuts it off before the network, but not before the score."""
    columns, model, run, _ = small(format, "unit")
    table = frame(TRAINING).assign(fixed=1.0)
    table.loc[0, "number"], table.loc[1, "number"] = 1e5, None
    outputs = run(columns.arrays(table))
    check(outputs, model, columns, table)
    number = columns.columns[0].number
    cut_off = ((1e5 - number.offset) * number.factor - 1) ** 2
    assert outputs["score"][0] > cut_off > 1000
    assert outputs["score"][1] < 100


@formats
@pytest.mark.tensorflow_only
def test_an_export_says_what_its_inputs_are(format, small):
    columns, _, _, path = small(format, "squash")
    if format == "onnx":
        import onnx

        text = {entry.key: entry.value for entry in onnx.load(path).metadata_props}["columns"]
    elif format == "litert":
        text = zipfile.ZipFile(path).read("columns.json").decode()
    else:
        text = (path / "columns.json").read_text(encoding="utf-8")
    told = json.loads(text)
    assert [(each["column"], each["holds"]) for each in told["numbers"]] == [
        *(("number", "number"), ("seconds", "number"), ("seconds", "rest"), ("flag", "boolean")),
        *(("two", "number"), ("day", "days"), ("day", "rest"), ("moment", "days")),
        *(("moment", "rest"), ("fixed", "number")),
    ]
    assert told["categories"] == [
        {"column": "text", "known": ["a", "b", "c"]},
        {"column": "few", "known": ["0.1", "2", "30"]},
    ]
    assert told["model_inputs"] == list(columns.input_names)
    assert Columns.from_dict(told["columns"]) == columns


def test_arrays_worked_by_hand():
    columns = fitted(TRAINING, "squash")
    table = frame(
        [
            {"number": 0.5, "seconds": 1_700_000_007, "text": " b ", "flag": True, "two": 1},
            {
                "few": 2,
                "day": datetime.date(1970, 1, 3),
                "moment": datetime.datetime(1970, 1, 2, 6),
            },
        ]
    )
    arrays = columns.arrays(table.assign(fixed=3.0))
    # float32 resolves 128 seconds so far from zero.
    gap = np.nan
    expected = [[0.5, 1.7e9, 7, 1, 1, gap, 0, gap, 0, 3], [gap, gap, 0, gap, gap, 2, 0, 1.25, 0, 3]]
    np.testing.assert_array_equal(arrays["numbers"], np.array(expected, "float32"))
    assert arrays["categories"].tolist() == [["b", ""], ["", "2"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "all"}, "must be keras_sda.datasets.Columns, such as `data.columns`"),
        (
            {"columns": Columns.fit({"a": [1.5, 2, 2]})},
            r"must make the \d+ inputs of the model. Received columns that make 1: pass those of",
        ),
        ({"scaling": ks.datasets.Scaling(2.0)}, "either `scaling` or `columns`, not both"),
        ({"rows": {"number": [1.0]}}, "lacks 8 of the 9 columns that the model was trained on"),
        ({"format": "openvino"}, "Arguments `scaling`, `columns`, .* are for the formats"),
    ],
)
def test_refusals(options, message, tmp_path):
    columns = fitted(TRAINING, "squash")
    model = ks.DenoisingAutoencoder(len(columns.input_names), 4, seed=0)
    with pytest.raises(ValueError, match=message) as caught:
        model.export(tmp_path / "model", **{"columns": columns, **options})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.tensorflow_only
def test_the_script_needs_no_tensorflow(tmp_path):
    """A stranger's reader of .csv files, with what the export says of its inputs."""
    pytest.importorskip("tf2onnx")
    columns, table = fitted(TRAINING, "squash"), frame(TRAINING).assign(fixed=1.0)
    model = ks.StackedDenoisingAutoencoder(len(columns.input_names), [4], num_classes=2, seed=0)
    rng = np.random.default_rng(0)
    model.head.kernel.assign(rng.normal(size=model.head.kernel.shape))
    threshold = float(np.median(model.reconstruction_error(columns(table)))) + 0.01
    options = {"format": "onnx", "columns": columns, "rows": table, "threshold": threshold}
    model.export(tmp_path / "table.onnx", **options)
    table.loc[3, "text"] = "never seen"
    table[table.columns[::-1]].to_csv(tmp_path / "rows.csv", index=False)
    code = (
        "import runpy, sys\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "print(sorted({'tensorflow', 'keras', 'keras_sda', 'pandas'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "table.onnx", "rows.csv"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    *lines, modules = result.stdout.splitlines()
    assert modules == "[]", result.stderr
    x = columns(table)
    probabilities, scores = model.predict(x, verbose=0), model.reconstruction_error(x)
    assert len(set(probabilities.argmax(axis=1))) == 2
    assert 0 < (scores > threshold).sum() < len(lines) == 60
    for row, line in enumerate(lines):
        assert line.startswith(f"row {row}: class {probabilities[row].argmax()} (")
        assert float(line.split("(")[1][:5]) == pytest.approx(probabilities[row].max(), abs=6e-4)
        assert float(line.split("score ")[1].split(",")[0]) == pytest.approx(scores[row], abs=6e-4)
        assert line.endswith(", anomaly") == (scores[row] > threshold)


@pytest.mark.tensorflow_only
@pytest.mark.skipif(not TITANIC.is_file(), reason="needs KERAS_SDA_DATA with tables/titanic.csv")
def test_titanic_from_the_file_to_every_runtime(tmp_path):
    run = tmp_path / "run"
    quick = ("--units", "16", "--pretrain-epochs", "1", "--epochs", "1", "--no-cross-validate")
    data = ("--data", TITANIC, "--target", "survived", "--no-backup", "--quiet")
    assert call("train", *data, *quick, "--output", run).exit_code == 0
    loaded = load_run(run)
    table = pd.read_csv(TITANIC).drop(columns="survived").iloc[:1000]
    table.loc[:4, "sex"], table.loc[5:9, "pclass"] = "unknown", None
    for format, package in FORMATS.items():
        pytest.importorskip(package)
        name = {"tf_saved_model": "savedmodel"}.get(format, format)
        path = tmp_path / NAMES[format]
        result = call("export", run, "--format", name, "--threshold", 5, "--output", path)
        assert result.exit_code == 0, result.output
        outputs = load(path, format)(loaded.columns.arrays(table))
        check(outputs, loaded.model, loaded.columns, table)
        assert 0 < outputs["anomaly"].sum() < 1000
