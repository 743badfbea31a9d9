"""Cuts a sub-graph out of a TFLite file: some ops, with float inputs and outputs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from quantlab.formats.tflite.flatbuffer import (
    CODE_RANGES,
    codes_of,
    constant_tensors,
    indices,
    operator_name,
    read_flatbuffer,
    tensor_dtype,
    text,
)
from quantlab.formats.tflite.tapped import add_tensor, append_conversion, conversion, write_flatbuffer
from quantlab.types.reduction import CutGraph, CutOp

__all__ = ["cut_graph", "write_cut"]


def cut_graph(path: Path) -> CutGraph:
    """The ops of the main subgraph; a name that two tensors have is none at which it can be cut."""
    model = read_flatbuffer(path)
    graph = model.subgraphs[0]
    constants = constant_tensors(model, graph)
    names = [text(tensor.name) for tensor in graph.tensors]
    computed = [index for index in range(len(names)) if index not in constants]
    once = {name for name in (names[i] for i in computed) if sum(names[i] == name for i in computed) == 1}
    readable = {names[i] for i in computed if _readable(graph.tensors[i])}

    def listed(vector: Any) -> tuple[str, ...]:
        return tuple(names[index] for index in indices(vector) if index >= 0 and index not in constants)

    ops = tuple(
        CutOp(operator_name(model, operator), listed(operator.inputs), listed(operator.outputs))
        for operator in graph.operators
    )
    return CutGraph(listed(graph.inputs), listed(graph.outputs), ops, frozenset(readable & once))


def _readable(tensor: Any) -> bool:
    dtype = tensor_dtype(tensor)
    return dtype == "float32" or (dtype in CODE_RANGES and codes_of(tensor) is not None)


def write_cut(path: Path, target: Path, inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]) -> None:
    """Write the ops that compute `outputs` from `inputs`; inputs of the file that they need must be among these.

    Codes become floats by ops QUANTIZE and DEQUANTIZE at the ends. Weights that no op reads are left out.

    Args:
        path: The file.
        target: The file to write.
        inputs: Names of tensors, in the order of the sub-graph's inputs; their shapes stay those of the file.
        outputs: Names of its outputs.
    """
    model = read_flatbuffer(path)
    graph = model.subgraphs[0]
    constants = constant_tensors(model, graph)
    places = {text(tensor.name): i for i, tensor in enumerate(graph.tensors) if i not in constants}
    fed, given = [places[name] for name in inputs], [places[name] for name in outputs]
    kept = _needed(graph.operators, fed, given)
    heads, taken = [], []
    for index in fed:
        if codes_of(graph.tensors[index]) is None:
            taken.append(index)
            continue
        taken.append(add_tensor(model, index, "input"))
        heads.append(conversion(model, taken[-1], index))
    graph.operators = [*heads, *kept]
    graph.inputs = taken
    graph.outputs = [i if codes_of(graph.tensors[i]) is None else append_conversion(model, i) for i in given]
    _drop_unread(model)
    write_flatbuffer(model, target)


def _needed(operators: Iterable[Any], fed: Sequence[int], given: Sequence[int]) -> list[Any]:
    """The operators that compute some tensors from others, in their order."""
    listed = list(operators)
    makers = {index: place for place, one in enumerate(listed) for index in indices(one.outputs)}
    waiting, needed = list(given), set[int]()
    while waiting:
        index = waiting.pop()
        if index in fed or index not in makers or makers[index] in needed:
            continue
        needed.add(makers[index])
        waiting += [one for one in indices(listed[makers[index]].inputs) if one >= 0]
    return [listed[place] for place in sorted(needed)]


def _drop_unread(model: Any) -> None:
    """Leave out tensors of the main subgraph that nothing reads or writes, and buffers without a tensor."""
    graph = model.subgraphs[0]
    used = {*indices(graph.inputs), *indices(graph.outputs)}
    for one in graph.operators:
        used |= {i for part in (one.inputs, one.outputs, one.intermediates) for i in indices(part) if i >= 0}
    moved = {index: place for place, index in enumerate(sorted(used))}
    for one in graph.operators:
        one.inputs, one.outputs = _moved(one.inputs, moved), _moved(one.outputs, moved)
        if one.intermediates is not None:
            one.intermediates = _moved(one.intermediates, moved)
    graph.inputs, graph.outputs = _moved(graph.inputs, moved), _moved(graph.outputs, moved)
    graph.tensors = [graph.tensors[index] for index in sorted(used)]
    model.metadata, model.metadataBuffer = [], []
    tensors = [tensor for part in model.subgraphs for tensor in part.tensors]
    buffers = sorted({0, *(tensor.buffer for tensor in tensors)})  # buffer 0 is empty by convention
    numbers = {old: new for new, old in enumerate(buffers)}
    for tensor in tensors:
        tensor.buffer = numbers[tensor.buffer]
    model.buffers = [model.buffers[old] for old in buffers]


def _moved(vector: Any, moved: Mapping[int, int]) -> list[int]:
    return [moved.get(index, -1) for index in indices(vector)]
