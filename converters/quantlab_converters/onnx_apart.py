"""Copies of a statically quantized ONNX file in which only weights or only activations are quantized.

onnxruntime writes a QuantizeLinear and a DequantizeLinear node for each quantized tensor (its `QDQ` format), so that
the codes of weights can be replaced by their values.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quantlab.formats.onnx import FORMAT
from quantlab.formats.onnx.file import read_onnx, save_onnx
from quantlab.types import StoredWeight
from quantlab_converters.onnx_float import hold_nodes

__all__ = ["write_apart"]

Array = NDArray[Any]


def write_apart(quantized: Path, float32: Path, target: Path, kind: Literal["weights", "activations"]) -> None:
    """Write a copy in which only the weights, or only the activations, are quantized.

    Args:
        quantized: The quantized file, in the `QDQ` format.
        float32: The float32 file of the same model, which has the weights.
        target: The file to write.
        kind: What stays quantized.

    Raises:
        ArtifactError: If a file cannot be read.
    """
    model = read_onnx(float32 if kind == "weights" else quantized)
    if kind == "weights":
        _replace_weights(model.graph, float32, quantized)
    else:
        _restore_weights(model.graph, quantized, float32)
    save_onnx(model, target)


def _replace_weights(graph: Any, float32: Path, quantized: Path) -> None:
    """Replace the weights of the float32 graph by those that the codes of the quantized file stand for.

    The quantized graph is no base for this: it has no ReLUs where the range of the codes ends at the same value.
    """
    from onnx import numpy_helper

    decoded = {key: one.values for one in FORMAT.weights(quantized) if one.scales for key in one.keys}
    stored = {weight.name: weight for weight in FORMAT.weights(float32)}
    for tensor in graph.initializer:
        if (weight := stored.get(tensor.name)) is not None:
            values = _like(weight, numpy_helper.to_array(tensor), decoded)
            if values is not None:
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _restore_weights(graph: Any, quantized: Path, float32: Path) -> None:
    """Replace each node that decodes a weight by the weight of the float32 file."""
    from onnx import numpy_helper

    exact = {key: weight.values for weight in FORMAT.weights(float32) for key in weight.keys}
    stored = {weight.name: weight for weight in FORMAT.weights(quantized)}
    codes = {tensor.name: tensor for tensor in graph.initializer}
    kept, restored = [], set()
    for node in graph.node:
        weight = stored.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        values = None
        if weight is not None and weight.name in codes:
            values = _like(weight, numpy_helper.to_array(codes[weight.name]), exact)
        if values is None:
            kept.append(node)
        else:
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
            restored.add(node.output[0])
    del graph.node[:]
    graph.node.extend(kept)
    # Otherwise onnxruntime quantizes them again.
    hold_nodes(graph, {node.name for node in kept if not restored.isdisjoint(node.input)})


def _like(weight: StoredWeight, codes: Array, exact: Mapping[str, Array]) -> NDArray[np.float32] | None:
    """The values of the same weight in another file, in the order of this one.

    Args:
        weight: The weight, in the order in which ops multiply by it.
        codes: What the file has, turned where a Gemm reads it transposed.
        exact: The values of the other file by their keys.
    """
    values = next((exact[key] for key in weight.keys if key in exact), None)
    if values is None or values.shape != weight.stored.shape:
        return None
    if np.array_equal(codes, weight.stored):
        return np.ascontiguousarray(values, np.float32)
    return np.ascontiguousarray(values.T, np.float32) if np.array_equal(codes.T, weight.stored) else None
