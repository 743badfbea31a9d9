"""Cuts a sub-graph out of a graph-model: some nodes, with placeholders for the tensors that they take.

A loop, a branch or a call of a function is kept whole. A node that is kept does not wait for one that is not.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quantlab.errors import ArtifactError
from quantlab.formats.tfjs.artifact import placeholder_info, read_model_json, read_signature
from quantlab.formats.tfjs.nodes import Graph, functions_of, tensor_name
from quantlab.formats.tfjs_files import write_part
from quantlab.types.reduction import CutGraph, CutOp

__all__ = ["cut_graph", "write_cut"]

_Node = dict[str, Any]


def cut_graph(path: Path) -> CutGraph:
    """The nodes of the main graph that depend on an input.

    Raises:
        ArtifactError: As `read_model_json`, and if the model computes weights or tables before its first call.
    """
    graph, signature = Graph(_topology(path)["node"]), read_signature(path)
    nodes = [node for node in graph.ordered() if node["name"] in graph.computed and node["op"] != "Placeholder"]
    return CutGraph(
        tuple(tensor_name(info["name"]) for info in signature["inputs"].values()),
        tuple(tensor_name(info["name"]) for info in signature["outputs"].values()),
        tuple(CutOp(node["op"], tuple(_reads(graph, node)), tuple(graph.written[node["name"]])) for node in nodes),
        graph.floats(),
    )


def _reads(graph: Graph, node: Mapping[str, Any]) -> Iterator[str]:
    for tensor in [*graph.read(node), *graph.awaited(node)]:
        if tensor.partition(":")[0] in graph.computed:
            yield tensor


def _topology(path: Path) -> dict[str, Any]:
    document = read_model_json(path)
    if document.get("modelInitializer"):
        raise ArtifactError(
            f"'{path.name}' computes weights or tables in a modelInitializer before its first call, and such a graph "
            f"is not cut; store them in the main graph, as tfjs-uint8-per-channel does"
        )
    topology: dict[str, Any] = document["modelTopology"]
    return topology


def write_cut(path: Path, target: Path, inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]) -> None:
    """Write the nodes that compute `outputs` from `inputs`; inputs of the model that they need must be among these.

    Weights that no node reads, and functions that none calls, are left out. An output that is not the first tensor of
    its node is given by an Identity, because TensorFlow.js has one output for each node.

    Args:
        path: The artifact.
        target: The folder to write.
        inputs: Names of tensors, in the order of the sub-graph's inputs → the shapes of their values.
        outputs: Names of its outputs.

    Raises:
        ArtifactError: As `cut_graph`.
    """
    topology = _topology(path)
    graph = Graph(topology["node"])
    needed = graph.needed(outputs, inputs)
    names = {node["name"] for node in graph.nodes}
    fed = {tensor: _placeholder(graph, tensor, shape, needed, names) for tensor, shape in inputs.items()}
    renamed = {tensor: node["name"] for tensor, node in fed.items()}
    kept = {node["name"] for node in needed} | set(renamed.values())
    given = [_given(tensor, renamed, names) for tensor in outputs]
    added = [node for node in given if "op" in node]
    nodes = [*fed.values(), *(_rewired(node, renamed, kept) for node in needed if node["op"] != "Placeholder"), *added]
    functions = functions_of(nodes, topology.get("library", {}))
    inner = [node for function in functions for node in function.get("nodeDef", ())]
    document = {
        "format": "graph-model",
        "signature": {
            "inputs": {f"{node['name']}:0": placeholder_info(node) for node in fed.values()},
            "outputs": {f"{node['name']}:0": {"name": f"{node['name']}:0"} for node in given},
        },
        "modelTopology": {**topology, "node": nodes, "library": {"function": functions} if functions else {}},
    }
    write_part(path, target, document, {node["name"] for node in [*nodes, *inner] if node["op"] == "Const"})


def _placeholder(
    graph: Graph, tensor: str, shape: Sequence[int], needed: Sequence[Mapping[str, Any]], names: Collection[str]
) -> _Node:
    """The node that takes the place of a tensor: one with its name, unless its own node is kept for another tensor."""
    own = graph.by_name[tensor.partition(":")[0]]
    if own["op"] == "Placeholder":
        return dict(own)
    is_free = tensor == own["name"] and own not in needed
    sizes = {"dim": [{"size": str(size)} for size in shape]}
    return {
        "name": tensor if is_free else _unused(f"{tensor.replace(':', '_')}_input", names),
        "op": "Placeholder",
        "attr": {"dtype": {"type": "DT_FLOAT"}, "shape": {"shape": sizes}},
    }


def _unused(name: str, names: Collection[str]) -> str:
    while name in names:
        name += "_"
    return name


def _given(tensor: str, renamed: Mapping[str, str], names: Collection[str]) -> _Node:
    """The node whose first tensor is an output; it may be one of the graph."""
    if ":" not in tensor and tensor not in renamed:
        return {"name": tensor}
    source = renamed.get(tensor, tensor)
    name = _unused(f"{tensor.replace(':', '_')}_output", names)
    return {"name": name, "op": "Identity", "input": [source], "attr": {"T": {"type": "DT_FLOAT"}}}


def _rewired(node: Mapping[str, Any], renamed: Mapping[str, str], kept: Collection[str]) -> _Node:
    """A node that reads placeholders instead of the tensors that are fed."""
    sources = [
        renamed.get(tensor_name(source), source)
        for source in node.get("input", ())
        if not source.startswith("^") or source[1:] in kept
    ]
    return {**node, "input": sources} if "input" in node else dict(node)
