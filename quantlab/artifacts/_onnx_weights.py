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


_READERS: Mapping[str, tuple[_Slots, ...]] = {
    "DequantizeLinear": (_Slots(0, 1, 2, None),),
    "ConvInteger": (_Slots(1, None, 3, 0),),
    "MatMulInteger": (_Slots(1, None, 3, -1),),
    "QLinearConv": (_Slots(3, 4, 5, 0),),
    "QLinearMatMul": (_Slots(3, 4, 5, -1),),
    "DynamicQuantizeMatMul": (_Slots(1, 2, 3, -1),),
    "MatMulIntegerToFloat": (_Slots(1, 3, 5, -1),),
}
"""Op → where it reads codes (onnx/docs/Operators.md, onnxruntime/docs/ContribOperators.md)."""

_OUTPUT_AXES: Mapping[str, int] = {"Conv": 0, "ConvInteger": 0, "QLinearConv": 0, "ConvTranspose": 1, "MatMul": -1}
"""The output channel's axis in the kernel of an op, its input 1; Gemm's depends on transB."""


@dataclass(frozen=True, slots=True)
class _Scaled:
    """What a constant's codes mean."""

    scales: Array
    zeros: Array
    axis: int


def constants(model: Any) -> Iterator[Any]:
    """Every TensorProto that the file holds: initializers, and what Constant nodes hold, of all its graphs."""
    for graph in graphs_of(model.graph):
        yield from graph.initializer
        for node in graph.node:
            if node.op_type == "Constant" and (value := attribute(node, "value", None)) is not None:
                value.name = value.name or node.output[0]
                yield value


def list_weights(model: Any) -> Iterator[StoredWeight]:
    """Every constant in the file's order, without the scales and zero points that belong to another."""
    tensors = {tensor.name: tensor for tensor in constants(model)}
    uses = _uses(model)
    scaled, helpers = _scaled(uses, tensors)
    stable = stable_names(model.graph)
    for name, tensor in tensors.items():
        if name not in helpers:
            yield _weight(tensor, _base(stable.get(name, name)), scaled.get(name), uses.get(name, ()))


def _uses(model: Any) -> dict[str, list[tuple[Any, int]]]:
    """Constant → the nodes that read it, and as which input."""
    found: dict[str, list[tuple[Any, int]]] = {}
    for graph in graphs_of(model.graph):
        for node in graph.node:
            for slot, name in enumerate(node.input):
                found.setdefault(name, []).append((node, slot))
    return found


def _scaled(
    uses: Mapping[str, Sequence[tuple[Any, int]]], tensors: Mapping[str, Any]
) -> tuple[dict[str, _Scaled], set[str]]:
    """Constant → what its codes mean; and the constants that are scales and zero points."""
    found: dict[str, _Scaled] = {}
    helpers: set[str] = set()
    for name in tensors:
        for node, slot in uses.get(name, ()):
            for slots in _READERS.get(node.op_type, ()):
                inputs = dict(enumerate(node.input))
                scale = inputs.get(slots.scale, "") if slots.scale is not None else f"{_base(name)}_scale"
                zero = inputs.get(slots.zero, "")
                if slot != slots.weight:
                    continue
                helpers |= {scale, zero} & set(tensors)
                if scale in tensors:
                    found[name] = _meaning(tensors[scale], tensors.get(zero), _axis(node, slots))
    # What only quantizes and dequantizes activations is no weight either.
    for name in tensors:
        readers = uses.get(name, ())
        if readers and all(node.op_type in {"QuantizeLinear", "DequantizeLinear"} and slot for node, slot in readers):
            helpers.add(name)
    return found, helpers


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


def _weight(tensor: Any, key: str, scaled: _Scaled | None, uses: Sequence[tuple[Any, int]]) -> StoredWeight:
    from onnx import numpy_helper

    stored, dtype = numpy_helper.to_array(tensor), dtype_name(tensor.data_type)
    coded = scaled is not None and stored.dtype.kind in "iu"
    unknown = not coded and any(
        node.op_type in _READERS and slot == _READERS[node.op_type][0].weight for node, slot in uses
    )
    axis = scaled.axis % max(stored.ndim, 1) if scaled is not None and len(scaled.scales) > 1 else None
    return StoredWeight(
        name=tensor.name,
        keys=(key,),
        shape=tuple(int(size) for size in stored.shape),
        dtype=dtype,
        size_bytes=size_bytes(tensor),
        stored=stored,
        values=_decoded(stored, scaled) if coded and scaled is not None else _as_float(stored),
        scales=tuple(map(float, scaled.scales)) if coded and scaled is not None else (),
        zero_points=tuple(map(int, scaled.zeros)) if coded and scaled is not None else (),
        code_range=_code_range(stored, scaled) if coded and scaled is not None else None,
        channel_axis=axis if coded else None,
        channel_axes=_channel_axes(stored, axis if coded else None, uses),
        reason="its scale is no constant that quantlab could find" if unknown and stored.dtype.kind in "iu" else None,
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


def _channel_axes(stored: Array, axis: int | None, uses: Sequence[tuple[Any, int]]) -> tuple[int, ...]:
    """The quantized axis where there are several scales, else the output axis of the first op's kernel."""
    if stored.ndim < 2:
        return ()
    if axis is not None:
        return (axis,)
    node, slot = uses[0] if uses else (None, 0)
    if node is None or slot != 1:
        return ()
    if node.op_type == "Gemm":
        return (0,) if attribute(node, "transB", 0) else (1,)
    return (_OUTPUT_AXES[node.op_type] % stored.ndim,) if node.op_type in _OUTPUT_AXES else ()
