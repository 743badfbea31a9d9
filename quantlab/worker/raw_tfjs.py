"""Calls a part of a tfjs graph-model in Python: a TensorFlow function of its inputs, of any shapes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from quantlab.formats.tfjs.artifact import read_signature
from quantlab.runtimes.exchange import Job
from quantlab.worker.tfjs_graph import graph_def, graph_function
from quantlab.worker.trying import RawCalls

__all__ = ["raw_calls"]

Array = npt.NDArray[Any]


def raw_calls(job: Job) -> RawCalls:
    """Open a graph-model's folder; inputs and outputs are in the order of its signature."""
    import tensorflow as tf

    folder = Path(job.artifact)
    signature = read_signature(folder)
    inputs = {info["name"]: key.removesuffix(":0") for key, info in signature["inputs"].items()}
    outputs = [info["name"] for info in signature["outputs"].values()]
    graph = graph_def(folder, unsafe=job.options.unsafe)
    function, dtypes = graph_function(graph, list(inputs), outputs)

    def in_order(arrays: Sequence[Array]) -> list[tuple[str, Any]]:
        fed = [
            tf.constant(array.astype(dtype.as_numpy_dtype, copy=False))
            for array, dtype in zip(arrays, dtypes, strict=True)
        ]
        return [(name, value.numpy()) for name, value in zip(outputs, function(*fed), strict=True)]

    def by_name(arrays: Mapping[str, Array]) -> list[tuple[str, Any]]:
        return in_order([arrays[name] for name in inputs.values()])

    return RawCalls(by_name, in_order)
