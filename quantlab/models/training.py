"""Finds layers of a model whose answer depends on more than one sample and the weights: as in training, or at random.

The exported graph tells what is computed: random numbers, statistics over the batch, variables that are changed. The
Keras model tells why: a layer that is called with `training=True`, or whose `training` argument defaults to True.
Runs in a child.
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.models.graph_ops import reached_nodes
from quantlab.types.reference import TrainingLayer

__all__ = ["training_layers", "why_not_frozen"]

_ASSIGNS = re.compile(r"Input 0 of node (?:\S+/)?(?!Assign)([^\s/]+)/(?:Assign\w*/)?Assign\w* was passed")
"""What TensorFlow says if variables cannot become constants, because one of them is changed."""


_RANDOM = re.compile(
    r"^(Stateless|Stateful)?(Random(Uniform|StandardNormal|Normal|Gamma|Poisson|Binomial|Shuffle|Crop)"
    r"|TruncatedNormal|ParameterizedTruncatedNormal|Multinomial|StandardNormal|Uniform|NonDeterministicInts"
    r"|SampleDistortedBoundingBox)(Int|FullInt)?(V\d)?$"
)
_STATE = re.compile(r"^(Assign(Add|Sub)?VariableOp|ResourceScatter\w+)$")
_BATCH_NORM = re.compile(r"^FusedBatchNorm(V\d)?$")
_REDUCTIONS = frozenset({"Mean", "Sum", "Max", "Min", "Prod", "All", "Any"})

_CAUSES = {
    "random": "draws random numbers",
    "batch": "computes statistics of the batch",
    "state": "changes its own state",
}
"""Effect → cause, most telling first: a dropout that draws numbers also changes the state of its generator."""


def training_layers(saved_model: Path, signature: str, model: Any = None) -> tuple[TrainingLayer, ...]:
    """List the layers that may answer otherwise when they are called again, or among other samples.

    They may also be harmless, as a dropout of rate 0 is: only calls of the model decide that.

    Args:
        saved_model: Folder of the SavedModel.
        signature: The one that is called.
        model: The Keras model that it was exported from, of Keras 2 or 3; None if there is none.
    """
    keras = {} if model is None else {layer.name: layer for layer in _layers_of(model)}
    causes = {name: cause for name, layer in keras.items() if (cause := _cause(layer)) is not None}
    effects: dict[str, dict[str, str]] = {}
    for op in _acting_ops(saved_model, signature):
        name = _owner(op.path, model, keras) or op.path.rpartition("/")[0] or op.path
        effects.setdefault(name, {}).setdefault(op.effect, op.kind)
    return tuple(
        _described(name, keras.get(name), causes.get(name), effects.get(name, {}))
        for name in dict.fromkeys((*effects, *causes))
    )


def _described(name: str, layer: Any, cause: str | None, effects: Mapping[str, str]) -> TrainingLayer:
    """One layer, with the cause that the Keras model tells, or else what the graph does."""
    shown = next((effect for effect in _CAUSES if effect in effects), None)
    if cause is None and shown is not None:
        # Without a layer, the op is the kind.
        cause = _CAUSES[shown] if layer is None else f"{_CAUSES[shown]} ({effects[shown]})"
    kind = type(layer).__name__ if layer is not None else effects.get(shown or "", "")
    return TrainingLayer(name, kind, cause or "", tuple(effect for effect in _CAUSES if effect in effects))


def _layers_of(model: Any) -> Iterable[Any]:
    """Every layer inside a model, however deep; both versions of Keras have this method."""
    return (layer for layer in model._flatten_layers() if layer is not model)


def _cause(layer: Any) -> str | None:
    """Why a layer acts as in training, as far as the Keras model tells."""
    parameter = _parameters(layer).get("training")
    # Asked first, because Keras 3 records a default as if it had been given. Keras' own layers for augmentation have
    # such a default in both versions.
    if parameter is not None and _truthy(parameter.default):
        return f"its argument 'training' defaults to {parameter.default!r}"
    return "called with training=True" if any(_trains(layer, call) for call in _calls_of(layer)) else None


def _calls_of(layer: Any) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """Arguments of each call of a layer in a functional model."""
    for node in getattr(layer, "_inbound_nodes", ()):
        arguments = getattr(node, "arguments", None)
        if arguments is not None:  # Keras 3
            yield tuple(arguments.args), dict(arguments.kwargs)
        else:
            yield tuple(getattr(node, "call_args", None) or ()), dict(getattr(node, "call_kwargs", None) or {})


def _trains(layer: Any, call: tuple[tuple[Any, ...], Mapping[str, Any]]) -> bool:
    args, kwargs = call
    names = list(_parameters(layer))
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return _truthy(given.get("training"))


def _parameters(layer: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(layer.call).parameters
    except (TypeError, ValueError):  # a `call` that is no function of Python
        return {}


def _truthy(value: Any) -> bool:
    """Whether a value is True or a number that stands for it; never a tensor, whose truth cannot be asked for."""
    return isinstance(value, bool | int) and value is not inspect.Parameter.empty and bool(value)


@dataclass(frozen=True, slots=True)
class _ActingOp:
    """An op whose answer depends on more than its inputs for one sample."""

    path: str
    kind: str
    effect: str


def _acting_ops(saved_model: Path, signature: str) -> Iterator[_ActingOp]:
    from tensorflow.python.tools.saved_model_utils import get_meta_graph_def

    meta = get_meta_graph_def(str(saved_model), "serve")
    outputs = meta.signature_def[signature].outputs.values()
    for nodes in reached_nodes(meta.graph_def, [info.name.split(":")[0] for info in outputs if info.name]):
        by_name = {node.name: node for node in nodes}
        for node in nodes:
            effect = _effect(node, by_name)
            if effect is not None:
                yield _ActingOp(node.name, node.op, effect)


def _effect(node: Any, by_name: Mapping[str, Any]) -> str | None:
    if _RANDOM.match(node.op):
        return "random"
    if _BATCH_NORM.match(node.op):
        # A SavedModel leaves out attributes that have their default, and that of this one is True.
        return "batch" if "is_training" not in node.attr or node.attr["is_training"].b else None
    if node.op in _REDUCTIONS:
        return "batch" if _over_batch(node, by_name) else None
    return "state" if _STATE.match(node.op) else None


def _over_batch(node: Any, by_name: Mapping[str, Any]) -> bool:
    """Whether a reduction is over the first axis, as far as its axes are constant, and keeps others apart."""
    from tensorflow import make_ndarray

    axes = by_name.get(node.input[1].split(":")[0]) if len(node.input) > 1 else None
    source = by_name.get(node.input[0].split(":")[0])
    # What is reduced must be computed: the axes of a shape, or a weight, are no batch.
    if axes is None or axes.op != "Const" or (source is not None and source.op in {"Const", "ReadVariableOp", "Shape"}):
        return False
    return 0 in make_ndarray(axes.attr["value"].tensor).reshape(-1).tolist()


def _owner(path: str, model: Any, keras: Mapping[str, Any]) -> str | None:
    """The innermost Keras layer whose name is in the path of an op; None if there is none.

    Keras 3 appends a number to all scopes of a trace, that of the model too: `functional_1/dropout_1/…` is the layer
    `dropout` of `functional`.
    """
    parts = path.split("/")
    root = next((part for part in parts if model is not None and part.startswith(model.name)), "")
    suffix = root.removeprefix(model.name) if root else ""
    for part in reversed(parts[:-1]):
        for name in (part.removesuffix(suffix), part) if suffix else (part,):
            if name in keras:
                return name
    return None


def why_not_frozen(error: BaseException) -> str | None:
    """Why TensorFlow could not freeze a graph, as a clause that names the layer; None if this is not the reason.

    >>> why_not_frozen(ValueError("Input 0 of node a/norm/AssignNewValue was passed float from b:0")).split()[:4]
    ["'norm'", 'changes', 'a', 'variable']
    """
    assigning = _ASSIGNS.match(" ".join(str(error).split()))
    if assigning is None:
        return None
    return (
        f"'{assigning[1]}' changes a variable whenever the model is called, as layers do that are stateful or called "
        f"with training=True"
    )
