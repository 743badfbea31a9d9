"""Reads ONNX files: their inputs and outputs, their weights with scales, what each op computes in.

The format is onnx.proto3 (github.com/onnx/onnx); weights beyond 2 GB lie in other files of the same folder, as its
"External Data" describes.
"""

from pathlib import Path
from typing import Any

import numpy as np

from quantlab.artifacts._kind import ArtifactKind, Contents
from quantlab.artifacts._onnx_ops import list_ops
from quantlab.artifacts._onnx_weights import constants, list_weights, size_bytes
from quantlab.artifacts.tapped_onnx import list_taps, write_tapped
from quantlab.errors import ArtifactError
from quantlab.onnx_file import dtype_name, external_files, graph_inputs, read_onnx, shape_of
from quantlab.types import Port

__all__ = ["KIND"]

_HALF_LIMIT = 65504.0
"""The largest float16, to which onnxruntime's converter cuts larger weights without a word; so may others have been."""

_FLOATS = frozenset({"bfloat16", "float16", "float32", "float64"})


def _inspect(path: Path) -> Contents:
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
        inputs=tuple(_port(each, place) for place, each in enumerate(graph_inputs(model))),
        outputs=tuple(_port(each, place) for place, each in enumerate(model.graph.output)),
        weights=weights,
        notes=tuple(notes),
    )


def _port(value: Any, place: int) -> Port:
    dtype = dtype_name(value.type.tensor_type.elem_type)
    return Port(name=value.name, tensor=value.name, position=place, shape=shape_of(value), dtype=dtype)


def _wrong(tensor: Any, dtype: str) -> list[str]:
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor)
    if dtype not in _FLOATS:
        return []
    if dtype == "bfloat16":
        values = values.astype(np.float32)
    wrong = int(values.size - np.isfinite(values).sum())
    if wrong:
        return [f"weight '{tensor.name}' holds {wrong:,} values that are not finite in {dtype}"]
    cut = int((np.abs(values) == _HALF_LIMIT).sum()) if dtype == "float16" else 0
    return [f"weight '{tensor.name}' holds {cut:,} values at ±65,504, the end of float16"] if cut else []


def _recognizes(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() == ".onnx"


def _options(path: Path) -> dict[str, Any]:
    """One sample at a time: dynamic quantization finds one range for all that is in a batch."""
    external = [
        {"path": file.relative_to(path.parent).as_posix(), "file": str(file.absolute())}
        for file in external_files(path)
        if file != path
    ]
    return {"one_at_a_time": True, "external_data": external}


KIND = ArtifactKind(
    looks="an .onnx file",
    inspect=_inspect,
    recognizes=_recognizes,
    served=lambda folder: folder / "model.onnx",
    files=external_files,
    weights=lambda path: list_weights(read_onnx(path)),
    ops=lambda path, setting: list_ops(read_onnx(path, weights=False), setting),
    minimum_runtime=lambda path: None,  # noqa: ARG005  # the opset is no version of a runtime
    options=_options,
    taps=list_taps,
    write_tapped=write_tapped,
)
