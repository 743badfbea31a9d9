"""The graph of an artifact, for programs that draw it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["GraphEdge", "GraphNode"]


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """An input of a node."""

    source: str
    """Name of the node that computes it."""
    output: int = 0
    """Which output of that node it is."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node of an artifact's graph; constants are nodes, too."""

    name: str
    """Unique in the graph; a tap of this name reads its first output."""
    op: str
    inputs: tuple[GraphEdge, ...] = ()
    """In the order of the op; an input that no node computes is left out."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What a viewer shows about the node, for example the shape of a weight."""
