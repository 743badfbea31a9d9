"""Which node of an ONNX file reads which tensor, as which input, and which inputs mean codes, scales and zero points.

Only the graph is followed. Names are the choice of whoever wrote the file, and differ between versions of onnxruntime.
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
    """Where an op reads codes that are constant, and what they mean."""

    weight: int
    scale: tuple[int, ...]
    """Inputs whose product it is; empty where the scale comes later, in an op that multiplies."""
    zero: int | None
    axis: int | None
    """What several scales lie along; None where the node says so itself."""


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
"""Op → where it reads codes (onnx/docs/Operators.md, onnxruntime/docs/ContribOperators.md)."""

_DATA: Mapping[str, Mapping[int, int]] = {
    "QLinearConv": {0: 0, 3: 1, 8: 2},
    **{op: {0: 0, 3: 1} for op in ("QLinearMatMul", "QLinearAdd", "QLinearMul")},
    "QGemm": {0: 0, 3: 1, 6: 2},
    "QAttention": {slot: slot for slot in (0, 1, 2, 5, 8)},
    **{op: {0: 0} for op in ("QuantizeLinear", "DequantizeLinear")},
}
"""Op → its inputs that are neither scales nor zero points, and which input each is of the op on floats."""

_FLOAT_INPUTS: Mapping[str, Mapping[int, int]] = {"DynamicQuantizeMatMul": {4: 2}, "MatMulIntegerToFloat": {6: 2}}
"""Op that is given floats too → those of its inputs that the op on floats has elsewhere."""

_TURNED = {"Gemm": 1, "QGemm": 3}
"""Op → the input that its transB is about."""


@dataclass(frozen=True, slots=True)
class Use:
    """A node that reads a tensor, and as which input."""

    node: Any
    slot: int
    gathered: int | None = None
    """The axis of a Gather that picks among the codes before this node reads them; None where none does."""
    turned: tuple[int, ...] | None = None
    """What Transpose nodes before this node do to the axes; None where there are none."""

    @property
    def slots(self) -> Slots | None:
        """Where the node's other inputs are, if it reads codes here."""
        return next((slots for slots in _READERS.get(self.node.op_type, ()) if slots.weight == self.slot), None)

    @property
    def order(self) -> tuple[int, ...] | None:
        """How its axes are told where a node reads them otherwise: a Gemm's transB, an LSTM's codes, a Transpose."""
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
    """Tensor → the nodes that read it, codes that a Gather picks among by the node that reads what it picked too."""
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
    """Whether a node reads a scale or a zero point there."""
    op = use.node.op_type
    if op == "QLinearConcat":
        return use.slot < 2 or use.slot % 3 != 2
    if op in _DATA or op.startswith("QLinear"):
        return use.slot not in _DATA.get(op, {0: 0})
    return any(use.slot in {*slots.scale, slots.zero} for slots in _READERS.get(op, ()))


def float_input(use: Use) -> int:
    """Which input it would be of the op on floats."""
    op = use.node.op_type
    if op == "QLinearConcat":
        return (use.slot - 2) // 3
    return {**_DATA.get(op, {}), **_FLOAT_INPUTS.get(op, {})}.get(use.slot, use.slot)


_CONVERSIONS = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Transpose"})
_RESHAPES = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})


def beyond_conversions(uses: Iterable[Use], all_uses: Mapping[str, Sequence[Use]]) -> Iterator[Use]:
    """The nodes that compute with a tensor: those that read it as it is, and those that read it converted or turned."""
    for use in uses:
        if use.slot != 0 or use.node.op_type not in _CONVERSIONS:
            yield use
            continue
        for reader in beyond_conversions(all_uses.get(use.node.output[0], ()), all_uses):
            yield _behind_transpose(use.node, reader) if use.node.op_type == "Transpose" else reader


def beyond_reshapes(uses: Iterable[Use], all_uses: Mapping[str, Sequence[Use]]) -> Iterator[Use]:
    """The nodes that compute with a tensor, those too that read it in another shape; their `turned` is not told."""
    for use in uses:
        if use.slot == 0 and use.node.op_type in _CONVERSIONS | _RESHAPES:
            yield from beyond_reshapes(all_uses.get(use.node.output[0], ()), all_uses)
        else:
            yield use


def _behind_transpose(node: Any, use: Use) -> Use:
    axes = tuple(map(int, attribute(node, "perm", (1, 0))))  # without perm all axes are reversed; weights have two
    return replace(use, turned=axes if use.turned is None else tuple(axes[axis] for axis in use.turned))


def scale_behind(
    use: Use, all_uses: Mapping[str, Sequence[Use]], makers: Mapping[str, Any], constants: Container[str]
) -> str | None:
    """The constant by which the codes that an op of integers reads are scaled, in a Mul behind the op.

    The Mul may be by the product of this scale and that of the other input, which is known by the QuantizeLinear that
    made the input; None where nothing is left, or more than one.

    Args:
        use: Of the codes, by ConvInteger or MatMulInteger.
        all_uses: Tensor → the nodes that read it.
        makers: Tensor → the node that makes it.
        constants: Those that may be scales.
    """
    quantize = makers.get(use.node.input[0])
    others = set(quantize.input[1:2]) if quantize is not None and quantize.op_type == "QuantizeLinear" else set()
    made = [use.node.output[0]]  # grows by what each Mul makes of it
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
    """The tensors whose product it is; itself where it is none."""
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
