"""Taps of TensorFlow graphs: of the reference, of tfjs graph-models, and of their nodes run in isolation.

The reference's graph is the signature of its SavedModel, frozen and inlined but not optimized. It still has every
layer, including those of nested and subclassed models; the names of nodes contain the paths of the layers.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.formats.tfjs.decoded import is_added
from quantlab.models.training import why_not_frozen
from quantlab.runtimes.exchange import Job
from quantlab.types import TapSpec
from quantlab.types.executor_options import ExecutorOptions
from quantlab.worker.tapping import TappedExecution
from quantlab.worker.tfjs_graph import graph_def, graph_function, part_owner

__all__ = [
    "list_isolated_taps",
    "list_reference_taps",
    "list_tfjs_taps",
    "tap_isolated",
    "tap_reference",
    "tap_tfjs",
]

Array = npt.NDArray[Any]

_NOT_TAPPED = {"Const", "Placeholder", "NoOp", "ReadVariableOp", "VarHandleOp", "Assert"}
_CONTROL_FLOW = {
    "Switch",
    "Merge",
    "Enter",
    "Exit",
    "NextIteration",
    "LoopCond",
    "While",
    "StatelessWhile",
    "If",
    "StatelessIf",
}


def _frozen(options: ExecutorOptions) -> Any:
    return _freeze(options.saved_model, options.signature)


@cache  # takes seconds, and is needed for the list, the alignment and the comparison
def _freeze(saved_model: str, signature: str) -> Any:
    """The signature as a WrappedFunction without variables and with calls inlined.

    Raises:
        TrialError: If a layer changes a variable, which then cannot become a constant.
    """
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    loaded = tf.saved_model.load(saved_model)
    try:
        return convert_to_constants.convert_variables_to_constants_v2(
            loaded.signatures[signature], lower_control_flow=False, aggressive_inlining=True
        )
    except ValueError as error:
        known = why_not_frozen(error)
        if known is None:
            raise
        raise TrialError(known) from error


def list_reference_taps(job: Job) -> list[TapSpec]:
    """List all tensors of the reference's graph that depend on its inputs, in order of execution."""
    return _listed(_frozen(job.options).graph, _wanted)


def list_tfjs_taps(job: Job) -> list[TapSpec]:
    """List the same tensors of a graph-model."""
    return _listed(_imported(_graph_model(job, job.artifact)).graph, _wanted)


def list_isolated_taps(job: Job) -> list[TapSpec]:
    """List only the nodes of a graph-model that have weights.

    Other nodes give the same outputs for the same inputs as in the float32 graph, so their isolated error is zero.
    """
    return _listed(_imported(_graph_model(job, job.artifact)).graph, _weighted)


def _listed(graph: Any, wanted: Callable[[Any], bool]) -> list[TapSpec]:
    depths = _depths(graph.get_operations())
    return [
        _spec(tensor, operation, depths[operation.name])
        for operation in graph.get_operations()
        for tensor in operation.outputs
        if wanted(operation)
    ]


def _wanted(operation: Any) -> bool:
    added = part_owner(operation.name) is not None or is_added(operation.name)
    return operation.type not in _NOT_TAPPED and not added and not _constant(operation)


def _weighted(operation: Any) -> bool:
    """Whether float weights are inputs of the node, or of one of the parts that it was split into."""
    return _wanted(operation) and _takes_weights(operation, operation.name)


def _takes_weights(operation: Any, owner: str) -> bool:
    return any(
        (tensor.dtype.is_floating and _constant(tensor.op))
        or ((part_owner(tensor.op.name) == owner or is_added(tensor.op.name)) and _takes_weights(tensor.op, owner))
        for tensor in operation.inputs
    )


def _constant(operation: Any) -> bool:
    """Whether the node depends on no input, like a weight on its way to its op."""
    seen, waiting = set(), [operation]
    while waiting:
        current = waiting.pop()
        if current.type == "Placeholder":
            return False
        for tensor in current.inputs:
            if tensor.op.name not in seen:
                seen.add(tensor.op.name)
                waiting.append(tensor.op)
    return True


def _depths(operations: Sequence[Any]) -> dict[str, int]:
    """Count the loops and branches around each operation.

    The list is in order of execution, except NextIteration, which goes back to a loop's Merge and is skipped. A branch
    is entered by Switch and left by Merge. A loop is entered by Enter and left by Exit; its own Switch and Merge do not
    count.
    """
    depths: dict[str, int] = {}
    for operation in operations:
        sources = [tensor.op for tensor in operation.inputs if tensor.op.type != "NextIteration"]
        inside = max((depths[source.name] for source in sources), default=0)
        if operation.type == "Enter" or (operation.type == "Switch" and sources[-1].type != "LoopCond"):
            inside += 1
        elif operation.type == "Exit" or (operation.type == "Merge" and len(sources) == len(operation.inputs)):
            inside -= 1
        depths[operation.name] = max(inside, 0)
    return depths


def _spec(tensor: Any, operation: Any, depth: int) -> TapSpec:
    shape = tuple(tensor.shape.as_list()) if tensor.shape.rank is not None else ()
    dtype = tensor.dtype.name if tensor.dtype.name != "string" else "str"
    reason = None
    if depth or operation.type in _CONTROL_FLOW:
        reason = "inside a loop or branch, where tensors cannot be read"
    elif not tensor.dtype.is_floating:
        reason = f"not a float tensor: {dtype}"
    return TapSpec(tensor.name.removesuffix(":0"), shape, dtype, operation.type, reason=reason)


def _graph_model(job: Job, folder: str) -> Any:
    return graph_def(Path(folder), unsafe=job.options.unsafe)


def _imported(graph: Any) -> Any:
    import tensorflow as tf

    return tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])


def _tapped(function: Any, inputs: Sequence[str], outputs: Sequence[str], taps: Sequence[str]) -> TappedExecution:
    graph = function.graph
    feeds = [graph.get_tensor_by_name(_port(name)) for name in inputs]
    fetches = [graph.get_tensor_by_name(_port(name)) for name in (*outputs, *taps)]
    return _execution(function.prune(feeds, fetches), [feed.dtype for feed in feeds], len(outputs))


def _execution(function: Any, dtypes: Sequence[Any], outputs: int) -> TappedExecution:
    """A function whose first results are the outputs, and the others the tapped tensors."""
    import tensorflow as tf

    def call(batches: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        fed = [
            tf.constant(batch.astype(dtype.as_numpy_dtype, copy=False))
            for batch, dtype in zip(batches, dtypes, strict=True)
        ]
        # Not `.numpy()`, which copies: a view of TensorFlow's memory is enough for writing to a file.
        values = [np.asarray(value) for value in function(*fed)]
        return values[:outputs], values[outputs:]

    return TappedExecution(call)


def _port(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def tap_reference(job: Job, taps: Sequence[str]) -> TappedExecution:
    """Open the reference's graph; the names of the job's inputs and outputs are those of the signature."""
    function = _frozen(job.options)
    by_argument = {tensor.name.split(":")[0]: tensor.name for tensor in function.inputs}
    names = sorted(file.name for file in job.outputs)
    results = {name: tensor.name for name, tensor in zip(names, function.outputs, strict=True)}
    return _tapped(
        function, [by_argument[file.name] for file in job.inputs], [results[file.name] for file in job.outputs], taps
    )


def tap_tfjs(job: Job, taps: Sequence[str]) -> TappedExecution:
    """Open a graph-model unchanged, with the tensors of nodes as additional outputs."""
    graph = _graph_model(job, job.artifact)
    outputs = [file.tensor for file in job.outputs]
    function, dtypes = graph_function(graph, [file.tensor for file in job.inputs], [*outputs, *taps])
    return _execution(function, dtypes, len(outputs))


def tap_isolated(job: Job, taps: Sequence[str]) -> TappedExecution:
    """Open the nodes of a graph-model in isolation: with their own weights and the inputs from the float32 graph.

    The outputs are those of the float32 graph; its folder is in the job's options.

    Raises:
        TrialError: If it has loops or conditions, whose nodes run only together.
    """
    own = _graph_model(job, job.artifact)
    if any(node.op in _CONTROL for node in own.node):
        raise TrialError("the ops of a graph-model cannot be run one by one if it has loops or conditions")
    graph = _isolated(_graph_model(job, job.options.float32_artifact), own)
    return _tapped(
        _imported(graph),
        [file.tensor for file in job.inputs],
        [file.tensor for file in job.outputs],
        [f"{_ALONE}/{name}" for name in taps],
    )


_ALONE, _OWN = "alone", "own"
_CONTROL = frozenset(
    {"Enter", "Exit", "If", "Merge", "NextIteration", "StatelessIf", "StatelessWhile", "Switch", "While"}
)


def _isolated(float32: Any, quantized: Any) -> Any:
    """One graph with the float32 graph and, under `alone/`, a copy of each quantized node with its own weights."""
    from tensorflow.core.framework import graph_pb2

    whole = graph_pb2.GraphDef()
    whole.CopyFrom(float32)
    constants, known = _constant_names(quantized), {node.name for node in float32.node}
    for node in quantized.node:
        if node.name in constants:
            whole.node.add().CopyFrom(_renamed(node, f"{_OWN}/{node.name}", lambda source: f"{_OWN}/{source}"))
    for node in quantized.node:
        if node.name not in constants and node.op != "Placeholder":
            whole.node.add().CopyFrom(_renamed(node, f"{_ALONE}/{node.name}", _redirect(node.name, constants, known)))
    return whole


def _constant_names(graph: Any) -> set[str]:
    """Nodes that depend on no input. The list has no particular order, so it is repeated until nothing changes."""
    constants: set[str] = set()
    while True:
        more = {
            node.name
            for node in graph.node
            if node.name not in constants
            and (node.op == "Const" or (node.input and all(_node_of(source) in constants for source in node.input)))
        }
        if not more:
            return constants
        constants |= more


def _node_of(source: str) -> str:
    return source.removeprefix("^").split(":")[0]


def _redirect(name: str, constants: set[str], known: set[str]) -> Any:
    """The inputs of an isolated node: weights of its own graph, its own parts, all else from float32.

    Nodes that are not among the `known` ones of the float32 graph are parts, too, such as an op whose output is
    multiplied by scales.
    """

    def redirect(source: str) -> str:
        node = _node_of(source)
        if node in constants:
            return source.replace(node, f"{_OWN}/{node}", 1)
        own = part_owner(node) is not None and part_owner(node) == (part_owner(name) or name)
        if own or node not in known:
            return source.replace(node, f"{_ALONE}/{node}", 1)
        return source

    return redirect


def _renamed(node: Any, name: str, redirect: Any) -> Any:
    from tensorflow.core.framework import node_def_pb2

    copy = node_def_pb2.NodeDef()
    copy.CopyFrom(node)
    copy.name = name
    del copy.input[:]
    copy.input.extend(redirect(source) for source in node.input)
    return copy
