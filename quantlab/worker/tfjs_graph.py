"""Runs a tfjs graph-model in Python from its own `model.json` and shards, as a TensorFlow function.

The topology is a GraphDef in JSON; the weights are inserted into its Const nodes. TensorFlow can run every op except
three that the converter creates: `FusedDepthwiseConv2dNative` (its kernel gives wrong values or fails, depending on
oneDNN), `Prelu`, and fused ops with the activation Prelu. They are split into their original ops. The last part keeps
the node's name, so that the name still means the same value.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.formats.tfjs.artifact import read_model_json
from quantlab.formats.tfjs_manifest import decode, stored_weights
from quantlab.models.graph_ops import refuse_acting_graph
from quantlab.runtimes.exchange import Job
from quantlab.worker.execution import Execution

__all__ = ["graph_def", "graph_function", "load", "part_owner"]

Array = npt.NDArray[Any]


def load(job: Job) -> Execution:
    """Load a graph-model's folder."""
    import tensorflow as tf

    graph = graph_def(Path(job.artifact), unsafe=job.options.unsafe)
    inputs, outputs = [[file.tensor for file in files] for files in (job.inputs, job.outputs)]
    function, dtypes = graph_function(graph, inputs, outputs)

    def call(batches: Sequence[Array]) -> list[Array]:
        tensors = [
            tf.constant(batch.astype(dtype.as_numpy_dtype, copy=False))
            for batch, dtype in zip(batches, dtypes, strict=True)
        ]
        return [output.numpy() for output in function(*tensors)]

    return Execution(call, {"kernels": "TensorFlow"})


def graph_function(graph: Any, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[Any, list[Any]]:
    """A TensorFlow function of tensors of a graph, and the dtypes of its inputs.

    The graph is imported where its inputs are the function's own. `prune`, which makes such a function of an imported
    graph, copies it node by node in Python: that takes longer than everything else in loading a graph.

    Args:
        graph: A GraphDef; its nodes no longer wait for the inputs after the call.
        inputs: Names of placeholders or their tensors, such as `x` or `x:0`.
        outputs: Names of nodes or their tensors.

    Raises:
        TrialError: If the graph has no such node.
    """
    import tensorflow as tf

    nodes = {node.name: node for node in graph.node}
    feeds, fetches = ([_port(name, nodes) for name in names] for names in (inputs, outputs))
    fed = [nodes[port.partition(":")[0]] for port in feeds]
    _wait_for_none(graph, {node.name for node in fed})

    def imported(*tensors: Any) -> list[Any]:
        given = dict(zip(feeds, tensors, strict=True))
        others = [port for port in fetches if port not in given]
        found = dict(zip(others, tf.graph_util.import_graph_def(graph, given, others, name=""), strict=True))
        return [{**found, **given}[port] for port in fetches]

    specs = [
        tf.TensorSpec(_shape(node, graph.versions.producer), node.attr["dtype"].type, f"quantlab_input_{place}")
        for place, node in enumerate(fed)
    ]
    return tf.compat.v1.wrap_function(imported, specs), [spec.dtype for spec in specs]


def _port(name: str, known: Collection[str]) -> str:
    node = name.partition(":")[0]
    if node not in known:
        raise TrialError(f"the graph has no node '{node}'; convert the model again")
    return name if ":" in name else f"{name}:0"


def _wait_for_none(graph: Any, inputs: Set[str]) -> None:
    """Remove control dependencies on inputs, which are there before anything runs, and whose nodes never run."""
    for node in graph.node:
        kept = [name for name in node.input if name[:1] != "^" or name[1:] not in inputs]
        if len(kept) < len(node.input):
            node.input[:] = kept


def _shape(placeholder: Any, producer: int) -> Any:
    """As TensorFlow reads it: in old files a scalar's shape is that of anything."""
    import tensorflow as tf

    shape = placeholder.attr["shape"].shape if "shape" in placeholder.attr else None  # to ask for it would add it
    known = shape is not None and (shape.dim or producer > _SCALARS_ARE_ANYTHING)
    return tf.TensorShape(shape if known else None)


_SCALARS_ARE_ANYTHING = 21
"""The last version of GraphDefs in which a placeholder without axes has an unknown shape."""


def graph_def(folder: Path, *, unsafe: bool = False) -> Any:
    """The GraphDef of a graph-model with its weights, in ops that TensorFlow can run.

    Args:
        folder: The graph-model's.
        unsafe: Whether it may have ops that do more than compute.

    Raises:
        ArtifactError: As `stored_weights` says.
        TrialError: If the model needs initialized tables, or has such an op.
    """
    from google.protobuf import json_format
    from tensorflow.core.framework import graph_pb2

    document = read_model_json(folder)
    _refuse_initializer(document)
    graph = json_format.ParseDict(document["modelTopology"], graph_pb2.GraphDef(), ignore_unknown_fields=True)
    if not unsafe:
        refuse_acting_graph(graph, folder.name, TrialError)
    _fill_constants(graph, folder)
    vectors = {node.name for node in graph.node if node.op == "Const" and _rank(node) == 1}
    nodes = [part for node in graph.node for part in _take_apart(node, vectors)]
    del graph.node[:]
    graph.node.extend(nodes)
    return graph


def _refuse_initializer(document: Mapping[str, Any]) -> None:
    """Refuse a graph that is run before the model; the sentence about captured inputs is that of tfjs.mjs, too."""
    if not document.get("modelInitializer"):
        return
    signature = document.get("signature") or document.get("userDefinedMetadata", {}).get("signature") or {}
    if any("resourceId" in info for info in signature.get("inputs", {}).values()):
        raise TrialError(
            "the model computes weights in a modelInitializer when it is first called, and TensorFlow.js frees them if "
            "that is inside tf.tidy; store them in the main graph, as tfjs-uint8-per-channel does"
        )
    raise TrialError("the model initializes lookup tables, which quantlab does not support; export it without them")


def _fill_constants(graph: Any, folder: Path) -> None:
    import tensorflow as tf

    constants = {node.name: node for node in _all_nodes(graph) if node.op == "Const"}
    for entry, stored in stored_weights(folder):
        node = constants.get(entry["name"])
        if node is None:
            raise TrialError(
                f"the manifest has the weight '{entry['name']}' and the graph does not; convert the model again"
            )
        # int64 constants are stored as int32; the node has the original dtype.
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
    """Return the node, or the ops it was fused from, the last with its name; `vectors` are constants with one axis."""
    fused = [op.decode() for op in node.attr["fused_ops"].list.s] if "fused_ops" in node.attr else []
    if node.op == "Prelu":
        return _prelu(node.name, node.input[0], node.input[1], _float32())
    if node.op == "FusedDepthwiseConv2dNative":
        return _unfused(node, "DepthwiseConv2dNative", fused)
    if "Prelu" in fused:
        return _unfused(node, {"_FusedConv2D": "Conv2D", "_FusedMatMul": "MatMul"}[node.op], fused)
    if node.op == "_FusedMatMul" and "BiasAdd" in fused and node.input[2] not in vectors:
        # Grappler fuses any addition, but TensorFlow's kernel accepts only a vector.
        return _unfused(node, "MatMul", ["AddV2" if step == "BiasAdd" else step for step in fused])
    if node.op == "BiasAdd" and node.input[1] not in vectors and node.attr["data_format"].s in {b"", b"NHWC"}:
        return [_node("AddV2", node.name, node.input, _only(node, "T"))]  # as above, without the product
    if node.op == "_FusedConv2D" and "TArgs" not in node.attr:
        # Files of older converters lack the dtype of the bias, which TensorFlow now requires.
        node.attr["TArgs"].list.type.extend([node.attr["T"].type] * len(node.input[2:]))
    return [node]


_KEPT_ATTRIBUTES = {
    "DepthwiseConv2dNative": ("T", "strides", "padding", "data_format", "dilations", "explicit_paddings"),
    "Conv2D": ("T", "strides", "padding", "data_format", "dilations", "explicit_paddings"),
    "MatMul": ("T", "transpose_a", "transpose_b"),
}


def _unfused(node: Any, op: str, fused: Sequence[str]) -> list[Any]:
    fused = [step for step in fused if step != "NoOp"]  # in the converter's files this means no bias
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
    """The name of a part of a node that was split; the last part has the node's name."""
    return f"{node}{_PART}{step}"


def part_owner(name: str) -> str | None:
    """The node that a part belongs to, or None for a node of the artifact itself."""
    return name.split(_PART, 1)[0] if _PART in name else None


def _float32() -> Any:
    """The dtype of a Prelu, which its attributes lack; tfjs supports only this one."""
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
