"""Exports run by their own runtimes, against the Keras models on real rows."""

import dataclasses
import functools
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiers import in_tiers

import keras_sda as ks
from keras_sda.exporting import FORMATS, writing
from keras_sda.exporting.graph import ExportGraph
from keras_sda.exporting.parity import rows_to_compare

pytestmark = pytest.mark.tensorflow_only

PACKAGES = {"tf_saved_model": "tensorflow", "onnx": "tf2onnx", "litert": "ai_edge_litert"}
NAMES = {"tf_saved_model": "model", "onnx": "model.onnx", "litert": "model.tflite"}
SERVING = Path(__file__).parents[1] / "examples" / "serving"

formats = pytest.mark.parametrize("format", PACKAGES)


@functools.cache
def data():
    return ks.datasets.load("digits")


@functools.cache
def raw():
    """The test rows before scaling: 0 to 16."""
    return ks.datasets.load("digits", scale=None).test.x


def fitted(model, **options):
    model.compile("adam", **options)
    x = data().train.x.reshape(-1, *model.row_shape)
    model.fit(x, data().train.y if options else None, epochs=2, verbose=0)
    return model


@functools.cache
def trained(name):
    """A small model, trained on the digits."""
    classes = {"loss": "sparse_categorical_crossentropy"}
    if name == "stack":
        stack = ks.StackedDenoisingAutoencoder(64, [32, 16], num_classes=10, seed=0)
        stack.pretrain(data().train.x, epochs=2, learning_rate=0.01, verbose=0)
        stack.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        stack.fit(*data().train, epochs=10, verbose=0)
        return stack
    if name == "denoising":
        return fitted(ks.DenoisingAutoencoder(64, 16, seed=0))
    if name == "variational":
        return fitted(ks.VariationalAutoencoder(64, (16,), 3, likelihood="gaussian", seed=0))
    if name == "convolutional":
        return fitted(ks.ConvolutionalAutoencoder((8, 8, 1), (4, 8), seed=0))
    return fitted(ks.MLP(64, [16], num_classes=10, seed=0), **classes)


def rows_of(model, x):
    return x.reshape(-1, *model.row_shape)


def export(model, folder, format, **options):
    pytest.importorskip(PACKAGES[format])
    path = folder / NAMES[format]
    return path, model.export(path, format=format, **options)


def load(path, format):
    """Returns a function of rows that runs an export as a user without Keras would."""
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda x: dict(zip(names, session.run(None, {"inputs": x}), strict=True))
    if format == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path))
        return lambda x: interpreter.get_signature_runner("serving_default")(inputs=x)
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    names = set(loaded.signatures) - {"serving_default"}
    return lambda x: {name: getattr(loaded, name)(tf.constant(x)).numpy() for name in names}


def expected(model, x):
    """The outputs of the model's public methods."""
    outputs = {"serve": model.predict(x, verbose=0), "encode": model.encode(x)}
    if hasattr(model, "reconstruction_error"):
        outputs["reconstruct"] = model.reconstruct(x)
        outputs["score"] = model.reconstruction_error(x)
    return outputs


def check(outputs, wanted):
    assert set(outputs) == set(wanted)
    for name, values in wanted.items():
        if name == "score":
            np.testing.assert_allclose(outputs[name], values, rtol=1e-5)
        else:
            np.testing.assert_allclose(outputs[name], values, rtol=0, atol=1e-5)
            assert outputs[name].shape == values.shape


@formats
@pytest.mark.parametrize(
    "name",
    in_tiers(["stack", "denoising", "variational", "convolutional", "mlp"], ["stack", "mlp"]),
)
def test_every_output_is_the_same_as_in_keras(name, format, tmp_path):
    model = trained(name)
    x = rows_of(model, data().test.x)
    path, differences = export(model, tmp_path, format, rows=x)
    wanted = expected(model, x)
    assert set(differences) == set(wanted)
    assert all(0 <= value <= 1e-5 for value in differences.values())
    run = load(path, format)
    for count in (1, 7, 100):
        check(run(x[:count]), {name: values[:count] for name, values in wanted.items()})


@formats
def test_scaling_and_threshold_inside(format, tmp_path):
    model = trained("stack")
    x = data().test.x
    score = model.reconstruction_error(x)
    threshold = float(np.quantile(score, 0.9))
    path, differences = export(
        model, tmp_path, format, scaling=data().scaling, threshold=threshold, rows=raw()
    )
    assert list(differences) == ["serve", "encode", "reconstruct", "score", "anomaly"]
    assert differences["anomaly"] == 0
    outputs = load(path, format)(raw())
    anomaly = outputs.pop("anomaly")
    assert anomaly.dtype == bool
    np.testing.assert_array_equal(anomaly, score > threshold)
    assert anomaly.sum() == 36
    check(outputs, expected(model, x))


@formats
def test_every_column_has_its_own_scale(format, tmp_path):
    """Columns far from zero keep their digits; values beyond the training rows are clipped."""
    rng = np.random.default_rng(0)
    offset = rng.uniform(-1e4, 1e4, 64) + np.where(np.arange(64) == 3, 1e6, 0)
    factor = 1 / rng.uniform(1, 100, 64)
    scaling = ks.datasets.Scaling(tuple(offset), tuple(factor), low=0.0, high=1.0)
    rows = (offset + rng.uniform(-0.5, 1.5, (200, 64)) / factor).astype("float32")
    model = trained("convolutional")
    path, _ = export(model, tmp_path, format, scaling=scaling, rows=rows_of(model, rows))
    scaled = scaling(rows)
    assert scaled.min() == 0
    assert scaled.max() == 1
    outputs = load(path, format)(rows_of(model, rows))
    wanted = expected(model, rows_of(model, scaled))
    wanted["score"] = wanted["score"] + scaling.excess(rows)
    check(outputs, wanted)


def test_scaling_is_as_exact_as_in_float64():
    """With the offset in a single float32 number, the scaled values would be wrong."""
    scaling = ks.datasets.Scaling(offset=2.0**24 + 1.25, factor=0.5)
    rows = np.full((2, 64), 2.0**24 + 4, "float32")
    graph = ExportGraph(trained("denoising"), {"serve": lambda x: x}, scaling=scaling)
    np.testing.assert_array_equal(graph(rows)["serve"], scaling(rows))


def test_rows_are_drawn_if_none_are_given():
    """Uniform in [0, 1] once scaled, so that the scaling has to be inverted."""
    model = trained("convolutional")
    scaling = ks.datasets.Scaling(offset=tuple(range(64)), factor=0.125)
    graph = ExportGraph(model, {"serve": model}, scaling=scaling)
    drawn = rows_to_compare(graph, None)
    assert drawn.shape == (32, 8, 8, 1)
    np.testing.assert_array_equal(drawn, rows_to_compare(graph, None))
    assert drawn.max() > 60
    scaled = scaling(drawn)
    assert 0 <= scaled.min() < 0.01
    assert 0.99 < scaled.max() <= 1
    many = np.zeros((5000, 8, 8, 1))
    assert rows_to_compare(graph, many).shape == (1000, 8, 8, 1)


def test_a_model_of_low_precision(tmp_path):
    model = ks.DenoisingAutoencoder(64, 16, dtype="mixed_bfloat16", seed=0)
    _, differences = export(model, tmp_path, "tf_saved_model", scaling=data().scaling)
    assert max(differences.values()) <= 2**-6
    message = r"float32. Received dtype='mixed_bfloat16': make the model again with dtype='float32'"
    for format in ("onnx", "litert"):
        with pytest.raises(ValueError, match=message):
            model.export(tmp_path / NAMES[format], format=format)


def content(path):
    if path.is_file():
        return path.read_bytes()
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


def write_another(graph, path, **options):
    """Writes a graph whose weights are not the model's."""
    model = graph.parts[0]
    weights = model.get_weights()
    model.set_weights([weight + 0.01 for weight in weights])
    try:
        FORMATS["tf_saved_model" if not path.suffix else _by_suffix(path)].write(graph, path)
    finally:
        model.set_weights(weights)


def _by_suffix(path):
    return next(name for name, each in FORMATS.items() if each.suffix == path.suffix)


def write_damaged(graph, path, **options):
    if path.suffix:
        path.write_bytes(b"damaged")
    else:
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"damaged")


def write_nothing(graph, path, **options):
    raise NotImplementedError("no such operation\nand much more")


@formats
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            write_another,
            r"must agree with the Keras model to 1e-05, but differs by \d\S+ in `(\w+)`; nothing "
            r"was written to .*model\S*: pass a larger `tolerance` if that is good enough\.$",
        ),
        (write_damaged, r"^The exported \w+ does not run \(.*\); nothing was written to .*model"),
        (
            write_nothing,
            r"^Keras could not convert this DenoisingAutoencoder to \w+ \(NotImplementedError: no "
            r"such operation\): export it in another format\.$",
        ),
    ],
)
def test_a_bad_export_replaces_nothing(format, write, message, tmp_path, monkeypatch):
    pytest.importorskip(PACKAGES[format])
    model = trained("denoising")
    path = tmp_path / NAMES[format]
    write_damaged(None, path)  # an older export
    before = content(path)
    replaced = dataclasses.replace(FORMATS[format], write=write)
    monkeypatch.setattr(writing, "FORMATS", {**FORMATS, format: replaced})
    with pytest.raises(ValueError, match=message) as caught:
        model.export(path, format=format)
    assert "\n" not in str(caught.value)
    assert content(path) == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name], "nothing is left behind"


def test_a_folder_that_cannot_be_moved_replaces_nothing(tmp_path, monkeypatch):
    model = trained("denoising")
    model.export(tmp_path / "model")
    before = content(tmp_path / "model")
    rename = Path.rename

    def refuse_new(path, target):
        if path.name == "new":
            raise PermissionError("no")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(PermissionError):
        model.export(tmp_path / "model")
    assert content(tmp_path / "model") == before


def test_raw_values_too_large_for_float32(tmp_path):
    """Seconds since 1970: float32 resolves two minutes, and the data span one."""
    rng = np.random.default_rng(0)
    rows = 1.7e9 + rng.uniform(0, 60, (50, 64))
    scaling = ks.datasets.Scaling(1.7e9, 1 / 60, low=0.0, high=1.0)
    with pytest.raises(
        ValueError, match="leave `scaling` out and scale rows beforehand, in float64"
    ):
        trained("denoising").export(tmp_path / "model", scaling=scaling, rows=rows)
    assert not (tmp_path / "model").exists()


def test_a_larger_tolerance(tmp_path):
    pytest.importorskip("ai_edge_litert")
    import tensorflow as tf

    options = {"format": "litert", "optimizations": [tf.lite.Optimize.DEFAULT]}
    # Kernels of fewer than 1,024 numbers stay as they are.
    model = ks.DenoisingAutoencoder(64, 64, seed=0)
    with pytest.raises(ValueError, match="The exported LiteRT must agree"):
        model.export(tmp_path / "model.tflite", **options)
    differences = model.export(tmp_path / "model.tflite", **options, tolerance=0.1)
    assert 1e-5 < max(differences.values()) < 0.1


REFUSALS = {
    "format": (
        dict(format="pickle"),
        "`format` of DenoisingAutoencoder.export.. must be one of 'tf_saved_model', 'onnx', 'lite",
    ),
    "suffix": (
        dict(format="onnx"),
        r"ONNX is written to a file whose name ends in \.onnx\. Received: .*model$",
    ),
    "scaling": (
        dict(scaling=lambda x: x),
        "must be a keras_sda.datasets.Scaling, such as `data.scaling`. Received: scaling=<functio",
    ),
    "columns": (
        dict(scaling=ks.datasets.Scaling(offset=(1.0, 2.0))),
        "one value per column, here 64. Received a scaling of 2 columns: pass that of the trai",
    ),
    "threshold": (
        dict(threshold=float("nan")),
        "must be a finite number, in the units of reconstruction_error. Received: threshold=nan",
    ),
    "rows": (
        dict(rows=np.zeros((3, 5))),
        r"expects `rows` of shape \(rows, 64\). Received shape \(3, 5\)",
    ),
    "rows with gaps": (dict(rows=np.full((3, 64), np.nan)), "needs finite numbers in `rows`"),
    "tolerance": (dict(tolerance=0), "`tolerance` of .* must be a finite number above 0"),
    "left to Keras": (
        dict(format="openvino", threshold=1.0),
        "are for the formats 'tf_saved_model', 'onnx', 'litert'. Received: format='openvino'; le",
    ),
}


@pytest.mark.parametrize(("options", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(options, message, tmp_path):
    if options.get("format") == "onnx":
        pytest.importorskip("tf2onnx")
    with pytest.raises(ValueError, match=message) as caught:
        trained("denoising").export(tmp_path / "model", **options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_classifier_has_no_score(tmp_path):
    with pytest.raises(
        ValueError, match="`threshold` of MLP.* needs a model with a reconstruction"
    ):
        trained("mlp").export(tmp_path / "model", threshold=1.0)
    model = ks.SoftmaxRegression(64, 10)
    assert set(model.export(tmp_path / "model")) == {"serve", "encode"}


@pytest.mark.parametrize(
    ("format", "backend", "message"),
    [
        ("tf_saved_model", "torch", "SavedModel can be written with the TensorFlow or the JAX bac"),
        ("onnx", "jax", "ONNX can be written with the TensorFlow backend of Keras. Received back"),
        (
            "litert",
            "jax",
            "Received backend 'jax': load the saved .keras file under TensorFlow and",
        ),
        ("litert", "torch", "LiteRT can be written with the TensorFlow backend of Keras. Received"),
    ],
)
def test_backends_that_cannot_write_it(format, backend, message, tmp_path, monkeypatch):
    model = trained("denoising")
    with monkeypatch.context() as patch:
        patch.setattr(keras.backend, "backend", lambda: backend)
        patch.setattr("keras_sda.backend.EXPORT_FORMATS", ())
        with pytest.raises(ValueError, match=message):
            model.export(tmp_path / NAMES[format], format=format)


@pytest.mark.parametrize(
    ("format", "absent", "message"),
    [
        (
            "onnx",
            {"onnx", "tf2onnx"},
            "Export to ONNX needs onnx, tf2onnx, onnxruntime, of which onnx, tf2onnx are missing: "
            'pip install "keras-sda[onnx]"',
        ),
        (
            "litert",
            {"ai_edge_litert"},
            "Export to LiteRT needs ai_edge_litert, of which ai_edge_litert is missing: "
            'pip install "keras-sda[litert]"',
        ),
    ],
)
def test_missing_packages(format, absent, message, tmp_path, monkeypatch):
    def find(name):
        return None if name in absent else object()

    monkeypatch.setattr(importlib.util, "find_spec", find)
    with pytest.raises(ImportError) as caught:
        trained("denoising").export(tmp_path / NAMES[format], format=format)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("format", "script"), [("onnx", "onnx_runtime.py"), ("litert", "litert.py")]
)
def test_the_scripts_need_no_tensorflow(format, script, tmp_path):
    model = trained("stack")
    score = model.reconstruction_error(data().test.x)
    threshold = float(np.quantile(score, 0.8))
    path, _ = export(model, tmp_path, format, scaling=data().scaling, threshold=threshold)
    np.save(tmp_path / "rows.npy", raw()[:50].astype("float64"))
    code = (
        "import runpy, sys\n"
        f"runpy.run_path({str(SERVING / script)!r}, run_name='__main__')\n"
        "print(sorted({'tensorflow', 'keras', 'keras_sda'} & set(sys.modules)))"
    )
    arguments = [path.name, "rows.npy"]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    *lines, modules = result.stdout.splitlines()
    assert modules == "[]", result.stderr
    classes = model.predict(data().test.x[:50], verbose=0).argmax(axis=1)
    assert len(lines) == 50
    for row, line in enumerate(lines):
        assert line.startswith(f"row {row}: class {classes[row]} (")
        assert float(line.split("score ")[1].split(",")[0]) == pytest.approx(score[row], abs=6e-4)
        assert line.endswith(", anomaly") == (score[row] > threshold)
    assert (classes == data().test.y[:50]).mean() > 0.8, "a trained model"


def test_the_request_for_tensorflow_serving(tmp_path):
    """The container cannot run here; the signatures that it would call can."""
    import tensorflow as tf

    trained("stack").export(tmp_path / "digits" / "1", scaling=data().scaling, threshold=20.0)
    assert [path.name for path in (tmp_path / "digits").iterdir()] == ["1"]
    request = json.loads((SERVING / "request.json").read_text())
    loaded = tf.saved_model.load(str(tmp_path / "digits" / "1"))
    signatures = {"serve", "encode", "reconstruct", "score", "anomaly", "serving_default"}
    assert set(loaded.signatures) == signatures
    instances = tf.constant(request["instances"], tf.float32)
    (predictions,) = loaded.signatures[request["signature_name"]](inputs=instances).values()
    assert predictions.numpy().argmax(axis=1).tolist() == [0, 1]
