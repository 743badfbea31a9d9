"""The number type in which each op of a TFLite file computes, derived from the types of its tensors."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from quantlab.formats.tflite.flatbuffer import indices, operator_name, operator_version, tensor_dtype, text
from quantlab.formats.tflite.uses import CONVERSIONS, sources
from quantlab.types import OpRow

__all__ = ["ops_of"]

_Computes = Literal["float", "hybrid", "int8", "uint8", "int16", "other"]

_QUANTIZED: Mapping[str, _Computes] = {"int8": "int8", "uint8": "uint8", "int16": "int16"}
_FLOATS = frozenset({"float32", "float16", "float64", "bfloat16"})
_CODES = frozenset({"int8", "uint8", "int4", "uint4", "int2", "int16"})


def ops_of(model: Any, setting: str) -> tuple[OpRow, ...]:
    """Every op of every subgraph in execution order, the main subgraph first."""
    operators = [(graph, operator) for graph in model.subgraphs for operator in graph.operators or ()]
    constants = {id(graph): sources(model, graph) for graph in model.subgraphs}
    return tuple(
        OpRow(
            setting=setting,
            place=place,
            op=operator_name(model, operator),
            version=operator_version(model, operator),
            computes_in=_computes_in(model, graph, operator, constants[id(graph)]),
            weights=_weights(graph, operator, constants[id(graph)]),
            output=next((text(tensor.name) for tensor in _tensors(graph, operator.outputs)), ""),
        )
        for place, (graph, operator) in enumerate(operators)
    )


def _computes_in(model: Any, graph: Any, operator: Any, constants: Mapping[int, int]) -> _Computes:
    """Number type of the activations, outputs first; hybrid for float activations with a constant that holds codes.

    Integers without a scale are indices, shapes or images that are cast later; they do not make an op quantized. A
    conversion of a constant has only its output as activation, so its inputs are examined too.
    """
    held = [index for index in indices(operator.inputs) if constants.get(index) == index]
    if operator_name(model, operator) in CONVERSIONS:
        held = []
    flowing = [*_tensors(graph, operator.outputs), *_tensors(graph, operator.inputs, without=held)]
    for tensor in flowing:
        if tensor_dtype(tensor) in _QUANTIZED and _has_scale(tensor):
            return _QUANTIZED[tensor_dtype(tensor)]
    if not any(tensor_dtype(tensor) in _FLOATS for tensor in flowing):
        return "other"
    codes = any(tensor_dtype(graph.tensors[index]) in _CODES and _has_scale(graph.tensors[index]) for index in held)
    return "hybrid" if codes else "float"


def _tensors(graph: Any, vector: Any, without: list[int] | None = None) -> Iterator[Any]:
    return (graph.tensors[index] for index in indices(vector) if index >= 0 and index not in (without or ()))


def _has_scale(tensor: Any) -> bool:
    quantization = tensor.quantization
    if quantization is None:
        return False
    in_blocks = quantization.details is not None  # scales stored in a separate tensor
    return in_blocks or (quantization.scale is not None and len(quantization.scale) > 0)


def _weights(graph: Any, operator: Any, constants: Mapping[int, int]) -> str:
    """Stored data type of the first constant that is a weight: several elements, and not a shape, axis or index."""
    for index in indices(operator.inputs):
        tensor = graph.tensors[constants[index]] if index in constants else None
        if tensor is not None and _is_weight(tensor):
            return tensor_dtype(tensor)
    return ""


def _is_weight(tensor: Any) -> bool:
    several = tensor.shape is not None and len(tensor.shape) > 0 and any(size != 1 for size in tensor.shape)
    return several and (tensor_dtype(tensor) in _FLOATS or _has_scale(tensor))
