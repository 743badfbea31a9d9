"""The smallest sub-graph of an artifact that still differs: how graphs are cut, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CutGraph", "CutOp", "Reduction"]


@dataclass(frozen=True, slots=True)
class CutOp:
    """One op of a graph that can be cut."""

    op: str
    """Its kind, in the format's own naming."""
    reads: tuple[str, ...]
    """Tensors that it reads, without constants."""
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CutGraph:
    """The ops of an artifact in execution order, and the tensors at which it can be cut."""

    inputs: tuple[str, ...]
    """Names of its inputs, in the artifact's order."""
    outputs: tuple[str, ...]
    ops: tuple[CutOp, ...]
    tensors: frozenset[str]
    """Tensors that hold floats, or codes with a single scale: those that a sub-graph can take or give as float32."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """What `quantlab reduce` found."""

    setting: str
    runtime: str
    baseline: str
    """What it is compared with, in words."""
    folder: Path
    """Where the sub-graph, its input, both outputs, the script and the text are."""
    sample: int
    """Position of the sample in the data, from 0."""
    output_share: float
    """Largest difference of the outputs for this sample, as a share of the baseline's largest value; infinite
    where one side alone is NaN or infinite."""
    threshold: float
    """Share from which a tensor counts as different."""
    share: float
    """Largest difference of the sub-graph's output, as a share of the baseline's largest value."""
    difference: float
    """The same difference as it is."""
    ops: tuple[str, ...]
    """Kinds of the sub-graph's ops, in execution order."""
    all_ops: int
    """Number of ops of the artifact."""
    inputs: Mapping[str, tuple[int, ...]]
    """Name of a tensor that the sub-graph takes → its shape."""
    output: str
    """Name of the tensor that it gives."""
    bytes: int
    """Size of the sub-graph."""
    tried: int
    """Number of sub-graphs that were run to find it."""
