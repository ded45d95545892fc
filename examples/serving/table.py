"""Prints class and score of the rows in a .csv file, by the exported .onnx file of a table.

Needs `pip install numpy onnxruntime` and nothing else:

    python table.py people.onnx new.csv
"""

import csv
import json
import sys

import numpy as np
import onnxruntime


def to_number(cell, holds):
    """Returns a cell as the number that the model takes: NaN where it is blank."""
    cell = cell.strip()
    if not cell:
        return np.nan
    if holds == "boolean":
        return float(cell.lower() in ("true", "1"))
    if holds == "days":
        return np.datetime64(cell, "ms").astype("int64") / 86_400_000
    return float(cell)


def to_arrays(rows, columns):
    """Returns rows, dictionaries of text, as the arrays that the model takes.

    Args:
        rows: The rows of a table.
        columns: What the columns of the arrays hold, as it is written in the model.
    """
    numbers = np.zeros((len(rows), len(columns["numbers"])), "float32")
    values = np.zeros(len(rows))
    for place, held in enumerate(columns["numbers"]):
        if held["holds"] == "rest":  # what float32 does not hold of the number before
            numbers[:, place] = np.nan_to_num(values - numbers[:, place - 1])
            continue
        values = np.array([to_number(row[held["column"]], held["holds"]) for row in rows])
        numbers[:, place] = values
    text = [[row[held["column"]].strip() for held in columns["categories"]] for row in rows]
    return {"numbers": numbers, "categories": np.array(text, object)}


def main(model, table):
    """Prints one line for each row."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    columns = json.loads(session.get_modelmeta().custom_metadata_map["columns"])
    with open(table, newline="", encoding="utf-8") as file:
        arrays = to_arrays(list(csv.DictReader(file)), columns)
    names = [output.name for output in session.get_outputs()]
    inputs = {each.name: arrays[each.name] for each in session.get_inputs()}
    outputs = dict(zip(names, session.run(names, inputs), strict=True))
    for row, probabilities in enumerate(outputs["serve"]):
        line = f"row {row}: class {probabilities.argmax()} ({probabilities.max():.3f})"
        if "score" in outputs:
            line += f", score {outputs['score'][row]:.3f}"
        if "anomaly" in outputs:
            line += ", anomaly" if outputs["anomaly"][row] else ""
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
