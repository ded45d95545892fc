"""Exports of models for other runtimes, as SavedModel, ONNX or LiteRT, compared with the models.

`graph.py` assembles what is exported, `formats.py` writes and runs it, `parity.py` compares it with
the model, and `writing.py` does all this next to the target, which is replaced last.
"""

from keras_sda.exporting.formats import FORMATS
from keras_sda.exporting.parity import DRAWN_ROWS, MAX_ROWS
from keras_sda.exporting.writing import export_model

__all__ = ["DRAWN_ROWS", "FORMATS", "MAX_ROWS", "export_model"]
