"""TensorFlow.js graph-models whose kernels have one scale per output channel: made by quantlab, in ops of every TF.js.

`tfjs_coded_graph` says how the graph decodes them.

Nodes take time, so a kernel whose channels are alike has one scale in the manifest, which takes none. The others are
coded, those first that save most for their time, as long as the graph becomes at most 5 % slower by the estimate; what
is left is stored as half floats, and so are kernels inside loops. Everything that is no kernel is copied from the
float32 graph-model, and the files are a pure function of it.

Codes are stored in the order of the kernel. With the channels first, Brotli gains nothing on 8-bit codes (between −0.2
and 0.0 % on four models), and the graph would need a `Transpose`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab_converters.channel_codes import encode
from quantlab_converters.tfjs_coded_graph import CodedKernel, FloatGraph, narrowed, placed, write_coded
from quantlab_converters.tfjs_weights import refuse_unquantizable

__all__ = ["PER_CHANNEL", "SLOWER", "write_per_channel"]

Array = npt.NDArray[Any]

PER_CHANNEL = "uint8-per-channel"
"""The scheme of these graph-models."""
SLOWER = 0.05
"""Share of the graph's time that decoding may take."""
_ALIKE_DB, _LOST_DB = 34.0, 3.0
"""One scale serves all channels if the worst SQNR of a channel is this high (an error of 2 %), or at most 3 dB lower
than with a scale for each."""


def write_per_channel(float32: Path, folder: Path, kept: Mapping[str, str] | None = None) -> None:
    """Write the graph-model of a float32 graph-model's folder, its kernels in 8 bits with one scale per channel.

    A graph without kernels stays as it is.

    Args:
        float32: The folder of the float32 graph-model.
        folder: The folder to write into.
        kept: Weights that stay in float → `float32` or `float16`.

    Raises:
        ConversionError: If a kernel holds NaN or infinity.
    """
    graph, kept = FloatGraph.read(float32), kept or {}
    coded = _coded(graph, {name: values for name, values in graph.codable.items() if name not in kept})
    halves = [name for name in graph.weights if kept.get(name, _left(name, graph)) == "float16" and name not in coded]
    write_coded(graph, folder, coded, {name: narrowed(graph.weights[name]) for name in halves})


def _left(name: str, graph: FloatGraph) -> str:
    """The data type of a weight that is not coded, unless it is named."""
    return "float16" if name in graph.axes else "float32"


def _coded(graph: FloatGraph, kernels: Mapping[str, Array]) -> dict[str, CodedKernel]:
    """The kernels to be coded: those first that save most bytes for their time, as long as it is little."""
    axes, work = graph.axes, graph.work
    candidates, coded = dict[str, CodedKernel](), dict[str, CodedKernel]()
    for name, values in kernels.items():
        refuse_unquantizable(name, values, "uint8")
        in_one, codes = encode(values, ()), encode(values, axes[name])
        needed = min(_ALIKE_DB, codes.worst_sqnr_db(values, axes[name]) - _LOST_DB)
        if in_one.worst_sqnr_db(values, axes[name]) >= needed:
            coded[name] = CodedKernel(in_one)
        elif not _larger(values, axes[name]):
            candidates[name] = placed(name, codes, work)
    left = SLOWER * work.microseconds
    for name in sorted(candidates, key=lambda name: (-kernels[name].size / candidates[name].microseconds, name)):
        if candidates[name].microseconds <= left:
            coded[name] = candidates[name]
            left -= candidates[name].microseconds
    return coded


def _larger(values: Array, axes: Iterable[int]) -> bool:
    """Whether half floats of a kernel take less than its codes, its scales and some 300 bytes of JSON."""
    channels = int(np.prod([values.shape[axis] for axis in axes]))
    return 2 * values.size <= values.size + 2 * channels + 300
