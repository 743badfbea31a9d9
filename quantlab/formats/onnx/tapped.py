"""Writes a copy of an ONNX file that returns its inner tensors as additional outputs.

Existing nodes stay unchanged. New nodes convert what is read: a DequantizeLinear for codes, a Cast for half floats, and
a Transpose for channels-first tensors, so that the layout matches TensorFlow. Whenever the copy runs, its original
outputs are compared with those of the unmodified file: onnxruntime fuses ops only if nothing else reads the tensor
between them, and a fused op may round differently.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.formats.onnx.file import TWO_GIGABYTES, dtype_name, read_onnx, readers_of, save_onnx, shape_of
from quantlab.formats.onnx.layout import channels_first
from quantlab.formats.onnx.names import stable_names
from quantlab.types import Codes, TapSpec

__all__ = ["Tap", "append_tap", "list_taps", "recorded_inputs", "taps_of", "with_shapes", "write_tapped"]

_PREFIX = "quantlab/tap/"
_FLOATS = frozenset({"float32", "float16", "float64"})
_ONLY_RESHAPE = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_OF_CONSTANTS = "computed from constants only: a weight before it reaches its op"


@dataclass(frozen=True, slots=True)
class Tap:
    """A tensor, and how a copy returns it."""

    spec: TapSpec
    tensor: str
    """Name of the tensor in the file."""
    codes: Any = None
    """The QuantizeLinear that reads it, from whose output it is decoded; None if it is read directly."""
    channels_first: bool = False


def list_taps(path: Path) -> tuple[TapSpec, ...]:
    """Every tensor that a node of the main graph writes, in execution order; unreadable ones carry a reason.

    Names are stable names (see `names`). A tensor that only a QuantizeLinear reads is represented by the codes after
    it. Shapes are channels last.
    """
    return tuple(tap.spec for tap in taps_of(with_shapes(read_onnx(path))))


def recorded_inputs(path: Path) -> dict[str, Codes]:
    """Name of an input → the codes that the first QuantizeLinear makes of it, also if it gets another shape before."""
    model = read_onnx(path)
    graph, found = _Graph.of(model.graph), dict[str, Codes]()
    origin = {value.name: value.name for value in model.graph.input if value.name not in graph.initializers}
    for node in model.graph.node:
        first = node.input[0] if node.input else ""
        if first not in origin:
            continue
        if node.op_type in _ONLY_RESHAPE:
            origin[node.output[0]] = origin[first]
        elif node.op_type == "QuantizeLinear" and (codes := graph.codes(node)) is not None:
            found.setdefault(origin[first], codes)
    return found


def write_tapped(path: Path, target: Path, names: Collection[str]) -> tuple[int, ...]:
    """Write the copy, and return the index of each named tap among its outputs, in the order of `list_taps`.

    Names without a readable tap are ignored.

    Raises:
        ArtifactError: If the file cannot be read.
    """
    import onnx

    model = with_shapes(read_onnx(path))
    graph = model.graph
    outputs = [value.name for value in graph.output]
    positions = []
    for tap in list(taps_of(model)):  # before nodes are added
        if tap.spec.reason is not None or tap.spec.name not in names:
            continue
        name = append_tap(graph, tap)
        if name not in outputs:
            outputs.append(name)
            graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        positions.append(outputs.index(name))
    target.parent.mkdir(parents=True, exist_ok=True)
    save_onnx(model, target)
    return tuple(positions)


def with_shapes(model: Any) -> Any:
    """The model with inferred shapes of its inner tensors, or unchanged if ONNX cannot infer them."""
    import onnx

    if model.ByteSize() > TWO_GIGABYTES:
        return model  # inference serializes to a protobuf, which has this size limit
    try:
        return onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError:
        return model


@dataclass(frozen=True, slots=True)
class _Graph:
    """The tensors of a graph, by name."""

    known: Mapping[str, Any]
    """ValueInfoProto of tensors whose type is known."""
    makers: Mapping[str, Any]
    readers: Mapping[str, Sequence[Any]]
    initializers: Mapping[str, Any]
    stable: Mapping[str, str]
    outputs: frozenset[str]
    channels_first: frozenset[str]

    @classmethod
    def of(cls, graph: Any) -> "_Graph":
        known = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
        return cls(
            known=known,
            makers={name: node for node in graph.node for name in node.output},
            readers=readers_of(graph),
            initializers={tensor.name: tensor for tensor in graph.initializer},
            stable=stable_names(graph),
            outputs=frozenset(value.name for value in graph.output),
            channels_first=channels_first(graph, {name: len(shape_of(value)) for name, value in known.items()}),
        )

    def quantize_behind(self, name: str) -> Any:
        """The QuantizeLinear that is the only reader of a computed tensor, else None."""
        readers = self.readers.get(name, ())
        alone = len(readers) == 1 and name in self.makers and name not in self.outputs
        return readers[0] if alone and readers[0].op_type == "QuantizeLinear" else None

    def told_before(self, node: Any) -> bool:
        """Whether a DequantizeLinear's output is already represented by the tensor that was quantized before it."""
        quantize = self.makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if quantize is None or quantize.op_type != "QuantizeLinear" or node.output[0] in self.outputs:
            return False
        return self.quantize_behind(quantize.input[0]) is quantize and self.codes(quantize) is not None

    def codes(self, quantize: Any) -> Codes | None:
        """Quantization parameters of a QuantizeLinear; None with several scales, or if they are not constant."""
        from onnx import numpy_helper

        parameters = [self.initializers[name] for name in quantize.input[1:3] if name in self.initializers]
        if len(parameters) < 2:
            return None
        scale, zero = (numpy_helper.to_array(parameter) for parameter in parameters)
        if scale.size != 1 or zero.dtype.kind not in "iu":
            return None
        limits = np.iinfo(zero.dtype)
        return Codes(float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]), int(limits.min), int(limits.max))


def taps_of(model: Any) -> Iterator[Tap]:
    """Every tensor that `list_taps` lists, for a model with inferred shapes, with the way to return it."""
    graph = _Graph.of(model.graph)
    constant = set(graph.initializers)
    for node in model.graph.node:
        if all(name in constant for name in node.input if name):  # also true for Constant nodes, which have no input
            constant.update(node.output)
            if node.op_type != "Constant":
                yield from (Tap(_spec(node, name, graph, _OF_CONSTANTS), name) for name in filter(None, node.output))
        elif not graph.told_before(node):
            yield from (_tap(node, name, graph) for name in filter(None, node.output))


def _tap(node: Any, name: str, graph: _Graph) -> Tap:
    spec = _spec(node, name, graph, None)
    quantize = graph.quantize_behind(name)
    if quantize is not None and (codes := graph.codes(quantize)) is not None:
        spec = replace(spec, codes=codes)
    else:
        quantize = None
    turned = name in graph.channels_first and len(spec.shape) > 2
    if turned:
        spec = replace(spec, shape=(spec.shape[0], *spec.shape[2:], spec.shape[1]))
    return Tap(spec, name, quantize, turned)


def _spec(node: Any, name: str, graph: _Graph, reason: str | None) -> TapSpec:
    value = graph.known.get(name)
    dtype = dtype_name(value.type.tensor_type.elem_type) if value is not None else "undefined"
    if reason is None and dtype not in _FLOATS:
        reason = _unreadable(node.op_type, dtype)
    return TapSpec(
        graph.stable.get(name, name),
        shape_of(value) if value is not None else (),
        dtype,
        node.op_type,
        reason=reason,
        scope="" if "/" in name else _scope(node, graph),
    )


def _unreadable(op: str, dtype: str) -> str:
    """Why a tensor that is not a float tensor has no figures."""
    if dtype == "undefined":
        return "its type cannot be inferred"
    if op.startswith("QLinear") or op == "QGemm":
        return f"codes of a quantized op ({dtype}), whose error counts in the next float tensor"
    return f"not a float tensor: {dtype}"


def _scope(node: Any, graph: _Graph) -> str:
    """The name of the first weight of a node that has scopes; exporters keep it where they name the node anew."""
    return next((name for name in node.input if name in graph.initializers and "/" in name), "")


def append_tap(graph: Any, tap: Tap) -> str:
    """Add nodes that return a tap as float32 in TensorFlow's layout; return the name of the resulting tensor."""
    import onnx

    name = tap.tensor
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if tap.codes is not None:
        steps.append(("DequantizeLinear", [tap.codes.output[0], *tap.codes.input[1:3]], {}))
    if tap.spec.dtype != "float32":
        steps.append(("Cast", [], {"to": onnx.TensorProto.FLOAT}))
    if tap.channels_first:
        last = len(tap.spec.shape) - 1
        steps.append(("Transpose", [], {"perm": [0, *range(2, last + 1), 1]}))
    for number, (op, inputs, attributes) in enumerate(steps):
        made = f"{_PREFIX}{tap.spec.name}/{number}"
        graph.node.append(onnx.helper.make_node(op, inputs or [name], [made], f"{made}:{op}", **attributes))
        name = made
    return name
