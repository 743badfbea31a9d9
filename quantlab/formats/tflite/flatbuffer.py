"""Opens TFLite files: a flatbuffer of schema.fbs (tensorflow/lite/schema, version 3), by its generated classes."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import ArtifactError

__all__ = [
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

_IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every file


def read_flatbuffer(path: Path) -> Any:
    """A `.tflite` file as the object tree of `ai_edge_litert.schema_py_generated.ModelT`.

    Raises:
        ArtifactError: If the file is missing, cut short or something else.
    """
    from ai_edge_litert import schema_py_generated as schema

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"'{path}' could not be read ({error.strerror}); convert the model again") from error
    if data[4:8] != _IDENTIFIER:
        raise ArtifactError(f"'{path}' does not begin as a TFLite file does; give a .tflite file")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        model.subgraphs[0].inputs[0], model.subgraphs[0].outputs[0]  # both must be there
        _bring_in_buffers(model, data)
    except Exception as error:  # flatbuffers raise whatever a wrong offset leads to
        raise ArtifactError(f"'{path}' is not a whole TFLite file; it may be cut short, so copy it again") from error
    return model


def _bring_in_buffers(model: Any, data: bytes) -> None:
    """Put weights that lie behind the flatbuffer into it, as files over 2 GB and ai_edge_quantizer's have them.

    Their places count from the beginning of the file, and would point anywhere in a copy of another length.
    """
    for buffer in model.buffers:
        if buffer.offset > 1:  # 1 is the schema's word for one that is still to be placed
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0


def tensor_dtype(tensor: Any) -> str:
    """NumPy's name of a tensor's type; `int4` and other types that NumPy lacks by schema.fbs's name in lower case."""
    return _names("TensorType").get(tensor.type, "unknown").lower()


def operator_name(model: Any, operator: Any) -> str:
    """The builtin's name in schema.fbs, as `CONV_2D`, or `op 999` where it has none; of a custom operator its own."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Files from before builtins outgrew a byte have the old field only; newer ones fill both.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = _names("BuiltinOperator").get(number, f"op {number}")
    return text(code.customCode) if name == "CUSTOM" else name


def operator_version(model: Any, operator: Any) -> int:
    """Which revision of the operator a runtime must know, from 1."""
    return int(model.operatorCodes[operator.opcodeIndex].version)


def constant_tensors(model: Any, graph: Any) -> set[int]:
    """Indices of the tensors of a subgraph that hold data, or that have no elements and that nothing fills."""
    operators = graph.operators or ()
    filled = set(indices(graph.inputs))
    for operator in operators:
        # Intermediates of an LSTM have no data and no shape: they are there to carry scales.
        filled.update(indices(operator.outputs), indices(operator.intermediates))
    return {
        index
        for index, tensor in enumerate(graph.tensors)
        if has_data(model, tensor) or (index not in filled and tensor.shape is not None and 0 in tensor.shape)
    }


def indices(vector: Any) -> list[int]:
    """A vector of tensor indices, -1 where an optional one is left out; the generated classes give None for none."""
    return [] if vector is None else [int(index) for index in vector]


def has_data(model: Any, tensor: Any) -> bool:
    """Whether the file holds a tensor's values."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def shape_of(tensor: Any) -> tuple[int, ...]:
    """A tensor's sizes; none where the generated classes give None."""
    return tuple(indices(tensor.shape))


def text(name: Any) -> str:
    """A string of the file; the generated classes give bytes, and None where it is left out."""
    return name.decode() if isinstance(name, bytes) else str(name or "")


@cache
def _names(enumeration: str) -> Mapping[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {number: name for name, number in vars(getattr(schema, enumeration)).items() if not name.startswith("_")}
