"""Finds where an ONNX file computes with each constant; this stays the same when the file is quantized.

Quantizers and their versions name constants differently, but the ops that compute with them stay, in the same order
counted from the outputs. ConvInteger and QLinearConv count as a Conv that reads codes. A Gemm may become a MatMul
followed by an Add, and so may a Conv; the bias is input 2 of that one op in all cases.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from quantlab.formats.onnx.names import nodes_in_order
from quantlab.formats.onnx.uses import Use, beyond_reshapes, float_input, is_scale_or_zero

__all__ = ["find_places"]

_FAMILIES: Mapping[str, str] = {
    **dict.fromkeys(("ConvInteger", "FusedConv"), "Conv"),
    **dict.fromkeys(
        ("DynamicQuantizeMatMul", "FusedGemm", "FusedMatMul", "Gemm", "MatMulInteger", "MatMulIntegerToFloat", "QGemm"),
        "MatMul",
    ),
    "DynamicQuantizeLSTM": "LSTM",
    "QAttention": "Attention",
}
"""Op → its counterpart on floats; for QLinear ops it is the rest of the name."""

_BIASED = frozenset({"Conv", "MatMul"})
_BIAS = 2
"""Index of the bias among the inputs of a Conv or a Gemm."""

_BEFORE_A_BIAS = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear"})
_STEPS_BEFORE_A_BIAS = 8
"""Largest number of ops between an op and the Add of its bias; no quantizer inserts more."""

_Read = dict[int, str]
"""Input index of the op on floats → name of the constant."""


def find_places(
    graph: Any, uses: Mapping[str, Sequence[Use]], constants: Collection[str], helpers: Collection[str]
) -> dict[str, list[str]]:
    """Constant → the ops that compute with it, as `MatMul 3 of 6, input 1`: family, position in the family, and input.

    The number of ops is part of the key: an additional op would shift positions and pair unrelated weights.

    Args:
        graph: A GraphProto.
        uses: Tensor → the nodes that read it.
        constants: All constants of the file.
        helpers: Scales and zero points among the constants; they get no place.
    """
    nodes = {_key(node): node for node in nodes_in_order(graph)}
    read = _read(nodes, uses, constants, helpers)
    for key, node in nodes.items():
        added = (
            _bias_behind(node, uses) if key in read and _family(node) in _BIASED and _BIAS not in read[key] else None
        )
        if added is not None and (bias := read.get(_key(added.node), {}).pop(1 - float_input(added), None)) is not None:
            read[key][_BIAS] = bias
    computing = {key: _family(nodes[key]) for key in nodes if read.get(key)}
    total, begun = Counter(computing.values()), Counter[str]()
    places: dict[str, list[str]] = {}
    for key, family in computing.items():
        begun[family] += 1
        for slot, name in sorted(read[key].items()):
            places.setdefault(name, []).append(f"{family} {begun[family]} of {total[family]}, input {slot}")
    return places


def _key(node: Any) -> str:
    """Identifier of a node: its first output, because a node's own name may be empty."""
    return next(filter(None, node.output), "")


def _family(node: Any) -> str:
    op = str(node.op_type)
    return _FAMILIES.get(op, op.removeprefix("QLinear"))


def _read(
    nodes: Mapping[str, Any], uses: Mapping[str, Sequence[Use]], constants: Collection[str], helpers: Collection[str]
) -> dict[str, _Read]:
    """Node → the weights it computes with; nodes that read only constants are left out: they compute no activation."""
    fixed = set(constants)
    for node in nodes.values():
        if all(name in fixed for name in node.input if name):
            fixed.update(node.output)
    read: dict[str, _Read] = {}
    for name in constants:
        directly = [use for use in uses.get(name, ()) if use.gathered is None and name not in helpers]
        for use in beyond_reshapes(directly, uses):
            if _key(use.node) not in fixed and not is_scale_or_zero(use):
                read.setdefault(_key(use.node), {})[float_input(use)] = name
    return read


def _bias_behind(node: Any, uses: Mapping[str, Sequence[Use]]) -> Use | None:
    """The Add that directly follows an op and may be its bias; None if another op follows, or several ops.

    After an op on integers, a Mul with the scale comes first.
    """
    scaled, name = not node.op_type.endswith("Integer"), _key(node)
    for _ in range(_STEPS_BEFORE_A_BIAS):
        if len(readers := uses.get(name, ())) != 1:
            return None
        (use,) = readers
        if _family(use.node) == "Add":
            return use
        if use.node.op_type == "Mul" and not scaled:
            scaled = True
        elif use.node.op_type not in _BEFORE_A_BIAS or use.slot != 0:
            return None
        name = _key(use.node)
    return None
