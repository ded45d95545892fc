"""What an ONNX file of a table has besides its graph: text as an input, and what the inputs are."""

from collections.abc import Sequence
from pathlib import Path

_CODES = "categories"


def describe(path: Path, known: Sequence[Sequence[str]], description: str) -> None:
    """Adds to an ONNX file the metadata `columns`, and lets it take text instead of codes.

    Args:
        path: The file, whose input `categories`, if there are known values, are int32 codes.
        known: The known values of each column of `categories`.
        description: What the inputs are, as JSON.
    """
    import onnx

    model = onnx.load(path)
    if known:
        _read_text(model, known)
    model.metadata_props.add(key="columns", value=description)
    onnx.save(model, path)


def _read_text(model, known):
    """Puts a `LabelEncoder` of each column in front of the graph."""
    from onnx import TensorProto, helper

    graph = model.graph
    (codes,) = (each for each in graph.input if each.name == _CODES)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == _CODES:
                node.input[place] = "codes"
    codes.CopyFrom(helper.make_tensor_value_info(_CODES, TensorProto.STRING, ["rows", len(known)]))
    nodes, encoded = [], []
    for place, values in enumerate(known):
        names = [*values, ""]
        index, text, code = (f"{_CODES}/{what}_{place}" for what in ("index", "text", "code"))
        graph.initializer.append(helper.make_tensor(index, TensorProto.INT64, [1], [place]))
        nodes.append(helper.make_node("Gather", [_CODES, index], [text], axis=1))
        nodes.append(
            helper.make_node(
                "LabelEncoder",
                [text],
                [code],
                domain="ai.onnx.ml",
                keys_strings=names,
                values_int64s=list(range(len(names))),
                default_int64=len(names),
            )
        )
        encoded.append(code)
    joined = f"{_CODES}/codes"
    nodes.append(helper.make_node("Concat", encoded, [joined], axis=1))
    nodes.append(helper.make_node("Cast", [joined], ["codes"], to=TensorProto.INT32))
    own = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *own])
    if not any(opset.domain == "ai.onnx.ml" for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
