"""Writes an ONNX file in which every op of a variant runs alone, fed with tensors of the float32 file.

The file holds the float32 graph unchanged, and beside it the variant's nodes. Where both graphs have the same tensor,
the variant's nodes read the one of the float32 graph, so that the error of a tensor is that of its own op. A tensor
that the variant stores as codes (QuantizeLinear, DequantizeLinear) is cut after the codes: rounding a tensor is part of
the error of the op that writes it, not of those that read it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from quantlab.errors import ArtifactError
from quantlab.formats.onnx.file import graph_inputs, inner_graphs, read_onnx, save_onnx
from quantlab.formats.onnx.tapped import Tap, append_tap, taps_of, with_shapes

__all__ = ["write_isolated"]

_OWN = "quantlab/own/"
_CAST = "quantlab/cast/"


def write_isolated(
    float32: Path, variant: Path, target: Path, counterparts: Mapping[str, str], names: Collection[str]
) -> tuple[int, ...]:
    """Write the file, and return the index of each named tap among its outputs, in the order of `list_taps`.

    Its inputs and its first outputs are those of the float32 file. The arguments are those of `Format.write_isolated`;
    names without a readable tap are ignored.

    Raises:
        ArtifactError: If a file cannot be read, or the two graphs cannot run in one file.
    """
    import onnx

    whole, own = (with_shapes(read_onnx(path)) for path in (float32, variant))
    _check_together(whole, own, variant)
    known = {tap.spec.name: tap for tap in taps_of(whole) if tap.spec.reason is None}
    taps = [tap for tap in taps_of(own) if tap.spec.reason is None]
    casts = list(_cut(own.graph, taps, {name: known[other] for name, other in counterparts.items() if other in known}))
    _rename(own.graph, {value.name for value in graph_inputs(own)})
    graph = whole.graph
    graph.initializer.extend(own.graph.initializer)
    graph.sparse_initializer.extend(own.graph.sparse_initializer)
    graph.node.extend((*casts, *own.graph.node))
    domains = {opset.domain for opset in whole.opset_import}
    whole.opset_import.extend(opset for opset in own.opset_import if opset.domain not in domains)
    whole.ir_version = max(whole.ir_version, own.ir_version)
    positions = []
    for tap in taps:
        if tap.spec.name in names:
            name = append_tap(graph, replace(tap, tensor=_OWN + tap.tensor))
            positions.append(len(graph.output))
            graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    target.parent.mkdir(parents=True, exist_ok=True)
    save_onnx(whole, target)
    return tuple(positions)


def _check_together(float32: Any, own: Any, path: Path) -> None:
    """Refuse what cannot run in one file, or would need names inside subgraphs to be changed."""
    inputs = [
        {value.name: value.type.tensor_type.elem_type for value in graph_inputs(model)} for model in (float32, own)
    ]
    versions = [{opset.domain or "ai.onnx": opset.version for opset in model.opset_import} for model in (float32, own)]
    shared = versions[0].keys() & versions[1].keys()
    reason = None
    if inputs[0] != inputs[1]:
        reason = "its inputs are not those of the float32 file"
    elif any(versions[0][domain] != versions[1][domain] for domain in shared):
        reason = "it has another opset than the float32 file"
    elif len(own.functions):
        reason = "it defines functions"
    elif any(True for node in own.graph.node for _ in inner_graphs(node)):
        reason = "it has loops or conditions"
    if reason is not None:
        raise ArtifactError(f"the ops of '{path.name}' cannot be run one by one: {reason}")


def _cut(graph: Any, taps: Collection[Tap], counterparts: Mapping[str, Tap]) -> Iterator[Any]:
    """Redirect the readers of each tensor that has a counterpart; yield the Cast nodes that this needs."""
    import onnx

    sources: dict[str, str] = {}
    for tap in taps:
        other = counterparts.get(tap.spec.name)
        if other is None:
            continue
        source = other.tensor
        if tap.spec.dtype != other.spec.dtype:
            source = _CAST + tap.tensor
            kind = onnx.TensorProto.DataType.Value(_DTYPES[tap.spec.dtype])
            yield onnx.helper.make_node("Cast", [other.tensor], [source], source, to=kind)
        if tap.codes is None:
            sources[tap.tensor] = source
            continue
        codes = tap.codes.output[0]
        decoders = (node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] == codes)
        sources.update((node.output[0], source) for node in decoders)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in sources:
                node.input[place] = sources[name]
            elif name:
                node.input[place] = _OWN + name


_DTYPES = {"float32": "FLOAT", "float16": "FLOAT16", "float64": "DOUBLE"}


def _rename(graph: Any, inputs: Collection[str]) -> None:
    """Set a prefix before the names of a graph whose nodes' inputs have one; its own inputs are the float32 graph's."""
    for node in graph.node:
        node.name = node.name and _OWN + node.name
        node.output[:] = [name and _OWN + name for name in node.output]
        node.input[:] = [name.removeprefix(_OWN) if name.removeprefix(_OWN) in inputs else name for name in node.input]
    for tensor in graph.initializer:
        tensor.name = _OWN + tensor.name
    for sparse in graph.sparse_initializer:
        sparse.values.name = _OWN + sparse.values.name
