"""Finds the nodes of an ONNX file that read a tensor, and which inputs hold codes, scales and zero points.

Only the graph is used. Names depend on the exporter and differ between versions of onnxruntime.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from quantlab.formats.onnx.file import attribute, graphs_of

__all__ = [
    "Slots",
    "Use",
    "beyond_conversions",
    "beyond_reshapes",
    "find_uses",
    "float_input",
    "is_scale_or_zero",
    "scale_behind",
]


@dataclass(frozen=True, slots=True)
class Slots:
    """Inputs of an op that hold constant codes, and their scale and zero point."""

    weight: int
    scale: tuple[int, ...]
    """Inputs whose product is the scale; empty if a later Mul applies the scale."""
    zero: int | None
    axis: int | None
    """Axis along which several scales differ; None if an attribute of the node gives it."""


_READERS: Mapping[str, tuple[Slots, ...]] = {
    "DequantizeLinear": (Slots(0, (1,), 2, None),),
    "ConvInteger": (Slots(1, (), 3, 0),),
    "MatMulInteger": (Slots(1, (), 3, -1),),
    "QLinearConv": (Slots(3, (4,), 5, 0), Slots(8, (1, 4), None, 0)),
    "QLinearMatMul": (Slots(3, (4,), 5, -1),),
    "QLinearAdd": (Slots(0, (1,), 2, -1), Slots(3, (4,), 5, -1)),
    "QLinearMul": (Slots(0, (1,), 2, -1), Slots(3, (4,), 5, -1)),
    "QGemm": (Slots(3, (4,), 5, None), Slots(6, (1, 4), None, -1)),
    "QAttention": (Slots(1, (4,), 7, -1),),
    "DynamicQuantizeMatMul": (Slots(1, (2,), 3, -1),),
    "MatMulIntegerToFloat": (Slots(1, (3,), 5, -1),),
    "DynamicQuantizeLSTM": (Slots(1, (8,), 9, -1), Slots(2, (10,), 11, -1)),
}
"""Op → its inputs that hold codes (onnx/docs/Operators.md, onnxruntime/docs/ContribOperators.md)."""

_DATA: Mapping[str, Mapping[int, int]] = {
    "QLinearConv": {0: 0, 3: 1, 8: 2},
    **{op: {0: 0, 3: 1} for op in ("QLinearMatMul", "QLinearAdd", "QLinearMul")},
    "QGemm": {0: 0, 3: 1, 6: 2},
    "QAttention": {slot: slot for slot in (0, 1, 2, 5, 8)},
    **{op: {0: 0} for op in ("QuantizeLinear", "DequantizeLinear")},
}
"""Op → inputs that are neither scales nor zero points, each with the input index of the op on floats."""

_FLOAT_INPUTS: Mapping[str, Mapping[int, int]] = {"DynamicQuantizeMatMul": {4: 2}, "MatMulIntegerToFloat": {6: 2}}
"""Op with float inputs too → those of its inputs that have another index in the op on floats."""

_TURNED = {"Gemm": 1, "QGemm": 3}
"""Op → the input that its attribute transB transposes."""


@dataclass(frozen=True, slots=True)
class Use:
    """A node that reads a tensor, and the index of that input."""

    node: Any
    slot: int
    gathered: int | None = None
    """Axis of a Gather that selects codes before this node reads them; None without a Gather."""
    turned: tuple[int, ...] | None = None
    """Permutation of the axes by Transpose nodes before this node; None without them."""

    @property
    def slots(self) -> Slots | None:
        """The inputs that belong to these codes, if the node reads codes here."""
        return next((slots for slots in _READERS.get(self.node.op_type, ()) if slots.weight == self.slot), None)

    @property
    def order(self) -> tuple[int, ...] | None:
        """Order in which the node reads the axes: a Gemm's transB, an LSTM's codes, a Transpose; None if unchanged."""
        own = self._own_order()
        if self.turned is None or own is None:
            return own or self.turned
        return tuple(self.turned[axis] for axis in own) if len(own) == len(self.turned) else self.turned

    def _own_order(self) -> tuple[int, ...] | None:
        if self.node.op_type == "DynamicQuantizeLSTM" and self.slot in {1, 2}:
            return (0, 2, 1)
        turned = _TURNED.get(self.node.op_type) == self.slot and attribute(self.node, "transB", 0)
        return (1, 0) if turned else None


def find_uses(model: Any) -> dict[str, list[Use]]:
    """Tensor → the nodes that read it. Nodes that read codes selected by a Gather are listed for the codes too."""
    uses: dict[str, list[Use]] = {}
    nodes = [node for graph in graphs_of(model.graph) for node in graph.node]
    for node in nodes:
        for slot, name in enumerate(node.input):
            uses.setdefault(name, []).append(Use(node, slot))
    for node in nodes:
        if node.op_type == "Gather":
            picked = [replace(use, gathered=int(attribute(node, "axis", 0))) for use in uses.get(node.output[0], ())]
            uses[node.input[0]] += [use for use in picked if use.slots is not None]
    return uses


def is_scale_or_zero(use: Use) -> bool:
    """Whether this input of the node is a scale or a zero point."""
    op = use.node.op_type
    if op == "QLinearConcat":
        return use.slot < 2 or use.slot % 3 != 2
    if op in _DATA or op.startswith("QLinear"):
        return use.slot not in _DATA.get(op, {0: 0})
    return any(use.slot in {*slots.scale, slots.zero} for slots in _READERS.get(op, ()))


def float_input(use: Use) -> int:
    """The index of this input in the corresponding op on floats."""
    op = use.node.op_type
    if op == "QLinearConcat":
        return (use.slot - 2) // 3
    return {**_DATA.get(op, {}), **_FLOAT_INPUTS.get(op, {})}.get(use.slot, use.slot)


_CONVERSIONS = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Transpose"})
_RESHAPES = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})


def beyond_conversions(uses: Iterable[Use], all_uses: Mapping[str, Sequence[Use]]) -> Iterator[Use]:
    """The nodes that compute with a tensor, either directly or after conversions and transpositions."""
    for use in uses:
        if use.slot != 0 or use.node.op_type not in _CONVERSIONS:
            yield use
            continue
        for reader in beyond_conversions(all_uses.get(use.node.output[0], ()), all_uses):
            yield _behind_transpose(use.node, reader) if use.node.op_type == "Transpose" else reader


def beyond_reshapes(uses: Iterable[Use], all_uses: Mapping[str, Sequence[Use]]) -> Iterator[Use]:
    """The nodes that compute with a tensor, also after reshapes; their `turned` is not set."""
    for use in uses:
        if use.slot == 0 and use.node.op_type in _CONVERSIONS | _RESHAPES:
            yield from beyond_reshapes(all_uses.get(use.node.output[0], ()), all_uses)
        else:
            yield use


def _behind_transpose(node: Any, use: Use) -> Use:
    axes = tuple(map(int, attribute(node, "perm", (1, 0))))  # the default reverses all axes; weights have two
    return replace(use, turned=axes if use.turned is None else tuple(axes[axis] for axis in use.turned))


def scale_behind(
    use: Use, all_uses: Mapping[str, Sequence[Use]], makers: Mapping[str, Any], constants: Container[str]
) -> str | None:
    """Return the name of the scale of the weight codes in `use`.

    A Mul after the integer op multiplies by this scale, or by its product with the scale of the other input. The scale
    of the other input is known from the QuantizeLinear that produced that input, and is excluded. None if no scale or
    more than one is left.

    Args:
        use: Use of the codes by ConvInteger or MatMulInteger.
        all_uses: Tensor → the nodes that read it.
        makers: Tensor → the node that writes it.
        constants: The constants that may be scales.
    """
    quantize = makers.get(use.node.input[0])
    others = set(quantize.input[1:2]) if quantize is not None and quantize.op_type == "QuantizeLinear" else set()
    made = [use.node.output[0]]  # extended with the output of each Mul
    for name in made:
        for reader in beyond_reshapes(all_uses.get(name, ()), all_uses):
            if reader.node.op_type != "Mul" or reader.node.output[0] in made:
                continue
            scales = {
                name for name in _factors(reader.node.input[1 - reader.slot], makers) if name in constants
            } - others
            if scales:
                return scales.pop() if len(scales) == 1 else None
            made.append(reader.node.output[0])
    return None


def _factors(name: str, makers: Mapping[str, Any]) -> Iterator[str]:
    """The tensors whose product this tensor is; the tensor itself if it is not a product."""
    waiting, seen = [name], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        maker = makers.get(name)
        if maker is not None and maker.op_type == "Mul":
            waiting += maker.input
        elif maker is not None and maker.op_type in _CONVERSIONS | _RESHAPES:
            waiting.append(maker.input[0])
        else:
            yield name
