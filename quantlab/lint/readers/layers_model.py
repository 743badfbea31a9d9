"""Reads a tfjs layers-model."""

from collections.abc import Mapping
from pathlib import Path

from quantlab.formats.tfjs_layers.artifact import inspect, list_weights, read_configuration
from quantlab.formats.tfjs_manifest import LONG_SHARD, document_file, read_document
from quantlab.lint.keras_config import layers_of
from quantlab.lint.subject import KERAS_ROLES, Layer, Role, Subject
from quantlab.lint.weights import facts_of_stored

__all__ = ["read"]


def read(path: Path) -> Subject:
    """Read ports, layers and every weight.

    Raises:
        ArtifactError: If it is not a layers-model that tfjs can build, or a shard is missing or too short.
    """
    contents, document = inspect(path), read_document(path)
    layers = layers_of(read_configuration(path))
    kinds = {layer.name: layer for layer in layers}
    topology = document.get("modelTopology") or {}
    return Subject(
        path=str(path),
        kind="layers-model",
        name=f"{path.name}/{document_file(path).name}" if path.is_dir() else path.name,
        inputs=contents.inputs,
        outputs=contents.outputs,
        layers=layers,
        weights=tuple(facts_of_stored(weight, *_use(weight.name, kinds)) for weight in list_weights(path)),
        held=contents.weights,
        metadata={
            "tool": str(document.get("convertedBy") or ""),
            "long_shard": next((note for note in contents.notes if note.startswith(LONG_SHARD)), ""),
            "version": str(document.get("generatedBy") or ""),
            "keras": str(topology.get("keras_version") or ""),
        },
    )


def _use(name: str, layers: Mapping[str, Layer]) -> tuple[Role, str]:
    """What a weight does by its own name, and the layer whose name is in its path."""
    *scopes, last = name.split("/")
    owner = next((scope for scope in reversed(scopes) if scope in layers), scopes[-1] if scopes else "")
    return KERAS_ROLES.get(last, "constant"), owner
