"""Changes the graph of a model with loops so that tfjs can run it; the weight files stay the official converter's.

The official converter writes loops with the ops Enter, Switch, Merge and Exit of TensorFlow 1. tfjs 4.22 fails on two
things in them. Both changes leave the computation as it is:

- For recurrent layers of Keras 3, nodes in the loop have control dependencies on Switch ops. A Switch gives only one of
  its two outputs, and tfjs waits for the other one. The dependencies are removed where a node has others.
- TensorFlow's optimizer fuses a matrix product with the addition of another one, as in the cell of an LSTM. The
  backend wasm adds only vectors there. The fused op is split again.

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
    waiting = (_without_switches(node, ops) for node in nodes)
    document["modelTopology"]["node"] = [part for node in waiting for part in _split(node, vectors)]
    model_json.write_text(json.dumps(document))


def _without_switches(node: Node, ops: Mapping[str, str]) -> Node:
    """The node without control dependencies on Switch ops, unless it would have no input left."""
    inputs = node.get("input", [])
    kept = [name for name in inputs if not (name.startswith("^") and ops.get(name[1:]) == "Switch")]
    return {**node, "input": kept} if kept and len(kept) < len(inputs) else node


def _split(node: Node, vectors: Set[str]) -> Iterator[Node]:
    """The node, or the ops of a fused product whose addend is not a vector; the last has the node's name."""
    fused = _fused_ops(node)
    summed = fused[:1] == ["BiasAdd"] and set(fused[1:]) <= _PLAIN_ACTIVATIONS
    if node["op"] != "_FusedMatMul" or not summed or node["input"][2] in vectors:
        yield node
        return
    first, second, addend, *others = node["input"]
    name, attributes = node["name"], node["attr"]
    names = [f"{name}/product", *([f"{name}/sum"] if len(fused) == 2 else []), name]
    taken = {key: attributes[key] for key in ("T", "transpose_a", "transpose_b") if key in attributes}
    yield {"name": names[0], "op": "MatMul", "input": [first, second, *others], "attr": taken}
    yield {"name": names[1], "op": "AddV2", "input": [names[0], addend], "attr": {"T": attributes["T"]}}
    if len(fused) == 2:
        yield {"name": name, "op": fused[1], "input": [names[1]], "attr": {"T": attributes["T"]}}


_PLAIN_ACTIVATIONS = frozenset({"Relu", "Relu6", "Elu", "Sigmoid", "Tanh"})
"""Fused activations without a parameter."""


def _fused_ops(node: Node) -> list[str]:
    listed = node.get("attr", {}).get("fused_ops", {}).get("list", {}).get("s", [])
    return [base64.b64decode(op).decode() for op in listed]


if __name__ == "__main__":
    repair_loops(Path(sys.argv[1]) / "model.json")
