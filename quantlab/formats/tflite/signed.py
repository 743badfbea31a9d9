"""The signature of a TFLite file, by which programs name its inputs and outputs; older files have none."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from quantlab.formats.tflite.flatbuffer import read_flatbuffer, text
from quantlab.formats.tflite.tapped import packed

__all__ = ["signature_of", "write_signed"]


def signature_of(path: Path) -> str | None:
    """The key of the file's first signature; None if it has none."""
    model = read_flatbuffer(path)
    return text(model.signatureDefs[0].signatureKey) if model.signatureDefs else None


def write_signed(path: Path, target: Path, key: str) -> None:
    """Write a copy with one signature, which calls inputs and outputs by the names of their tensors."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_flatbuffer(path)
    graph = model.subgraphs[0]

    def named(tensors: Iterable[Any]) -> list[Any]:
        return [schema.TensorMapT(graph.tensors[index].name, int(index)) for index in tensors]

    model.signatureDefs = [schema.SignatureDefT(named(graph.inputs), named(graph.outputs), key, 0)]
    target.write_bytes(packed(model))
