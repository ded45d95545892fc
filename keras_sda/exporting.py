"""SavedModels with several endpoints."""

import shutil
import tempfile
from pathlib import Path

import keras


def export_autoencoder(model, autoencoder, filepath):
    """Writes a SavedModel with the endpoints `serve`, `encode` and `reconstruct`.

    Args:
        model: Keras model behind `serve`.
        autoencoder: The autoencoder behind `encode` and `reconstruct`; may be the same.
        filepath: Folder to write; see `export_saved_model`.
    """
    endpoints = {"serve": model, "encode": autoencoder.encoder, "reconstruct": autoencoder}
    export_saved_model(model, endpoints, filepath)


def export_saved_model(model, endpoints, filepath):
    """Writes a SavedModel with the given endpoints, each for any number of rows.

    It is written beside its place first and moved there when whole, so that a failure leaves an
    older export intact.

    Args:
        model: The Keras model that owns all variables.
        endpoints: From names to functions of `(inputs, training)`, such as Keras models.
        filepath: Folder to write; an existing SavedModel there is replaced.

    Raises:
        ValueError: If the backend cannot write SavedModels, or if `filepath` holds something else.
    """
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise ValueError(
            "A SavedModel can be written with the TensorFlow or the JAX backend of Keras. "
            f"Received backend {keras.backend.backend()!r}: load the saved .keras file under one "
            "of them and export there."
        )
    target = Path(filepath)
    if target.exists() and not (target / "saved_model.pb").exists():
        raise ValueError(
            f"{target} exists and is no SavedModel: give the name of a folder that does not exist "
            "yet, or of an earlier export."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise ValueError(
            f"{target.parent} cannot be written ({error.strerror}): export to another folder."
        ) from error
    signature = [keras.InputSpec(dtype=model.variable_dtype, shape=(None, *model.row_shape))]
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, endpoint in endpoints.items():
        if isinstance(endpoint, keras.Model) and endpoint is not model:
            archive.track(endpoint)
        archive.add_endpoint(name, _inference(endpoint), input_signature=signature)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        written = Path(folder) / "new"
        archive.write_out(written, verbose=False)
        if target.exists():
            target.rename(Path(folder) / "old")
        shutil.move(written, target)


def _inference(model):
    return lambda inputs: model(inputs, training=False)
