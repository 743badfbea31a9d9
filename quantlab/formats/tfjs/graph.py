"""The nodes of a graph-model, for programs that draw graphs."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantlab.formats.tfjs.artifact import read_model_json
from quantlab.types import GraphEdge, GraphNode

__all__ = ["list_nodes"]

_LEFT_OUT = {"value"}
"""The attribute that would hold the values of a constant; its shape and data type come from the manifest."""


def list_nodes(path: Path) -> tuple[GraphNode, ...]:
    """Every node of a graph-model in file order, with shape and data type of its weights; raises like `inspect`."""
    document = read_model_json(path)
    stored = {entry["name"]: entry for group in document["weightsManifest"] for entry in group["weights"]}
    nodes = document["modelTopology"]["node"]
    names = {node["name"] for node in nodes}
    return tuple(
        GraphNode(
            str(node["name"]),
            str(node["op"]),
            _inputs(node, names),
            {**_weight(stored.get(node["name"])), **_told(node)},
        )
        for node in nodes
    )


def _inputs(node: Mapping[str, Any], names: set[str]) -> tuple[GraphEdge, ...]:
    """Inputs are `node`, `node:output`, or `^node` for an order without a tensor."""
    parts = [source.removeprefix("^").partition(":") for source in node.get("input", ())]
    return tuple(GraphEdge(name, int(output or 0)) for name, _, output in parts if name in names)


def _weight(entry: Mapping[str, Any] | None) -> dict[str, str]:
    if entry is None:
        return {}
    stored = entry.get("quantization", {}).get("dtype", entry["dtype"])
    return {"shape": "x".join(str(size) for size in entry["shape"]), "stored as": str(stored)}


def _told(node: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in node.get("attr", {}).items() if name not in _LEFT_OUT}


def _text(value: Any) -> str:
    """An attribute as text; texts in it are base64."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind == "s":
            return base64.b64decode(inner).decode(errors="replace")
        if kind == "list" and isinstance(inner, Mapping):
            return ", ".join(_text({key: one}) for key, several in inner.items() for one in several)
        if kind == "shape":
            return "x".join(str(size["size"]) for size in inner.get("dim", ()))
        if not isinstance(inner, Mapping):
            return str(inner)
    return json.dumps(value)
