"""TFLite files with integer inputs and outputs, made of the small int8 file of the JavaScript tests; it doubles."""

from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from quantlab.formats.tflite.flatbuffer import read_flatbuffer
from quantlab.formats.tflite.tapped import conversion, write_flatbuffer

__all__ = ["INT8", "with_computed_sizes", "with_open_batch", "with_uint8_ends"]

INT8 = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "fixtures" / "int8_ports.tflite"
"""Input `zebra` (1, 3), output `yak` (1, 3), both int8."""


def with_uint8_ends(path: Path, scale: float | None = None, zero_point: int | None = None) -> Path:
    """As TensorFlow 2 writes a file with uint8 inputs and outputs: int8 between two QUANTIZE ops.

    Args:
        path: The file to write.
        scale: Of the input; None keeps that of the int8 file.
        zero_point: The same.
    """
    model = read_flatbuffer(INT8)
    graph = model.subgraphs[0]
    (taken,), (given,) = (int(index) for index in graph.inputs), (int(index) for index in graph.outputs)
    if scale is not None and zero_point is not None:
        inner = graph.tensors[taken].quantization
        inner.scale, inner.zeroPoint = [scale], [zero_point - 128]
    first, last = _outer(model, taken), _outer(model, given)
    graph.operators.insert(0, conversion(model, first, taken))
    graph.operators.append(conversion(model, given, last))
    graph.inputs, graph.outputs = [first], [last]
    write_flatbuffer(model, path)
    return path


def _outer(model: Any, index: int) -> int:
    """Add the tensor of uint8 that has the values of one of int8."""
    tensors = model.subgraphs[0].tensors
    inner = tensors[index]
    scale, zero_point = inner.quantization.scale, [int(inner.quantization.zeroPoint[0]) + 128]
    tensor = schema.TensorT(name=f"{inner.name.decode()}_uint8", shape=inner.shape, type=schema.TensorType.UINT8)
    tensor.quantization = schema.QuantizationParametersT(scale=scale, zeroPoint=zero_point)
    tensors.append(tensor)
    return len(tensors) - 1


def with_open_batch(path: Path, source: Path) -> Path:
    """The same file as a converter writes it that was not told the batch size."""
    model = read_flatbuffer(source)
    graph = model.subgraphs[0]
    for index in (*graph.inputs, *graph.outputs):
        graph.tensors[index].shapeSignature = [-1, 3]
    write_flatbuffer(model, path)
    return path


def with_computed_sizes(path: Path, source: Path) -> Path:
    """A file whose output is reshaped to sizes that are computed, as converters write it for an open batch."""
    model = read_flatbuffer(source)
    graph = model.subgraphs[0]
    (given,) = (int(index) for index in graph.outputs)
    inner, reshaped = graph.tensors[given], schema.TensorT(name="reshaped")
    for name in ("shape", "shapeSignature", "type", "quantization"):
        setattr(reshaped, name, getattr(inner, name))
    sizes = schema.TensorT(name="sizes", shape=[2], type=schema.TensorType.INT32)
    graph.tensors += [sizes, reshaped]
    place = len(graph.tensors) - 1
    graph.operators += [
        _operator(model, schema.BuiltinOperator.SHAPE, [given], place - 1),
        _operator(model, schema.BuiltinOperator.RESHAPE, [given, place - 1], place),
    ]
    graph.outputs = [place]
    write_flatbuffer(model, path)
    return path


def _operator(model: Any, number: int, inputs: list[int], output: int) -> Any:
    code = schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=number, version=1)
    model.operatorCodes.append(code)
    operator = schema.OperatorT(opcodeIndex=len(model.operatorCodes) - 1, inputs=inputs, outputs=[output])
    if number == schema.BuiltinOperator.SHAPE:
        operator.builtinOptionsType = schema.BuiltinOptions.ShapeOptions
        operator.builtinOptions = schema.ShapeOptionsT(outType=schema.TensorType.INT32)
    return operator
