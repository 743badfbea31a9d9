"""Writes a copy of a TFLite file that returns its inner tensors as additional outputs.

Kernels and operators stay unchanged. A DEQUANTIZE op after each integer tensor converts it to float, because LiteRT.js
can read only floats. The signature is removed, because it would list too few outputs. Whenever the copy runs, its
original outputs are compared with those of the unmodified file.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

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

__all__ = ["list_taps", "write_tapped"]

_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
_DEQUANTIZE_VERSION = {"int8": 2, "uint8": 1, "int16": 3}


def list_taps(path: Path) -> tuple[TapSpec, ...]:
    """Every tensor that an op of the main subgraph writes, in execution order; unreadable ones carry a reason."""
    model = read_flatbuffer(path)
    return tuple(_spec(model, tensor, operator) for _, tensor, operator in _made(model))


def write_tapped(path: Path, target: Path, names: Collection[str]) -> tuple[int, ...]:
    """Write the copy, and return the index of each named tap among its outputs, in the order of `list_taps`.

    A tensor that is already an output is not added again, because LiteRT.js fills only the second of two such outputs.
    Names without a readable tap are ignored.

    Raises:
        ArtifactError: If the file cannot be read.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = read_flatbuffer(path)
    graph = model.subgraphs[0]
    positions, outputs = [], [int(index) for index in graph.outputs]
    for index, tensor, operator in list(_made(model)):
        spec = _spec(model, tensor, operator)
        if spec.reason is not None or spec.name not in names:
            continue
        if index in outputs:
            positions.append(outputs.index(index))
        else:
            positions.append(len(outputs))
            outputs.append(index if spec.codes is None else _append_dequantize(schema, model, index, spec.dtype))
    graph.outputs = outputs
    model.signatureDefs = []
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(bytes(builder.Output()))
    return tuple(positions)


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


def _append_dequantize(schema: Any, model: Any, index: int, dtype: str) -> int:
    """Add a DEQUANTIZE op and its float output tensor to the main subgraph; return the tensor's index."""
    graph = model.subgraphs[0]
    source = graph.tensors[index]
    tensor = schema.TensorT()
    tensor.shape, tensor.shapeSignature = source.shape, source.shapeSignature
    tensor.type = schema.TensorType.FLOAT32
    tensor.name = f"quantlab/tap/{text(source.name)}".encode()
    tensor.buffer = 0  # buffer 0 is empty by convention
    graph.tensors.append(tensor)
    operator = schema.OperatorT()
    operator.opcodeIndex = _dequantize_code(schema, model, _DEQUANTIZE_VERSION[dtype])
    operator.inputs, operator.outputs = [index], [len(graph.tensors) - 1]
    operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    operator.builtinOptions = schema.DequantizeOptionsT()
    graph.operators.append(operator)
    return len(graph.tensors) - 1


def _dequantize_code(schema: Any, model: Any, version: int) -> int:
    number = schema.BuiltinOperator.DEQUANTIZE
    for place, code in enumerate(model.operatorCodes):
        if code.builtinCode == number and code.version >= version:
            return place
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
