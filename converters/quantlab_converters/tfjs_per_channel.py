"""TensorFlow.js graph-models whose kernels have one scale per output channel: made by quantlab, in ops of every TF.js.

The format of tfjs weights has one scale per tensor. A graph can hold more: a kernel is stored as 8-bit codes, and the
main graph decodes them as (code − zero) · scale with a `Mul` by the scales of the channels. It is not decoded once in a
`modelInitializer`: `tf.tidy` would free what that computes.

The `Mul` is applied to the kernel, or to the output of the op that reads it, whichever takes less time. On the kernel,
the codes are stored with the manifest's scale 1 and minimum −zero, so that the loaded tensor is code − zero itself, a
small integer that half floats hold exactly. If channels need different zeros, a `Sub` is added. The `Mul` takes the
name of the kernel. For an output, bias and activation that were fused into the op follow the `Mul` as nodes of their
own, of which the last takes the name of the op; the codes are multiples of a power of two, so that the sums of the op
stay in the range of half floats.

Nodes take time, so a kernel whose channels are alike has one scale in the manifest, which takes none. The others are
coded, those first that save most for their time, as long as the graph becomes at most 5 % slower by the estimate; what
is left is stored as half floats, and so are kernels inside loops. Everything that is no kernel is copied from the
float32 graph-model, and the files are a pure function of it.

Codes are stored in the order of the kernel. With the channels first, Brotli gains nothing on 8-bit codes (between −0.2
and 0.0 % on four models), and the graph would need a `Transpose`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats.tfjs.channels import find_channel_axes
from quantlab.formats.tfjs_manifest import read_document, stored_weights
from quantlab_converters.channel_codes import ChannelCodes, encode
from quantlab_converters.tfjs_kernel_work import GraphWork, activation_of
from quantlab_converters.tfjs_weights import refuse_unquantizable

__all__ = ["PER_CHANNEL", "write_per_channel"]

Array = npt.NDArray[Any]

PER_CHANNEL = "uint8-per-channel"
"""The scheme of these graph-models."""

_SHARD_BYTES = 4 << 20  # as the official converter
_SLOWER = 0.05
_ALIKE_DB, _LOST_DB = 34.0, 3.0
"""One scale serves all channels if the worst SQNR of a channel is this high (an error of 2 %), or at most 3 dB lower
than with a scale for each."""
_HALF_LIMIT = float(np.finfo(np.float16).max)


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
    document = read_document(float32)
    topology = document["modelTopology"]
    weights = {entry["name"]: (entry, values) for entry, values in stored_weights(float32)}
    kernels = {
        name: values
        for name, axes in find_channel_axes(topology).items()
        if name in weights
        and (values := weights[name][1]).dtype == np.float32
        and values.ndim > max(axes)
        and values.size
    }
    # A constant in a loop belongs to it by its control dependencies, which the nodes that decode it would lack.
    kept = kept or {}
    looped = {node["name"] for node in topology["node"] if node["op"] == "Const" and node.get("input")}
    coded = _coded(topology, {name: values for name, values in kernels.items() if name not in {*looped, *kept}})
    written = _Rewritten({node["name"] for node in topology["node"]})
    for node in topology["node"]:
        _rewrite(written, node, coded)
    for name, (entry, values) in weights.items():
        if name not in coded:
            half = kept.get(name, "float16" if name in kernels else "float32") == "float16"
            written.weight(dict(entry), _narrow(values) if half else values)
    _write(folder, {**document, "modelTopology": {**topology, "node": written.nodes}}, written)


@dataclass(frozen=True, slots=True)
class _Coded:
    """A kernel that is coded."""

    codes: ChannelCodes
    op: str | None = None
    """The op whose output is multiplied by the scales; None if the kernel is."""
    microseconds: float = 0.0
    """Estimated time of the nodes that decode it; 0 without nodes, with one scale in the manifest."""


def _coded(topology: Mapping[str, Any], kernels: Mapping[str, Array]) -> dict[str, _Coded]:
    """The kernels to be coded: those first that save most bytes for their time, as long as it is little."""
    axes = find_channel_axes(topology)
    work = GraphWork.of(topology, {name: values.size for name, values in kernels.items()})
    candidates, coded = dict[str, _Coded](), dict[str, _Coded]()
    for name, values in kernels.items():
        refuse_unquantizable(name, values, "uint8")
        in_one, codes = encode(values, ()), encode(values, axes[name])
        needed = min(_ALIKE_DB, codes.worst_sqnr_db(values, axes[name]) - _LOST_DB)
        if in_one.worst_sqnr_db(values, axes[name]) >= needed:
            coded[name] = _Coded(in_one)
        elif not _larger(values, axes[name]):
            candidates[name] = _placed(name, codes, work)
    left = _SLOWER * work.microseconds
    for name in sorted(candidates, key=lambda name: (-kernels[name].size / candidates[name].microseconds, name)):
        if candidates[name].microseconds <= left:
            coded[name] = candidates[name]
            left -= candidates[name].microseconds
    return coded


def _placed(name: str, codes: ChannelCodes, work: GraphWork) -> _Coded:
    """A kernel that is decoded where that takes less time."""
    own_zeros = codes.zeros.ndim > 0
    on_kernel = work.on_kernel(name, nodes=2 if own_zeros else 1)
    on_output = None if own_zeros else work.on_output(name, codes.scales.size)
    if on_output is None or on_kernel <= on_output[0]:
        return _Coded(codes, None, on_kernel)
    return _Coded(codes, on_output[1]["name"], on_output[0])


def _larger(values: Array, axes: Iterable[int]) -> bool:
    """Whether half floats of a kernel take less than its codes, its scales and some 300 bytes of JSON."""
    channels = int(np.prod([values.shape[axis] for axis in axes]))
    return 2 * values.size <= values.size + 2 * channels + 300


def _narrow(values: Array) -> Array:
    """The values as half floats, unless one of them is too large."""
    return values.astype(np.float16) if np.abs(values).max() <= _HALF_LIMIT else values


@dataclass(slots=True)
class _Rewritten:
    """The files that are being written: nodes, and weights in the order of the shards."""

    taken: set[str]
    """Names of nodes."""
    nodes: list[Mapping[str, Any]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    _named: int = 0

    def name(self) -> str:
        """A name that is not in use, and short, because it travels with every download."""
        while (name := f"q{self._named}") in self.taken:
            self._named += 1
        self.taken.add(name)
        return name

    def constant(self, values: Array, name: str | None = None, *, minimum: float = 0, scale: float = 1) -> str:
        """Add a constant: floats, or 8-bit codes of which code 0 stands for `minimum`, and the others follow."""
        name = name or self.name()
        dims = {"dim": [{"size": str(size)} for size in values.shape]}
        value = {"tensor": {"dtype": "DT_FLOAT", "tensorShape": dims}}
        self.nodes.append({"name": name, "op": "Const", "attr": {"dtype": {"type": "DT_FLOAT"}, "value": value}})
        entry: dict[str, Any] = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        if values.dtype == np.uint8:
            affine = {"dtype": "uint8", "min": minimum, "scale": scale, "original_dtype": "float32"}
            entry["quantization"] = affine
        self.weight(entry, values)
        return name

    def node(self, op: str, inputs: Iterable[str], name: str | None = None) -> str:
        """Add a node of float inputs, with a name of its own unless it takes that of another."""
        name = name or self.name()
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": {"T": {"type": "DT_FLOAT"}}})
        return name

    def weight(self, entry: dict[str, Any], values: Array) -> None:
        """Add a weight to the shards; half floats are marked as the official converter marks them."""
        if values.dtype == np.float16:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        self.entries.append(entry)
        self.parts.append(_as_stored(values))


def _rewrite(written: _Rewritten, node: Mapping[str, Any], coded: Mapping[str, _Coded]) -> None:
    """Add a node of the float32 graph, or those that stand for it."""
    if kernel := coded.get(node["name"]):
        _decode(written, node["name"], kernel)
        return
    scales = next((kernel.codes.scales for kernel in coded.values() if kernel.op == node["name"]), None)
    if scales is None:
        written.nodes.append(node)
    else:
        _take_apart(written, node, _as_multiples(scales)[1])


_PLAIN = {"_FusedConv2D": "Conv2D", "_FusedMatMul": "MatMul"}
_FUSED_ONLY = ("fused_ops", "num_args", "num_host_args", "epsilon", "leakyrelu_alpha", "TArgs", "filter_format")


def _take_apart(written: _Rewritten, node: Mapping[str, Any], scales: Array) -> None:
    """Add an op, the `Mul` of its output, and what was fused into it; the last of them has its name."""
    activation, plain = activation_of(node), dict(node)
    bias = None
    if node["op"] in _PLAIN:
        kept = {key: value for key, value in node["attr"].items() if key not in _FUSED_ONLY}
        plain |= {"op": _PLAIN[node["op"]], "input": node["input"][:2], "attr": kept}
        bias = next(iter(node["input"][2:]), None)
    plain["name"] = written.name()
    written.nodes.append(plain)
    steps = [
        ("Mul", written.constant(scales)),
        *([("BiasAdd", bias)] if bias else []),
        *([(activation, None)] if activation else []),
    ]
    source = plain["name"]
    for place, (op, argument) in enumerate(steps):
        name = node["name"] if place == len(steps) - 1 else None
        source = written.node(op, [source, argument] if argument else [source], name)


def _decode(written: _Rewritten, name: str, kernel: _Coded) -> None:
    """Add the constants of a kernel, and the nodes that decode it, of which the last has its name."""
    codes, scales, zeros = kernel.codes.codes, kernel.codes.scales, kernel.codes.zeros
    if not kernel.microseconds:
        scale = float(scales.reshape(()))
        written.constant(codes, name, minimum=-int(zeros) * scale, scale=scale)
    elif kernel.op is not None:
        unit, _ = _as_multiples(scales)
        written.constant(codes, name, minimum=-int(zeros) * unit, scale=unit)
    elif zeros.ndim:
        integers = written.node("Sub", [written.constant(codes), written.constant(zeros)])
        written.node("Mul", [integers, written.constant(scales)], name)
    else:
        integers = written.constant(codes, minimum=-int(zeros))
        written.node("Mul", [integers, written.constant(scales)], name)


def _as_multiples(scales: Array) -> tuple[float, Array]:
    """The power of two below the largest scale, and the scales as a vector of multiples of it.

    An op on integers would give sums beyond the range of half floats; on multiples of this unit they are as large as
    those of the kernel itself, and both the unit and the multiples are exact.
    """
    unit = float(2.0 ** np.floor(np.log2(scales.max())))
    return unit, (scales.astype(np.float64) / unit).astype(np.float32).reshape(-1)


def _as_stored(values: Array) -> bytes:
    """The bytes of a weight in a shard; each string has its length before it."""
    if values.dtype == object:
        return b"".join(len(text).to_bytes(4, "little") + text for text in values.flat)
    return values.tobytes()


def _write(folder: Path, document: dict[str, Any], written: _Rewritten) -> None:
    shards = list(_shards(b"".join(written.parts)))
    paths = [f"group1-shard{place}of{len(shards)}.bin" for place in range(1, len(shards) + 1)]
    document["weightsManifest"] = [{"paths": paths, "weights": written.entries}]
    for path, data in zip(paths, shards, strict=True):
        (folder / path).write_bytes(data)
    # The official converter writes the attributes of a node in an order that varies.
    document["modelTopology"] = json.loads(json.dumps(document["modelTopology"], sort_keys=True))
    (folder / "model.json").write_text(json.dumps(document, allow_nan=False))


def _shards(data: bytes) -> Iterator[bytes]:
    for begin in range(0, len(data), _SHARD_BYTES):
        yield data[begin : begin + _SHARD_BYTES]
