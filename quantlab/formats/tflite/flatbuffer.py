"""Opens TFLite files (flatbuffers of tensorflow/lite/schema/schema.fbs, version 3) with the generated classes."""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import ArtifactError
from quantlab.types import Codes

__all__ = [
    "CODE_RANGES",
    "codes_of",
    "constant_tensors",
    "has_data",
    "indices",
    "operator_name",
    "operator_version",
    "read_flatbuffer",
    "shape_of",
    "tensor_dtype",
    "text",
]

CODE_RANGES: Mapping[str, tuple[int, int]] = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
"""Data type of codes → smallest and largest code."""

_IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every TFLite file


def read_flatbuffer(path: Path) -> Any:
    """A `.tflite` file as the object tree of `ai_edge_litert.schema_py_generated.ModelT`.

    Raises:
        ArtifactError: If the file is missing, truncated, or not TFLite.
    """
    from ai_edge_litert import schema_py_generated as schema

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"'{path}' could not be read ({error.strerror}); convert the model again") from error
    if data[4:8] != _IDENTIFIER:
        raise ArtifactError(f"'{path}' does not start like a TFLite file; give a .tflite file")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        model.subgraphs[0].inputs[0], model.subgraphs[0].outputs[0]  # raises if either is missing
        _bring_in_buffers(model, data)
    except Exception as error:  # flatbuffers may raise any exception for a wrong offset
        raise ArtifactError(f"'{path}' is not a complete TFLite file; if it was truncated, copy it again") from error
    return model


def _bring_in_buffers(model: Any, data: bytes) -> None:
    """Move weights stored after the flatbuffer into its buffers, as in files above 2 GB and of ai_edge_quantizer.

    Their offsets count from the start of the file and would be wrong in a copy of another length.
    """
    for buffer in model.buffers:
        if buffer.offset > 1:  # the schema reserves 1 for buffers whose offset is not yet assigned
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0


def tensor_dtype(tensor: Any) -> str:
    """NumPy's name of a tensor's type; types without one, such as `int4`, have the name of schema.fbs in lower case."""
    return _names("TensorType").get(tensor.type, "unknown").lower()


def operator_name(model: Any, operator: Any) -> str:
    """Name of the builtin op in schema.fbs, for example `CONV_2D`, or `op 999` if unknown; for custom ops their own."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Old files have only the one-byte field; newer files fill in both.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = _names("BuiltinOperator").get(number, f"op {number}")
    return text(code.customCode) if name == "CUSTOM" else name


def operator_version(model: Any, operator: Any) -> int:
    """Version of the op, from 1."""
    return int(model.operatorCodes[operator.opcodeIndex].version)


def constant_tensors(model: Any, graph: Any) -> set[int]:
    """Indices of a subgraph's constants: tensors with data, and tensors without elements that no op writes."""
    operators = graph.operators or ()
    filled = set(indices(graph.inputs))
    for operator in operators:
        # Intermediate tensors of an LSTM have neither data nor shape; they only carry scales.
        filled.update(indices(operator.outputs), indices(operator.intermediates))
    return {
        index
        for index, tensor in enumerate(graph.tensors)
        if has_data(model, tensor) or (index not in filled and tensor.shape is not None and 0 in tensor.shape)
    }


def indices(vector: Any) -> list[int]:
    """A vector of tensor indices, with -1 for an omitted input; the generated classes use None for an empty vector."""
    return [] if vector is None else [int(index) for index in vector]


def has_data(model: Any, tensor: Any) -> bool:
    """Whether the file contains the tensor's values."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Shape of a tensor; the generated classes use None for a scalar."""
    return tuple(indices(tensor.shape))


def text(name: Any) -> str:
    """A string of the file; the generated classes give bytes, or None for a missing string."""
    return name.decode() if isinstance(name, bytes) else str(name or "")


@cache
def _names(enumeration: str) -> Mapping[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {number: name for name, number in vars(getattr(schema, enumeration)).items() if not name.startswith("_")}


def codes_of(tensor: Any) -> Codes | None:
    """The quantization of a tensor of codes; None if it holds none, or has no single scale."""
    quantization, dtype = tensor.quantization, tensor_dtype(tensor)
    if dtype not in CODE_RANGES or quantization is None or quantization.scale is None or len(quantization.scale) != 1:
        return None
    scale, (lowest, highest) = float(quantization.scale[0]), CODE_RANGES[dtype]
    zero = 0 if quantization.zeroPoint is None else int(quantization.zeroPoint[0])
    return Codes(scale, zero, lowest, highest) if 0 < scale < math.inf else None
