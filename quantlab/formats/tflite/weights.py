"""Constants of a TFLite file, decoded according to its quantization specification.

value = scale · (code − zero point), with one scale per tensor or one per index of an axis:
ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats.affine import decode_affine, used_range
from quantlab.formats.tflite.flatbuffer import constant_tensors, shape_of, tensor_dtype, text
from quantlab.formats.tflite.uses import Use, find_uses
from quantlab.types import StoredWeight

__all__ = ["read_constant", "weights_of"]

Array = npt.NDArray[Any]

_NUMPY_DTYPES = frozenset(
    {"float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"}
)

_PACKED = {"int4": (4, True), "uint4": (4, False), "int2": (2, True)}
"""Type → bits per code, and whether it is signed; the first code of a byte is in its lowest bits."""

_OUTPUT_AXES = {
    "CONV_2D": 0,  # OHWI
    "DEPTHWISE_CONV_2D": 3,  # 1HWO
    "FULLY_CONNECTED": 0,  # OI
    "TRANSPOSE_CONV": 0,  # OHWI
    "CONV_3D": 4,  # DHWIO
    "CONV_3D_TRANSPOSE": 3,  # DHWOI
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 0,  # units × inputs, like the following ops
    "BIDIRECTIONAL_SEQUENCE_LSTM": 0,
    "UNIDIRECTIONAL_SEQUENCE_RNN": 0,
    "SVDF": 0,
}
"""Op → output channel axis of its kernel (lite/c/builtin_op_data.h, kernels/*.cc); other ops have none."""


def weights_of(model: Any) -> Iterator[StoredWeight]:
    """Every constant of every subgraph, in file order.

    Tensors that share a buffer, type, shape and quantization are one weight. If any of these differ, they are several
    weights, and only the first counts the bytes.
    """
    uses = find_uses(model)
    counted: set[int] = set()
    for tensor, places in _distinct(model):
        read = [use for place in places for use in uses.get(place, ())]
        data = model.buffers[tensor.buffer].data
        data = b"" if data is None else bytes(data)
        yield _weight(tensor, data, read, 0 if tensor.buffer in counted else len(data))
        counted.add(tensor.buffer)


def read_constant(model: Any, tensor: Any) -> StoredWeight:
    """One constant, without the ops that read it."""
    data = model.buffers[tensor.buffer].data
    return _weight(tensor, b"" if data is None else bytes(data), (), 0)


def _distinct(model: Any) -> list[tuple[Any, list[tuple[int, int]]]]:
    """Each distinct constant, with its locations as (subgraph, tensor)."""
    distinct: dict[object, tuple[Any, list[tuple[int, int]]]] = {}
    for place, graph in enumerate(model.subgraphs):
        for index in sorted(constant_tensors(model, graph)):
            tensor = graph.tensors[index]
            meaning = (tensor.buffer, tensor.type, shape_of(tensor), *_affine(tensor))
            distinct.setdefault(meaning, (tensor, []))[1].append((place, index))
    return list(distinct.values())


def _affine(tensor: Any) -> tuple[tuple[float, ...], tuple[int, ...], int | None]:
    """Scales, the same number of zero points, and the axis along which scales differ."""
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return (), (), None
    scales = tuple(float(scale) for scale in quantization.scale)
    zeros = [] if quantization.zeroPoint is None else [int(zero) for zero in quantization.zeroPoint]
    if len(zeros) < len(scales):
        zeros = (zeros[:1] or [0]) * len(scales)
    return scales, tuple(zeros), int(quantization.quantizedDimension) if len(scales) > 1 else None


def _weight(tensor: Any, data: bytes, uses: Sequence[Use], size_bytes: int) -> StoredWeight:
    shape, dtype = shape_of(tensor), tensor_dtype(tensor)
    scales, zeros, axis = _affine(tensor)
    reason = _unreadable(tensor, dtype, shape, len(data))
    stored = np.empty(0) if reason else _stored(data, dtype, shape)
    quantized = bool(scales) and not reason
    return StoredWeight(
        name=text(tensor.name),
        keys=tuple(use.key for use in uses),
        shape=shape,
        dtype=dtype,
        size_bytes=size_bytes,
        stored=stored,
        values=decode_affine(stored, scales, zeros, axis) if quantized else _as_float(stored, dtype),
        scales=scales,
        zero_points=zeros,
        code_range=_code_range(stored, dtype, zeros) if quantized else None,
        channel_axis=axis,
        channel_axes=_channel_axes(shape, axis, uses),
        reason=reason,
        feeds=uses[0].output if uses else "",
    )


def _unreadable(tensor: Any, dtype: str, shape: tuple[int, ...], size: int) -> str | None:
    if tensor.sparsity is not None:
        return "it is stored sparse, which quantlab cannot read"
    if tensor.quantization is not None and tensor.quantization.details is not None:
        return "its scales are per block or of a custom scheme, which quantlab cannot read"
    if dtype == "string":
        return None
    if dtype not in {*_NUMPY_DTYPES, *_PACKED, "bfloat16"}:
        return f"it is stored as {dtype}, which quantlab cannot read"
    bits = _PACKED[dtype][0] if dtype in _PACKED else 8 * _numpy_dtype(dtype).itemsize
    expected = -(-int(np.prod(shape, dtype=np.int64)) * bits // 8)
    return None if size == expected else f"it has {size:,} bytes, but {dtype} {list(shape)} needs {expected:,}"


def _numpy_dtype(dtype: str) -> np.dtype[Any]:
    return np.dtype("uint16" if dtype == "bfloat16" else dtype)


def _stored(data: bytes, dtype: str, shape: tuple[int, ...]) -> Array:
    if dtype == "string":
        return _strings(data).reshape(shape)
    if dtype in _PACKED:
        return _unpacked(data, *_PACKED[dtype], count=int(np.prod(shape, dtype=np.int64))).reshape(shape)
    return np.frombuffer(data, _numpy_dtype(dtype)).reshape(shape)


def _strings(data: bytes) -> Array:
    """Strings in the layout of lite/string_util.h: count, start offsets and final end offset, then the bytes."""
    count = int.from_bytes(data[:4], "little")
    offsets = np.frombuffer(data, "<i4", count + 1, 4) if count else np.zeros(1, np.int32)
    values = np.empty(count, object)
    values[:] = [data[begin:end] for begin, end in pairwise(offsets)]
    return values


def _unpacked(data: bytes, bits: int, signed: bool, *, count: int) -> Array:
    """Unpack codes narrower than a byte to one per byte: int8 if signed, otherwise uint8."""
    packed = np.frombuffer(data, np.uint8)
    parts = [packed >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)]
    codes: Array = np.stack(parts, axis=-1).reshape(-1)[:count]
    if signed:
        half = 1 << bits - 1  # in two's complement the highest bit has the value −half
        codes = (codes ^ half).astype(np.int8) - np.int8(half)
    return codes


def _as_float(stored: Array, dtype: str) -> Array:
    """Floats as float32, all other types unchanged."""
    if dtype == "bfloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)  # bfloat16 is the upper half of a float32
    return stored.astype(np.float32) if dtype == "float16" else stored


def _code_range(stored: Array, dtype: str, zeros: tuple[int, ...]) -> tuple[int, int]:
    """Lowest and highest code; the specification excludes the lowest code for symmetric weights."""
    if dtype in _PACKED:
        bits, signed = _PACKED[dtype]
        lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    else:
        limits = np.iinfo(stored.dtype)
        lowest, highest = int(limits.min), int(limits.max)
    return used_range(stored, lowest, highest, zeros)


def _channel_axes(shape: tuple[int, ...], axis: int | None, uses: Sequence[Use]) -> tuple[int, ...]:
    """The quantized axis if there are several scales, otherwise the output axis of the first op that reads it."""
    if len(shape) < 2:
        return ()
    if axis is not None:
        return (axis,)
    known = uses[0] if uses else None
    if known is None or known.slot == 0 or not 0 <= _OUTPUT_AXES.get(known.op, -1) < len(shape):
        return ()
    return (_OUTPUT_AXES[known.op],)
