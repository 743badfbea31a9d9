"""Writes a copy of a TFLite file that returns its inner tensors as additional outputs.

Kernels and operators stay unchanged. A DEQUANTIZE op after each integer tensor converts it to float, because LiteRT.js
can read only floats. The signature is removed, because it would list too few outputs. Whenever the copy runs, its
original outputs are compared with those of the unmodified file.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from quantlab.formats.tflite.flatbuffer import (
    CODE_RANGES,
    codes_of,
    has_data,
    indices,
    operator_name,
    read_flatbuffer,
    shape_of,
    tensor_dtype,
    text,
)
from quantlab.types import Codes, TapSpec

__all__ = [
    "TappedTensor",
    "add_tensor",
    "append_conversion",
    "conversion",
    "list_taps",
    "packed",
    "recorded_inputs",
    "tapped_tensors",
    "write_flatbuffer",
    "write_tapped",
]

_DEQUANTIZE_VERSION = {"int8": 2, "uint8": 1, "int16": 3, "float16": 3}
_QUANTIZE_VERSION = {"int8": 1, "uint8": 1, "int16": 2}
"""Versions of the conversions by the type of the codes, from tensorflow/lite/tools/versioning/op_version.cc."""


class TappedTensor(NamedTuple):
    """A tensor of the main subgraph, and its index among the tensors there."""

    spec: TapSpec
    place: int


def list_taps(path: Path) -> tuple[TapSpec, ...]:
    """Every tensor that an op of the main subgraph writes, in execution order; unreadable ones carry a reason."""
    return tuple(tap.spec for tap in tapped_tensors(read_flatbuffer(path)))


def tapped_tensors(model: Any) -> list[TappedTensor]:
    """The same, with the tensors' indices."""
    return [TappedTensor(_spec(model, tensor, operator), index) for index, tensor, operator in _made(model)]


def recorded_inputs(path: Path) -> dict[str, Codes]:
    """Name of an input of floats → the codes that the first QUANTIZE makes of it."""
    model = read_flatbuffer(path)
    graph, found = model.subgraphs[0], dict[str, Codes]()
    inputs = set(indices(graph.inputs))
    for operator in graph.operators or ():
        if operator_name(model, operator) != "QUANTIZE" or int(operator.inputs[0]) not in inputs:
            continue
        tensor, codes = graph.tensors[operator.inputs[0]], codes_of(graph.tensors[operator.outputs[0]])
        if codes is not None and tensor_dtype(tensor) == "float32":
            found.setdefault(text(tensor.name), codes)
    return found


def write_tapped(path: Path, target: Path, names: Collection[str]) -> tuple[int, ...]:
    """Write the copy, and return the index of each named tap among its outputs, in the order of `list_taps`.

    A tensor that is already an output is not added again, because LiteRT.js fills only the second of two such outputs.
    Names without a readable tap are ignored.

    Raises:
        ArtifactError: If the file cannot be read.
    """
    model = read_flatbuffer(path)
    graph = model.subgraphs[0]
    positions, outputs = [], [int(index) for index in graph.outputs]
    for spec, index in tapped_tensors(model):
        if spec.reason is not None or spec.name not in names:
            continue
        if index in outputs:
            positions.append(outputs.index(index))
        else:
            positions.append(len(outputs))
            outputs.append(index if spec.codes is None else append_conversion(model, index))
    graph.outputs = outputs
    write_flatbuffer(model, target)
    return tuple(positions)


def write_flatbuffer(model: Any, target: Path) -> None:
    """Write a model whose outputs were changed; its signatures, which would list too few, are removed."""
    model.signatureDefs = []
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(packed(model))


def packed(model: Any) -> bytes:
    """The bytes of a TFLite file."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _made(model: Any) -> Iterator[tuple[int, Any, Any]]:
    """Index, tensor and operator for each output of the main subgraph's operators."""
    graph = model.subgraphs[0]
    for operator in graph.operators or ():
        for index in indices(operator.outputs):
            if index >= 0:
                yield index, graph.tensors[index], operator


def _spec(model: Any, tensor: Any, operator: Any) -> TapSpec:
    dtype = tensor_dtype(tensor)
    codes = codes_of(tensor)
    reason = None
    if dtype not in {"float32", *CODE_RANGES}:
        reason = f"not a float tensor: {dtype}"
    elif dtype != "float32" and codes is None:
        reason = f"integer tensor without a single scale: {dtype}"
    elif all(_is_constant(model, index) for index in indices(operator.inputs) if index >= 0):
        reason = "computed from constants only: a weight before it reaches its op"
    return TapSpec(text(tensor.name), shape_of(tensor), dtype, operator_name(model, operator), codes, reason)


def _is_constant(model: Any, index: int) -> bool:
    return has_data(model, model.subgraphs[0].tensors[index])


def append_conversion(model: Any, index: int, like: int | None = None) -> int:
    """Add an op that converts a tensor of the main subgraph, and return the index of the tensor that it writes.

    Args:
        model: The model, which is changed.
        index: The tensor to convert: codes that become floats, or floats that become codes.
        like: The tensor whose type, scale and zero point the codes get; None to convert codes to floats.
    """
    graph = model.subgraphs[0]
    pattern = None if like is None else graph.tensors[like]
    added = add_tensor(model, index, "tap" if pattern is None else "codes", pattern)
    graph.operators.append(conversion(model, index, added))
    return added


def add_tensor(model: Any, like: int, kind: str, codes: Any = None) -> int:
    """Add a tensor to the main subgraph, and return its index.

    Args:
        model: The model, which is changed.
        like: The tensor whose shape it gets, and whose name becomes `quantlab/<kind>/<name>`.
        kind: See above.
        codes: A tensor whose type, scale and zero point it gets; None for float32.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph, tensor = model.subgraphs[0], schema.TensorT()
    source = graph.tensors[like]
    tensor.shape, tensor.shapeSignature = source.shape, source.shapeSignature
    tensor.type = schema.TensorType.FLOAT32 if codes is None else codes.type
    tensor.quantization = None if codes is None else codes.quantization
    tensor.name = f"quantlab/{kind}/{text(source.name)}".encode()
    tensor.buffer = 0  # buffer 0 is empty by convention
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def conversion(model: Any, source: int, target: int) -> Any:
    """An op that converts codes to floats or floats to codes, between two tensors of the main subgraph."""
    from ai_edge_litert import schema_py_generated as schema

    tensors, operator = model.subgraphs[0].tensors, schema.OperatorT()
    operator.inputs, operator.outputs = [source], [target]
    if tensor_dtype(tensors[target]) == "float32":
        version = _DEQUANTIZE_VERSION[tensor_dtype(tensors[source])]
        operator.opcodeIndex = _opcode(model, schema.BuiltinOperator.DEQUANTIZE, version)
        operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
        operator.builtinOptions = schema.DequantizeOptionsT()
    else:
        version = _QUANTIZE_VERSION[tensor_dtype(tensors[target])]
        operator.opcodeIndex = _opcode(model, schema.BuiltinOperator.QUANTIZE, version)
        operator.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
        operator.builtinOptions = schema.QuantizeOptionsT()
    return operator


def _opcode(model: Any, number: int, version: int) -> int:
    from ai_edge_litert import schema_py_generated as schema

    for place, code in enumerate(model.operatorCodes):
        if code.builtinCode == number and code.version >= version:
            return place
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
