"""Prepares models with loops for TFLite, whose lists of tensors need fixed shapes.

A recurrent layer of Keras becomes a loop that reads its steps from one list of tensors and writes them into another.
The shape of a list's elements is a constant of the SavedModel, with -1 for the open batch size. It stays -1 if the
signature is called with a batch of 1 later, and the converter refuses it. This module writes 1 instead, which is what
tracing the Keras model with a batch of 1 gives, and needs neither Keras nor the user's own layers.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from quantlab.formats.tflite.flatbuffer import operator_name, read_flatbuffer
from quantlab_converters.graph_bytes import graph_contains

__all__ = ["close_lists", "has_lists", "has_loop"]

_GRAPH = "saved_model.pb"
_OPS = "TensorList"
"""Part of the names of all ops on lists."""


def has_lists(saved_model: Path) -> bool:
    """Whether a SavedModel contains a list of tensors, judged from its bytes; TensorFlow is not needed."""
    return graph_contains(saved_model, _OPS.encode())


def close_lists(saved_model: Path, folder: Path) -> Path:
    """Write a SavedModel whose lists hold elements of batch size 1; variables and assets are links.

    Args:
        saved_model: The model.
        folder: The folder to write; it must not exist.

    Returns:
        `folder`, or `saved_model` if it has no list with an open batch size.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    if not has_lists(saved_model):
        return saved_model
    model = saved_model_pb2.SavedModel.FromString((saved_model / _GRAPH).read_bytes())
    constants = [constant for meta in model.meta_graphs for constant in _element_shapes(meta.graph_def)]
    closed = [_close(constant) for constant in constants]
    if not any(closed):
        return saved_model
    folder.mkdir(parents=True)
    for other in saved_model.iterdir():
        if other.name != _GRAPH:
            (folder / other.name).symlink_to(other.absolute())
    (folder / _GRAPH).write_bytes(model.SerializeToString())
    return folder


def _element_shapes(graph: Any) -> Iterator[Any]:
    """The constants that are the `element_shape` of an op on lists, in the graph and in its functions."""
    scopes: Iterable[Any] = (graph.node, *(function.node_def for function in graph.library.function))
    for nodes in scopes:
        by_name = {node.name: node for node in nodes}
        for node in nodes:
            place = _element_shape_input(node.op)
            source = by_name.get(node.input[place].split(":")[0]) if place is not None else None
            if source is not None and source.op == "Const":
                yield source


def _element_shape_input(op: str) -> int | None:
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op) if _OPS in op else None
    names = [argument.name for argument in definition.input_arg] if definition else []
    return names.index("element_shape") if "element_shape" in names else None


def _close(constant: Any) -> bool:
    """Set the first size of a shape to 1 if it is open; returns whether it was."""
    from tensorflow import make_ndarray, make_tensor_proto

    shape = make_ndarray(constant.attr["value"].tensor).copy()
    if shape.ndim != 1 or not len(shape) or shape[0] != -1:
        return False
    shape[0] = 1
    constant.attr["value"].tensor.CopyFrom(make_tensor_proto(shape))
    return True


def has_loop(file: Path) -> bool:
    """Whether a TFLite file contains the op WHILE."""
    model = read_flatbuffer(file)
    operators = (operator for graph in model.subgraphs for operator in graph.operators or ())
    return any(operator_name(model, operator) == "WHILE" for operator in operators)
