"""Writes a TFLite file in which every op of a variant runs alone, fed with tensors of the float32 file.

The file holds the float32 graph unchanged, and beside it the variant's ops. Where both graphs have the same tensor, the
variant's ops read the one of the float32 graph, so that the error of a tensor is that of its own op. Where the variant
stores the tensor as codes, a QUANTIZE op with the variant's scale comes before: integer kernels read nothing else.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.errors import ArtifactError
from quantlab.formats.tflite.flatbuffer import indices, read_flatbuffer, tensor_dtype
from quantlab.formats.tflite.tapped import TappedTensor, append_conversion, tapped_tensors, write_flatbuffer

__all__ = ["write_isolated"]


def write_isolated(
    float32: Path, variant: Path, target: Path, counterparts: Mapping[str, str], names: Collection[str]
) -> tuple[int, ...]:
    """Write the file, and return the index of each named tap among its outputs, in the order of `list_taps`.

    Its inputs and its first outputs are those of the float32 file. The arguments are those of `Format.write_isolated`;
    names without a readable tap are ignored.

    Raises:
        ArtifactError: If a file cannot be read, or the two graphs cannot run in one file.
    """
    whole, own = read_flatbuffer(float32), read_flatbuffer(variant)
    _check_together(whole, own, variant)
    known = {tap.spec.name: tap.place for tap in tapped_tensors(whole) if tap.spec.reason is None}
    taps = [tap for tap in tapped_tensors(own) if tap.spec.reason is None]
    merger = _Merger.of(whole, own)
    fed = {
        tap.place: merger.feed(tap, known[counterparts[tap.spec.name]])
        for tap in taps
        if counterparts.get(tap.spec.name) in known
    }
    merger.add_operators(own, fed)
    graph = whole.subgraphs[0]
    positions, outputs = [], [int(index) for index in graph.outputs]
    for tap in taps:
        if tap.spec.name in names:
            positions.append(len(outputs))
            outputs.append(merger.returned(tap))
    graph.outputs = outputs
    write_flatbuffer(whole, target)
    return tuple(positions)


def _check_together(float32: Any, own: Any, path: Path) -> None:
    """Refuse what cannot run in one file."""
    reason = None
    inputs = [_inputs(model) for model in (float32, own)]
    if inputs[0] != inputs[1]:
        reason = "its inputs are not those of the float32 file"
    elif len(float32.subgraphs) > 1 or len(own.subgraphs) > 1:
        reason = "it has loops or conditions"
    elif any(tensor.isVariable for tensor in own.subgraphs[0].tensors):
        reason = "its ops keep a state"
    if reason is not None:
        raise ArtifactError(f"the ops of '{path.name}' cannot be run one by one: {reason}")


def _inputs(model: Any) -> list[tuple[str, tuple[int, ...]]]:
    graph = model.subgraphs[0]
    tensors = [graph.tensors[index] for index in graph.inputs]
    return [(tensor_dtype(tensor), tuple(indices(tensor.shape))) for tensor in tensors]


@dataclass(frozen=True, slots=True)
class _Merger:
    """The float32 model while the variant's tensors and ops are appended to it."""

    whole: Any
    tensors: int
    """Number of tensors before the variant's."""
    codes: int
    """Number of operator codes before the variant's."""
    inputs: Mapping[int, int]
    """Input tensor of the variant → input tensor of the float32 graph."""

    @classmethod
    def of(cls, whole: Any, own: Any) -> "_Merger":
        """Append buffers, tensors and operator codes of the variant."""
        graph, other = whole.subgraphs[0], own.subgraphs[0]
        merger = cls(
            whole,
            len(graph.tensors),
            len(whole.operatorCodes),
            dict(zip(indices(other.inputs), indices(graph.inputs), strict=True)),
        )
        buffers = len(whole.buffers)
        for tensor in other.tensors:
            tensor.buffer += buffers
        whole.buffers.extend(own.buffers)
        graph.tensors.extend(other.tensors)
        whole.operatorCodes.extend(own.operatorCodes)
        return merger

    def feed(self, tap: TappedTensor, float32: int) -> int:
        """The tensor that stands for a tap where the variant's ops read it: the float32 graph's, as codes if needed."""
        if tap.spec.codes is None:
            return float32
        return append_conversion(self.whole, float32, like=self.tensors + tap.place)

    def add_operators(self, own: Any, fed: Mapping[int, int]) -> None:
        """Append the variant's ops, reading the tensors in `fed` in place of those they read."""
        graph = self.whole.subgraphs[0]
        for operator in own.subgraphs[0].operators:
            operator.opcodeIndex += self.codes
            operator.inputs = [fed.get(index, self._moved(index)) for index in indices(operator.inputs)]
            operator.outputs = [self._moved(index) for index in indices(operator.outputs)]
            if operator.intermediates is not None:
                operator.intermediates = [self._moved(index) for index in indices(operator.intermediates)]
            graph.operators.append(operator)

    def _moved(self, index: int) -> int:
        return index if index < 0 else self.inputs.get(index, index + self.tensors)

    def returned(self, tap: TappedTensor) -> int:
        """The tensor that returns a tap as floats."""
        index = self.tensors + tap.place
        return index if tap.spec.codes is None else append_conversion(self.whole, index)
