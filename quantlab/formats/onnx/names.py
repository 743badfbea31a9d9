"""Stable names for the tensors of an ONNX graph, equal in every file made from the same model.

tf2onnx adds numbers to generated names (`Conv__88:0`, `const_fold_opt__147`, `Conv__88__102:0`), and these differ
between conversions. Each number is therefore replaced by its rank among names with the same preceding text. Names are
ranked in a traversal from the outputs back through the inputs of each op, whose order conversions and quantizers keep.
"""

import re
from collections.abc import Iterator
from typing import Any

from quantlab.formats.onnx.file import inner_graphs

__all__ = ["nodes_in_order", "stable_names"]

_NUMBER = re.compile(r"__(\d+)")


def stable_names(graph: Any) -> dict[str, str]:
    """Tensor or initializer → stable name, for all tensors; those that no output depends on come last.

    Args:
        graph: A GraphProto.
    """
    places: dict[str, int] = {}
    counts: dict[str, int] = {}
    stable_of: dict[str, str] = {}
    for name in _from_the_outputs(graph):
        text, *numbered = _NUMBER.split(name)
        stable = text
        for number, rest in zip(numbered[::2], numbered[1::2], strict=True):
            text = f"{text}__{number}"
            if text not in places:
                counts[stable] = counts.get(stable, 0) + 1
                places[text] = counts[stable]
            stable = f"{stable}__{places[text]}{rest}"
            text += rest
        stable_of[name] = stable
    return stable_of


def nodes_in_order(graph: Any) -> Iterator[Any]:
    """Every node once, in the order of stable names; nodes of a subgraph come before the node that contains it."""
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output if name}
    places = (makers[name] for name in _from_the_outputs(graph) if name in makers)
    for place in dict.fromkeys((*places, *range(len(graph.node)))):
        node = graph.node[place]
        for inner in inner_graphs(node):
            yield from nodes_in_order(inner)
        yield node


def _from_the_outputs(graph: Any) -> Iterator[str]:
    """Every tensor once, an op's inputs before its outputs; then the tensors that no output depends on."""
    makers = {name: node for node in graph.node for name in node.output}
    seen: set[str] = set()
    others = [name for node in graph.node for name in node.output]
    for root in (*(value.name for value in graph.output), *others):
        waiting = [(root, False)]  # an explicit stack, because graphs are deeper than Python's recursion limit
        while waiting:
            name, told = waiting.pop()
            if told:
                yield name
                continue
            if name in seen or not name:
                continue
            seen.add(name)
            node = makers.get(name)
            waiting.append((name, True))
            if node is not None:
                waiting += [(source, False) for source in reversed(node.input)]
    yield from (tensor.name for tensor in graph.initializer if tensor.name not in seen)
