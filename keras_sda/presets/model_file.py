"""Loading a `.keras` file under Keras' safe mode, with one sentence for whatever goes wrong."""

import zipfile
from pathlib import Path
from typing import Any

import keras


def read_model(path: Path, remedy: str) -> Any:
    """Returns the model in a `.keras` file.

    Args:
        path: The file, which may come from a stranger: nothing in it runs.
        remedy: What to do if it cannot be loaded, such as `"get it again"`.

    Raises:
        ValueError: If it is damaged, holds something else, or needs classes that are not there.
    """
    try:
        # A pipe would be waited for, a device read without end.
        if not path.is_file() or not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("it is not a whole zip archive")
        model = keras.saving.load_model(path)
        if not isinstance(model, keras.Model):
            raise TypeError(f"it holds a {type(model).__name__}, which is not a model")
    except (PermissionError, FileNotFoundError):
        raise
    # Keras raises almost anything, as do HDF5 and the constructors of what the file names.
    except Exception as error:
        lines = f"{error}".strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{path} is damaged or not a model that can be loaded "
            f"({lines[0][:200].rstrip('.')}): {remedy}."
        ) from error
    return model
