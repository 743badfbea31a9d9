"""Names of an ONNX graph's tensors that are the same in every file made from one model.

tf2onnx numbers what it makes up (`Conv__88:0`, `const_fold_opt__147`), and from one conversion to the next it numbers
otherwise. So such a number is replaced by its place among those of its kind, counted from the outputs back through
each op's inputs in their order, which neither a conversion nor a quantization changes.
"""

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["stable_names"]

_NUMBERED = re.compile(r"^(?P<stem>.*?)__(?P<number>\d+)(?P<rest>.*)$", re.DOTALL)


def stable_names(graph: Any) -> dict[str, str]:
    """Tensor or initializer → its stable name, for all that the outputs depend on and for the rest of them as it is.

    Args:
        graph: A GraphProto.
    """
    places: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    found: dict[str, str] = {}
    for name in _from_the_outputs(graph):
        match = _NUMBERED.match(name)
        if match is None:
            found[name] = name
            continue
        stem, number = match["stem"], match["number"]
        if (stem, number) not in places:
            counts[stem] = counts.get(stem, 0) + 1
            places[stem, number] = counts[stem]
        found[name] = f"{stem}__{places[stem, number]}{match['rest']}"
    return found


def _from_the_outputs(graph: Any) -> Iterator[str]:
    """Every tensor once: what an op reads before what it makes; then those that no output depends on."""
    makers = {name: node for node in graph.node for name in node.output}
    seen: set[str] = set()
    others = [name for node in graph.node for name in node.output]
    for root in (*(value.name for value in graph.output), *others):
        waiting = [(root, False)]  # a stack of our own: graphs are deeper than Python's
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
                waiting += [(each, False) for each in reversed(node.input)]
    yield from (tensor.name for tensor in graph.initializer if tensor.name not in seen)
