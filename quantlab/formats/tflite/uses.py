"""Finds the ops that read each constant of a TFLite file; these stay the same when the file is quantized.

Quantization changes names and indices of constants and adds or removes conversion ops. The ops that compute with
constants stay, in the same order.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantlab.formats.tflite.flatbuffer import constant_tensors, indices, operator_name, text

__all__ = ["CONVERSIONS", "Use", "find_uses", "sources"]

CONVERSIONS = frozenset({"DEQUANTIZE", "QUANTIZE"})
"""Ops that only change how a value is stored; the constant before and after them is the same."""


@dataclass(frozen=True, slots=True)
class Use:
    """One op that reads a constant."""

    op: str
    slot: int
    """Index of the op's input, from 0."""
    key: str
    """Op, its position among the ops of this name in its subgraph that read constants, and input; see
    `StoredWeight.keys`.

    The number of such ops is part of the key: an additional op would shift positions and pair unrelated weights.
    """
    output: str
    """Name of the op's first output."""


def sources(model: Any, graph: Any) -> Mapping[int, int]:
    """Tensor → the constant it holds: itself, or the constant it was converted from (float16 by DEQUANTIZE)."""
    constant_of = {index: index for index in sorted(constant_tensors(model, graph))}
    for operator in graph.operators or ():
        if operator_name(model, operator) in CONVERSIONS and operator.inputs[0] in constant_of:
            constant_of[int(operator.outputs[0])] = constant_of[int(operator.inputs[0])]
    return constant_of


def find_uses(model: Any) -> Mapping[tuple[int, int], list[Use]]:
    """(Subgraph, tensor) of a constant → the ops that read it, in execution order."""
    uses: dict[tuple[int, int], list[Use]] = defaultdict(list)
    for place, graph in enumerate(model.subgraphs):
        readers = _readers(model, graph)
        total = Counter(op for op, _, _ in readers)
        begun: Counter[str] = Counter()
        for op, output, read in readers:
            begun[op] += 1
            name = f"{op} {begun[op]} of {total[op]}" + (f" of subgraph {place}" if place else "")
            for slot, tensor in read.items():
                uses[place, tensor].append(Use(op, slot, f"{name}, input {slot}", output))
    return uses


def _readers(model: Any, graph: Any) -> list[tuple[str, str, dict[int, int]]]:
    """Each op that computes with constants: its name, its first output, and input index → constant."""
    known = sources(model, graph)
    readers = []
    for operator in graph.operators or ():
        name = operator_name(model, operator)
        read = {slot: known[index] for slot, index in enumerate(indices(operator.inputs)) if index in known}
        if read and name not in CONVERSIONS:
            outputs = [text(graph.tensors[index].name) for index in indices(operator.outputs) if index >= 0]
            readers.append((name, next(iter(outputs), ""), read))
    return readers
