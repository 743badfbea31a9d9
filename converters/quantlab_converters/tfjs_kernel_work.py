"""Estimates of the time of a tfjs graph, to tell how its kernels can be decoded without making it slower.

Rates were measured with TensorFlow.js 4.22 on wasm (one thread, SIMD). A kernel that is computed anew at each call is
expensive there, because XNNPACK packs it again. `benchmarks/tfjs_decoding.py` measures what whole graphs take: where it
was written, 1.00 to 1.04 of float32's time on wasm, and 1.01 to 1.03 on webgl.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["GraphWork", "activation_of"]

_MICROSECONDS_PER_NODE = 4.0
_NANOSECONDS_PER_PRODUCT = 0.065
"""Of one multiplication with addition in a convolution."""
_DEPTHWISE = 3
"""Such products of a depthwise convolution take longer by this factor."""
_NANOSECONDS_PER_PACKED = 10.0
"""Of one element of a kernel that is multiplied and packed at each call."""
_NANOSECONDS_PER_OUTPUT = 0.25
"""Of one element of an output, in each node that is applied to it."""

_Node = Mapping[str, Any]

_ONE_POSITION = frozenset({"Mean", "MatMul", "_FusedMatMul"})
_LARGER = frozenset({"Conv2DBackpropInput"})
"""Ops whose strides make their output larger than their input."""
_LINEAR = frozenset({"MatMul", "Conv2D", "GatherV2", "_FusedMatMul", "_FusedConv2D"})
"""Ops that are linear but for a bias and an activation, with the kernel's channels as the last axis of their output."""
_ACTIVATIONS = frozenset({"Relu", "Relu6", "Elu", "Sigmoid"})
_FREE = frozenset({"Const", "Placeholder", "Identity"})


@dataclass(frozen=True, slots=True)
class GraphWork:
    """Estimated time of one sample in the main graph: its nodes, and each kernel at all positions where it is applied.

    Sizes that the graph leaves open count as 1, and loops once, so it is rather too short.
    """

    microseconds: float
    _elements: Mapping[str, int]
    _readers: Mapping[str, Sequence[_Node]]
    _positions: Mapping[str, int]
    _inner: frozenset[str]

    @classmethod
    def of(cls, topology: Mapping[str, Any], kernels: Mapping[str, int], inner: frozenset[str] = frozenset()) -> Self:
        """Estimate the time of a graph.

        Args:
            topology: The graph.
            kernels: Weight → number of its elements.
            inner: Those whose channels are not the last axis of the output, such as tables of which columns are read.
        """
        positions: dict[str, int] = {}
        readers: dict[str, list[_Node]] = {}
        nodes = products = 0
        for node in _in_order(topology["node"]):
            inputs = _inputs(node)
            sources = max((positions.get(name, 0) for name in inputs), default=0)
            positions[node["name"]] = _positions(node, sources)
            nodes += node["op"] not in _FREE
            applied = sources if node["op"] in _LARGER else positions[node["name"]]
            for name in kernels.keys() & set(inputs):
                readers.setdefault(name, []).append(node)
                products += applied * kernels[name] * (_DEPTHWISE if "Depthwise" in node["op"] else 1)
        time = _MICROSECONDS_PER_NODE * nodes + _NANOSECONDS_PER_PRODUCT * products / 1000
        return cls(time, kernels, readers, positions, inner)

    def on_kernel(self, kernel: str, nodes: int) -> float:
        """Microseconds of `nodes` that decode a kernel at each call."""
        return nodes * _MICROSECONDS_PER_NODE + _NANOSECONDS_PER_PACKED * self._elements[kernel] / 1000

    def on_output(self, kernel: str, channels: int) -> tuple[float, _Node] | None:
        """Microseconds if the output of the op that alone reads a kernel is multiplied by scales, and the op.

        A bias and an activation that are fused into the op then are nodes of their own. None if the op does something
        else, is not the only one, or has the channels in another axis of its output.
        """
        readers = self._readers.get(kernel, ())
        if (
            kernel in self._inner
            or len(readers) != 1
            or readers[0]["op"] not in _LINEAR
            or (activation := activation_of(readers[0])) is None
        ):
            return None
        (reader,) = readers
        nodes = 1 + (len(reader["input"]) > 2 and reader["op"].startswith("_Fused")) + bool(activation)
        outputs = self._positions[reader["name"]] * channels
        return nodes * (_MICROSECONDS_PER_NODE + _NANOSECONDS_PER_OUTPUT * outputs / 1000), reader


def activation_of(node: _Node) -> str | None:
    """The activation that is fused into an op: empty if there is none, None if it is not one that can be taken out.

    >>> activation_of({"op": "Conv2D", "input": ["image", "kernel"]})
    ''
    """
    fused = [base64.b64decode(text).decode() for text in _strings(node)]
    bias, *rest = fused or [""]
    if bias not in {"", "BiasAdd"} or len(rest) > 1 or len(node["input"]) > 3 + (node["op"] == "GatherV2"):
        return None
    (activation,) = rest or [""]
    return activation if activation in {"", *_ACTIVATIONS} else None


def _strings(node: _Node) -> Sequence[str]:
    strings: Sequence[str] = node.get("attr", {}).get("fused_ops", {}).get("list", {}).get("s", ())
    return strings


def _inputs(node: _Node) -> list[str]:
    return [name.removeprefix("^").partition(":")[0] for name in node.get("input", ())]


def _positions(node: _Node, sources: int) -> int:
    """The product of the inner dimensions of a node's output: pixels of an image, steps of a sequence."""
    attributes = node.get("attr", {})
    if node["op"] == "Placeholder":
        dims = [int(dim.get("size", 1)) for dim in attributes.get("shape", {}).get("shape", {}).get("dim", ())]
        return math.prod(max(size, 1) for size in dims[1:-1])
    if node["op"] in _ONE_POSITION:
        return 1
    stride = math.prod(int(step) for step in attributes.get("strides", {}).get("list", {}).get("i", ()))
    return sources * max(stride, 1) if node["op"] in _LARGER else math.ceil(sources / max(stride, 1))


def _in_order(nodes: Sequence[_Node]) -> list[_Node]:
    """Nodes after those that they read, as far as there is such an order; the file may have another one."""
    by_name = {node["name"]: node for node in nodes}
    done: dict[str, _Node] = {}
    entered: set[str] = set()  # also of nodes that wait for their inputs: a loop leads back to them
    for first in nodes:
        waiting = [(first, False)]
        while waiting:
            node, expanded = waiting.pop()
            if expanded:
                done[node["name"]] = node
                continue
            if node["name"] in entered:
                continue
            entered.add(node["name"])
            waiting.append((node, True))
            waiting += [(by_name[name], False) for name in _inputs(node) if name in by_name and name not in done]
    return list(done.values())
