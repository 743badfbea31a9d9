"""Reads TFLite files: a flatbuffer of schema.fbs (tensorflow/lite/schema, version 3), by its generated classes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.artifacts._kind import ArtifactKind, Contents
from quantlab.errors import ArtifactError
from quantlab.types import Port

__all__ = ["KIND", "read_flatbuffer", "tensor_dtype"]

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
    except Exception as error:  # flatbuffers raise whatever a wrong offset leads to
        raise ArtifactError(f"'{path}' is not a whole TFLite file; it may be cut short, so copy it again") from error
    return model


def tensor_dtype(tensor: Any) -> str:
    """NumPy's name of a tensor's type; `int4` and other types that NumPy lacks by schema.fbs's name in lower case."""
    return _dtype_names().get(tensor.type, "unknown")


def _dtype_names() -> Mapping[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {number: name.lower() for name, number in vars(schema.TensorType).items() if not name.startswith("_")}


def _inspect(path: Path) -> Contents:
    model = read_flatbuffer(path)
    graph = model.subgraphs[0]
    inputs, outputs = _signature_names(model)
    weights: dict[str, int] = {}
    notes = []
    for tensor, data in _constants(model):
        dtype = tensor_dtype(tensor)
        weights[dtype] = weights.get(dtype, 0) + len(data)
        if dtype in {"float16", "float32"} and (wrong := _non_finite(data, dtype)):
            notes.append(f"weight '{_text(tensor.name)}' holds {wrong:,} values that are not finite in {dtype}")
    return Contents(
        inputs=tuple(_port(graph, index, place, inputs) for place, index in enumerate(graph.inputs)),
        outputs=tuple(_port(graph, index, place, outputs) for place, index in enumerate(graph.outputs)),
        weights=weights,
        notes=tuple(notes),
    )


def _constants(model: Any) -> Iterator[tuple[Any, bytes]]:
    """Every tensor that holds data, and its bytes; a buffer that several tensors share counts once."""
    seen: set[int] = set()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data) and tensor.buffer not in seen:
                seen.add(tensor.buffer)
                yield tensor, bytes(data)


def _non_finite(data: bytes, dtype: str) -> int:
    values = np.frombuffer(data, dtype)
    return int(values.size - np.isfinite(values).sum())


def _signature_names(model: Any) -> tuple[dict[int, str], dict[int, str]]:
    """Tensor index → the name that the first signature gives it, for inputs and for outputs."""
    if not model.signatureDefs:
        return {}, {}
    signature = model.signatureDefs[0]
    named = [{each.tensorIndex: _text(each.name) for each in part} for part in (signature.inputs, signature.outputs)]
    return named[0], named[1]


def _port(graph: Any, index: int, place: int, names: Mapping[int, str]) -> Port:
    tensor = graph.tensors[index]
    shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    name = _text(tensor.name)
    return Port(
        name=names.get(index, name),
        tensor=name,
        position=place,
        shape=tuple(None if size < 0 else int(size) for size in ([] if shape is None else shape)),
        dtype=tensor_dtype(tensor),
    )


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name or "")


def _recognizes(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return path.suffix == ".tflite" or file.read(8)[4:] == _IDENTIFIER


KIND = ArtifactKind(
    inspect=_inspect,
    recognizes=_recognizes,
    served=lambda folder: folder / "model.tflite",
)
