"""Finds the tensors of an ONNX graph whose layout is channels first.

Convolutions and poolings of ONNX read and write (batch, channels, …), whereas TensorFlow puts channels last. Tensors
next to such ops are channels first, and so are tensors connected to them through elementwise ops, in both directions.
"""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["channels_first"]

_SPATIAL = frozenset(
    {
        "AveragePool", "BatchNormalization", "Conv", "ConvInteger", "ConvTranspose", "DepthToSpace",
        "GlobalAveragePool", "GlobalMaxPool", "InstanceNormalization", "LRN", "LpPool", "MaxPool",
        "QLinearConv", "Resize", "SpaceToDepth", "Upsample",
    }
)  # fmt: skip
"""Ops whose first input and first output have channels in dimension 1."""

_ELEMENTWISE = frozenset(
    {
        "Abs", "Add", "Cast", "Ceil", "Clip", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu",
        "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg",
        "PRelu", "Pow", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Sub",
        "Sum", "Tanh", "ThresholdedRelu", "Where", "Concat", "Pad", "QuantizeLinear", "DequantizeLinear",
        "DynamicQuantizeLinear",
    }
)  # fmt: skip
"""Ops whose output has the layout of their inputs."""


def channels_first(graph: Any, ranks: Mapping[str, int]) -> frozenset[str]:
    """Names of tensors with at least three dimensions in which dimension 1 is known to hold the channels.

    Args:
        graph: A GraphProto.
        ranks: Tensor → number of dimensions, where known.
    """
    known: set[str] = set()
    for node in graph.node:
        if node.op_type in _SPATIAL:
            known.update(_large((*node.input[:1], *node.output[:1]), ranks))
    before = -1
    while len(known) != before:
        before = len(known)
        for nodes in (graph.node, reversed(graph.node)):
            for node in nodes:
                around = [*node.input, *node.output]
                if node.op_type in _ELEMENTWISE and any(name in known for name in around):
                    known.update(_large(around, ranks))
    return frozenset(known)


def _large(names: Iterable[str], ranks: Mapping[str, int]) -> list[str]:
    return [name for name in names if ranks.get(name, 0) > 2]
