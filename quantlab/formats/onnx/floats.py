"""Writes an ONNX file that computes in float32 with the weights of another one, which stores codes.

Two forms are undone, those that onnxruntime's quantization writes. In the first (QDQ), a DequantizeLinear decodes each
weight, and activations pass a QuantizeLinear and a DequantizeLinear: weights become constants of float32, and these
pairs are left out; where their codes begin at zero, a Relu takes their place. In the second (dynamic), a
DynamicQuantizeLinear makes codes of an activation, and a MatMulInteger or ConvInteger multiplies them; a Cast and a Mul
make floats of the sums. These become a MatMul or a Conv of floats.

Codes at the ends of the graph stay: what a file takes and gives is the same in the copy.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ArtifactError
from quantlab.formats.affine import decode_affine
from quantlab.formats.onnx.file import attribute, dtype_name, graphs_of, read_onnx, readers_of, save_onnx

__all__ = ["coded_weights", "write_float"]

Array = npt.NDArray[Any]

_MULTIPLIES = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}
_MAKES_CODES = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
_COMPUTES_IN_CODES = ("QLinear", "QGemm", "QAttention", "DynamicQuantize", "MatMulIntegerToFloat", "MatMulNBits")
"""Beginnings of the names of ops that compute with codes and that no float op replaces here."""


def coded_weights(path: Path) -> dict[str, int]:
    """Data type → bytes of the constants that ops read as codes, of which `write_float` makes floats.

    Empty for a file of floats, and for one that computes with codes in another form, which is run as it is.

    Raises:
        ArtifactError: If the file cannot be read.
    """
    model = read_onnx(path, weights=False)
    sizes: dict[str, int] = {}
    if any(
        _lasting(node) or graph is not model.graph
        for graph in graphs_of(model.graph)
        for node in graph.node
        if _coded(node)
    ):
        return sizes
    for graph in graphs_of(model.graph):
        constants = {tensor.name: tensor for tensor in graph.initializer}
        for name in dict.fromkeys(_names_of_codes(graph)):
            if (tensor := constants.get(name)) is not None:
                dtype = dtype_name(tensor.data_type)
                sizes[dtype] = sizes.get(dtype, 0) + int(np.prod(tensor.dims, dtype=np.int64))
    return sizes


def _names_of_codes(graph: Any) -> Iterator[str]:
    """The inputs of ops that hold codes of weights; not their scales and zero points."""
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            yield node.input[0]
        elif node.op_type in _MULTIPLIES:
            yield node.input[1]
        elif node.op_type.startswith(_COMPUTES_IN_CODES):
            yield from (node.input[place] for place in (1, 3) if place < len(node.input))


def write_float(path: Path, folder: Path) -> None:
    """Write the file into a new folder, as `model.onnx`.

    Raises:
        ArtifactError: If the file cannot be read, a weight cannot be decoded, or an op computes with codes in another
            form.
    """
    model = read_onnx(path)
    if any(
        True for graph in graphs_of(model.graph) for node in graph.node if graph is not model.graph and _coded(node)
    ):
        raise ArtifactError(f"'{path.name}' has quantized ops inside a loop or a branch, {_INSTEAD}")
    graph = _Graph(model.graph, path.name)
    graph.decode_weights()
    graph.leave_out_pairs()
    graph.multiply_floats()
    graph.refuse_rest()
    graph.forget_unused()
    del model.graph.value_info[:]  # types of tensors that are floats now
    folder.mkdir(parents=True)
    save_onnx(model, folder / "model.onnx")


_INSTEAD = "which no float op replaces; give the float model with --reference"


def _lasting(node: Any) -> bool:
    """Whether a node computes with codes in a form that no float op replaces."""
    return bool(node.op_type.startswith(_COMPUTES_IN_CODES)) and node.op_type != "DynamicQuantizeLinear"


def _coded(node: Any) -> bool:
    return node.op_type in {*_MAKES_CODES, *_MULTIPLIES, "DequantizeLinear"} or node.op_type.startswith(
        _COMPUTES_IN_CODES
    )


@dataclass(slots=True)
class _Graph:
    """The graph that is changed."""

    graph: Any
    file: str

    def constants(self) -> dict[str, Any]:
        """Name → the tensor of each constant, also of Constant nodes."""
        held = {tensor.name: tensor for tensor in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant" and (value := attribute(node, "value", None)) is not None:
                held[node.output[0]] = value
        return held

    def makers(self) -> dict[str, Any]:
        """Tensor → the node that makes it."""
        return {name: node for node in self.graph.node for name in node.output}

    def decode_weights(self) -> None:
        """Replace each DequantizeLinear of a constant by a constant of float32."""
        constants, kept = self.constants(), []
        for node in self.graph.node:
            if node.op_type == "DequantizeLinear" and node.input[0] in constants:
                self.add(node.output[0], self.decoded(node, constants))
            else:
                kept.append(node)
        self.replace_nodes(kept)

    def decoded(self, node: Any, constants: Mapping[str, Any]) -> Array:
        """The values of the codes that a DequantizeLinear reads."""
        codes, scale, *zero = (self.array(constants, name, node) for name in node.input if name)
        if attribute(node, "block_size", 0) or scale.ndim > 1:
            raise ArtifactError(
                f"the weight '{node.input[0]}' of '{self.file}' has scales per block, which quantlab cannot decode; "
                f"give the float model with --reference"
            )
        axis = int(attribute(node, "axis", 1)) if scale.size > 1 else None
        zeros = zero[0] if zero else np.zeros(scale.shape, np.int64)
        return decode_affine(codes, scale.reshape(-1), zeros.reshape(-1), axis)

    def array(self, constants: Mapping[str, Any], name: str, node: Any) -> Array:
        """The values of a constant."""
        from onnx import numpy_helper

        if name not in constants:
            raise ArtifactError(
                f"the scale of a weight of the node '{node.name}' in '{self.file}' is no constant, so the weight "
                f"cannot be decoded; give the float model with --reference"
            )
        values: Array = numpy_helper.to_array(constants[name])
        if values.dtype.kind == "V":  # codes of 4 bits
            values = values.astype(np.uint8 if dtype_name(constants[name].data_type).startswith("u") else np.int8)
        return values

    def leave_out_pairs(self) -> None:
        """Connect what reads a DequantizeLinear with what the QuantizeLinear before it reads."""
        makers, constants, moved, kept = self.makers(), self.constants(), dict[str, str](), []
        outputs = {value.name for value in self.graph.output}
        readers = {name: len(nodes) for name, nodes in readers_of(self.graph).items()}
        bounded: dict[str, str] = {}
        for node in self.graph.node:
            if node.op_type == "QuantizeLinear" and (bounds := self.bounds(node, constants)):
                alone = readers[node.input[0]] == 1 and node.input[0] in makers and node.input[0] not in outputs
                kept += self.bound(node, bounds, makers if alone else {}, bounded)
            before = makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
            if before is None or before.op_type != "QuantizeLinear":
                kept.append(node)
                continue
            source = bounded.get(before.output[0], before.input[0])
            if node.output[0] in outputs:
                kept.append(self.node("Identity", [source], node.output[0]))
            else:
                moved[node.output[0]] = source
        self.replace_nodes(kept)
        for node in self.graph.node:
            node.input[:] = [_end_of(moved, name) for name in node.input]

    def bounds(self, quantize: Any, constants: Mapping[str, Any]) -> list[float]:
        """The lower bound of codes that begin at zero, and 6 if they end there; empty for other codes.

        onnxruntime leaves out a Relu before such codes, and a Clip to 0 and 6: the codes bound the values alike.
        """
        if not all(name in constants for name in quantize.input[1:]) or len(quantize.input) < 3:
            return []
        scale, zero = (self.array(constants, name, quantize) for name in quantize.input[1:3])
        limits = np.iinfo(zero.dtype) if zero.dtype.kind in "iu" else None
        if scale.size != 1 or limits is None or int(zero.reshape(-1)[0]) != limits.min:
            return []
        step = float(scale.reshape(-1)[0])
        return [0.0, 6.0] if abs((limits.max - limits.min) * step - 6.0) < step / 2 else [0.0]

    def bound(
        self, quantize: Any, bounds: list[float], makers: Mapping[str, Any], bounded: dict[str, str]
    ) -> list[Any]:
        """The nodes that bound what a QuantizeLinear reads; they get its name, so that layers are found by it.

        Args:
            quantize: The QuantizeLinear.
            bounds: Lower bound, and the upper one if there is one.
            makers: Tensor → node, if nothing else reads the tensor; then its maker writes another name.
            bounded: Gets the output of the QuantizeLinear → the tensor with bounds.
        """
        name = quantize.input[0]
        source, target = (f"{name}/unbounded", name) if name in makers else (name, f"{name}/bounded")
        if name in makers:
            maker = makers[name]
            maker.output[:] = [source if one == name else one for one in maker.output]
            quantize.input[0] = target
        bounded[quantize.output[0]] = target
        if len(bounds) == 1:
            return [self.node("Relu", [source], target)]
        self.add(f"{target}/six", np.float32(bounds[1]))
        return [
            self.node("Relu", [source], f"{target}/relu"),
            self.node("Min", [f"{target}/relu", f"{target}/six"], target),
        ]

    def multiply_floats(self) -> None:
        """Replace each product of codes, with the Cast and the Mul behind it, by a product of floats."""
        constants, makers, readers = self.constants(), self.makers(), readers_of(self.graph)
        products = {}
        for node in self.graph.node:
            if node.op_type in _MULTIPLIES:
                product = self.product(node, constants, makers, readers)
                products[product.output[0]] = product
        self.replace_nodes([products.get(node.output[0], node) if node.output else node for node in self.graph.node])

    def product(self, node: Any, constants: Mapping[str, Any], makers: Mapping[str, Any], readers: Any) -> Any:
        """The node of floats that gives what the last Mul behind a product of codes gives."""
        import onnx

        dynamic = makers.get(node.input[0])
        cast = _only(readers.get(node.output[0], ()), "Cast")
        last = _only(readers.get(cast.output[0], ()), "Mul") if cast is not None else None
        scales = makers.get(_other(last, cast.output[0])) if last is not None and cast is not None else None
        if (
            last is None
            or dynamic is None
            or dynamic.op_type != "DynamicQuantizeLinear"
            or scales is None
            or scales.op_type != "Mul"
        ):
            raise ArtifactError(
                f"the op {node.op_type} (node '{node.name}') of '{self.file}' is not followed by its scales as "
                f"onnxruntime writes them, {_INSTEAD}"
            )
        scale = self.array(constants, _other(scales, dynamic.output[1]), node)
        codes = self.array(constants, node.input[1], node)
        zero = (
            self.array(constants, node.input[3], node)
            if len(node.input) > 3 and node.input[3]
            else np.zeros(1, np.int64)
        )
        several = max(scale.size, zero.size) > 1
        axis = (0 if node.op_type == "ConvInteger" else codes.ndim - 1) if several else None
        zeros = np.broadcast_to(zero.reshape(-1), max(scale.size, zero.size))
        name = f"{node.input[1]}/float32/{node.output[0]}"
        self.add(name, decode_affine(codes, np.broadcast_to(scale.reshape(-1), zeros.shape), zeros, axis))
        op, ends = _MULTIPLIES[node.op_type], ([dynamic.input[0], name], list(last.output))
        made = onnx.helper.make_node(op, *ends, name=last.name or last.output[0])
        made.attribute.extend(node.attribute)
        return made

    def node(self, op: str, sources: list[str], target: str) -> Any:
        """A node that this copy has besides."""
        import onnx

        return onnx.helper.make_node(op, sources, [target], name=f"{target}/float32")

    def add(self, name: str, values: npt.ArrayLike) -> None:
        """Add a constant."""
        from onnx import numpy_helper

        self.graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32, order="C"), name))

    def replace_nodes(self, nodes: list[Any]) -> None:
        """Set the nodes, in their order."""
        copies = [_copy(node) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(copies)

    def refuse_rest(self) -> None:
        """Refuse ops that compute with codes in a form that is not undone."""
        for node in self.graph.node:
            if _lasting(node):
                raise ArtifactError(
                    f"'{self.file}' computes with codes in the op {node.op_type} (node '{node.name}'), {_INSTEAD}"
                )

    def forget_unused(self) -> None:
        """Remove nodes that nothing reads any more, the last ones first, and then constants."""
        needed = {value.name for value in self.graph.output}
        needed |= {
            name
            for graph in graphs_of(self.graph)
            if graph is not self.graph
            for node in graph.node
            for name in node.input
        }
        kept = []
        for node in reversed(self.graph.node):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        self.replace_nodes(kept[::-1])
        constants = [tensor for tensor in self.graph.initializer if tensor.name in needed]
        del self.graph.initializer[:]
        self.graph.initializer.extend(constants)


def _copy(node: Any) -> Any:
    copied = type(node)()
    copied.CopyFrom(node)
    return copied


def _end_of(moved: Mapping[str, str], name: str) -> str:
    while name in moved:
        name = moved[name]
    return name


def _only(readers: Any, op: str) -> Any:
    """The only reader of a tensor, if it is of this op."""
    return readers[0] if len(readers) == 1 and readers[0].op_type == op else None


def _other(node: Any, name: str) -> str:
    """The other input of a node of two."""
    return next((other for other in node.input if other != name), "")
