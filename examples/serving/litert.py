"""Prints class and score of the rows in a .npy file, by an exported .tflite file.

Needs `pip install numpy ai-edge-litert` and nothing else:

    python litert.py digits.tflite rows.npy
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(model, rows):
    """Prints one line for each row."""
    run = Interpreter(model).get_signature_runner()
    outputs = run(inputs=np.load(rows).astype("float32"))
    for row, probabilities in enumerate(outputs["serve"]):
        line = f"row {row}: class {probabilities.argmax()} ({probabilities.max():.3f})"
        if "score" in outputs:
            line += f", score {outputs['score'][row]:.3f}"
        if "anomaly" in outputs:
            line += ", anomaly" if outputs["anomaly"][row] else ""
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
