"""The number type in which each op of an ONNX file computes, derived from the ops around it."""

from collections.abc import Mapping
from typing import Any, Literal

from quantlab.formats.onnx.file import FLOATS, dtype_name, readers_of
from quantlab.types import OpRow

__all__ = ["ops_of"]

_Computes = Literal["float", "hybrid", "int8", "uint8", "int16", "other"]

_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Constant"})
_HYBRID = frozenset(
    {"ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "DynamicQuantizeLSTM"}
)
_OF_INTEGERS = frozenset({"QGemm", "QAttention"})
"""Ops on codes whose names do not start with QLinear."""

_NO_CODES = _HYBRID | {
    "DequantizeLinear",
    "Cast",
    "Constant",
    "QAttention",
    "Shape",
    "Size",
    "ArgMax",
    "ArgMin",
    "NonZero",
}
"""Ops whose output does not have the code type of their input."""


def ops_of(model: Any, setting: str) -> tuple[OpRow, ...]:
    """Every op of the main graph that has activations, in execution order.

    onnxruntime computes an op between DequantizeLinear and QuantizeLinear in integers (QDQ format). An op on integers
    whose range is determined at run time is hybrid.
    """
    version = {entry.domain: int(entry.version) for entry in model.opset_import}
    facts = _Facts.of(model)
    return tuple(
        OpRow(
            setting=setting,
            place=place,
            op=node.op_type,
            version=version.get(node.domain, 0),
            computes_in=facts.computes_in(node),
            weights=facts.weights(node),
            output=node.output[0] if node.output else "",
        )
        for place, node in enumerate(model.graph.node)
        if any(name and name not in facts.constants for name in node.input)
    )


class _Facts:
    """Facts about a graph's tensors, by name."""

    def __init__(
        self, constants: Mapping[str, tuple[str, int]], makers: Mapping[str, Any], readers: dict[str, list[Any]]
    ):
        self.constants = constants
        self._makers = makers
        self._readers = readers

    @classmethod
    def of(cls, model: Any) -> "_Facts":
        constants = {
            tensor.name: (dtype_name(tensor.data_type), _elements(tensor.dims)) for tensor in model.graph.initializer
        }
        makers = {name: node for node in model.graph.node for name in node.output}
        return cls(constants, makers, readers_of(model.graph))

    def computes_in(self, node: Any) -> _Computes:
        """Number type of the activations; hybrid for float activations with a constant that holds codes."""
        if node.op_type in _CONVERSIONS:
            return "other"
        if node.op_type in _HYBRID:
            return "hybrid"
        directly = self._codes_read_directly(node)
        if directly is not None:
            return directly
        decoded = [name for name in node.input if self._codes(name) is not None]
        written = {reader.op_type for name in node.output for reader in self._readers.get(name, ())}
        if decoded and written and written <= {"QuantizeLinear"}:
            activation = next((name for name in decoded if not self._stores_codes(name)), decoded[0])
            return _INTEGERS.get(self._codes(activation) or "int8", "int8")
        return "hybrid" if any(self._stores_codes(name) for name in node.input) else "float"

    def _codes_read_directly(self, node: Any) -> _Computes | None:
        """Code type of an op that reads codes directly; None if it reads floats."""
        if not (node.op_type.startswith("QLinear") or node.op_type in _OF_INTEGERS):
            return _INTEGERS.get(self._stored(node.input[0]) or "") if node.input else None
        activations = [name for name in node.input if name and name not in self.constants]
        stored = (self._stored(name) or "" for name in (*activations, *node.input))
        return next((_INTEGERS[dtype] for dtype in stored if dtype in _INTEGERS), "int8")

    def _stored(self, name: str) -> str | None:
        """Stored type of a tensor of codes, derived from the op that produced it; None if unknown."""
        seen: set[str] = set()
        while name not in seen:
            seen.add(name)
            if name in self.constants:
                return self.constants[name][0]
            maker = self._makers.get(name)
            if maker is None or maker.op_type in _NO_CODES:
                return None
            if maker.op_type == "DynamicQuantizeLinear" and name == maker.output[1]:
                return None  # output 1 is the scale
            if maker.op_type in {"QuantizeLinear", "DynamicQuantizeLinear"}:
                zero = maker.input[2] if len(maker.input) > 2 else ""
                return self.constants.get(zero, ("uint8", 0))[0]
            name = _says_type(maker)
        return None

    def _stores_codes(self, name: str) -> bool:
        """Whether a dequantized tensor comes from constant codes, and not from a quantized activation."""
        return self._codes(name) is not None and self._makers[name].input[0] in self.constants

    def _codes(self, name: str) -> str | None:
        """Stored type of the codes that a DequantizeLinear decodes to this tensor; None for other tensors."""
        maker = self._makers.get(name)
        if maker is None or maker.op_type != "DequantizeLinear":
            return None
        zero = maker.input[2] if len(maker.input) > 2 else ""
        return self.constants[zero][0] if zero in self.constants else self._stored(maker.input[0]) or "int8"

    def weights(self, node: Any) -> str:
        """Stored data type of the first constant with more than one element, possibly behind a DequantizeLinear."""
        if node.op_type in _CONVERSIONS:
            return ""
        directly = self._codes_read_directly(node) is not None
        for name in node.input:
            maker = self._makers.get(name)
            source = maker.input[0] if maker is not None and maker.op_type == "DequantizeLinear" else name
            dtype, count = self.constants.get(source, ("", 0))
            if count <= 1 or (directly and dtype not in _INTEGERS):
                continue
            if directly or dtype in FLOATS or source != name or node.op_type in _HYBRID:
                return dtype
        return ""


_INTEGERS: Mapping[str, _Computes] = {"int8": "int8", "uint8": "uint8", "int16": "int16"}


def _says_type(node: Any) -> str:
    """The input that has the same code type as the op's output."""
    if node.op_type == "QLinearConcat":
        return str(node.input[1])
    return str(node.input[0]) if node.input else ""


def _elements(sizes: Any) -> int:
    count = 1
    for size in sizes:
        count *= int(size)
    return count
