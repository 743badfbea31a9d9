"""Writes a copy of a TFLite file that returns its inner tensors as additional outputs.

Kernels and operators stay unchanged. A DEQUANTIZE op after each integer tensor converts it to float, because LiteRT.js
can read only floats. The signature is removed, because it would list too few outputs. Whenever the copy runs, its
original outputs are compared with those of the unmodified file.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from quantlab.formats.tflite.flatbuffer import (
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
    "append_conversion",
    "list_taps",
    "tapped_tensors",
    "write_flatbuffer",
    "write_tapped",
]

_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
_DEQUANTIZE_VERSION = {"int8": 2, "uint8": 1, "int16": 3}
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
    import flatbuffers

    model.signatureDefs = []
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(bytes(builder.Output()))


def _made(model: Any) -> Iterator[tuple[int, Any, Any]]:
    """Index, tensor and operator for each output of the main subgraph's operators."""
    graph = model.subgraphs[0]
    for operator in graph.operators or ():
        for index in indices(operator.outputs):
            if index >= 0:
                yield index, graph.tensors[index], operator


def _spec(model: Any, tensor: Any, operator: Any) -> TapSpec:
    dtype = tensor_dtype(tensor)
    codes = _codes(tensor, dtype)
    reason = None
    if dtype not in {"float32", *_RANGES}:
        reason = f"not a float tensor: {dtype}"
    elif dtype != "float32" and codes is None:
        reason = f"integer tensor without a single scale: {dtype}"
    elif all(_is_constant(model, index) for index in indices(operator.inputs) if index >= 0):
        reason = "computed from constants only: a weight before it reaches its op"
    return TapSpec(text(tensor.name), shape_of(tensor), dtype, operator_name(model, operator), codes, reason)


def _is_constant(model: Any, index: int) -> bool:
    return has_data(model, model.subgraphs[0].tensors[index])


def _codes(tensor: Any, dtype: str) -> Codes | None:
    quantization = tensor.quantization
    if dtype not in _RANGES or quantization is None or quantization.scale is None or len(quantization.scale) != 1:
        return None
    lowest, highest = _RANGES[dtype]
    return Codes(float(quantization.scale[0]), int(quantization.zeroPoint[0]), lowest, highest)


def append_conversion(model: Any, index: int, like: int | None = None) -> int:
    """Add an op that converts a tensor of the main subgraph, and return the index of the tensor that it writes.

    Args:
        model: The model, which is changed.
        index: The tensor to convert: codes that become floats, or floats that become codes.
        like: The tensor whose type, scale and zero point the codes get; None to convert codes to floats.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    source, pattern = graph.tensors[index], None if like is None else graph.tensors[like]
    dtype = tensor_dtype(source if pattern is None else pattern)
    tensor = schema.TensorT()
    tensor.shape, tensor.shapeSignature = source.shape, source.shapeSignature
    tensor.type = schema.TensorType.FLOAT32 if pattern is None else pattern.type
    tensor.quantization = None if pattern is None else pattern.quantization
    tensor.name = f"quantlab/{'tap' if pattern is None else 'codes'}/{text(source.name)}".encode()
    tensor.buffer = 0  # buffer 0 is empty by convention
    graph.tensors.append(tensor)
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [index], [len(graph.tensors) - 1]
    if pattern is None:
        operator.opcodeIndex = _opcode(model, schema.BuiltinOperator.DEQUANTIZE, _DEQUANTIZE_VERSION[dtype])
        operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
        operator.builtinOptions = schema.DequantizeOptionsT()
    else:
        operator.opcodeIndex = _opcode(model, schema.BuiltinOperator.QUANTIZE, _QUANTIZE_VERSION[dtype])
        operator.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
        operator.builtinOptions = schema.QuantizeOptionsT()
    graph.operators.append(operator)
    return len(graph.tensors) - 1


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
