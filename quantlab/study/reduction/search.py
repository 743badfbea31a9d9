"""Searches the smallest sub-graph of a graph that still differs, by bisecting over its ops in execution order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quantlab.types.reduction import CutGraph

__all__ = ["Found", "SubGraph", "smallest_subgraph", "subgraph_of"]


@dataclass(frozen=True, slots=True)
class SubGraph:
    """Some ops of a graph."""

    ops: tuple[int, ...]
    """Their indices, ascending."""
    inputs: tuple[str, ...]
    """Tensors that it takes, in the order in which they are first needed."""
    output: str


@dataclass(frozen=True, slots=True)
class Found:
    """The smallest sub-graph that differs."""

    subgraph: SubGraph
    share: float
    tried: int
    """Number of sub-graphs that were measured."""


def subgraph_of(graph: CutGraph, known: frozenset[str], *, first: int, output: str) -> SubGraph:
    """The ops from `first` on that compute a tensor.

    An op before `first` belongs to it if the tensor that it writes is not in `known`, because then nothing else can be
    fed in its place.

    Args:
        graph: The graph.
        known: Tensors whose values can be fed.
        first: Index of an op.
        output: A tensor that an op writes.
    """
    makers = {name: place for place, op in enumerate(graph.ops) for name in op.writes}
    waiting, ops, inputs = [output], set[int](), dict[str, None]()
    while waiting:
        name = waiting.pop()
        place = makers.get(name)
        if place is None or (place < first and name in known and name != output):
            inputs[name] = None
        elif place not in ops:
            ops.add(place)
            waiting += reversed(graph.ops[place].reads)
    return SubGraph(tuple(sorted(ops)), tuple(inputs), output)


def smallest_subgraph(
    graph: CutGraph,
    shares: Mapping[str, float],
    threshold: float,
    measure: Callable[[SubGraph], float],
) -> Found | None:
    """Find the first tensor that differs by the threshold, and the fewest ops before it that still make it differ.

    The second is bisected, which assumes that a sub-graph with more ops differs more. Where that does not hold, a
    smaller one may exist; what is returned differs in any case, because it was measured.

    Args:
        graph: The graph.
        shares: Tensor that can be fed and compared → its difference when the whole graph runs.
        threshold: Share from which a tensor counts as different.
        measure: Function from a sub-graph, fed with the baseline's values, to the difference of its output.

    Returns:
        None if no sub-graph differs by the threshold.
    """
    search = _Search(graph, frozenset(shares), threshold, measure)
    for last, op in enumerate(graph.ops):
        for output in op.writes:
            if shares.get(output, 0.0) < threshold:
                continue
            found = search.ending_in(output, last)
            if found is not None:
                return found
    return None


@dataclass(slots=True)
class _Search:
    """A search among the sub-graphs of a graph, with the arguments of `smallest_subgraph`."""

    graph: CutGraph
    known: frozenset[str]
    threshold: float
    measure: Callable[[SubGraph], float]
    _tried: int = 0

    def ending_in(self, output: str, last: int) -> Found | None:
        """The smallest sub-graph that computes a tensor and differs.

        None if none does: then the tensor differs only when the whole graph runs, for example because ops are fused
        otherwise.

        Args:
            output: The tensor.
            last: Index of the op that writes it.
        """
        subgraph = self._part(0, output)
        share = self._measured(subgraph)
        if share < self.threshold:
            return None
        low, high = 0, last
        while low < high:
            middle = (low + high + 1) // 2
            smaller = self._part(middle, output)
            if smaller.ops == subgraph.ops:
                low = middle
            elif (found := self._measured(smaller)) >= self.threshold:
                low, subgraph, share = middle, smaller, found
            else:
                high = middle - 1
        return Found(subgraph, share, self._tried)

    def _part(self, first: int, output: str) -> SubGraph:
        return subgraph_of(self.graph, self.known, first=first, output=output)

    def _measured(self, subgraph: SubGraph) -> float:
        self._tried += 1
        return self.measure(subgraph)
