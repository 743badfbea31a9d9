"""Layers of an ONNX file that stay in float: the nodes that onnxruntime's tools leave out, and their weights."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.formats.onnx import FORMAT
from quantlab.formats.onnx.file import read_onnx, save_onnx
from quantlab.formats.onnx.names import stable_names
from quantlab_converters.float_layers import Part, kept_parts, list_parts

__all__ = ["KeptNodes", "hold_in_float", "hold_nodes", "kept_nodes", "list_nodes", "words_of_onnxruntime"]

_HALF_LIMIT = float(np.finfo(np.float16).max)
_SESSION = "\nonnxruntime: InferenceSession(…, disabled_optimizers=['WeightBiasQuantization'])"


@dataclass(frozen=True, slots=True)
class KeptNodes:
    """Names of the nodes that a scheme keeps in float."""

    float32: tuple[str, ...] = ()
    float16: tuple[str, ...] = ()
    """Those whose weights are stored as half floats."""

    @property
    def all(self) -> list[str]:
        """All of them, as onnxruntime's tools take them."""
        return [*self.float32, *self.float16]


def list_nodes(float32: Path) -> tuple[Part, ...]:
    """The nodes of a float32 file that write floats; their layers also follow from the names of the nodes.

    Nodes that share a weight all have it, because onnxruntime quantizes each of them or leaves it out.

    Raises:
        ArtifactError: See `list_parts`.
    """
    graph = read_onnx(float32).graph
    stable = stable_names(graph)
    scopes = {stable[name]: node.name for node in graph.node for name in node.output if name}
    parts = list_parts(FORMAT, float32, scopes)
    known = {name for part in parts for name in part.weights}
    sizes = {stable[tensor.name]: math.prod(tensor.dims) for tensor in graph.initializer if tensor.name in stable}
    read = {
        stable[made]: [name for given in node.input if (name := stable.get(given)) in known and name in sizes]
        for node in graph.node
        for made in node.output
        if made
    }
    return tuple(
        replace(_with_weights(part, read.get(part.tap, ()), sizes), op=scopes.get(part.tap, "")) for part in parts
    )


def _with_weights(part: Part, read: Iterable[str], sizes: Mapping[str, int]) -> Part:
    more = [name for name in dict.fromkeys(read) if name not in part.weights]
    return replace(part, weights=(*part.weights, *more), values=part.values + sum(sizes[name] for name in more))


def kept_nodes(base: Path, asked: Sequence[str]) -> KeptNodes:
    """The nodes of a float32 file that stay in float; nodes without a name get one in the file.

    Args:
        base: The file that is quantized.
        asked: Entries of `--float-layers`; without any, nothing stays in float.

    Raises:
        ConversionError: See `kept_parts`.
    """
    import onnx

    if not asked:
        return KeptNodes()
    kept = {part.tap: dtype for part, dtype in kept_parts(list_nodes(base), asked).items()}
    model = onnx.load(base)
    stable = stable_names(model.graph)
    if any(not node.name for node in model.graph.node):
        _name_nodes(model.graph)
        save_onnx(model, base)
    names: dict[str, list[str]] = {"float32": [], "float16": []}
    for node in model.graph.node:
        if dtype := next((kept[stable[name]] for name in node.output if stable.get(name) in kept), None):
            names[dtype].append(node.name)
    return KeptNodes(tuple(names["float32"]), tuple(names["float16"]))


def _name_nodes(graph: Any) -> None:
    begin = _beginning(graph)
    for place, node in enumerate(graph.node):
        node.name = node.name or f"{begin}_{place}"


def _beginning(graph: Any) -> str:
    """How the names of nodes begin that had none, such that no other node has one of these names."""
    taken = {node.name for node in graph.node}
    return next(
        begin
        for begin in ("node", "unnamed_node", "unnamed_quantlab_node")
        if taken.isdisjoint(f"{begin}_{place}" for place in range(len(graph.node)))
    )


def hold_in_float(file: Path, kept: KeptNodes) -> None:
    """Let nodes that were left out compute in float in onnxruntime, too, and store weights of theirs as half floats.

    Args:
        file: The quantized file, which is written again if something changes.
        kept: The nodes.
    """
    import onnx

    if kept.all:
        model = onnx.load(file)
        if hold_nodes(model.graph, kept.all):
            save_onnx(model, file)
    _store_as_half(file, kept.float16)


def hold_nodes(graph: Any, nodes: Collection[str]) -> bool:
    """Put a `Max` of one input, which changes nothing, between a node with float weights and a DequantizeLinear.

    When onnxruntime loads a file, it quantizes float weights of a Conv or Gemm that reads a DequantizeLinear, with one
    scale per tensor (`WeightBiasQuantization`). It removes an Identity before it looks, but no Max.

    Args:
        graph: It is changed.
        nodes: Names of the nodes.

    Returns:
        Whether there was such a node.
    """
    from onnx import TensorProto, helper

    decoded = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    weights = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    ordered: list[Any] = []
    for node in list(graph.node):
        if node.name in nodes and not weights.isdisjoint(node.input):
            for place, name in enumerate(node.input):
                if name in decoded:
                    held = f"{node.name}_float_{place}"
                    ordered.append(helper.make_node("Max", [name], [held], held))
                    node.input[place] = held
        ordered.append(node)
    changed = len(ordered) > len(graph.node)
    del graph.node[:]
    graph.node.extend(ordered)
    return changed


def _store_as_half(file: Path, nodes: Collection[str]) -> None:
    """Store the float32 weights of some nodes as half floats, which a Cast makes float32 again.

    Weights that other nodes read too, or that half floats cannot hold, stay as they are.

    Args:
        file: The file, which is written again.
        nodes: Names of nodes.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    if not nodes:
        return
    model = onnx.load(file)
    graph, readers = model.graph, dict[str, set[str]]()
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.name)
    casts = {}
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        reading = readers.get(tensor.name, set())
        if values.dtype == np.float32 and reading and reading <= set(nodes) and np.abs(values).max() <= _HALF_LIMIT:
            half = f"{tensor.name}_float16"
            casts[tensor.name] = helper.make_node("Cast", [half], [tensor.name], half, to=TensorProto.FLOAT)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
    ordered = [*casts.values(), *graph.node]
    del graph.node[:]
    graph.node.extend(ordered)
    save_onnx(model, file)


def words_of_onnxruntime(float32: Path, scheme: str, taps: Sequence[str]) -> str | None:
    """The argument of onnxruntime's functions that leaves out the nodes that write some tensors.

    Args:
        float32: The float32 file.
        scheme: `dynamic`, `int8` or `float16`.
        taps: The tensors.

    Returns:
        If nodes have no name, a line before it names them, because onnxruntime leaves out nodes by their names. A line
        after it keeps a session from quantizing their weights; see `hold_nodes`.
    """
    graph = read_onnx(float32).graph
    stable = stable_names(graph)
    naming = ""
    if any(not node.name for node in graph.node):
        name = f"{_beginning(graph)}_{{place}}"
        naming = f'for place, node in enumerate(model.graph.node): node.name = node.name or f"{name}"\n'
        _name_nodes(graph)
    names = [node.name for node in graph.node if any(stable.get(name) in taps for name in node.output)]
    function = {"dynamic": "quantize_dynamic", "int8": "quantize_static", "float16": "convert_float_to_float16"}[scheme]
    argument = "node_block_list" if scheme == "float16" else "nodes_to_exclude"
    return f"{naming}onnxruntime: {function}(…, {argument}={names!r}){_SESSION if scheme == 'int8' else ''}"
