"""Layers of a TFLite file that stay in float.

For static quantization the converter takes names of ops that it leaves out; the same function serves
`tf.lite.experimental.QuantizationDebugger` (tensorflow/lite/tools/optimize/debugging/python/debugger.py). It takes none
for dynamic range and half floats. There the ops get the weights of the float32 file back.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import ConversionError
from quantlab.formats.tflite import FORMAT
from quantlab.formats.tflite.flatbuffer import indices, operator_name, read_flatbuffer, text
from quantlab.formats.tflite.tapped import add_tensor, conversion, packed
from quantlab.formats.tflite.uses import CONVERSIONS, sources
from quantlab_converters.float_layers import kept_parts, list_parts

__all__ = ["half_way", "keep", "kept_taps", "quantized_file", "words_of_the_debugger"]


def kept_taps(float32: Path, asked: Iterable[str]) -> dict[str, str]:
    """The outputs of ops that stay in float → the data type of their weights.

    Args:
        float32: The float32 file.
        asked: Entries of `--float-layers`.

    Raises:
        ConversionError: See `kept_parts`.
    """
    return {part.tap: dtype for part, dtype in kept_parts(list_parts(FORMAT, float32), asked).items()}


def quantized_file(converter: Any, float32: Path, kept: Mapping[str, str]) -> bytes:
    """The file of a converter, with ops that stay in float.

    Args:
        converter: A `tf.lite.TFLiteConverter`, ready to convert; its options are changed. With a representative
            dataset, weights and activations become int8.
        float32: The float32 file of the same model.
        kept: Outputs of ops → `float32` or `float16`, as which their weights are stored.

    Raises:
        ConversionError: If the converter makes other ops for the quantized file than for the float32 file.
    """
    static = converter.representative_dataset is not None
    return keep(half_way(converter), float32, kept, static=static)


def half_way(converter: Any) -> bytes:
    """What `keep` starts from: the calibrated file for static quantization, else the quantized file."""
    if converter.representative_dataset is not None:
        converter._experimental_calibrate_only = True  # as the debugger does
    return bytes(converter.convert())


def keep(file: bytes, float32: Path, kept: Mapping[str, str], *, static: bool) -> bytes:
    """The quantized file with ops that stay in float, from what `half_way` returns; see `quantized_file`."""
    from tensorflow.lite.python.convert import mlir_quantize

    if not static:
        return _with_floats(file, float32, kept)
    quantized = bytes(mlir_quantize(file, denylisted_nodes=list(kept)))
    half = {tap: dtype for tap, dtype in kept.items() if dtype == "float16"}
    return _with_floats(quantized, float32, half) if half else quantized


def _with_floats(quantized: bytes, float32: Path, kept: Mapping[str, str]) -> bytes:
    """The file with the weights of the float32 file in some ops."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "quantized.tflite")
        file.write_bytes(quantized)
        model, original = read_flatbuffer(file), read_flatbuffer(float32)
    ops, exact = _computing(model), _computing(original)
    if [name for name, _ in ops] != [name for name, _ in exact]:
        raise ConversionError(
            "the converter made other ops for the quantized file than for the float32 file, so layers cannot be told "
            "apart; leave --float-layers out"
        )
    added, tensors = _Added(model, original), original.subgraphs[0].tensors
    for (_, operator), (_, like) in zip(ops, exact, strict=True):
        dtype = kept.get(text(tensors[like.outputs[0]].name))
        if dtype is not None:
            added.restore(operator, like, half=dtype == "float16")
    _remove_unread(model)
    return packed(model)


def _computing(model: Any) -> list[tuple[str, Any]]:
    """Name and operator of each op of the main subgraph that computes; quantization keeps their order."""
    named = [(operator_name(model, operator), operator) for operator in model.subgraphs[0].operators]
    return [(name, operator) for name, operator in named if name not in CONVERSIONS]


@dataclass(slots=True)
class _Added:
    """Weights of the float32 file that are added to a quantized one."""

    model: Any
    original: Any
    _places: dict[tuple[int, bool], int] = field(default_factory=dict)
    """(Tensor of the float32 file, as half floats) → tensor of the quantized one; ops may share a weight."""

    def restore(self, operator: Any, original: Any, *, half: bool) -> None:
        """Give an op the float weights of the same op of the float32 file."""
        stored = sources(self.model, self.model.subgraphs[0])
        exact = sources(self.original, self.original.subgraphs[0])
        inputs, wanted = indices(operator.inputs), indices(original.inputs)
        for slot, (index, place) in enumerate(zip(inputs, wanted, strict=False)):
            if index in stored and place in exact and self._is_float(exact[place]):
                inputs[slot] = self._weight(exact[place], half=half)
        operator.inputs = inputs

    def _is_float(self, place: int) -> bool:
        from ai_edge_litert import schema_py_generated as schema

        return bool(self.original.subgraphs[0].tensors[place].type == schema.TensorType.FLOAT32)

    def _weight(self, place: int, *, half: bool) -> int:
        """Add a weight of the float32 file, and return the index of the float32 tensor that holds it."""
        if (place, half) not in self._places:
            self._places[place, half] = self._halved(place) if half else self._copied(place)
        return self._places[place, half]

    def _copied(self, place: int) -> int:
        tensors = self.model.subgraphs[0].tensors
        tensor = copy(self.original.subgraphs[0].tensors[place])
        self.model.buffers.append(self.original.buffers[tensor.buffer])
        tensor.buffer = len(self.model.buffers) - 1
        tensors.append(tensor)
        return len(tensors) - 1

    def _halved(self, place: int) -> int:
        from ai_edge_litert import schema_py_generated as schema

        graph, index = self.model.subgraphs[0], self._copied(place)
        tensor = graph.tensors[index]
        values = np.frombuffer(bytes(self.model.buffers[tensor.buffer].data), np.float32)
        if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
            return index
        data = np.frombuffer(values.astype(np.float16).tobytes(), np.uint8)
        self.model.buffers[tensor.buffer] = schema.BufferT(data=data)
        tensor.type = schema.TensorType.FLOAT16
        decoded = add_tensor(self.model, index, "float32")
        graph.operators.insert(0, conversion(self.model, index, decoded))
        return decoded


def _remove_unread(model: Any) -> None:
    """Remove conversions that nothing reads, then the constants that nothing reads, and their bytes."""
    graph = model.subgraphs[0]
    read = {index for operator in graph.operators for index in indices(operator.inputs)} | set(indices(graph.outputs))
    graph.operators = [
        operator
        for operator in graph.operators
        if operator_name(model, operator) not in CONVERSIONS or set(indices(operator.outputs)) & read
    ]
    used = {index for op in graph.operators for index in (*indices(op.inputs), *indices(op.outputs))}
    used |= {index for op in graph.operators for index in indices(op.intermediates)}
    used |= {*indices(graph.inputs), *indices(graph.outputs)}
    place = {old: new for new, old in enumerate(index for index in range(len(graph.tensors)) if index in used)}
    graph.tensors = [tensor for index, tensor in enumerate(graph.tensors) if index in used]
    for operator in graph.operators:
        for name in ("inputs", "outputs", "intermediates"):
            if getattr(operator, name) is not None:
                setattr(operator, name, [place.get(index, -1) for index in indices(getattr(operator, name))])
    graph.inputs, graph.outputs = ([place[index] for index in indices(ends)] for ends in (graph.inputs, graph.outputs))
    for signature in model.signatureDefs or ():
        for entry in (*(signature.inputs or ()), *(signature.outputs or ())):
            if signature.subgraphIndex == 0:
                entry.tensorIndex = place[entry.tensorIndex]
    _empty_unused_buffers(model)


def _empty_unused_buffers(model: Any) -> None:
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None


def words_of_the_debugger(float32: Path, scheme: str, taps: Sequence[str]) -> str | None:
    """The argument of TensorFlow's debugger that leaves ops out of static quantization.

    Args:
        float32: The float32 file.
        scheme: `int8`; for all others the converter has no list.
        taps: The tensors that the ops write.
    """
    del float32
    if scheme != "int8":
        return None
    return f"tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes={list(taps)!r})"
