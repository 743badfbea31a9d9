"""Writes TensorFlow.js graph-models whose kernels are stored as codes that the graph decodes itself.

The format of tfjs weights has one scale per tensor. A graph can hold more: a kernel is stored as codes in bytes, and
the main graph decodes them as (code − zero) · scale with a `Mul` by the scales of the channels. It is not decoded once
in a `modelInitializer`: `tf.tidy` would free what that computes.

The `Mul` is applied to the kernel, or to the output of the op that reads it, whichever takes less time. On the kernel,
the codes are stored with the manifest's scale 1 and minimum −zero, so that the loaded tensor is code − zero itself, a
small integer that half floats hold exactly. If channels need different zeros, a `Sub` is added. The `Mul` takes the
name of the kernel. For an output, bias and activation that were fused into the op follow the `Mul` as nodes of their
own, of which the last takes the name of the op; the codes are multiples of a power of two, so that the sums of the op
stay in the range of half floats. A kernel with one scale is decoded by the manifest and takes no node.

Weights of one data type, and codes of the same number of bits, are stored one after the other: gzip then takes 3 to 4 %
less.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from quantlab.formats.tfjs.channels import find_channel_axes
from quantlab.formats.tfjs_manifest import read_document, stored_weights
from quantlab_converters.channel_codes import ChannelCodes
from quantlab_converters.tfjs_kernel_work import GraphWork, activation_of

__all__ = ["CodedKernel", "FloatGraph", "narrowed", "owner", "placed", "write_coded"]

Array = npt.NDArray[Any]

_SHARD_BYTES = 4 << 20  # as the official converter
_HALF_LIMIT = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True, eq=False)
class FloatGraph:
    """A float32 graph-model, read from its folder."""

    document: Mapping[str, Any]
    """Its `model.json`."""
    entries: Mapping[str, Mapping[str, Any]]
    """Weight → its entry in the manifest, in the order of the shards."""
    weights: Mapping[str, Array]
    """Weight → its values."""
    axes: Mapping[str, tuple[int, ...]]
    """Kernel → the axes that together index its output channel."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the folder of a float32 graph-model; raises ArtifactError as `stored_weights` does."""
        document = read_document(folder)
        stored = {entry["name"]: (entry, values) for entry, values in stored_weights(folder)}
        axes = {
            name: axes
            for name, axes in find_channel_axes(document["modelTopology"]).items()
            if name in stored
            and (values := stored[name][1]).dtype == np.float32
            and values.ndim > max(axes)
            and values.size
        }
        entries = {name: entry for name, (entry, _) in stored.items()}
        return cls(document, entries, {name: values for name, (_, values) in stored.items()}, axes)

    @property
    def topology(self) -> Mapping[str, Any]:
        """The graph in `model.json`."""
        topology: Mapping[str, Any] = self.document["modelTopology"]
        return topology

    @property
    def kernels(self) -> dict[str, Array]:
        """The float kernels of convolutions and products, and tables."""
        return {name: self.weights[name] for name in self.axes}

    @property
    def codable(self) -> dict[str, Array]:
        """The kernels that nodes of the main graph can decode.

        A constant in a loop belongs to it by its control dependencies, which these nodes would lack.
        """
        looped = {node["name"] for node in self.topology["node"] if node["op"] == "Const" and node.get("input")}
        return {name: values for name, values in self.kernels.items() if name not in looped}

    @property
    def work(self) -> GraphWork:
        """The estimated time of the graph."""
        sizes = {name: values.size for name, values in self.kernels.items()}
        gathering = [node for node in self.topology["node"] if node["op"] == "GatherV2"]
        inner = {owner(node["input"][0]) for node in gathering if not self._is_rows(node)}
        return GraphWork.of(self.topology, sizes, frozenset(inner))

    def _is_rows(self, node: Mapping[str, Any]) -> bool:
        """Whether a `GatherV2` gives rows of a matrix, as an embedding does, so that its output ends with channels."""
        table, *others = map(owner, node["input"])
        values, axis = self.weights.get(table), self.weights.get(others[1]) if len(others) > 1 else np.array(0)
        batched = int(node.get("attr", {}).get("batch_dims", {}).get("i", 0)) != 0
        return values is not None and values.ndim == 2 and axis is not None and axis.tolist() == 0 and not batched


def owner(tensor: str) -> str:
    """The name of the node whose output a tensor is: `node` of `node:1`."""
    return tensor.partition(":")[0]


@dataclass(frozen=True, slots=True)
class CodedKernel:
    """A kernel that is coded."""

    codes: ChannelCodes
    op: str | None = None
    """The op whose output is multiplied by the scales; None if the kernel is."""
    microseconds: float = 0.0
    """Estimated time of the nodes that decode it; 0 without nodes, with one scale in the manifest."""


def placed(name: str, codes: ChannelCodes, work: GraphWork) -> CodedKernel:
    """A kernel that is decoded where that takes less time."""
    own_zeros = codes.zeros.ndim > 0
    on_kernel = work.on_kernel(name, nodes=2 if own_zeros else 1)
    on_output = None if own_zeros else work.on_output(name, codes.scales.size)
    if on_output is None or on_kernel <= on_output[0]:
        return CodedKernel(codes, None, on_kernel)
    return CodedKernel(codes, on_output[1]["name"], on_output[0])


def narrowed(values: Array) -> Array:
    """The values as half floats, unless one of them is too large."""
    return values.astype(np.float16) if np.abs(values).max(initial=0) <= _HALF_LIMIT else values


def write_coded(graph: FloatGraph, folder: Path, coded: Mapping[str, CodedKernel], stored: Mapping[str, Array]) -> None:
    """Write a graph-model with some weights stored as codes, or as other floats.

    Args:
        graph: The float32 graph-model.
        folder: The folder to write into.
        coded: Kernel → its codes.
        stored: Weight → the float32 or float16 values that are stored instead of its own.
    """
    written = _Rewritten({node["name"] for node in graph.topology["node"]})
    for node in graph.topology["node"]:
        _rewrite(written, node, coded)
    for name, entry in graph.entries.items():
        if name not in coded:
            written.weight(dict(entry), stored.get(name, graph.weights[name]))
    document = {**graph.document, "modelTopology": {**graph.topology, "node": written.nodes}}
    _write(folder, document, written)


@dataclass(slots=True)
class _Rewritten:
    """The files that are being written: nodes, and weights in the order of the shards."""

    taken: set[str]
    """Names of nodes."""
    nodes: list[Mapping[str, Any]] = field(default_factory=list)
    stored: list[tuple[dict[str, Any], Array]] = field(default_factory=list)
    """Entries of the manifest, and their values."""
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
        self.stored.append((entry, values))


def _rewrite(written: _Rewritten, node: Mapping[str, Any], coded: Mapping[str, CodedKernel]) -> None:
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


def _decode(written: _Rewritten, name: str, kernel: CodedKernel) -> None:
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
    stored = sorted(written.stored, key=_likeness)
    shards = list(_shards(b"".join(_as_stored(values) for _, values in stored)))
    paths = [f"group1-shard{place}of{len(shards)}.bin" for place in range(1, len(shards) + 1)]
    document["weightsManifest"] = [{"paths": paths, "weights": [entry for entry, _ in stored]}]
    for path, data in zip(paths, shards, strict=True):
        (folder / path).write_bytes(data)
    # The official converter writes the attributes of a node in an order that varies.
    document["modelTopology"] = json.loads(json.dumps(document["modelTopology"], sort_keys=True))
    (folder / "model.json").write_text(json.dumps(document, allow_nan=False))


def _likeness(stored: tuple[Mapping[str, Any], Array]) -> tuple[str, int]:
    """What a compressor sees as alike: the data type, and of codes the number of bits."""
    _, values = stored
    return values.dtype.name, int(values.max(initial=0)).bit_length() if values.dtype == np.uint8 else 0


def _shards(data: bytes) -> Iterator[bytes]:
    for begin in range(0, len(data), _SHARD_BYTES):
        yield data[begin : begin + _SHARD_BYTES]
