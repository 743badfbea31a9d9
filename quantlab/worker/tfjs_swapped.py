"""Runs a tfjs graph-model with some weights of a variant and all others of the float32 artifact, in one function.

The weights are inputs of the function, so that a job with other weights needs no new graph. The function stays open in
the process for the next job on the same artifact.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats.tfjs.artifact import list_weights
from quantlab.runtimes.exchange import Job
from quantlab.worker.execution import Execution
from quantlab.worker.tfjs_graph import graph_def, graph_function

__all__ = ["load"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """The float32 graph as a function of its inputs and weights."""

    function: Callable[..., list[Any]]
    dtypes: tuple[Any, ...]
    """Of the inputs."""
    weights: dict[str, Any]
    """Weight → its values in the float32 artifact, as a tensor, in the order of the function's arguments."""


def load(job: Job) -> Execution:
    """Load the weights that the job's options name from its artifact, and all others from the float32 artifact.

    Weights that only one of the two artifacts has stay as they are in the float32 artifact.
    """
    import tensorflow as tf

    opened = _open(
        job.options.float32_artifact,
        tuple(file.tensor for file in job.inputs),
        tuple(file.tensor for file in job.outputs),
        job.options.unsafe,
    )
    swapped, quantized = set(job.options.swapped), _weights(job.artifact)
    weights = [
        tf.constant(quantized[name]) if name in swapped and name in quantized else own
        for name, own in opened.weights.items()
    ]

    def call(batches: Sequence[Array]) -> list[Array]:
        fed = [
            tf.constant(batch.astype(dtype.as_numpy_dtype, copy=False))
            for batch, dtype in zip(batches, opened.dtypes, strict=True)
        ]
        return [output.numpy() for output in opened.function(*fed, *weights)]

    return Execution(call, {"kernels": "TensorFlow"})


@lru_cache(maxsize=1)
def _open(artifact: str, inputs: tuple[str, ...], outputs: tuple[str, ...], unsafe: bool) -> _Opened:
    import tensorflow as tf

    graph = graph_def(Path(artifact), unsafe=unsafe)
    values = {node.name: tf.make_ndarray(node.attr["value"].tensor) for node in graph.node if _is_weight(node)}
    for node in graph.node:
        if node.name in values:
            tensor = node.attr["value"].tensor
            node.op = "Placeholder"
            node.attr["shape"].shape.CopyFrom(tensor.tensor_shape)
            del node.attr["value"]
    function, dtypes = graph_function(graph, (*inputs, *values), outputs)
    weights = {name: tf.constant(value) for name, value in values.items()}
    return _Opened(function, tuple(dtypes[: len(inputs)]), weights)


@lru_cache(maxsize=1)
def _weights(artifact: str) -> dict[str, Array]:
    """The decoded float weights of a variant by name."""
    return {weight.name: weight.values for weight in list_weights(Path(artifact)) if weight.values.dtype == np.float32}


def _is_weight(node: Any) -> bool:
    """Whether a node is a constant of floats; a constant in a loop has control inputs, which a placeholder cannot."""
    from tensorflow.core.framework import types_pb2

    return node.op == "Const" and node.attr["dtype"].type == types_pb2.DT_FLOAT and not node.input
