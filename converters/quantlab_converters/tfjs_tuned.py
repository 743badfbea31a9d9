"""TensorFlow.js graph-models as `quantlab tune` decides: bits, rounding and data type of each weight.

Codes of few bits take a byte each: compression packs them, and no runtime has to unpack them.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import ConversionError
from quantlab.types import KernelChoice, PackedArray, TunedKernel, TunedWeights
from quantlab_converters.channel_codes import ChannelCodes, by_channel
from quantlab_converters.packed_arrays import pack, unpack
from quantlab_converters.tfjs_coded_graph import CodedKernel, FloatGraph, narrowed, placed, write_coded

__all__ = ["decided", "weights_sha256", "write_tuned"]

Array = NDArray[Any]


def weights_sha256(graph: FloatGraph) -> str:
    """Hash of the names, data types, shapes and bytes of the weights of a float32 graph-model."""
    digest = hashlib.sha256()
    for name, values in graph.weights.items():
        digest.update(f"{name}\0{values.dtype.name}\0{values.shape}\0".encode())
        digest.update(b"\0".join(values.flat) if values.dtype == object else values.tobytes())
    return digest.hexdigest()


def decided(name: str, kernel: Array, codes: ChannelCodes, choice: KernelChoice) -> TunedKernel:
    """The decisions that make the codes of a kernel again."""
    moved = codes.codes.astype(np.int16) - _nearest(kernel, codes.scales, codes.zeros, choice.bits)
    return TunedKernel(name, choice, pack(codes.scales), pack(codes.zeros), pack(moved))


def _nearest(kernel: Array, scales: Array, zeros: Array, bits: int) -> NDArray[np.int16]:
    steps = np.rint(kernel.astype(np.float64) / scales.astype(np.float64)) + zeros
    nearest: NDArray[np.int16] = np.clip(steps, 0, 2**bits - 1).astype(np.int16)
    return nearest


def write_tuned(float32: Path, folder: Path, tuned: TunedWeights) -> None:
    """Write the graph-model of a float32 graph-model's folder, its weights stored as decided.

    Args:
        float32: The folder of the float32 graph-model.
        folder: The folder to write into.
        tuned: The decisions.

    Raises:
        ConversionError: If they were made for another model, or are damaged.
    """
    graph = FloatGraph.read(float32)
    if weights_sha256(graph) != tuned.float32_sha256:
        raise ConversionError(
            "the decisions of 'quantlab tune' belong to another model: the float32 graph-model has other weights; give "
            "the model that was tuned, or tune this one"
        )
    codes = {kernel.name: _codes(kernel, graph) for kernel in tuned.kernels}
    work = graph.work
    coded = {name: CodedKernel(one) if one.scales.ndim == 0 else placed(name, one, work) for name, one in codes.items()}
    stored = {name: _bias(name, values, graph) for name, values in tuned.biases.items()}
    stored |= {name: narrowed(stored.get(name, _floats(name, graph))) for name in tuned.halves}
    write_coded(graph, folder, coded, stored)


def _codes(kernel: TunedKernel, graph: FloatGraph) -> ChannelCodes:
    """The codes of a kernel; raises ConversionError if they are damaged."""
    values, bits = graph.codable.get(kernel.name), kernel.choice.bits
    # Shapes are compared before anything is unpacked: of an array of gigabytes it may be true that it is so large.
    if values is None or kernel.moved.shape != values.shape or not 2 <= bits <= 8:
        raise _unfit(kernel.name)
    channels = by_channel(values.shape, graph.axes[kernel.name])
    if kernel.scales.shape not in {(), channels} or kernel.zeros.shape not in {(), kernel.scales.shape}:
        raise _unfit(kernel.name)
    scales, zeros, moved = (unpack(part, kernel.name) for part in (kernel.scales, kernel.zeros, kernel.moved))
    types = (scales.dtype.kind, zeros.dtype.name, moved.dtype.name)
    if types != ("f", "uint8", "int16") or not (np.isfinite(scales) & (scales > 0)).all() or zeros.max() >= 2**bits:
        raise _unfit(kernel.name)
    codes = _nearest(values, scales, zeros, bits) + moved
    if codes.min() < 0 or codes.max() >= 2**bits:
        raise _unfit(kernel.name)
    return ChannelCodes(codes.astype(np.uint8), scales, zeros)


def _bias(name: str, packed: PackedArray, graph: FloatGraph) -> Array:
    if packed.shape != _floats(name, graph).shape or packed.dtype != "float32":
        raise _unfit(name)
    return unpack(packed, name)


def _floats(name: str, graph: FloatGraph) -> Array:
    """The values of a float32 weight; raises ConversionError for others."""
    values = graph.weights.get(name)
    if values is None or values.dtype != np.float32:
        raise _unfit(name)
    return values


def _unfit(name: str) -> ConversionError:
    return ConversionError(f"the decisions about '{name}' do not fit this weight; run 'quantlab tune' again")
