"""The nodes of a graph-model: what each reads and writes, in which order they run, and which tensors hold floats."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["Graph", "functions_of", "tensor_name"]

_Node = Mapping[str, Any]

_TYPED_OTHERWISE: Mapping[str, str] = {
    "Cast": "DstT",
    "GatherNd": "Tparams",
    "GatherV2": "Tparams",
    "Imag": "Tout",
    "ComplexAbs": "Tout",
    "Placeholder": "dtype",
    "PlaceholderWithDefault": "dtype",
    "RandomStandardNormal": "dtype",
    "RandomUniform": "dtype",
    "Range": "Tidx",
    "Real": "Tout",
    "TensorListConcatV2": "element_dtype",
    "TensorListGather": "element_dtype",
    "TensorListGetItem": "element_dtype",
    "TensorListPopBack": "element_dtype",
    "TensorListStack": "element_dtype",
    "TruncatedNormal": "dtype",
}
"""Op → attribute with the data type of its tensors, where it is not `T`."""

_NO_FLOATS = frozenset(
    """
    All Any ArgMax ArgMin BroadcastArgs Bincount Equal FFT Greater GreaterEqual IFFT InvertPermutation IsFinite IsInf
    IsNan Less LessEqual LogicalAnd LogicalNot LogicalOr LogicalXor LoopCond Multinomial NonMaxSuppressionV2
    NonMaxSuppressionV3 NonMaxSuppressionV4 NotEqual RFFT Rank Shape ShapeN Size TensorListFromTensor TensorListReserve
    TensorListPushBack TensorListSetItem TensorListScatter TensorListScatterV2 TensorListLength Where
    """.split()  # noqa: SIM905 (forty quoted names read worse)
)
"""Ops whose tensors are none of floats, although an attribute `T` may name what they read."""

_FIRST_ALONE = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "TopKV2", "Unique", "UniqueV2"})
"""Ops of whose tensors only the first can be one of floats that the op computes."""

_LISTED = {
    "Tout": ("If", "PartitionedCall", "StatefulPartitionedCall", "StatelessIf"),
    "T": ("StatelessWhile", "While"),
}
_TYPES_LISTED = {op: attribute for attribute, ops in _LISTED.items() for op in ops}
"""Op that calls functions → attribute with the data types of its tensors."""


def tensor_name(tensor: str) -> str:
    """The name of a tensor as taps have it: that of its node, with its place if it is not the first.

    >>> tensor_name("split:0"), tensor_name("split:1"), tensor_name("split")
    ('split', 'split:1', 'split')
    """
    return tensor.removesuffix(":0")


@dataclass(frozen=True)
class Graph:
    """The main graph of a graph-model."""

    nodes: Sequence[_Node]

    @cached_property
    def by_name(self) -> Mapping[str, _Node]:
        """Name → node."""
        return {node["name"]: node for node in self.nodes}

    @cached_property
    def written(self) -> Mapping[str, list[str]]:
        """Node → its first tensor, and those of the others that a node reads."""
        tensors = {node["name"]: {node["name"]: None} for node in self.nodes}
        for node in self.nodes:
            for tensor in self.read(node):
                tensors.setdefault(_owner(tensor), {})[tensor] = None
        return {name: sorted(names, key=_place) for name, names in tensors.items()}

    @staticmethod
    def read(node: _Node) -> list[str]:
        """Tensors that a node reads, without the nodes that it waits for."""
        return [tensor_name(tensor) for tensor in node.get("input", ()) if not tensor.startswith("^")]

    def awaited(self, node: _Node) -> list[str]:
        """Names of nodes in a loop or branch that a node waits for, such as a constant: they decide whether it runs.

        Other waiting only orders what has an effect, and no node of a graph that is run has one.
        """
        names = [tensor[1:] for tensor in node.get("input", ()) if tensor.startswith("^")]
        return [name for name in names if name in self.within]

    @cached_property
    def within(self) -> frozenset[str]:
        """Names of the nodes inside loops and branches, where a tensor has several values or perhaps none.

        A loop ends with an Exit, and a branch with a Merge; neither is inside.
        """
        readers = _reversed((node["name"], node.get("input", ())) for node in self.nodes)
        loops = self._behind(self._named("Enter"), readers, ("Exit",))
        return loops | self._behind(self._named("Switch"), readers, ("Exit", "Merge"))

    @cached_property
    def computed(self) -> frozenset[str]:
        """Names of the nodes that depend on an input of the graph."""
        readers = _reversed((node["name"], [*self.read(node), *self.awaited(node)]) for node in self.nodes)
        return self._behind(self._named("Placeholder"), readers, ())

    def _named(self, op: str) -> list[str]:
        return [node["name"] for node in self.nodes if node["op"] == op]

    def _behind(
        self, starts: Sequence[str], readers: Mapping[str, Sequence[str]], ends: Collection[str]
    ) -> frozenset[str]:
        """Some nodes, and those that read from them directly or not, up to nodes of certain ops."""
        seen, waiting = set(starts), list(starts)
        while waiting:
            for reader in readers.get(waiting.pop(), ()):
                if reader not in seen and self.by_name[reader]["op"] not in ends:
                    seen.add(reader)
                    waiting.append(reader)
        return frozenset(seen)

    def ordered(self) -> list[_Node]:
        """The nodes in an order in which they can run: that of the file where it is one, and a loop from its Merge."""
        order, seen = list[_Node](), set[str]()
        for node in self.nodes:
            waiting = [(node["name"], False)]
            while waiting:
                name, is_ready = waiting.pop()
                if is_ready:
                    order.append(self.by_name[name])
                elif name not in seen:
                    seen.add(name)
                    waiting += [(name, True), *((source, False) for source in reversed(self._before(name)))]
        return order

    def _before(self, name: str) -> list[str]:
        """Nodes that run before another."""
        node = self.by_name[name]
        sources = [_owner(tensor) for tensor in [*self.read(node), *self.awaited(node)]]
        return [one for one in sources if one in self.by_name and self.by_name[one]["op"] != "NextIteration"]

    def floats(self) -> frozenset[str]:
        """Tensors outside of loops and branches that depend on an input and hold float32."""
        return frozenset(
            tensor
            for node in self.nodes
            if node["name"] in self.computed and node["name"] not in self.within and node["op"] != "Merge"
            for tensor in self.written[node["name"]]
            if _is_float(node, _place(tensor))
        )

    def needed(self, given: Sequence[str], fed: Collection[str]) -> list[_Node]:
        """The nodes that compute some tensors from others and from constants, in the order of the file."""
        waiting, kept = [tensor for tensor in given if tensor not in fed], set[str]()
        while waiting:
            name = _owner(waiting.pop())
            if name in kept or name not in self.by_name:
                continue
            kept.add(name)
            node = self.by_name[name]
            waiting += [tensor for tensor in self.read(node) if tensor not in fed] + self.awaited(node)
        return [node for node in self.nodes if node["name"] in kept]


def _reversed(edges: Iterable[tuple[str, Iterable[str]]]) -> dict[str, list[str]]:
    """Node → the nodes that read from it."""
    readers: dict[str, list[str]] = {}
    for name, tensors in edges:
        for tensor in tensors:
            readers.setdefault(_owner(tensor.removeprefix("^")), []).append(name)
    return readers


def _owner(tensor: str) -> str:
    return tensor.partition(":")[0]


def _place(tensor: str) -> int:
    """Which of its node's tensors it is, from 0."""
    place = tensor.rpartition(":")[2]
    return int(place) if ":" in tensor and place.isdigit() else 0


def _is_float(node: _Node, place: int) -> bool:
    op, attributes = node["op"], node.get("attr", {})
    if op in _NO_FLOATS or (place and op in _FIRST_ALONE):
        return False
    if op == "Prelu":  # its attributes lack the data type, and TensorFlow.js has this one only
        return True
    if op in _TYPES_LISTED:
        types = attributes.get(_TYPES_LISTED[op], {}).get("list", {}).get("type", [])
        return place < len(types) and types[place] in _FLOAT
    return attributes.get(_TYPED_OTHERWISE.get(op, "T"), {}).get("type") in _FLOAT


_FLOAT = ("DT_FLOAT", 1)
"""The data type in JSON, by name or by number."""


def functions_of(nodes: Sequence[_Node], library: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The functions of a graph's library that some nodes call, directly or not."""
    known = {function["signature"]["name"]: function for function in library.get("function", ())}
    waiting, called = list(nodes), set[str]()
    while waiting:
        for name in _called(waiting.pop().get("attr", {})):
            if name in known and name not in called:
                called.add(name)
                waiting += known[name].get("nodeDef", ())
    return [function for name, function in known.items() if name in called]


def _called(attributes: Mapping[str, Any]) -> Iterator[str]:
    for value in attributes.values():
        if isinstance(value, dict):
            listed = value.get("list", {})
            functions = [value.get("func"), *(listed.get("func", ()) if isinstance(listed, dict) else ())]
            yield from (function["name"] for function in functions if isinstance(function, dict))
