"""Refuses graphs of TensorFlow that act: that read, write, call Python or use the network when they are run.

Only what is run counts: every SavedModel holds functions that save and restore it, which no signature reaches. Runs in
a child, since it asks TensorFlow's registry of ops.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from quantlab.errors import ModelError, QuantlabError
from quantlab.models.allowed import STATEFUL_OPS, acts_unmarked

__all__ = ["acting_op", "refuse_acting_graph", "refuse_acting_saved_model"]


def refuse_acting_saved_model(folder: Path, signature: str | None) -> None:
    """Check what a SavedModel runs when it is loaded, and when a signature is called.

    Args:
        folder: The SavedModel's.
        signature: The one that will be called; None checks all of them.

    Raises:
        ModelError: If it reaches an op that acts; the message names the op and `--unsafe`. Also if the folder's
            `saved_model.pb` cannot be read.
    """
    for graph, functions in _run_when_used(folder, signature):
        op = acting_op(graph.graph_def, functions)
        if op is not None:
            raise ModelError(
                f"the SavedModel '{folder}' runs the op '{op}', which does more than compute: it may read or write "
                f"files, call Python or use the network; if you trust the model, allow it with --unsafe"
            )


def refuse_acting_graph(graph: Any, name: str, error: type[QuantlabError]) -> None:
    """The same for a GraphDef, every node of which may be run.

    Raises:
        error: If a node, or a function that it calls, acts. No option allows that: no runtime for such files has these
            ops.
    """
    op = acting_op(graph, [*(node.name for node in graph.node)])
    if op is not None:
        raise error(
            f"'{name}' runs the op '{op}', which does more than compute: it may read or write files, call Python or "
            f"use the network; a model for TensorFlow.js holds no such op, so make it again from a model you trust"
        )


def acting_op(graph: Any, started: Iterable[str]) -> str | None:
    """The first op that acts among what some nodes and functions of a GraphDef reach; None where none does.

    Args:
        graph: A GraphDef.
        started: Names of nodes of the graph, and of functions of its library.
    """
    nodes = {node.name: node for node in graph.node}
    library = {function.signature.name: function.node_def for function in graph.library.function}
    seen: set[str] = set()
    waiting = list(started)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in [nodes[name]] if name in nodes else library.get(name, ()):
            if node.op not in library and _acts(node.op):
                return str(node.op)
            waiting += _called(node)
            if name in nodes:
                waiting += (source.lstrip("^").split(":")[0] for source in node.input)
    return None


def _called(node: Any) -> Iterator[str]:
    """Functions that a node calls, the op itself among them where it is one."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


@cache
def _acts(op: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    if definition is None:  # an op of a library that is not loaded cannot run
        return False
    return (definition.is_stateful and op not in STATEFUL_OPS) or acts_unmarked(op)


def _run_when_used(folder: Path, signature: str | None) -> Iterator[tuple[Any, list[str]]]:
    """Each graph of a SavedModel, with the nodes and functions that are run."""
    for graph in _read(folder).meta_graphs:
        signatures = graph.signature_def
        asked = [signature] if signature is not None and signature in signatures else [*signatures]
        # An initializer's signature is among them, by a name that begins with two underscores.
        asked += [name for name in signatures if name.startswith("__saved_model_")]
        tensors = [info for name in asked for info in signatures[name].outputs.values()]
        yield graph, [*(info.name.split(":")[0] for info in tensors), *_functions(graph.object_graph_def, signature)]


def _functions(objects: Any, signature: str | None) -> Iterator[str]:
    """Functions that loading calls to make tables and the like, and those of the signatures."""
    for index in range(len(objects.nodes)):
        node = objects.nodes[index]
        if node.WhichOneof("kind") == "resource":
            yield from _functions_below(objects, index)
        if node.WhichOneof("kind") == "user_object" and node.user_object.identifier == "signature_map":
            for child in node.children:
                if signature in (None, child.local_name):
                    yield from _functions_of(objects.nodes[child.node_id])


def _functions_below(objects: Any, index: int) -> Iterator[str]:
    for child in objects.nodes[index].children:
        yield from _functions_of(objects.nodes[child.node_id])


def _functions_of(node: Any) -> Iterator[str]:
    kind = node.WhichOneof("kind")
    if kind == "function":
        yield from node.function.concrete_functions
    if kind == "bare_concrete_function":
        yield node.bare_concrete_function.concrete_function_name


def _read(folder: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((folder / "saved_model.pb").read_bytes())
    except (DecodeError, OSError) as error:
        raise ModelError(
            f"'{folder / 'saved_model.pb'}' cannot be read ({error}); it may have been cut short, so export it again"
        ) from error
    return model
