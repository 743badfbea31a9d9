"""TensorFlow.js graph-models as `quantlab tune` decides: bits, rounding and data type of each weight.

Codes of few bits take a byte each: compression packs them, and no runtime has to unpack them.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import ConversionError
from quantlab.types import KernelChoice, TunedKernel, TunedWeights
from quantlab_converters.channel_codes import ChannelCodes
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
    stored = {name: unpack(values, name) for name, values in tuned.biases.items()}
    stored |= {name: narrowed(stored.get(name, graph.weights[name])) for name in tuned.halves}
    write_coded(graph, folder, coded, stored)


def _codes(kernel: TunedKernel, graph: FloatGraph) -> ChannelCodes:
    """The codes of a kernel; raises ConversionError if they are damaged."""
    scales, zeros, moved = (unpack(part, kernel.name) for part in (kernel.scales, kernel.zeros, kernel.moved))
    values = graph.codable.get(kernel.name)
    if values is not None and moved.shape == values.shape and scales.dtype.kind == "f":
        codes = _nearest(values, scales, zeros, kernel.choice.bits) + moved
        if codes.min() >= 0 and codes.max() < 2**kernel.choice.bits:
            return ChannelCodes(codes.astype(np.uint8), scales, zeros)
    raise ConversionError(f"the decisions about '{kernel.name}' do not fit this weight; run 'quantlab tune' again")
