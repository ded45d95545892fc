"""The formats: how each is written, and how its own runtime runs what was written."""

import contextlib
import importlib.util
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_sda import backend
from keras_sda.exporting.graph import ExportGraph

# A function of the inputs by name that returns the outputs by name.
Runner = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]

# What the inputs of a table are: a file in a SavedModel and in the archive at the end of a .tflite
# file, and by the name without suffix in the metadata of ONNX.
COLUMNS = "columns.json"


@dataclass(frozen=True)
class Format:
    """One format of export.

    Args:
        name: As in `keras.Model.export`.
        title: Its name in messages.
        suffix: Suffix of the file; empty for a folder.
        backends: Backends of Keras that can write it, in words.
        write: Function of graph, path and Keras' own options that writes it.
        load: Function of a path that returns a `Runner` of what is written there.
        packages: Packages that must be installed, by import name.
        extra: The extra of this package that installs them.
    """

    name: str
    title: str
    suffix: str
    backends: str
    write: Callable[..., None]
    load: Callable[[Path], Runner]
    packages: tuple[str, ...] = ()
    extra: str = ""

    def check(self, graph: ExportGraph, model: keras.Model) -> None:
        """Raises a `ValueError` or an `ImportError` if the model cannot be written here."""
        if self.name not in backend.EXPORT_FORMATS:
            raise ValueError(
                f"{self.title} can be written with the {self.backends} backend of Keras. Received "
                f"backend {keras.backend.backend()!r}: load the saved .keras file under TensorFlow "
                "and export there."
            )
        if graph.reads_text and not backend.EXPORTS_TEXT:
            raise ValueError(
                f"A table with text can be written with the TensorFlow backend of Keras alone. "
                f"Received backend {keras.backend.backend()!r}: load the saved .keras file under "
                "TensorFlow and export there."
            )
        if importlib.util.find_spec("tensorflow") is None:
            raise ImportError(
                f"{self.title} is written with TensorFlow, which is not installed: pip install "
                "tensorflow, or load the saved .keras file where it is installed and export there."
            )
        if self.packages and _dtypes(model) != {"float32"}:
            raise ValueError(
                f"{self.title} takes models that compute in float32. Received "
                f"dtype={model.dtype_policy.name!r}: make the model again with dtype='float32', "
                "copy the weights with set_weights(model.get_weights()), and export that."
            )
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            raise ImportError(
                f"Export to {self.title} needs {', '.join(self.packages)}, of which "
                f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: "
                f'pip install "keras-sda[{self.extra}]"'
            )

    def check_target(self, target: Path) -> None:
        """Raises a `ValueError` if there is something at `target` that must not be replaced."""
        if not self.suffix:
            if target.exists() and not (target / "saved_model.pb").exists():
                raise ValueError(
                    f"{target} exists and is not a SavedModel: give the name of a folder that does "
                    "not exist yet, or of an earlier export."
                )
        elif target.suffix != self.suffix or target.is_dir():
            raise ValueError(
                f"{self.title} is written to a file whose name ends in {self.suffix}. Received: "
                f"{target}"
            )


def _dtypes(model):
    return {model.compute_dtype, model.variable_dtype}


def _write_saved_model(graph, path, verbose=False, **options):
    with _text_in_tensorflow(graph):
        archive = keras.export.ExportArchive()
        for part in graph.parts:
            archive.track(part)
        signature = graph.signature
        for name in graph.names:
            archive.add_endpoint(name, graph.endpoint(name), input_signature=signature, **options)
        archive.write_out(path, verbose=verbose)
    if graph.description is not None:
        (path / COLUMNS).write_text(graph.description, encoding="utf-8")


@contextlib.contextmanager
def _text_in_tensorflow(graph):
    """Lets the graph take text inside the block, which Keras has no operations for."""
    if not graph.reads_text:
        yield
        return
    from keras_sda.backend.tensorflow.text import text_codes

    graph.rows.read_text = text_codes
    try:
        yield
    finally:
        graph.rows.read_text = None


def _load_saved_model(path):
    from keras_sda.backend.tensorflow.saved_model import saved_model_runner

    return saved_model_runner(path)


def _write_onnx(graph, path, verbose=False, **options):
    graph.export(path, format="onnx", input_signature=graph.signature, verbose=verbose, **options)
    if graph.description is not None:
        from keras_sda.exporting.onnx_text import describe

        describe(path, graph.rows.known, graph.description)


def _load_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda arrays: dict(zip(names, session.run(names, arrays), strict=True))


def _write_litert(graph, path, verbose=False, **options):
    with _text_in_tensorflow(graph):
        given = graph.signature
        graph.export(path, format="litert", input_signature=given, verbose=verbose, **options)
    if graph.description is not None:
        # As TensorFlow Lite packs files that belong to a model: the interpreter reads the front.
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(COLUMNS, graph.description)


def _load_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path)).get_signature_runner()
    return lambda arrays: run(**arrays)


FORMATS = {
    each.name: each
    for each in (
        Format(
            name="tf_saved_model",
            title="SavedModel",
            suffix="",
            backends="TensorFlow or the JAX",
            write=_write_saved_model,
            load=_load_saved_model,
        ),
        Format(
            name="onnx",
            title="ONNX",
            suffix=".onnx",
            backends="TensorFlow",
            write=_write_onnx,
            load=_load_onnx,
            packages=("onnx", "tf2onnx", "onnxruntime"),
            extra="onnx",
        ),
        Format(
            name="litert",
            title="LiteRT",
            suffix=".tflite",
            backends="TensorFlow",
            write=_write_litert,
            load=_load_litert,
            packages=("ai_edge_litert",),
            extra="litert",
        ),
    )
}
