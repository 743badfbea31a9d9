"""A copy of an ONNX file that gives its inner tensors as further outputs.

The nodes stay as they are. What is read gets nodes of its own: a DequantizeLinear behind codes, a Cast behind half
floats, and a Transpose behind what lies channels first, so that it is read as TensorFlow has it. What the copy answers
at its own outputs is compared with the file's whenever it is run: onnxruntime fuses ops only where nobody else reads
what is between them, and a fused op may round differently.
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

__all__ = ["list_taps", "write_tapped"]

_PREFIX = "quantlab/tap/"
_FLOATS = frozenset({"float32", "float16", "float64"})
_OF_CONSTANTS = "made of constants: a weight on its way to its op"


@dataclass(frozen=True, slots=True)
class _Tap:
    """A tensor, and how the copy is to give it."""

    spec: TapSpec
    tensor: str
    """The file's own name for it."""
    codes: Any = None
    """The QuantizeLinear behind it, from whose codes it is read."""
    channels_first: bool = False


def list_taps(path: Path) -> tuple[TapSpec, ...]:
    """Every tensor that a node of the main graph makes, in order of execution; those that cannot be read say why.

    Names are stable ones (see `names`). A tensor that only a QuantizeLinear reads is told, and read, as the codes
    behind it. Shapes are channels last.
    """
    return tuple(tap.spec for tap in _taps(_with_shapes(read_onnx(path))))


def write_tapped(path: Path, target: Path, names: Collection[str]) -> tuple[int, ...]:
    """Write the copy; gives each named tap's place among its outputs, in the order of `list_taps`.

    A name that is none of a readable tap's is passed over.

    Raises:
        ArtifactError: If the file cannot be read.
    """
    import onnx

    model = _with_shapes(read_onnx(path))
    graph = model.graph
    outputs = [value.name for value in graph.output]
    positions = []
    for tap in list(_taps(model)):  # before nodes are added
        if tap.spec.reason is not None or tap.spec.name not in names:
            continue
        name = _append(graph, tap)
        if name not in outputs:
            outputs.append(name)
            graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        positions.append(outputs.index(name))
    target.parent.mkdir(parents=True, exist_ok=True)
    save_onnx(model, target)
    return tuple(positions)


def _with_shapes(model: Any) -> Any:
    """The model with the shapes of its inner tensors, where ONNX can infer them."""
    import onnx

    if model.ByteSize() > TWO_GIGABYTES:
        return model  # inference goes through a protobuf, which holds no more
    try:
        return onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError:
        return model


@dataclass(frozen=True, slots=True)
class _Graph:
    """A graph's tensors by name."""

    known: Mapping[str, Any]
    """ValueInfoProto of those whose type is known."""
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
        """The QuantizeLinear that is all that reads a tensor which some node makes, else None."""
        readers = self.readers.get(name, ())
        alone = len(readers) == 1 and name in self.makers and name not in self.outputs
        return readers[0] if alone and readers[0].op_type == "QuantizeLinear" else None

    def told_before(self, node: Any) -> bool:
        """Whether what a DequantizeLinear gives is told under the name of what was quantized before it."""
        quantize = self.makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if quantize is None or quantize.op_type != "QuantizeLinear" or node.output[0] in self.outputs:
            return False
        return self.quantize_behind(quantize.input[0]) is quantize and self.codes(quantize) is not None

    def codes(self, quantize: Any) -> Codes | None:
        """What the codes of a QuantizeLinear mean; None where it has several scales, or they are not constant."""
        from onnx import numpy_helper

        parameters = [self.initializers[name] for name in quantize.input[1:3] if name in self.initializers]
        if len(parameters) < 2:
            return None
        scale, zero = (numpy_helper.to_array(parameter) for parameter in parameters)
        if scale.size != 1 or zero.dtype.kind not in "iu":
            return None
        limits = np.iinfo(zero.dtype)
        return Codes(float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]), int(limits.min), int(limits.max))


def _taps(model: Any) -> Iterator[_Tap]:
    graph = _Graph.of(model.graph)
    constant = set(graph.initializers)
    for node in model.graph.node:
        if all(name in constant for name in node.input if name):  # none at all for a Constant
            constant.update(node.output)
            if node.op_type != "Constant":
                yield from (_Tap(_spec(node, name, graph, _OF_CONSTANTS), name) for name in filter(None, node.output))
        elif not graph.told_before(node):
            yield from (_tap(node, name, graph) for name in filter(None, node.output))


def _tap(node: Any, name: str, graph: _Graph) -> _Tap:
    spec = _spec(node, name, graph, None)
    quantize = graph.quantize_behind(name)
    if quantize is not None and (codes := graph.codes(quantize)) is not None:
        spec = replace(spec, codes=codes)
    else:
        quantize = None
    turned = name in graph.channels_first and len(spec.shape) > 2
    if turned:
        spec = replace(spec, shape=(spec.shape[0], *spec.shape[2:], spec.shape[1]))
    return _Tap(spec, name, quantize, turned)


def _spec(node: Any, name: str, graph: _Graph, reason: str | None) -> TapSpec:
    value = graph.known.get(name)
    dtype = dtype_name(value.type.tensor_type.elem_type) if value is not None else "undefined"
    if reason is None and dtype not in _FLOATS:
        reason = "its type cannot be inferred" if dtype == "undefined" else f"not a float tensor: {dtype}"
    return TapSpec(
        graph.stable.get(name, name), shape_of(value) if value is not None else (), dtype, node.op_type, None, reason
    )


def _append(graph: Any, tap: _Tap) -> str:
    """Add what gives a tap as float32 in TensorFlow's layout; the name of the tensor that does."""
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
