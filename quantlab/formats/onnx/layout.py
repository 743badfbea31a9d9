"""Which tensors of an ONNX graph lie channels first.

ONNX's convolutions and poolings take and give (batch, channels, …), where TensorFlow has the channels last. What they
touch is known to lie so, and so is whatever is computed element by element from it, before and after.
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
"""Ops whose first input and first output have channels in the second place."""

_ELEMENTWISE = frozenset(
    {
        "Abs", "Add", "Cast", "Ceil", "Clip", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu",
        "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg",
        "PRelu", "Pow", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Sub",
        "Sum", "Tanh", "ThresholdedRelu", "Where", "Concat", "Pad", "QuantizeLinear", "DequantizeLinear",
        "DynamicQuantizeLinear",
    }
)  # fmt: skip
"""Ops whose output lies as their inputs do."""


def channels_first(graph: Any, ranks: Mapping[str, int]) -> frozenset[str]:
    """Names of the tensors with three dimensions or more whose second is known to be the channels.

    Args:
        graph: A GraphProto.
        ranks: Tensor → how many dimensions it has, where that is known.
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
