"""Prints class and score of the rows in a .npy file, by an exported .onnx file.

Needs `pip install numpy onnxruntime` and nothing else:

    python onnx_runtime.py digits.onnx rows.npy
"""

import sys

import numpy as np
import onnxruntime


def main(model, rows):
    """Prints one line for each row."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    inputs = np.load(rows).astype("float32")
    outputs = dict(zip(names, session.run(names, {"inputs": inputs}), strict=True))
    for row, probabilities in enumerate(outputs["serve"]):
        line = f"row {row}: class {probabilities.argmax()} ({probabilities.max():.3f})"
        if "score" in outputs:
            line += f", score {outputs['score'][row]:.3f}"
        if "anomaly" in outputs:
            line += ", anomaly" if outputs["anomaly"][row] else ""
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
