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

__all__ = ["acting_op", "reached_nodes", "refuse_acting_graph", "refuse_acting_saved_model"]


def refuse_acting_saved_model(folder: Path, signature: str | None) -> None:
    """Check what a SavedModel runs when it is loaded, and when a signature is called.

    Args:
        folder: The SavedModel's.
        signature: The one that will be called; None checks all of them.

    Raises:
        ModelError: If it reaches an op that acts; the message names the op and `--unsafe`. Also if the folder's
            `saved_model.pb` cannot be read.
    """
    for graph, nodes, functions in _run_when_used(folder, signature):
        op = acting_op(graph.graph_def, nodes, functions)
        if op is not None:
            raise ModelError(f"the SavedModel '{folder}' {_acts_by(op)}")


def refuse_acting_graph(graph: Any, name: str, error: type[QuantlabError]) -> None:
    """Check a GraphDef, every node of which may be run.

    Args:
        graph: A GraphDef.
        name: What the message calls it.
        error: Exception class to raise.

    Raises:
        error: If a node, or a function that it calls, acts; the message names the op and `--unsafe`.
    """
    op = acting_op(graph, [node.name for node in graph.node])
    if op is not None:
        raise error(f"'{name}' {_acts_by(op)}")


def _acts_by(op: str) -> str:
    """What a model with this op does, and what to do about it."""
    return (
        f"runs the op '{op}', which does more than compute: it may read or write files, call Python or use the "
        f"network; if you trust the model, allow it with --unsafe"
    )


def acting_op(graph: Any, nodes: Iterable[str], functions: Iterable[str] = ()) -> str | None:
    """The first op that acts among what some nodes and functions of a GraphDef reach; None where none does.

    A node and a function may have the same name, and are told apart.

    Args:
        graph: A GraphDef.
        nodes: Names of nodes of the graph.
        functions: Names of functions of its library.
    """
    for reached in reached_nodes(graph, nodes, functions):
        for node in reached:
            if _acts(node.op):
                return str(node.op)
    return None


def reached_nodes(graph: Any, nodes: Iterable[str], functions: Iterable[str] = ()) -> Iterator[list[Any]]:
    """Give the nodes that are run when some nodes and functions of a GraphDef are: those of the graph one by one, those
    of a function together, because the names of its nodes are its own. Calls of functions of the library are left out.

    Args:
        graph: A GraphDef.
        nodes: Names of nodes of the graph.
        functions: Names of functions of its library.
    """
    by_name = {node.name: node for node in graph.node}
    library = {function.signature.name: function.node_def for function in graph.library.function}
    seen: set[tuple[str, bool]] = set()
    waiting = [*((name, False) for name in nodes), *((name, True) for name in functions)]
    while waiting:
        name, is_function = waiting.pop()
        if (name, is_function) in seen:
            continue
        seen.add((name, is_function))
        run = list(library.get(name, ())) if is_function else [by_name[name]] if name in by_name else []
        yield [node for node in run if node.op not in library]
        for node in run:
            waiting += ((function, True) for function in _called(node))
            if not is_function:
                waiting += ((source.lstrip("^").split(":")[0], False) for source in node.input)


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


def _run_when_used(folder: Path, signature: str | None) -> Iterator[tuple[Any, list[str], list[str]]]:
    """Each graph of a SavedModel, with the nodes and the functions that are run."""
    for graph in _read(folder).meta_graphs:
        signatures = graph.signature_def
        asked = [signature] if signature is not None and signature in signatures else [*signatures]
        # An initializer's signature is among them, by a name that begins with two underscores.
        asked += [name for name in signatures if name.startswith("__saved_model_")]
        tensors = [name for key in asked for info in signatures[key].outputs.values() for name in _tensors(info)]
        nodes = [name.split(":")[0] for name in (*tensors, *_initializers(graph))]
        yield graph, nodes, [*_functions(graph.object_graph_def, signature)]


def _tensors(info: Any) -> Iterator[str]:
    """Names of the tensors of an output, whatever its encoding."""
    if info.name:
        yield info.name
    sparse = info.coo_sparse
    yield from filter(None, (sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name))
    for part in info.composite_tensor.components:
        yield from _tensors(part)


def _initializers(graph: Any) -> Iterator[str]:
    """Nodes that loading runs in a SavedModel of TensorFlow 1; what restores its variables is left out."""
    for key in ("saved_model_main_op", "legacy_init_op"):
        if key in graph.collection_def:
            yield from graph.collection_def[key].node_list.value


def _functions(objects: Any, signature: str | None) -> Iterator[str]:
    """Functions that loading calls to make tables and the like, and those of the signatures."""
    for index in range(len(objects.nodes)):
        node = objects.nodes[index]
        if node.WhichOneof("kind") == "resource":
            yield from _functions_below(objects, index)
        for saveable in node.saveable_objects.values():
            yield from _functions_of(objects.nodes[saveable.restore_function])
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
