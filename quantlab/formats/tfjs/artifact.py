"""Reader for tfjs graph-models: inputs, outputs and kernels from `model.json`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from quantlab.errors import ArtifactError
from quantlab.formats.contract import Contents
from quantlab.formats.tfjs.channels import find_channel_axes, find_readers
from quantlab.formats.tfjs.decoded import decoded_elements, with_decoded
from quantlab.formats.tfjs_manifest import (
    contents,
    document_file,
    has_document,
    is_layers_model,
    read_document,
    recognizes_layers,
    stored_weight,
    stored_weights,
)
from quantlab.types import Port, StoredWeight

__all__ = [
    "decoded_bytes",
    "inspect",
    "list_weights",
    "placeholder_info",
    "read_model_json",
    "read_signature",
    "recognizes",
]

_NUMPY_DTYPES = {
    "DT_FLOAT": "float32",
    "DT_INT32": "int32",
    "DT_INT64": "int32",
    "DT_BOOL": "bool",
    "DT_UINT8": "int32",
}
"""Data type in the graph → data type in tfjs, which has only float32, int32 and bool."""


def read_model_json(path: Path) -> dict[str, Any]:
    """Read the JSON file of a graph-model.

    Raises:
        ArtifactError: If it is missing, not JSON, or not a graph-model.
    """
    document = read_document(path)
    if is_layers_model(document):
        raise ArtifactError(
            f"'{document_file(path)}' is a {document.get('format') or 'layers-model'}, and a graph-model is needed; "
            f"convert with --output_format=tfjs_graph_model"
        )
    return document


def inspect(path: Path) -> Contents:
    """Contents of a graph-model; raises ArtifactError like `read_model_json`, and if shards are missing."""
    signature = read_signature(path)
    return contents(path, _ports(signature.get("inputs", {})), _ports(signature.get("outputs", {})))


def read_signature(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """The `inputs` and `outputs` of a graph-model, each name → what is known of the tensor.

    Converters before 2.0 wrote no signature: then the inputs are the placeholders, and the outputs are the nodes that
    no other node reads, as in TensorFlow.js.
    """
    document = read_model_json(path)
    signature = document.get("signature") or document.get("userDefinedMetadata", {}).get("signature")
    return signature or _signature_of(document["modelTopology"]["node"])


def _signature_of(nodes: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The signature of a graph that states none; the shapes of its outputs are unknown."""
    read = {source.removeprefix("^").partition(":")[0] for node in nodes for source in node.get("input", ())}
    ends = [node["name"] for node in nodes if node["name"] not in read and node["op"] not in _NO_OUTPUTS]
    return {
        "inputs": {node["name"]: placeholder_info(node) for node in nodes if node["op"] == "Placeholder"},
        "outputs": {name: {"name": f"{name}:0"} for name in ends},
    }


_NO_OUTPUTS = {"Const", "Placeholder", "PlaceholderWithDefault", "NoOp", "Assert"}
"""Ops that compute no output, although no node may read them."""


def placeholder_info(node: Mapping[str, Any]) -> dict[str, Any]:
    """How a signature describes an input."""
    attributes = node.get("attr", {})
    return {
        "name": f"{node['name']}:0",
        "dtype": attributes.get("dtype", {}).get("type", "DT_FLOAT"),
        "tensorShape": attributes.get("shape", {}).get("shape", {}),
    }


def _ports(tensors: Mapping[str, Any]) -> tuple[Port, ...]:
    ports = []
    for place, (key, info) in enumerate(tensors.items()):
        sizes = [int(size["size"]) for size in info.get("tensorShape", {}).get("dim", [])]
        ports.append(
            Port(
                name=key.removesuffix(":0"),
                tensor=info["name"],
                position=_position(info["name"], place),
                shape=tuple(None if size < 0 else size for size in sizes),
                dtype=_NUMPY_DTYPES.get(info.get("dtype", "DT_FLOAT"), "float32"),
            )
        )
    return tuple(sorted(ports, key=lambda port: port.position))


def _position(tensor: str, place: int) -> int:
    """Position of an output; if the converter lost its name (two outputs of one shape), the node name contains it.

    A signature's results are flattened in the order of their names and numbered as `Identity`, `Identity_1`, ….
    """
    node = tensor.partition(":")[0]
    if node == "Identity":
        return 0
    number = node.removeprefix("Identity_")
    return int(number) if number.isdigit() and node != number else place


def list_weights(path: Path) -> Iterator[StoredWeight]:
    """Every weight of a graph-model, with its channel axes."""
    topology = read_model_json(path)["modelTopology"]
    axes, readers = find_channel_axes(topology), find_readers(topology)
    return (
        replace(weight, feeds=weight.feeds or readers.get(weight.name, ""))
        for weight in with_decoded(topology, _constants(path, axes), axes)
    )


def decoded_bytes(path: Path) -> int:
    """Bytes of the float32 kernels that a graph-model decodes itself, anew in each call."""
    return 4 * decoded_elements(read_model_json(path)["modelTopology"], _constants(path, {}))


def _constants(path: Path, axes: Mapping[str, tuple[int, ...]]) -> Iterator[StoredWeight]:
    return (stored_weight(entry, stored, axes.get(entry["name"], ())) for entry, stored in stored_weights(path))


def recognizes(path: Path) -> bool:
    """Whether a path is the JSON file of a graph-model, or a folder with one."""
    return has_document(path) and not recognizes_layers(path)
