"""Models written for other runtimes: SavedModel, ONNX and LiteRT, and read again before they count.

`graph.py` puts what is exported together, `formats.py` writes and runs it, `parity.py` compares
the two, and `writing.py` does all of it beside the place where the export is to stand.
"""

from keras_sda.exporting.formats import FORMATS
from keras_sda.exporting.parity import DRAWN_ROWS, MOST_ROWS
from keras_sda.exporting.writing import export_model

__all__ = ["DRAWN_ROWS", "FORMATS", "MOST_ROWS", "export_model"]
