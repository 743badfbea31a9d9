"""Output channel axes of the kernels in a tfjs graph-model, derived from the op that reads each kernel."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["find_channel_axes", "find_readers"]

_Node = Mapping[str, Any]

_KERNELS = {
    "Conv2D": (3,),  # HWIO
    "_FusedConv2D": (3,),
    "DepthwiseConv2dNative": (2, 3),  # HWIM: output channel = input channel × multiplier
    "FusedDepthwiseConv2dNative": (2, 3),
    "Conv2DBackpropInput": (2,),  # HWOI
    "Conv3D": (4,),  # DHWIO
    "MatMul": (1,),  # IO
    "_FusedMatMul": (1,),
    "GatherV2": (1,),  # a table: one row per index
}
"""Op → axes of its kernel that form the output channel; from tfjs-converter's `operations/op_list`."""

_FIRST_INPUT = frozenset({"GatherV2"})
"""Ops whose kernel is the first input; of the others it is the second."""


def find_channel_axes(topology: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Weight name → axes that together index the output channel, for kernels of convolutions and of MatMul, and tables.

    Kernels passed to the bodies of loops and conditions are included. If several ops read a kernel, the first decides.
    """
    functions = {
        function["signature"]["name"]: function for function in topology.get("library", {}).get("function", ())
    }
    kernels: dict[str, tuple[int, ...]] = {}
    for weight, axes in _kernels(topology["node"], {}, functions):
        kernels.setdefault(weight, axes)
    return kernels


def find_readers(topology: Mapping[str, Any]) -> dict[str, str]:
    """Weight name → name of the first node of the main graph that computes with it."""
    nodes = topology["node"]
    same, readers = _same(nodes), dict[str, str]()
    for node in nodes:
        if node["op"] != "Identity":
            for tensor in node.get("input", ()):
                readers.setdefault(_resolved(_name(tensor), same), node["name"])
    return readers


def _same(nodes: list[_Node]) -> dict[str, str]:
    """Node that only passes a tensor on → the node that it reads."""
    return {node["name"]: _name(node["input"][0]) for node in nodes if node["op"] == "Identity" and node.get("input")}


def _kernels(
    nodes: list[_Node], handed: Mapping[str, str], functions: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and axes of the kernels that a graph or function reads; `handed` maps its arguments to weights."""
    same = _same(nodes)
    for node in nodes:
        inputs = [_resolved(_name(tensor), same) for tensor in node.get("input", ())]
        inputs = [handed.get(name, name) for name in inputs]
        if node["op"] in _KERNELS and len(inputs) > 1:
            yield inputs[0 if node["op"] in _FIRST_INPUT else 1], _axes(node)
        for function in _called(node, functions):
            arguments = [argument["name"] for argument in function["signature"].get("inputArg", ())]
            # A condition does not pass on its first input; loops and calls pass on all inputs.
            given = inputs[-len(arguments) :] if arguments else []
            yield from _kernels(function.get("nodeDef", []), dict(zip(arguments, given, strict=False)), functions)


def _name(tensor: str) -> str:
    """Node name of a tensor: `kernel` for `kernel:output:0`, `kernel:0` and `^kernel`."""
    return tensor.removeprefix("^").partition(":")[0]


def _resolved(name: str, same: Mapping[str, str]) -> str:
    seen = {name}
    while (source := same.get(name)) is not None and source not in seen:
        seen.add(source)
        name = source
    return name


def _axes(node: _Node) -> tuple[int, ...]:
    transposed = node.get("attr", {}).get("transpose_b", {}).get("b", False)
    return (0,) if transposed else _KERNELS[node["op"]]


def _called(node: _Node, functions: Mapping[str, Any]) -> list[Any]:
    named = [value.get("func", {}).get("name") for value in node.get("attr", {}).values() if isinstance(value, dict)]
    return [functions[name] for name in named if name in functions]
