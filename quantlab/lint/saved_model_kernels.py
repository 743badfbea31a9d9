"""The kernels in the graph of a SavedModel, and the batch norms behind them; for the child that reads it.

Nothing is run: calls of functions are followed by name, and the factors of a batch norm are computed from the few
vectors that it reads. Where the graph has another form than Keras gives it, a kernel has no factors.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.lint.subject import Role

__all__ = ["Kernel", "kernels_of"]

Array = npt.NDArray[Any]

_MOST_NODES = 200_000
"""Nodes of all calls together; of a graph with more, nothing is told."""

_DEEPEST = 50
"""Calls in calls, and nodes behind each other."""

_PASSING = frozenset({"Identity", "ReadVariableOp", "StopGradient", "Cast", "Reshape", "ExpandDims", "Squeeze"})
"""Ops that leave the values of a kernel or a vector alone."""

_ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("Conv2D", "Conv2DBackpropInput", "Conv3D", "MatMul"), "kernel"),
    "DepthwiseConv2dNative": "depthwise",
}
"""Ops whose input 1 is a kernel."""

_FOLDED_IN_NORMS = frozenset({"Conv2D", "DepthwiseConv2dNative"})
"""Kernels into which the converter folds a fused batch norm (`fold_batch_norms.py`), behind a bias, too."""

_FOLDED_IN_PRODUCTS = frozenset({"Conv2D", "Conv3D"})
"""Kernels into which grappler folds a product, as of a batch norm of Keras 3, if it follows at once."""

_SHIFTS = frozenset({"BiasAdd", "Add", "AddV2"})
_NORMS = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})


@dataclass(frozen=True, slots=True)
class Kernel:
    """A variable that one op of a graph reads as its kernel."""

    op: str
    """Name of the op, without the calls before it."""
    role: Role
    axes: tuple[int, ...]
    """Axes of the kernel that together index the output channel, from the end."""
    factors: tuple[float, ...]
    """What the batch norm behind the op multiplies each channel by, if the graph-model converter folds it; or empty."""


@dataclass(frozen=True, slots=True)
class _Inlined:
    """A graph whose calls are replaced by the nodes of the functions."""

    nodes: dict[str, Any] = field(default_factory=dict)
    """Name, with the calls before it → NodeDef."""
    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name → names of the nodes that it reads."""
    same: dict[str, str] = field(default_factory=dict)
    """Name of a call or an output of it → the node that makes it."""

    def source(self, name: str) -> str:
        """The node behind results of calls."""
        for _ in range(_DEEPEST):
            if name not in self.same:
                break
            name = self.same[name]
        return name

    def behind(self, name: str) -> str:
        """The node behind ops that pass values on."""
        for _ in range(_DEEPEST):
            name = self.source(name)
            if name not in self.nodes or self.nodes[name].op not in _PASSING or not self.inputs[name]:
                break
            name = self.inputs[name][0]
        return name

    def readers(self, names: Iterable[str]) -> Mapping[str, list[str]]:
        """Node → those of some nodes that read it."""
        found: dict[str, list[str]] = {}
        for name in names:
            for read in self.inputs[name]:
                found.setdefault(self.source(read), []).append(name)
        return found


def kernels_of(graph: Any, outputs: Sequence[str], read: Callable[[str], Array]) -> Mapping[str, Kernel]:
    """Key of a variable in the checkpoint → the kernel that it is; variables that several ops read are left out.

    Args:
        graph: A GraphDef with the functions of the SavedModel.
        outputs: Names of the nodes of a signature's outputs.
        read: Gives the values of a variable, by its key.
    """
    inlined = _inlined(graph)
    if inlined is None:
        return {}
    reached = _reached(inlined, outputs)
    search = _Search(inlined, inlined.readers(reached), _Values(inlined, _keys(inlined), read))
    found: dict[str, list[Kernel]] = {}
    for name in reached:
        role, inputs = _ROLES.get(inlined.nodes[name].op), inlined.inputs[name]
        key = search.values.keys.get(inlined.behind(inputs[1])) if role is not None and len(inputs) > 1 else None
        if role is not None and key is not None:
            kernel = Kernel(name.rpartition(_INSIDE)[2], role, _axes(inlined.nodes[name], role), search.factors(name))
            found.setdefault(key, []).append(kernel)
    return {key: several[0] for key, several in found.items() if len(several) == 1}


def _axes(node: Any, role: Role) -> tuple[int, ...]:
    if role == "depthwise":
        return (-2, -1)
    turned = node.op == "Conv2DBackpropInput" or (node.op == "MatMul" and node.attr["transpose_b"].b)
    return (-2,) if turned else (-1,)


@dataclass(frozen=True, slots=True)
class _Search:
    """The way from a convolution to its batch norm."""

    graph: _Inlined
    readers: Mapping[str, list[str]]
    values: "_Values"

    def factors(self, kernel: str) -> tuple[float, ...]:
        """Factors of the norm behind a convolution; none if it is not folded, or another op is or reads in between."""
        node, name, shifted = self.graph.nodes[kernel], kernel, False
        for _ in range(_DEEPEST):
            following = self.readers.get(name, [])
            if len(following) != 1:
                break
            before, name = name, following[0]
            op, inputs = self.graph.nodes[name].op, [self.graph.source(read) for read in self.graph.inputs[name]]
            if op in _NORMS and inputs[0] == before:
                folded = node.op in _FOLDED_IN_NORMS or (node.op in _FOLDED_IN_PRODUCTS and not shifted)
                return _listed(self.values.of_norm(name) if folded else None)
            other = self.values.of(inputs[1 - inputs.index(before)]) if len(inputs) == 2 and op != "Squeeze" else None
            if op == "Mul":
                return _listed(other if node.op in _FOLDED_IN_PRODUCTS and not shifted else None)
            if op != "Identity" and (op not in _SHIFTS or other is None):
                break
            shifted = shifted or (other is not None and bool(other.any()))  # a bias of zeros is removed
        return ()


def _listed(factors: Array | None) -> tuple[float, ...]:
    return () if factors is None else tuple(factors.tolist())


@dataclass(frozen=True, slots=True)
class _Values:
    """Vectors that are made of variables and constants alone."""

    graph: _Inlined
    keys: Mapping[str, str]
    read: Callable[[str], Array]

    def of(self, name: str, depth: int = _DEEPEST) -> Array | None:
        """The values of a node in one axis; None if they depend on anything else."""
        name = self.graph.behind(name)
        if name in self.keys:
            return self.read(self.keys[name]).astype(np.float64).reshape(-1)
        node = self.graph.nodes.get(name)
        if node is None or not depth:
            return None
        if node.op == "Const":
            return _constant(node)
        count, compute = _COMPUTED.get(node.op, (0, None))
        held = [self.of(read, depth - 1) for read in self.graph.inputs[name][:count]]
        if compute is None or len(held) != count or any(one is None for one in held):
            return None
        return _finite(compute, held)

    def of_norm(self, name: str) -> Array | None:
        """The factors of a fused batch norm as at inference."""
        attributes, inputs = self.graph.nodes[name].attr, self.graph.inputs[name]
        training = attributes["is_training"].b if "is_training" in attributes else True
        gamma, variance = (self.of(inputs[place]) for place in (1, 4)) if len(inputs) > 4 else (None, None)
        if training or gamma is None or variance is None or gamma.shape != variance.shape:
            return None
        epsilon = attributes["epsilon"].f if "epsilon" in attributes else 1e-4
        return _finite(lambda size, spread: size / np.sqrt(spread + epsilon), [gamma, variance])


_COMPUTED: Mapping[str, tuple[int, Callable[..., Array]]] = {
    "Add": (2, np.add),
    "AddV2": (2, np.add),
    "Mul": (2, np.multiply),
    "RealDiv": (2, np.divide),
    "Sqrt": (1, np.sqrt),
    "Rsqrt": (1, lambda values: 1 / np.sqrt(values)),
}
"""Op → the number of its inputs, and what it computes."""


def _finite(compute: Callable[..., Array], held: Sequence[Any]) -> Array | None:
    """The result where its shapes fit and all values are finite."""
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(compute(*held), np.float64)
    except ValueError:
        return None
    return result if np.isfinite(result).all() else None


def _constant(node: Any) -> Array | None:
    import tensorflow as tf

    values = tf.make_ndarray(node.attr["value"].tensor)
    return values.astype(np.float64).reshape(-1) if values.dtype.kind in "iuf" else None


def _keys(graph: _Inlined) -> Mapping[str, str]:
    """Handle of a variable → its key in the checkpoint, by the ops that save them."""
    import tensorflow as tf

    keys = {}
    for name, node in graph.nodes.items():
        inputs = graph.inputs[name]
        names = graph.nodes.get(graph.behind(inputs[1])) if node.op == "SaveV2" and len(inputs) > 3 else None
        if names is not None and names.op == "Const":
            saved = tf.make_ndarray(names.attr["value"].tensor).reshape(-1)
            for key, read in zip(saved, inputs[3:], strict=False):
                keys[graph.behind(read)] = key.decode(errors="replace")
    return keys


def _reached(graph: _Inlined, outputs: Iterable[str]) -> list[str]:
    """Nodes that some nodes depend on."""
    seen: dict[str, None] = {}
    waiting = [graph.source(name) for name in outputs]
    while waiting:
        name = waiting.pop()
        if name in graph.nodes and name not in seen:
            seen[name] = None
            waiting += (graph.source(read) for read in graph.inputs[name])
    return list(seen)


_INSIDE = "/:"
"""Between the name of a call and that of a node in the function; no name of a node has it."""


def _inlined(graph: Any) -> _Inlined | None:
    """The nodes of a graph and of the functions that they call; None if there are too many."""
    library = {function.signature.name: function for function in graph.library.function}
    inlined, waiting = _Inlined(), [(graph.node, "", dict[str, str]())]
    while waiting:
        nodes, scope, arguments = waiting.pop()
        for node in nodes:
            name = scope + node.name
            inlined.inputs[name] = tuple(_named(read, scope, arguments) for read in node.input if read[:1] != "^")
            function = library.get(_called(node))
            if function is None:
                inlined.nodes[name] = node
                continue
            if scope.count(_INSIDE) < _DEEPEST:
                names = [argument.name for argument in function.signature.input_arg]
                given = dict(zip(names, inlined.inputs[name], strict=False))
                waiting.append((function.node_def, name + _INSIDE, given))
                inlined.same.update(_results(function, name, given))
        if len(inlined.inputs) > _MOST_NODES:
            return None
    return inlined


def _results(function: Any, name: str, arguments: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each output of a call, and what makes it inside."""
    for place, output in enumerate(function.signature.output_arg):
        made = _named(function.ret[output.name], name + _INSIDE, arguments)
        yield name if place == 0 else f"{name}:{place}", made


def _called(node: Any) -> str:
    """The function that a node calls: the op itself, or that of a call."""
    called = node.op in {"PartitionedCall", "StatefulPartitionedCall"} and "f" in node.attr
    return str(node.attr["f"].func.name if called else node.op)


def _named(tensor: str, scope: str, arguments: Mapping[str, str]) -> str:
    """The name of a tensor in all: `a`, or `a:1` of a later output; in functions, they are `a:output:0`."""
    name, *_, number = tensor.split(":") if ":" in tensor else (tensor, "0")
    if name in arguments:
        return arguments[name]
    return scope + name if number == "0" else f"{scope}{name}:{number}"
