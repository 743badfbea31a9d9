"""How the ops of a graph-model apply its kernels: to which tensors, and as which matrix products.

Every op here multiplies rows of inputs by a matrix of weights, for each group of inputs. A convolution does so at each
position, with the inputs under its window as the row (tfjs-core, ops/conv_util.ts; TensorFlow, core/kernels/conv_ops.cc
and conv_grad_input_ops.cc for the transposed one). `KernelUse.matrix` gives the weights and `KernelUse.rows` the inputs
in the same order.
"""

import base64
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quantlab_converters.hessians import Window, depthwise_rows, patch_rows
from quantlab_converters.tfjs_coded_graph import FloatGraph, owner

__all__ = ["KernelUse", "find_uses"]

Array = NDArray[Any]
Kind = Literal["convolution", "depthwise", "transposed", "product", "other"]
"""`other` is a table, or anything whose inputs are not known."""

_KINDS: Mapping[str, Kind] = {
    "Conv2D": "convolution",
    "_FusedConv2D": "convolution",
    "DepthwiseConv2dNative": "depthwise",
    "FusedDepthwiseConv2dNative": "depthwise",
    "Conv2DBackpropInput": "transposed",
    "MatMul": "product",
    "_FusedMatMul": "product",
}
_ADDS = frozenset({"BiasAdd", "Add", "AddV2"})
_SAME_VALUES = frozenset({"Reshape", "Squeeze", "ExpandDims", "Identity"})
"""Ops that keep the order of the values in memory."""

_Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KernelUse:
    """What the ops that read a kernel do with it."""

    kind: Kind
    axes: tuple[int, ...]
    """Axes of the kernel that together index its output channel."""
    inputs: tuple[str, ...] = ()
    """Tensors that are multiplied with the kernel, one for each op that reads it; empty if they are not known."""
    window: Window | None = None
    """Of a convolution."""
    size: tuple[int, int] | None = None
    """Height and width of the output of a transposed convolution, if the graph states them; otherwise they are those
    that Keras computes."""
    bias: str | None = None
    """The weight that is added to each output channel, if it is added to nothing else."""

    def matrix(self, kernel: Array) -> Array:
        """The kernel as (groups, inputs, outputs).

        Args:
            kernel: As it is stored, or an array that broadcasts to it, expanded.
        """
        if self.kind == "depthwise":  # HWIM
            return np.moveaxis(kernel, 2, 0).reshape(kernel.shape[2], -1, kernel.shape[3])
        if self.kind == "transposed":  # HWOI; the window moves over the inputs with the kernel turned around
            turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
            return turned.reshape(1, -1, kernel.shape[2])
        return np.moveaxis(kernel, self.axes, range(-len(self.axes), 0)).reshape(1, -1, self._outputs(kernel.shape))

    def kernel(self, matrix: Array, shape: Sequence[int]) -> Array:
        """The inverse of `matrix`, for a kernel of this shape."""
        if self.kind == "depthwise":
            height, width, inputs, multiplier = shape
            return np.ascontiguousarray(np.moveaxis(matrix.reshape(inputs, height, width, multiplier), 0, 2))
        if self.kind == "transposed":
            height, width, outputs, inputs = shape
            turned = matrix.reshape(height, width, inputs, outputs).transpose(0, 1, 3, 2)
            return np.ascontiguousarray(turned[::-1, ::-1])
        others = [size for axis, size in enumerate(shape) if axis not in self.axes]
        moved = matrix.reshape(*others, *(shape[axis] for axis in self.axes))
        return np.ascontiguousarray(np.moveaxis(moved, range(-len(self.axes), 0), self.axes))

    def rows(self, values: Array, inputs: int, most: int | None = None) -> Array:
        """The rows that the matrix is multiplied by.

        Args:
            values: (n, …), a tensor of `inputs`.
            inputs: Inputs of the matrix, its second axis.
            most: Positions of an image, or steps of a sequence, that are taken from each sample, evenly spread; None
                for all.

        Returns:
            (groups, rows, inputs).

        Raises:
            ValueError: If the inputs are not known, or other ones than the matrix has, as in a grouped convolution.
        """
        if self.kind == "product":
            steps = values.reshape(1, len(values), -1, inputs)
            rows = steps[:, :, :: -(-steps.shape[2] // (most or steps.shape[2]))].reshape(1, -1, inputs)
        elif self.window is None:
            raise ValueError("the inputs of this kernel are not known")
        elif self.kind == "depthwise":
            rows = depthwise_rows(values, self.window, most)
        elif self.kind == "transposed":
            # The window moves by 1 over images with zeros between their pixels, which repeat with the strides.
            stretched = _stretched(values, self.window, self.size)
            rows = patch_rows(stretched, Window(self.window.kernel), most, period=self.window.strides)
        else:
            rows = patch_rows(values, self.window, most)
        if rows.shape[2] != inputs:
            raise ValueError(f"the rows have {rows.shape[2]} inputs, and the matrix has {inputs}")
        return rows

    def _outputs(self, shape: Sequence[int]) -> int:
        return math.prod(shape[axis] for axis in self.axes)


def _stretched(images: Array, window: Window, wholes: Sequence[int] | None) -> Array:
    """The inputs of a transposed convolution with zeros between and around them, over which its window moves by 1.

    Args:
        images: (n, height, width, channels).
        window: The convolution's.
        wholes: Height and width of its output; None for those that Keras computes.
    """
    n, *sizes, channels = images.shape
    begins, ends = [], []
    wholes = wholes or [
        size * stride + (0 if window.same else max(kernel - stride, 0))
        for size, kernel, stride in zip(sizes, window.kernel, window.strides, strict=True)
    ]
    for size, kernel, stride, whole in zip(sizes, window.kernel, window.strides, wholes, strict=True):
        # Of the convolution that this one is the transpose of.
        padding = max((size - 1) * stride + kernel - whole, 0) if window.same else 0
        begins.append(kernel - 1 - padding // 2)
        ends.append(begins[-1] + (size - 1) * stride + 1)
    sizes = [whole + kernel - 1 for whole, kernel in zip(wholes, window.kernel, strict=True)]
    stretched = np.zeros((n, *sizes, channels), images.dtype)
    steps = tuple(slice(*part) for part in zip(begins, ends, window.strides, strict=True))
    stretched[(slice(None), *steps)] = images
    return stretched


def find_uses(graph: FloatGraph) -> dict[str, KernelUse]:
    """Kernel → how the main graph uses it, in the order of the kernels."""
    nodes = {node["name"]: node for node in graph.topology["node"]}
    readers = _readers(graph.topology["node"])
    return {name: _use(graph, name, nodes, readers) for name in graph.codable}


def _readers(nodes: Sequence[_Node]) -> dict[str, list[_Node]]:
    """Node → the nodes that read its output; those that only wait for it are left out."""
    readers = defaultdict[str, list[_Node]](list)
    for node in nodes:
        for tensor in node.get("input", ()):
            if not tensor.startswith("^"):
                readers[owner(tensor)].append(node)
    return readers


def _use(graph: FloatGraph, name: str, nodes: Mapping[str, _Node], readers: Mapping[str, Sequence[_Node]]) -> KernelUse:
    reading, axes = _behind(name, readers), graph.axes[name]
    ways = {
        (
            _KINDS.get(node["op"], "other"),
            _window(graph, name, node),
            _size(graph, node, nodes),
            _is(node, "transpose_b"),
        )
        for node in reading
    }
    unknown = KernelUse("other", axes)
    if len(ways) != 1:
        return unknown
    ((kind, window, size, _),) = ways
    if kind == "other" or (kind != "product" and window is None) or any(_is(node, "transpose_a") for node in reading):
        return unknown
    places = [2 if kind == "transposed" else 0 for _ in reading]
    inputs = [node["input"][place] for node, place in zip(reading, places, strict=True)]
    if any(_source(tensor, nodes) == name for tensor in inputs):  # it is multiplied with itself, or with a weight
        return unknown
    if kind == "product":
        inputs = [_source(tensor, nodes) for tensor in inputs]
    bias = _bias(graph, name, reading[0], readers) if len(reading) == 1 else None
    return KernelUse(kind, axes, tuple(tensor.removesuffix(":0") for tensor in inputs), window, size, bias)


def _behind(name: str, readers: Mapping[str, Sequence[_Node]]) -> list[_Node]:
    """The ops that read a tensor, also behind `Identity`."""
    found, waiting, seen = list[_Node](), [name], {name}
    while waiting:
        for node in readers.get(waiting.pop(), ()):
            if node["op"] != "Identity":
                found.append(node)
            elif node["name"] not in seen:
                seen.add(node["name"])
                waiting.append(node["name"])
    return found


def _source(tensor: str, nodes: Mapping[str, _Node]) -> str:
    """The tensor whose values an op reads in the same order, with the samples in its first axis."""
    seen = set[str]()
    node = nodes.get(tensor.removesuffix(":0"))
    while node is not None and node["op"] in _SAME_VALUES and node["name"] not in seen:
        seen.add(node["name"])
        tensor = node["input"][0]
        node = nodes.get(tensor.removesuffix(":0"))
    return tensor


def _is(node: _Node, attribute: str) -> bool:
    return bool(node.get("attr", {}).get(attribute, {}).get("b", False))


def _window(graph: FloatGraph, name: str, node: _Node) -> Window | None:
    """How a convolution moves; None for other ops, and for what is not handled, such as explicit padding."""
    attributes, shape = node.get("attr", {}), graph.weights[name].shape
    padding, layout = _text(attributes, "padding"), _text(attributes, "data_format") or "NHWC"
    if len(shape) != 4 or padding not in {"SAME", "VALID"} or layout != "NHWC":
        return None
    strides, dilations = (_pair(attributes, key) for key in ("strides", "dilations"))
    if node["op"] == "Conv2DBackpropInput" and dilations != (1, 1):
        return None
    return Window((shape[0], shape[1]), strides, dilations, padding == "SAME")


def _size(graph: FloatGraph, node: _Node, nodes: Mapping[str, _Node]) -> tuple[int, int] | None:
    """Height and width of the output of a transposed convolution, if they are constants."""
    if node["op"] != "Conv2DBackpropInput":
        return None
    stated = node["input"][0].removesuffix(":0")
    constant = graph.weights.get(stated)
    if constant is not None and constant.shape == (4,):
        _, height, width, _ = constant.tolist()
        return height, width
    source = nodes.get(stated, {})
    if source.get("op") != "Pack":
        return None
    sizes = [graph.weights.get(tensor.removesuffix(":0")) for tensor in source["input"][1:3]]
    height, width = (None if values is None else int(values) for values in sizes)
    return None if height is None or width is None else (height, width)


def _text(attributes: Mapping[str, Any], key: str) -> str:
    return base64.b64decode(attributes.get(key, {}).get("s", "")).decode()


def _pair(attributes: Mapping[str, Any], key: str) -> tuple[int, int]:
    _, height, width, _ = attributes.get(key, {}).get("list", {}).get("i") or (1, 1, 1, 1)
    return int(height), int(width)


def _bias(graph: FloatGraph, name: str, node: _Node, readers: Mapping[str, Sequence[_Node]]) -> str | None:
    """The weight that is added to the output of the op that alone reads a kernel."""
    fused = [base64.b64decode(text).decode() for text in node["attr"].get("fused_ops", {}).get("list", {}).get("s", ())]
    added = node["input"][2] if fused[:1] == ["BiasAdd"] else None if any(fused) else _added(node, readers)
    added = None if added is None else added.removesuffix(":0")
    values = graph.weights.get(added) if added is not None else None
    channels = math.prod(graph.weights[name].shape[axis] for axis in graph.axes[name])
    fits = values is not None and values.dtype == np.float32 and values.size == channels == values.shape[-1]
    return added if fits and len(readers[added or ""]) == 1 else None


def _added(node: _Node, readers: Mapping[str, Sequence[_Node]]) -> str | None:
    """What is added to the output of an op, if nothing else reads it.

    A `Reshape` may stand between them, as behind a dense layer over time, but only before a `BiasAdd`, which makes sure
    that the last axis is still that of the channels.
    """
    source, reading, seen = node, readers.get(node["name"], ()), {node["name"]}
    while len(reading) == 1 and reading[0]["op"] in _SAME_VALUES and reading[0]["name"] not in seen:
        source = reading[0]
        seen.add(source["name"])
        reading = readers.get(source["name"], ())
    if len(reading) != 1 or reading[0]["op"] not in (_ADDS if source is node else {"BiasAdd"}):
        return None
    return next((tensor for tensor in reading[0]["input"] if owner(tensor) != source["name"]), None)
