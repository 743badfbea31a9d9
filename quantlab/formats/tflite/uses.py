"""Which op reads which constant of a TFLite file: what stays the same when a file is quantized.

Names and numbers of constants do not survive quantization, and ops that convert types come and go; the ops that compute
with constants stay, in their order.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantlab.formats.tflite.flatbuffer import constant_tensors, indices, operator_name

__all__ = ["CONVERSIONS", "Use", "find_uses", "sources"]

CONVERSIONS = frozenset({"DEQUANTIZE", "QUANTIZE"})
"""Ops that change how a value is stored; a constant behind one is the same constant."""


@dataclass(frozen=True, slots=True)
class Use:
    """A place that reads a constant."""

    op: str
    slot: int
    """Which of the op's inputs, from 0."""
    key: str
    """Op, place among the ops of this name in its subgraph that read constants, and slot; see `StoredWeight.keys`.

    How many there are is part of it: in a file with one op more, places would shift, and other weights be compared.
    """


def sources(model: Any, graph: Any) -> Mapping[int, int]:
    """Tensor → the constant that it is: itself, or the one that it was converted from (float16 by DEQUANTIZE)."""
    constant_of = {index: index for index in sorted(constant_tensors(model, graph))}
    for operator in graph.operators or ():
        if operator_name(model, operator) in CONVERSIONS and operator.inputs[0] in constant_of:
            constant_of[int(operator.outputs[0])] = constant_of[int(operator.inputs[0])]
    return constant_of


def find_uses(model: Any) -> Mapping[tuple[int, int], list[Use]]:
    """(Subgraph, tensor) of a constant → what reads it, in order of execution."""
    uses: dict[tuple[int, int], list[Use]] = defaultdict(list)
    for place, graph in enumerate(model.subgraphs):
        readers = _readers(model, graph)
        total = Counter(op for op, _ in readers)
        begun: Counter[str] = Counter()
        for op, read in readers:
            begun[op] += 1
            name = f"{op} {begun[op]} of {total[op]}" + (f" of subgraph {place}" if place else "")
            for slot, tensor in read.items():
                uses[place, tensor].append(Use(op, slot, f"{name}, input {slot}"))
    return uses


def _readers(model: Any, graph: Any) -> list[tuple[str, dict[int, int]]]:
    """Each op that computes with constants: its name, and slot → constant."""
    known = sources(model, graph)
    readers = []
    for operator in graph.operators or ():
        name = operator_name(model, operator)
        read = {slot: known[index] for slot, index in enumerate(indices(operator.inputs)) if index in known}
        if read and name not in CONVERSIONS:
            readers.append((name, read))
    return readers
