"""Reader for TFLite files: ports, weight sizes, and the minimum runtime version."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.formats.contract import Contents
from quantlab.formats.finite import note_float_limits
from quantlab.formats.tflite.flatbuffer import codes_of, has_data, read_flatbuffer, tensor_dtype, text
from quantlab.formats.tflite.ops import ops_of
from quantlab.formats.tflite.uses import CONVERSIONS
from quantlab.formats.tflite.weights import weights_of
from quantlab.types import OpRow, Port, StoredWeight

__all__ = ["inspect", "list_ops", "list_weights", "minimum_runtime", "recognizes"]


def inspect(path: Path) -> Contents:
    """Contents of a TFLite file; raises ArtifactError if it is not one."""
    model = read_flatbuffer(path)
    graph = model.subgraphs[0]
    inputs, outputs = _signature_names(model)
    weights: dict[str, int] = {}
    notes: list[str] = []
    for tensor, data in _constants(model):
        dtype = tensor_dtype(tensor)
        weights[dtype] = weights.get(dtype, 0) + len(data)
        if dtype in {"float16", "float32"}:
            notes += note_float_limits(text(tensor.name), np.frombuffer(data, dtype), dtype)
    if any(tensor.isVariable for part in model.subgraphs for tensor in part.tensors):
        notes.append("keeps a state between calls: call reset_all_variables() before each sample, as quantlab does")
    notes += _floats_between_integers(model)
    return Contents(
        inputs=tuple(_port(graph, index, place, inputs) for place, index in enumerate(graph.inputs)),
        outputs=tuple(_port(graph, index, place, outputs) for place, index in enumerate(graph.outputs)),
        weights=weights,
        notes=tuple(notes),
    )


def _constants(model: Any) -> Iterator[tuple[Any, bytes]]:
    """Every tensor with data, and its bytes; a buffer shared by several tensors counts once."""
    seen: set[int] = set()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if has_data(model, tensor) and tensor.buffer not in seen:
                seen.add(tensor.buffer)
                yield tensor, bytes(model.buffers[tensor.buffer].data)


def _signature_names(model: Any) -> tuple[dict[int, str], dict[int, str]]:
    """Tensor index → its name in the first signature, for inputs and for outputs."""
    if not model.signatureDefs:
        return {}, {}
    signature = model.signatureDefs[0]
    named = [{entry.tensorIndex: text(entry.name) for entry in part} for part in (signature.inputs, signature.outputs)]
    return named[0], named[1]


def _port(graph: Any, index: int, place: int, names: Mapping[int, str]) -> Port:
    tensor = graph.tensors[index]
    shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    name = text(tensor.name)
    return Port(
        name=names.get(index, name),
        tensor=name,
        position=place,
        shape=tuple(None if size < 0 else int(size) for size in ([] if shape is None else shape)),
        dtype=tensor_dtype(tensor),
        codes=codes_of(tensor),
    )


_NO_ARITHMETIC = CONVERSIONS | {"ASSIGN_VARIABLE", "READ_VARIABLE"}


def _floats_between_integers(model: Any) -> list[str]:
    """A note if most ops compute in integers with fixed ranges and some in float32, which a converter left out."""
    rows = [row for row in ops_of(model, "") if row.op not in _NO_ARITHMETIC and row.computes_in != "other"]
    left = [row.op for row in rows if row.computes_in in {"float", "hybrid"}]
    if not left or 2 * len(left) >= len(rows):
        return []
    verb = "computes" if len(left) == 1 else "compute"
    return [f"{len(left)} of {len(rows)} ops {verb} in float32: {', '.join(sorted(set(left)))}"]


def recognizes(path: Path) -> bool:
    """Whether a file has the TFLite suffix or file identifier."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return path.suffix == ".tflite" or file.read(8)[4:] == b"TFL3"


def minimum_runtime(path: Path) -> str | None:
    """Oldest TFLite version that can run the file, from the metadata that its converter wrote; None without it.

    The highest version, if there are several. It may date from before quantization: int16x8 files of TensorFlow 2.19
    state 1.6.0, which does not support their convolutions. litert-quantizer leaves both this metadata and the versions
    of the ops as they were in the float32 file; by the latter such a file is recognized, and its version is None.

    Raises:
        ArtifactError: As in `read_flatbuffer`.
    """
    model = read_flatbuffer(path)
    if any(map(_is_older_than_its_weights, ops_of(model, ""))):
        return None
    entries = [entry for entry in model.metadata or () if text(entry.name) == "min_runtime_version"]
    told = [model.buffers[entry.buffer].data for entry in entries]
    texts = [bytes(data).rstrip(b"\0").decode(errors="replace") for data in told if data is not None]
    versions = [version for version in texts if all(part.isdecimal() for part in version.split("."))]
    return max(versions, key=lambda version: [int(part) for part in version.split(".")], default=None)


_WITH_KERNEL = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
"""Ops whose version 1 reads no signed codes, like that of DEQUANTIZE (tensorflow/lite/tools/versioning)."""


def _is_older_than_its_weights(row: OpRow) -> bool:
    reads = row.op == "DEQUANTIZE" or (row.op in _WITH_KERNEL and row.computes_in != "float")
    return reads and row.version == 1 and row.weights in {"int8", "int4", "int2"}


def list_weights(path: Path) -> Iterator[StoredWeight]:
    """Every constant of a TFLite file, decoded."""
    return weights_of(read_flatbuffer(path))


def list_ops(path: Path, setting: str) -> tuple[OpRow, ...]:
    """The number type in which each op of a TFLite file computes."""
    return ops_of(read_flatbuffer(path), setting)
