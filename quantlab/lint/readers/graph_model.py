"""Reads a tfjs graph-model."""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quantlab.formats.tfjs.artifact import inspect, list_weights, read_model_json
from quantlab.formats.tfjs_manifest import LONG_SHARD, document_file
from quantlab.lint.subject import Op, Role, Subject
from quantlab.lint.weights import facts_of_stored
from quantlab.types import StoredWeight

__all__ = ["read"]


def read(path: Path) -> Subject:
    """Read ports, the nodes of the graph and of its functions, and every weight.

    Raises:
        ArtifactError: If it is not a graph-model, or a shard is missing or too short.
    """
    document, contents = read_model_json(path), inspect(path)
    ops = tuple(_ops(document["modelTopology"]))
    by_name = {op.name: op for op in ops}
    readers = _readers(ops, by_name)
    return Subject(
        path=str(path),
        kind="graph-model",
        name=f"{path.name}/{document_file(path).name}" if path.is_dir() else path.name,
        inputs=contents.inputs,
        outputs=contents.outputs,
        ops=ops,
        weights=tuple(facts_of_stored(weight, *_use(weight, readers)) for weight in list_weights(path)),
        held=contents.weights,
        metadata={
            "tool": str(document.get("convertedBy") or ""),
            "long_shard": next((note for note in contents.notes if note.startswith(LONG_SHARD)), ""),
            "version": str(document.get("generatedBy") or ""),
            "signature": "yes" if document.get("signature") or document.get("userDefinedMetadata") else "",
        },
    )


def _ops(topology: Mapping[str, Any]) -> Iterator[Op]:
    functions = topology.get("library", {}).get("function", ())
    nodes = [*topology["node"], *(node for function in functions for node in function.get("nodeDef", ()))]
    for node in nodes:
        yield Op(
            name=node["name"],
            kind=node["op"],
            inputs=tuple(_tensor(name) for name in node.get("input", ()) if not name.startswith("^")),
            outputs=(node["name"],),
            attributes={key: _plain(value) for key, value in node.get("attr", {}).items()},
        )


def _tensor(name: str) -> str:
    node, _, number = name.partition(":")
    return node if number in {"", "0"} else name


def _plain(value: Any) -> Any:
    """An attribute of protobuf's JSON as a plain value, as far as it has one."""
    if not isinstance(value, Mapping):
        return None
    for kind, held in value.items():
        if kind == "i":
            return int(held)
        if kind == "s":
            return b64decode(held).decode(errors="replace")
        if kind in {"b", "f", "type"}:
            return held
    return None


_KERNELS: Mapping[str, Role] = {
    **dict.fromkeys(("Conv2D", "_FusedConv2D", "Conv2DBackpropInput", "Conv3D", "MatMul", "_FusedMatMul"), "kernel"),
    **dict.fromkeys(("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"), "depthwise"),
}


def _readers(ops: tuple[Op, ...], by_name: Mapping[str, Op]) -> Mapping[str, tuple[Op, int]]:
    """Constant → the first op that computes with it, behind identities, and the index of its input."""
    readers: dict[str, tuple[Op, int]] = {}
    for op in ops:
        if op.kind == "Identity":
            continue
        for slot, name in enumerate(op.inputs):
            readers.setdefault(_behind_identities(name, by_name), (op, slot))
    return readers


def _behind_identities(name: str, by_name: Mapping[str, Op]) -> str:
    """The tensor that identities pass on; of identities that read each other, any one."""
    seen: set[str] = set()
    while name not in seen and name in by_name and by_name[name].kind == "Identity" and by_name[name].inputs:
        seen.add(name)
        name = by_name[name].inputs[0]
    return name


def _use(weight: StoredWeight, readers: Mapping[str, tuple[Op, int]]) -> tuple[Role, str]:
    op, slot = readers.get(weight.name, (None, 0))
    if op is None:
        return "constant", weight.feeds
    role = _KERNELS.get(op.kind, "constant")
    if slot != 1 or role == "constant":
        return ("bias" if slot > 1 and role != "constant" else "constant"), op.name
    return role, op.name
