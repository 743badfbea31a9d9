"""Runs a tfjs graph-model in Python from its own `model.json` and shards, as a TensorFlow function.

The topology is a GraphDef in JSON; the weights go into its Const nodes. TensorFlow has every op but three that the
converter makes up: `FusedDepthwiseConv2dNative` (its kernel gives wrong values or refuses, depending on oneDNN),
`Prelu`, and a fused op whose activation is Prelu. Those are taken apart into what they were fused from; the last part
keeps the node's name, so that whoever reads it reads the same value.
"""

from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.formats.tfjs.artifact import read_model_json
from quantlab.formats.tfjs_manifest import decode, stored_weights
from quantlab.runtimes.exchange import Job
from quantlab.worker.execution import Execution

__all__ = ["graph_def", "load", "part_owner"]

Array = npt.NDArray[Any]


def load(job: Job) -> Execution:
    """Load a graph-model's folder."""
    import tensorflow as tf

    graph = graph_def(Path(job.artifact))
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    names = {node.name for node in graph.node}
    inputs = [_tensor(wrapped.graph, file.tensor, names) for file in job.inputs]
    outputs = [_tensor(wrapped.graph, file.tensor, names) for file in job.outputs]
    function = wrapped.prune(inputs, outputs)

    def call(batches: Sequence[Array]) -> list[Array]:
        tensors = [
            tf.constant(batch.astype(tensor.dtype.as_numpy_dtype, copy=False))
            for batch, tensor in zip(batches, inputs, strict=True)
        ]
        return [output.numpy() for output in function(*tensors)]

    return Execution(call, {"kernels": "TensorFlow"})


def _tensor(graph: Any, name: str, known: set[str]) -> Any:
    node = name.partition(":")[0]
    if node not in known:
        raise TrialError(f"the graph has no node '{node}'; convert the model again")
    return graph.get_tensor_by_name(name if ":" in name else f"{name}:0")


def graph_def(folder: Path) -> Any:
    """The GraphDef of a graph-model with its weights in it, in ops that TensorFlow runs.

    Raises:
        ArtifactError: As `stored_weights` says.
        TrialError: If the model needs tables to be initialized first.
    """
    from google.protobuf import json_format
    from tensorflow.core.framework import graph_pb2

    document = read_model_json(folder)
    if document.get("modelInitializer"):
        raise TrialError("the model initializes lookup tables, which quantlab does not run; export it without them")
    graph = json_format.ParseDict(document["modelTopology"], graph_pb2.GraphDef(), ignore_unknown_fields=True)
    _fill_constants(graph, folder)
    vectors = {node.name for node in graph.node if node.op == "Const" and _rank(node) == 1}
    nodes = [part for node in graph.node for part in _take_apart(node, vectors)]
    del graph.node[:]
    graph.node.extend(nodes)
    return graph


def _fill_constants(graph: Any, folder: Path) -> None:
    import tensorflow as tf

    constants = {node.name: node for node in _all_nodes(graph) if node.op == "Const"}
    for entry, stored in stored_weights(folder):
        node = constants.get(entry["name"])
        if node is None:
            raise TrialError(f"the manifest has the weight '{entry['name']}' and the graph no such constant")
        # int64 constants are stored as int32; the node still says what the graph computes in.
        dtype = tf.dtypes.as_dtype(node.attr["dtype"].type)
        values = decode(entry, stored).astype(dtype.as_numpy_dtype)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values, dtype, entry["shape"]))


def _all_nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _rank(node: Any) -> int:
    return len(node.attr["value"].tensor.tensor_shape.dim)


def _take_apart(node: Any, vectors: Set[str]) -> list[Any]:
    """The node itself, or the ops it was fused from, the last under its name; `vectors` are constants of one axis."""
    fused = [op.decode() for op in node.attr["fused_ops"].list.s] if "fused_ops" in node.attr else []
    if node.op == "Prelu":
        return _prelu(node.name, node.input[0], node.input[1], _float32())
    if node.op == "FusedDepthwiseConv2dNative":
        return _unfused(node, "DepthwiseConv2dNative", fused)
    if "Prelu" in fused:
        return _unfused(node, {"_FusedConv2D": "Conv2D", "_FusedMatMul": "MatMul"}[node.op], fused)
    if node.op == "_FusedMatMul" and "BiasAdd" in fused and node.input[2] not in vectors:
        # Grappler fuses any addition, and TensorFlow's kernel takes a vector only.
        return _unfused(node, "MatMul", ["AddV2" if step == "BiasAdd" else step for step in fused])
    if node.op == "_FusedConv2D" and "TArgs" not in node.attr:
        # Files of older converters do not say of what type the bias is, and TensorFlow asks for it now.
        node.attr["TArgs"].list.type.extend([node.attr["T"].type] * len(node.input[2:]))
    return [node]


_KEPT_ATTRIBUTES = {
    "DepthwiseConv2dNative": ("T", "strides", "padding", "data_format", "dilations", "explicit_paddings"),
    "Conv2D": ("T", "strides", "padding", "data_format", "dilations", "explicit_paddings"),
    "MatMul": ("T", "transpose_a", "transpose_b"),
}


def _unfused(node: Any, op: str, fused: Sequence[str]) -> list[Any]:
    fused = [step for step in fused if step != "NoOp"]  # the converter's word for no bias
    steps = [op, *fused]
    names = [part_name(node.name, step) for step in steps[:-1]] + [node.name]
    parts = [
        _node(op, names[0], node.input[:2], {key: node.attr[key] for key in _KEPT_ATTRIBUTES[op] if key in node.attr})
    ]
    arguments = list(node.input[2:])
    for step, name in zip(fused, names[1:], strict=True):
        source = parts[-1].name
        if step == "Prelu":
            parts += _prelu(name, source, arguments.pop(0), node.attr["T"])
        elif step == "BiasAdd":
            parts.append(_node(step, name, [source, arguments.pop(0)], _only(node, "T", "data_format")))
        elif step == "AddV2":
            parts.append(_node(step, name, [source, arguments.pop(0)], _only(node, "T")))
        else:
            parts.append(_node(step, name, [source], _only(node, "T")))
            if step == "LeakyRelu" and "leakyrelu_alpha" in node.attr:
                parts[-1].attr["alpha"].CopyFrom(node.attr["leakyrelu_alpha"])
    return parts


_PART = "/quantlab_part_"


def part_name(node: str, step: str) -> str:
    """The name of a step inside a node that was taken apart; the last step has the node's own."""
    return f"{node}{_PART}{step}"


def part_owner(name: str) -> str | None:
    """The node that a step belongs to, or None for a node of the artifact itself."""
    return name.split(_PART, 1)[0] if _PART in name else None


def _float32() -> Any:
    """The type that a Prelu's attributes do not tell; tfjs has no other."""
    from tensorflow.core.framework import attr_value_pb2, types_pb2

    return attr_value_pb2.AttrValue(type=types_pb2.DT_FLOAT)


def _only(node: Any, *names: str) -> dict[str, Any]:
    return {name: node.attr[name] for name in names if name in node.attr}


def _prelu(name: str, source: str, alpha: str, dtype: Any) -> list[Any]:
    """Slope alpha below zero: max(x, 0) + alpha·min(x, 0), the latter as −relu(−x)."""
    typed = {"T": dtype}
    return [
        _node("Relu", part_name(name, "positive"), [source], typed),
        _node("Neg", part_name(name, "negated"), [source], typed),
        _node("Relu", part_name(name, "below"), [part_name(name, "negated")], typed),
        _node("Neg", part_name(name, "negative"), [part_name(name, "below")], typed),
        _node("Mul", part_name(name, "sloped"), [part_name(name, "negative"), alpha], typed),
        _node("AddV2", name, [part_name(name, "positive"), part_name(name, "sloped")], typed),
    ]


def _node(op: str, name: str, inputs: Sequence[str], attributes: dict[str, Any]) -> Any:
    from tensorflow.core.framework import node_def_pb2

    node = node_def_pb2.NodeDef(op=op, name=name, input=list(inputs))
    for key, value in attributes.items():
        node.attr[key].CopyFrom(value)
    return node
