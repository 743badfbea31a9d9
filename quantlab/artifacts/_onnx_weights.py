"""The constants of an ONNX file, decoded by the scales that its own ops read them with.

value = (code − zero point) · scale, one scale a tensor or one for each index of an axis (onnx/docs/Operators.md,
DequantizeLinear). onnxruntime's quantizer names the codes of a weight `<weight>_quantized` and its scale
`<weight>_scale` (quantization/quant_utils.py), which is how a quantized weight is known to be that of the float32 file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.artifacts._onnx_names import stable_names
from quantlab.onnx_file import attribute, dtype_name, graphs_of
from quantlab.types import StoredWeight

__all__ = ["constants", "list_weights", "size_bytes"]

Array = npt.NDArray[Any]

_CODES = "_quantized"


@dataclass(frozen=True, slots=True)
class _Slots:
    """Where an op reads codes that are constant, and what they mean."""

    weight: int
    scale: int | None
    """None where the scale comes later, in an op that multiplies."""
    zero: int
    axis: int | None
    """What several scales lie along; None where the node says so itself."""


_READERS: Mapping[str, _Slots] = {
    "DequantizeLinear": _Slots(0, 1, 2, None),
    "ConvInteger": _Slots(1, None, 3, 0),
    "MatMulInteger": _Slots(1, None, 3, -1),
    "QLinearConv": _Slots(3, 4, 5, 0),
    "QLinearMatMul": _Slots(3, 4, 5, -1),
    "DynamicQuantizeMatMul": _Slots(1, 2, 3, -1),
    "MatMulIntegerToFloat": _Slots(1, 3, 5, -1),
}
"""Op → where it reads codes (onnx/docs/Operators.md, onnxruntime/docs/ContribOperators.md)."""

_OUTPUT_AXES: Mapping[str, int] = {
    "Conv": 0,
    "ConvInteger": 0,
    "QLinearConv": 0,
    "ConvTranspose": 1,
    "Gemm": 1,
    "MatMul": -1,
    "MatMulInteger": -1,
}
"""The output channel's axis in the kernel of an op, its input 1, as it is read."""


@dataclass(frozen=True, slots=True)
class _Scaled:
    """What a constant's codes mean."""

    scales: Array
    zeros: Array
    axis: int


@dataclass(frozen=True, slots=True)
class _Use:
    """A node that reads a constant, and as which input."""

    node: Any
    slot: int

    @property
    def transposes(self) -> bool:
        """Whether a Gemm multiplies with it the other way round."""
        return self.node.op_type == "Gemm" and self.slot == 1 and bool(attribute(self.node, "transB", 0))


def constants(model: Any) -> Iterator[Any]:
    """Every TensorProto that the file holds: initializers, and what Constant nodes hold, of all its graphs."""
    for graph in graphs_of(model.graph):
        yield from graph.initializer
        for node in graph.node:
            if node.op_type == "Constant" and (value := attribute(node, "value", None)) is not None:
                value.name = value.name or node.output[0]
                yield value


def list_weights(model: Any) -> Iterator[StoredWeight]:
    """Every constant in the file's order, without the scales and zero points that belong to another.

    What a Gemm reads transposed is told as it is multiplied, (inputs, outputs): onnxruntime's dynamic quantization
    makes a MatMul of it, which has it so.
    """
    tensors = {tensor.name: tensor for tensor in constants(model)}
    uses = _uses(model)
    scaled = {name: found for name in tensors if (found := _scaled(name, uses.get(name, ()), tensors)) is not None}
    helpers = _helpers(tensors, uses)
    stable = stable_names(model.graph)
    for name, tensor in tensors.items():
        if name not in helpers:
            yield _weight(tensor, _base(stable.get(name, name)), scaled.get(name), _behind(uses.get(name, ()), uses))


def _uses(model: Any) -> dict[str, list[_Use]]:
    """Tensor → the nodes that read it."""
    found: dict[str, list[_Use]] = {}
    for graph in graphs_of(model.graph):
        for node in graph.node:
            for slot, name in enumerate(node.input):
                found.setdefault(name, []).append(_Use(node, slot))
    return found


def _behind(uses: Sequence[_Use], all_uses: Mapping[str, Sequence[_Use]]) -> list[_Use]:
    """The nodes that compute with a constant, beyond a DequantizeLinear."""
    return [
        each
        for use in uses
        for each in (all_uses.get(use.node.output[0], ()) if use.node.op_type == "DequantizeLinear" else (use,))
    ]


def _slots(use: _Use) -> _Slots | None:
    """Where the other inputs are, if a use reads codes."""
    slots = _READERS.get(use.node.op_type)
    return slots if slots is not None and use.slot == slots.weight else None


def _input(node: Any, slot: int | None) -> str:
    return str(node.input[slot]) if slot is not None and slot < len(node.input) else ""


def _scaled(name: str, uses: Sequence[_Use], tensors: Mapping[str, Any]) -> _Scaled | None:
    """What a constant's codes mean, if they are codes whose scale is constant."""
    for use in uses:
        slots = _slots(use)
        if slots is None:
            continue
        scale = tensors.get(_input(use.node, slots.scale) or f"{_base(name)}_scale")
        if scale is not None:
            return _meaning(scale, tensors.get(_input(use.node, slots.zero)), _axis(use.node, slots))
    return None


def _helpers(tensors: Mapping[str, Any], uses: Mapping[str, Sequence[_Use]]) -> set[str]:
    """The constants that are scales and zero points, of weights or of activations."""
    found = {f"{_base(name)}_scale" for name in tensors if name.endswith(_CODES)}
    return found | {name for name in tensors if any(_tells_codes(use) for use in uses.get(name, ()))}


def _tells_codes(use: _Use) -> bool:
    if use.node.op_type == "QuantizeLinear":
        return use.slot > 0
    slots = _READERS.get(use.node.op_type)
    return slots is not None and use.slot in {slots.scale, slots.zero}


def _axis(node: Any, slots: _Slots) -> int:
    return int(attribute(node, "axis", 1)) if slots.axis is None else slots.axis


def _meaning(scale: Any, zero: Any, axis: int) -> _Scaled:
    from onnx import numpy_helper

    scales = np.asarray(numpy_helper.to_array(scale), np.float32).reshape(-1)
    zeros = np.zeros(1, np.int64) if zero is None else np.asarray(numpy_helper.to_array(zero), np.int64).reshape(-1)
    return _Scaled(scales, np.broadcast_to(zeros, scales.shape), axis)


def _base(name: str) -> str:
    return name.removesuffix(_CODES)


def size_bytes(tensor: Any) -> int:
    """Bytes of a constant's values, wherever they lie."""
    import onnx

    count = int(np.prod(tensor.dims, dtype=np.int64))
    name = dtype_name(tensor.data_type)
    if name in {"int4", "uint4", "float4e2m1"}:
        return -(-count // 2)
    if name == "string":
        return sum(map(len, tensor.string_data))
    return count * int(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize)


def _weight(tensor: Any, key: str, scaled: _Scaled | None, uses: Sequence[_Use]) -> StoredWeight:
    from onnx import numpy_helper

    stored, dtype = numpy_helper.to_array(tensor), dtype_name(tensor.data_type)
    values = _as_float(stored) if scaled is None else _decoded(stored, scaled)
    axis = scaled.axis % max(stored.ndim, 1) if scaled is not None and len(scaled.scales) > 1 else None
    if stored.ndim == 2 and any(use.transposes for use in uses):
        stored, values, axis = stored.T, values.T, None if axis is None else 1 - axis
    unknown = scaled is None and any(_slots(use) for use in uses)
    return StoredWeight(
        name=tensor.name,
        keys=(key,),
        shape=tuple(int(size) for size in stored.shape),
        dtype=dtype,
        size_bytes=size_bytes(tensor),
        stored=stored,
        values=values,
        scales=() if scaled is None else tuple(map(float, scaled.scales)),
        zero_points=() if scaled is None else tuple(map(int, scaled.zeros)),
        code_range=None if scaled is None else _code_range(stored, scaled),
        channel_axis=axis,
        channel_axes=_channel_axes(stored, axis, uses),
        reason="its scale is no constant of the file" if unknown else None,
    )


def _as_float(stored: Array) -> Array:
    """Floats as float32, everything else as it is; bfloat16 and the like are no kind of NumPy's own."""
    return stored.astype(np.float32) if stored.dtype.kind in "fV" else stored


def _decoded(stored: Array, scaled: _Scaled) -> Array:
    """float32, rounded once where a code has up to 16 bits; int32 biases are exact in float64 before."""
    exact: Any = np.float32 if stored.dtype.itemsize <= 2 else np.float64
    along = [1] * stored.ndim
    if len(scaled.scales) > 1:
        along[scaled.axis % stored.ndim] = -1
    scale, zero = scaled.scales.astype(exact).reshape(along), scaled.zeros.astype(exact).reshape(along)
    values: Array = ((stored.astype(exact) - zero) * scale).astype(np.float32).reshape(stored.shape)
    return values


def _code_range(stored: Array, scaled: _Scaled) -> tuple[int, int]:
    """Lowest and highest code; symmetric weights leave the lowest of all out, as onnxruntime's quantizer does."""
    limits = np.iinfo(stored.dtype)
    lowest, highest = int(limits.min), int(limits.max)
    symmetric = lowest < 0 and not scaled.zeros.any() and int(stored.min(initial=0)) > lowest
    return (lowest + 1 if symmetric else lowest), highest


def _channel_axes(stored: Array, axis: int | None, uses: Sequence[_Use]) -> tuple[int, ...]:
    """The quantized axis where there are several scales, else the output axis of the first op's kernel."""
    if stored.ndim < 2:
        return ()
    if axis is not None:
        return (axis,)
    if not uses or uses[0].slot != 1 or uses[0].node.op_type not in _OUTPUT_AXES:
        return ()
    return (_OUTPUT_AXES[uses[0].node.op_type] % stored.ndim,)
