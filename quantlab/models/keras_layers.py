"""Refuses Keras files whose configuration acts: whose layers run code, or call functions that do more than compute.

A Keras file is a list of layers by class name, with what each is made from. Most classes are Keras' own, and compute.
Some run whatever the file says: a Lambda layer holds Python byte code, an operation layer names a function of
TensorFlow, and an object names the module that it is imported from.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quantlab.errors import ModelError
from quantlab.models.allowed import STATEFUL_OPS, acts_unmarked, is_pure_function

__all__ = ["foreign_modules", "refuse_acting_layers"]

_OWN_MODULES = frozenset({"builtins", "keras", "tf_keras", "tensorflow"})
"""Top-level modules that an object may name and be imported from."""

_PYTHON_CODE = frozenset({"Lambda", "__lambda__", "TorchModuleWrapper"})
"""Objects that hold byte code of Python or a pickle; older versions of Keras read some of them unasked."""


def refuse_acting_layers(path: Path, config: Any) -> None:
    """Check every layer of a Keras configuration, however deep it lies.

    Raises:
        ModelError: If one acts; the message names the layer, what it would do, and `--unsafe`.
    """
    for kind, fields in _objects(config):
        name, action = str(fields.get("name", "?")), _action(kind, fields)
        if action is not None:
            raise ModelError(
                f"the {kind} layer '{name}' of '{path}' {action}; if you trust the file, allow it with --unsafe"
            )


def _action(kind: str, fields: Mapping[str, Any]) -> str | None:
    """What a layer does beside computing; None where that is nothing."""
    if kind in _PYTHON_CODE:
        return "contains Python code that runs when the model is opened"
    if (action := _reads(kind, fields)) is not None:
        return action
    if kind in {"TFOpLambda", "SlicingOpLambda"}:
        function = str(fields.get("function", "__operators__.getitem"))
        return None if is_pure_function(function) else f"calls 'tf.{function}', which is not on the list of mathematics"
    if kind in {"ClassMethod", "InstanceMethod"}:
        method = fields.get("method_name", fields.get("attr_name", "?"))
        return f"calls the method '{method}' of '{fields.get('cls_symbol', 'what it is given')}'"
    if kind == "TensorFlowOpLayer":
        op = _op_of(fields.get("node_def"))
        return None if _is_pure_op(op) else f"runs the op '{op}', which is not on the list of mathematics"
    return None


def _reads(kind: str, fields: Mapping[str, Any]) -> str | None:
    """What a layer reads from outside the model's file; None where that is nothing."""
    if kind == "TFSMLayer":
        return f"loads the SavedModel '{fields.get('filepath', '?')}'"
    if isinstance(fields.get("vocabulary"), str):
        return f"reads the file '{fields['vocabulary']}' for its vocabulary"
    return None


def _op_of(node: Any) -> str:
    """The op of a node in the JSON of protobuf, as Keras 2.3 wrote it."""
    try:
        return str(json.loads(node)["op"])
    except (TypeError, ValueError, KeyError):
        return "?"


def _is_pure_op(op: str) -> bool:
    """Whether an op computes; without TensorFlow's registry, so that a stateful one must be on the list by name."""
    return op in STATEFUL_OPS or not (acts_unmarked(op) or _looks_stateful(op))


def _looks_stateful(op: str) -> bool:
    parts = ("?", "Write", "PyFunc", "Save", "Print", "Rpc", "Send", "Recv", "Queue", "Summary", "Iterator", "Dump")
    return any(part in op for part in parts)


def foreign_modules(config: Any) -> Iterator[tuple[str, str]]:
    """Module and registered name of every object that would be imported from outside Keras and TensorFlow."""
    for _, _, whole in _walk(config):
        module = whole.get("module")
        if isinstance(module, str) and module.split(".")[0] not in _OWN_MODULES:
            yield module, str(whole.get("registered_name") or whole.get("class_name"))


def _objects(config: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for kind, fields, _ in _walk(config):
        yield kind, fields


def _walk(config: Any) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Class name, configuration and whole entry of every object; without recursion, since depth is the file's."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                fields = value.get("config")
                yield value["class_name"], fields if isinstance(fields, dict) else {}, value
            waiting += reversed(value.values())
        elif isinstance(value, list):
            waiting += reversed(value)
