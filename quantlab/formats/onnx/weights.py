"""Constants of an ONNX file, decoded with the scales of the ops that read them.

value = (code − zero point) · scale, with one scale per tensor or one per index of an axis (onnx/docs/Operators.md,
DequantizeLinear). A quantized weight is matched to the float32 file's weight by the op that computes with it (see
`places`). If the graph does not identify it, its name does: onnxruntime's quantizer appends `_quantized`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats.affine import decode_affine, used_range
from quantlab.formats.onnx.file import FLOATS, attribute, dtype_name, graphs_of, inner_graphs
from quantlab.formats.onnx.names import stable_names
from quantlab.formats.onnx.places import find_places
from quantlab.formats.onnx.uses import (
    Slots,
    Use,
    beyond_conversions,
    find_uses,
    is_scale_or_zero,
    scale_behind,
)
from quantlab.names import counted
from quantlab.types import StoredWeight

__all__ = ["constants", "size_bytes", "weights_of"]

Array = npt.NDArray[Any]

_CODES = "_quantized"

_CODE_RANGES: Mapping[str, tuple[int, int]] = {
    name: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if name.startswith("int") else (0, 2**bits - 1)
    for bits in (2, 4, 8, 16, 32)
    for name in (f"int{bits}", f"uint{bits}")
}
"""Integer type that may hold codes → lowest and highest code."""

_OUTPUT_AXES: Mapping[str, int] = {
    "Conv": 0,
    "ConvInteger": 0,
    "QLinearConv": 0,
    "ConvTranspose": 1,
    "Gemm": 1,
    "MatMul": -1,
    "MatMulInteger": -1,
}
"""Op → output channel axis of its kernel (input 1), in the layout in which the op reads it."""


@dataclass(frozen=True, slots=True)
class _Scaled:
    """Quantization parameters of a constant."""

    scales: Array
    zeros: Array
    axis: int


class _Unread(Exception):
    """Codes cannot be decoded; the message says why."""


@dataclass(frozen=True, slots=True)
class _File:
    """The constants and nodes of a model, by tensor name."""

    tensors: Mapping[str, Any]
    floats: frozenset[str]
    """Names of constants that may be scales."""
    uses: Mapping[str, Sequence[Use]]
    makers: Mapping[str, Any]

    @classmethod
    def of(cls, model: Any) -> "_File":
        makers = {name: node for graph in graphs_of(model.graph) for node in graph.node for name in node.output}
        tensors = {tensor.name: tensor for tensor in constants(model)}
        floats = frozenset(name for name, tensor in tensors.items() if _dtype(tensor) in FLOATS)
        return cls(tensors, floats, find_uses(model), makers)

    def scale_behind(self, use: Use) -> str | None:
        """The scale of codes that an integer op reads; see `uses`."""
        return scale_behind(use, self.uses, self.makers, self.floats)


def constants(model: Any) -> Iterator[Any]:
    """Every TensorProto in the file: initializers and values of Constant nodes, of all graphs."""
    for graph in graphs_of(model.graph):
        yield from graph.initializer
        for node in graph.node:
            if node.op_type == "Constant" and (value := _held(node)) is not None:
                value.name = node.output[0]
                yield value


def _held(node: Any) -> Any:
    """The value of a Constant node; None if it is sparse."""
    from onnx import numpy_helper

    dtypes = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for name, dtype in dtypes.items():
        if (numbers := attribute(node, name, None)) is not None:
            return numpy_helper.from_array(np.asarray(numbers, dtype))
    return attribute(node, "value", None)


def _set_apart(graph: Any, taken: set[str], outer: Mapping[str, str]) -> None:
    """Rename tensors of subgraphs whose names occur elsewhere, as the two branches of an If may use the same names."""
    names = dict(outer)
    defined = [
        *(value.name for value in (*graph.input, *graph.initializer)),
        *(o for n in graph.node for o in n.output),
    ]
    for name in dict.fromkeys(filter(None, defined)):
        names[name], number = name, 1
        while names[name] in taken:
            number += 1
            names[name] = f"{number}/{name}"
        taken.add(names[name])
    for value in (*graph.input, *graph.initializer, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for part in (node.input, node.output):
            part[:] = [names.get(name, name) for name in part]
        for inner in inner_graphs(node):
            _set_apart(inner, taken, names)


def weights_of(model: Any) -> Iterator[StoredWeight]:
    """Every constant in file order, except scales and zero points.

    A matrix that a Gemm reads transposed is returned as it is multiplied, (inputs, outputs), because onnxruntime's
    dynamic quantization turns the Gemm into a MatMul with that layout.
    """
    _set_apart(model.graph, set(), {})
    file = _File.of(model)
    helpers = _helpers(file)
    places = find_places(model.graph, file.uses, file.tensors, helpers)
    stable = stable_names(model.graph)
    for name, tensor in file.tensors.items():
        if name in helpers:
            continue
        uses = file.uses.get(name, ())
        coded = _is_code(tensor) and any(use.slots for use in uses)
        known = stable.get(name, name)
        lasting = _base(known) if coded and _base(name) not in file.tensors else known
        yield replace(
            _read(tensor, uses, file),
            keys=tuple(places.get(name, ())),
            lasting_name=lasting,
            feeds=next((stable.get(o, o) for use in beyond_conversions(uses, file.uses) for o in use.node.output), ""),
        )


def _read(tensor: Any, uses: Sequence[Use], file: _File) -> StoredWeight:
    try:
        return _weight(tensor, _scaled(tensor, uses, file), list(beyond_conversions(uses, file.uses)))
    except _Unread as reason:
        return _unread(tensor, str(reason))
    except (ArithmeticError, LookupError, TypeError, ValueError) as refused:
        return _unread(tensor, f"it could not be decoded ({refused})")


def _is_code(tensor: Any) -> bool:
    return _dtype(tensor) in _CODE_RANGES or _dtype(tensor).startswith(("float8", "float4"))


def _dtype(tensor: Any) -> str:
    try:
        return dtype_name(tensor.data_type)
    except ValueError:
        return f"type {tensor.data_type}"


def _unread(tensor: Any, reason: str) -> StoredWeight:
    """A weight of which only name, type and shape are known."""
    try:
        size = size_bytes(tensor)
    except (KeyError, ValueError):
        size = len(tensor.raw_data)
    nothing = np.empty(0, np.float32)
    dtype, shape = _dtype(tensor), tuple(int(length) for length in tensor.dims)
    return StoredWeight(tensor.name, (), shape, dtype, size, stored=nothing, values=nothing, reason=reason)


def _input(node: Any, slot: int | None) -> str:
    return str(node.input[slot]) if slot is not None and slot < len(node.input) else ""


def _scaled(tensor: Any, uses: Sequence[Use], file: _File) -> _Scaled | None:
    """Quantization parameters of a constant, None if it holds no codes; raises `_Unread` if they are not known."""
    reasons = []
    for use in uses:
        if use.slots is not None and _is_code(tensor):
            try:
                return _meaning(tensor, use, use.slots, file)
            except _Unread as reason:
                reasons.append(reason)
    if reasons:
        raise reasons[0]
    if tensor.name.endswith(_CODES) and _dtype(tensor) in _CODE_RANGES:
        raise _Unread("its name is that of a quantized weight, but no op of the file gives its scale")
    return None


def _helpers(file: _File) -> set[str]:
    """The constants that are scales and zero points, of weights or of activations."""
    helpers = {name for name in file.tensors if any(is_scale_or_zero(use) for use in file.uses.get(name, ()))}
    for name, tensor in file.tensors.items():
        for use in file.uses.get(name, ()) if _is_code(tensor) else ():
            scale = file.scale_behind(use) if use.slots is not None and not use.slots.scale else None
            if scale and all(reader.node.op_type == "Mul" or is_scale_or_zero(reader) for reader in file.uses[scale]):
                helpers.add(scale)
    return helpers


def _meaning(tensor: Any, use: Use, slots: Slots, file: _File) -> _Scaled:
    tensors = file.tensors
    names = [_input(use.node, slot) for slot in slots.scale] or [file.scale_behind(use) or ""]
    if any(name not in tensors or _dtype(tensors[name]) not in FLOATS for name in names):
        raise _Unread("its scale is not a constant of the file")
    zero = _input(use.node, slots.zero)
    if zero and zero not in tensors:
        raise _Unread("its zero point is not a constant of the file")
    scales = _array(tensors[names[0]], np.float32)
    for name in names[1:]:
        scales = scales * _array(tensors[name], np.float32)
    blocks = use.node.op_type == "DequantizeLinear" and (attribute(use.node, "block_size", 0) or scales.ndim > 1)
    if scales.size > 1 and (blocks or max(scales.shape) != scales.size):
        lie = "are per block" if blocks else "differ along several axes"
        raise _Unread(f"its scales {lie}, which quantlab cannot read")
    zeros = _array(tensors[zero], np.int64).reshape(-1) if zero else np.zeros(1, np.int64)
    if zeros.size not in {1, scales.size}:
        raise _Unread(f"it has {counted(scales.size, 'scale')} but {counted(zeros.size, 'zero point')}")
    axis = _axis(use, slots, tuple(tensor.dims), scales) if scales.size > 1 else 0
    return _Scaled(scales.reshape(-1), np.broadcast_to(zeros, scales.size), axis)


def _axis(use: Use, slots: Slots, shape: tuple[int, ...], scales: Array) -> int:
    """The axis of the codes along which scales differ."""
    axis = int(attribute(use.node, "axis", 1)) if slots.axis is None else slots.axis
    if use.node.op_type == "QGemm" and slots.axis is None:
        axis = 0 if attribute(use.node, "transB", 0) else 1
    if use.node.op_type == "DynamicQuantizeLSTM" and scales.ndim == 1:
        axis = 0
    if use.gathered is not None:
        picked = use.gathered % len(shape)
        fitting = [place for place, size in enumerate(shape) if size == scales.size and place != picked]
        axis = fitting[0] if len(fitting) == 1 else len(shape)
    if not -len(shape) <= axis < len(shape) or shape[axis] != scales.size:
        raise _Unread(f"its {scales.size:,} scales match no axis of its shape {list(shape)}")
    return axis


def _array(tensor: Any, dtype: Any) -> Array:
    from onnx import numpy_helper

    return np.asarray(numpy_helper.to_array(tensor)).astype(dtype)


def _base(name: str) -> str:
    return name.removesuffix(_CODES)


def size_bytes(tensor: Any) -> int:
    """Size of a constant's values in bytes, including external data."""
    import onnx

    count = int(np.prod(tensor.dims, dtype=np.int64))
    name = dtype_name(tensor.data_type)
    if name in {"int4", "uint4", "float4e2m1"}:
        return -(-count // 2)
    if name in {"int2", "uint2"}:
        return -(-count // 4)
    if name == "string":
        return sum(map(len, tensor.string_data))
    return count * int(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize)


def _weight(tensor: Any, scaled: _Scaled | None, uses: Sequence[Use]) -> StoredWeight:
    from onnx import numpy_helper

    dtype, stored = dtype_name(tensor.data_type), numpy_helper.to_array(tensor)
    if dtype in _CODE_RANGES and stored.dtype.kind == "V":
        stored = stored.astype(np.int8 if dtype.startswith("int") else np.uint8)
    axis = scaled.axis % max(stored.ndim, 1) if scaled is not None and len(scaled.scales) > 1 else None
    values = _as_float(stored) if scaled is None else decode_affine(stored, scaled.scales, scaled.zeros, axis)
    order = next((use.order for use in uses if use.order is not None and len(use.order) == stored.ndim), None)
    if order is not None:
        stored, values, axis = (
            stored.transpose(order),
            values.transpose(order),
            None if axis is None else order.index(axis),
        )
    return StoredWeight(
        name=tensor.name,
        keys=(),
        shape=tuple(int(size) for size in stored.shape),
        dtype=dtype,
        size_bytes=size_bytes(tensor),
        stored=stored,
        values=values,
        scales=() if scaled is None else tuple(map(float, scaled.scales)),
        zero_points=() if scaled is None else tuple(map(int, scaled.zeros)),
        code_range=None if scaled is None else _code_range(stored, dtype, scaled),
        channel_axis=axis,
        channel_axes=_channel_axes(stored, axis, uses),
    )


def _as_float(stored: Array) -> Array:
    """Floats as float32, other types unchanged; kind `V` covers bfloat16 and other types that NumPy does not have."""
    return stored.astype(np.float32) if stored.dtype.kind in "fV" else stored


def _code_range(stored: Array, dtype: str, scaled: _Scaled) -> tuple[int, int] | None:
    """Lowest and highest code; None if codes are not integers."""
    if dtype not in _CODE_RANGES:
        return None
    lowest, highest = _CODE_RANGES[dtype]
    return used_range(stored, lowest, highest, scaled.zeros)


def _channel_axes(stored: Array, axis: int | None, uses: Sequence[Use]) -> tuple[int, ...]:
    """The quantized axis if there are several scales, otherwise the output axis of the first op that reads it."""
    if stored.ndim < 2:
        return ()
    if axis is not None:
        return (axis,)
    if not uses or uses[0].slot != 1 or uses[0].node.op_type not in _OUTPUT_AXES:
        return ()
    return (_OUTPUT_AXES[uses[0].node.op_type] % stored.ndim,)
