"""Reader for ONNX files: inputs and outputs, weights with scales, and the number type of each op.

The format is onnx.proto3 (github.com/onnx/onnx). Weights may be in other files of the same folder, as its document
"External Data" describes; above 2 GB they must be.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import ArtifactError
from quantlab.formats.contract import Contents
from quantlab.formats.finite import note_float_limits
from quantlab.formats.onnx.file import FLOATS, dtype_name, external_files, graph_inputs, read_onnx, shape_of
from quantlab.formats.onnx.ops import ops_of
from quantlab.formats.onnx.weights import constants, size_bytes, weights_of
from quantlab.types import OpRow, Port, StoredWeight
from quantlab.types.executor_options import ExecutorOptions, ExternalFile

__all__ = ["inspect", "list_ops", "list_weights", "options", "recognizes"]


def inspect(path: Path) -> Contents:
    """Contents of an ONNX file; raises ArtifactError if it is not one, or a weight cannot be read."""
    model = read_onnx(path)
    weights: dict[str, int] = {}
    notes: list[str] = []
    for tensor in constants(model):
        try:
            dtype = dtype_name(tensor.data_type)
            weights[dtype] = weights.get(dtype, 0) + size_bytes(tensor)
            notes += _wrong(tensor, dtype)
        except (ArithmeticError, LookupError, TypeError, ValueError) as refused:
            raise ArtifactError(
                f"the weight '{tensor.name}' of '{path}' cannot be read ({refused}); export or copy it again"
            ) from refused
    return Contents(
        inputs=tuple(_port(value, place) for place, value in enumerate(graph_inputs(model))),
        outputs=tuple(_port(value, place) for place, value in enumerate(model.graph.output)),
        weights=weights,
        notes=tuple(notes),
    )


def _port(value: Any, place: int) -> Port:
    dtype = dtype_name(value.type.tensor_type.elem_type)
    return Port(name=value.name, tensor=value.name, position=place, shape=shape_of(value), dtype=dtype)


def _wrong(tensor: Any, dtype: str) -> list[str]:
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor)
    if dtype not in FLOATS:
        return []
    if dtype == "bfloat16":
        values = values.astype(np.float32)
    return note_float_limits(tensor.name, values, dtype)


def recognizes(path: Path) -> bool:
    """Whether the file has the ONNX suffix."""
    return path.is_file() and path.suffix.lower() == ".onnx"


def options(path: Path) -> ExecutorOptions:
    """Executor options that list the model's external weight files."""
    return ExecutorOptions(
        external_data=tuple(
            ExternalFile(path=file.relative_to(path.parent).as_posix(), file=str(file.absolute()))
            for file in external_files(path)
            if file != path
        )
    )


def list_weights(path: Path) -> Iterator[StoredWeight]:
    """Every constant of an ONNX file, decoded."""
    return weights_of(read_onnx(path))


def list_ops(path: Path, setting: str) -> tuple[OpRow, ...]:
    """The number type in which each op of an ONNX file computes."""
    return ops_of(read_onnx(path, weights=False), setting)
