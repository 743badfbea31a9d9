"""Changes the graph of a model with loops so that tfjs can run it; the weight files stay the official converter's.

The official converter writes loops with the ops Enter, Switch, Merge and Exit of TensorFlow 1. tfjs 4.22 fails on
three things in them and beside them. The changes leave the computation as it is:

- For recurrent layers of Keras 3, nodes in the loop have control dependencies on Switch ops. A Switch gives only one of
  its two outputs, and tfjs waits for the other one. The dependencies are removed where a node has others.
- TensorFlow's optimizer fuses a matrix product or convolution with the addition of another one, as in the cell of an
  LSTM. The backend wasm adds only vectors there. The fused op is split again.
- A bidirectional layer reverses the mask of a Masking or Embedding layer, and the kernel of wasm reads booleans beyond
  their end. They are reversed as integers.

TensorFlow also marks some nodes, others in each conversion, with an attribute that tfjs does not read. It is removed,
so that the same model gives the same file.

The recipe of a setting runs this file as a program: `python -m quantlab_converters.tfjs_loops FOLDER`.
"""

import base64
import json
import sys
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from quantlab_converters.graph_bytes import graph_contains

__all__ = ["may_have_loops", "repair_loops"]

Node = dict[str, Any]


def may_have_loops(saved_model: Path) -> bool:
    """Whether a SavedModel has an op named While or StatelessWhile, or something else with such a name."""
    return graph_contains(saved_model, b"While")


def repair_loops(model_json: Path) -> None:
    """Rewrite a `model.json` that has loops; others are left alone."""
    document = json.loads(model_json.read_text())
    nodes: list[Node] = document["modelTopology"]["node"]
    ops = {node["name"]: node["op"] for node in nodes}
    if "LoopCond" not in ops.values():
        return
    weights = {weight["name"]: weight for group in document["weightsManifest"] for weight in group["weights"]}
    vectors = {name for name, weight in weights.items() if len(weight["shape"]) == 1}
    for node in nodes:
        node.get("attr", {}).pop("_has_manual_control_dependencies", None)
    waiting = (_without_switches(node, ops) for node in nodes)
    split = (part for node in waiting for part in _split(node, vectors))
    document["modelTopology"]["node"] = [part for node in split for part in _reversed_as_integers(node)]
    model_json.write_text(json.dumps(document))


def _without_switches(node: Node, ops: Mapping[str, str]) -> Node:
    """The node without control dependencies on Switch ops, unless it would have no input left."""
    inputs = node.get("input", [])
    kept = [name for name in inputs if not (name.startswith("^") and ops.get(name[1:]) == "Switch")]
    return {**node, "input": kept} if kept and len(kept) < len(inputs) else node


def _split(node: Node, vectors: Set[str]) -> Iterator[Node]:
    """The node, or the ops of a fused one whose addend is not a vector; the last has the node's name."""
    op, keys = _UNFUSED.get(node["op"], ("", ()))
    fused = _fused_ops(node)
    summed = fused[:1] == ["BiasAdd"] and set(fused[1:]) <= _PLAIN_ACTIVATIONS
    if not op or not summed or node["input"][2] in vectors:
        yield node
        return
    name, (first, second, addend, *others) = node["name"], node["input"]
    typed = {"T": node["attr"]["T"]}
    names = [*(f"{name}/{step}" for step in (op, *fused[:-1])), name]
    kept = {key: node["attr"][key] for key in keys if key in node["attr"]}
    yield {"name": names[0], "op": op, "input": [first, second, *others], "attr": {**typed, **kept}}
    yield {"name": names[1], "op": "AddV2", "input": [names[0], addend], "attr": typed}
    if len(fused) == 2:
        yield {"name": names[2], "op": fused[1], "input": [names[1]], "attr": typed}


_UNFUSED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "_FusedMatMul": ("MatMul", ("transpose_a", "transpose_b")),
    "_FusedConv2D": ("Conv2D", ("strides", "padding", "data_format", "dilations", "explicit_paddings")),
}
"""Fused op → the op without the addition, and its attributes beside the data type."""


def _reversed_as_integers(node: Node) -> Iterator[Node]:
    """The node, or three that reverse booleans as int32; the last has the node's name."""
    boolean, integer = {"type": "DT_BOOL"}, {"type": "DT_INT32"}
    if node["op"] != "ReverseV2" or node["attr"].get("T") != boolean:
        yield node
        return
    name, (values, *others) = node["name"], node["input"]
    before, between = f"{name}/int32", f"{name}/reversed"
    yield {"name": before, "op": "Cast", "input": [values], "attr": {"SrcT": boolean, "DstT": integer}}
    yield {**node, "name": between, "input": [before, *others], "attr": {**node["attr"], "T": integer}}
    yield {"name": name, "op": "Cast", "input": [between], "attr": {"SrcT": integer, "DstT": boolean}}


_PLAIN_ACTIVATIONS = frozenset({"Relu", "Relu6", "Elu", "Sigmoid", "Tanh"})
"""Fused activations without a parameter."""


def _fused_ops(node: Node) -> list[str]:
    listed = node.get("attr", {}).get("fused_ops", {}).get("list", {}).get("s", [])
    return [base64.b64decode(op).decode() for op in listed]


if __name__ == "__main__":
    repair_loops(Path(sys.argv[1]) / "model.json")
