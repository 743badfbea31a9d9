"""Cuts a sub-graph out of an ONNX file: some nodes, with float32 inputs and outputs.

A tensor that only a QuantizeLinear reads is given as what its codes stand for, as in `tapped.py`. Quantizers leave out
a Clip whose limits are those of the codes, so that the tensor before them is another one than in the float32 file.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quantlab.formats.onnx.file import dtype_name, graph_inputs, graphs_of, inner_graphs, read_onnx, save_onnx, shape_of
from quantlab.formats.onnx.names import stable_names
from quantlab.formats.onnx.tapped import taps_of, with_shapes
from quantlab.types.reduction import CutGraph, CutOp

__all__ = ["cut_graph", "write_cut"]

_HALF, _SINGLE = "float16", "float32"


def cut_graph(path: Path) -> CutGraph:
    """The nodes of the main graph under stable names; those that only constants reach are left out."""
    model = with_shapes(read_onnx(path))
    graph, stable = model.graph, stable_names(model.graph)
    inputs = [value.name for value in graph_inputs(model)]
    computed, ops = set(inputs), []
    for node in graph.node:
        reads = [name for name in _reads(node) if name in computed]
        if reads:
            computed.update(name for name in node.output if name)
            writes = [name for name in node.output if name]
            ops.append(CutOp(node.op_type, _renamed(reads, stable), _renamed(writes, stable)))
    readable = {stable.get(name, name) for name, value in _known(graph).items() if name in computed and _dtype(value)}
    outputs = _renamed([value.name for value in graph.output], stable)
    return CutGraph(_renamed(inputs, stable), outputs, tuple(ops), frozenset(readable))


def _renamed(names: Sequence[str], stable: dict[str, str]) -> tuple[str, ...]:
    return tuple(stable.get(name, name) for name in names)


def _reads(node: Any) -> Iterator[str]:
    """Tensors that a node reads, also those that its subgraphs read."""
    yield from (name for name in node.input if name)
    for inner in inner_graphs(node):
        for one in graphs_of(inner):
            for held in one.node:
                yield from (name for name in held.input if name)


def _known(graph: Any) -> dict[str, Any]:
    return {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}


def _dtype(value: Any) -> str | None:
    """The dtype of a tensor at which a graph can be cut; None for others."""
    name = dtype_name(value.type.tensor_type.elem_type)
    return name if name in {_HALF, _SINGLE} else None


def write_cut(path: Path, target: Path, inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]) -> None:
    """Write the nodes that compute `outputs` from `inputs`; inputs of the file that they need must be among these.

    Half floats become float32 by a Cast at the ends. Weights that no node reads are left out.

    Args:
        path: The file.
        target: The file to write.
        inputs: Stable names of tensors, in the order of the sub-graph's inputs; their shapes stay those of the file.
        outputs: Stable names of its outputs.
    """
    import onnx

    model = with_shapes(read_onnx(path))
    graph = model.graph
    own = {stable: name for name, stable in stable_names(graph).items()}
    known, made = _known(graph), onnx.GraphProto(name="subgraph")
    fed, given = [own.get(name, name) for name in inputs], [own.get(name, name) for name in outputs]
    quantized = {tap.tensor: tap.codes for tap in taps_of(model) if tap.codes is not None}
    for name in fed:
        half = _dtype(known[name]) == _HALF
        taken = f"{name}/float32" if half else name
        made.input.append(onnx.helper.make_tensor_value_info(taken, onnx.TensorProto.FLOAT, _sizes(known[name])))
        if half:
            made.node.append(onnx.helper.make_node("Cast", [taken], [name], to=onnx.TensorProto.FLOAT16))
    computed = [quantized[name].output[0] if name in quantized else name for name in given]
    made.node.extend(_needed(graph, fed, computed))
    for name in given:
        half, returned = _dtype(known[name]) == _HALF, name
        if name in quantized:
            codes, returned = quantized[name], f"{name}/float32"
            coded = [codes.output[0], *codes.input[1:3]]
            made.node.append(onnx.helper.make_node("DequantizeLinear", coded, [returned]))
        elif half:
            returned = f"{name}/float32"
            made.node.append(onnx.helper.make_node("Cast", [name], [returned], to=onnx.TensorProto.FLOAT))
        made.output.append(onnx.helper.make_tensor_value_info(returned, onnx.TensorProto.FLOAT, None))
    read = {name for node in made.node for name in _reads(node)}
    made.initializer.extend(tensor for tensor in graph.initializer if tensor.name in read)
    model.graph.CopyFrom(made)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_onnx(model, target)


def _sizes(value: Any) -> list[int | None] | None:
    return list(shape_of(value)) or None


def _needed(graph: Any, fed: Sequence[str], given: Sequence[str]) -> list[Any]:
    """The nodes that compute some tensors from others, in their order."""
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output if name}
    waiting, needed = list(given), set[int]()
    while waiting:
        name = waiting.pop()
        if name in fed or name not in makers or makers[name] in needed:
            continue
        needed.add(makers[name])
        waiting += list(_reads(graph.node[makers[name]]))
    return [graph.node[place] for place in sorted(needed)]
