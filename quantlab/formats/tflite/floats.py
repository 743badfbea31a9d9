"""Writes a TFLite file that computes in float32 with the weights of another one, which stores codes or half floats.

Its tensors have the names of the other file's, so that layers of both can be compared. What QUANTIZE and DEQUANTIZE
would convert is float32 already, so these ops are left out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ArtifactError
from quantlab.formats.tflite.flatbuffer import (
    codes_of,
    constant_tensors,
    indices,
    operator_name,
    read_flatbuffer,
    tensor_dtype,
    text,
)
from quantlab.formats.tflite.tapped import packed
from quantlab.formats.tflite.uses import CONVERSIONS
from quantlab.formats.tflite.weights import read_constant

__all__ = ["write_float"]

_HALF = frozenset({"float16", "bfloat16"})


def write_float(path: Path, folder: Path) -> None:
    """Write the file into a new folder, as `model.tflite`.

    Raises:
        ArtifactError: If the file cannot be read, or a weight is stored in a way that cannot be decoded.
    """
    model = read_flatbuffer(path)
    moved = [_to_float(model, graph, path.name) for graph in model.subgraphs]
    for signature in model.signatureDefs or ():
        for entry in (*(signature.inputs or ()), *(signature.outputs or ())):
            entry.tensorIndex = moved[signature.subgraphIndex].get(entry.tensorIndex, entry.tensorIndex)
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(packed(model))


def _to_float(model: Any, graph: Any, file: str) -> Mapping[int, int]:
    """Change a subgraph, and return each tensor that is no longer written → that which has its value."""
    constants = constant_tensors(model, graph)
    for index, tensor in enumerate(graph.tensors):
        if index in constants:
            _decode(model, tensor, file)
        elif codes_of(tensor) is not None or (tensor_dtype(tensor) in _HALF):
            _make_float(tensor)
    moved = _left_out(model, graph)
    for operator in graph.operators:
        operator.inputs = [moved.get(index, index) for index in indices(operator.inputs)]
        operator.intermediates = None  # they only carry the scales of integer kernels
    graph.outputs = [moved.get(index, index) for index in indices(graph.outputs)]
    return moved


def _decode(model: Any, tensor: Any, file: str) -> None:
    """Store a constant as float32 in a buffer of its own; integers that are no codes are left alone."""
    weight = read_constant(model, tensor)
    if not weight.scales and weight.dtype not in _HALF:
        return
    if weight.reason is not None:
        raise ArtifactError(f"the weight '{text(tensor.name)}' of '{file}' cannot be decoded: {weight.reason}")
    _set_values(model, tensor, weight.values.astype("<f4"))


def _set_values(model: Any, tensor: Any, values: npt.NDArray[Any]) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
    tensor.buffer = len(model.buffers) - 1
    _make_float(tensor)


def _make_float(tensor: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None


def _left_out(model: Any, graph: Any) -> Mapping[int, int]:
    """Remove the ops that convert between floats, and return what they wrote → what they read."""
    moved: dict[int, int] = {}
    kept = []
    for operator in graph.operators:
        ends = [int(operator.inputs[0]), int(operator.outputs[0])] if _converts(model, operator) else []
        if ends and all(tensor_dtype(graph.tensors[index]) == "float32" for index in ends):
            moved[ends[1]] = moved.get(ends[0], ends[0])
        else:
            kept.append(operator)
    graph.operators = kept
    return moved


def _converts(model: Any, operator: Any) -> bool:
    return operator_name(model, operator) in CONVERSIONS
